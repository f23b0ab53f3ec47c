"""Measurements, run apart from the tests: python -m pytest tests/benchmarks."""
