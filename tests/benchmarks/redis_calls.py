"""What Redis was asked for: how often each command, from its own count (INFO commandstats)."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from redis import Redis

Calls = Mapping[str, int]
"""Calls since Redis was started, by command."""


class CallCount:
    """A look at one Redis over one connection, made by `open_call_count`."""

    def __init__(self, client: "Redis") -> None:
        self._client = client

    def calls(self) -> Calls:
        """Until now, without our own looking."""
        told = self._client.info("commandstats")
        counts = {name.removeprefix("cmdstat_"): int(figures["calls"]) for name, figures in told.items()}
        counts.pop("info", None)
        return counts

    def rates_while(self, seconds: float) -> dict[str, float]:
        """Calls per second, by command, while we wait for so long."""
        before, began = self.calls(), time.monotonic()
        time.sleep(seconds)
        return rates(before, self.calls(), time.monotonic() - began)


def rates(before: Calls, after: Calls, seconds: float) -> dict[str, float]:
    """Calls per second between two counts, by command; those that were not called are left out. Pure."""
    differences = {name: calls - before.get(name, 0) for name, calls in sorted(after.items())}
    return {name: round(calls / seconds, 2) for name, calls in differences.items() if calls > 0}


@contextmanager
def open_call_count(url: str) -> Iterator[CallCount]:
    """Connect, and be sure of it."""
    client = Redis.from_url(url, decode_responses=True)
    try:
        client.ping()
        yield CallCount(client)
    finally:
        client.close()
