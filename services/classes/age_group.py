"""In which age group somebody rides, for a board that is filtered by it. Pure.

It goes by years, as in masters' sport: the year of the class less the year of birth, so it is the age that they reach in that year.
Nobody can see from it when a birthday is. It is taken when somebody agrees to show it, or joins having agreed, and stays for that
class (services/classes/showing.py).
"""

from datetime import date
from typing import Final, Literal

AgeGroup = Literal["under_20", "20_29", "30_39", "40_49", "50_59", "60_69", "70_up"]

_FIRST_YEARS: Final[tuple[tuple[int, AgeGroup], ...]] = (
    (70, "70_up"),
    (60, "60_69"),
    (50, "50_59"),
    (40, "40_49"),
    (30, "30_39"),
    (20, "20_29"),
)


def age_group_of(born: date | None, year: int) -> AgeGroup | None:
    """The group in this year, None of who has not said when they were born."""
    if born is None:
        return None
    return next((group for first, group in _FIRST_YEARS if year - born.year >= first), "under_20")
