"""Sending webhooks: the loop that takes turns, makes the calls, and writes down how they ended.

What is to be sent stands in the database (persistence/webhook_deliveries.py says how endpoints stand in line); the
handler that puts it there is a row of the table in handlers.py. This loop is woken by a notification and looks by itself
every `POLL_S`. Any number of workers may send at the same time.

**At least once.** The call is made between two transactions: one that takes the turn, one that ends it. A worker that dies
in between has called, perhaps, and somebody calls again when the lease has run out, with the same `webhook-id` and the
same body. Order is not promised: a delivery that is tried again is overtaken.

**Who waits for whom.** One endpoint has one call at a time. One host has `PER_HOST` from each process, all endpoints
together. Endpoints that fail may hold half of the `SLOTS`, so that those which work always find a free one.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog

from persistence.stores import Stores
from persistence.webhooks import CHANNEL
from services.integrations.delivery import KEPT_DAYS, Turn
from services.integrations.ports import JudgeUrl
from services.integrations.retrying import ATTEMPTS, wish_of
from services.integrations.settling import Called, settle
from services.integrations.signing import headers
from services.integrations.telling import Telling
from services.kernel import trace
from services.kernel.clock import Clock, pause, utc
from services.kernel.facts import AnyFact
from services.kernel.problems import UrlRefused
from services.kernel.sealing import CannotOpen, Seals
from services.schedule.jobs import Tick
from workers.outbound.client import Answered, Blocked, Limits, NotReached, Outbound, Outcome, Unanswered
from workers.outbound.egress import Egress, EgressRefused
from workers.retry import Unprocessable
from workers.wakeups import Wakeups, woken_by
from workers.wall_watch import WallWatch

SLOTS: Final = 50
"""Calls of this process at the same time."""
PER_HOST: Final = 8
POLL_S: Final = 1.0
"""How often the line is looked at without having been woken; also how late a retry may be."""
RETRY_S: Final = 2.0
"""Between two looks while the database is away."""
LIMITS: Final = Limits(connect_s=5.0, total_s=15.0, max_body=1_000)
"""Fifteen seconds, as Standard Webhooks recommends; of an answer only its status counts."""
LEASE_S: Final = 45.0
"""How long a turn is left to a worker: the longest call, and thrice the longest wait for a connection to the database."""

Transactions = Callable[[], AbstractAsyncContextManager[Stores]]

log = structlog.get_logger(__name__)


def judging(egress: Egress) -> JudgeUrl:
    """How an address is judged when somebody writes it down: by its text, without asking anybody what the name means."""

    def judge(url: str) -> str:
        try:
            return egress.judge_url(url).host
        except EgressRefused as refused:
            raise UrlRefused(str(refused), path="$.url") from refused

    return judge


class WebhookFacts:
    """The handler of the queue `webhooks`: makes the deliveries of a fact."""

    def __init__(self, telling: Telling) -> None:
        self._telling: Final = telling

    async def tell(self, stores: Stores, fact: AnyFact) -> None:
        """Something happened: put it into the line of every endpoint that wants it."""
        if await self._telling.tell(stores, fact) is None:
            raise Unprocessable(f"no webhook is about {type(fact).__name__}")


@dataclass(slots=True)
class WebhookStatistics:
    """Calls of this process that run now, and ended ones by result and status ("answered 200", "not_reached"); deliveries
    that were given up, endpoints that were paused, turns that were lost to another worker; how many endpoints were due for
    a turn at the last look, and for how long the first of them."""

    running: int = 0
    calls: dict[str, int] = field(default_factory=dict)
    call_seconds: float = 0.0
    given_up: int = 0
    paused: int = 0
    lost: int = 0
    waiting: int = 0
    oldest_s: float = 0.0


class WebhookSender:
    """Sends until it is stopped."""

    def __init__(
        self,
        transactions: Transactions,
        outbound: Outbound,
        seals: Seals,
        clock: Clock,
        wakeups: Wakeups | None = None,
        *,
        slots: int = SLOTS,
        per_host: int = PER_HOST,
        poll_s: float = POLL_S,
        luck: Callable[[], float] = random.random,
        wall: WallWatch | None = None,
    ) -> None:
        """`wall` says when no turn may be taken because this machine's clock is wrong; None: that is not looked at."""
        self._transactions: Final = transactions
        self._outbound: Final = outbound
        self._seals: Final = seals
        self._clock: Final = clock
        self._wakeups: Final = wakeups
        self._slots: Final = slots
        self._per_host: Final = per_host
        self._poll_s: Final = poll_s
        self._luck: Final = luck
        self._wall: Final = wall
        self._stopping: Final = asyncio.Event()
        self._running: Final[set[Turn]] = set()
        self.statistics: Final = WebhookStatistics()

    async def run(self) -> None:
        """Send until `stop`, outlasting every fault of the database and of everybody who is called."""
        with woken_by(self._wakeups, CHANNEL) as woken:
            await self._run(woken)

    def stop(self) -> None:
        """Finish the calls at hand and return from `run`. May be called again."""
        self._stopping.set()

    async def _run(self, woken: asyncio.Event) -> None:
        """Take as many turns as slots are free; the group waits for the calls that run when the loop ends."""
        async with asyncio.TaskGroup() as group:
            while not self._stopping.is_set():
                woken.clear()
                try:
                    turns = await self._take()
                except Exception:
                    # Whatever it was, this loop must outlast it: nobody else would look at the line.
                    log.exception("webhooks.take_failed", again_in_s=RETRY_S)
                    await pause(self._clock, RETRY_S, self._stopping)
                    continue
                for turn in turns:
                    self._running.add(turn)
                    group.create_task(self._play(turn, woken), name=f"webhook {turn.delivery_id}")
                if not turns:
                    await pause(self._clock, self._poll_s, woken, self._stopping)

    async def _take(self) -> list[Turn]:
        free = self._slots - len(self._running)
        if free <= 0:
            return []
        now = utc(self._clock.wall_ms())
        hosts = Counter(turn.host for turn in self._running)
        failing = sum(turn.failing for turn in self._running)
        async with self._transactions() as stores:
            if self._wall is not None and not await self._wall.agrees(stores.tx):
                return []
            turns = await stores.webhook_deliveries.take_turns(
                now,
                now + timedelta(seconds=LEASE_S),
                limit=free,
                failing_limit=max(self._slots // 2 - failing, 0),
                room={host: self._per_host - calls for host, calls in hosts.items()},
                per_host=self._per_host,
            )
            if not turns:
                waiting = await stores.webhook_deliveries.waiting(now)
                self.statistics.waiting, self.statistics.oldest_s = waiting
        return turns

    async def _play(self, turn: Turn, woken: asyncio.Event) -> None:
        """One turn, from the call to the commit of its end. Its place in a trace is ours alone: the receiver is not told."""
        self.statistics.running += 1
        try:
            parent = trace.parse(turn.traceparent)
            with trace.span("call webhook", "client", parent=parent, **{"paceline.attempt": turn.attempt}) as span:
                called = await self._called(turn)
                span.note(**{"paceline.result": called.result})
                if called.status is not None:
                    span.note(**{"http.response.status_code": called.status})
                await self._settle(turn, called)
        except Exception:
            # Neither delivered nor put back: the lease will run out, and somebody will call again.
            log.exception("webhooks.left_to_its_lease", endpoint=str(turn.endpoint_id), delivery=str(turn.delivery_id))
        finally:
            self.statistics.running -= 1
            self._running.discard(turn)
            woken.set()

    async def _called(self, turn: Turn) -> Called:
        began_ms = self._clock.wall_ms()
        if turn.attempt > ATTEMPTS:
            detail = f"begun {turn.attempt - 1} times, and its worker died each time"
            return Called("unanswered", None, detail, began_ms, began_ms)
        began = self._clock.monotonic()
        outcome = await self._call(turn, began_ms // 1_000)
        ended_ms = self._clock.wall_ms()
        self.statistics.call_seconds += self._clock.monotonic() - began
        return _called(outcome, began_ms, ended_ms)

    async def _call(self, turn: Turn, timestamp_s: int) -> Outcome:
        try:
            secrets = [self._seals.open(sealed, turn.endpoint_id.bytes) for sealed in turn.sealed]
        except CannotOpen as problem:
            log.exception("webhooks.secret_unreadable", endpoint=str(turn.endpoint_id))
            return NotReached(f"the endpoint's secret cannot be read: {problem}; rotate it")
        signed = headers(secrets, str(turn.delivery_id), timestamp_s, turn.body)
        return await self._outbound.call(
            "POST", turn.url, body=turn.body, headers={"Content-Type": "application/json", **signed}, limits=LIMITS
        )

    async def _settle(self, turn: Turn, called: Called) -> None:
        async with self._transactions() as stores:
            settled = await settle(stores, turn, called, self._luck())
        result = called.result if called.status is None else f"{called.result} {called.status}"
        self.statistics.calls[result] = self.statistics.calls.get(result, 0) + 1
        about = {"endpoint": str(turn.endpoint_id), "delivery": str(turn.delivery_id), "attempt": turn.attempt}
        if settled is None:
            self.statistics.lost += 1
            log.warning("webhooks.turn_lost", result=result, **about)
            return
        if settled.state == "failed":
            self.statistics.given_up += 1
            log.warning("webhooks.given_up", result=result, **about)
        if settled.paused:
            self.statistics.paused += 1
            log.warning("webhooks.endpoint_paused", result=result, **about)


def _called(outcome: Outcome, began_ms: int, ended_ms: int) -> Called:
    match outcome:
        case Answered(status=status, headers=answered, body=body):
            # Postgres keeps no text with the zero byte in it.
            excerpt = body.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
            wish_s = wish_of(answered.get("Retry-After"), ended_ms / 1_000)
            return Called("answered", status, excerpt, began_ms, ended_ms, wish_s)
        case Blocked(why=why):
            return Called("blocked", None, why, began_ms, ended_ms)
        case NotReached(why=why):
            return Called("not_reached", None, why, began_ms, ended_ms)
        case Unanswered(why=why):
            return Called("unanswered", None, why, began_ms, ended_ms)


class WebhookUpkeep:
    """What the schedule does for webhooks: each does one bite and says how many rows it took."""

    def __init__(self, clock: Clock, bite: int) -> None:
        self._clock: Final = clock
        self._bite: Final = bite

    async def prune_deliveries(self, stores: Stores, _: Tick) -> int:
        """Forget deliveries that are too old to be replayed."""
        before = utc(self._clock.wall_ms()) - timedelta(days=KEPT_DAYS)
        return await stores.webhook_deliveries.prune(before, self._bite)

    async def sweep_removed(self, stores: Stores, _: Tick) -> int:
        """Delete what belongs to endpoints that were removed."""
        return await stores.webhook_deliveries.sweep(self._bite)
