"""Whose address the use cases are given: the client's, as far as somebody we trust has said it."""

import ipaddress
from collections.abc import Awaitable, Callable
from typing import NoReturn

import pytest

from gateway.proxies import TrustedProxies
from services.kernel.problems import ClassNotFound
from tests.gateway.http.conftest import Api

Start = Callable[..., Awaitable[Api]]
LOOPBACK = TrustedProxies([ipaddress.ip_network("127.0.0.0/8")])


class Displays:
    """Opens none, and remembers who asked."""

    def __init__(self) -> None:
        self.seen: list[str | None] = []

    async def open(self, code: str, *, address: str | None) -> NoReturn:
        self.seen.append(address)
        raise ClassNotFound


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (LOOPBACK, "198.51.100.7", "198.51.100.7"),
        (LOOPBACK, "203.0.113.1, 198.51.100.7", "198.51.100.7"),
        (LOOPBACK, None, None),
        (LOOPBACK, "127.0.0.9", None),
        (TrustedProxies(), "198.51.100.7", None),
        (TrustedProxies([ipaddress.ip_network("10.0.0.0/8")]), "198.51.100.7", None),
    ],
)
async def test_attempts_are_counted_for_the_client_that_a_trusted_proxy_names(
    with_deps: Start, proxies: TrustedProxies, forwarded: str | None, address: str | None
) -> None:
    """ASVS 4.1.3: header spoofing directly, and through a proxy that is ours or is not."""
    displays = Displays()
    api = await with_deps(displays=displays, proxies=proxies)
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    assert (await api.call("POST", "/v1/displays", {"code": "ABCD"}, headers=headers)).status == 404
    assert displays.seen == [address]
