"""What a mail about an account becomes when it leaves. Pure."""

import uuid
from itertools import product
from typing import get_args

import pytest

from services.accounts.account_mail import LIFE_MS, AccountMail, MailTokens, Pending, Says
from services.kernel.ids import AccountId, AccountMailId
from services.notifications.account_letter import HAVE_LINKS, AccountLetter, Letter, Standing, letter_of, still
from services.notifications.contact_link import ContactLinks
from services.notifications.deciding import Stop
from services.notifications.links import Linking
from services.notifications.ports import Links, Reader
from services.notifications.rendering import Words
from services.notifications.unsubscribe import Unsubscribe

NOW = 1_790_000_000_000
ONE = AccountMailId(uuid.UUID(int=7))
ANNA = AccountId(uuid.UUID(int=8))
WORDS = Words()
SECRET = b"the secret of all nodes"
TOKENS = MailTokens(SECRET)
LINKING = Linking(lambda: "https://run.example", Unsubscribe(SECRET), ContactLinks(SECRET), TOKENS)


def mail(says: Says) -> AccountMail:
    pending = Pending("Win 1000 Euro", "member", "hash") if says == "register" else None
    return AccountMail(ONE, says, "anna@example.org", NOW, None if says in {"register", "reset"} else ANNA, pending)


def standing(
    *, has_account: bool = True, is_owner: bool = True, ended: bool = False, mailable: bool = True
) -> Standing:
    return Standing(has_account, is_owner, ended, mailable)


@pytest.mark.parametrize("says", get_args(Says))
def test_a_mail_leaves_while_its_news_are_news_and_its_link_is_good(says: Says) -> None:
    one = mail(says)
    assert still(one, standing(), NOW) is None
    assert isinstance(still(one, standing(), NOW + LIFE_MS[says]), Stop)
    assert isinstance(still(one, standing(ended=True), NOW), Stop)
    assert isinstance(still(one, standing(mailable=False), NOW), Stop)


def test_who_has_no_account_is_not_bothered_with_resets() -> None:
    assert isinstance(still(mail("reset"), standing(has_account=False, is_owner=False), NOW), Stop)


def test_the_reader_learns_what_who_asked_does_not() -> None:
    assert letter_of(mail("register"), standing(has_account=False, is_owner=False)).says == "register"
    assert letter_of(mail("register"), standing()).says == "known"
    assert letter_of(mail("change"), standing(has_account=False, is_owner=False)).says == "change"
    assert letter_of(mail("change"), standing(is_owner=False)).says == "taken"
    assert letter_of(mail("change"), standing()).says == "change"


@pytest.mark.parametrize("says", get_args(Letter))
def test_every_letter_is_written_in_every_language_and_leads_somewhere(says: Letter) -> None:
    english, german = (
        WORDS.account(
            AccountLetter(says, "anna@example.org", NOW if says in HAVE_LINKS else 0),
            Reader("", locale, "Europe/Vienna"),
            Links("https://run.example/there", "https://run.example/reset", None),
        )
        for locale in ("en", "de")
    )
    assert english.subject != german.subject
    for words in (english, german):
        assert "https://run.example/there" in words.text
        assert "anna@example.org" in words.text
        assert 'href="https://run.example/there"' in words.html


@pytest.mark.parametrize("says", get_args(Says))
def test_the_token_of_a_link_stands_behind_the_hash_where_no_server_sees_it(says: Says) -> None:
    """ASVS 14.2.1."""
    one = mail(says)
    for has_account, is_owner in product((True, False), repeat=2):
        letter = letter_of(one, standing(has_account=has_account, is_owner=is_owner))
        links = LINKING.of_account_mail(one, letter.says)
        seen_by_servers, _, kept = links.open.partition("#")
        assert TOKENS.token(ONE, says) not in seen_by_servers
        assert (TOKENS.token(ONE, says) in kept) == (letter.says in HAVE_LINKS)


def test_a_name_that_a_stranger_typed_is_mailed_to_nobody() -> None:
    letter = letter_of(mail("register"), standing(has_account=False, is_owner=False))
    words = WORDS.account(letter, Reader("", "en", "UTC"), LINKING.of_account_mail(mail("register"), letter.says))
    assert "Euro" not in words.subject + words.text + words.html


def test_what_an_address_has_in_it_is_no_markup() -> None:
    letter = AccountLetter("reset", "o'neil&amp=<b>@example.org", NOW)
    words = WORDS.account(
        letter, Reader("", "en", "UTC"), Links("https://run.example/x", "https://run.example/y", None)
    )
    assert "<b>@" not in words.html
