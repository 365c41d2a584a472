"""Damage of every kind, and files that mean harm."""
