"""The public contract, by example: every name of it, and what it promises."""
