"""What a challenge may be, and when its days are."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.challenges.challenge import (
    Rules,
    closes_ms,
    local_day,
    over_everywhere_ms,
    require_zone,
    rules_from,
    team_from,
)
from services.kernel.clock import to_wall_ms
from services.kernel.problems import BadShape, ContradictoryChallenge

NOW_MS = to_wall_ms(datetime(2026, 11, 28, 9, tzinfo=UTC))
ASKED: dict[str, Any] = {
    "kind": "effort",
    "first_day": date(2026, 12, 1),
    "last_day": date(2026, 12, 7),
    "ties": "first",
    "from_zone": None,
    "teams": (),
    "now_ms": NOW_MS,
}


def test_a_challenge_that_contradicts_nothing_gets_its_rules() -> None:
    rules = rules_from(**ASKED | {"teams": (" Red ", "Blue")})
    assert rules == Rules("effort", date(2026, 12, 1), date(2026, 12, 7), teams=("Red", "Blue"))
    one_day = ASKED | {"first_day": date(2026, 11, 27), "last_day": date(2026, 11, 27)}
    assert rules_from(**one_day | {"now_ms": over_everywhere_ms(date(2026, 11, 27)) - 1}).last_day == date(2026, 11, 27)


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ({"last_day": None}, "$.last_day"),
        ({"last_day": date(2026, 11, 30)}, "$.last_day"),
        ({"last_day": date(2027, 12, 2)}, "$.last_day"),
        ({"first_day": date(2026, 11, 26)}, "$.first_day"),
        ({"first_day": date(2028, 1, 1), "last_day": date(2028, 1, 2)}, "$.first_day"),
        ({"from_zone": 3}, "$.from_zone"),
        ({"kind": "zone_time"}, "$.from_zone"),
        ({"teams": ("Alone",)}, "$.teams"),
        ({"teams": ("Red", "red")}, "$.teams"),
        ({"teams": ("Red", "  ")}, "$.teams"),
    ],
)
def test_one_that_contradicts_itself_is_refused_with_the_place(asked: dict[str, Any], path: str) -> None:
    with pytest.raises(ContradictoryChallenge) as refused:
        rules_from(**ASKED | asked)
    assert refused.value.path == path


def test_a_day_is_a_day_where_its_member_lives() -> None:
    instant = to_wall_ms(datetime(2026, 12, 1, 11, 30, tzinfo=UTC))
    assert local_day(instant, "Pacific/Kiritimati") == date(2026, 12, 2)
    assert local_day(instant, "Pacific/Pago_Pago") == date(2026, 12, 1)
    before_the_turn = to_wall_ms(datetime(2026, 10, 24, 22, 30, tzinfo=UTC))
    assert local_day(before_the_turn, "Europe/Vienna") == date(2026, 10, 25)
    assert local_day(before_the_turn + 24 * 3_600_000, "Europe/Vienna") == date(2026, 10, 25), "a day of 25 hours"


def test_a_challenge_closes_a_day_after_its_last_day_has_ended_in_the_last_place_on_earth() -> None:
    rules = rules_from(**ASKED)
    over = to_wall_ms(datetime(2026, 12, 8, 12, tzinfo=UTC))
    assert local_day(over - 1, "Etc/GMT+12") == rules.last_day
    assert local_day(over, "Etc/GMT+12") == rules.last_day + timedelta(days=1)
    assert closes_ms(rules) == over + 24 * 3_600_000


def test_zones_and_teams_that_do_not_exist_are_refused() -> None:
    assert require_zone("America/St_Johns") == "America/St_Johns"
    for name in ("Mars/Olympus", "", "localtime", "../etc/passwd"):
        with pytest.raises(BadShape):
            require_zone(name)
    rules = rules_from(**ASKED | {"teams": ("Red", "Blue")})
    assert team_from(rules, "Blue") == 1
    assert team_from(rules_from(**ASKED), None) is None
    refused: tuple[tuple[Rules, str | None], ...]
    refused = ((rules, None), (rules, "Green"), (rules_from(**ASKED), "Red"))
    for wrong, team in refused:
        with pytest.raises(BadShape):
            team_from(wrong, team)
