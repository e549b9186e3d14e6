"""Keeping one bad provider from slowing the others, and from being asked in vain: a circuit breaker and a bulkhead.

**The circuit** (pure: `Circuit` and the functions on it) counts calls in a row that failed by the provider's fault: `Away` and
`InDoubt`. After `OPEN_AFTER` it opens, and nobody asks any more: messages get `TryLater` at once, blameless, with the time that
is left. When that is over one message is let through. If it ends well, or in any way that is the message's own fault, the
circuit is closed; if not, it opens for twice as long. A provider that asks everybody to wait (`Throttled`) opens it for as long
as it says. A dead address or a full mailbox is an answer, and proof of life.

What was asked before the circuit opened and is answered while it is open changes nothing: it tells of the past.

**The bulkhead** bounds how many calls to one provider are on the way. Who finds no place waits for one, but only as long as
places become free: a provider that answers nobody holds its places, and nothing else. Full means `TryLater`, blameless.

Push services of browsers are many behind one adapter, and anybody can bring one: each origin has a circuit and places of its
own (`Guarded(whose=...)`).
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from services.kernel import trace
from services.kernel.clock import Clock
from services.notifications.outgoing import (
    CutShort,
    DeadAddress,
    InDoubt,
    NotTaken,
    Outgoing,
    Provider,
    Receipt,
    Refused,
    TryLater,
)
from workers.outbound.outcomes import Away, Throttled

OPEN_AFTER: Final = 5
FIRST_OPEN_S: Final = 10.0
LONGEST_OPEN_S: Final = 300.0
THROTTLED_S: Final = 30.0
"""For a provider that asks to wait and does not say how long. By feeling."""
PROBE_S: Final = 5.0
"""When to come back while somebody else finds out whether the provider is there again."""
PATIENCE_S: Final = 1.0
"""How long a message waits for a place: some twenty answers of a provider that is well."""
FULL_S: Final = 2.0
LANES_KEPT: Final = 256

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Circuit:
    """Closed while `open_until` (monotonic seconds) is None. `openings`: how often it has opened since it was last closed.
    `probing`: it is half open, and one call is on its way to find out."""

    failures: int = 0
    openings: int = 0
    open_until: float | None = None
    probing: bool = False


@dataclass(frozen=True)
class Pass:
    """May go. `probe`: it is the one that finds out."""

    probe: bool


def ask(circuit: Circuit, now: float) -> tuple[Circuit, Pass | float]:
    """Whether a call may go at `now`; otherwise in how many seconds to come back."""
    if circuit.open_until is None:
        return circuit, Pass(probe=False)
    if circuit.probing:
        return circuit, PROBE_S
    if now < circuit.open_until:
        return circuit, min(circuit.open_until - now, LONGEST_OPEN_S)
    return replace(circuit, probing=True), Pass(probe=True)


def answered(circuit: Circuit, granted: Pass) -> Circuit:
    """The provider did its part, whatever it said of the message."""
    if circuit.open_until is None or granted.probe:
        return Circuit()
    return circuit


def failed(circuit: Circuit, granted: Pass, now: float) -> Circuit:
    """The provider did not do its part."""
    if granted.probe:
        return _open(circuit, now, open_s(circuit.openings))
    if circuit.open_until is not None:
        return circuit
    if circuit.failures + 1 >= OPEN_AFTER:
        return _open(circuit, now, open_s(circuit.openings))
    return replace(circuit, failures=circuit.failures + 1)


def throttled(circuit: Circuit, granted: Pass, now: float, wait_s: float | None) -> Circuit:
    """The provider asks everybody to wait so long, at least; nobody waits longer than `LONGEST_OPEN_S` before one asks."""
    until_s = min(THROTTLED_S if wait_s is None else wait_s, LONGEST_OPEN_S)
    if granted.probe or circuit.open_until is None:
        return _open(circuit, now, until_s)
    return replace(circuit, open_until=max(circuit.open_until, now + until_s))


def abandoned(circuit: Circuit, granted: Pass) -> Circuit:
    """Nobody waited for the answer: nothing is known, and the next one finds out."""
    return replace(circuit, probing=False) if granted.probe else circuit


def open_s(openings: int) -> float:
    """How long it opens when it has opened so often already."""
    return float(min(FIRST_OPEN_S * 2 ** min(openings, 16), LONGEST_OPEN_S))


def _open(circuit: Circuit, now: float, seconds: float) -> Circuit:
    return Circuit(failures=0, openings=circuit.openings + 1, open_until=now + seconds, probing=False)


@dataclass
class CallStatistics:
    """Of one provider. `failed`: by its fault. `held_back`: not asked, since the circuit was open or all places taken."""

    running: int = 0
    taken: int = 0
    refused: int = 0
    dead: int = 0
    postponed: int = 0
    failed: int = 0
    in_doubt: int = 0
    held_back: int = 0
    open: int = 0


class _Full(Exception):  # noqa: N818 - what it is
    """No place has become free."""


class _Places:
    """So many calls at once. Waiting is bounded in time, and pointless while nobody leaves."""

    def __init__(self, places: int, patience_s: float, clock: Clock) -> None:
        self._free: Final = asyncio.Semaphore(places)
        self._patience_s: Final = patience_s
        self._clock: Final = clock
        self._full_since: float | None = None

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """A place while inside. Raises `_Full` when there is none, `CutShort` when whoever waits is cancelled."""
        if self._free.locked() and self._is_stuck():
            raise _Full
        try:
            async with asyncio.timeout(self._patience_s):
                await self._free.acquire()
        except TimeoutError:
            raise _Full from None
        except asyncio.CancelledError:
            raise CutShort("stopped while it waited for a place") from None
        if self._free.locked():
            self._full_since = self._clock.monotonic()
        try:
            yield
        finally:
            self._free.release()
            self._full_since = self._clock.monotonic() if self._free.locked() else None

    def _is_stuck(self) -> bool:
        """Whether no place has become free for so long that waiting for one has been in vain before."""
        return self._full_since is not None and self._clock.monotonic() - self._full_since > self._patience_s


@dataclass
class _Lane:
    """What is known of one provider, or of one push service behind it."""

    places: _Places
    circuit: Circuit = field(default_factory=Circuit)


class Guarded:
    """A provider behind a circuit and a bulkhead. `places`: calls at once; `whose`: which of several services behind the
    provider a message goes to, each with `places_each` of them."""

    def __init__(
        self,
        provider: Provider,
        clock: Clock,
        *,
        places: int,
        places_each: int | None = None,
        patience_s: float = PATIENCE_S,
        whose: Callable[[Outgoing], str] = lambda _: "",
    ) -> None:
        self._provider: Final = provider
        self._clock: Final = clock
        self._all: Final = _Places(places, patience_s, clock)
        self._places_each: Final = places_each or places
        self._patience_s: Final = patience_s
        self._whose: Final = whose
        self._lanes: Final[OrderedDict[str, _Lane]] = OrderedDict()  # full: the one longest unused is forgotten
        self._counts: Final = CallStatistics()

    @property
    def name(self) -> str:
        """The provider's."""
        return self._provider.name

    def statistics(self) -> CallStatistics:
        """What has been counted, and how many circuits are open now."""
        opened = sum(lane.circuit.open_until is not None for lane in self._lanes.values())
        return replace(self._counts, open=opened)

    async def send(self, message: Outgoing) -> Receipt:
        """See `Provider.send`; `TryLater`, blameless, when the provider is not to be asked now."""
        lane = self._lane(self._whose(message))
        # The lane's own place first: who waits for a slow service must not hold a place that others could use.
        try:
            async with lane.places.one(), self._all.one():
                return await self._within(lane, message)
        except _Full:
            self._counts.held_back += 1
            raise TryLater(
                f"{self.name} has as many calls on the way as it may",
                provider=self.name,
                retry_after_s=FULL_S,
                blameless=True,
            ) from None

    async def _within(self, lane: _Lane, message: Outgoing) -> Receipt:
        lane.circuit, granted = ask(lane.circuit, self._clock.monotonic())
        if not isinstance(granted, Pass):
            self._counts.held_back += 1
            raise TryLater(f"{self.name} is away", provider=self.name, retry_after_s=granted, blameless=True)
        self._counts.running += 1
        try:
            about: dict[str, trace.Attribute] = {"paceline.message": str(message.message_id)}
            with trace.span(f"send {self.name}", "client", parent=trace.current(), **about):
                receipt = await self._provider.send(message)
        except CutShort:
            lane.circuit = abandoned(lane.circuit, granted)
            raise
        except NotTaken as end:
            self._count(end)
            self._judge(lane, granted, end)
            raise
        except BaseException:
            lane.circuit = abandoned(lane.circuit, granted)
            raise
        finally:
            self._counts.running -= 1
        self._counts.taken += 1
        self._become(lane, answered(lane.circuit, granted), "")
        return receipt

    def _judge(self, lane: _Lane, granted: Pass, end: NotTaken) -> None:
        now = self._clock.monotonic()
        match end:
            case Throttled():
                self._become(lane, throttled(lane.circuit, granted, now, end.retry_after_s), str(end))
            case Away() | InDoubt():
                self._become(lane, failed(lane.circuit, granted, now), str(end))
            case _:
                self._become(lane, answered(lane.circuit, granted), str(end))

    def _become(self, lane: _Lane, circuit: Circuit, why: str) -> None:
        before, lane.circuit = lane.circuit, circuit
        if circuit.openings > before.openings and circuit.open_until is not None:
            seconds = round(circuit.open_until - self._clock.monotonic(), 1)
            log.warning("provider.circuit_opened", provider=self.name, seconds=seconds, why=why)
        elif before.open_until is not None and circuit.open_until is None:
            log.info("provider.circuit_closed", provider=self.name)

    def _count(self, end: NotTaken) -> None:
        match end:
            case Away() | Throttled():
                self._counts.failed += 1
            case TryLater():
                self._counts.postponed += 1
            case DeadAddress():
                self._counts.dead += 1
            case InDoubt():
                self._counts.in_doubt += 1
            case Refused():
                self._counts.refused += 1

    def _lane(self, whose: str) -> _Lane:
        lane = self._lanes.get(whose)
        if lane is None:
            lane = self._lanes[whose] = _Lane(_Places(self._places_each, self._patience_s, self._clock))
            while len(self._lanes) > LANES_KEPT:
                self._lanes.popitem(last=False)
        self._lanes.move_to_end(whose)
        return lane
