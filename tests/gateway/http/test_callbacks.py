"""What the SMS provider reports over HTTP: believed when it is signed for this address and these words."""

from urllib.parse import urlencode

import pytest

from persistence.database import Database
from services.notifications.sms_callback import signature
from tests.gateway.http.conftest import PUBLIC_URL, SMS_TOKEN, Api
from tests.gateway.http.notified import account_of, told

PATH = "/v1/callbacks/sms?message=01a0c38d-ab80-7000-8000-000000000005"
FORM = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+4915112345678"}


async def report(api: Api, form: dict[str, str], *, path: str = PATH, signed: str | None = None) -> int:
    """A callback as the provider makes it; its status."""
    seal = signature(SMS_TOKEN, PUBLIC_URL + path, form) if signed is None else signed
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": seal}
    return (await api.call("POST", path, urlencode(form).encode(), headers=headers)).status


async def test_a_report_ends_the_delivery_it_is_about(api: Api, database: Database) -> None:
    jonas = await api.register()
    await told(api, jonas, "One")
    async with api.transactions() as stores:
        await stores.tx.execute("UPDATE deliveries SET state = 'sent', provider = 'sms', provider_id = 'SM1'")
    assert await report(api, {**FORM, "MessageStatus": "sending"}) == 200
    assert await state(api) == "sent"
    assert await report(api, FORM) == 200
    assert await report(api, FORM) == 200, "the provider may say it again"
    assert await state(api) == "delivered"
    assert account_of(jonas)


async def state(api: Api) -> str:
    async with api.transactions() as stores:
        return str(await stores.tx.fetchval("SELECT state FROM deliveries"))


async def test_a_report_about_nothing_we_know_is_taken_and_forgotten(api: Api) -> None:
    assert await report(api, FORM) == 200


@pytest.mark.parametrize("signed", ["", "AAAA", signature("another token", PUBLIC_URL + PATH, FORM)])
async def test_what_the_provider_has_not_signed_is_refused(api: Api, signed: str) -> None:
    assert await report(api, FORM, signed=signed) == 403


async def test_a_signature_is_good_for_its_words_and_its_address_only(api: Api) -> None:
    good = signature(SMS_TOKEN, PUBLIC_URL + PATH, FORM)
    assert await report(api, {**FORM, "MessageStatus": "failed"}, signed=good) == 403
    assert await report(api, FORM, path="/v1/callbacks/sms?message=other", signed=good) == 403


async def test_what_is_no_form_is_refused(api: Api) -> None:
    json = await api.call("POST", PATH, {"MessageSid": "SM1"})
    assert json.status == 422
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await api.call("POST", PATH, b"\xff=1", headers=headers)).status == 422
    assert (await api.call("POST", PATH, b"x" * 70_000, headers=headers)).status == 413
    many = "&".join(f"f{n}=1" for n in range(200)).encode()
    assert (await api.call("POST", PATH, many, headers=headers)).status == 422
