"""What an option is: a name, a kind of value, and everything a person wants to know before setting it.

A *kind* turns the text of an environment variable into a value, or says what is wrong with it; `expects` is
the cure, in words that fit behind "Give". Kinds also know how to show a value without giving a secret away.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

T = TypeVar("T")

MASK = "***"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A sort of value. `parse` raises ValueError with the reason; `show` makes a text that may be printed."""

    expects: str
    parse: Callable[[str], T]
    show: Callable[[str], str] = str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Option:
    """One variable, as documented. `default` is the text that stands for "not set"."""

    name: str
    kind: Kind[object]
    default: str
    doc: str
    unit: str = ""
    zero: str = ""
    empty: str = ""


def option(name: str, kind: Kind[T], default: str, doc: str, *, unit: str = "", zero: str = "", empty: str = "") -> T:
    """Declare a field of Settings together with its variable.

    It gives a dataclass field, but its type says what the field will hold, so that mypy compares kind and
    field.
    """
    erased: Kind[object] = Kind(kind.expects, kind.parse, kind.show, kind.secret)
    declared = Option(name, erased, default, doc, unit=unit, zero=zero, empty=empty)
    made: T = dataclasses.field(default=kind.parse(default), metadata={"option": declared})
    return made


def text(expects: str, pattern: str) -> Kind[str]:
    """Text that matches the whole pattern."""

    def parse(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"{value!r} has another form")
        return value

    return Kind(expects, parse)


def whole(low: int, high: int) -> Kind[int]:
    """A whole number from low to high, both included."""

    def parse(value: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", value):
            raise ValueError(f"{value!r} is not a whole number")
        number = int(value)
        if not low <= number <= high:
            raise ValueError(f"{number} is out of range")
        return number

    return Kind(f"a whole number from {low} to {high}", parse)


def decimal(low: float, high: float) -> Kind[float]:
    """A number from low to high, both included; a fraction is welcome."""

    def parse(value: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
            raise ValueError(f"{value!r} is not a number")
        number = float(value)
        if not low <= number <= high:
            raise ValueError(f"{value} is out of range")
        return number

    return Kind(f"a number from {low:g} to {high:g}", parse)


def choice(*words: str) -> Kind[str]:
    """One of the words, in any case."""

    def parse(value: str) -> str:
        if value.lower() not in words:
            raise ValueError(f"{value!r} is none of them")
        return value.lower()

    return Kind(f"one of: {', '.join(words)}", parse)


def some_of(*words: str) -> Kind[tuple[str, ...]]:
    """One or more of the words, with commas between; kept in the order they are declared in."""

    def parse(value: str) -> tuple[str, ...]:
        given = {part.strip().lower() for part in value.split(",")} - {""}
        if strange := sorted(given - set(words)):
            raise ValueError(f"{', '.join(strange)} is none of them")
        if not given:
            raise ValueError("nothing is left of it")
        return tuple(word for word in words if word in given)

    return Kind(f"one or more of these, with commas between: {', '.join(words)}", parse)


def folder() -> Kind[Path]:
    """A path; `~` is the home folder. Whether it can be used is found out when it is."""

    def parse(value: str) -> Path:
        if "\0" in value:
            raise ValueError("a path has no zero byte")
        return Path(value).expanduser()

    return Kind("the path of a folder", parse)


def file() -> Kind[Path]:
    """A path; `~` is the home folder. Whether it can be read is found out when it is."""
    return Kind("the path of a file", folder().parse)


def origins() -> Kind[tuple[str, ...]]:
    """Web origins with commas between; the empty text is none."""

    def parse(value: str) -> tuple[str, ...]:
        given = [part.strip().rstrip("/") for part in value.split(",") if part.strip()]
        for one in given:
            parts = _split(one)
            exact = urlunsplit((parts.scheme, parts.netloc, "", "", ""))
            if parts.scheme not in ("http", "https") or not parts.hostname or "@" in one or exact != one:
                raise ValueError(f"{one!r} is not an origin")
        return tuple(dict.fromkeys(one.lower() for one in given))

    return Kind("origins with commas between, each scheme and host only: https://app.example.org", parse)


def networks() -> Kind[tuple[Network, ...]]:
    """Networks or single addresses with commas between; the empty text is none."""

    def parse(value: str) -> tuple[Network, ...]:
        found: list[Network] = []
        for one in filter(None, (part.strip() for part in value.split(","))):
            try:
                found.append(ipaddress.ip_network(one))
            except ValueError as error:
                raise ValueError(f"{one!r} is not a network: {error}") from error
        return tuple(dict.fromkeys(found))

    return Kind("networks with commas between: 10.0.0.0/8, 192.0.2.7, fd00::/8", parse)


def web_url(example: str) -> Kind[str]:
    """The address of a web server or of something on it, without a slash at its end; the empty text is none."""

    def parse(value: str) -> str:
        if not value:
            return value
        parts = _split(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ValueError(f"{mask_url(value)!r} is not the address of a web server")
        if parts.query or parts.fragment:
            raise ValueError("nothing may stand behind its path")
        return value.rstrip("/")

    return Kind(f"a URL such as {example}", parse)


_CLUSTER_SCHEMES = ("redis+cluster", "rediss+cluster")


def server_url(example: str, *schemes: str) -> Kind[str]:
    """The address of a server, with its password; the empty text is none."""

    def parse(value: str) -> str:
        if not value:
            return value
        parts = _split(value)
        if parts.scheme not in schemes:
            raise ValueError(f"{mask_url(value)!r} does not begin with {' or '.join(f'{s}://' for s in schemes)}")
        if not (parts.hostname or "host=" in parts.query or (parts.scheme == "unix" and parts.path)):
            raise ValueError(f"{mask_url(value)!r} names no host")
        return value

    return Kind(f"a URL such as {example}", parse, show=mask_url, secret=True)


def redis_urls(example: str) -> Kind[str]:
    """The address of a Redis server, of several with commas between, or of servers of a Redis Cluster; the empty text is none."""
    alone = server_url(example, "redis", "rediss", "unix", *_CLUSTER_SCHEMES)

    def parse(value: str) -> str:
        urls = _each_url(value)
        for url in urls:
            alone.parse(url)
            parts = _split(url)
            if parts.scheme not in _CLUSTER_SCHEMES:
                continue
            if len(urls) > 1:
                raise ValueError(f"{mask_url(url)!r} is a cluster, and a cluster stands alone")
            if parts.path not in {"", "/"}:
                raise ValueError(f"{mask_url(url)!r} names a database, and a cluster has one only")
            for host in parts.netloc.rpartition("@")[2].split(","):
                alone.parse(f"redis://{host}")
        return value

    return Kind(alone.expects, parse, show=lambda value: ",".join(map(mask_url, _each_url(value))), secret=True)


def _each_url(value: str) -> list[str]:
    return re.split(r",(?=[a-z+]+://)", value)


def secret_word(least: int) -> Kind[str]:
    """A secret that a program made: printable ASCII without spaces, at least so many characters; the empty text is none."""

    def parse(value: str) -> str:
        if not re.fullmatch(r"[!-~]*", value):
            raise ValueError("it holds a space, or a character that does not fit into a header")
        if value and len(value) < least:
            raise ValueError(f"it has {len(value)} characters, which can be guessed")
        return value

    return Kind(f"at least {least} random characters: openssl rand -base64 32", parse, show=lambda _: MASK, secret=True)


def sealing_keys() -> Kind[tuple[bytes, ...]]:
    """Keys of 32 bytes in base64, with commas between; the empty text is none."""

    def parse(value: str) -> tuple[bytes, ...]:
        keys: list[bytes] = []
        for one in filter(None, (part.strip() for part in value.split(","))):
            try:
                keys.append(base64.b64decode(one, validate=True))
            except binascii.Error as error:
                raise ValueError("one of them is not base64") from error
            if len(keys[-1]) != 32:
                raise ValueError(f"one of them has {len(keys[-1])} bytes")
        return tuple(dict.fromkeys(keys))

    expects = "keys of 32 random bytes in base64 with commas between: openssl rand -base64 32"
    return Kind(expects, parse, show=lambda _: MASK, secret=True)


def ed25519_key() -> Kind[str]:
    """A private Ed25519 key, unencrypted PKCS#8 in PEM; the empty text is none. `\\n` may stand for a line
    break.
    """

    def parse(value: str) -> str:
        pem, der = pkcs8(value)
        if pem and (len(der) != len(_ED25519_PREFIX) + 32 or not der.startswith(_ED25519_PREFIX)):
            raise ValueError("it is a key of another kind")
        return pem

    return Kind("an Ed25519 private key: openssl genpkey -algorithm ed25519", parse, show=lambda _: MASK, secret=True)


def pkcs8(value: str) -> tuple[str, bytes]:
    """The PEM block as it is kept, and what is in it; both empty for the empty text. Raises ValueError."""
    pem = value.replace("\\n", "\n").strip()
    if not pem:
        return "", b""
    body = re.fullmatch(r"-----BEGIN PRIVATE KEY-----\s(.*)\s-----END PRIVATE KEY-----", pem, re.DOTALL)
    if body is None:
        raise ValueError("it is not a PEM block `PRIVATE KEY`")
    try:
        return pem + "\n", base64.b64decode("".join(body[1].split()), validate=True)
    except binascii.Error as error:
        raise ValueError("what stands between BEGIN and END is not base64") from error


_ED25519_PREFIX = bytes.fromhex("302e020100300506032b657004220420")
"""PKCS#8 around an Ed25519 key, always these bytes (RFC 8410, section 7); the 32 bytes of the key follow."""


def mask_url(url: str) -> str:
    """The URL with its passwords replaced; a text that is no URL is masked whole."""
    try:
        parts = _split(url)
    except ValueError:
        return MASK
    if not parts.scheme:
        return MASK
    netloc = parts.netloc
    if "@" in netloc:
        who, _, where = netloc.rpartition("@")
        user, colon, _ = who.partition(":")
        netloc = f"{user}{colon}{MASK if colon else ''}@{where}"
    asked = parse_qsl(parts.query, keep_blank_values=True)
    if any("pass" in key.lower() for key, _ in asked):
        shown = [(key, MASK if "pass" in key.lower() else value) for key, value in asked]
        return urlunsplit((parts.scheme, netloc, parts.path, urlencode(shown, safe="/*"), ""))
    return urlunsplit((parts.scheme, netloc, parts.path, parts.query, ""))


def _split(url: str) -> SplitResult:
    parts = urlsplit(url)
    try:
        _ = parts.port  # only read to be checked
    except ValueError as error:
        if "," not in parts.netloc:  # several hosts are allowed; then the port is not one number
            raise ValueError("its port is not a number from 0 to 65535") from error
    return parts
