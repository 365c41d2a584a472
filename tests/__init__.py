"""The tests: one file a subject, each test named for the behaviour it protects."""
