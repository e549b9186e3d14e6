"""The class computed once more from what lies in the database, by code of its own, and compared with what was seen.

Nothing of the product is used to compute: zones, holding times, points and ranks are written out here as the documents say them, in
fractions and plain loops. What is compared is what people saw: the boards, the summaries, and the acknowledgements that phones got.
"""

import json
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import Any, Final

import asyncpg

from tests.rooms.test_rooms import Screen
from tests.scripted.ride import Outcome

HOLD_MS: Final = 5_000
FLOORS: Final = (50, 60, 70, 80, 90)
"""Percent of the maximum heart rate at which zones 1 to 5 begin."""


@dataclass
class Derived:
    """What a member's stored samples come to: their number, ms in zones 0 to 5, points times 60,000 and rank; and the team that
    they are in."""

    n: int
    samples: int
    zone_ms: list[int]
    weight: int
    rank: int = 0
    team: int | None = None


@dataclass
class Report:
    """What was compared, in numbers, and every difference in a sentence."""

    athletes: int = 0
    samples: int = 0
    acknowledged: int = 0
    boards: int = 0
    rows: int = 0
    teams: int = 0
    summaries: int = 0
    cues: int = 0
    frames: int = 0
    differences: list[str] = field(default_factory=list)

    def compare(self, what: str, seen: object, derived: object) -> None:
        """Note a difference."""
        if seen != derived:
            self.differences.append(f"{what}: {seen} was seen, {derived} derived")


def derive(n: int, max_hr: int, samples: list[tuple[int, int | None]]) -> Derived:
    """Points of Edwards: a minute in zone z counts z; a reading holds until the next one, for five seconds at most."""
    zone_ms = [0] * 6
    for (t, bpm), (following, _) in pairwise(samples):
        if bpm is not None:
            percent = Fraction(100 * bpm, max_hr)
            zone_ms[sum(percent >= floor for floor in FLOORS)] += min(max(following - t, 0), HOLD_MS)
    return Derived(n, len(samples), zone_ms, sum(zone * ms for zone, ms in enumerate(zone_ms)))


def team_lines(derived: list[Derived]) -> list[tuple[int, int | None, float | None, int]]:
    """What teams come to: the mean of those of them who have a rank, two at least; by rank, and then as they are named."""
    weights: dict[int, list[int]] = {}
    for each in derived:
        if each.rank and each.team is not None:
            weights.setdefault(each.team, []).append(each.weight)
    means = {team: Fraction(sum(found), len(found)) for team, found in weights.items() if len(found) >= 2}
    lines: list[tuple[int, int | None, float | None, int]] = []
    for team in sorted(weights):
        if team not in means:
            lines.append((team, None, None, len(weights[team])))
            continue
        rank = 1 + sum(other > means[team] for other in means.values())
        points = round(floor(means[team] + Fraction(1, 2)) / 60_000, 1)
        lines.append((team, rank, points, len(weights[team])))
    return sorted(lines, key=lambda line: len(means) + 1 if line[1] is None else line[1])


async def compare(dsn: str, outcome: Outcome) -> Report:
    """Read everything, derive, compare. Who has hidden has no rank: no line on a board, none in the table."""
    report = Report()
    connection = await asyncpg.connect(dsn)
    try:
        derived = await _derived(connection, outcome, report)
        await _summaries(connection, outcome, derived, report)
        await _clock(connection, outcome, report)
    finally:
        await connection.close()
    for watched in outcome.screens:
        _board(f"board on {watched.node.node.id}", watched.screen, derived, report)
    _board("replayed board", outcome.replayed, derived, report)
    for phone in outcome.phones:
        report.acknowledged += phone.acked
        report.compare(f"{phone.rider.name}, acknowledged", phone.acked, len(phone.made))
    _cues(outcome, report)
    verdict = outcome.verdict
    report.frames = sum(tape.frames for tape in verdict.tapes)
    report.compare("members whose score no samples come to", verdict.strange, [])
    report.compare("frames that differ", sum(tape.differ for tape in verdict.tapes), 0)
    report.compare("pieces of tape that are missing", sum(tape.missing for tape in verdict.tapes), 0)
    return report


async def _derived(connection: asyncpg.Connection, outcome: Outcome, report: Report) -> list[Derived]:
    found = []
    for phone in outcome.phones:
        member = await connection.fetchrow(
            "SELECT n, team FROM class_members WHERE class_id = $1 AND account_id = $2",
            outcome.live.id,
            phone.caller.account_id,
        )
        rows = await connection.fetch(
            "SELECT first_seq, t, bpm FROM sample_batches WHERE stream_id = $1 ORDER BY first_seq", phone.stream
        )
        stored: list[tuple[int, int | None]] = []
        for row in rows:
            report.compare(f"{phone.rider.name}, first number of a batch", row["first_seq"], len(stored))
            stored += zip(row["t"], row["bpm"], strict=True)
        report.compare(f"{phone.rider.name}, samples stored", stored, [(each.t, each.bpm) for each in phone.made])
        report.samples += len(stored)
        teams = outcome.live.teams
        if phone.team is not None:
            report.compare(f"{phone.rider.name}, team", teams[member["team"]], phone.team)
        found.append(replace(derive(member["n"], phone.rider.max_hr, stored), team=member["team"]))
    shown = [each for each, phone in zip(found, outcome.phones, strict=True) if phone.rider.hides_s is None]
    for each in shown:
        each.rank = 1 + sum(other.weight > each.weight for other in shown)
    report.athletes = len(found)
    report.compare("hidden athletes on a screen", outcome.still_seen, [])
    return found


def _board(what: str, screen: Screen, derived: list[Derived], report: Report) -> None:
    report.boards += 1
    derived = [each for each in derived if each.rank]
    seen = [(row.team, row.rank, row.figure, row.athletes) for row in screen.teams]
    report.compare(f"{what}, teams", seen, team_lines(derived))
    report.teams += len(seen)
    report.compare(f"{what}, athletes", set(screen.rows), {each.n for each in derived})
    for each in derived:
        row = screen.rows.get(each.n)
        if row is not None:
            report.rows += 1
            points = round(each.weight / 60_000, 1)
            report.compare(f"{what}, member {each.n}", (row.rank, row.effort), (each.rank, points))
            report.compare(f"{what}, member {each.n}, sensor", row.freshness, "none")
            report.compare(f"{what}, member {each.n}, heart rate", row.bpm, None)


async def _summaries(connection: asyncpg.Connection, outcome: Outcome, derived: list[Derived], report: Report) -> None:
    stored = await connection.fetchval("SELECT summary FROM classes WHERE id = $1", outcome.live.id)
    table: dict[str, Any] = json.loads(stored)
    lines = {line["n"]: (line["rank"], line["zone_ms"]) for line in table["standings"]}
    report.compare("final table", lines, {each.n: (each.rank, each.zone_ms) for each in derived if each.rank})
    teams = [(line["team"], line["rank"], line["figure"], line["athletes"]) for line in table["teams"]]
    report.compare("teams of the final table", teams, team_lines(derived))
    rows = await connection.fetch(
        """
        SELECT member.n, workouts.summary FROM workouts
        JOIN class_members AS member ON member.class_id = workouts.class_id AND member.account_id = workouts.account_id
        WHERE workouts.class_id = $1
        """,
        outcome.live.id,
    )
    summaries = {row["n"]: json.loads(row["summary"] or "{}") for row in rows}
    report.compare("workouts", len(rows), len(derived))
    for each in derived:
        summary = summaries.get(each.n, {})
        seen = (summary.get("samples"), summary.get("ms_in_zone"))
        report.compare(f"workout of member {each.n}", seen, (each.samples, each.zone_ms))
        report.summaries += 1


async def _clock(connection: asyncpg.Connection, outcome: Outcome, report: Report) -> None:
    """The class ran from each start or resume to the pause after it, or to the last second."""
    rows = await connection.fetch(
        "SELECT event FROM class_clock_events WHERE class_id = $1 ORDER BY n", outcome.live.id
    )
    ran_ms, since = 0, None
    for event in (json.loads(row["event"]) for row in rows):
        if event["type"] in {"started", "resumed"}:
            since = event["from_ms"]
        elif event["type"] == "paused" and since is not None:
            ran_ms, since = ran_ms + event["noted_ms"] - since, None
    if since is not None:
        ran_ms += outcome.ended_ms - since
    report.compare("ms that the class ran, by its clock", outcome.clock_ms, ran_ms)
    report.compare("ms that the class ran, by its coach", outcome.ran_ms, ran_ms)


def _cues(outcome: Outcome, report: Report) -> None:
    """Who had a network at a cue and on, heard it: through the log, whatever node they were on."""
    for phone in outcome.phones:
        steady = (
            not phone.rider.away
            and not phone.rider.off
            and phone.rider.leaves_s >= outcome.story.seconds
            and phone.comings == 1
        )
        for at_s in outcome.story.cues if steady else ():
            if at_s > phone.rider.comes_s:
                report.cues += 1
                report.compare(f"{phone.rider.name}, cue", f"Cue at {at_s} s" in phone.cues, derived=True)
