"""Tests of the benchmark suite: that it asks fairly, checks answers, and tells what came of it."""
