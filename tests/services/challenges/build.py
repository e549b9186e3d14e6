"""Challenges in three words."""

import uuid
from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from services.challenges.challenge import Rules
from services.challenges.score_log import BEGINNING, Entry, Joined, Ledger, Link, Opened, Scored, linked
from services.challenges.scoring import Contribution
from services.kernel.ids import ChallengeId, WorkoutId

FIRST = date(2026, 12, 1)
WEEK = Rules("effort", FIRST, FIRST + timedelta(days=6))
ID = ChallengeId(uuid.UUID(int=42))
HOUR = 3_600_000


def workout(number: int, value: int = 1, *, day: int = 0, hour: int = 8, revision: int = 1) -> Contribution:
    """A workout of one hour on a day of the week, at an hour of it, by UTC."""
    began = 1_796_083_200_000 + (24 * day + hour) * HOUR
    return Contribution(
        WorkoutId(uuid.UUID(int=number)), revision, FIRST + timedelta(days=day), began, began + HOUR, value
    )


def beginning(rules: Rules = WEEK, members: int = 3) -> list[Entry]:
    """A challenge with members 1, 2, 3, who are in teams in turn where there are any."""
    teams = len(rules.teams)
    return [
        Opened(ID, rules),
        *(Joined(n, "Europe/Vienna", (n - 1) % teams if teams else None, n) for n in range(1, members + 1)),
    ]


def scores(*brought: tuple[int, Contribution]) -> list[Entry]:
    """Entries of scores: member and workout."""
    return [Scored(n, what) for n, what in brought]


def chain(entries: Iterable[Entry]) -> list[Link]:
    """The entries as a log."""
    links: list[Link] = []
    for entry in entries:
        seq, head = (links[-1].seq, links[-1].hash) if links else (0, BEGINNING)
        links.append(linked(seq, head, entry))
    return links


def ledger_of(links: Sequence[Link]) -> Ledger:
    """What the log comes to."""
    ledger = Ledger()
    for link in links:
        ledger.take(link)
    return ledger


def standing(ledger: Ledger) -> list[tuple[int, int, int]]:
    """The table as (rank, member, value)."""
    return [(each.rank, each.line.n, each.line.value) for each in ledger.table()]
