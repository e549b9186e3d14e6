"""The tables of what happens between nodes. Pure, as render.py."""

from collections.abc import Mapping, Sequence

from tests.benchmarks.ranges import range_of
from tests.benchmarks.results import BackRun, NodesRun
from tests.benchmarks.tables import counted, of, table


def between_nodes(runs: Sequence[NodesRun]) -> str:
    """What a class over two gateways costs besides what every class costs."""
    each = list(zip(*(run.gateways_s for run in runs), strict=True))
    received = [count / run.room.seconds for run in runs for count in run.received]
    rows = [
        ("sensor to board, athletes on the other gateway, p50, ms", of(runs, lambda run: run.far_ms.p50 or 0).shown()),
        ("sensor to board, athletes on the other gateway, p99, ms", of(runs, lambda run: run.far_ms.p99 or 0).shown()),
        ("the gateways one by one, processor seconds", "; ".join(range_of(one).shown(2) for one in each)),
        ("worker, relay and scheduler, processor seconds", of(runs, lambda run: run.worker_s).shown(2)),
        ("messages from other nodes, per gateway and second", range_of(received).shown()),
        ("a third gateway without members: processor seconds", of(runs, lambda run: run.idle_s).shown(2)),
        (
            "messages it received (heartbeats), per second",
            of(runs, lambda run: run.idle_received / run.room.seconds).shown(),
        ),
        ("messages it decoded", _decoded(runs)),
        ("Redis commands per second, no class yet", of(runs, lambda run: sum(run.calls_before.values())).shown()),
        ("Redis commands per second, in the class", of(runs, lambda run: sum(run.calls.values())).shown()),
        ("Redis commands per room and second", of(runs, calls_of_room).shown()),
        ("which, in the class, per second", _by_command(runs[-1].calls)),
    ]
    return table(("the same, between the nodes", counted(runs)), rows)


def calls_of_room(run: NodesRun) -> float:
    """Redis commands per second that are there because of the class. Nodes speak to each other without one, too."""
    return sum(run.calls.values()) - sum(run.calls_before.values())


def _decoded(runs: Sequence[NodesRun]) -> str:
    known = [run.idle_decoded for run in runs if run.idle_decoded is not None]
    if len(known) < len(runs):
        return "not counted by this version"
    return f"{sum(known)}; must be none: {'**not met**' if any(known) else 'met'}"


def _by_command(calls: Mapping[str, float]) -> str:
    by_rate = sorted(calls.items(), key=lambda one: (-one[1], one[0]))
    return ", ".join(f"{name} {rate:.1f}" for name, rate in by_rate) or "none"


def backs(runs: Sequence[BackRun]) -> str:
    """How phones come back whose gateway was killed."""
    first = runs[0]
    rows = [
        ("all are back in their rooms after, s", of(runs, lambda run: _s(run.back_ms.max)).shown(2)),
        ("back in its room: p50, s", of(runs, lambda run: _s(run.back_ms.p50)).shown(2)),
        ("back in its room: p90, s", of(runs, lambda run: _s(run.back_ms.p90)).shown(2)),
        ("back in its room: p99, s", of(runs, lambda run: _s(run.back_ms.p99)).shown(2)),
        ("authenticated: p50, s", of(runs, lambda run: _s(run.inside_ms.p50)).shown(2)),
        ("authenticated: p99, s", of(runs, lambda run: _s(run.inside_ms.p99)).shown(2)),
        ("authenticated: the last, s", of(runs, lambda run: _s(run.inside_ms.max)).shown(2)),
        ("the last noticed its loss after, s", of(runs, lambda run: _s(run.lost_ms.max)).shown(2)),
        ("handshakes begun", of(runs, lambda run: run.handshakes).shown(0)),
        ("handshakes refused", of(runs, lambda run: run.refused).shown(0)),
        ("connections given up after 20 s", of(runs, lambda run: run.timed_out).shown(0)),
        ("joins told to come again", of(runs, lambda run: run.joins_refused).shown(0)),
        ("never back", str(sum(run.missing for run in runs))),
        ("lost by the gateway that lived", str(sum(run.disturbed for run in runs))),
        ("surviving gateway, processor seconds", of(runs, lambda run: run.gateway_s).shown(2)),
        ("surviving gateway, ms per phone", of(runs, lambda run: run.gateway_s * 1e3 / run.clients).shown(2)),
        ("its event loop late at worst, ms", of(runs, lambda run: run.lag_ms).shown()),
        ("PostgreSQL, processor seconds", of(runs, lambda run: run.postgres_s).shown(2)),
        ("Redis, processor seconds", of(runs, lambda run: run.redis_s).shown(2)),
        ("clients, processor seconds", of(runs, lambda run: run.clients_s).shown(2)),
    ]
    head = f"{first.clients:,} phones in {first.rooms} rooms, their gateway killed; {first.stayed} more on the other"
    return table((head, counted(runs)), rows)


def _s(ms: float | None) -> float:
    return (ms or 0) / 1000
