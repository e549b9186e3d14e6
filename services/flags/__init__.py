"""Switches of the whole installation, set while it runs."""
