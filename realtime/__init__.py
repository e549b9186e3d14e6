"""Carrying: what crosses a socket and what crosses between nodes. Knows nothing of heart rates or of Postgres."""
