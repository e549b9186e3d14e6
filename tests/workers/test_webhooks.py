"""Webhooks end to end below HTTP: a fact, a real database, a real call, a receiver that verifies, and one that misbehaves."""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Final, cast

import pytest

from persistence.database import Database
from persistence.stores import Stores
from services.integrations.delivery import KEPT_DAYS
from services.integrations.endpoint import Standing
from services.integrations.retrying import ATTEMPTS, DELAYS_S
from services.integrations.webhooks import Made
from services.kernel import trace
from services.kernel.caller import Caller
from services.kernel.facts import ClassEnded, ClassSummarised, WebhookPaused, WorkoutSummarised
from services.kernel.ids import WorkoutId
from services.kernel.problems import NotFound, UrlRefused
from services.kernel.trace import TraceContext
from services.schedule.jobs import Tick
from services.training.workouts import summarise
from tests.support.audited import no_audit
from tests.support.hostile import Act, HostileServer, Request, answers, open_hostile, resets, says, silence
from tests.support.notified import notifying
from tests.support.webhooks import HookBench, NotOurs, ids_of, plain, verify
from tests.support.world import SEALS, World, steady
from workers.exporting import Exports
from workers.handlers import CLASS_SUMMARIES, table
from workers.jobs import jobs
from workers.outbound.client import open_outbound
from workers.outbound.egress import Egress
from workers.outbox_upkeep import OutboxUpkeep
from workers.push import Push
from workers.webhooks import WebhookSender

DAY_S: Final = 24 * 3_600


@pytest.fixture
def bench(database: Database) -> HookBench:
    """An empty world with webhooks."""
    return HookBench(database)


@pytest.fixture
async def owner(bench: HookBench) -> Caller:
    """Somebody."""
    return await bench.world.account("Ada")


async def workout(world: World, owner: Caller, seconds: int = 60) -> WorkoutId:
    """A workout with its summary."""
    workout_id, _ = await world.workout(owner, steady(seconds))
    async with world.transactions() as stores:
        await summarise(stores, workout_id)
    return workout_id


async def summarised(bench: HookBench, owner: Caller, seconds: int = 60) -> WorkoutId:
    """A workout whose summary is told."""
    workout_id = await workout(bench.world, owner, seconds)
    await bench.happen(WorkoutSummarised(workout_id=workout_id, account_id=owner.account_id))
    return workout_id


def calls(sender: WebhookSender, count: int) -> Callable[[], bool]:
    """Whether so many calls have ended and were written down."""
    return lambda: sum(sender.statistics.calls.values()) >= count and sender.statistics.running == 0


async def state_of(bench: HookBench, owner: Caller, made: Made) -> list[tuple[str, int, int | None]]:
    """State, attempts and last status of an endpoint's deliveries, newest first."""
    found = await bench.deliveries(owner, made.endpoint.id)
    return [(each.state, each.attempts, each.last_status) for each in found]


# -- what is told ------------------------------------------------------------------------------------------------


async def test_a_summarised_workout_reaches_its_owners_endpoint_signed(bench: HookBench, owner: Caller) -> None:
    async with open_hostile(answers(204)) as server, bench.sending() as sender:
        made = await bench.endpoint(owner, server.url())
        workout_id = await summarised(bench, owner)
        await bench.until(calls(sender, 1))
        (request,) = server.requests
        body = plain(verify(made.secret, request, bench.clock.wall_ms() / 1_000))
        (delivery,) = await bench.deliveries(owner, made.endpoint.id)
    assert (request.method, request.headers["content-type"]) == ("POST", "application/json")
    assert request.headers["webhook-id"] == str(delivery.id)
    assert body["type"] == "workout.summarised"
    data = body["data"]
    assert isinstance(data, dict)
    assert (data["workout"]["id"], data["samples"]) == (str(workout_id), None)
    assert (delivery.state, delivery.attempts, delivery.last_status) == ("delivered", 1, 204)
    assert delivery.subject == f"{workout_id}/1"


async def test_samples_travel_only_with_the_scope(bench: HookBench, owner: Caller) -> None:
    without = await bench.endpoint(owner)
    with_scope = await bench.endpoint(owner, scopes=("samples",))
    await summarised(bench, owner, 1_200)
    told = []
    for made in (without, with_scope):
        (delivery,) = await bench.deliveries(owner, made.endpoint.id)
        data = plain((await bench.look(owner, made.endpoint.id, delivery.id)).body)["data"]
        assert isinstance(data, dict)
        told.append(data["samples"])
    assert told == [None, [[second * 1_000, 150, [], None] for second in range(1_200)]]


async def test_more_samples_than_may_travel_are_behind_a_link_that_dies_with_the_scope(
    bench: HookBench, owner: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.integrations.events.MAX_SAMPLES", 1_000)
    made = await bench.endpoint(owner, scopes=("samples",))
    await summarised(bench, owner, 1_001)
    (delivery,) = await bench.deliveries(owner, made.endpoint.id)
    data = plain((await bench.look(owner, made.endpoint.id, delivery.id)).body)["data"]
    assert isinstance(data, dict)
    assert data["samples"] is None
    link = str(data["samples_path"]).removeprefix("/v1/webhook-samples/")
    page = await bench.cases.samples(link, 0, 600)
    rest = await bench.cases.samples(link, 600, 600)
    assert [*page, *rest] == steady(1_001)
    assert await bench.cases.samples(link, 1_001, 600) == ()
    with pytest.raises(NotFound):
        await bench.cases.samples(link[:-1] + ("A" if link[-1] != "A" else "B"), 0, 1)
    change = {"url": None, "wants": None, "description": None}
    await bench.cases.change(owner, made.endpoint.id, scopes=(), **change)
    with pytest.raises(NotFound):
        await bench.cases.samples(link, 0, 1)
    await bench.cases.change(owner, made.endpoint.id, scopes=("samples",), **change)
    assert len(await bench.cases.samples(link, 0, 1)) == 1
    await bench.clock.advance((KEPT_DAYS + 1) * DAY_S)
    with pytest.raises(NotFound):
        await bench.cases.samples(link, 0, 1)


async def test_a_class_is_told_to_its_coach_alone_and_names_only_with_the_scope(bench: HookBench) -> None:
    world = bench.world
    coach, other, ada = (
        await world.account("Cleo", "member", "coach"),
        await world.account("Odo", "member", "coach"),
        await world.account("Ada"),
    )
    wants = ("class.ended", "class.summarised")
    plainly = await bench.endpoint(coach, "http://127.0.0.1:9/", *wants)
    by_name = await bench.endpoint(coach, "http://127.0.0.1:9/", *wants, scopes=("names",))
    elsewhere = await bench.endpoint(other, "http://127.0.0.1:9/", *wants, scopes=("names",))
    live = await world.live_class(coach)
    await world.enter(live, ada)
    await world.workout(ada, steady(60), live=live, zone_ms=(0, 0, 0, 60_000, 0, 0))
    await bench.happen(ClassEnded(class_id=live.id))  # it is live: nothing is told yet
    await world.end(live)
    rows = {
        row.queue.name: row
        for row in table(world.clock, cast(Push, _Nobody()), notifying(world), world.webhook_facts())
    }
    async with world.transactions() as stores:
        await rows[CLASS_SUMMARIES.name].handler(stores, ClassEnded(class_id=live.id))
    for _ in range(2):  # a fact that is handled again tells nothing anew
        await bench.happen(ClassEnded(class_id=live.id))
        await bench.happen(ClassSummarised(class_id=live.id))
    names = []
    for made in (plainly, by_name):
        summary, ended = await bench.deliveries(coach, made.endpoint.id)
        assert (summary.event, ended.event) == ("class.summarised", "class.ended")
        data = plain((await bench.look(coach, made.endpoint.id, summary.id)).body)["data"]
        assert isinstance(data, dict)
        names.append([line["name"] for line in data["standings"]])
    assert names == [[None], ["Ada"]]
    assert await bench.deliveries(other, elsewhere.endpoint.id) == []


class _Nobody:
    """Nobody is connected, and nobody is told anything."""

    def __getattr__(self, name: str) -> Callable[..., object]:
        def told(*_: object) -> object:
            raise AssertionError(name)

        return told


async def test_a_workout_is_told_to_nobody_but_its_owner(bench: HookBench, owner: Caller) -> None:
    stranger = await bench.world.account("Eve")
    theirs = await bench.endpoint(stranger, scopes=("samples",))
    uninterested = await bench.endpoint(
        await bench.world.account("Cleo", "member", "coach"), "http://127.0.0.1:9/", "class.ended"
    )
    await summarised(bench, owner)
    assert await bench.deliveries(stranger, theirs.endpoint.id) == []
    with pytest.raises(NotFound):
        await bench.deliveries(stranger, uninterested.endpoint.id)


# -- what receivers do -------------------------------------------------------------------------------------------


async def test_what_is_not_taken_comes_again_with_the_same_id_and_body_for_three_days_and_then_the_endpoint_is_dead(
    bench: HookBench, owner: Caller
) -> None:
    async with open_hostile(answers(500, b"broken \xff\x00 here")) as server, bench.sending() as sender:
        made = await bench.endpoint(owner, server.url())
        await summarised(bench, owner)
        began_ms = bench.clock.wall_ms()
        for attempt in range(1, ATTEMPTS + 1):
            await bench.until(calls(sender, attempt))
            if attempt < ATTEMPTS:
                await bench.clock.advance(DELAYS_S[attempt - 1])
        assert len(set(ids_of(server.requests))) == len({request.body for request in server.requests}) == 1
        # Each attempt is signed anew: a receiver that checks the time takes the last one, too.
        verify(made.secret, server.requests[-1], bench.clock.wall_ms() / 1_000)
        with pytest.raises(NotOurs, match="too old"):
            verify(made.secret, server.requests[0], bench.clock.wall_ms() / 1_000)
        assert bench.clock.wall_ms() - began_ms > 3 * DAY_S * 1_000
        (delivery,) = await bench.deliveries(owner, made.endpoint.id)
        looked = await bench.look(owner, made.endpoint.id, delivery.id)
        found = await bench.now(owner, made.endpoint.id)
    assert (delivery.state, delivery.attempts, delivery.due_at_ms) == ("failed", ATTEMPTS, None)
    assert [each.n for each in looked.attempts] == list(range(1, ATTEMPTS + 1))
    assert {(each.result, each.status, each.detail) for each in looked.attempts} == {
        ("answered", 500, "broken �� here")
    }
    assert (found.standing.state, found.standing.paused_reason) == ("paused", "dead")
    told = [fact for fact in await bench.world.told() if isinstance(fact, WebhookPaused)]
    assert told == [WebhookPaused(account_id=owner.account_id, endpoint_id=made.endpoint.id, reason="dead")]
    assert (sender.statistics.given_up, sender.statistics.paused) == (1, 1)


@pytest.mark.parametrize(
    ("act", "result", "status", "detail"),
    [
        (answers(404, b"no"), "answered", 404, "no"),
        (answers(302, b"", "Location: http://127.0.0.1:9/latest/meta-data"), "answered", 302, ""),
        (answers(503, b"x" * 5_000), "answered", 503, "x" * 1_000),
        (resets, "unanswered", None, "the connection was closed before the answer"),
        (says(b"220 mail.example ESMTP\r\n"), "unanswered", None, "what came back is not HTTP"),
    ],
    ids=["refused", "sent elsewhere", "a huge answer", "reset", "not HTTP"],
)
async def test_however_a_receiver_fails_the_delivery_waits_and_says_why(
    bench: HookBench, owner: Caller, act: Act, result: str, status: int | None, detail: str
) -> None:
    async with open_hostile(act) as server, bench.sending() as sender:
        made = await bench.endpoint(owner, server.url())
        await summarised(bench, owner)
        await bench.until(calls(sender, 1))
        assert (await state_of(bench, owner, made))[0] == ("pending", 1, status)
        (delivery,) = await bench.deliveries(owner, made.endpoint.id)
        (attempt,) = (await bench.look(owner, made.endpoint.id, delivery.id)).attempts
        assert (attempt.result, attempt.status, attempt.detail) == (result, status, detail)
        # And it recovers by itself.
        server.act = answers(200)
        await bench.clock.advance(DELAYS_S[0])
        await bench.until(calls(sender, 2))
        assert await state_of(bench, owner, made) == [("delivered", 2, 200)]
        assert (await bench.now(owner, made.endpoint.id)).standing == Standing()


async def test_a_receiver_that_is_silent_is_left_after_fifteen_seconds(bench: HookBench, owner: Caller) -> None:
    async with open_hostile(silence) as server, bench.sending() as sender:
        made = await bench.endpoint(owner, server.url())
        await summarised(bench, owner)
        await bench.until(lambda: server.requests)
        await bench.clock.advance(16)
        await bench.until(calls(sender, 1))
        (delivery,) = await bench.deliveries(owner, made.endpoint.id)
        (attempt,) = (await bench.look(owner, made.endpoint.id, delivery.id)).attempts
    assert (attempt.result, attempt.detail) == ("unanswered", "no answer within 15 s")
    assert attempt.took_ms >= 15_000


async def test_a_status_counts_even_when_the_body_drips(bench: HookBench, owner: Caller) -> None:
    async def drip(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok")
        await writer.drain()
        await silence(request, writer)

    async with open_hostile(drip) as server, bench.sending() as sender:
        made = await bench.endpoint(owner, server.url())
        await summarised(bench, owner)
        await bench.until(lambda: server.requests)
        await bench.until(calls(sender, 1))
        assert await state_of(bench, owner, made) == [("delivered", 1, 200)]


async def test_one_that_says_too_many_is_asked_when_it_wants_and_nothing_is_held_against_it(
    bench: HookBench, owner: Caller
) -> None:
    async with open_hostile(answers(429, b"", "Retry-After: 120")) as server, bench.sending() as sender:
        made = await bench.endpoint(owner, server.url())
        await summarised(bench, owner)
        await bench.until(calls(sender, 1))
        assert (await bench.now(owner, made.endpoint.id)).standing == Standing()
        server.act = answers(200)
        # Something new does not disturb its rest either.
        await summarised(bench, owner)
        await bench.clock.advance(100)
        await bench.until(lambda: not sender.statistics.running)
        assert len(server.requests) == 1
        await bench.clock.advance(30)
        await bench.until(calls(sender, 3))
    assert await state_of(bench, owner, made) == [("delivered", 1, 200), ("delivered", 2, 200)]


async def test_one_that_says_gone_is_paused_at_once_and_resumed_by_its_owner_with_what_waited(
    bench: HookBench, owner: Caller
) -> None:
    async with open_hostile(answers(410)) as server, bench.sending() as sender:
        made = await bench.endpoint(owner, server.url())
        await summarised(bench, owner)
        await bench.until(calls(sender, 1))
        found = await bench.now(owner, made.endpoint.id)
        assert (found.standing.state, found.standing.paused_reason) == ("paused", "gone")
        told = [fact for fact in await bench.world.told() if isinstance(fact, WebhookPaused)]
        assert [fact.reason for fact in told] == ["gone"]
        await summarised(bench, owner)
        await bench.clock.advance(10 * DAY_S)
        assert len(server.requests) == 1
        server.act = answers(200)
        await bench.cases.resume(owner, made.endpoint.id)
        await bench.until(calls(sender, 3))
    assert await state_of(bench, owner, made) == [("delivered", 1, 200), ("delivered", 2, 200)]


# -- whom we call ------------------------------------------------------------------------------------------------


async def test_an_address_of_the_house_is_refused_when_it_is_written_down(database: Database) -> None:
    bench = HookBench(database, Egress())
    owner = await bench.world.account()
    for url in ("http://example.org/", "https://127.0.0.1/", "https://169.254.169.254/", "https://[::ffff:10.0.0.1]/"):
        with pytest.raises(UrlRefused):
            await bench.endpoint(owner, url)


async def test_a_name_that_leads_inside_is_refused_at_each_call(database: Database) -> None:
    bench = HookBench(database, Egress())
    owner = await bench.world.account()

    async def look_up(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    made = await bench.endpoint(owner, "https://hook.example.org:9443/")
    await summarised(bench, owner)
    async with open_outbound(bench.clock, Egress(), look_up=look_up) as outbound:
        sender = WebhookSender(bench.world.transactions, outbound, SEALS, bench.clock)
        loop = asyncio.create_task(sender.run())
        await bench.until(calls(sender, 1))
        sender.stop()
        await bench.until(loop.done)
    (delivery,) = await bench.deliveries(owner, made.endpoint.id)
    (attempt,) = (await bench.look(owner, made.endpoint.id, delivery.id)).attempts
    assert (attempt.result, attempt.status) == ("blocked", None)
    assert "not public" in attempt.detail


# -- who waits for whom ------------------------------------------------------------------------------------------


async def test_slow_endpoints_do_not_hold_up_the_others(bench: HookBench) -> None:
    """Three endpoints that never answer have events waiting, and a worker has four slots."""
    async with AsyncExitStack() as stack:
        slow: list[HostileServer] = [await stack.enter_async_context(open_hostile(silence)) for _ in range(3)]
        quick = await stack.enter_async_context(open_hostile(answers(200)))
        sluggish, fine = await bench.world.account("Slow"), await bench.world.account("Fine")
        for server in slow:
            await bench.endpoint(sluggish, server.url())
        made = await bench.endpoint(fine, quick.url(host="[::ffff:127.0.0.1]"))
        for _ in range(3):
            await summarised(bench, sluggish)
        for _ in range(5):
            await summarised(bench, fine)
        sender = await stack.enter_async_context(bench.sending(slots=4))
        before_ms = bench.clock.wall_ms()
        await bench.until(lambda: len(quick.requests) == 5)
        assert bench.clock.wall_ms() - before_ms < 15_000
        assert sender.statistics.running <= 4
        assert all(len(server.requests) == 1 for server in slow)
        assert [state for state, _, _ in await state_of(bench, fine, made)].count("delivered") >= 4


async def test_an_endpoint_has_one_call_at_a_time_even_with_several_workers(bench: HookBench, owner: Caller) -> None:
    at_once, most = 0, 0

    async def count(request: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        await answers(200)(request, writer)
        at_once -= 1

    async with open_hostile(count) as server, bench.sending() as one, bench.sending() as other:
        made = await bench.endpoint(owner, server.url())
        for _ in range(12):
            await summarised(bench, owner)
        await bench.until(lambda: calls(one, 0)() and calls(other, 0)() and len(server.requests) >= 12)
        await bench.until(lambda: _all_delivered(bench, owner, made))
    assert most == 1
    assert len(set(ids_of(server.requests))) == len(server.requests) == 12


async def _all_delivered(bench: HookBench, owner: Caller, made: Made) -> bool:
    return {state for state, _, _ in await state_of(bench, owner, made)} == {"delivered"}


# -- at least once -----------------------------------------------------------------------------------------------


async def test_a_worker_that_dies_between_the_call_and_its_commit_has_the_call_repeated_under_the_same_id(
    bench: HookBench, owner: Caller
) -> None:
    async with open_hostile(answers(200)) as server:
        made = await bench.endpoint(owner, server.url())
        await summarised(bench, owner)
        broken = _DiesAfterTheCall(bench)
        async with open_outbound(bench.clock, bench.egress) as outbound:
            dying = WebhookSender(broken, outbound, SEALS, bench.clock)
            loop = asyncio.create_task(dying.run())
            await bench.until(lambda: broken.died)
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)
        assert len(server.requests) == 1
        assert await state_of(bench, owner, made) == [("pending", 1, None)]
        async with bench.sending() as sender:
            assert len(server.requests) == 1, "its lease has not run out yet"
            await bench.clock.advance(46)
            await bench.until(calls(sender, 1))
        first, second = server.requests
        assert ids_of([first]) == ids_of([second])
        assert first.body == second.body
        for request in (first, second):
            verify(made.secret, request, bench.clock.wall_ms() / 1_000)
        assert await state_of(bench, owner, made) == [("delivered", 2, 200)]


class _DiesAfterTheCall:
    """Transactions of a worker that is killed before it can write down how a call ended."""

    def __init__(self, bench: HookBench) -> None:
        self._bench = bench
        self.died = False

    def __call__(self) -> AbstractAsyncContextManager[Stores]:
        task = asyncio.current_task()
        assert task is not None
        if task.get_name().startswith("webhook "):  # the task of a call asks for one only to write down its end
            self.died = True
            raise ConnectionResetError("killed")
        return self._bench.world.transactions()


async def test_rotating_in_the_middle_of_traffic_loses_no_verification(bench: HookBench, owner: Caller) -> None:
    """A receiver that knows the old secret until it is given the new one, in the middle of twenty calls."""
    async with open_hostile(answers(200)) as server, bench.sending() as sender:
        made = await bench.endpoint(owner, server.url())
        known, verified = made.secret, 0

        async def check(request: Request, writer: asyncio.StreamWriter) -> None:
            nonlocal verified
            verify(known, request, bench.clock.wall_ms() / 1_000)
            verified += 1
            await answers(200)(request, writer)

        server.act = check
        workout_id = await workout(bench.world, owner)
        for number in range(20):
            async with bench.world.transactions() as stores:
                await summarise(stores, workout_id)
            await bench.happen(WorkoutSummarised(workout_id=workout_id, account_id=owner.account_id))
            await bench.until(calls(sender, number + 1))
            if number == 5:
                rotated = await bench.cases.rotate(owner, made.endpoint.id, 3_600)
            if number == 12:
                known = rotated.secret
        assert verified == 20
        # After the overlap the old secret signs nothing any more.
        await bench.clock.advance(3_601)
        await summarised(bench, owner)
        await bench.until(calls(sender, 21))
        assert verified == 21
        with pytest.raises(NotOurs, match="somebody else"):
            verify(made.secret, server.requests[-1], bench.clock.wall_ms() / 1_000)


async def test_a_replay_sends_the_same_again_and_a_receiver_can_tell(bench: HookBench, owner: Caller) -> None:
    async with open_hostile(answers(200)) as server, bench.sending() as sender:
        made = await bench.endpoint(owner, server.url())
        await summarised(bench, owner)
        await bench.until(calls(sender, 1))
        (delivery,) = await bench.deliveries(owner, made.endpoint.id)
        await bench.clock.advance(DAY_S)
        await bench.cases.replay(owner, made.endpoint.id, delivery.id)
        await bench.until(calls(sender, 2))
        looked = await bench.look(owner, made.endpoint.id, delivery.id)
    first, second = server.requests
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    verify(made.secret, second, bench.clock.wall_ms() / 1_000)
    assert (looked.delivery.state, looked.delivery.attempts) == ("delivered", 1)
    assert [each.n for each in looked.attempts] == [1, 2]


async def test_a_secret_that_this_worker_cannot_open_calls_nobody_and_says_so(bench: HookBench, owner: Caller) -> None:
    async with open_hostile(answers(200)) as server, bench.sending() as sender:
        made = await bench.endpoint(owner, server.url())
        async with bench.world.transactions() as stores:
            await stores.tx.execute(
                "UPDATE webhook_secrets SET sealed = $1", SEALS.seal("whsec_x", b"another endpoint")
            )
        await summarised(bench, owner)
        await bench.until(calls(sender, 1))
        (delivery,) = await bench.deliveries(owner, made.endpoint.id)
        (attempt,) = (await bench.look(owner, made.endpoint.id, delivery.id)).attempts
    assert server.requests == []
    assert attempt.result == "not_reached"
    assert "rotate it" in attempt.detail


async def test_a_call_belongs_to_the_trace_of_its_fact_and_the_receiver_is_not_told(
    bench: HookBench, owner: Caller
) -> None:
    recorder = _Recorder()
    trace.use(recorder)
    try:
        async with open_hostile(answers(202)) as server, bench.sending() as sender:
            await bench.endpoint(owner, server.url())
            with trace.span("process webhooks") as handled:
                await summarised(bench, owner)
            await bench.until(calls(sender, 1))
    finally:
        trace.use(trace.Passing())
    (call,) = [begun for begun in recorder.begun if begun.name == "call webhook"]
    assert call.parent == handled.context
    assert call.attributes == {"paceline.attempt": 1, "paceline.result": "answered", "http.response.status_code": 202}
    assert not {"traceparent", "tracestate", "baggage"} & set(server.requests[0].headers)


class _Begun:
    """A span that remembers."""

    def __init__(self, name: str, parent: TraceContext | None, attributes: dict[str, trace.Attribute]) -> None:
        self.name, self.parent, self.attributes = name, parent, attributes
        self.context = TraceContext(secrets.token_hex(16), secrets.token_hex(8), sampled=True)

    def note(self, **attributes: trace.Attribute) -> None:
        self.attributes |= attributes

    def end(self, fault: BaseException | None) -> None:
        assert fault is None


class _Recorder:
    """Remembers every span."""

    def __init__(self) -> None:
        self.begun: list[_Begun] = []

    def begin(
        self, name: str, kind: trace.Kind, parent: TraceContext | None, attributes: dict[str, trace.Attribute]
    ) -> _Begun:
        self.begun.append(_Begun(name, parent, attributes))
        return self.begun[-1]


async def test_a_sender_outlasts_a_database_that_is_away(bench: HookBench, owner: Caller) -> None:
    failures = 3

    def transactions() -> AbstractAsyncContextManager[Stores]:
        nonlocal failures
        if failures:
            failures -= 1
            raise OSError("away")
        return bench.world.transactions()

    async with open_hostile(answers(200)) as server, open_outbound(bench.clock, bench.egress) as outbound:
        made = await bench.endpoint(owner, server.url())
        await summarised(bench, owner)
        sender = WebhookSender(transactions, outbound, SEALS, bench.clock)
        loop = asyncio.create_task(sender.run())
        await bench.until(calls(sender, 1))
        sender.stop()
        await bench.until(loop.done)
        await loop
    assert await state_of(bench, owner, made) == [("delivered", 1, 200)]


async def test_upkeep_is_on_the_schedule_and_forgets_what_is_over_thirty_days_old(
    bench: HookBench, owner: Caller
) -> None:
    made = await bench.endpoint(owner)
    await summarised(bench, owner)
    work = {
        job.name: job.work
        for job in jobs(bench.clock, bench.world.ids, OutboxUpkeep(bench.clock), Exports(Path()), no_audit(bench.world))
    }

    async def bite(job: str) -> int:
        async with bench.world.transactions() as stores:
            return await work[job](stores, Tick(job, bench.clock.wall_ms()))

    await bench.clock.advance(29 * DAY_S)
    assert await bite("prune-webhook-deliveries") == 0
    await bench.clock.advance(2 * DAY_S)
    assert await bite("prune-webhook-deliveries") == 1
    assert await bench.deliveries(owner, made.endpoint.id) == []
    await bench.cases.remove(owner, made.endpoint.id)
    assert await bite("sweep-removed-webhooks") == 1
    assert await bite("sweep-removed-webhooks") == 0
