"""Proof that what was erased, pruned, deleted or purged is gone, and that nothing else is."""
