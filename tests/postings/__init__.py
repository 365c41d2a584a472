"""Tests of postings: what they tell, what they cost, and what happens when they are damaged."""
