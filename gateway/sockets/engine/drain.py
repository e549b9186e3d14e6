"""Emptying a node: everybody is told when to come back, a few at a time.

Two things spread those who leave. Clients that hear `bye` come back at an instant of their own, drawn from a range that grows
with their number (`Disconnect.spread_over`); clients that do not know it come back a second or so after they were closed,
so closing is spread as well: over a window that grows with the number and leaves enough of the limit for slow goodbyes. The
window is cut into as many slots as there are links, each closes somewhere within its slot, and what has come due is closed
together every `WAVE_EVERY_S`: waves sized by the count, with jitter inside.

A line whose peer does not read or does not answer the close frame is cut after its grace (heartbeat.py), and what is left at
the limit is cut there.
"""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from gateway.sockets.engine import heartbeat
from realtime.disconnect import RETURNS_PER_SECOND, Disconnect

if TYPE_CHECKING:
    from gateway.sockets.engine.server import Engine

DRAIN_S: Final = 15.0
"""From the first goodbye to the last line. Leaves half of the thirty seconds that most orchestrators give for all of it."""
AT_ONCE: Final = 100
"""Up to so many links are closed in one instant; a window opens above it."""
WAVE_EVERY_S: Final = 0.1
HURRY_S: Final = 0.5
"""What a goodbye gets when somebody insists: a round trip, not more."""
_LOOK_S: Final = 0.02

_random: Final = random.SystemRandom()


def window_s(count: int, limit_s: float) -> float:
    """Over how many seconds `count` links are closed when all must be over after `limit_s`."""
    wanted = max(0, count - AT_ONCE) / RETURNS_PER_SECOND
    return min(wanted, max(limit_s / 2, limit_s - heartbeat.POLL_GRACE_S))


def instants(count: int, over_s: float, jitter: Callable[[], float] = _random.random) -> list[float]:
    """When each of `count` links is closed, seconds from the start, ascending. `jitter` gives numbers from 0 to 1."""
    return [(number + jitter()) * over_s / count for number in range(count)]


async def drain(engine: "Engine", ending: Disconnect, limit_s: float) -> None:
    """Close all links in waves; returns when none is left, after `limit_s` at the latest."""
    clock = engine.clock
    began = clock.monotonic()
    leaving = list(engine.links.values())
    _random.shuffle(leaving)
    told = ending.spread_over(len(leaving))
    for due, link in zip(instants(len(leaving), window_s(len(leaving), limit_s)), leaving, strict=True):
        if (wait := began + due - clock.monotonic()) > 0:
            await clock.sleep(max(wait, WAVE_EVERY_S))
        link.end(told)
    await _until_empty(engine, began + limit_s)


async def hurry(engine: "Engine", ending: Disconnect) -> None:
    """Say goodbye to whoever is left, all at once, and cut those who do not hear it at once."""
    told = ending.spread_over(len(engine.links))
    for link in tuple(engine.links.values()):
        link.end(told)
    await _until_empty(engine, engine.clock.monotonic() + HURRY_S)


async def _until_empty(engine: "Engine", until: float) -> None:
    while engine.links and engine.clock.monotonic() < until:
        await engine.clock.sleep(_LOOK_S)
    engine.cut_all("drain")
