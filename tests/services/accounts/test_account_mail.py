"""Tokens of links in mails, and how often an address is written to. Pure."""

import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.accounts.account_mail import (
    A_DAY,
    AN_HOUR,
    DAY_MS,
    HOUR_MS,
    LIFE_MS,
    LINKS,
    PAUSE_MS,
    TOKEN_LENGTH,
    AccountMail,
    Link,
    MailTokens,
    Says,
    may_write,
    open_,
)
from services.kernel.ids import AccountMailId
from services.kernel.problems import LinkOver

TOKENS = MailTokens(b"the secret of all nodes")
ONE = AccountMailId(uuid.UUID(int=7))
NOW = 1_790_000_000_000


@pytest.mark.parametrize("says", get_args(Link))
def test_a_token_leads_to_its_mail_and_says_nothing_of_the_secret(says: Link) -> None:
    token = TOKENS.token(ONE, says)
    assert TOKENS.read(token, says) == ONE
    assert len(token) == TOKEN_LENGTH
    assert token != MailTokens(b"another").token(ONE, says)


@pytest.mark.parametrize("says", get_args(Link))
@pytest.mark.parametrize("other", get_args(Link))
def test_asvs_6_4_1_a_token_for_one_thing_is_good_for_nothing_else(says: Link, other: Link) -> None:
    """ASVS 6.4.1."""
    if says != other:
        with pytest.raises(LinkOver):
            TOKENS.read(TOKENS.token(ONE, says), other)


@given(st.integers(0, 255))
def test_no_bit_of_a_token_can_be_changed(bit: int) -> None:
    data = bytearray(urlsafe_b64decode(TOKENS.token(ONE, "reset") + "="))
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(LinkOver):
        TOKENS.read(urlsafe_b64encode(bytes(data)).rstrip(b"=").decode(), "reset")


@given(st.text(max_size=100))
def test_what_is_no_token_is_answered_as_one_that_is_over(text: str) -> None:
    with pytest.raises(LinkOver):
        TOKENS.read(text, "reset")


@pytest.mark.parametrize("says", get_args(Says))
def test_a_link_is_good_until_its_time_is_over_or_it_was_used(says: Says) -> None:
    mail = AccountMail(ONE, says, "anna@example.org", NOW)
    assert open_(mail, NOW + LIFE_MS[says] - 1) is mail
    for over, at in ((mail, NOW + LIFE_MS[says]), (None, NOW)):
        with pytest.raises(LinkOver):
            open_(over, at)
    with pytest.raises(LinkOver):
        open_(AccountMail(ONE, says, "anna@example.org", NOW, ended_at_ms=NOW), NOW)


def test_asvs_6_4_1_the_link_that_opens_an_account_is_the_shortest() -> None:
    """ASVS 6.4.1: short-lived."""
    assert min(LINKS, key=LIFE_MS.__getitem__) == "reset"
    assert LIFE_MS["reset"] <= HOUR_MS


def test_an_address_is_written_to_after_a_pause() -> None:
    assert may_write([], NOW)
    assert not may_write([NOW - PAUSE_MS + 1], NOW)
    assert may_write([NOW - PAUSE_MS], NOW)


@given(st.lists(st.integers(0, 3 * DAY_MS), max_size=400))
def test_however_often_it_is_asked_an_address_gets_so_many_an_hour_and_a_day(moments: list[int]) -> None:
    written: list[int] = []
    for at in sorted(moments):
        if may_write(written, at):
            written.append(at)
    for at in written:
        assert len([one for one in written if at - HOUR_MS < one <= at]) <= AN_HOUR
        assert len([one for one in written if at - DAY_MS < one <= at]) <= A_DAY
