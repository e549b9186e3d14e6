"""Measurements by the reference client: a class of many, a flood of a few, and connections that do nothing.

Each is a command (`python -m loadtest.scenarios.class_load --help`) that prints a JSON line per phase and the
result as its last line, so that a runner can look at the server's memory and processor time in the right
moment.
"""
