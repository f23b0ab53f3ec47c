"""Measurements, run apart from the tests: see README.md beside this file."""
