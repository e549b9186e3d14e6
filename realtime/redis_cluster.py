"""Who is home of what in a Redis Cluster, as far as this node knows.

A cluster divides all names into 16,384 slots and gives every slot to one of its masters; slots move and masters are replaced
while it works. What is known here is learnt from any server that answers (`CLUSTER SLOTS`) and corrected by what a server says
when it is asked for a slot that it no longer has (`MOVED`). A server may itself be behind for a second or so after a change:
learning again is what heals that, not believing the first answer.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

import structlog
from redis.crc import key_slot

from realtime.redis_address import TROUBLE, Address, RedisRefusedError
from realtime.redis_line import open_line

SLOTS: Final = 16_384
ANSWER_WITHIN_S: Final = 2.0
"""What a server may take to say who has which slots."""

log = structlog.get_logger(__name__)


class SlotMap:
    """The home of each slot. `seeds` are the servers that are asked when no other is known."""

    def __init__(self, seeds: Iterable[Address]) -> None:
        self._seeds: Final = tuple(seeds)
        self._homes: list[Address | None] = [None] * SLOTS
        self.masters: tuple[Address, ...] = ()
        """Everybody who is home of something."""
        self.whole = False
        """Whether every slot has a home."""

    def home(self, name: bytes) -> Address | None:
        """The master of a channel or key, None when nobody is known to be."""
        return self._homes[key_slot(name)]

    async def learn(self, first: Address | None = None) -> None:
        """Ask a server: `first` if given, then masters, then seeds, until one answers. Raises what the last one was about."""
        trouble: BaseException = RedisRefusedError("no server of the cluster is known")
        for address in dict.fromkeys([*([first] if first else ()), *self.masters, *self._seeds]):
            try:
                rows = await _slots(address)
            except TROUBLE as failed:
                trouble = failed
            else:
                self._take(rows, address)
                return
        raise trouble

    def correct(self, moved: str) -> Address | None:
        """Believe a `MOVED slot host:port`; the new home, None when that is not what it says."""
        words = moved.split()
        if len(words) < 3 or words[0] != "MOVED" or not words[1].isdigit() or int(words[1]) >= SLOTS:
            return None
        host, _, port = words[2].rpartition(":")
        if not host or not port.isdigit():
            return None
        self._homes[int(words[1])] = home = self._address(host, int(port))
        self.masters = tuple(dict.fromkeys([*self.masters, home]))
        return home

    def _take(self, rows: Iterable[tuple[int, int, str, int]], asked: Address) -> None:
        homes: list[Address | None] = [None] * SLOTS
        masters: dict[Address, None] = {}
        for first, last, host, port in rows:
            # A server that does not know its own name leaves the place empty: it is the one that was asked.
            home = self._address(host or asked.host, port)
            masters[home] = None
            homes[first : last + 1] = [home] * (last + 1 - first)
        self._homes = homes
        self.masters = tuple(masters)
        self.whole = None not in homes

    def _address(self, host: str, port: int) -> Address:
        """With the password and TLS of the servers that the URL names."""
        return replace(self._seeds[0], host=host, port=port)


async def _slots(address: Address) -> list[tuple[int, int, str, int]]:
    line = await open_line(address, ANSWER_WITHIN_S)
    try:
        return list(_rows(await line.ask(b"CLUSTER", b"SLOTS")))
    finally:
        line.cut(ConnectionAbortedError("it has answered"))


def _rows(reply: Any) -> Iterator[tuple[int, int, str, int]]:
    """First slot, last slot, host and port of the master."""
    try:
        for first, last, (host, port, *_), *_ in reply:
            yield (
                max(int(first), 0),
                min(int(last), SLOTS - 1),
                "" if host in {None, b"?"} else host.decode(),
                int(port),
            )
    except (TypeError, ValueError, AttributeError) as fault:
        raise RedisRefusedError(f"CLUSTER SLOTS: not an answer that is understood: {fault}") from fault
