"""Tests of `eventstate.testing`, which users' own suites stand on."""
