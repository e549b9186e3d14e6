"""The ways out of an installation, put together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest

from services.kernel.clock import SystemClock
from services.notifications.outgoing import CHANNELS, Device, InDoubt, NotTaken, Outgoing, Receipt, Refused, TryLater
from services.notifications.vapid import VapidKey
from tests.support.providers import (
    ApnsServer,
    Fault,
    FcmServer,
    authority,
    open_apns,
    open_fcm,
    open_push_service,
)
from tests.support.providers.build import SENDER, SUBJECT, mail, push, service_account, sms, team, vapid_key
from workers.outbound.client import Limits, open_outbound
from workers.outbound.egress import Egress
from workers.outbound.providers import (
    PUSH_PLACES,
    ApnsMeans,
    FcmMeans,
    MailMeans,
    Means,
    WaysOut,
    WebPushMeans,
    open_providers,
)

CLOCK = SystemClock()
LOOPBACK = Egress((ip_network("127.0.0.0/8"), ip_network("::1/128")))
ANDROID = Device("fcm", "x" * 40)


@asynccontextmanager
async def ways_out(means: Means, guard: Egress = LOOPBACK) -> AsyncIterator[WaysOut]:
    trusted = authority().client()
    async with (
        open_outbound(CLOCK, LOOPBACK, limits=Limits(), tls=trusted) as named,
        open_outbound(CLOCK, guard, tls=trusted) as guarded,
        open_providers(means, CLOCK, named=named, guarded=guarded, tls=trusted) as ways,
    ):
        yield ways


async def end_of(ways: WaysOut, message: Outgoing) -> Receipt | NotTaken:
    try:
        return await ways.send(message)
    except NotTaken as end:
        return end


async def test_without_means_everything_is_refused_with_the_cure() -> None:
    async with ways_out(Means()) as ways:
        for message in (mail(), push(), push(ANDROID), push(Device("webpush", "https://push.example/1")), sms()):
            with pytest.raises(Refused, match=r"docs/howto/providers\.md"):
                await ways.send(message)
        assert [ways.speaks(channel) for channel in CHANNELS] == [False] * 4


async def test_a_channel_is_spoken_when_any_of_its_providers_is_there(tmp_path: Path) -> None:
    async with open_fcm() as google:
        means = Means(mail=MailMeans(tmp_path, SENDER), fcm=FcmMeans(service_account(google), google.url))
        async with ways_out(means) as ways:
            assert (ways.speaks("email"), ways.speaks("push"), ways.speaks("sms")) == (True, True, False)
            assert isinstance(await end_of(ways, mail()), Receipt)
            assert isinstance(await end_of(ways, push(ANDROID)), Receipt)
            assert isinstance(await end_of(ways, push()), Refused), "no provider for Apple's devices"
            assert {name: one.taken for name, one in ways.statistics().items()} == {"folder": 1, "fcm": 1}


async def test_each_device_is_reached_by_its_own_provider() -> None:
    async with open_apns() as apple, open_fcm() as google, open_push_service() as service:
        key = vapid_key()
        browser = service.subscribe(key.public)
        async with ways_out(all_push(apple, google, key)) as ways:
            for message in (push(), push(ANDROID), push(browser.device)):
                assert isinstance(await end_of(ways, message), Receipt)
        assert (len(apple.pushed), len(google.pushed), len(browser.got)) == (1, 1, 1)


async def test_a_browser_cannot_make_us_call_an_inner_address() -> None:
    async with open_apns() as apple, open_fcm() as google, open_push_service() as service:
        key = vapid_key()
        browser = service.subscribe(key.public)
        async with ways_out(all_push(apple, google, key), Egress()) as ways:
            assert isinstance(await end_of(ways, push(browser.device)), Refused)
            assert isinstance(await end_of(ways, push(ANDROID)), Receipt), "what the operator has named is inside here"
        assert service.asked == 0


async def test_a_hundred_messages_for_a_provider_that_hangs_delay_nobody_else() -> None:
    async with open_apns() as apple, open_fcm() as google, open_push_service() as service:
        key = vapid_key()
        browser = service.subscribe(key.public)
        async with ways_out(all_push(apple, google, key)) as ways:
            await ways.send(push(ANDROID))
            google.faults.always = Fault("hang")
            flood = [asyncio.create_task(end_of(ways, push(ANDROID)), name=f"flood {n}") for n in range(100)]
            started = CLOCK.monotonic()
            others = await asyncio.gather(
                *(end_of(ways, one) for _ in range(10) for one in (push(), push(browser.device)))
            )
            assert all(isinstance(end, Receipt) for end in others)
            assert CLOCK.monotonic() - started < 5, "an answer of the one that hangs would take ten"
            google.over.set()
            ends = await asyncio.gather(*flood)
    assert sum(isinstance(end, TryLater) and end.blameless for end in ends) == 100 - PUSH_PLACES
    assert sum(isinstance(end, InDoubt | TryLater) for end in ends) == 100


def all_push(apple: ApnsServer, google: FcmServer, key: VapidKey) -> Means:
    return Means(
        apns=ApnsMeans(team(), apple.url),
        fcm=FcmMeans(service_account(google), google.url),
        web_push=WebPushMeans(key, SUBJECT),
    )
