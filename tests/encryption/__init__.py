"""Tests of encrypted sessions."""
