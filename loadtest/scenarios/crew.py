"""What every scenario needs: many accounts, a class, phases told as JSON lines, and numbers put in order."""

import argparse
import asyncio
import contextlib
import resource
import secrets
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from math import ceil
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
import uvloop

from loadtest.api import Api, Grant
from loadtest.client import account_tokens
from loadtest.tokens import ByRefreshToken, Tokens
from realtime.wire import ClassView

MAIL_DOMAIN: Final = "load.invalid"
REGISTER_AT_ONCE: Final = 4
"""Registering costs the server a password hash each; more at once only makes them wait for each other."""

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class Person(msgspec.Struct, frozen=True):
    """An account made for a measurement."""

    email: str
    password: str
    name: str
    grant: Grant

    def tokens(self, api: Api) -> Tokens:
        """Its tokens, renewed as needed."""
        return Tokens(api.clock, self.grant, ByRefreshToken(api, self.email, self.password))


class Spread(msgspec.Struct, frozen=True):
    """How a number is distributed, by nearest rank; all None when there was nothing."""

    n: int
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    max: float | None = None


def spread_of(values: Sequence[float]) -> Spread:
    """The spread of some values, rounded to a tenth."""
    ordered = sorted(values)
    if not ordered:
        return Spread(n=0)

    def rank(share: float) -> float:
        return round(ordered[ceil(share * len(ordered)) - 1], 1)

    return Spread(n=len(ordered), p50=rank(0.5), p90=rank(0.9), p99=rank(0.99), max=round(ordered[-1], 1))


def tell(phase: str, **numbers: int | float | str) -> None:
    """Say which phase begins now, for people and for runners."""
    sys.stdout.buffer.write(msgspec.json.encode({"phase": phase, **numbers}) + b"\n")
    sys.stdout.buffer.flush()


def tell_result(result: msgspec.Struct) -> None:
    """The last line."""
    sys.stdout.buffer.write(msgspec.json.encode({"phase": "result", "result": result}) + b"\n")
    sys.stdout.buffer.flush()


def cpu_seconds() -> float:
    """Processor time this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def allow_many_sockets(count: int) -> None:
    """Raise the limit of open files as far as needed. Raises SystemExit with the cure when the system does not allow it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 200
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise SystemExit(
                f"{count} connections need {wanted} open files, the system allows {hard}: raise `ulimit -Hn`"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def add_target(parser: argparse.ArgumentParser) -> None:
    """The arguments that say which server is measured."""
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="the gateway (default: %(default)s)")
    parser.add_argument(
        "--allow-remote",
        action="store_true",
        help="measure a server that is not on this machine; make sure it is yours",
    )


def refuse_remote(url: str, *, allowed: bool) -> None:
    """A load test against somebody else's server is an attack. Raises SystemExit unless the host is this machine."""
    host = urlsplit(url).hostname
    if host not in LOOPBACK and not allowed:
        raise SystemExit(f"{url} is not on this machine; if you may put load on it, say --allow-remote")


@asynccontextmanager
async def open_api(url: str) -> AsyncIterator[Api]:
    """The HTTP calls, over as many connections as are needed."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        yield Api(http, url, patience_s=60, tell=lambda text: print(text, file=sys.stderr))


async def make_class(api: Api, title: str) -> tuple[Tokens, ClassView]:
    """A coach and a live class."""
    email = f"coach-{secrets.token_hex(6)}@{MAIL_DOMAIN}"
    tokens = await account_tokens(api, email, secrets.token_urlsafe(24), "Load coach", "coach")
    return tokens, await api.create_class(await tokens.current(), title)


async def register(api: Api, count: int, name: str = "Athlete") -> list[Person]:
    """`count` new accounts."""
    gate = asyncio.Semaphore(REGISTER_AT_ONCE)
    run = secrets.token_hex(6)

    async def one(number: int) -> Person:
        email, password = f"{run}-{number}@{MAIL_DOMAIN}", secrets.token_urlsafe(24)
        async with gate:
            grant = await api.register(email, password, f"{name} {number + 1}")
        return Person(email, password, f"{name} {number + 1}", grant)

    return list(await asyncio.gather(*(one(number) for number in range(count))))


def run(main: Coroutine[Any, Any, int]) -> int:
    """Run a scenario on the fastest loop there is; its exit code."""
    with contextlib.suppress(KeyboardInterrupt):
        return uvloop.run(main)
    return 130
