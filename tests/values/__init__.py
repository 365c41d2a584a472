"""Tests of the lowest floor: codec, differences, live containers, JSON Patch."""
