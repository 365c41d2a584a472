"""What is brought in from AgentScope."""
