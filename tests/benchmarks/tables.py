"""What a table of figures is made of: rows, a range per cell, and how many runs it is the median of."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from tests.benchmarks.ranges import Range, range_of

T = TypeVar("T")


def of(runs: Iterable[T], figure: Callable[[T], float]) -> Range:
    """The range of a figure over some runs."""
    return range_of(figure(run) for run in runs)


def counted(runs: Sequence[object]) -> str:
    """`1 run`, `3 runs`."""
    return f"{len(runs)} run{'' if len(runs) == 1 else 's'}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join('---' for _ in head)}|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
