"""F-82: what happens to whoever leads the schedule."""

from typing import Final

from persistence.database import IDLE_IN_TX_TIMEOUT_MS
from tests.faults.bench import Bench, Case
from tests.faults.cases.tasks import PEACE_S, http_went_on
from tests.faults.process import Worker

LOOK_S: Final = 5.0
"""Beyond a lease: a follower looks every third of one, and a machine may be busy."""
FACTS: Final = 60


async def lose_leader(bench: Bench) -> None:
    """F-82."""
    works = bench.works
    lease_s = works.tempo.lease_s
    await bench.lasts(PEACE_S)
    planned = await works.later(FACTS, bench.of(6 * lease_s, 90))
    with bench.fault("the leader is killed"):
        leader = await _leader(bench)
        await leader.kill()
        bench.said["led again after a kill, s"] = round(await _another_leads(bench, leader), 1)
        await leader.start()
    with bench.fault("the leader is frozen, and thawed when another one leads"):
        leader = await _leader(bench)
        leader.freeze()
        took = await _another_leads(bench, leader)
        await bench.lasts(bench.of(1, max(1.0, 60 - took)))
        leader.thaw()
    bench.said["led again after a frost, s"] = round(took, 1)

    async def all_told() -> bool:
        return len(await works.ledger.told_about(planned)) == len(planned)

    await bench.until(all_told, bench.of(12 * lease_s, 90), "not all that was to be told later was told")
    times = await works.ledger.told_about(planned)
    again = {about: count for about, count in times.items() if count != 1}
    bench.must(not again, f"facts that were to be told once were told more often: {again}")
    bench.said["facts told later"] = len(times)
    http_went_on(bench)


async def _leader(bench: Bench) -> Worker:
    """The worker that leads."""
    found: list[Worker] = []

    async def known() -> bool:
        holder = await bench.works.leader() or ""
        found[:] = [worker for worker in bench.stand.workers if holder.startswith(worker.name)]
        return bool(found)

    await bench.until(known, 3 * bench.works.tempo.lease_s + LOOK_S, "nobody leads the schedule")
    return found[0]


async def _another_leads(bench: Bench, than: Worker) -> float:
    """Wait until somebody else leads; how long that took."""

    async def other() -> bool:
        holder = await bench.works.leader()
        return holder is not None and not holder.startswith(than.name)

    # Whoever is frozen in the middle of a transaction keeps the fence until the database ends that transaction.
    within_s = bench.works.tempo.lease_s * 4 / 3 + IDLE_IN_TX_TIMEOUT_MS / 1_000 + LOOK_S
    return await bench.until(other, within_s, f"nobody leads in place of {than.name}")


CASES: Final = (
    Case(
        id="F-82",
        title="the leader of the schedule is killed, and the next one is frozen",
        injected="`kill -9` of the leader; SIGSTOP of the next one until another leads and a second longer (full: 60 s), then "
        "SIGCONT; 60 facts are to be told later meanwhile",
        inject=lose_leader,
        parts=("rabbitmq",),
    ),
)
