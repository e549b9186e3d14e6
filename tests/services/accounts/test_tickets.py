"""Tickets: who comes is said as whole as by a token, and each opens one connection, whatever nodes are asked (ASVS 4.4.3)."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import msgspec
import pytest

from persistence.database import Database, open_database
from persistence.tickets import UsedTickets, prune_used_tickets
from services.accounts.keyring import load_key, make_key
from services.accounts.ports import Login
from services.accounts.ticket import TICKET_TTL_S, TicketPrinter
from services.accounts.tickets import Tickets
from services.accounts.tokens import MAX_TOKEN, Tokens
from services.kernel.caller import Caller
from services.kernel.clock import ManualClock, utc
from services.kernel.ids import AccountId, AppId, ClassId, LoginId, TicketId
from services.kernel.problems import TicketRefused, Unavailable
from tests.support.world import World

NOW = 1_790_000_000_000
WHOLE = Caller(
    account_id=AccountId(uuid.UUID(int=1)),
    login_id=LoginId(uuid.UUID(int=2)),
    name="Anna 🚴",
    roles=frozenset({"member", "coach"}),
    expires_at_ms=NOW + 900_000,
    class_id=ClassId(uuid.UUID(int=3)),
    fresh_at_ms=NOW - 1,
    second_factor_at_ms=NOW - 2,
    scopes=frozenset({"live:stream", "classes:chat"}),
    app_id=AppId(uuid.UUID(int=4)),
)
TICKET = TicketId(uuid.UUID(int=5))


@pytest.fixture(scope="module")
def printer() -> TicketPrinter:
    return TicketPrinter(Tokens(load_key(make_key())).keys)


class TestWhatItSays:
    def test_is_the_whole_caller(self, printer: TicketPrinter) -> None:
        """A field that is new in `Caller` goes along; this fails when it does not differ from its default here."""
        for field in msgspec.structs.fields(Caller):
            assert getattr(WHOLE, field.name) != field.default, f"give {field.name} a value above"
        ticket = printer.print(WHOLE, TICKET, NOW)
        assert printer.read(ticket.token, NOW).caller == WHOLE
        assert ticket.expires_in_s == TICKET_TTL_S

    def test_fits_into_what_is_read_however_long_the_name(self, printer: TicketPrinter) -> None:
        longest = msgspec.structs.replace(WHOLE, name="🚴" * 80)
        ticket = printer.print(longest, TICKET, NOW).token
        assert len(ticket) <= MAX_TOKEN
        assert printer.read(ticket, NOW).caller.name == "🚴" * 80

    def test_is_over_after_half_a_minute_and_with_its_token(self, printer: TicketPrinter) -> None:
        ticket = printer.print(WHOLE, TICKET, NOW).token
        printer.read(ticket, NOW + 29_999)
        with pytest.raises(TicketRefused):
            printer.read(ticket, NOW + 30_000)
        short = printer.print(msgspec.structs.replace(WHOLE, expires_at_ms=NOW + 5_000), TICKET, NOW).token
        printer.read(short, NOW + 4_999)
        with pytest.raises(TicketRefused):
            printer.read(short, NOW + 5_000)

    def test_with_any_bit_changed_is_refused(self, printer: TicketPrinter) -> None:
        """OWASP API2: no bit of it is without meaning."""
        ticket = printer.print(WHOLE, TICKET, NOW).token.encode()
        for place in range(len(ticket)):
            changed = bytearray(ticket)
            changed[place] ^= 1 << place % 7
            with pytest.raises(TicketRefused):
                printer.read(changed.decode("ascii"), NOW)

    def test_of_another_installation_is_refused(self, printer: TicketPrinter) -> None:
        with pytest.raises(TicketRefused):
            printer.read(TicketPrinter(Tokens(load_key(make_key())).keys).print(WHOLE, TICKET, NOW).token, NOW)
        key = load_key(make_key())
        staging = TicketPrinter(Tokens(key).keys, issuer="staging").print(WHOLE, TICKET, NOW).token
        with pytest.raises(TicketRefused):
            TicketPrinter(Tokens(key).keys).read(staging, NOW)

    def test_is_not_shown_in_logs(self, printer: TicketPrinter) -> None:
        ticket = printer.print(WHOLE, TICKET, NOW)
        assert ticket.token not in repr(ticket)


@dataclass
class Nodes:
    """Two nodes with one database, and somebody who is logged in."""

    world: World
    one: Tickets
    other: Tickets
    caller: Caller

    def clock(self) -> ManualClock:
        return self.world.clock


@pytest.fixture
async def nodes(database: Database, fresh_dsn: str) -> AsyncIterator[Nodes]:
    world = World(database)
    printer = TicketPrinter(Tokens(load_key(make_key())).keys)
    caller = await world.account()
    async with world.transactions() as stores:
        await stores.logins.add(Login(caller.login_id, caller.account_id, "phone", utc(world.clock.wall_ms())))
    async with open_database(database.dsn, size=2) as second:
        yield Nodes(
            world,
            Tickets(printer, UsedTickets(database), world.clock, world.ids),
            Tickets(printer, UsedTickets(second), world.clock, world.ids),
            caller,
        )


class TestTaking:
    async def test_works_once_on_any_node(self, nodes: Nodes) -> None:
        ticket = nodes.one.issue(nodes.caller).token
        assert await nodes.other.redeem(ticket) == nodes.caller
        for node in (nodes.one, nodes.other):
            with pytest.raises(TicketRefused):
                await node.redeem(ticket)

    async def test_of_many_that_come_with_it_at_once_one_gets_in(self, nodes: Nodes) -> None:
        """ASVS 4.4.3: a race is no second use."""
        ticket = nodes.one.issue(nodes.caller).token
        tries = [node.redeem(ticket) for node in (nodes.one, nodes.other) * 5]
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
        assert [outcome for outcome in outcomes if not isinstance(outcome, TicketRefused)] == [nodes.caller]

    async def test_two_tickets_are_two_connections(self, nodes: Nodes) -> None:
        first, second = nodes.one.issue(nodes.caller), nodes.one.issue(nodes.caller)
        assert first.token != second.token
        await nodes.one.redeem(first.token)
        await nodes.one.redeem(second.token)

    async def test_a_login_that_has_ended_gets_in_with_none(self, nodes: Nodes) -> None:
        """ASVS 7.4.1: though its access token still says who it was."""
        ticket = nodes.one.issue(nodes.caller).token
        async with nodes.world.transactions() as stores:
            await stores.logins.end(nodes.caller.login_id, utc(nodes.world.clock.wall_ms()), "logged out")
        with pytest.raises(TicketRefused):
            await nodes.one.redeem(ticket)

    async def test_a_screen_which_has_no_login_gets_in(self, nodes: Nodes) -> None:
        screen = msgspec.structs.replace(nodes.caller, login_id=LoginId(uuid.UUID(int=9)), roles=frozenset({"display"}))
        assert await nodes.one.redeem(nodes.one.issue(screen).token) == screen

    async def test_a_database_that_is_away_takes_none_and_says_come_back(self, fresh_dsn: str) -> None:
        clock = ManualClock()
        async with open_database(fresh_dsn, size=1) as small:
            world = World(small)
            tickets = Tickets(TicketPrinter(Tokens(load_key(make_key())).keys), UsedTickets(small), clock, world.ids)
            ticket = tickets.issue(msgspec.structs.replace(WHOLE, class_id=None)).token
            async with small.connection():  # nobody else gets one
                with pytest.raises(Unavailable):
                    await tickets.redeem(ticket)
            await tickets.redeem(ticket)  # it was not used

    async def test_what_was_used_is_forgotten_once_it_could_not_be_used_again(
        self, nodes: Nodes, database: Database
    ) -> None:
        await nodes.one.redeem(nodes.one.issue(nodes.caller).token)
        ends = utc(nodes.world.clock.wall_ms() + TICKET_TTL_S * 1_000)
        async with database.tx() as tx:
            assert await prune_used_tickets(tx, ends, 10) == 0
            assert await prune_used_tickets(tx, utc(nodes.world.clock.wall_ms() + 31_000), 10) == 1

    async def test_taking_one_is_one_statement_that_finds_its_rows_by_index(self, database: Database) -> None:
        async with database.connection() as connection:
            await connection.execute("SET enable_seqscan = off")
            plan = await connection.fetch(
                "EXPLAIN SELECT FROM logins WHERE id = $1::uuid AND ended_at IS NOT NULL", uuid.UUID(int=1)
            )
            assert "Index" in str(plan[0][0])
