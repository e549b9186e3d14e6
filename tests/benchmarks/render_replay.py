"""The table of classes that play again. Pure."""

from collections.abc import Sequence

from realtime.wire import FASTEST_REPLAY
from tests.benchmarks.results import ReplayRun
from tests.benchmarks.tables import of, table


def replays(runs: Sequence[ReplayRun]) -> str:
    """A line for each size of class."""
    rows = []
    for athletes in dict.fromkeys(run.athletes for run in runs):
        alike = [run for run in runs if run.athletes == athletes]
        rows.append(
            (
                f"{athletes:,}",
                of(alike, lambda run: run.bare_ms).shown(),
                of(alike, lambda run: run.taped_ms).shown(),
                of(alike, lambda run: run.sample_bytes).shown(),
                of(alike, lambda run: run.frames / run.played_s).shown(0),
                f"{of(alike, lambda run: run.seconds / run.played_s).shown(0)} times",
                of(alike, lambda run: run.player_ms).shown(),
                of(alike, lambda run: run.fast_player_ms).shown(),
                str(sum(run.differ for run in alike)),
            )
        )
    head = (
        "athletes",
        "boards, ms of CPU a second",
        "with a tape",
        "tape, bytes per sample",
        "frames a second",
        "faster than life",
        "a player, ms of CPU a second",
        f"at {FASTEST_REPLAY:.0f} times",
        "frames that differ",
    )
    return table(head, rows)
