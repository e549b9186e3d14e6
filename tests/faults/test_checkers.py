"""Each checker finds its fault in a history made by hand, and nothing in one without it."""

from pathlib import Path
from typing import Any

import pytest

from tests.faults.checkers import answer_ms, check, goodbyes, slow_answers
from tests.faults.history import (
    AnyEntry,
    Effect,
    FactTold,
    Fault,
    Framed,
    Handed,
    Heard,
    History,
    Joined,
    Left,
    Load,
    Look,
    Lost,
    Parked,
    Poisoned,
    Ready,
    RowSeen,
    Stored,
    load,
)

ROOM = "room-1"


class Told:
    """A history that is told by hand, on a clock that is set by hand."""

    def __init__(self) -> None:
        self.at = 0.0
        self.history = History(clock=lambda: self.at)
        self._values = 0

    def then(self, seconds: float = 1.0) -> "Told":
        self.at += seconds
        return self

    def note(self, kind: Any, who: str, **fields: Any) -> "Told":
        self.history.note(kind(t=self.at, who=who, **fields))
        return self

    def sample(self, value: int, outcome: Any = "ok", device: str = "watch") -> "Told":
        op = self.history.invoke(device, "sample", value=value)
        if outcome != "open":
            self.history.end(op, outcome)
        return self

    def cue(self, value: int, outcome: Any = "ok", position: str | None = None) -> "Told":
        op = self.history.invoke("coach", "cue", room=ROOM, value=value)
        self.history.end(op, outcome, position=position)
        return self

    def joined(self, how: Any = "first", **fields: Any) -> "Told":
        return self.note(Joined, "ada", room=ROOM, how=how, **fields).then(0.1)

    def heard(self, *values: int, room: str = ROOM) -> "Told":
        for value in values:
            self.note(Heard, "ada", room=room, value=value)
        return self

    def fault(self, what: str = "redis dies") -> "Told":
        return self.note(Fault, "nemesis", what=what, began=True).then()

    def healed(self, what: str = "redis dies") -> "Told":
        return self.note(Fault, "nemesis", what=what, began=False)

    def look(self, *rows: RowSeen, **fields: Any) -> "Told":
        return self.note(Look, "ada", room=ROOM, rows=list(rows), **fields)

    @property
    def counts(self) -> Any:
        return check(self.history)


def quiet_class() -> Told:
    """Nothing wrong in it: two samples, two cues, a board."""
    told = Told().joined().sample(0).cue(1).heard(1).sample(1).cue(2).heard(2)
    told.note(Framed, "ada", room=ROOM, epoch="e", v=1, snapshot=True).note(
        Framed, "ada", room=ROOM, epoch="e", v=2, snapshot=False
    )
    return told.note(Stored, "watch", samples=[0, 1])


def test_a_class_without_a_fault_has_no_findings() -> None:
    counts = quiet_class().counts
    assert counts.findings == ()
    assert (counts.sent, counts.acknowledged, counts.stored, counts.said, counts.heard) == (2, 2, 2, 2, 2)
    assert (counts.lost, counts.duplicated, counts.reordered, counts.late) == (0, 0, 0, 0)
    assert (counts.silent_gaps, counts.stale_boards, counts.leaks, counts.recovery_s) == (0, 0, 0, 0.0)


# -- samples ------------------------------------------------------------------------------------------------------------------


def test_an_acknowledged_sample_that_is_not_stored_is_lost() -> None:
    counts = Told().sample(0).sample(1).sample(2).note(Stored, "watch", samples=[0, 2]).counts
    assert counts.lost == 1
    assert "the first is 1" in counts.findings[0]


@pytest.mark.parametrize("stored", [[0], [0, 1]])
def test_a_sample_whose_fate_is_unknown_may_be_stored_or_not(stored: list[int]) -> None:
    counts = Told().sample(0).sample(1, "info").note(Stored, "watch", samples=stored).counts
    assert (counts.lost, counts.findings) == (0, ())


def test_an_operation_that_never_ended_is_unknown() -> None:
    told = Told().sample(0).sample(1, "open")
    told.history.close()
    assert [op.outcome for op in told.history if op.value == 1] == ["invoke", "info"]  # type: ignore[union-attr]
    assert told.note(Stored, "watch", samples=[0]).counts.findings == ()


def test_a_sample_that_is_stored_twice_is_a_duplicate() -> None:
    assert Told().sample(0).sample(1).note(Stored, "watch", samples=[0, 1, 1]).counts.duplicated == 1


def test_samples_out_of_order_are_noticed() -> None:
    assert Told().sample(0).sample(1).note(Stored, "watch", samples=[1, 0]).counts.reordered == 1


def test_a_sample_that_nobody_sent_is_noticed() -> None:
    counts = Told().sample(0).note(Stored, "watch", samples=[0, -1]).counts
    assert any("never sent" in finding for finding in counts.findings)


def test_a_device_that_was_not_read_in_the_end_proves_nothing() -> None:
    assert "could not be read" in Told().sample(0).counts.findings[0]


# -- events ---------------------------------------------------------------------------------------------------------------------


def test_a_message_that_never_came_is_lost_and_a_silent_gap() -> None:
    counts = Told().joined().cue(1).heard(1).cue(2).cue(3).heard(3).counts
    assert (counts.missed, counts.silent_gaps) == (1, 1)
    assert "the first is 2" in counts.findings[0]


def test_a_loss_that_was_told_is_a_loss_and_no_silent_gap() -> None:
    counts = Told().joined().cue(1).heard(1).cue(2).then().joined("restart").cue(3).heard(3).counts
    assert (counts.missed, counts.silent_gaps, counts.findings) == (1, 0, ())


def test_whoever_has_gone_is_owed_what_came_well_before_that_and_nothing_after() -> None:
    told = Told().joined().cue(1).then(10).note(Left, "ada").cue(2)
    assert told.counts.missed == 1
    assert "the first is 1" in told.counts.findings[0]


def test_recovered_is_a_promise_that_nothing_was_missed() -> None:
    told = Told().joined().cue(1).heard(1).note(Lost, "ada").cue(2).then().joined("recovered")
    assert told.counts.silent_gaps == 1
    assert told.heard(2).counts.silent_gaps == 0


def test_a_restart_stands_for_what_was_in_the_log_by_then_and_for_nothing_later() -> None:
    told = Told().joined().cue(1, position="e-01").then().joined("restart", position="e-01")
    assert told.counts.silent_gaps == 0
    assert told.cue(2, position="e-02").counts.silent_gaps == 1


def test_what_was_said_before_one_came_is_not_owed() -> None:
    assert Told().cue(1).then().joined().counts.missed == 0


@pytest.mark.parametrize("heard", [(), (1,)])
def test_a_message_whose_fate_is_unknown_may_be_heard_or_not(heard: tuple[int, ...]) -> None:
    counts = Told().joined().cue(1, "info").heard(*heard).counts
    assert (counts.missed, counts.findings) == (0, ())


def test_a_refused_message_that_is_heard_was_announced_without_being_stored() -> None:
    assert "had been refused" in Told().joined().cue(1, "fail").heard(1).counts.findings[0]


def test_a_message_that_nobody_said_is_noticed() -> None:
    assert "nobody said" in Told().joined().heard(7).counts.findings[0]


def test_a_message_heard_twice_is_a_duplicate() -> None:
    assert Told().joined().cue(1).heard(1, 1).counts.duplicated == 1


def test_messages_out_of_order_are_noticed_by_number_and_by_position() -> None:
    assert Told().joined().cue(1).cue(2).heard(2, 1).counts.reordered == 1
    told = Told().joined().cue(1).cue(2).note(Heard, "ada", room=ROOM, value=1, position="e-02")
    assert told.note(Heard, "ada", room=ROOM, value=2, position="e-01").counts.reordered == 1
    assert told.note(Heard, "ada", room=ROOM, value=2, position="f-01").counts.reordered == 1


def test_a_message_is_late_unless_a_fault_or_an_absence_excuses_it() -> None:
    assert Told().joined().cue(1).then(6).heard(1).counts.late == 1
    assert Told().joined().fault().cue(1).then(6).healed().then(2).heard(1).counts.late == 0
    assert Told().joined().cue(1).then(6).joined("recovered").heard(1).counts.late == 0


# -- boards ---------------------------------------------------------------------------------------------------------------------


def sending(device: str = "watch", *, lately: int = 9) -> Told:
    """A fault that is over for six seconds, and a device that has sent a sample each second, the last one now."""
    told = Told().fault().healed()
    for value in range(lately + 1):
        told.then(6 / (lately + 1)).sample(value, device=device)
    return told.note(Stored, device, samples=list(range(lately + 1)))


def test_a_board_that_shows_the_present_is_fine() -> None:
    assert sending().look(RowSeen("watch", 9, "live"), same=True).counts.findings == ()


def test_a_board_that_shows_the_past_as_live_is_stale() -> None:
    assert sending().look(RowSeen("watch", 2, "live")).counts.stale_boards == 1


def test_a_number_that_no_sample_has_is_stale() -> None:
    assert sending().look(RowSeen("watch", None, "live")).counts.stale_boards == 1


def test_a_board_that_says_lost_while_samples_are_acknowledged_is_stale() -> None:
    assert sending().look(RowSeen("watch", None, "lost")).counts.stale_boards == 1


def test_a_board_that_says_lost_when_nothing_is_sent_is_right() -> None:
    assert sending().then(10).look(RowSeen("watch", None, "lost")).counts.stale_boards == 0


def test_a_board_that_was_told_to_be_stale_is_not_silently_so() -> None:
    assert sending().look(RowSeen("watch", 2, "live"), told_stale=True).counts.stale_boards == 0


def test_a_board_that_is_not_the_servers_is_stale() -> None:
    assert sending().look(RowSeen("watch", 9, "live"), same=False).counts.stale_boards == 1


def test_a_board_may_be_old_while_the_fault_lasts_and_shortly_after() -> None:
    told = Told().fault()
    told.sample(0).then(4).sample(1).look(RowSeen("watch", 0, "live"))
    told.healed().then(4).sample(2).look(RowSeen("watch", 0, "live"))
    assert told.counts.stale_boards == 0


@pytest.mark.parametrize(("v", "numbers"), [(2, (1, 0)), (1, (0, 1)), (3, (0, 0))])
def test_a_version_that_was_there_already_is_noticed(v: int, numbers: tuple[int, int]) -> None:
    told = quiet_class().note(Framed, "ada", room=ROOM, epoch="e", v=v, snapshot=False)
    assert (told.counts.duplicated, told.counts.reordered) == numbers


def test_a_snapshot_and_another_epoch_begin_anew() -> None:
    told = quiet_class().note(Framed, "ada", room=ROOM, epoch="e", v=1, snapshot=True)
    told.note(Framed, "ada", room=ROOM, epoch="f", v=1, snapshot=False)
    assert told.counts.findings == ()


# -- tasks ----------------------------------------------------------------------------------------------------------------------


def a_fact(fact: str = "f", *owed: str, order: int | None = None, told: Told | None = None) -> Told:
    """A fact that is owed to these queues."""
    return (told or Told()).note(FactTold, "workout.finished", fact=fact, owed=list(owed or ("mail",)), order=order)


def test_a_fact_that_has_its_effect_once_for_every_queue_is_no_finding() -> None:
    told = a_fact("f", "mail", "summary").note(Effect, "mail", fact="f").note(Effect, "summary", fact="f")
    counts = told.note(Handed, "worker", deliveries=3).counts
    assert counts.findings == ()
    assert (counts.facts, counts.effects, counts.undone, counts.redone, counts.handed) == (1, 2, 0, 0, 3)


def test_an_effect_that_never_came_is_named_with_its_queue() -> None:
    counts = a_fact("f", "mail", "summary").note(Effect, "mail", fact="f").counts
    assert counts.undone == 1
    assert "'summary': 1" in counts.findings[0]


def test_an_effect_that_came_twice_is_counted() -> None:
    counts = a_fact().note(Effect, "mail", fact="f").note(Effect, "mail", fact="f").counts
    assert (counts.undone, counts.redone) == (0, 1)
    assert "2 times" in counts.findings[0]


def test_poison_has_to_be_parked_with_a_reason_and_is_owed_to_nobody() -> None:
    poisoned = a_fact().note(Poisoned, "mail", fact="f", how="raises")
    assert "was not parked" in poisoned.counts.findings[0]
    parked = poisoned.note(Parked, "mail", fact="f", reason="ValueError").counts
    assert (parked.findings, parked.undone, parked.parked) == ((), 0, 1)
    mute = a_fact().note(Poisoned, "mail", fact="f", how="raises").note(Parked, "mail", fact="f", reason="")
    assert "without a reason" in mute.counts.findings[0]


def test_a_neighbour_of_poison_that_is_parked_with_it_is_innocent() -> None:
    counts = a_fact().note(Parked, "mail", fact="f", reason="its worker died").counts
    assert counts.undone == 1
    assert any("innocent" in finding for finding in counts.findings)


def test_poison_that_is_parked_twice_is_no_harm() -> None:
    told = a_fact().note(Poisoned, "mail", fact="f", how="raises").note(Parked, "mail", fact="f", reason="ValueError")
    counts = told.note(Parked, "mail", fact="f", reason="ValueError").counts
    assert (counts.findings, counts.parked) == ((), 2)


@pytest.mark.parametrize(("outcome", "findings"), [("ok", 1), ("info", 0)])
def test_an_order_that_was_committed_must_have_been_told(outcome: Any, findings: int) -> None:
    told = Told()
    told.history.end(told.history.invoke("orders", "order", value=7), outcome)
    assert len(told.counts.findings) == findings
    assert a_fact("f", order=7, told=told).note(Effect, "mail", fact="f").counts.findings == ()


def test_what_still_waits_in_the_outbox_is_a_finding() -> None:
    assert "2 facts still wait" in Told().note(Handed, "worker", deliveries=0, waiting=2).counts.findings[0]


def test_answers_of_one_kind_of_clerk_in_a_span_are_sorted() -> None:
    told = Told()
    for who, seconds in (("http-a", 0.3), ("http-b", 0.1), ("clerk-a", 9.0), ("http-a", 0.2)):
        op = told.history.invoke(who, "ask")
        told.then(seconds).history.end(op, "ok")
    assert answer_ms(told.history, "http-") == pytest.approx([100, 200, 300])
    assert answer_ms(told.history, "http-", 0.2, 0.35) == pytest.approx([100])


# -- leaks, recovery, load --------------------------------------------------------------------------------------------------------


def test_a_message_for_another_room_is_a_leak() -> None:
    assert quiet_class().heard(1, room="room-2").counts.leaks == 1
    assert quiet_class().note(Framed, "ada", room="room-2", epoch="e", v=1, snapshot=True).counts.leaks == 1


def test_recovery_counts_until_the_last_node_is_ready_for_good() -> None:
    told = Told().note(Ready, "a", ready=True).note(Ready, "b", ready=True).fault()
    told.note(Ready, "a", ready=False, failing=["broker"]).healed().then(2).note(Ready, "a", ready=True)
    told.then(1).note(Ready, "b", ready=False).then(1).note(Ready, "b", ready=True)
    assert told.counts.recovery_s == 4.0


def test_a_node_that_is_not_ready_again_is_named_with_its_reason() -> None:
    counts = Told().note(Ready, "a", ready=False, failing=["broker"]).counts
    assert counts.recovery_s is None
    assert "a (broker)" in counts.findings[0]


def test_a_recovery_that_takes_too_long_is_a_finding() -> None:
    told = Told().note(Ready, "a", ready=True).fault().note(Ready, "a", ready=False).healed()
    assert "30 are allowed" in told.then(31).note(Ready, "a", ready=True).counts.findings[0]


@pytest.mark.parametrize(
    ("after", "what"),
    [
        ({"rss_kb": 20_000, "fds": 20, "tasks": {"run": 7}}, "memory"),
        ({"rss_kb": 10_000, "fds": 30, "tasks": {"run": 7}}, "descriptors"),
        ({"rss_kb": 10_000, "fds": 20, "tasks": {"run": 7, "left": 1}}, "tasks"),
    ],
)
def test_what_a_node_keeps_is_named(after: dict[str, Any], what: str) -> None:
    told = Told().note(Load, "a", rss_kb=10_000, fds=20, tasks={"run": 7}, rest=True).then(10)
    counts = told.note(Load, "a", **after, rest=True).counts
    assert what in counts.findings[0]
    assert counts.rss_slope_kb_per_s == (1_000 if what == "memory" else 0)


def test_memory_is_compared_with_that_of_a_node_that_is_warm() -> None:
    told = Told().note(Load, "a", rss_kb=10_000, fds=20, rest=True).note(Load, "a", rss_kb=30_000, fds=900, warm=True)
    assert told.then(10).note(Load, "a", rss_kb=30_000, fds=20, rest=True).counts.findings == ()
    (finding,) = told.then(20).note(Load, "a", rss_kb=40_000, fds=20, rest=True).counts.findings
    assert "10000 kB more memory" in finding


def test_a_process_that_was_started_meanwhile_has_no_before() -> None:
    told = Told().note(Load, "a.2", rss_kb=10_000, fds=20).then(1).note(Load, "a.2", rss_kb=90_000, fds=30, rest=True)
    assert (told.counts.findings, told.counts.rss_slope_kb_per_s) == ((), 0)


# -- questions of single faults -------------------------------------------------------------------------------------------------


def test_slow_answers_are_counted_and_those_cut_off_early_are_not() -> None:
    told = Told()
    for took, outcome in ((0.1, "ok"), (0.4, "ok"), (0.1, "info"), (0.1, "ok")):
        op = told.history.invoke("clerk-a", "ask")
        told.then(took).history.end(op, outcome)  # type: ignore[arg-type]
    assert slow_answers(told.history, "clerk-a") == pytest.approx(1 / 3)
    assert slow_answers(told.history, "clerk-a", ended=0.05) == 0
    assert slow_answers(told.history, "clerk-a", limit_ms=500) == 0
    assert slow_answers(told.history, "clerk-b") == 0


def test_a_question_that_is_never_answered_took_too_long() -> None:
    told = Told()
    told.history.invoke("clerk-a", "ask")
    told.then(5).history.close()
    assert slow_answers(told.history, "clerk-a") == 1.0


def test_goodbyes_are_counted_by_code() -> None:
    told = Told().note(Lost, "ada", code=3000).note(Lost, "ben", code=3000).note(Lost, "cleo")
    assert goodbyes(told.history) == {3000: 2, None: 1}


def test_a_history_is_the_same_after_a_file(tmp_path: Path) -> None:
    told = quiet_class().look(RowSeen("watch", 1, "live")).fault()
    told.history.save(tmp_path / "history.jsonl")
    again: list[AnyEntry] = list(load(tmp_path / "history.jsonl"))
    assert again == list(told.history)
    assert check(load(tmp_path / "history.jsonl")) == told.counts
