"""Calls to other people's machines, which may be broken, slow or hostile."""
