"""Agents and their modules: state that is registered, loaded, bound to a session."""
