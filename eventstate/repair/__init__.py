"""Repair: what is derived is made anew, and of a damaged file all that can be proven is saved."""
