"""Who is let in: one decision, whichever way somebody comes."""

import asyncio
import ipaddress
import re
from typing import Any

import aiohttp
import pytest

from gateway.proxies import TrustedProxies
from gateway.sockets.engine.admission import (
    ADDRESS,
    DRAINING,
    FULL,
    NO_DESCRIPTORS,
    REASONS,
    TOO_FAST,
    UNAUTHENTICATED,
    Admission,
)
from gateway.sockets.engine.server import Engine
from services.kernel.clock import ManualClock
from tests.gateway.sockets.build import Gateway, open_client, open_gateway
from tests.gateway.sockets.engine.test_door import open_wire, request

LOOPBACK = TrustedProxies([ipaddress.ip_network("127.0.0.0/8")])
POLLING = request("/socket.io/?EIO=4&transport=polling", Upgrade="", Connection="")


class Now:
    """A clock for the pure part."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def why(admission: Admission, address: str = "198.51.100.7", descriptor: int = 9, links: int = 0) -> Any:
    return admission.why_not(address, descriptor, links=links, unauthenticated=links)


def test_each_bound_has_a_reason_of_its_own() -> None:
    now = Now()
    admission = Admission(now, max_links=3, max_unauthenticated=2, handshakes_per_second=2.0, per_address=1)
    assert why(admission, links=3) == FULL
    assert why(admission, links=2) == UNAUTHENTICATED
    assert why(admission, descriptor=10**9) == NO_DESCRIPTORS
    admission.entered("198.51.100.7")
    assert why(admission) == ADDRESS
    assert why(admission, "198.51.100.8") is None
    assert why(admission, "198.51.100.8") is None
    assert why(admission, "198.51.100.8") == TOO_FAST
    now.now += 0.5
    assert why(admission, "198.51.100.8") is None
    admission.draining = True
    assert why(admission, "198.51.100.8") == DRAINING


def test_only_an_address_that_has_too_many_is_told_that_it_is_its_own_doing() -> None:
    assert {reason.word for reason in REASONS if reason.status == 429} == {"address"}
    assert {reason.status for reason in REASONS} == {429, 503}


def test_those_sent_away_together_do_not_return_together() -> None:
    for reason in REASONS:
        first, last = reason.come_again_s
        drawn = {
            reason.retry_after_s() for _ in range(5_000)
        }  # of at most some fifty: none is left out but once in 10^40 times
        assert drawn == set(range(first, last + 1))


def test_an_address_gets_its_place_back() -> None:
    admission = Admission(Now(), per_address=2)
    for _ in range(2):
        admission.entered("2001:db8::1")
    assert why(admission, "2001:db8::2") == ADDRESS, "the same line"
    admission.left("2001:db8::1")
    assert why(admission, "2001:db8::2") is None
    admission.left("2001:db8::1")
    admission.left("2001:db8::1")
    assert why(admission, "2001:db8::2") is None


def test_our_own_proxies_are_not_counted() -> None:
    admission = Admission(Now(), per_address=1, proxies=LOOPBACK)
    admission.entered("127.0.0.1")
    admission.entered("127.0.0.1")
    assert why(admission, "127.0.0.1") is None


# -- as clients meet it -------------------------------------------------------------------------------------------------------


async def heads(gateway: Gateway, **headers: str) -> list[str]:
    """The answers to one handshake each way: through the door, through aiohttp's WebSocket, by polling."""
    found = []
    for asked in (
        request(**headers),
        request("/socket.io/?EIO=4&transport=web%73ocket", **headers),
        request("/socket.io/?EIO=4&transport=polling", Upgrade="", Connection="", **headers),
    ):
        async with open_wire(gateway) as wire:
            found.append(await wire.ask(asked))
    return found


def statuses(found: list[str]) -> list[int]:
    return [int(head.split(" ")[1]) for head in found]


def retry_after(found: list[str]) -> list[int]:
    return [int(re.search(r"Retry-After: (\d+)", head)[1]) for head in found]  # type: ignore[index]


async def test_a_node_that_stops_sends_newcomers_away_whichever_way_they_come() -> None:
    async with open_gateway() as gateway:
        gateway.server.refuse()
        found = await heads(gateway)
        assert statuses(found) == [503, 503, 503]
        assert all(DRAINING.come_again_s[0] <= wait <= DRAINING.come_again_s[1] for wait in retry_after(found))
        assert gateway.server.statistics().refused == {"draining": 3}


async def test_an_address_may_have_so_many_and_is_told_429() -> None:
    async with open_gateway(max_per_address=2) as gateway:
        async with open_client(gateway), open_client(gateway):
            found = await heads(gateway)
            assert statuses(found) == [429, 429, 429]
            assert all(ADDRESS.come_again_s[0] <= wait <= ADDRESS.come_again_s[1] for wait in retry_after(found))
        await gateway.wait_until(lambda: not gateway.server.eio.links)
        async with open_client(gateway):
            pass


async def test_clients_behind_our_proxy_are_told_apart_whichever_way_they_come() -> None:
    async with (
        open_gateway(max_per_address=1, trusted_proxies=LOOPBACK) as gateway,
        open_client(gateway, **{"X-Forwarded-For": "198.51.100.7"}),
        open_client(gateway, **{"X-Forwarded-For": "203.0.113.9, 198.51.100.8"}),
    ):
        assert sorted(line.peer for line in gateway.server.lines()) == ["198.51.100.7", "198.51.100.8"]
        assert statuses(await heads(gateway, X_Forwarded_For="198.51.100.7")) == [429] * 3
        assert statuses(await heads(gateway, X_Forwarded_For="203.0.113.9, 198.51.100.8")) == [429] * 3
        assert statuses(await heads(gateway, X_Forwarded_For="198.51.100.9"))[0] == 101


async def test_what_a_stranger_forwards_is_not_believed_whichever_way_they_come() -> None:
    async with open_gateway(max_per_address=1) as gateway, open_client(gateway):
        assert statuses(await heads(gateway, X_Forwarded_For="198.51.100.7")) == [429] * 3
        assert [line.peer for line in gateway.server.lines()] == ["127.0.0.1"]


async def test_a_proxy_that_does_not_say_for_whom_it_speaks_is_not_bounded() -> None:
    async with (
        open_gateway(max_per_address=1, trusted_proxies=LOOPBACK) as gateway,
        open_client(gateway),
        open_client(gateway),
    ):
        assert len(gateway.server.lines()) == 2


async def test_one_account_may_have_so_many_connections_and_is_told_so_at_connect() -> None:
    async with open_gateway(max_per_account=2) as gateway:
        async with open_client(gateway) as one, open_client(gateway) as two, open_client(gateway) as three:
            await one.connect("1")
            await two.connect("1")
            await three.text('40/live,{"token":"1"}')
            refused = await three.packet()
            assert refused.startswith("44/live,")
            assert '"code":"too_many_connections"' in refused
            assert '"retry":true' in refused
            assert 10_000 <= int(re.search(r'"retry_after_ms":(\d+)', refused)[1]) <= 60_000  # type: ignore[index]
            await three.connect("2")
        async with open_client(gateway) as again:
            await gateway.wait_until(lambda: not gateway.node.hub.connections())
            await again.connect("1")


async def test_an_id_begins_with_the_tag_of_its_process_over_either_transport() -> None:
    async with open_gateway(tag="gw7") as gateway:
        async with aiohttp.ClientSession() as http:
            async with http.get(f"{gateway.address}/socket.io/?EIO=4&transport=polling") as response:
                polled = await response.text()
            assert re.match(r'0\{"sid":"gw7\.[\w-]{20}"', polled)
            sid = re.search(r'"sid":"([^"]+)"', polled)[1]  # type: ignore[index]
            url = f"{gateway.address}/socket.io/?EIO=4&transport=polling&sid={sid}"
            async with http.post(url, data='40/live,{"token":"1"}') as response:
                assert response.status == 200
            async with http.get(url) as response:
                assert (await response.text()).startswith("40/live,")
        async with open_client(gateway) as client:
            await client.connect()
        assert all(sid.startswith("gw7.") for sid in gateway.server.eio.links)


@pytest.mark.parametrize("tag", ["GW", "a.b", "a-b", "x" * 17])
async def test_a_tag_that_a_proxy_could_not_cut_off_is_refused(tag: str) -> None:
    with pytest.raises(ValueError, match="tag"):
        Engine(clock=ManualClock(), tag=tag)


async def test_a_connection_that_takes_the_last_descriptors_is_closed_and_one_that_comes_near_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_gateway() as gateway:
        admission = gateway.server.eio.admission
        monkeypatch.setattr(admission, "_descriptors", 0)
        assert statuses(await heads(gateway)) == [503, 503, 503]
        async with aiohttp.ClientSession() as http, http.get(f"{gateway.address}/livez-not") as response:
            assert response.status == 404, "HTTP still works"
        monkeypatch.setattr(admission, "_descriptors_at_most", 0)
        async with open_wire(gateway) as wire:
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await wire.ask(request())
        assert gateway.server.statistics().cut == {"descriptors": 1}
        monkeypatch.undo()
        async with open_client(gateway) as client:
            await client.connect()
