"""A whole class, from script to summary, with everything that goes wrong in one; and the same derived again from what is stored.

`story.py` draws who comes when, who drops out and comes back, who loses contact, when the coach pauses, which node dies: pure, the
same for the same seed. `site.py` are the nodes it happens on: the real rooms, streams, clocks, tapes and carriers, several of them
in one process, on a real PostgreSQL and a real Redis. Only time is a test's: one clock for all, which jumps from second to second
when what the last one has set off has come to rest. So 45 minutes take as long as the work in them.

`ride.py` lets the story happen. `offline.py` reads the database afterwards and computes boards, receipts and summaries anew, by
code that shares nothing with the product but the shapes of its answers. What is not equal is said in a sentence.

What is not in it: sockets and their engine (tests/faults/ has them, in real time, with real processes that are killed), and the bus
between a fact and its handler: facts are handed to the handlers here, each twice and in a drawn order, as a bus may.
"""
