"""Push to Android devices, beyond what every provider promises (tests/contracts/test_providers.py)."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import ip_network

import pytest

from services.kernel.clock import ManualClock
from services.notifications.outgoing import DeadAddress, Device, NotTaken, PushMessage, Receipt, Refused, TryLater
from tests.support.providers import Fault, FcmServer, open_fcm
from tests.support.providers.build import fcm_provider, push, service_account
from workers.outbound.client import open_outbound
from workers.outbound.egress import Egress
from workers.outbound.fcm import LIMITS, FcmProvider
from workers.outbound.google_token import EARLY_S, GoogleTokens, ServiceAccount
from workers.outbound.outcomes import Away, Throttled
from workers.outbound.signing_keys import BadKey

DEVICE = Device("fcm", "dKx9:APA91bHun4MxP5egoKMwt2KZFBaFUH-1RYqx")


@dataclass
class Bench:
    server: FcmServer
    provider: FcmProvider
    clock: ManualClock

    async def end(self, message: PushMessage | None = None) -> Receipt | NotTaken:
        try:
            return await self.provider.send(message or push(DEVICE))
        except NotTaken as end:
            return end


@contextlib.asynccontextmanager
async def pushing() -> AsyncIterator[Bench]:
    clock = ManualClock()
    async with (
        open_fcm(now_s=lambda: clock.wall_ms() / 1_000) as server,
        open_outbound(clock, Egress((ip_network("127.0.0.0/8"), ip_network("::1/128")))) as calls,
    ):
        yield Bench(server, fcm_provider(server, calls, clock, LIMITS), clock)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with pushing() as made:
        yield made


async def test_a_push_says_how_long_it_is_wanted_how_urgently_and_what_it_replaces(bench: Bench) -> None:
    message = push(DEVICE, badge=3, ttl_s=600, urgency="low")
    assert isinstance(await bench.end(message), Receipt)
    assert bench.server.pushed[0].message == {
        "token": DEVICE.address,
        "notification": {"title": "Your class", "body": "You did 42 points."},
        "data": {"open": "/classes/0193", "id": str(message.message_id)},
        "android": {
            "collapse_key": "class-0193",
            "ttl": "600s",
            "priority": "NORMAL",
            "notification": {"tag": "class-0193", "notification_count": 3},
        },
    }


async def test_the_device_shows_the_newest_of_one_collapse_key(bench: Bench) -> None:
    for title in ("old", "new"):
        await bench.end(push(DEVICE, title=title))
    assert bench.server.screens == {DEVICE.address: {"class-0193": "new"}}


async def test_a_long_push_is_shortened_to_what_google_takes(bench: Bench) -> None:
    assert isinstance(await bench.end(push(DEVICE, body="🏃" * 5_000)), Receipt)


# -- the access token


async def test_one_token_serves_until_shortly_before_its_end(bench: Bench) -> None:
    for _ in range(3):
        assert isinstance(await bench.end(), Receipt)
    await bench.clock.advance(3_600 - EARLY_S - 1)
    assert isinstance(await bench.end(), Receipt)
    assert bench.server.tokens_given == 1
    await bench.clock.advance(1)
    assert isinstance(await bench.end(), Receipt)
    assert bench.server.tokens_given == 2


async def test_many_messages_at_once_ask_for_one_token(bench: Bench) -> None:
    ends = await asyncio.gather(*(bench.end() for _ in range(20)))
    assert all(isinstance(end, Receipt) for end in ends)
    assert bench.server.tokens_given == 1


async def test_a_token_endpoint_that_is_away_is_asked_once_for_all_who_wait(bench: Bench) -> None:
    bench.server.token_faults.next(Fault("away", retry_after="9"))
    ends = await asyncio.gather(*(bench.end() for _ in range(20)))
    assert all(isinstance(end, Away) and end.retry_after_s == 9 for end in ends)
    assert bench.server.asked == 0, "no message was sent"
    assert isinstance(await bench.end(), Receipt)


async def test_those_who_wait_for_one_who_is_cancelled_get_their_token_all_the_same(bench: Bench) -> None:
    bench.server.token_faults.next(Fault("hang"))
    first = asyncio.create_task(bench.end(), name="the one who asks")
    async with asyncio.timeout(10):
        while bench.server.connections == 0:
            await asyncio.sleep(0)
    others = [asyncio.create_task(bench.end(), name=f"waits {n}") for n in range(3)]
    for _ in range(5):
        await asyncio.sleep(0)
    first.cancel()
    assert all(isinstance(end, Receipt) for end in await asyncio.gather(*others))
    with pytest.raises(asyncio.CancelledError):
        await first


@pytest.mark.parametrize("kind", ["hang_up", "cut", "broken", "slow_down"])
async def test_a_failing_token_endpoint_leaves_no_doubt_about_the_message(bench: Bench, kind: str) -> None:
    bench.server.token_faults.next(Fault(kind))  # type: ignore[arg-type]
    end = await bench.end()
    assert isinstance(end, Away)
    assert "no token" in str(end)
    assert bench.server.asked == 0


async def test_a_token_that_was_revoked_is_replaced_once(bench: Bench) -> None:
    await bench.end()
    bench.server.revoke_tokens()
    assert isinstance(await bench.end(), Receipt)
    assert bench.server.tokens_given == 2
    bench.server.faults.always = Fault("expired_token")
    asked = bench.server.asked
    assert isinstance(await bench.end(), Away)
    assert bench.server.asked == asked + 2


def test_a_service_account_keeps_its_key_to_itself() -> None:
    account = ServiceAccount(
        "project", "id", "-----BEGIN NONSENSE", "a@b.example", "https://oauth2.googleapis.com/token"
    )
    assert "NONSENSE" not in repr(account)
    with pytest.raises(BadKey) as caught:
        GoogleTokens(account, "scope", None, ManualClock(), provider="fcm", limits=LIMITS)  # type: ignore[arg-type]
    assert "NONSENSE" not in str(caught.value)


# -- what an error means


async def test_registrations_that_are_gone_or_never_were_any_are_dead(bench: Bench) -> None:
    bench.server.dead.add(DEVICE.address)
    assert isinstance(await bench.end(), DeadAddress)
    assert isinstance(await bench.end(push(Device("fcm", "bad-token"))), DeadAddress)


async def test_a_message_of_ours_that_is_wrong_kills_no_address(bench: Bench) -> None:
    bench.server.faults.next(Fault("refused"))
    assert type(await bench.end()) is Refused


async def test_a_registration_of_another_project_is_refused(bench: Bench) -> None:
    bench.server.foreign.add(DEVICE.address)
    assert type(await bench.end()) is Refused


async def test_a_project_that_we_may_not_use_is_no_messages_fault(bench: Bench) -> None:
    bench.server.faults.next(Fault("bad_token"))
    assert isinstance(await bench.end(), Away)


async def test_a_quota_without_a_time_is_a_minute_for_everybody(bench: Bench) -> None:
    bench.server.faults.next(Fault("slow_down"))
    end = await bench.end()
    assert isinstance(end, Throttled)
    assert end.retry_after_s == 60


async def test_the_quota_of_one_device_is_that_devices_matter(bench: Bench) -> None:
    bench.server.faults.next(Fault("slow_down", code="device"))
    end = await bench.end()
    assert isinstance(end, TryLater)
    assert not isinstance(end, Throttled)


def test_the_account_of_the_server_is_what_google_gives() -> None:
    server = FcmServer(lambda: 0.0)
    assert service_account(server).project_id == json.loads(server.service_account())["project_id"]
