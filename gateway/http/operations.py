"""What the sockets of this node do right now, for those who look after it.

The route is behind the admin token, not behind an account: whoever keeps the server running need not be a coach on it. It
answers for one node; behind a balancer, ask each.

The token's absence is a 404 that names the setting, so that a port scan learns nothing and an operator learns everything.
"""

from typing import Annotated, Literal

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from gateway.sockets.statistics import LineView, Measured, Order, SocketsStatistics
from services.access import permission as may
from services.kernel.problems import NotFound

MOST_LINES = 500
"""Lines in one answer: more than anybody reads, 150 KB."""


class SlowestSockets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`limit` how many lines at most; `order` what "slowest" means: most bytes `queued`, `waiting` longest without a byte
    moving, slowest to answer a ping (`rtt`), or open longest (`age`)."""

    limit: Annotated[int, msgspec.Meta(ge=0, le=MOST_LINES)] = 50
    order: Order = "queued"


class RoundTrips(msgspec.Struct, frozen=True):
    """How long clients took to answer a ping, ms: `count` answers since start, the `mean` of all, and of the latest ones the
    middle (`p50`), `p99` and `max`. Null before the first."""

    count: int
    mean: float | None = None
    p50: float | None = None
    p99: float | None = None
    max: float | None = None


class SocketsCounts(msgspec.Struct, frozen=True):
    """The engine's counters.

    Now: open `sockets`, authenticated or not, of which `websockets` and `polling`, `open` (authenticated), `unauthenticated`
    and `closing`; bytes `queued` in mailboxes and `unwritten` in the process because the kernel does not take them;
    `blocked` sockets whose peer does not read.

    Since start: `writes` and the `frames_out` in them, `merged` their quotient, `in_bulk` the writes that left by one system call
    for many sockets; `bytes_out`, `frames_in`, `pings`;
    handshakes `refused` by problem code, `malformed` messages, sockets `cut` by cause and `closed` by reason.
    """

    sockets: int
    websockets: int
    polling: int
    open: int
    unauthenticated: int
    closing: int
    queued_bytes: int
    unwritten_bytes: int
    blocked: int
    writes: int
    in_bulk: int
    frames_out: int
    merged: float
    bytes_out: int
    frames_in: int
    pings: int
    malformed: int
    refused: dict[str, int]
    cut: dict[str, int]
    closed: dict[str, int]
    round_trips: RoundTrips


class SocketsNow(msgspec.Struct, frozen=True):
    """The sockets of one node. `at_ms` when this was seen; `loop_lag_ms` how late the event loop last was, and `_worst_ms` at
    worst in the last minute; `lines` the slowest, in the order asked for."""

    node: str
    at_ms: int
    order: Literal["queued", "waiting", "rtt", "age"]
    loop_lag_ms: float
    loop_lag_worst_ms: float
    counts: SocketsCounts
    lines: tuple[LineView, ...]


async def sockets(deps: GatewayDeps, call: Call[Nothing, SlowestSockets, Nothing]) -> SocketsNow:
    if deps.sockets is None:
        raise NotFound("this process has no sockets to show")
    window = deps.sockets()
    return SocketsNow(
        node=deps.node_id,
        at_ms=deps.clock.wall_ms(),
        order=call.query.order,
        loop_lag_ms=round(deps.lag.last() * 1_000, 2),
        loop_lag_worst_ms=round(deps.lag.lately() * 1_000, 2),
        counts=counts_of(window.statistics()),
        lines=tuple(window.lines(call.query.limit, call.query.order)),
    )


def counts_of(seen: SocketsStatistics) -> SocketsCounts:
    """The counters as they are told."""
    return SocketsCounts(
        sockets=seen.links,
        websockets=seen.websockets,
        polling=seen.polling,
        open=seen.links - seen.unauthenticated - seen.closing,
        unauthenticated=seen.unauthenticated,
        closing=seen.closing,
        queued_bytes=seen.queued_bytes,
        unwritten_bytes=seen.unwritten_bytes,
        blocked=seen.blocked,
        writes=seen.writes,
        in_bulk=seen.in_bulk,
        frames_out=seen.frames,
        merged=round(seen.frames / seen.writes, 2) if seen.writes else 1.0,
        bytes_out=seen.bytes_out,
        frames_in=seen.frames_in,
        pings=seen.pings,
        malformed=seen.malformed,
        refused=dict(seen.refused),
        cut=dict(seen.cut),
        closed=dict(seen.closed),
        round_trips=_round_trips(seen.rtt_ms),
    )


def _round_trips(rtt: Measured) -> RoundTrips:
    if not rtt.count or not rtt.recent:
        return RoundTrips(count=rtt.count)
    ordered = sorted(rtt.recent)
    return RoundTrips(
        count=rtt.count,
        mean=round(rtt.total / rtt.count, 2),
        p50=round(ordered[len(ordered) // 2], 2),
        p99=round(ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))], 2),
        max=round(ordered[-1], 2),
    )


SOCKETS = Route(
    "GET",
    "/v1/operations/sockets",
    name="sockets",
    permission=may.OPERATE,
    tag="operation",
    does="This node's sockets: counters, and the slowest connections.",
    more="Needs the admin token (`PACELINE_ADMIN_TOKEN`) as the bearer token. Answers for the node that is asked.",
    handler=sockets,
    body=Nothing,
    query=SlowestSockets,
    path=Nothing,
    reply=SocketsNow,
    auth="admin",
    problems=(NotFound,),
)
