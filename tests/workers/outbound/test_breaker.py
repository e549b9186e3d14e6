"""A provider behind its circuit and its bulkhead. The laws of the circuit: tests/laws/test_circuit.py."""

import asyncio
from collections import deque
from dataclasses import asdict

import pytest
from structlog.testing import capture_logs

from services.kernel import trace
from services.kernel.clock import ManualClock
from services.notifications.outgoing import (
    CutShort,
    DeadAddress,
    Device,
    InDoubt,
    NotTaken,
    Outgoing,
    Receipt,
    Refused,
    TryLater,
)
from tests.support.providers.build import push
from workers.outbound.breaker import FIRST_OPEN_S, FULL_S, LANES_KEPT, OPEN_AFTER, Guarded
from workers.outbound.outcomes import Away, Throttled
from workers.outbound.web_push import origin_of


class Scripted:
    """Ends as it is told, or holds on until it is let go: what an adapter looks like from the guard's side."""

    name = "scripted"

    def __init__(self) -> None:
        self.ends: deque[BaseException | None] = deque()
        self.going = asyncio.Event()
        self.going.set()
        self.running = 0
        self.most = 0
        self.asked = 0

    async def send(self, message: Outgoing) -> Receipt:
        self.asked += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.going.wait()
        finally:
            self.running -= 1
        end = self.ends.popleft() if self.ends else None
        if end is not None:
            raise end
        return Receipt(self.name, "1")


async def end_of(guarded: Guarded, message: Outgoing | None = None) -> Receipt | NotTaken:
    try:
        return await guarded.send(message or push())
    except NotTaken as end:
        return end


@pytest.mark.parametrize("fault", [Away("down"), InDoubt("no answer")])
async def test_the_circuit_opens_by_the_providers_fault_and_closes_by_one_good_answer(fault: NotTaken) -> None:
    provider, clock = Scripted(), ManualClock()
    guarded = Guarded(provider, clock, places=4)
    provider.ends.extend([fault] * OPEN_AFTER)
    with capture_logs() as lines:
        for _ in range(OPEN_AFTER):
            assert await end_of(guarded) is fault
        held = await end_of(guarded)
        assert isinstance(held, TryLater)
        assert (held.blameless, held.retry_after_s, held.provider) == (True, FIRST_OPEN_S, "scripted")
        assert provider.asked == OPEN_AFTER
        await clock.advance(FIRST_OPEN_S)
        assert isinstance(await end_of(guarded), Receipt)
        assert isinstance(await end_of(guarded), Receipt)
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("provider.circuit_opened", "warning"),
        ("provider.circuit_closed", "info"),
    ]


async def test_while_one_finds_out_the_others_are_told_to_come_back() -> None:
    provider, clock = Scripted(), ManualClock()
    guarded = Guarded(provider, clock, places=4)
    provider.ends.append(Throttled("too much", retry_after_s=3))
    await end_of(guarded)
    await clock.advance(3)
    provider.going.clear()
    probe = asyncio.create_task(end_of(guarded), name="the one who finds out")
    await asyncio.sleep(0)
    held = await end_of(guarded)
    assert isinstance(held, TryLater)
    assert held.blameless
    provider.going.set()
    assert isinstance(await probe, Receipt)
    assert isinstance(await end_of(guarded), Receipt)


@pytest.mark.parametrize("end", [DeadAddress("gone"), Refused("no"), TryLater("mailbox full")])
async def test_what_is_the_messages_own_fault_never_opens_it(end: NotTaken) -> None:
    provider = Scripted()
    guarded = Guarded(provider, ManualClock(), places=4)
    provider.ends.extend([end] * 20)
    for _ in range(20):
        assert await end_of(guarded) is end


async def test_one_who_finds_out_and_is_cancelled_leaves_it_to_the_next() -> None:
    provider, clock = Scripted(), ManualClock()
    guarded = Guarded(provider, clock, places=4)
    provider.ends.append(Throttled("too much", retry_after_s=1))
    await end_of(guarded)
    await clock.advance(1)
    provider.going.clear()
    probe = asyncio.create_task(end_of(guarded), name="the one who finds out")
    await asyncio.sleep(0)
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    provider.going.set()
    assert isinstance(await end_of(guarded), Receipt)


async def test_one_who_finds_out_and_is_cut_short_leaves_it_to_the_next() -> None:
    provider, clock = Scripted(), ManualClock()
    guarded = Guarded(provider, clock, places=1)
    provider.ends.extend([Away("down")] * OPEN_AFTER)
    for _ in range(OPEN_AFTER):
        await end_of(guarded)
    await clock.advance(FIRST_OPEN_S)
    provider.ends.append(CutShort("stopped"))
    assert isinstance(await end_of(guarded), CutShort)
    assert guarded.statistics().open == 1, "it was no sign of life"
    assert isinstance(await end_of(guarded), Receipt)


async def test_who_is_cancelled_while_they_wait_for_a_place_has_not_begun() -> None:
    provider = Scripted()
    guarded = Guarded(provider, ManualClock(), places=1, patience_s=10)
    provider.going.clear()
    busy = asyncio.create_task(end_of(guarded), name="busy")
    await asyncio.sleep(0)
    waits = asyncio.create_task(end_of(guarded), name="waits")
    await asyncio.sleep(0)
    waits.cancel()
    assert isinstance(await waits, CutShort)
    provider.going.set()
    assert isinstance(await busy, Receipt)


async def test_a_fault_of_our_own_is_no_answer_and_is_not_hidden() -> None:
    provider = Scripted()
    guarded = Guarded(provider, ManualClock(), places=1)
    provider.ends.append(KeyError("a bug"))
    with pytest.raises(KeyError):
        await guarded.send(push())
    assert isinstance(await end_of(guarded), Receipt), "the place is free again"


async def test_no_more_calls_are_on_the_way_than_there_are_places() -> None:
    provider = Scripted()
    guarded = Guarded(provider, ManualClock(), places=3, patience_s=10)
    provider.going.clear()
    sends = [asyncio.create_task(end_of(guarded), name=f"send {n}") for n in range(30)]
    for _ in range(3):
        await asyncio.sleep(0)
    assert provider.running == 3
    provider.going.set()
    assert all(isinstance(end, Receipt) for end in await asyncio.gather(*sends))
    assert provider.most == 3


async def test_who_finds_no_place_comes_back_later_and_the_attempt_does_not_count() -> None:
    provider, clock = Scripted(), ManualClock()
    guarded = Guarded(provider, clock, places=2, patience_s=0.05)
    provider.going.clear()
    stuck = [asyncio.create_task(end_of(guarded), name=f"stuck {n}") for n in range(2)]
    await asyncio.sleep(0)
    waited = await end_of(guarded)
    assert isinstance(waited, TryLater)
    assert (waited.blameless, waited.retry_after_s) == (True, FULL_S)
    await clock.advance(0.06)
    at_once = asyncio.create_task(end_of(guarded), name="does not even wait")
    for _ in range(3):
        await asyncio.sleep(0)
    assert at_once.done(), "nobody has left for so long that waiting is in vain"
    provider.going.set()
    assert [isinstance(end, Receipt) for end in await asyncio.gather(*stuck)] == [True, True]
    assert isinstance(await end_of(guarded), Receipt)


def at(origin: str) -> Outgoing:
    return push(Device("webpush", f"https://{origin}/push/1"))


async def test_a_slow_push_service_holds_its_own_places_and_opens_its_own_circuit() -> None:
    provider, clock = Scripted(), ManualClock()
    guarded = Guarded(provider, clock, places=4, places_each=2, patience_s=0.02, whose=origin_of)
    provider.going.clear()
    slow = [asyncio.create_task(end_of(guarded, at("slow.example")), name=f"slow {n}") for n in range(6)]
    async with asyncio.timeout(10):
        while sum(task.done() for task in slow) < 4:
            await asyncio.sleep(0)
    provider.going.set()
    assert isinstance(await end_of(guarded, at("good.example")), Receipt)
    await asyncio.gather(*slow)
    provider.ends.extend([Away("down")] * OPEN_AFTER)
    for _ in range(OPEN_AFTER):
        await end_of(guarded, at("slow.example"))
    held = await end_of(guarded, at("slow.example"))
    assert isinstance(held, TryLater)
    assert held.blameless
    assert isinstance(await end_of(guarded, at("good.example")), Receipt)
    assert guarded.statistics().open == 1


async def test_services_that_anybody_may_invent_are_forgotten_before_they_become_too_many() -> None:
    guarded = Guarded(Scripted(), ManualClock(), places=4, whose=origin_of)
    for number in range(LANES_KEPT + 20):
        await end_of(guarded, at(f"push-{number}.example"))
    assert len(guarded._lanes) == LANES_KEPT


async def test_every_end_is_counted() -> None:
    provider = Scripted()
    guarded = Guarded(provider, ManualClock(), places=4)
    provider.ends.extend([None, Refused("no"), DeadAddress("gone"), TryLater("full"), InDoubt("?"), Away("down")])
    for _ in range(6):
        await end_of(guarded)
    provider.ends.append(Throttled("too much"))
    await end_of(guarded)
    await end_of(guarded)
    assert asdict(guarded.statistics()) == {
        "running": 0, "taken": 1, "refused": 1, "dead": 1, "postponed": 1, "failed": 2, "in_doubt": 1, "held_back": 1, "open": 1,
    }  # fmt: skip


class Ended:
    """A span that notes how it ended."""

    def __init__(self, name: str, attributes: dict[str, trace.Attribute]) -> None:
        self.context = trace.TraceContext("1" * 32, "2" * 16)
        self.told = (name, attributes)
        self.fault: BaseException | None = None

    def note(self, **attributes: trace.Attribute) -> None:
        """Nothing is noted."""

    def end(self, fault: BaseException | None) -> None:
        self.fault = fault


class Recorder:
    """A tracer that keeps what was begun."""

    def __init__(self) -> None:
        self.spans: list[Ended] = []

    def begin(
        self, name: str, _kind: trace.Kind, _parent: trace.TraceContext | None, attributes: dict[str, trace.Attribute]
    ) -> Ended:
        self.spans.append(Ended(name, attributes))
        return self.spans[-1]


async def test_each_call_is_a_span_and_one_that_was_held_back_is_none() -> None:
    provider, recorder, refusal = Scripted(), Recorder(), Throttled("too much")
    guarded, message = Guarded(provider, ManualClock(), places=4), push()
    provider.ends.extend([None, refusal])
    trace.use(recorder)
    try:
        for _ in range(3):
            await end_of(guarded, message)
    finally:
        trace.use(trace.Passing())
    about = ("send scripted", {"paceline.message": str(message.message_id)})
    assert [(span.told, span.fault) for span in recorder.spans] == [(about, None), (about, refusal)]
