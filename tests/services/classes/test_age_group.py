"""Age groups: ten years wide, by years and not by birthdays, and of nobody who has not said when they were born."""

from datetime import date

import pytest

from services.classes.age_group import age_group_of


@pytest.mark.parametrize(
    ("born", "group"),
    [
        (2007, "under_20"),
        (2006, "20_29"),
        (1997, "20_29"),
        (1996, "30_39"),
        (1987, "30_39"),
        (1986, "40_49"),
        (1976, "50_59"),
        (1966, "60_69"),
        (1957, "60_69"),
        (1956, "70_up"),
        (1910, "70_up"),
    ],
)
def test_it_is_the_age_that_is_reached_in_the_year_whenever_the_birthday_is(born: int, group: str) -> None:
    assert [age_group_of(date(born, month, day), 2026) for month, day in ((1, 1), (12, 31))] == [group] * 2


def test_who_has_not_said_when_they_were_born_is_in_none() -> None:
    assert age_group_of(None, 2026) is None
