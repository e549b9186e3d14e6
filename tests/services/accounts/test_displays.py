"""Big screens."""

import uuid
from dataclasses import dataclass

import pytest

from services.accounts.attempts import AttemptRates, Attempts
from services.accounts.displays import Displays
from services.accounts.keyring import load_key, make_key
from services.accounts.tokens import Tokens
from services.kernel.clock import ManualClock
from services.kernel.ids import ClassId, CountingIds
from services.kernel.problems import ClassNotFound, ClassOver, TooManyAttempts
from services.limits.limit import Limit
from services.limits.limits import Limits


@dataclass(frozen=True)
class AClass:
    id: ClassId
    over: bool = False


class Classes:
    def __init__(self, **by_code: AClass) -> None:
        self._by_code = by_code

    async def by_code(self, code: str) -> AClass:
        if code not in self._by_code:
            raise ClassNotFound
        return self._by_code[code]


LIVE = AClass(ClassId(uuid.UUID(int=9)))
OVER = AClass(ClassId(uuid.UUID(int=8)), over=True)


def displays(attempts: Attempts | None = None) -> tuple[Displays[AClass], Tokens, ManualClock]:
    clock, tokens = ManualClock(), Tokens(load_key(make_key()))
    return Displays(Classes(LIVE22=LIVE, OVER22=OVER), tokens, clock, CountingIds(), attempts), tokens, clock


async def test_a_screen_gets_a_token_for_the_one_class() -> None:
    opening, tokens, clock = displays()
    display = await opening.open("LIVE22", address=None)
    caller = tokens.identify(display.issued.token, clock.wall_ms())
    assert display.watched == LIVE
    assert caller.class_id == LIVE.id
    assert caller.roles == {"display"}


async def test_every_screen_is_somebody_else() -> None:
    opening, tokens, clock = displays()
    two = [await opening.open("LIVE22", address=None) for _ in range(2)]
    assert len({tokens.identify(one.issued.token, clock.wall_ms()).account_id for one in two}) == 2


async def test_a_class_that_is_over_or_not_there_is_refused() -> None:
    opening, _, _ = displays()
    with pytest.raises(ClassOver) as refused:
        await opening.open("OVER22", address=None)
    assert refused.value.data == {"class_id": str(OVER.id)}
    with pytest.raises(ClassNotFound):
        await opening.open("NOBODY", address=None)


async def test_codes_cannot_be_guessed_all_day() -> None:
    opening, _, _ = displays(Attempts(Limits(ManualClock()), AttemptRates(address=Limit("few", 3, 1_000, "test"))))
    for _ in range(3):
        with pytest.raises(ClassNotFound):
            await opening.open("NOBODY", address="203.0.113.9")
    with pytest.raises(TooManyAttempts):
        await opening.open("LIVE22", address="203.0.113.9")
