"""The socket engine beside its peers: one load, one little protocol, one core for the server.

load/ puts the load on and measures (C), floor/ is the cheapest server that does the work (C), js/ holds the peers on Node and
Bun; here are the peers in Python, the harness that runs all of them in turn, and the page that it writes.

    python -m tests.benchmarks.sockets --quick
"""
