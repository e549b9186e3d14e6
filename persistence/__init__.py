"""Keeping: the SQL of every aggregate, and the transaction that holds them together."""
