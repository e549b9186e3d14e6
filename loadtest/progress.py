"""How far a replay is: a bar per athlete on a terminal, a line per ten percent anywhere else.

Everything goes to standard error, so that standard output holds nothing but the result.
"""

import sys
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

STEP_PERCENT = 10


class Reporter(Protocol):
    """Who is told how far it is. A context manager; `samples` are those acknowledged by the server."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def begin(self, name: str, total: int) -> None:
        """An athlete starts, with `total` samples to store."""

    def stored(self, name: str, samples: int) -> None:
        """So many are stored by now."""

    def say(self, text: str) -> None:
        """A sentence for people."""


class Bars:
    """Bars that fill, on a terminal."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("samples stored"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, name: str, total: int) -> None:
        self._tasks[name] = self._progress.add_task(name, total=total)

    def stored(self, name: str, samples: int) -> None:
        self._progress.update(self._tasks[name], completed=samples)  # type: ignore[arg-type]  # TaskID is an int

    def say(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)


class Lines:
    """A line whenever another ten percent are stored: for logs and pipes."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stderr
        self._totals: dict[str, int] = {}
        self._told: dict[str, int] = {}
        self._last_said = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._out.flush()

    def begin(self, name: str, total: int) -> None:
        self._totals[name] = total
        self._told[name] = 0
        self._print(f"{name}: {total} samples to send")

    def stored(self, name: str, samples: int) -> None:
        percent = 100 * samples // self._totals[name] if self._totals[name] else 100
        step = percent - percent % STEP_PERCENT
        if step > self._told[name]:
            self._told[name] = step
            self._print(f"{name}: {percent} % ({samples} of {self._totals[name]} samples stored)")

    def say(self, text: str) -> None:
        # "waiting for the server" comes once per try and athlete; the same sentence twice in a row says no more.
        if text != self._last_said:
            self._print(text)
        self._last_said = text

    def _print(self, text: str) -> None:
        print(text, file=self._out, flush=True)


def reporter() -> Reporter:
    """Bars when a person is watching, lines otherwise."""
    return Bars() if sys.stderr.isatty() else Lines()
