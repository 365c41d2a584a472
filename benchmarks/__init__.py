"""Measurements: each file is a program that prints its figures."""
