"""From a finding to whoever is told: the durable chain on a real database, with a clock that jumps.

What the bus promises (at least once, in any order) is played by hand here, at its worst: every fact is delivered twice. What two
buses make of it in real time is their own contracts' matter.
"""

import asyncio

import msgspec
import pytest

from persistence.database import Database
from realtime.frame import Frame
from services.classes.live_class import LiveClass
from services.kernel.caller import Caller
from services.kernel.clock import utc
from services.kernel.facts import Envelope, SafetyIncidentMoved, SafetyStepDue, WorkoutSummarised
from services.kernel.ids import AccountId, FactId, IncidentId, StreamId, WorkoutId
from services.kernel.problems import Forbidden, IncidentOver, NotFound, Unavailable
from services.safety.incident import COACH_MS, PAUSE_MS, Incident
from services.safety.ports import Chosen
from services.safety.safety import Safety
from services.safety.watching import Finding, IncidentKind
from tests.support.world import World, steady
from tests.workers.test_delivered_many_times import Delivered
from workers.consumer import Consumer
from workers.handlers import SAFETY
from workers.retry import Unprocessable
from workers.safety_chain import SafetyChain

Told = tuple[str, str, str]
"""Who was told, which event, and the state it said."""


class Chain(World):
    """Schedule, outbox and the queue `safety`, moved by hand."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.safety = Safety(self.transactions, self.clock, self.ids)
        self.heard: list[Told] = []
        self.names: dict[AccountId, str] = {}
        self.consumer = Consumer(SAFETY, SafetyChain(self.clock, self._say).handle, self.transactions, self.clock)
        self._delivered: set[FactId] = set()

    async def person(self, name: str, *, watched: bool = False) -> Caller:
        caller = await self.account(name)
        self.names[caller.account_id] = name
        if watched:
            await self.safety.choose(caller, Chosen(on=True))
        return caller

    async def found(
        self,
        caller: Caller,
        live: LiveClass | None = None,
        kind: IncidentKind = "over_limit",
        stream: StreamId | None = None,
    ) -> Incident | None:
        finding = Finding(kind, self.clock.wall_ms(), 197)
        stream_id = stream or StreamId(self.ids.next())
        return await self.safety.found(caller.account_id, None if live is None else live.id, stream_id, finding)

    async def pass_time(self, seconds: float) -> None:
        """Time passes; what is due then is told."""
        await self.clock.advance(seconds)
        await self.turn()

    async def turn(self) -> None:
        """The schedule tells what is due; every fact that nobody had yet is delivered, twice; and what follows from those."""
        async with self.transactions() as stores:
            await stores.schedule.tell(stores.outbox, utc(self.clock.wall_ms()), 100)
        while waiting := [each for each in await self.envelopes() if each.id not in self._delivered]:
            for envelope in waiting:
                self._delivered.add(envelope.id)
                if type(envelope.fact) in SAFETY.wants:
                    await self.deliver(envelope)
                    await self.deliver(envelope)

    async def deliver(self, envelope: Envelope) -> None:
        await self.consumer(Delivered(envelope))

    async def envelopes(self) -> list[Envelope]:
        async with self.transactions() as stores:
            return await stores.outbox.peek(1_000)

    async def state(self, incident: Incident) -> str:
        async with self.transactions() as stores:
            found = await stores.safety.by_id(incident.id)
        assert found is not None
        return found.state

    async def waiting(self) -> int:
        async with self.transactions() as stores:
            return await stores.schedule.waiting()

    def _say(self, account_id: AccountId, frame: Frame) -> None:
        name, payload = msgspec.json.decode(frame.text[frame.text.index("[") :])
        self.heard.append((self.names[account_id], name, payload["state"]))


@pytest.fixture
def chain(database: Database) -> Chain:
    """An empty world."""
    return Chain(database)


async def a_class(chain: Chain) -> tuple[Caller, Caller, LiveClass]:
    """Ada, who is watched over, in the class of Kim."""
    ada, kim = await chain.person("Ada", watched=True), await chain.person("Kim")
    live = await chain.live_class(kim)
    await chain.enter(live, ada)
    return ada, kim, live


def sure(incident: Incident | None) -> Incident:
    assert incident is not None
    return incident


async def test_without_an_answer_the_coach_hears_of_it_after_fifteen_seconds(chain: Chain) -> None:
    ada, _, live = await a_class(chain)
    incident = sure(await chain.found(ada, live))
    await chain.turn()
    assert chain.heard == [("Ada", "safety.prompt", "prompted")]
    await chain.pass_time(14.9)
    assert await chain.state(incident) == "prompted"
    await chain.pass_time(0.1)
    assert chain.heard[1:] == [("Ada", "safety.prompt", "coach_told"), ("Kim", "safety.alert", "coach_told")]


async def test_an_answer_in_time_ends_it_and_nobody_else_ever_hears_of_it(chain: Chain) -> None:
    ada, _, live = await a_class(chain)
    incident = sure(await chain.found(ada, live))
    await chain.pass_time(14.9)
    view = await chain.safety.cancel(ada, incident.id)
    assert (view.state, view.next_ms) == ("cancelled", None)
    await chain.pass_time(3_600)
    assert await chain.waiting() == 0
    assert {who for who, _, _ in chain.heard} == {"Ada"}


async def test_all_who_coach_the_class_hear_of_it_and_the_first_to_take_it_on_has_it(chain: Chain) -> None:
    ada, kim, live = await a_class(chain)
    helper = await chain.person("Lee")
    await chain.enter(live, helper)
    async with chain.transactions() as stores:
        led = msgspec.structs.replace(live, co_coach_ids=(helper.account_id,))
        await stores.leading.save(led, utc(chain.clock.wall_ms()))
    incident = sure(await chain.found(ada, live))
    await chain.pass_time(15)
    assert {who for who, event, _ in chain.heard if event == "safety.alert"} == {"Kim", "Lee"}
    alert = await chain.safety.acknowledge(helper, incident.id)
    assert (alert.state, alert.acknowledged_by, alert.name) == ("acknowledged", helper.account_id, "Ada")
    assert (await chain.safety.acknowledge(kim, incident.id)).acknowledged_by == helper.account_id
    await chain.turn()
    assert chain.heard.count(("Kim", "safety.alert", "acknowledged")) == 1


async def test_nobody_coaches_somebody_who_was_sent_out(chain: Chain) -> None:
    ada, kim, live = await a_class(chain)
    async with chain.transactions() as stores:
        assert await stores.leading.remove(live.id, ada.account_id, kim.account_id, utc(chain.clock.wall_ms()))
    await chain.found(ada, live)
    await chain.pass_time(15)
    assert chain.heard[-1] == ("Ada", "safety.prompt", "closed")


async def test_the_coaches_learn_that_somebody_is_all_right_after_all(chain: Chain) -> None:
    ada, _, live = await a_class(chain)
    incident = sure(await chain.found(ada, live))
    await chain.pass_time(20)
    assert (await chain.safety.cancel(ada, incident.id)).state == "closed"
    await chain.turn()
    assert chain.heard[-1] == ("Kim", "safety.alert", "closed")


async def test_alone_with_nobody_to_be_told_the_question_is_all_there_is(chain: Chain) -> None:
    ada = await chain.person("Ada", watched=True)
    incident = sure(await chain.found(ada))
    await chain.pass_time(15)
    assert await chain.state(incident) == "closed"
    assert chain.heard[-1] == ("Ada", "safety.prompt", "closed")


async def test_a_coach_who_trains_along_is_not_their_own_coach(chain: Chain) -> None:
    kim = await chain.person("Kim", watched=True)
    live = await chain.live_class(kim)
    await chain.enter(live, kim)
    incident = sure(await chain.found(kim, live))
    await chain.pass_time(15)
    assert await chain.state(incident) == "closed"


# -- exactly one outcome ------------------------------------------------------------------------------------------


async def step_due(chain: Chain) -> Envelope:
    """The time of the first step has come, and its fact is on its way."""
    await chain.clock.advance(15)
    async with chain.transactions() as stores:
        await stores.schedule.tell(stores.outbox, utc(chain.clock.wall_ms()), 100)
    (due,) = [each for each in await chain.envelopes() if isinstance(each.fact, SafetyStepDue)]
    return due


@pytest.mark.parametrize("first", ["answer", "step", "both"])
async def test_an_answer_at_the_very_end_and_the_step_have_one_outcome(chain: Chain, first: str) -> None:
    ada, _, live = await a_class(chain)
    incident = sure(await chain.found(ada, live))
    due = await step_due(chain)
    answer, step = chain.safety.cancel(ada, incident.id), chain.deliver(due)
    if first == "both":
        await asyncio.gather(answer, step)
    else:
        for what in (answer, step) if first == "answer" else (step, answer):
            await what
    await chain.turn()
    state = await chain.state(incident)
    alerts = [told for told in chain.heard if told[1] == "safety.alert"]
    # Cancelled, and no coach has heard of anything; or they were told, and then that all is well.
    assert (state, bool(alerts)) in {("cancelled", False), ("closed", True)}
    if first != "both":
        assert state == {"answer": "cancelled", "step": "closed"}[first]
    assert await chain.waiting() == 0


async def killed_in_the_middle(chain: Chain, due: Envelope) -> None:
    """A worker takes a step, and for the database it is dead before it has committed."""
    async with chain.transactions() as stores:
        await SafetyChain(chain.clock, chain._say).handle(stores, due.fact)
        own = await stores.tx.fetchval("SELECT pg_backend_pid()")
        async with chain.database.connection() as other:
            await other.execute("SELECT pg_terminate_backend($1, 5000)", own)
        await stores.tx.execute("SELECT 1")


async def test_a_worker_that_is_killed_in_the_middle_of_a_step_has_done_nothing_and_the_next_does_it_once(
    chain: Chain,
) -> None:
    ada, _, live = await a_class(chain)
    incident = sure(await chain.found(ada, live))
    due = await step_due(chain)
    with pytest.raises(Unavailable):
        await killed_in_the_middle(chain, due)
    assert await chain.state(incident) == "prompted"
    assert [told for told in chain.heard if told[1] == "safety.alert"] == []
    await chain.turn()
    assert await chain.state(incident) == "coach_told"
    assert [told for told in chain.heard if told[1] == "safety.alert"] == [("Kim", "safety.alert", "coach_told")]


async def test_a_step_that_was_planned_for_what_is_past_does_nothing(chain: Chain) -> None:
    """Each fact of the story once more, as facts of their own, so that no inbox knows them."""
    ada, kim, live = await a_class(chain)
    incident = sure(await chain.found(ada, live))
    await chain.pass_time(15)
    await chain.safety.acknowledge(kim, incident.id)
    await chain.turn()
    for envelope in await chain.envelopes():
        if isinstance(envelope.fact, SafetyStepDue):
            await chain.deliver(msgspec.structs.replace(envelope, id=FactId(chain.ids.next())))
    assert await chain.state(incident) == "acknowledged"


async def test_two_nodes_that_find_something_at_once_ask_once(chain: Chain) -> None:
    ada = await chain.person("Ada", watched=True)
    found = await asyncio.gather(*(chain.found(ada, kind=kind) for kind in ("over_limit", "rate_fell")))
    assert [incident is None for incident in found].count(True) == 1


# -- who is asked at all ------------------------------------------------------------------------------------------


async def test_who_has_not_turned_it_on_is_asked_nothing(chain: Chain) -> None:
    ada = await chain.person("Ada")
    assert await chain.found(ada) is None
    await chain.safety.choose(ada, Chosen(on=True))
    await chain.safety.choose(ada, Chosen(on=False))
    assert await chain.found(ada) is None


async def test_after_an_answer_the_same_is_not_asked_for_five_minutes_and_something_else_is(chain: Chain) -> None:
    ada = await chain.person("Ada", watched=True)
    await chain.safety.cancel(ada, sure(await chain.found(ada)).id)
    assert await chain.found(ada) is None
    await chain.safety.cancel(ada, sure(await chain.found(ada, kind="rate_fell")).id)
    await chain.pass_time(PAUSE_MS / 1_000)
    assert await chain.found(ada) is not None


async def test_silence_is_no_sign_of_somebody_who_is_heard_on_another_stream_or_has_finished(chain: Chain) -> None:
    ada = await chain.person("Ada", watched=True)
    _, silent = await chain.workout(ada)
    await chain.clock.advance(30)
    _, other = await chain.workout(ada)
    await chain.write(other, 0, steady(3, 170))
    assert await chain.found(ada, kind="signal_lost", stream=silent) is None
    await chain.clock.advance(40)
    async with chain.transactions() as stores:
        await stores.streams.finish(silent, 1, utc(chain.clock.wall_ms()))
    assert await chain.found(ada, kind="signal_lost", stream=silent) is None
    assert await chain.found(ada, kind="signal_lost", stream=other) is not None


async def test_a_sensor_that_goes_on_without_contact_is_not_heard(chain: Chain) -> None:
    ada = await chain.person("Ada", watched=True)
    _, stream = await chain.workout(ada)
    await chain.clock.advance(30)
    await chain.write(stream, 0, steady(3, None))
    assert await chain.found(ada, kind="signal_lost", stream=stream) is not None


async def test_what_is_not_ones_own_cannot_be_cancelled_or_taken_on(chain: Chain) -> None:
    ada, kim, live = await a_class(chain)
    stranger = await chain.person("Eve")
    incident = sure(await chain.found(ada, live))
    with pytest.raises(NotFound):
        await chain.safety.acknowledge(kim, incident.id)  # not told yet
    await chain.pass_time(15)
    for refused in (
        chain.safety.cancel(stranger, incident.id),
        chain.safety.cancel(kim, incident.id),
        chain.safety.acknowledge(stranger, incident.id),
        chain.safety.acknowledge(ada, incident.id),
        chain.safety.cancel(ada, IncidentId(chain.ids.next())),
    ):
        with pytest.raises(NotFound):
            await refused
    await chain.safety.cancel(ada, incident.id)
    with pytest.raises(IncidentOver):
        await chain.safety.acknowledge(kim, incident.id)


async def test_a_display_has_no_choice(chain: Chain) -> None:
    ada, _, live = await a_class(chain)
    display = msgspec.structs.replace(ada, class_id=live.id, roles=frozenset({"display"}))
    with pytest.raises(Forbidden):
        await chain.safety.now(display)


async def test_how_it_stands_says_the_limit_and_where_it_comes_from(chain: Chain) -> None:
    ada = await chain.person("Ada")
    now = await chain.safety.now(ada)
    assert (now.chosen, now.limit.source, now.incident) == (Chosen(), "guessed_maximum", None)
    now = await chain.safety.choose(ada, Chosen(on=True, limit_bpm=165))
    assert (now.chosen.on, now.limit.bpm, now.limit.source) == (True, 165, "own")
    incident = sure(await chain.found(ada))
    assert (await chain.safety.now(ada)).incident == incident
    await chain.safety.cancel(ada, incident.id)
    assert (await chain.safety.now(ada)).incident is None


async def test_incidents_are_forgotten_once_they_are_old_and_over(chain: Chain) -> None:
    ada, eve = await chain.person("Ada", watched=True), await chain.person("Eve", watched=True)
    over, still = sure(await chain.found(ada)), sure(await chain.found(eve))
    await chain.safety.cancel(ada, over.id)
    later = utc(chain.clock.wall_ms() + COACH_MS)
    async with chain.transactions() as stores:
        assert await stores.safety.prune(later, 10) == 1
        assert await stores.safety.by_id(over.id) is None
        assert await stores.safety.by_id(still.id) == still


async def test_other_facts_are_none_of_its_business(chain: Chain) -> None:
    fact = WorkoutSummarised(WorkoutId(chain.ids.next()), AccountId(chain.ids.next()))
    async with chain.transactions() as stores:
        with pytest.raises(Unprocessable):
            await SafetyChain(chain.clock, chain._say).handle(stores, fact)
        gone = SafetyIncidentMoved(IncidentId(chain.ids.next()), AccountId(chain.ids.next()))
        await SafetyChain(chain.clock, chain._say).handle(stores, gone)
    assert chain.heard == []
