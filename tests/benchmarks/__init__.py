"""Measurements of the whole program on this machine, and their write-up: `python -m tests.benchmarks --help`."""
