"""The original packages' real modules on our journal; `python -m tests.faces` runs these."""
