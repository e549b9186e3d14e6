"""The laws of the circuit breaker (workers/outbound/breaker.py), after any course of events."""

from dataclasses import dataclass, field
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from workers.outbound.breaker import (
    LONGEST_OPEN_S,
    OPEN_AFTER,
    PROBE_S,
    Circuit,
    Pass,
    abandoned,
    answered,
    ask,
    failed,
    open_s,
    throttled,
)

END: Final = st.sampled_from(["answered", "failed", "throttled", "abandoned"])
EVENT: Final = st.one_of(
    st.just(("ask", 0.0)),
    st.tuples(END, st.floats(0, 600)),
    st.tuples(st.just("wait"), st.floats(0, 400)),
)


@dataclass
class Run:
    """Messages that come and go; each that may go has a pass until it ends."""

    circuit: Circuit = field(default_factory=Circuit)
    now: float = 1_000.0
    going: list[Pass] = field(default_factory=list)

    def ask(self) -> Pass | float:
        self.circuit, granted = ask(self.circuit, self.now)
        if isinstance(granted, Pass):
            self.going.append(granted)
        return granted

    def end(self, how: str, seconds: float, which: int = 0) -> None:
        granted = self.going.pop(which)
        match how:
            case "answered":
                self.circuit = answered(self.circuit, granted)
            case "failed":
                self.circuit = failed(self.circuit, granted, self.now)
            case "throttled":
                self.circuit = throttled(self.circuit, granted, self.now, seconds)
            case _:
                self.circuit = abandoned(self.circuit, granted)

    def step(self, event: tuple[str, float], which: int) -> Pass | float | None:
        name, seconds = event
        if name == "wait":
            self.now += seconds
        elif name == "ask":
            return self.ask()
        elif self.going:
            self.end(name, seconds, which % len(self.going))
        return None


@given(st.lists(st.tuples(EVENT, st.integers(0, 7)), max_size=80))
def test_at_most_one_finds_out_and_nobody_is_kept_out_for_long(events: list[tuple[tuple[str, float], int]]) -> None:
    run = Run()
    for event, which in events:
        granted = run.step(event, which)
        assert sum(one.probe for one in run.going) == run.circuit.probing
        if isinstance(granted, float):
            assert 0 < granted <= LONGEST_OPEN_S
        if run.circuit.open_until is None:
            assert run.circuit == Circuit(failures=run.circuit.failures)
            assert run.circuit.failures < OPEN_AFTER
        else:
            assert run.circuit.open_until <= run.now + LONGEST_OPEN_S


@given(st.lists(st.tuples(EVENT, st.integers(0, 7)), max_size=60))
def test_whatever_happened_one_good_answer_after_the_longest_wait_closes_it(
    events: list[tuple[tuple[str, float], int]],
) -> None:
    run = Run()
    for event, which in events:
        run.step(event, which)
    while run.going:
        run.end("abandoned", 0)
    run.now += LONGEST_OPEN_S
    granted = run.ask()
    assert isinstance(granted, Pass)
    run.end("answered", 0)
    assert run.circuit.open_until is None
    assert isinstance(run.ask(), Pass)


@given(st.lists(st.booleans(), max_size=200))
def test_it_stays_closed_as_long_as_no_so_many_fail_in_a_row(fates: list[bool]) -> None:
    run, row = Run(), 0
    for well in fates:
        row = 0 if well else row + 1
        if row >= OPEN_AFTER:
            break
        assert isinstance(run.ask(), Pass)
        run.end("answered" if well else "failed", 0)
        assert run.circuit.open_until is None


def test_after_five_in_a_row_nobody_asks_and_then_one_does() -> None:
    run = Run()
    for _ in range(OPEN_AFTER):
        run.ask()
        run.end("failed", 0)
    assert run.ask() == 10.0
    run.now += 9.5
    assert run.ask() == 0.5
    run.now += 0.5
    assert run.ask() == Pass(probe=True)
    assert run.ask() == PROBE_S
    run.end("failed", 0)
    assert run.ask() == 20.0


def test_each_failure_to_come_back_doubles_the_wait_up_to_five_minutes() -> None:
    assert [open_s(n) for n in (0, 1, 2, 3, 4, 5, 50)] == [10, 20, 40, 80, 160, 300, 300]


def test_what_was_asked_before_tells_nothing_of_now() -> None:
    run = Run()
    for _ in range(OPEN_AFTER + 2):
        run.ask()
    for _ in range(OPEN_AFTER):
        run.end("failed", 0)
    before = run.circuit
    run.end("answered", 0)
    run.end("failed", 0)
    assert run.circuit == before


def test_a_provider_that_asks_to_wait_is_left_alone_for_so_long_and_no_longer() -> None:
    run = Run()
    run.ask()
    run.end("throttled", 45)
    assert run.ask() == 45
    run.now += 45
    assert run.ask() == Pass(probe=True)
    run.end("throttled", 9_999)
    assert run.ask() == LONGEST_OPEN_S


def test_one_who_goes_away_without_an_answer_lets_the_next_find_out() -> None:
    run = Run()
    run.ask()
    run.end("throttled", 1)
    run.now += 1
    run.ask()
    run.end("abandoned", 0)
    assert run.ask() == Pass(probe=True)
