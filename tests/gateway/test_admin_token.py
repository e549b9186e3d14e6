"""The admin token, and the passes that stand for it."""

import pytest

from gateway.admin_token import PASS_S, AdminToken
from services.kernel.clock import ManualClock

SECRET = "kettle-moss-anchor-violet-2031"


def token(clock: ManualClock | None = None, secret: str = SECRET) -> AdminToken:
    return AdminToken(secret, clock or ManualClock())


def test_the_token_admits_itself_and_nothing_else() -> None:
    assert token().admits(SECRET)
    for other in ("", SECRET[:-1], SECRET + "x", SECRET.upper(), "é\ud800"):
        assert not token().admits(other)


def test_a_token_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 24"):
        AdminToken("short", ManualClock())


async def test_a_pass_is_good_for_a_day() -> None:
    clock = ManualClock()
    here = token(clock)
    given = here.new_pass()
    assert here.admits_pass(given)
    await clock.advance(PASS_S - 1)
    assert here.admits_pass(given)
    await clock.advance(2)
    assert not here.admits_pass(given)


def test_a_pass_holds_on_another_node_with_the_same_token_and_on_no_other() -> None:
    given = token().new_pass()
    assert token().admits_pass(given)
    assert not token(secret="another-token-of-enough-length").admits_pass(given)


def test_a_pass_cannot_be_made_longer_and_is_not_the_token() -> None:
    here = token()
    until, _, signature = here.new_pass().partition(".")
    for forged in (f"{int(until) + 1}.{signature}", signature, f"{until}.", "", SECRET, f"{until}.{'0' * 64}"):
        assert not here.admits_pass(forged)
    assert not here.admits(here.new_pass())


def test_it_never_shows_itself() -> None:
    assert SECRET not in repr(token())
    assert SECRET not in token().new_pass()
