"""Pages of apps get a socket to show their token on, as long as there is such an app (ASVS 4.4.2)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest

from gateway.http.cross_origin import cross_origin
from gateway.proxies import TrustedProxies
from persistence.database import Database
from services.apps.apps import Apps
from services.apps.lent import BELIEVED_S
from services.apps.origins import Origins
from services.kernel.caller import Caller
from services.kernel.clock import ManualClock
from services.limits.limits import Limits
from tests.gateway.sockets.build import Gateway, open_client, open_gateway
from tests.gateway.sockets.test_origins import COOKIE, handshake
from tests.support.world import World

DIARY = "https://diary.example"
TRANSPORTS = {"websocket": 101, "polling": 200}


@dataclass
class Site:
    """A gateway that knows of apps, and somebody who registers them."""

    gateway: Gateway
    world: World
    origins: Origins
    clock: ManualClock
    owner: Caller
    apps: Apps

    async def handshakes(self, origin: str, **more: str) -> dict[str, int]:
        headers = {"Origin": origin, **more}
        return {each: await handshake(self.gateway.address, each, headers) for each in TRANSPORTS}


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Site]:
    world, clock = World(database), ManualClock()
    origins, limits = Origins(world.transactions, Limits(clock), clock), Limits(clock)
    layer = cross_origin(origins, limits, TrustedProxies(), ())
    apps = Apps(world.transactions, clock, world.ids)
    async with open_gateway(layers=[layer], of_apps=origins.holds) as gateway:
        yield Site(gateway, world, origins, clock, await world.account("Ada"), apps)


async def test_a_page_of_an_app_gets_a_socket_and_no_other_page_does(site: Site) -> None:
    assert set((await site.handshakes(DIARY)).values()) == {400}
    await site.apps.register(site.owner, name="Diary", kind="public", uris=(f"{DIARY}/callback",))
    await site.clock.advance(BELIEVED_S)
    assert await site.handshakes(DIARY) == TRANSPORTS
    for stranger in ("https://evil.example", "http://diary.example", "https://diary.example.evil.example", "null"):
        assert set((await site.handshakes(stranger)).values()) == {400}, stranger
    async with open_client(site.gateway, Origin=DIARY) as client:
        await client.connect("1")


async def test_the_door_lets_it_in_by_itself_once_it_is_known(site: Site) -> None:
    """The straight way of WebSockets, without aiohttp, is for them as well."""
    await site.apps.register(site.owner, name="Diary", kind="public", uris=(f"{DIARY}/callback",))
    await site.handshakes(DIARY)
    before = site.gateway.requests()
    assert await handshake(site.gateway.address, "websocket", {"Origin": DIARY}) == 101
    assert (site.gateway.requests(), site.origins.asked) == (before, 1)


async def test_with_the_app_its_page_has_lost_sockets_within_five_seconds(site: Site) -> None:
    """ASVS 8.3.2."""
    registered = await site.apps.register(site.owner, name="Diary", kind="public", uris=(f"{DIARY}/callback",))
    assert await site.handshakes(DIARY) == TRANSPORTS
    await site.apps.delete(site.owner, registered.app.id)
    await site.clock.advance(BELIEVED_S)
    assert set((await site.handshakes(DIARY)).values()) == {400}


async def test_its_polls_are_answered_without_a_word_for_cookies(site: Site) -> None:
    """ASVS 4.4.3, 4.4.4, 3.5.1: a cookie that comes along opens nothing, and the browser is not told that it may come."""
    await site.apps.register(site.owner, name="Diary", kind="public", uris=(f"{DIARY}/callback",))
    url = f"{site.gateway.address}/socket.io/?EIO=4&transport=polling"
    async with aiohttp.ClientSession() as http:
        async with http.get(url, headers={"Origin": DIARY, **COOKIE}) as poll:
            assert (poll.status, poll.headers["Access-Control-Allow-Origin"]) == (200, DIARY)
            assert "Access-Control-Allow-Credentials" not in poll.headers
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        async with http.options(url, headers={"Origin": DIARY, **asked}) as preflight:
            assert (preflight.status, preflight.headers["Access-Control-Allow-Origin"]) == (204, DIARY)
            assert "Access-Control-Allow-Credentials" not in preflight.headers
        async with http.get(url, headers={"Origin": site.gateway.address}) as own:
            assert own.headers["Access-Control-Allow-Credentials"] == "true"
