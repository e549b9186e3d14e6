"""Measurements of the whole program on this machine, and their write-up: `python -m tests.benchmarks --help`."""

import paceline  # noqa: F401 - before anything else of ours: where it is compiled, it is measured compiled, and the stamp says so
