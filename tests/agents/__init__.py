"""Modules and agents: unbound, bound to sessions, interrupted, killed."""
