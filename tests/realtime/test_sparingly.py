"""A log that cannot be flooded, and that says what it left out."""

from typing import Any

from realtime.sparingly import Sparingly


class Noted:
    """A logger that remembers."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def warning(self, event: str, /, **fields: Any) -> None:
        self.lines.append(("warning", event, fields))

    def error(self, event: str, /, **fields: Any) -> None:
        self.lines.append(("error", event, fields))

    def exception(self, event: str, /, **fields: Any) -> None:
        self.lines.append(("exception", event, fields))


class Time:
    now = 0.0


def test_a_few_lines_of_a_cause_are_written_and_the_next_one_tells_what_was_left_out() -> None:
    noted, time = Noted(), Time()
    log = Sparingly(noted, lambda: time.now, per_second=1, burst=2)
    for number in range(10):
        log.warning("odd", number=number)
    assert noted.lines == [("warning", "odd", {"number": 0}), ("warning", "odd", {"number": 1})]
    time.now = 1.0
    log.warning("odd", number=10)
    assert noted.lines[-1] == ("warning", "odd", {"number": 10, "left_out": 8})
    time.now = 2.0
    log.warning("odd", number=11)
    assert noted.lines[-1] == ("warning", "odd", {"number": 11})
    assert log.left_out == 8


def test_causes_do_not_silence_each_other() -> None:
    noted = Noted()
    log = Sparingly(noted, lambda: 0.0, per_second=1, burst=1)
    for _ in range(3):
        log.warning("odd", cause="one")
        log.warning("odd", cause="two")
        log.exception("failed")
        log.error("worse", peer="here")
    assert noted.lines == [
        ("warning", "odd", {}),
        ("warning", "odd", {}),
        ("exception", "failed", {}),
        ("error", "worse", {"peer": "here"}),
    ]


def test_causes_are_counted_apart_only_up_to_a_bound() -> None:
    noted = Noted()
    log = Sparingly(noted, lambda: 0.0, per_second=1, burst=1, max_causes=3)
    for number in range(1_000):
        log.warning("odd", cause=str(number))
    assert len(noted.lines) == 4
    assert log.left_out == 996
