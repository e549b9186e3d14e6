"""Which addresses of other people may be called. Pure: it parses and compares, and asks nobody.

An address that somebody else gives us (a webhook, a push subscription) is a way to make this machine send requests from
inside its own network: to the metadata service of its cloud, to a database without a password, to itself. So the rule is
a short list of what is allowed, not a long one of what is forbidden: https, a host written in the one usual way, a port
that web servers use, and a public unicast address.

It is asked twice. `judge_url` looks at the text, when an address is registered and before every call. `judge_address`
looks at what the name means right now, and the connection is made to exactly that (client.py), because a name may mean
something else a moment later. IPv4 addresses that are written as IPv6 ones (IPv4-mapped, NAT64) are judged by what is in
them. Tunnels (6to4, Teredo) are refused whatever is in them: nobody serves anything there.

The tables are written out, because what the standard library calls global has changed between its releases. They are
IANA's special-purpose address registries of 2026 (RFC 6890 and its successors); the tests compare.

`allowed` are networks that may be called besides, by http too and at any port: for development, for tests, and for a
partner behind a private line.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_URL: Final = 2_048
"""Characters. What is longer is refused by many servers, too."""

_SPECIAL_V4: Final = tuple(
    (ipaddress.IPv4Network(network), name)
    for network, name in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by a carrier"),
        ("127.0.0.0/8", "this machine"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved for protocols"),
        ("192.0.2.0/24", "for documentation"),
        ("192.31.196.0/24", "a sink for name servers"),
        ("192.52.193.0/24", "reserved for multicast relays"),
        ("192.88.99.0/24", "a relay of tunnels"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "a sink for name servers"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_UNICAST_V6: Final = ipaddress.IPv6Network("2000::/3")
"""The only part of IPv6 that IANA gives out; loopback, private, link-local and multicast lie outside."""
_SPECIAL_V6: Final = tuple(
    (ipaddress.IPv6Network(network), name)
    for network, name in (
        ("2001::/32", "a Teredo tunnel"),
        ("2001::/23", "reserved for protocols"),
        ("2001:db8::/32", "for documentation"),
        ("2002::/16", "a 6to4 tunnel"),
        ("2620:4f:8000::/48", "a sink for name servers"),
        ("3fff::/20", "for documentation"),
    )
)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")

_SERVICE_PORTS: Final = frozenset(
    {
        # What browsers refuse above 1023 (WHATWG Fetch, "bad port").
        1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
        # Databases, queues and caches, which may take a request for something of their own.
        1433, 1521, 2375, 2376, 2379, 3306, 5432, 5672, 6379, 9042, 9092, 9200, 9300, 11211, 15672, 27017,
    }
)  # fmt: skip

_SCHEME = re.compile(r"(https?)://", re.IGNORECASE)
_PLAIN_TEXT = re.compile(r"[!-~]+")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.IGNORECASE)
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.IGNORECASE)


class EgressRefused(Exception):  # noqa: N818 - it says what became of the call
    """This address must not be called. The message says why, in words for whoever has given it."""


@dataclass(frozen=True)
class Target:
    """Where a URL leads. `host` a name in small letters or an address without brackets; `address` the latter, parsed."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    address: Address | None

    @property
    def plain(self) -> bool:
        """Whether everything between could read and change it."""
        return self.scheme == "http"


@dataclass(frozen=True)
class Egress:
    """The rule. `allowed`: networks that may be called besides the public internet."""

    allowed: tuple[Network, ...] = ()

    def judge_url(self, url: str) -> Target:
        """Where this URL leads, as far as its text tells. Raises `EgressRefused`."""
        target = _parsed(url)
        if target.address is not None:
            self.judge_address(target.address, target.port, plain=target.plain)
        elif not self.allowed:
            # With exceptions, only the addresses behind the name can tell whether this is one.
            _judge_manners(target.port, plain=target.plain)
        return target

    def judge_address(self, address: Address, port: int, *, plain: bool) -> None:
        """Raise `EgressRefused` unless a connection to this address and port is allowed; `plain` one without TLS."""
        inner = _inner(address)
        if any(inner in network for network in self.allowed):
            return
        if (why := _why_not_public(inner)) is not None:
            raise EgressRefused(f"it leads to an address that is not public ({why})")
        _judge_manners(port, plain=plain)


def _judge_manners(port: int, *, plain: bool) -> None:
    if plain:
        raise EgressRefused("it has to begin with https://")
    if port != 443 and (port < 1024 or port in _SERVICE_PORTS):
        raise EgressRefused(f"port {port} belongs to another kind of service; use 443, or a free one above 1023")


def _inner(address: Address) -> Address:
    """The address that is meant: an IPv4 address in IPv6's clothes is an IPv4 address."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _why_not_public(address: Address) -> str | None:
    if isinstance(address, ipaddress.IPv4Address):
        return next((name for network, name in _SPECIAL_V4 if address in network), None)
    if address not in _UNICAST_V6 or address.scope_id is not None:
        return "not a global unicast address"
    return next((name for network, name in _SPECIAL_V6 if address in network), None)


def _parsed(url: str) -> Target:
    """The parts of a URL that is written in the one usual way.

    Every parser agrees on such a text; where two of them could disagree, one would judge another host than the other calls.
    """
    if len(url) > MAX_URL:
        raise EgressRefused(f"it is longer than {MAX_URL} characters")
    if not _PLAIN_TEXT.fullmatch(url) or "\\" in url:
        raise EgressRefused("it may only have printable ASCII characters, without spaces and backslashes")
    scheme = _SCHEME.match(url)
    if scheme is None:
        raise EgressRefused("it has to begin with https://")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise EgressRefused(f"it is not a URL: {error}") from error
    if "@" in parts.netloc:
        raise EgressRefused("it may not carry a user name or a password")
    if parts.fragment or url.endswith("#"):
        raise EgressRefused("what stands behind # is never sent; leave it out")
    plain = scheme[1].lower() == "http"
    host, address = _host(parts.netloc)
    return Target("http" if plain else "https", host, (80 if plain else 443) if port is None else port, address)


def _host(netloc: str) -> tuple[str, Address | None]:
    if netloc.startswith("["):
        text, bracket, rest = netloc[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise EgressRefused("its host is not an IPv6 address in brackets")
        return _literal(text, ipaddress.IPv6Address)
    host = netloc.partition(":")[0].lower()
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise EgressRefused("its host is not a name; write one with other letters in its ASCII form (xn--…)")
    if _NUMBER.fullmatch(labels[-1]):
        # Some systems read 127.1, 0x7f.1 and 2130706433 as addresses.
        return _literal(host, ipaddress.IPv4Address)
    return host, None


def _literal(text: str, kind: type[Address]) -> tuple[str, Address]:
    try:
        address = kind(text)
    except ValueError as error:
        raise EgressRefused(f"its host is not an address in its usual form: {error}") from error
    return str(address), address
