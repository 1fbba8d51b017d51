"""Benchmarks, run by one command: `python -m tests.bench`. Never a timed unit test."""
