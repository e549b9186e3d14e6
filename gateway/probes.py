"""The three windows an operator looks through: `/livez`, `/readyz`, `/metrics`.

**/livez** asks nobody. If it answers, the event loop turns; if it does not, restart the process.

**/readyz** asks everything that has to be right before this node should get traffic: database, broker, migrations,
core loops, not draining. All checks run side by side, each for at most `CHECK_TIMEOUT_S`, and the answer is kept for
`KEPT_S`, so that an impatient balancer costs nothing. A node that is not ready says which checks fail, and why in one
line.

**/metrics** shows what the parts of the program count, in Prometheus' words. The parts know nothing of Prometheus:
they hold plain numbers. `FAMILIES` below is the closed table of everything that can be shown; the composition root
gives a `Reading` for each name it has a source for, and a name that is not in the table fails at start, not on a
dashboard.

None of the three says anything about people. They belong on an inner network all the same.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.utils import floatToGoString

from services.kernel.clock import Clock
from services.kernel.problems import Problem

CHECK_TIMEOUT_S: Final = 2.0
KEPT_S: Final = 0.5
LAG_EVERY_S: Final = 0.25
"""How often the loop is asked how late it is: often enough to see a stop of half a second, cheap enough to forget."""
LAG_KEPT_S: Final = 60.0
"""How far back `LoopLag.lately` looks."""

PROMETHEUS_TYPE: Final = CONTENT_TYPE_LATEST

log = structlog.get_logger(__name__)

Check = Callable[[], Awaitable[None]]
"""Returns when all is well; raises otherwise. The text of a `Problem` or `NotReady` is shown, of anything else its name."""


class NotReady(Exception):  # noqa: N818 - what it says
    """Why a check fails, in words an operator may read."""


@dataclass(frozen=True)
class Readiness:
    """The answer of all checks: each name with None, or why it fails."""

    checks: dict[str, str | None]

    @property
    def ready(self) -> bool:
        return all(why is None for why in self.checks.values())


class Ready:
    """Runs the checks, at most once per `KEPT_S` and once at a time."""

    def __init__(self, checks: Mapping[str, Check], clock: Clock, *, timeout_s: float = CHECK_TIMEOUT_S) -> None:
        self._checks = dict(checks)
        self._clock = clock
        self._timeout_s = timeout_s
        self._kept: Readiness | None = None
        self._kept_until = 0.0
        self._lock = asyncio.Lock()

    async def look(self) -> Readiness:
        """Whether this node should get traffic. Never raises for a failing check."""
        async with self._lock:
            if self._kept is None or self._clock.monotonic() >= self._kept_until:
                whys = await asyncio.gather(*(self._why(check) for check in self._checks.values()))
                self._kept = Readiness(dict(zip(self._checks, whys, strict=True)))
                self._kept_until = self._clock.monotonic() + KEPT_S
            return self._kept

    async def _why(self, check: Check) -> str | None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await check()
        except TimeoutError:
            return f"no answer within {self._timeout_s:g} s"
        except Problem as problem:
            return problem.message
        except NotReady as fault:
            return str(fault)
        # A check that is itself broken must make the node unready, not the probe a 500. Its text may hold
        # addresses or credentials, so only its kind is told.
        except Exception as fault:
            log.warning("readiness.check_broken", fault=type(fault).__name__, exc_info=True)
            return type(fault).__name__
        return None


# -- what is counted --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spread:
    """Durations or sizes: how many, their sum, and the recent ones, from which the quantiles are taken."""

    count: int
    total: float
    recent: Sequence[float] = ()


@dataclass(frozen=True)
class Histogram:
    """Durations or sizes in classes: upper bounds, how many in each class (one more than bounds: what is above them all), and
    their sum. Unlike a spread, those of several nodes can be added up."""

    bounds: Sequence[float]
    counts: Sequence[int]
    total: float


_T = TypeVar("_T")


class Once(Generic[_T]):
    """A look at something that costs a walk, shared by all the readings that are made of it: it is taken again only
    `KEPT_S` after the last time, so a scrape with fifteen figures from one place walks once."""

    def __init__(self, look: Callable[[], _T], clock: Clock) -> None:
        self._look = look
        self._clock = clock
        self._seen: _T | None = None
        self._until = 0.0

    def __call__(self) -> _T:
        """What was seen, at most `KEPT_S` ago."""
        now = self._clock.monotonic()
        if self._seen is None or now >= self._until:
            self._seen = self._look()
            self._until = now + KEPT_S
        return self._seen


Value = float | Mapping[str, float] | Mapping[tuple[str, str], float] | Spread | Mapping[str, Histogram]
Reading = Callable[[], Value]
"""A number, or numbers by the family's label or pair of labels, or a spread, or histograms by label. Called on the event loop at
every scrape: keep it cheap."""


@dataclass(frozen=True)
class Family:
    """One row of what Prometheus can see. A counter's name gets `_total`; `label` names the keys of a mapping, a pair of labels
    those that are pairs."""

    name: str
    kind: Literal["counter", "gauge", "spread", "histogram"]
    doc: str
    label: str | tuple[str, str] | None = None


FAMILIES: Final = (
    Family("connections", "gauge", "Open, authenticated sockets on this node."),
    Family("connections_opened", "counter", "Sockets that were authenticated."),
    Family("connections_closed", "counter", "Sockets that ended, by reason.", "reason"),
    Family("sockets", "gauge", "Open sockets, authenticated or not."),
    Family("sockets_limit", "gauge", "Open sockets above which newcomers are asked to come later."),
    Family("draining", "gauge", "1 while this node is stopping, else 0."),
    Family("sockets_unauthenticated", "gauge", "Open sockets that have not been let in yet."),
    Family("handshakes_refused", "counter", "Sockets that were not let in, by problem or reason.", "code"),
    Family("messages_malformed", "counter", "Messages that are no Socket.IO; each ends its socket."),
    Family("sockets_cut", "counter", "Sockets that would not close or did not read and were cut, by cause.", "cause"),
    Family("sockets_closed", "counter", "Sockets that ended, authenticated or not, by reason.", "reason"),
    Family("sockets_by_state", "gauge", "Sockets by state: open, unauthenticated, closing.", "state"),
    Family("sockets_by_transport", "gauge", "Sockets by what carries them: websocket, polling.", "transport"),
    Family("sockets_blocked", "gauge", "Sockets whose peer does not read now."),
    Family("sockets_unwritten_bytes", "gauge", "Bytes written to sockets that the kernel has not taken yet."),
    Family("sockets_writes", "counter", "Writes to WebSockets, and answers to polls."),
    Family("sockets_writes_in_bulk", "counter", "Those of them that left by one system call for many sockets."),
    Family(
        "sockets_frames_out", "counter", "Messages in those writes; by writes, it says how many were merged into one."
    ),
    Family("sockets_bytes_out", "counter", "Bytes in those writes."),
    Family("sockets_bytes_in", "counter", "Bytes that came in over WebSockets, and in posts of pollers."),
    Family("sockets_frames_in", "counter", "Messages from clients."),
    Family("sockets_pings", "counter", "Pings sent."),
    Family("sockets_ping_seconds", "spread", "How long clients took to answer a ping."),
    Family("mailbox_bytes", "gauge", "Bytes waiting to be read by clients."),
    Family("mailbox_dropped", "counter", "Frames left out because a reader was slow."),
    Family("mailbox_replaced", "counter", "Frames replaced by a newer one before they were sent."),
    Family("frames_broadcast", "counter", "Frames made for a channel."),
    Family("frames_delivered", "counter", "Frames put into mailboxes by broadcasts."),
    Family("events", "counter", "Events from clients, by name.", "event"),
    Family("event_problems", "counter", "Problems answered on sockets, by code.", "code"),
    Family("streams_open", "gauge", "Streams that are fed on this node."),
    Family("streams_taken_over", "counter", "Streams that another connection took over."),
    Family("stream_shifts", "counter", "Times one of several sensors of an athlete was chosen to feed a board."),
    Family("samples_accepted", "counter", "New samples taken in."),
    Family("samples_repeated", "counter", "Samples that came again and were not stored twice."),
    Family("samples_stored", "counter", "Samples committed."),
    Family("samples_waiting", "gauge", "Samples taken in and not yet committed."),
    Family("commit_seconds", "spread", "How long a group commit of samples took."),
    Family("commit_failures", "counter", "Group commits that failed and were tried again."),
    Family("commits_fenced", "counter", "Stream writes refused because a newer owner had taken over."),
    Family("rooms", "gauge", "Rooms open on this node."),
    Family("board_beats", "counter", "Rounds of the board loop."),
    Family("board_beat_seconds", "gauge", "How long the last round took over all rooms."),
    Family("board_frames", "counter", "Board frames put into mailboxes."),
    Family("board_shares", "counter", "Shares of boards published to other nodes."),
    Family("room_log_appended", "counter", "Events that this node put into logs of rooms."),
    Family("room_log_refused", "counter", "Events that a log did not take: Redis away, late or full."),
    Family("room_log_delivered", "counter", "Events out of logs delivered to the members here, once per event."),
    Family("room_log_repaired", "counter", "Of these, events that were lost on the way and read from the log."),
    Family("room_log_skipped", "counter", "Events that came again and were not delivered again."),
    Family("room_log_resets", "counter", "Times that members were told to start again, because a log proved nothing."),
    Family(
        "tape_pieces", "counter", "Pieces of what boards were made of that were stored, so that classes can play again."
    ),
    Family("tape_bytes", "counter", "Bytes of these pieces."),
    Family("tape_pieces_lost", "counter", "Pieces given up because too many waited for the database."),
    Family("tape_failures", "counter", "Times that pieces were not stored; they are tried again."),
    Family("replay_players", "gauge", "Classes that play again on this node."),
    Family("replays_opened", "counter", "Times that a class began to play again."),
    Family("safety_watched", "gauge", "Athletes who are watched over on this node."),
    Family("safety_findings", "counter", "Courses of a heart rate that gave reason to ask, by kind.", "kind"),
    Family("safety_incidents", "counter", "Times that somebody was asked whether they are all right."),
    Family(
        "safety_dropped", "counter", "Findings that nobody was asked about: the database was away, or too many waited."
    ),
    Family(
        "room_joins_with_position",
        "counter",
        "Joins of clients that came back, by whether they were recovered.",
        "outcome",
    ),
    Family(
        "connections_come_back",
        "counter",
        "Clients that came back with a pid, by whether they were recovered.",
        "outcome",
    ),
    Family("broker_published", "counter", "Messages given to the carrier between nodes."),
    Family("broker_dropped", "counter", "Messages between nodes that were dropped: queue full or carrier away."),
    Family("broker_delivered", "counter", "Messages received from other nodes."),
    Family("broker_reconnects", "counter", "Times the listening side had to connect again."),
    Family("broker_waiting", "gauge", "Messages waiting to be published."),
    Family("broker_healthy", "gauge", "1 when this node hears the other nodes, else 0."),
    Family("peers", "gauge", "Other nodes heard lately."),
    Family("peer_age_seconds", "gauge", "Seconds since each of them was heard.", "peer"),
    Family("own_heartbeat_age_seconds", "gauge", "Seconds since this node heard its own heartbeat over the carrier."),
    Family("stale", "gauge", "1 while this node does not hear the other nodes, and says so to its clients, else 0."),
    Family("went_stale", "counter", "Times this node stopped hearing the other nodes."),
    Family("presence_people", "gauge", "People in rooms through this node, counted once per room."),
    Family("presence_waiting", "gauge", "Comings and goings not yet reported to the register."),
    Family("presence_away", "gauge", "Rooms whose last report the register did not answer."),
    Family("presence_reports", "counter", "Reports that the register answered, one per room and time."),
    Family("presence_failures", "counter", "Reports that the register did not answer; they are sent again."),
    Family("presence_announcements", "counter", "Times it fell to this node to announce who came and left."),
    Family("presence_overflows", "counter", "Rooms reported whole because too many changes were waiting."),
    Family("logins_found_ended", "counter", "Connections ended because the database said that their login is over."),
    Family("logins_revoked", "gauge", "Ended logins whose access tokens this node still has to refuse."),
    Family("foreign_tokens_refused", "counter", "Access tokens of issuers that are trusted that proved nothing."),
    Family(
        "foreign_logins_opened", "counter", "Logins that were opened behind access tokens of issuers that are trusted."
    ),
    Family("tokens_renewed", "counter", "Access tokens that were renewed on an open connection."),
    Family("tokens_expired", "counter", "Connections closed because their access token had expired."),
    Family("peer_frames", "counter", "Frames of other nodes, handed to members here as they came."),
    Family("peer_messages", "counter", "Messages of other nodes that were decoded, by message.", "message"),
    Family("peer_not_understood", "counter", "What was on the bus and no node of this level has said."),
    Family(
        "clock_sync_seconds",
        "histogram",
        "What clients report of their clocks: how far they had moved since they last asked, and the delay they believed.",
        "what",
    ),
    Family("peer_refused", "counter", "Messages of nodes that speak another protocol level."),
    Family(
        "outbox_waiting", "gauge", "Facts waiting to leave, counted up to 10,000; beyond that only their age grows."
    ),
    Family("outbox_age_seconds", "gauge", "Age of the oldest fact waiting to leave."),
    Family(
        "outbox_stray_days", "counter", "Days that facts reached before they were made: no scheduler, or a wrong clock."
    ),
    Family("facts_relayed", "counter", "Facts handed to the bus."),
    Family(
        "relay_failures", "counter", "Batches of facts that the bus or the database did not take, or not all of them."
    ),
    Family("relay_shards_held", "gauge", "Shards of the outbox that this node's relay is at work on."),
    Family("relay_held_back", "gauge", "Aggregates whose next fact the bus refused, left alone for a while."),
    Family("followed", "gauge", "1 for each follower of the log of facts that this node is, else 0.", "follower"),
    Family("facts_followed", "counter", "Facts that a follower of the log took in.", "follower"),
    Family(
        "follower_lost", "counter", "Times that the log had lost facts before a follower had read them.", "follower"
    ),
    Family(
        "follower_failures", "counter", "Times that a follower could not read the log or take in a page.", "follower"
    ),
    Family("bus_published", "counter", "Facts that the task bus has taken."),
    Family("bus_refused", "counter", "Times the task bus did not take all that it was given."),
    Family("bus_reconnects", "counter", "Times a connection to the task bus was lost and made again."),
    Family("tasks_waiting", "gauge", "Durable tasks that may begin now, on all nodes together, by queue.", "queue"),
    Family("tasks_retrying", "gauge", "Durable tasks that wait for their next attempt, by queue.", "queue"),
    Family(
        "tasks_given_up", "gauge", "Durable tasks that are parked now, until somebody replays or drops them.", "queue"
    ),
    Family(
        "tasks_oldest_age_seconds",
        "gauge",
        "Age of the oldest fact of a queue that is neither done nor parked; on RabbitMQ, of the last one handed to this node.",
        "queue",
    ),
    Family("tasks_consumers", "gauge", "Workers that take from a queue, as RabbitMQ counts them.", "queue"),
    Family("tasks_running", "gauge", "Handlers of durable tasks that run on this node, by queue.", "queue"),
    Family(
        "tasks_attempts",
        "counter",
        "Attempts at durable tasks, by queue and outcome: handled, retried, parked, lost (to another worker, or with the bus).",
        ("queue", "outcome"),
    ),
    Family(
        "tasks_refilled",
        "counter",
        "Facts told again to a queue that the broker had lost, from the outbox, by queue.",
        "queue",
    ),
    Family("tasks_seconds", "histogram", "How long handlers of durable tasks took, by queue.", "queue"),
    Family("schedule_leads", "gauge", "1 while this node does what is due by the clock, else 0."),
    Family("schedule_epoch", "gauge", "Which leader of the schedule this node was last, counted over all nodes."),
    Family("schedule_ticks", "counter", "Due times that were taken, by job.", "name"),
    Family("schedule_done", "counter", "What jobs have done, mostly rows, by job.", "name"),
    Family("schedule_failures", "counter", "Attempts at a job that failed, by job.", "name"),
    Family("schedule_dropped", "counter", "Due times that were not made up for, as far as they were counted."),
    Family("schedule_told", "counter", "Facts that were to be told later and were."),
    Family("schedule_late_seconds", "spread", "How long after its time a job was begun, or a fact told."),
    Family("long_tasks_running", "gauge", "Long tasks at work on this process, by kind.", "kind"),
    Family("long_tasks_steps", "counter", "Steps of long tasks that were committed, by kind.", "kind"),
    Family("long_tasks_done", "counter", "Long tasks that were done, by kind.", "kind"),
    Family("long_tasks_failed", "counter", "Long tasks that were given up, by kind.", "kind"),
    Family("long_tasks_taken_over", "counter", "Long tasks taken that another worker had before, by kind.", "kind"),
    Family("long_tasks_lost", "counter", "Long tasks that another worker took from this one, by kind.", "kind"),
    Family("provider_running", "gauge", "Calls to a provider of mail, push or SMS on their way now.", "provider"),
    Family("provider_taken", "counter", "Messages that a provider has taken.", "provider"),
    Family("provider_refused", "counter", "Messages that a provider will never take.", "provider"),
    Family("provider_dead_addresses", "counter", "Messages to addresses where nobody lives any more.", "provider"),
    Family("provider_postponed", "counter", "Messages that one recipient cannot take now.", "provider"),
    Family("provider_failed", "counter", "Messages not taken by the provider's own fault: away, too slow.", "provider"),
    Family("provider_in_doubt", "counter", "Messages sent whose answer never came.", "provider"),
    Family("provider_held_back", "counter", "Messages not offered, since the provider is away or busy.", "provider"),
    Family("provider_circuits_open", "gauge", "Services of a provider that are not asked now.", "provider"),
    Family(
        "deliveries_ended", "counter", "Attempts to reach people, by the state that they led to.", ("lane", "state")
    ),
    Family("deliveries_running", "gauge", "Deliveries that are being sent, by lane.", "lane"),
    Family("deliveries_calls", "counter", "Calls of providers, by lane.", "lane"),
    Family("deliveries_call_seconds", "counter", "Seconds that those calls took, by lane.", "lane"),
    Family("deliveries_due", "gauge", "Deliveries of all nodes that are due or being sent, by lane.", "lane"),
    Family("deliveries_oldest_seconds", "gauge", "How long the oldest of those has been due, by lane.", "lane"),
    Family("deliveries_in_doubt", "gauge", "Deliveries of all nodes of which nobody knows whether they arrived."),
    Family("webhook_calls", "counter", "Webhook calls that ended, by result and status.", "result"),
    Family("webhook_calls_running", "gauge", "Webhook calls that run now."),
    Family("webhook_call_seconds", "counter", "Time spent waiting for answers to webhooks."),
    Family("webhook_endpoints_waiting", "gauge", "Webhook endpoints due for a call."),
    Family("webhook_age_seconds", "gauge", "For how long the first webhook endpoint in line has been due."),
    Family("webhooks_given_up", "counter", "Webhook deliveries given up after their last attempt."),
    Family("webhook_endpoints_paused", "counter", "Webhook endpoints paused because they were dead or gone."),
    Family(
        "webhook_turns_lost",
        "counter",
        "Webhook calls whose end another worker has to tell: this one was away too long.",
    ),
    Family("outbound_calls", "counter", "Calls to third parties that ended, by outcome.", "outcome"),
    Family("limits_refused", "counter", "Requests and events that a limit refused, by limit.", "limit"),
    Family("limits_away", "gauge", "1 while this node counts limits by itself because Redis does not answer, else 0."),
    Family("password_hashes", "counter", "Password hashes computed."),
    Family("password_refused", "counter", "Log-ins turned away because too many were waiting for a hash."),
    Family("password_pending", "gauge", "Password hashes waiting or running."),
    Family("http_requests", "counter", "HTTP requests, as 'METHOD route status'.", "request"),
    Family("http_seconds", "spread", "How long HTTP requests took."),
    Family("http_problems", "counter", "Problems answered over HTTP, by code.", "code"),
    Family("loop_lag_seconds", "gauge", "How late the event loop last was."),
    Family("loop_lag_max_seconds", "gauge", "How late the event loop was at worst since the last scrape."),
)
_QUANTILES: Final = (0.5, 0.9, 0.99)


class UnknownReading(Exception):  # noqa: N818 - what it says
    """A reading for a name that `FAMILIES` does not have."""


class Telemetry:
    """A registry of its own, with the readings that were given."""

    def __init__(self, readings: Mapping[str, Reading]) -> None:
        """Raises UnknownReading for a name that is not in the table."""
        unknown = sorted(set(readings) - {family.name for family in FAMILIES})
        if unknown:
            raise UnknownReading(f"not in gateway.probes.FAMILIES: {', '.join(unknown)}; add a row there")
        self._readings = dict(readings)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """For the registry, which wants names without values."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every family that has a reading, read now."""
        for family in FAMILIES:
            read = self._readings.get(family.name)
            if read is not None:
                yield _metric(family, read())

    def page(self) -> bytes:
        """The text that Prometheus reads (`PROMETHEUS_TYPE`)."""
        return generate_latest(self._registry)


def _metric(family: Family, value: Value) -> Metric:
    name = f"paceline_{family.name}"
    if isinstance(value, Spread):
        spread = SummaryMetricFamily(name, family.doc, count_value=value.count, sum_value=value.total)
        ordered = sorted(value.recent)
        for quantile in _QUANTILES if ordered else ():
            at = ordered[min(len(ordered) - 1, int(quantile * len(ordered)))]
            spread.add_sample(name, {"quantile": str(quantile)}, at)
        return spread
    labels = [family.label] if isinstance(family.label, str) else list(family.label or ())
    histograms = HistogramMetricFamily(name, family.doc, labels=labels)
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric: CounterMetricFamily | GaugeMetricFamily = kind(name, family.doc, labels=labels)
    for key, one in value.items() if isinstance(value, Mapping) else [((), value)]:
        values = [key] if isinstance(key, str) else list(key)
        if isinstance(one, Histogram):
            histograms.add_metric(values, _buckets(one), one.total)
        else:
            metric.add_metric(values, float(one))
    return histograms if family.kind == "histogram" else metric


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Prometheus counts from below: each class holds all that is in the lower ones too."""
    bounds = [*map(floatToGoString, histogram.bounds), "+Inf"]
    return list(zip(bounds, itertools.accumulate(histogram.counts), strict=True))


class LoopLag:
    """How late the event loop is, from a timer that is set again and again."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None
        self._last = 0.0
        self._worst = 0.0
        self._lately: deque[float] = deque(maxlen=round(LAG_KEPT_S / LAG_EVERY_S))

    def start(self) -> None:
        """Begin on the running loop."""
        loop = asyncio.get_running_loop()
        self._set(loop, loop.time() + LAG_EVERY_S)

    def stop(self) -> None:
        """End. May be called again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def last(self) -> float:
        """Seconds the last timer was late."""
        return self._last

    def worst(self) -> float:
        """Seconds of the latest timer since this was last asked."""
        worst, self._worst = self._worst, 0.0
        return worst

    def lately(self) -> float:
        """Seconds of the latest timer within about `LAG_KEPT_S`; asking changes nothing."""
        return max(self._lately, default=0.0)

    def _set(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._timer = loop.call_at(due, self._came, loop, due)

    def _came(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        now = loop.time()
        self._last = max(0.0, now - due)
        self._worst = max(self._worst, self._last)
        self._lately.append(self._last)
        self._set(loop, now + LAG_EVERY_S)
