"""Each formula against its published line, computed straight from it at six ages."""

import pytest

from services.training.max_hr import FORMULAS, whole_bpm

NAMES = ("fox", "tanaka", "gellish", "gellish_quadratic", "nes", "gulati", "zhu")
TABLE = {
    20: (200, 194.0, 193.0, 189.200, 198.2, 188.4, 180.400),
    30: (190, 187.0, 186.0, 185.700, 191.8, 179.6, 177.800),
    40: (180, 180.0, 179.0, 180.800, 185.4, 170.8, 173.000),
    50: (170, 173.0, 172.0, 174.500, 179.0, 162.0, 166.000),
    60: (160, 166.0, 165.0, 166.800, 172.6, 153.2, 156.800),
    70: (150, 159.0, 158.0, 157.700, 166.2, 144.4, 145.400),
}


@pytest.mark.parametrize("age", TABLE)
@pytest.mark.parametrize(("column", "name"), list(enumerate(NAMES)))
def test_a_formula_gives_its_published_maximum(age: int, column: int, name: str) -> None:
    assert FORMULAS[name](age) == pytest.approx(TABLE[age][column], abs=1e-9)


def test_every_formula_on_offer_is_in_the_table() -> None:
    assert set(FORMULAS) == set(NAMES)


@pytest.mark.parametrize("age", range(5, 121))
def test_rounding_sends_halves_up_at_every_age(age: int) -> None:
    exact_tenths = 2080 - 7 * age
    assert whole_bpm(FORMULAS["tanaka"](age)) == (exact_tenths + 5) // 10
