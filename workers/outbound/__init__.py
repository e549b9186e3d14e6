"""Calls to machines of other people: nothing else in the program makes any."""
