"""The final table of a class."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.classes.live_class import LiveClass, Membership, Role
from services.classes.showing import Showing
from services.classes.summary import ClassSummary, TeamStanding, final_table
from services.kernel.ids import AccountId, ClassId, CountingIds

IDS = CountingIds()
OVER = LiveClass(
    id=ClassId(IDS.next()),
    code="ABCDEF",
    title="Hills",
    coach_id=AccountId(IDS.next()),
    coach_name="Cleo",
    created_ms=1_000,
    ended_ms=61_000,
)


def member(n: int, role: Role = "athlete") -> Membership:
    """Somebody in the class."""
    return Membership(account_id=AccountId(IDS.next()), name=f"Member {n}", n=n, role=role)


def minutes(zone: int, count: float) -> tuple[int, ...]:
    """So many minutes in one zone."""
    return tuple(int(count * 60_000) if each == zone else 0 for each in range(6))


def test_equal_effort_shares_a_rank_and_the_next_one_is_skipped() -> None:
    members = [member(n) for n in (1, 2, 3, 4)]
    efforts = [minutes(2, 3), minutes(3, 10), minutes(1, 6), minutes(1, 1)]
    earned = {each.account_id: zone_ms for each, zone_ms in zip(members, efforts, strict=True)}
    table = final_table(OVER, members, earned)
    assert [(line.rank, line.n, line.effort) for line in table.standings] == [
        (1, 2, 30.0),
        (2, 1, 6.0),
        (2, 3, 6.0),
        (4, 4, 1.0),
    ]
    assert (table.class_id, table.title, table.duration_ms, table.athletes) == (OVER.id, "Hills", 60_000, 4)


def test_who_the_room_does_not_see_is_counted_and_not_ranked() -> None:
    members = [member(n) for n in (1, 2, 3)]
    members[0] = msgspec.structs.replace(members[0], showing=Showing("coach"))
    members[1] = msgspec.structs.replace(members[1], showing=Showing("alias", "Fox"))
    table = final_table(OVER, members, {each.account_id: minutes(3, 4 - each.n) for each in members})
    assert [(line.rank, line.n, line.name) for line in table.standings] == [(1, 2, "Fox"), (2, 3, "Member 3")]
    assert table.athletes == 3


def test_a_team_has_what_its_lines_in_the_table_make_and_one_of_it_is_none() -> None:
    live = msgspec.structs.replace(OVER, teams=("Red", "Blue", "Green"))
    members = [msgspec.structs.replace(member(n), team=team) for n, team in enumerate((0, 1, 0, 1, 0, 2, 1), start=1)]
    members[4] = msgspec.structs.replace(members[4], showing=Showing("hidden"))
    members[5] = msgspec.structs.replace(members[5], showing=Showing("coach"))
    members[6] = msgspec.structs.replace(members[6], role="spectator")
    earned = {each.account_id: minutes(2, each.n) for each in members}
    table = final_table(live, members, earned)
    red, blue = TeamStanding(0, 2, "Red", 4.0, 2), TeamStanding(1, 1, "Blue", 6.0, 2)
    assert (table.teams, table.team_rule) == ((blue, red), "mean")
    assert {line.n: line.team for line in table.standings} == {1: 0, 2: 1, 3: 0, 4: 1}
    heat = final_table(msgspec.structs.replace(live, heat=True), members, earned)
    assert (heat.teams, heat.team_rule) == (
        (TeamStanding(1, 1, "Blue", 12.0, 2), TeamStanding(0, 2, "Red", 8.0, 2)),
        "sum",
    )
    members[2] = msgspec.structs.replace(members[2], showing=Showing("hidden"))
    assert final_table(live, members, earned).teams == (
        TeamStanding(1, 1, "Blue", 6.0, 2),
        TeamStanding(0, None, "Red", None, 1),
    )
    assert final_table(OVER, [member(1)], {}).teams == ()


def test_a_ms_that_rounding_hides_still_decides_the_rank() -> None:
    first, second = member(1), member(2)
    earned = {
        first.account_id: (0, 60_000, 0, 0, 0, 0),
        second.account_id: (0, 60_001, 0, 0, 0, 0),
    }
    table = final_table(OVER, [first, second], earned)
    assert [(line.n, line.rank, line.effort) for line in table.standings] == [(2, 1, 1.0), (1, 2, 1.0)]


def test_who_earned_nothing_stands_last_with_nothing() -> None:
    runner, latecomer = member(1), member(2)
    table = final_table(OVER, [latecomer, runner], {runner.account_id: minutes(3, 1)})
    assert [(line.name, line.effort, line.zone_ms) for line in table.standings] == [
        ("Member 1", 3.0, minutes(3, 1)),
        ("Member 2", 0.0, (0,) * 6),
    ]


def test_coaches_and_spectators_are_not_ranked() -> None:
    coach, spectator, athlete = member(1, "coach"), member(2, "spectator"), member(3)
    table = final_table(OVER, [coach, spectator, athlete], {spectator.account_id: minutes(5, 60)})
    assert [line.n for line in table.standings] == [3]
    assert table.athletes == 1


def test_a_class_without_athletes_has_an_empty_table() -> None:
    assert final_table(OVER, [], {}).standings == ()


def test_a_live_class_has_no_final_table() -> None:
    with pytest.raises(ValueError, match="end it first"):
        final_table(msgspec.structs.replace(OVER, ended_ms=None), [], {})


def test_a_stored_table_reads_back_as_it_was() -> None:
    table = final_table(OVER, [member(1)], {})
    sent = msgspec.json.decode(msgspec.json.encode(table), type=ClassSummary)
    assert msgspec.json.encode(sent) == msgspec.json.encode(table)


@given(st.lists(st.tuples(*[st.integers(0, 5_000)] * 6), max_size=20))
def test_ranks_count_those_who_did_better(efforts: list[tuple[int, ...]]) -> None:
    members = [member(n) for n in range(1, len(efforts) + 1)]
    earned = {each.account_id: effort for each, effort in zip(members, efforts, strict=True)}
    weight = {each.n: sum(z * ms for z, ms in enumerate(earned[each.account_id])) for each in members}
    table = final_table(OVER, reversed(members), earned)
    assert len(table.standings) == len(members)
    for line in table.standings:
        assert line.rank == 1 + sum(other > weight[line.n] for other in weight.values())
    assert [line.n for line in table.standings] == sorted(weight, key=lambda n: (-weight[n], n))
