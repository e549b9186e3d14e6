"""Who is well has hands whatever others do: by a few calls, a clock of numbers, and any order of events."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.kernel.ids import DeliveryId
from services.notifications.hands import QUICK_S, REMEMBERED, Hands

NOW = 100.0
SLOW = QUICK_S + 0.1


def call(number: int) -> DeliveryId:
    return DeliveryId(UUID(int=number))


def tried(hands: Hands, receiver: str, took_s: float, *, at: float = NOW) -> None:
    """A call to this receiver that has ended."""
    hands.begin(receiver, call(0), at)
    hands.answered(receiver, call(0), at + took_s)
    hands.end(receiver, call(0))


def begin(hands: Hands, receiver: str, *numbers: int, at: float = NOW) -> None:
    for number in numbers:
        hands.begin(receiver, call(number), at)


def test_somebody_unknown_has_one_hand_and_several_after_a_quick_answer() -> None:
    hands = Hands(well=8, doubtful=4, each=3)
    well, doubtful = hands.rooms(NOW)
    assert (dict(well.known), doubtful.known, doubtful.other, doubtful.limit) == ({}, {}, 1, 4)
    tried(hands, "mozilla", 0.05)
    well, doubtful = hands.rooms(NOW)
    assert (well.known, well.other, well.limit) == ({"mozilla": 3}, 0, 8)
    assert doubtful.known == {"mozilla": 0}


def test_whoever_turns_slow_gives_its_hands_back_to_the_well_and_has_no_other() -> None:
    hands = Hands(well=4, doubtful=8, each=4)
    for name in ("was well", "is well"):
        tried(hands, name, 0.05)
    begin(hands, "was well", 1, 2, 3, 4)
    assert hands.rooms(NOW)[0].limit == 0
    well, doubtful = hands.rooms(NOW + SLOW)
    assert (well.limit, well.known) == (4, {"is well": 4})
    assert (doubtful.limit, doubtful.known) == (4, {"is well": 0, "was well": 0})


def test_all_hands_together_are_never_more_than_they_are() -> None:
    hands = Hands(well=4, doubtful=2, each=4)
    tried(hands, "a", 0.05)
    begin(hands, "a", 1, 2, 3, 4)
    tried(hands, "b", 0.05)
    well, doubtful = hands.rooms(NOW + SLOW)
    assert (well.limit, doubtful.limit) == (2, 0)


def test_the_slow_leave_half_of_the_doubtful_hands_to_the_unknown_and_take_turns() -> None:
    hands = Hands(well=1, doubtful=4, each=1)
    for name in ("a", "b", "c"):
        tried(hands, name, SLOW)
    assert hands.rooms(NOW)[1].known == {"c": 0}, "two of the slow may, those that were not called for longest"
    begin(hands, "a", 1)
    assert hands.rooms(NOW)[1].known == {"a": 0, "c": 0}
    begin(hands, "b", 2)
    closed = hands.rooms(NOW)[1]
    assert (closed.known, closed.limit, closed.other) == ({"a": 0, "b": 0, "c": 0}, 2, 1)
    hands.end("a", call(1))
    assert hands.rooms(NOW)[1].known == {"a": 0, "b": 0}, "it was called last: the other one's turn has come"


def test_what_was_not_asked_says_nothing_about_anybody() -> None:
    hands = Hands()
    tried(hands, "slow", SLOW)
    begin(hands, "slow", 1)
    hands.end("slow", call(1))  # its circuit was open
    assert "slow" not in hands.rooms(NOW)[0].known


def test_one_quick_answer_makes_somebody_well_again() -> None:
    hands = Hands(each=4)
    tried(hands, "slow", SLOW)
    tried(hands, "slow", 0.1)
    assert hands.rooms(NOW)[0].known == {"slow": 4}


def test_who_was_longest_unused_is_forgotten_and_nobody_who_has_a_hand() -> None:
    hands = Hands(well=500, doubtful=500)
    begin(hands, "busy", 1)
    for number in range(REMEMBERED + 10):
        tried(hands, f"no. {number}", 0.1)
    well, doubtful = hands.rooms(NOW)
    assert len(well.known) == REMEMBERED - 1
    assert "no. 0" not in doubtful.known
    assert doubtful.known["busy"] == 0


events = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["claim", "quick", "end"]), st.floats(0, 3)), max_size=80
)


@given(events)
def test_no_order_of_events_gives_out_more_hands_or_closes_the_well(steps: list[tuple[str, str, float]]) -> None:
    hands, now, number, running = Hands(well=3, doubtful=3, each=2), NOW, 1, list[tuple[str, int]]()
    for receiver, what, passes in steps:
        now += passes
        if what == "claim":
            for room in hands.rooms(now):
                if room.limit and room.known.get(receiver, room.other):
                    begin(hands, receiver, number, at=now)
                    running.append((receiver, number))
                    number += 1
                    break
        elif running:
            receiver, ended = running.pop(0)
            if what == "quick":
                hands.answered(receiver, call(ended), now)
            hands.end(receiver, call(ended))
        assert len(running) <= 6
        well, doubtful = hands.rooms(now)
        assert not {name for name, room in well.known.items() if room} & {
            name for name, room in doubtful.known.items() if room
        }
        assert (
            sum(min(room, well.limit) for room in well.known.values())
            or not well.known
            or not well.limit
            or all(room == 0 for room in well.known.values())
        )
