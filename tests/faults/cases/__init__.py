"""The faults of the catalogue that are run on the bench, by number.

Each case injects exactly what it says and asks what only it can ask; what must hold whatever the fault (no acknowledged sample
lost, no silent gap, no stale board, no leak, ready again in 30 s, nothing kept) is asked of all of them by the checkers.
"""

from typing import Final

from tests.faults.bench import Case
from tests.faults.cases import clients, gateways, outbound, redis, revoking, schedule, tasks

TOGETHER: Final = (("F-61", "F-62", "F-67"), ("F-23", "F-24"))
"""Cases that mostly wait, for patience to end or for processes to start: in the short form they wait at the same time."""
CASES: Final[dict[str, Case]] = {
    case.id: case
    for case in (
        *gateways.CASES,
        *redis.CASES,
        *revoking.CASES,
        *tasks.CASES,
        *clients.CASES,
        *schedule.CASES,
        *outbound.CASES,
    )
}
WITH_BROKER: Final = frozenset(case.id for case in (*tasks.CASES, *schedule.CASES, *outbound.CASES))
"""Cases on a stand whose task bus is on RabbitMQ; the others have it on Postgres, as `make run` does."""
