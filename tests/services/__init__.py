"""Proof that the services keep what AgentScope's callers rely on."""
