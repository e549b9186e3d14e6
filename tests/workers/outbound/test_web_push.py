"""Push to browsers, beyond what every provider promises (tests/contracts/test_providers.py)."""

import base64
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from ipaddress import ip_network

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.clock import ManualClock
from services.notifications.outgoing import DeadAddress, Device, NotTaken, PushMessage, Receipt, Refused
from services.notifications.vapid import VapidKey
from tests.support.providers import Fault, PushService, authority, open_push_service
from tests.support.providers.build import push, vapid_key, web_push_provider
from tests.support.providers.push_service import Browser
from workers.outbound.client import open_outbound
from workers.outbound.egress import Egress
from workers.outbound.push_encryption import MOST_PLAIN, BadSubscription, encrypted
from workers.outbound.web_push import LIMITS, RENEW_S, TOKENS_KEPT, WebPushProvider, origin_of

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@dataclass
class Bench:
    service: PushService
    provider: WebPushProvider
    clock: ManualClock
    key: VapidKey
    browser: Browser

    async def end(self, message: PushMessage | None = None) -> Receipt | NotTaken:
        try:
            return await self.provider.send(message or push(self.browser.device))
        except NotTaken as end:
            return end


@contextlib.asynccontextmanager
async def pushing(egress: Egress) -> AsyncIterator[Bench]:
    clock, key = ManualClock(), vapid_key()
    async with (
        open_push_service(now_s=lambda: clock.wall_ms() / 1_000) as service,
        open_outbound(clock, egress, tls=authority().client()) as calls,
    ):
        browser = service.subscribe(key.public)
        yield Bench(service, web_push_provider(key, calls, clock, LIMITS), clock, key, browser)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with pushing(Egress(LOOPBACK)) as made:
        yield made


# -- what arrives


async def test_the_browser_decrypts_what_the_service_could_not_read(bench: Bench) -> None:
    message = push(bench.browser.device, body="Größe ist 日本", badge=3)
    assert isinstance(await bench.end(message), Receipt)
    (shown,) = bench.browser.got
    assert shown.payload == {
        "id": str(message.message_id),
        "title": "Your class",
        "body": "Größe ist 日本",
        "tag": "class-0193",
        "data": {"open": "/classes/0193"},
        "badge": 3,
    }


async def test_the_service_is_told_lifetime_topic_and_urgency(bench: Bench) -> None:
    await bench.end(push(bench.browser.device, ttl_s=600, urgency="low", collapse_key="heat_7"))
    headers = bench.browser.got[0].headers
    assert (headers["TTL"], headers["Topic"], headers["Urgency"]) == ("600", "heat_7", "low")


async def test_the_browser_shows_the_newest_of_one_collapse_key(bench: Bench) -> None:
    for title in ("old", "new"):
        await bench.end(push(bench.browser.device, title=title))
    assert bench.browser.shows == {"class-0193": "new"}


async def test_a_long_push_is_shortened_to_what_every_service_takes(bench: Bench) -> None:
    assert isinstance(await bench.end(push(bench.browser.device, body="ж" * 9_000)), Receipt)
    assert bench.browser.got[0].payload["body"].endswith("ж…")


# -- who says it


async def test_the_token_is_for_this_service_for_half_a_day_and_made_anew_in_time(bench: Bench) -> None:
    for _ in range(2):
        await bench.end()
    await bench.clock.advance(RENEW_S)
    await bench.end()
    tokens = [shown.headers["Authorization"].split("t=")[1].split(",")[0] for shown in bench.browser.got]
    assert tokens[0] == tokens[1]
    assert tokens[1] != tokens[2]
    claims = jwt.decode(tokens[2], options={"verify_signature": False})
    assert claims["aud"] == bench.service.url
    assert claims["exp"] == bench.clock.wall_ms() // 1_000 + 12 * 3_600


async def test_tokens_of_many_services_are_forgotten_before_they_become_too_many(bench: Bench) -> None:
    for number in range(TOKENS_KEPT + 10):
        bench.provider._token(f"https://push-{number}.example")
    assert len(bench.provider._tokens) == TOKENS_KEPT


async def test_a_subscription_that_was_made_with_another_key_is_refused(bench: Bench) -> None:
    bench.service.key = vapid_key().public
    assert type(await bench.end()) is Refused


# -- bad addresses


@pytest.mark.parametrize("status", [404, 410])
async def test_a_subscription_that_is_gone_is_dead(bench: Bench, status: int) -> None:
    bench.service.faults.next(Fault("dead", status=status))
    assert isinstance(await bench.end(), DeadAddress)
    bench.service.dead.add(bench.browser.device.address)
    assert isinstance(await bench.end(), DeadAddress)


@pytest.mark.parametrize(
    "differs",
    [{"p256dh": "AAAA"}, {"p256dh": "ä"}, {"auth": "AAAA"}, {"auth": ""}, {"p256dh": ""}, {"p256dh": "B" * 87}],
)
async def test_keys_that_are_none_are_a_dead_subscription(bench: Bench, differs: dict[str, str]) -> None:
    broken = replace(bench.browser.device, **differs)  # type: ignore[arg-type]
    assert isinstance(await bench.end(push(broken)), DeadAddress)
    assert bench.service.asked == 0


@pytest.mark.parametrize(
    "address",
    [
        "https://127.0.0.1:1/push", "https://localhost/x", "http://169.254.169.254/latest/meta-data", "https://[::1]/x",
        "file:///etc/passwd", "https://user:pw@push.example/x", "https://0x7f.1/x", "nonsense", "",
    ],
)  # fmt: skip
async def test_an_address_that_leads_inside_is_never_called(address: str) -> None:
    async with pushing(Egress()) as bench:
        assert type(await bench.end(push(replace(bench.browser.device, address=address)))) is Refused
        assert isinstance(await bench.end(), Refused), "the service for tests is inside as well"
        assert bench.service.asked == 0


async def test_a_redirect_is_not_followed(bench: Bench) -> None:
    bench.service.faults.next(Fault("broken", status=307))
    assert type(await bench.end()) is Refused
    assert bench.service.asked == 1


def test_each_push_service_is_told_apart_by_its_origin() -> None:
    origins = [
        origin_of(push(Device("webpush", address)))
        for address in ("https://Push.example/a", "https://push.example:8443/a", "https://[", "")
    ]
    assert origins == ["https://push.example", "https://push.example:8443", "", "://"]
    assert origin_of(push()) == ""


# -- encryption


def test_the_encryption_is_that_of_the_standards_example() -> None:
    """RFC 8291, appendix A."""
    private = int.from_bytes(decoded("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"))
    body = encrypted(
        b"When I grow up, I want to be a watermelon",
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "BTBZMqHH6r4Tts7J_aSIgg",
        salt=decoded("DGv6ra1nlYgDCS1FRnbzlw"),
        sender=ec.derive_private_key(private, ec.SECP256R1()),
    )
    assert body == decoded(
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQp"
        "u6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


@given(st.binary(max_size=MOST_PLAIN), st.binary(min_size=16, max_size=16))
def test_whatever_is_encrypted_is_decrypted_by_its_browser_and_small_enough(plain: bytes, salt: bytes) -> None:
    browser = Browser("https://push.example/1")
    sender = ec.generate_private_key(ec.SECP256R1())
    body = encrypted(plain, browser.device.p256dh, browser.device.auth, salt=salt, sender=sender)
    assert browser.decrypted(body) == plain
    assert len(body) <= 4_096


def test_a_point_that_is_not_on_the_curve_is_no_key() -> None:
    with pytest.raises(BadSubscription):
        encrypted(
            b"",
            base64.urlsafe_b64encode(b"\x04" + bytes(63) + b"\x01").decode(),
            "BTBZMqHH6r4Tts7J_aSIgg",
            salt=bytes(16),
            sender=ec.generate_private_key(ec.SECP256R1()),
        )


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
