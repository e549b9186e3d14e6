"""What it costs to let somebody in: processor time of Python per authenticated connection, and per token that is read.

    python -m tests.benchmarks.sockets.entering

As path.py does it: CONNECT is handed to real lines on a transport that only counts, no kernel on either side, and of many rounds
the quickest counts. "anybody" is a connection whose token is looked up in a table, "token" one whose token is read as in life, so
that the difference is what authentication costs. No database is asked for either. A ticket is read at the same price, and used up
by one statement beside it (services/accounts/tickets.py), which is not measured here.
"""

import asyncio
import gc
import time
import uuid
from collections.abc import Callable
from typing import Final

import uvloop
from aiohttp import web

from gateway.sockets.handshake import Identify
from gateway.sockets.server import LiveServer, attach
from realtime import wire
from realtime.broker import InMemoryBroker
from realtime.hub import Hub
from realtime.node import Node
from services.accounts.account import Account
from services.accounts.accounts import identifier
from services.accounts.keyring import load_key, make_key
from services.accounts.ticket import TicketPrinter
from services.accounts.tokens import Tokens
from services.kernel.clock import SystemClock
from services.kernel.ids import AccountId, LoginId, TicketId
from tests.benchmarks.sockets.path import PLENTY, CountingTransport, _line, _withholds, masked

CONNECTIONS: Final = 50
ROUNDS: Final = 30


class People:
    """Accounts with tokens of their own."""

    def __init__(self) -> None:
        self.clock: Final = SystemClock()
        self.tokens: Final = Tokens(load_key(make_key()))
        self.shown: Final = [self._token(number) for number in range(1, CONNECTIONS + 1)]
        self.known: Final = {token: self.tokens.identify(token, self.clock.wall_ms()) for token in self.shown}

    def _token(self, number: int) -> str:
        name = f"Somebody {number}"
        account = Account(AccountId(uuid.UUID(int=number)), "a@example.org", name, frozenset({"member"}), 0)
        return self.tokens.for_account(account, LoginId(uuid.UUID(int=number)), self.clock.wall_ms()).token


def measure(rounds: int = ROUNDS) -> dict[str, float]:
    """Microseconds of processor time each."""
    people = People()
    now_ms = people.clock.wall_ms()
    printer = TicketPrinter(people.tokens.keys)
    tickets = [printer.print(who, TicketId(who.account_id), now_ms).token for who in people.known.values()]
    return {
        "token read": _quickest(lambda: [people.tokens.identify(token, now_ms) for token in people.shown], rounds),
        "ticket read": _quickest(lambda: [printer.read(ticket, now_ms) for ticket in tickets], rounds),
        "connected, anybody": _connects(people, people.known.__getitem__, rounds),
        "connected, token": _connects(people, identifier(people.tokens, people.clock), rounds),
    }


def _connects(people: People, identify: Identify, rounds: int) -> float:
    return uvloop.run(_connecting(people, identify, rounds))


async def _connecting(people: People, identify: Identify, rounds: int) -> float:
    best = float("inf")
    packets = [masked(b'40/live,{"token":"' + token.encode() + b'"}') for token in people.shown]
    for _ in range(rounds):
        hub, server = _gateway(identify)
        lines = [_line(server, CountingTransport()) for _ in packets]
        await asyncio.sleep(0)
        began = time.process_time_ns()
        for line, packet in zip(lines, packets, strict=True):
            line.data_received(packet)
        await asyncio.sleep(0)
        best = min(best, time.process_time_ns() - began)
        if len(hub) != CONNECTIONS:
            raise RuntimeError(f"{len(hub)} of {CONNECTIONS} were let in, so nothing was measured")
    return best / CONNECTIONS / 1_000


def _gateway(identify: Identify) -> tuple[Hub, LiveServer]:
    clock, hub = SystemClock(), Hub()
    node = Node("entering", hub, InMemoryBroker(), clock)
    server = attach(
        web.Application(),
        node=node,
        clock=clock,
        identify=identify,
        handlers={event.name: _withholds for event in wire.CLIENT_EVENTS},
        on_open=lambda connection: None,
        on_close=lambda connection, reason: None,
        handshakes_per_second=PLENTY,
        events_per_second=PLENTY,
    )
    return hub, server


def _quickest(work: Callable[[], object], rounds: int) -> float:
    best = float("inf")
    gc.collect()
    for _ in range(rounds):
        began = time.process_time_ns()
        work()
        best = min(best, time.process_time_ns() - began)
    return best / CONNECTIONS / 1_000


def main() -> None:
    """Measure and print."""
    for stage, us in measure().items():
        print(f"{stage:24}{us:8.1f} us{1e6 / us:10,.0f} a second")


if __name__ == "__main__":
    main()
