"""The journal: the only rooms that know SQLite."""
