"""Letters to an emergency contact: which of them leave, what they say, and the link in them."""

import itertools
import re
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.ids import ContactId, ContactPhoneId, IncidentId
from services.kernel.problems import NotFound
from services.notifications.contact_letter import SOON_MS, ContactLetter, Says, Standing, letter_id, still
from services.notifications.contact_link import ContactLinks
from services.notifications.deciding import Later, Stop
from services.notifications.delivery import State
from services.notifications.ports import Links, MailWords, Reader
from services.notifications.rendering import Words
from services.notifications.segments import is_gsm, segments
from services.safety.watching import IncidentKind

NOW = 1_790_000_000_000
ONE = uuid.UUID(int=7)
WORDS = Words()
SEAL = ContactLinks(b"a secret")
ANSWER = f"https://run.example/emergency-contact?token={SEAL.token(ContactId(ONE))}"
LINKS = Links(ANSWER, ANSWER, f"{ANSWER}&answer=no")
READERS = [Reader("Ben", locale, "Europe/Vienna") for locale in ("en", "de-AT")]
KINDS = get_args(IncidentKind)


def letter(says: Says, **of_it: object) -> ContactLetter:
    """A letter to Ben about Ada."""
    about = ContactLetter(says, "Ben", "Ada", "over_limit", NOW, answered_at_ms=NOW + 90_000, until_ms=NOW)
    return msgspec.structs.replace(about, **of_it)


def standing(says: Says, **of_it: object) -> Standing:
    """A contact of whom nothing is in the way of such a letter."""
    given = {"agreed": says != "ask", "refused": False, "replaced": False, "alarm": "sent", **of_it}
    return Standing(says, **given)  # type: ignore[arg-type]


def leaves(now: Standing) -> bool:
    return still(now, NOW, NOW + 1) is None


# -- which leave --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("says", get_args(Says))
def test_a_letter_leaves_as_long_as_it_is_wanted_and_true(says: Says) -> None:
    assert leaves(standing(says))
    late = still(standing(says), NOW, NOW)
    assert isinstance(late, Stop)
    assert late.state == "expired"


@given(
    st.sampled_from(get_args(Says)),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.one_of(st.none(), st.sampled_from(get_args(State))),
)
def test_who_has_said_no_gets_nothing_at_all(
    says: Says, agreed: bool, replaced: bool, answered: bool, alarm: State | None
) -> None:
    now = Standing(says, agreed=agreed, refused=True, replaced=replaced, answered=answered, alarm=alarm)
    assert isinstance(still(now, NOW, NOW + 1), Stop)


@given(st.booleans(), st.booleans(), st.booleans())
def test_an_alarm_leaves_only_to_who_has_agreed_and_only_while_there_is_no_answer(
    agreed: bool, replaced: bool, answered: bool
) -> None:
    now = standing("alarm", agreed=agreed, replaced=replaced, answered=answered)
    assert leaves(now) == (agreed and not replaced and not answered)


def test_nobody_is_asked_what_they_have_answered_or_what_is_asked_no_more() -> None:
    assert not leaves(standing("ask", agreed=True))
    assert not leaves(standing("ask", replaced=True))


@pytest.mark.parametrize("alarm", [None, *get_args(State)])
def test_that_all_is_well_is_told_to_who_has_heard_the_alarm_or_may_have(alarm: State | None) -> None:
    verdict = still(standing("well", alarm=alarm), NOW, NOW + 1)
    if alarm == "sending":
        assert verdict == Later(NOW + SOON_MS), "what becomes of the alarm is not known yet"
    else:
        assert (verdict is None) == (alarm in {"sent", "delivered", "in_doubt"})


def test_that_all_is_well_is_told_also_to_who_is_no_contact_any_more() -> None:
    assert leaves(standing("well", replaced=True))


def test_a_letter_about_the_same_has_the_same_id_and_no_other() -> None:
    ids = [letter_id(IncidentId(about), says) for about in (ONE, uuid.UUID(int=8)) for says in get_args(Says)]
    assert len(set(ids)) == len(ids)
    assert letter_id(IncidentId(ONE), "alarm") == letter_id(IncidentId(ONE), "alarm")


# -- what they say ------------------------------------------------------------------------------------------------


def mails(says: Says) -> list[MailWords]:
    """Every turn of a letter, in every language."""
    turns = itertools.product(KINDS if says == "alarm" else ("",), (True, False), READERS)
    return [WORDS.contact(letter(says, seen=seen, coach_told=told), reader, LINKS) for seen, told, reader in turns]


@pytest.mark.parametrize("says", get_args(Says))
def test_every_letter_greets_says_whom_it_is_about_and_how_to_get_no_more(says: Says) -> None:
    for mail in mails(says):
        assert "Ben" in mail.text
        assert "Ada" in mail.subject
        assert ANSWER in mail.text
        assert ANSWER in mail.html.replace("&amp;", "&")


def test_an_alarm_says_since_when_and_what_was_seen_in_words_of_its_own_and_no_figure() -> None:
    for reader in READERS:
        said = [WORDS.contact(letter("alarm", seen=kind), reader, LINKS).text for kind in KINDS]
        assert len(set(said)) == len(KINDS)
        for text in said:
            assert re.search(r"\b\d?\d[:.]\d\d\b", text), "the time"
            assert "bpm" not in text
    assert "Whom you call first is up to you." in said[0] or "Wen du zuerst anrufst, entscheidest du." in said[0]


def test_a_kind_that_only_a_newer_program_knows_has_words_too() -> None:
    assert "unusual" in WORDS.contact(letter("alarm", seen="unheard_of"), READERS[0], LINKS).text


def test_a_coach_who_knows_is_named_as_one_who_knows() -> None:
    with_coach, alone = (
        WORDS.contact(letter("alarm", coach_told=told), READERS[0], LINKS).text for told in (True, False)
    )
    assert "coach was told" in with_coach
    assert "coach" not in alone


def test_only_the_question_has_a_button() -> None:
    buttons = {says: [mail.html.count('class="button"') for mail in mails(says)] for says in get_args(Says)}
    assert set(buttons["ask"]) == {1}
    assert set(buttons["alarm"]) == set(buttons["well"]) == {0}


def test_languages_differ_and_no_letter_loads_anything() -> None:
    for says in get_args(Says):
        english, german = (WORDS.contact(letter(says), reader, LINKS) for reader in READERS)
        assert english.subject != german.subject
        assert "src=" not in english.html + german.html


@pytest.mark.parametrize(
    "typed", ["<script>alert(1)</script>", "Ada\r\nBcc: all@example.org", "{{ 7 * 7 }}", "a" * 900]
)
def test_what_people_call_themselves_stays_in_its_place(typed: str) -> None:
    for says in get_args(Says):
        mail = WORDS.contact(letter(says, athlete=typed, contact=typed), READERS[0], LINKS)
        assert "<script" not in mail.html
        assert len(mail.subject.splitlines()) == 1
        assert len(mail.subject) <= 180
        assert "49" not in mail.subject


# -- the link -----------------------------------------------------------------------------------------------------


@given(st.uuids(), st.integers(0, 255))
def test_a_link_is_good_for_one_question_and_not_with_one_bit_changed(which: uuid.UUID, bit: int) -> None:
    token = SEAL.token(ContactId(which))
    assert SEAL.contact(token) == which
    data = bytearray(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(NotFound):
        SEAL.contact(urlsafe_b64encode(bytes(data)).rstrip(b"=").decode())


@pytest.mark.parametrize("token", ["", "x", "é", "A" * 61, "A" * 1_000])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(NotFound):
        SEAL.contact(token)


def test_a_link_of_another_secret_is_refused() -> None:
    with pytest.raises(NotFound):
        ContactLinks(b"another").contact(SEAL.token(ContactId(ONE)))


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.locale)
@pytest.mark.parametrize("says", get_args(Says))
@pytest.mark.parametrize("name", ["Ada", "Ada Lovelace " * 6, "Łukasz Żółć", "小林 さくら " * 10])
def test_a_text_message_fits_and_keeps_its_link_whole(says: Says, name: str, reader: Reader) -> None:
    link = f"https://run.example.org/emergency-contact/phone?token={SEAL.phone_token(ContactPhoneId(ONE))}"
    text = WORDS.contact_sms(letter(says, athlete=name), reader, link)
    assert text.startswith("Paceline: ")
    assert text.endswith(f" {link}")
    assert "\n" not in text
    assert segments(text) <= (3 if is_gsm(text) else 5)


def test_a_token_of_a_mail_is_none_of_a_text_message_and_the_other_way_round() -> None:
    assert SEAL.phone(SEAL.phone_token(ContactPhoneId(ONE))) == ONE
    with pytest.raises(NotFound):
        SEAL.phone(SEAL.token(ContactId(ONE)))
    with pytest.raises(NotFound):
        SEAL.contact(SEAL.phone_token(ContactPhoneId(ONE)))


def test_each_way_has_a_letter_of_its_own() -> None:
    about = IncidentId(ONE)
    assert letter_id(about, "alarm", "sms") == letter_id(about, "alarm", "sms") != letter_id(about, "alarm")
