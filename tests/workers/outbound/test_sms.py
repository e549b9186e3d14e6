"""Text messages, beyond what every provider promises (tests/contracts/test_providers.py)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from ipaddress import ip_network
from urllib.parse import parse_qs, urlsplit

import pytest

from services.kernel.clock import ManualClock
from services.notifications.outgoing import CutShort, DeadAddress, InDoubt, NotTaken, Receipt, Refused, Sms
from services.notifications.sms_callback import is_signed, outcome_of
from tests.support.providers import Fault, SmsServer, open_sms
from tests.support.providers.build import CALLBACK, NUMBER, sms, sms_account, sms_provider
from tests.support.providers.sms_server import SENDER, TOKEN
from workers.outbound.client import Outbound, open_outbound
from workers.outbound.egress import Egress
from workers.outbound.outcomes import Away, Throttled
from workers.outbound.sms import LIMITS, SmsProvider

CLOCK = ManualClock()


@dataclass
class Bench:
    server: SmsServer
    provider: SmsProvider
    calls: Outbound

    async def end(self, message: Sms | None = None) -> Receipt | NotTaken:
        try:
            return await self.provider.send(message or sms())
        except NotTaken as end:
            return end


@contextlib.asynccontextmanager
async def texting() -> AsyncIterator[Bench]:
    loopback = Egress((ip_network("127.0.0.0/8"), ip_network("::1/128")))
    async with open_sms() as server, open_outbound(CLOCK, loopback) as calls:
        yield Bench(server, sms_provider(server, calls, CLOCK, LIMITS), calls)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with texting() as made:
        yield made


async def test_a_text_is_a_form_that_says_where_to_tell_its_end(bench: Bench) -> None:
    message = sms(text="Straße: 5 € & 100 % 🏃")
    receipt = await bench.provider.send(message)
    assert bench.server.messages[receipt.provider_id] == {
        "To": NUMBER,
        "From": SENDER,
        "Body": message.text,
        "StatusCallback": f"{CALLBACK}?message={message.message_id}",
    }


async def test_a_messaging_service_can_send_in_place_of_a_number(bench: Bench) -> None:
    account = replace(sms_account(), sender="MG0123456789", callback="")
    receipt = await SmsProvider(account, bench.calls, CLOCK, url=bench.server.url).send(sms())
    form = bench.server.messages[receipt.provider_id]
    assert form["MessagingServiceSid"] == "MG0123456789"
    assert "From" not in form
    assert "StatusCallback" not in form


async def test_a_message_in_doubt_is_found_again_when_its_end_is_told(bench: Bench) -> None:
    message = sms()
    bench.server.faults.next(Fault("cut"))
    receipt = await bench.provider.send(message)
    assert receipt.provider_id == "", "the id was cut off"
    (sid,) = bench.server.messages
    told = bench.server.callback(sid, "delivered")
    assert is_signed(TOKEN, told.url, told.form, told.signature)
    outcome = outcome_of(told.form, parse_qs(urlsplit(told.url).query)["message"][0])
    assert outcome is not None
    assert (outcome.message_id, outcome.provider_id, outcome.end) == (message.message_id, sid, "delivered")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault("dead", code="21211"), DeadAddress),
        (Fault("dead", code="21614"), DeadAddress),
        (Fault("refused", code="21610"), Refused),
        (Fault("refused", code="21408"), Refused),
        (Fault("refused", code="21606"), Away),
        (Fault("bad_token"), Away),
        (Fault("bad_token", status=404, code="20404"), Away),
        (Fault("slow_down"), Throttled),
        (Fault("broken", status=502), InDoubt),
        (Fault("broken", status=504), InDoubt),
        (Fault("broken"), Away),
    ],
)
async def test_the_providers_codes_are_told_apart(bench: Bench, fault: Fault, kind: type[NotTaken]) -> None:
    bench.server.faults.next(fault)
    assert type(await bench.end()) is kind


async def test_a_text_that_is_too_long_is_not_tried(bench: Bench) -> None:
    assert isinstance(await bench.end(sms(text="x" * 1_601)), Refused)
    assert bench.server.asked == 0


async def test_halves_of_characters_are_no_reason_to_fail(bench: Bench) -> None:
    assert isinstance(await bench.end(sms(text="half \ud83c here")), Receipt)


def test_the_token_is_not_shown() -> None:
    assert TOKEN not in repr(sms_account())


async def test_a_text_that_is_stopped_before_the_provider_was_reached_has_not_left() -> None:
    asked = asyncio.Event()

    async def look_up(_host: str, _port: int) -> list[str]:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    async with open_outbound(CLOCK, Egress(), look_up=look_up) as calls:
        provider = SmsProvider(sms_account(), calls, CLOCK, url="https://sms.example.org")
        sending = asyncio.create_task(provider.send(sms()), name="a text that is stopped")
        await asked.wait()
        sending.cancel()
        with pytest.raises(CutShort):
            await sending


async def test_a_text_that_is_stopped_after_it_went_out_may_be_on_its_way(bench: Bench) -> None:
    bench.server.faults.next(Fault("hang"))
    sending = asyncio.create_task(bench.provider.send(sms()), name="a text that is stopped")
    async with asyncio.timeout(10):
        while not bench.server.asked:
            await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
