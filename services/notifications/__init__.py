"""Telling people: what about, on which channel, when, and in which words."""
