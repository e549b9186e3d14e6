"""Who is at the other end, seen through the proxies in front of us.

A proxy that passes a request on says in X-Forwarded-For where it had it from. Anybody can write that header, so it is read
only when the connection itself comes from a proxy that the operator has named, and then from the right: each of our proxies
has added whom it spoke to, and the first address that is not one of ours is the client. What stands left of it is the
client's own story.
"""

import ipaddress
from collections.abc import Iterable
from typing import Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

FORWARDED_FOR: Final = "X-Forwarded-For"
FORWARDED_PROTO: Final = "X-Forwarded-Proto"


class TrustedProxies:
    """The proxies whose word is taken, by the networks they are in. With none, every connection is from whom it comes."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._networks: Final = tuple(networks)

    def trust(self, address: str) -> bool:
        """Whether this is the address of one of our proxies."""
        if not self._networks:
            return False
        found = parse_address(address)
        return found is not None and self._hold(found)

    def client(self, peer: str, forwarded: Iterable[str]) -> str:
        """The address of the client whose connection comes from `peer` with these X-Forwarded-For headers.

        An entry that is no address ends the search: what is known by then is the proxy that let it pass.
        """
        if not self.trust(peer):
            return peer
        nearest = peer
        for entry in reversed(",".join(forwarded).split(",")):
            found = parse_address(entry)
            if found is None:
                return nearest
            nearest = str(found)
            if not self._hold(found):
                return nearest
        return nearest

    def counted(self, client: str) -> str | None:
        """A client's address for counting attempts; None for this machine itself and for our own proxies: a loopback address is
        a proxy on the same host, and then it is everybody's, as is that of a proxy which does not say for whom it asks."""
        found = parse_address(client)
        return None if found is None or found.is_loopback or self.trust(client) else client

    def https(self, peer: str, proto: str) -> bool:
        """Whether one of our proxies, at `peer`, says that its client came by HTTPS. Nobody else's word counts for it."""
        return proto.strip().lower() == "https" and self.trust(peer)

    def _hold(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def parse_address(text: str) -> Address | None:
    """An address as a socket or a proxy writes it: with a zone, in brackets, with a port; None for anything else. An IPv4
    address that came in over an IPv6 socket is the IPv4 address."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def household(address: str) -> str:
    """What counts as one address: an IPv6 line usually has a whole /64 to itself, and may choose among its addresses."""
    found = parse_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((found, 64), strict=False))
    return address if found is None else str(found)
