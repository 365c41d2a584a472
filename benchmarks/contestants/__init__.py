"""The contestants of this project's own: the store, and what nothing can go below."""
