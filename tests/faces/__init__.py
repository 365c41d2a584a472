"""What users of AgentScope call, case by case: run against ours by the tests.

`python -m tests.faces` runs the same cases against the original packages, so that a wrong belief about
them turns red.
"""
