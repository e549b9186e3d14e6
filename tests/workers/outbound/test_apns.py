"""Push to Apple's devices, beyond what every provider promises (tests/contracts/test_providers.py)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from services.kernel.clock import ManualClock
from services.notifications.outgoing import (
    DeadAddress,
    Device,
    InDoubt,
    NotTaken,
    PushMessage,
    Receipt,
    Refused,
    TryLater,
)
from tests.support.providers import ApnsServer, Fault, open_apns
from tests.support.providers.build import apns_provider, apns_token, push, team
from workers.outbound.apns import RENEW_S, ApnsProvider, Team
from workers.outbound.outcomes import Away, Throttled
from workers.outbound.signing_keys import BadKey


@contextlib.asynccontextmanager
async def pushing(clock: ManualClock) -> AsyncIterator[tuple[ApnsServer, ApnsProvider]]:
    async with open_apns(now_s=lambda: clock.wall_ms() / 1_000) as server:
        provider = apns_provider(server, clock)
        try:
            yield server, provider
        finally:
            await provider.close()


async def end_of(provider: ApnsProvider, message: PushMessage | None = None) -> Receipt | NotTaken:
    try:
        return await provider.send(message or push())
    except NotTaken as end:
        return end


async def test_a_push_says_all_that_apple_asks_for() -> None:
    clock = ManualClock()
    async with pushing(clock) as (server, provider):
        message = push(badge=3, ttl_s=600, urgency="high")
        receipt = await provider.send(message)
        assert receipt == Receipt("apns", str(message.message_id))
        (pushed,) = server.pushed
        assert pushed.device == apns_token()
        assert pushed.payload == {
            "aps": {
                "alert": {"title": "Your class", "body": "You did 42 points."},
                "thread-id": "class-0193",
                "badge": 3,
                "sound": "default",
            },
            "id": str(message.message_id),
            "data": {"open": "/classes/0193"},
        }
        sent = {name: value for name, value in pushed.headers.items() if name.startswith("apns-")}
        assert sent == {
            "apns-id": str(message.message_id),
            "apns-topic": "example.paceline",
            "apns-push-type": "alert",
            "apns-priority": "10",
            "apns-expiration": str(clock.wall_ms() // 1_000 + 600),
            "apns-collapse-id": "class-0193",
        }


async def test_something_of_low_urgency_makes_no_noise_and_without_a_lifetime_it_is_now_or_never() -> None:
    async with pushing(ManualClock()) as (server, provider):
        await provider.send(push(urgency="low", ttl_s=0))
        (pushed,) = server.pushed
        assert pushed.headers["apns-priority"] == "5"
        assert pushed.headers["apns-expiration"] == "0"
        assert "sound" not in pushed.payload["aps"]


async def test_the_device_shows_the_newest_of_one_collapse_key() -> None:
    async with pushing(ManualClock()) as (server, provider):
        for title in ("old", "new"):
            await provider.send(push(title=title))
        await provider.send(push(title="other", collapse_key="other"))
        assert server.screens == {apns_token(): {"class-0193": "new", "other": "other"}}


async def test_a_long_push_is_shortened_to_what_apple_takes() -> None:
    async with pushing(ManualClock()) as (server, provider):
        assert isinstance(await end_of(provider, push(body="ß" * 9_000)), Receipt)
        assert server.pushed[0].payload["aps"]["alert"]["body"].endswith("ß…")


# -- the provider token


async def test_one_token_serves_for_forty_minutes_and_then_another_is_made() -> None:
    clock = ManualClock()
    async with pushing(clock) as (server, provider):
        for _ in range(3):
            await provider.send(push())
        assert len(server.tokens) == 1
        await clock.advance(RENEW_S - 1)
        await provider.send(push())
        assert len(server.tokens) == 1
        await clock.advance(1)
        await provider.send(push())
        assert len(server.tokens) == 2
        assert len(server.pushed) == 5


async def test_a_token_that_is_called_expired_is_renewed_once() -> None:
    clock = ManualClock()
    async with pushing(clock) as (server, provider):
        server.faults.next(Fault("expired_token"))
        assert isinstance(await end_of(provider), Receipt)
        await clock.advance(1)
        server.faults.next(Fault("expired_token"), Fault("expired_token"))
        asked = server.asked
        assert isinstance(await end_of(provider), Away), "not again and again"
        assert server.asked == asked + 2


async def test_many_that_are_rejected_together_share_the_new_token() -> None:
    clock = ManualClock()
    async with pushing(clock) as (server, provider):
        await provider.send(push())
        await clock.advance(RENEW_S / 2)
        server.faults.next(*[Fault("expired_token")] * 8)
        ends = await asyncio.gather(*(end_of(provider) for _ in range(8)))
        assert all(isinstance(end, Receipt) for end in ends)
        assert len(server.tokens) == 2


async def test_a_key_that_apple_does_not_know_is_no_messages_fault() -> None:
    async with pushing(ManualClock()) as (server, provider):
        server.faults.next(Fault("bad_token"))
        assert isinstance(await end_of(provider), Away)


def test_a_key_of_another_kind_is_refused_without_being_shown() -> None:
    with pytest.raises(BadKey, match=r"\.p8") as caught:
        ApnsProvider(Team("-----BEGIN NONSENSE-----", "K", "T", "topic"), ManualClock(), url="https://localhost:1")
    assert "NONSENSE" not in str(caught.value)
    assert "PRIVATE KEY" not in repr(team())


# -- dead devices


async def test_a_device_that_is_gone_says_since_when() -> None:
    async with pushing(ManualClock()) as (server, provider):
        server.dead[apns_token()] = 1_780_000_000_000
        end = await end_of(provider)
        assert isinstance(end, DeadAddress)
        assert end.since_ms == 1_780_000_000_000


@pytest.mark.parametrize("token", ["not-a-token", "abc", "", "../../3/device/" + apns_token(), "é" * 64])
async def test_what_is_no_device_token_is_dead(token: str) -> None:
    async with pushing(ManualClock()) as (_, provider):
        assert isinstance(await end_of(provider, push(Device("apns", token))), DeadAddress)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault("refused", code="DeviceTokenNotForTopic"), Refused),
        (Fault("refused", code="BadDeviceToken"), DeadAddress),
        (Fault("refused", code="PayloadTooLarge", status=413), Refused),
        (Fault("slow_down"), TryLater),
        (Fault("slow_down", code="TooManyProviderTokenUpdates"), Throttled),
    ],
)
async def test_apples_reasons_are_told_apart(fault: Fault, kind: type[NotTaken]) -> None:
    async with pushing(ManualClock()) as (server, provider):
        server.faults.next(fault)
        assert type(await end_of(provider)) is kind


# -- HTTP/2


async def test_many_pushes_share_one_connection_at_the_same_time() -> None:
    async with pushing(ManualClock()) as (server, provider):
        await provider.send(push())
        ends = await asyncio.gather(*(end_of(provider) for _ in range(30)))
        assert all(isinstance(end, Receipt) for end in ends)
        assert server.connections == 1


@pytest.mark.parametrize("kind", ["goaway", "refuse_stream"])
async def test_a_stream_that_was_never_looked_at_goes_again_at_once(kind: str) -> None:
    async with pushing(ManualClock()) as (server, provider):
        first, second = push(), push()
        for message in (first, second):
            server.faults.next(Fault(kind))  # type: ignore[arg-type]
            assert isinstance(await end_of(provider, message), Receipt)
        assert server.taken == {str(first.message_id): 1, str(second.message_id): 1}


async def test_a_server_that_refuses_every_stream_is_away() -> None:
    async with pushing(ManualClock()) as (server, provider):
        server.faults.always = Fault("refuse_stream")
        assert isinstance(await end_of(provider), Away)


async def test_a_stream_that_is_reset_after_all_was_sent_leaves_doubt() -> None:
    async with pushing(ManualClock()) as (server, provider):
        server.faults.next(Fault("reset_stream"))
        assert isinstance(await end_of(provider), InDoubt)
        assert isinstance(await end_of(provider), Receipt)
        assert server.connections == 1, "the other streams go on"


async def test_a_connection_that_ends_among_many_pushes_costs_none_of_them_and_doubles_none() -> None:
    async with pushing(ManualClock()) as (server, provider):
        for position in range(6):
            messages = [push() for _ in range(12)]
            server.faults.next(*[None] * position, Fault("goaway"))
            ends = await asyncio.gather(*(end_of(provider, one) for one in messages))
            assert [end for end in ends if not isinstance(end, Receipt)] == [], position
            assert [server.taken[str(one.message_id)] for one in messages] == [1] * 12
