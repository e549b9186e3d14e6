"""The confusion set at every place where an access token is taken (OWASP API2, ASVS 9.1, 9.2)."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import aiohttp
import pytest

from gateway.sockets.renewal import Renewals
from realtime.broker import InMemoryBroker
from realtime.hub import Hub
from realtime.node import Node
from services.accounts.accounts import identifier
from services.accounts.keyring import load_key, make_key
from services.accounts.ticket import TicketPrinter
from services.accounts.tokens import Tokens
from services.kernel.clock import ManualClock
from services.kernel.ids import TicketId, Uuid7Ids
from services.kernel.problems import NotAuthenticated, TicketRefused
from tests.gateway.sockets.build import Gateway, open_client, open_gateway
from tests.support.confusion import SET, Forger


@dataclass
class Places:
    """A gateway with real tokens, and somebody who forges them."""

    gateway: Gateway
    forger: Forger
    tokens: Tokens
    printer: TicketPrinter
    clock: ManualClock


@pytest.fixture
async def places() -> AsyncIterator[Places]:
    clock, key = ManualClock(), load_key(make_key())
    tokens = Tokens(key)
    printer = TicketPrinter(tokens.keys)
    node = Node("one", Hub(), InMemoryBroker(), clock)
    identify = identifier(tokens, clock)

    async def redeem(ticket: str) -> object:
        return printer.read(ticket, clock.wall_ms()).caller

    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(
            open_gateway(
                clock,
                node=node,
                identify=identify,
                redeem=redeem,
                renew=Renewals(node.hub, identify, clock).renew,
            )
        )
        yield Places(gateway, Forger(key, clock.wall_ms()), tokens, printer, clock)


def test_the_forger_s_own_good_token_is_taken() -> None:
    """Without this every refusal below might be one of something else."""
    clock, key = ManualClock(), load_key(make_key())
    caller = Tokens(key).identify(Forger(key, clock.wall_ms()).signed(), clock.wall_ms())
    assert caller.roles == {"member"}


@pytest.mark.parametrize("name", SET)
async def test_the_socket_refuses_it_in_the_handshake_and_on_the_open_socket(places: Places, name: str) -> None:
    forged = SET[name](places.forger)
    async with open_client(places.gateway) as client:
        for field in ("token", "ticket"):
            await client.text("40/live," + f'{{"{field}":{_json(forged)}}}')
            answer = await client.packet()
            assert answer.startswith("44/live,"), (field, answer)
            expected = NotAuthenticated.code if field == "token" else TicketRefused.code
            assert f'"code":"{expected}"' in answer
        assert not places.gateway.node.hub
        await client.connect(places.forger.signed())
        caller = places.gateway.connection().caller
        refused = await client.call("token.renew", {"token": forged})
        assert refused["problem"]["code"] in {"not_authenticated", "bad_shape"}
        assert places.gateway.connection().caller is caller


@pytest.mark.parametrize("name", SET)
def test_http_and_the_readers_themselves_refuse_it(name: str) -> None:
    """HTTP asks `identify` and nothing else: tests/gateway/http/test_tickets.py has the whole way."""
    clock, key = ManualClock(), load_key(make_key())
    forged = SET[name](Forger(key, clock.wall_ms()))
    with pytest.raises(NotAuthenticated):
        identifier(Tokens(key), clock)(forged)
    with pytest.raises(TicketRefused):
        TicketPrinter(Tokens(key).keys).read(forged, clock.wall_ms())


async def test_a_ticket_is_no_token_and_a_token_no_ticket(places: Places) -> None:
    """ASVS 9.2.2, 9.2.3: made for one use, good for no other."""
    now_ms = places.clock.wall_ms()
    caller = places.tokens.identify(places.forger.signed(), now_ms)
    ticket = places.printer.print(caller, TicketId(Uuid7Ids(places.clock).next()), now_ms).token
    assert places.printer.read(ticket, now_ms).caller == caller
    async with open_client(places.gateway) as client:
        for wrong in (f'{{"token":"{ticket}"}}', f'{{"ticket":"{places.forger.signed()}"}}'):
            await client.text("40/live," + wrong)
            assert (await client.packet()).startswith("44/live,")
        await client.connect(places.forger.signed())
        assert "problem" in await client.call("token.renew", {"token": ticket})


async def test_a_token_in_the_address_or_a_cookie_opens_nothing(places: Places) -> None:
    """ASVS 14.2.1, 4.4.3: it would stand in logs; and a cookie would come with a stranger's page."""
    good = places.forger.signed()
    url = (
        f"{places.gateway.address}/socket.io/?EIO=4&transport=websocket&token={good}&ticket={good}&access_token={good}"
    )
    headers = {"Authorization": f"Bearer {good}", "Cookie": f"token={good}; io={good}"}
    async with aiohttp.ClientSession() as http, http.ws_connect(url, headers=headers) as socket:
        assert str((await socket.receive()).data).startswith("0{")
        await socket.send_str("40/live,{}")
        assert str((await socket.receive()).data).startswith("44/live,")
    assert not places.gateway.node.hub


def _json(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\0", "\\u0000") + '"'
