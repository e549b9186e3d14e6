"""What nobody should do to a gateway, done to it.

`target` is the gateway that is tortured: the real socket engine with handlers of a few lines, in this process or in one of
its own. Each file here is one kind of misbehaviour, and each test has three parts: what the offender gets (an answer the
catalogue knows, or a close with exactly this code), what a well-behaved neighbour notices (nothing), and what is left
afterwards (nothing: see tests/support/census.py).

    test_framing.py       sixty ways to frame a message, after the groups of the Autobahn suite
    test_fuzz.py          packets from a grammar, and what becomes of them when they are bent
    test_bad_content.py   F-63 to F-65: sizes, bombs, depths, binary
    test_floods.py        F-60, F-66, F-67: storms, floods, those who open and do not speak
    test_slow_peers.py    F-61, F-62, F-68, F-69: readers too slow, stopped, asleep or gone; many at once
    test_leftovers.py     in this process, on uvloop: every object counted
    test_kit.py           that the strict reader is strict and the census counts
    test_soak.py          twenty seconds of `python -m tests.torture.soak`

`PACELINE_TORTURE=long` makes the counts those of the catalogue of faults.
"""

import os
from typing import Final

import paceline  # noqa: F401 - before anything else of ours: a soak runs what is compiled, where something is

LONG: Final = os.environ.get("PACELINE_TORTURE") == "long"
"""Whether to take the time that the full counts need."""


def count(normal: int, long: int) -> int:
    """How many, in a normal run and in a long one."""
    return long if LONG else normal
