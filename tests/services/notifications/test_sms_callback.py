"""What an SMS provider tells later, and how it is known to be the provider."""

import uuid

import pytest

from services.notifications.sms_callback import callback_url, is_signed, outcome_of, signature

URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
FORM = {
    "CallSid": "CA1234567890ABCDE",
    "Caller": "+14158675310",
    "Digits": "1234",
    "From": "+14158675310",
    "To": "+18005551212",
}
MESSAGE = uuid.UUID(int=7)


@pytest.mark.parametrize(
    ("caller", "documented"),
    [
        ("+14158675310", "GvWf1cFY/Q7PnoempGyD5oXAezc="),  # Twilio's page on security
        ("+14158675309", "RSOYDt4T1cUTdK1PDd93/VVr8B8="),  # the tests of Twilio's own libraries
    ],
)
def test_the_signature_is_that_of_the_providers_documentation(caller: str, documented: str) -> None:
    form = {**FORM, "Caller": caller, "From": caller}
    assert signature("12345", URL, form) == documented
    assert is_signed("12345", URL, dict(reversed(form.items())), documented)


@pytest.mark.parametrize(
    ("token", "url", "form", "given"),
    [
        ("12346", URL, FORM, "GvWf1cFY/Q7PnoempGyD5oXAezc="),
        ("12345", URL + "3", FORM, "GvWf1cFY/Q7PnoempGyD5oXAezc="),
        ("12345", URL, {**FORM, "Digits": "1235"}, "GvWf1cFY/Q7PnoempGyD5oXAezc="),
        ("12345", URL, FORM, "GvWf1cFY/Q7PnoempGyD5oXAezc"),
        ("12345", URL, FORM, ""),
        ("12345", URL, FORM, "ä\ud800"),
    ],
)
def test_anything_else_is_not_signed(token: str, url: str, form: dict[str, str], given: str) -> None:
    assert not is_signed(token, url, form, given)


@pytest.mark.parametrize(
    ("signed", "seen", "same"),
    [
        ("https://a.example/x", "https://a.example:443/x", True),
        ("https://a.example:443/x", "https://a.example/x", True),
        ("http://a.example:80/x?y=1", "http://a.example/x?y=1", True),
        ("https://a.example:8443/x", "https://a.example/x", False),
        ("https://a.example:8443/x", "https://a.example:8443/x", True),
        ("https://a.example/x", "http://a.example/x", False),
    ],
)
def test_the_schemes_own_port_may_be_written_or_not(signed: str, seen: str, same: bool) -> None:
    assert is_signed("t", seen, FORM, signature("t", signed, FORM)) is same


def test_the_callback_carries_our_message_id_beside_what_is_there() -> None:
    assert callback_url("https://a.example/cb", MESSAGE) == f"https://a.example/cb?message={MESSAGE}"
    assert callback_url("https://a.example/cb?a=1", MESSAGE) == f"https://a.example/cb?a=1&message={MESSAGE}"


@pytest.mark.parametrize(
    ("status", "code", "end", "dead"),
    [
        ("delivered", "", "delivered", False),
        ("undelivered", "30005", "bounced", True),
        ("undelivered", "30003", "bounced", False),
        ("failed", "30008", "failed", False),
    ],
)
def test_an_end_is_told_with_its_reason(status: str, code: str, end: str, dead: bool) -> None:
    form = {"MessageSid": "SM1", "MessageStatus": status, "ErrorCode": code}
    outcome = outcome_of(form, str(MESSAGE))
    assert outcome is not None
    assert (outcome.end, outcome.error_code, outcome.dead) == (end, code, dead)
    assert (outcome.message_id, outcome.provider_id) == (MESSAGE, "SM1")


@pytest.mark.parametrize("status", ["queued", "sending", "sent", "accepted", ""])
def test_a_message_on_its_way_has_no_end_yet(status: str) -> None:
    assert outcome_of({"MessageSid": "SM1", "MessageStatus": status}, str(MESSAGE)) is None


def test_words_that_the_database_would_not_take_are_left_out() -> None:
    form = {"MessageSid": "SM\0", "MessageStatus": "failed", "ErrorCode": "30\x00008"}
    outcome = outcome_of(form, str(MESSAGE))
    assert outcome is not None
    assert (outcome.message_id, outcome.provider_id, outcome.error_code) == (MESSAGE, "", "")


def test_a_message_id_that_is_none_leaves_the_providers_own() -> None:
    outcome = outcome_of({"MessageSid": "SM1", "MessageStatus": "delivered"}, "nonsense")
    assert outcome is not None
    assert (outcome.message_id, outcome.provider_id) == (None, "SM1")
