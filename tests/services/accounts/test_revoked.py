"""The small set of logins whose tokens are refused: it refuses those, nobody else, and forgets them when their tokens are dead."""

import uuid

import pytest

from services.accounts.revoked import SPARE_S, Revoked
from services.kernel.caller import Caller
from services.kernel.clock import ManualClock
from services.kernel.ids import AccountId, LoginId
from services.kernel.problems import NotAuthenticated

PHONE, WATCH = LoginId(uuid.UUID(int=1)), LoginId(uuid.UUID(int=2))


def caller(login_id: LoginId) -> Caller:
    return Caller(AccountId(uuid.UUID(int=9)), login_id, "Ada", frozenset({"member"}), 2**53)


def test_the_token_of_an_ended_login_is_refused_and_that_of_another_is_not() -> None:
    """ASVS 7.4.1: an ended login gives nobody access, though its token has not expired."""
    revoked = Revoked(ManualClock())
    identify = revoked.guarding(lambda token: caller(PHONE if token == "phone" else WATCH))
    assert identify("phone").login_id == PHONE
    assert revoked.note([PHONE]) == [PHONE]
    with pytest.raises(NotAuthenticated, match="log in again"):
        identify("phone")
    assert identify("watch").login_id == WATCH


def test_it_is_news_once() -> None:
    revoked = Revoked(ManualClock())
    assert revoked.note([PHONE, WATCH]) == [PHONE, WATCH]
    assert revoked.note([WATCH, PHONE]) == []


async def test_it_is_forgotten_when_the_last_token_is_dead_and_not_before() -> None:
    clock = ManualClock()
    revoked = Revoked(clock, ttl_s=900)
    revoked.note([PHONE])
    await clock.advance(10)
    revoked.note([WATCH])
    await clock.advance(900 + SPARE_S - 11)
    revoked.forget()
    assert len(revoked) == 2
    await clock.advance(1)
    revoked.forget()
    assert len(revoked) == 1
    with pytest.raises(NotAuthenticated):
        revoked.require(caller(WATCH))
    await clock.advance(10)
    revoked.forget()
    assert len(revoked) == 0
