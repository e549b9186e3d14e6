"""Who goes is gone: every mark of theirs, by the register, and nothing of anybody else."""

from pathlib import Path
from typing import Final

import msgspec
import pytest

from persistence.database import Database
from persistence.stores import Stores
from services.accounts.account_mail import AccountMail
from services.accounts.identity import Identity
from services.classes.summary import ClassStanding, ClassSummary
from services.kernel.caller import Caller
from services.kernel.clock import utc
from services.kernel.facts import ErasureAsked, LoginEnded
from services.kernel.ids import AccountId, AccountMailId, IdentityId, LoginId
from services.kernel.problems import NotFound, StepUpNeeded
from services.organisations.organisations import Organisations
from services.privacy.entry import Blanked, Deleted, Kept
from services.privacy.erasure import BLANKED, DELETED, GRACE_MS, REST_MS, SOMEBODY
from services.privacy.erasures import Erasures
from services.privacy.register import REGISTER
from services.schedule.jobs import Tick
from services.social.friend import Request
from tests.support.planted import plant
from tests.support.world import World, steady
from workers.erasing import PASSED_OVER_MS, EraseJobs
from workers.exporting import Exports

NOW: Final = Tick("test", 0)


@pytest.fixture
def world(database: Database) -> World:
    """An empty world."""
    return World(database)


def fresh(world: World, caller: Caller) -> Caller:
    return msgspec.structs.replace(caller, fresh_at_ms=world.clock.wall_ms())


class Going:
    """The job that erases; `folder` is where files lie."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.jobs = EraseJobs(Exports(folder), world.clock, world.ids, rest_ms=REST_MS)
        self.erasures = Erasures(world.transactions, world.clock)

    async def bite(self) -> int:
        async with self.world.transactions() as stores:
            return await self.jobs.erase(stores, NOW)

    async def run(self) -> int:
        bites = 0
        while await self.bite():
            bites += 1
        return bites

    async def through(self, account_id: AccountId) -> None:
        """From the wish to the end."""
        await self.erasures.ask_for(account_id)
        await self.world.clock.advance(GRACE_MS / 1_000)
        await self.run()
        await self.world.clock.advance(REST_MS / 1_000)
        await self.run()


@pytest.fixture
def going(world: World, tmp_path: Path) -> Going:
    """The job of this world."""
    return Going(world, tmp_path)


async def dump(database: Database) -> dict[str, list[str]]:
    """Every row of every table of the register, as text."""
    async with database.connection() as connection:
        return {
            entry.table: sorted(
                row["said"]
                for row in await connection.fetch(f"SELECT to_jsonb(dumped)::text AS said FROM {entry.table} AS dumped")
            )
            for entry in REGISTER
        }


async def test_every_mark_of_who_went_is_gone_and_nothing_of_anybody_else_has_changed(
    database: Database, world: World, going: Going
) -> None:
    """ASVS 14.2.7, GDPR article 17: everything, by the register of every column there is."""
    ada, bob = AccountId(world.ids.next()), AccountId(world.ids.next())
    hers, _ = await plant(database, (ada, AccountId(world.ids.next())), (bob, AccountId(world.ids.next())))
    async with database.tx() as tx:
        await tx.execute("DELETE FROM erasures WHERE account_id = $1", ada)
    before = await dump(database)
    await going.through(ada)
    after = await dump(database)
    everything = "\n".join(line for table in after.values() for line in table)
    gone = 0
    for row, column, mark in hers.texts():
        match row.subject.erasure:
            case Deleted():
                stays = False
            case Blanked(blanks=blanks):
                stays = column not in blanks
            case Kept():
                stays = True
        said = mark in everything or mark.encode().hex() in everything
        assert said == stays, f"{row.entry.table}.{column} {'is gone' if stays else 'is still there'}"
        gone += not stays
    assert gone > 100
    for row in hers.rows:
        if row.entry.table != "erasures" and not isinstance(row.subject.erasure, Blanked):
            assert (row.text in after[row.entry.table]) == isinstance(row.subject.erasure, Kept), row.entry.table
    theirs = {row.text for row in hers.rows}
    for table, rows in before.items():
        assert set(rows) - theirs <= set(after[table]), f"{table} of somebody else has changed"


def test_everything_that_is_deleted_or_blanked_is_so_in_an_order_in_which_its_lead_is_still_there() -> None:
    assert len(DELETED) + len(BLANKED) == sum(
        not isinstance(each.erasure, Kept) for entry in REGISTER for each in entry.subjects
    )
    order = [entry.table for entry, _ in DELETED]
    for n, (_, subject) in enumerate(DELETED):
        assert subject.lead.table not in order[:n]
    assert BLANKED[-1][0].table == "accounts"
    assert order[-1] == "data_keys", "what is still there must be readable by whoever meets it"


async def test_until_the_grace_is_over_nothing_has_happened_and_any_login_takes_it_back(
    world: World, going: Going
) -> None:
    ada = await world.account()
    with pytest.raises(StepUpNeeded):
        await going.erasures.ask(ada)
    asked = await going.erasures.ask(fresh(world, ada))
    assert asked.due_ms - asked.asked_ms == GRACE_MS
    await world.clock.advance(GRACE_MS / 1_000 - 1)
    assert await going.erasures.ask(fresh(world, ada)) == asked
    async with world.transactions() as stores:
        facts = await stores.tx.fetch(
            "SELECT envelope ->> 'fact' AS fact FROM outbox WHERE type = 'account.erasure_asked'"
        )
    told = [msgspec.json.decode(row["fact"], type=ErasureAsked) for row in facts]
    assert told == [ErasureAsked(ada.account_id, asked.asked_ms, asked.due_ms)], "asked again it is no news"
    assert await going.run() == 0
    await going.erasures.take_back(ada)
    with pytest.raises(NotFound):
        await going.erasures.own(ada)
    await world.clock.advance(10)
    assert await going.run() == 0


async def test_when_it_is_over_the_logins_end_the_address_is_free_and_nothing_else_goes_yet(
    world: World, going: Going
) -> None:
    ada = await world.account()
    login = LoginId(world.ids.next())
    async with world.transactions() as stores:
        await stores.tx.execute(
            "INSERT INTO logins (id, account_id, device, created_at) VALUES ($1, $2, 'phone', now())",
            login,
            ada.account_id,
        )
        account = await stores.accounts.by_id(ada.account_id)
        assert account is not None
    await world.workout(ada, steady(3))
    await going.erasures.ask_for(ada.account_id)
    await world.clock.advance(GRACE_MS / 1_000)
    assert await going.run() == 1
    async with world.transactions() as stores:
        assert await stores.accounts.credentials(account.email) is None
        told = await stores.tx.fetchval("SELECT envelope ->> 'fact' FROM outbox WHERE type = 'login.ended'")
        assert msgspec.json.decode(told, type=LoginEnded).login_id == login
        assert await stores.tx.fetchval("SELECT count(*) FROM workouts") == 1
        acts = await stores.tx.fetch("SELECT act, account_id FROM audit_waiting")
        assert [(row["act"], row["account_id"]) for row in acts] == [("account.closed", ada.account_id)]
        await stores.accounts.add(
            type(account)(AccountId(world.ids.next()), account.email, "New", account.roles, 0), "hash"
        )
    await going.erasures.take_back(ada)
    assert (await going.erasures.own(ada)).due_ms
    await world.clock.advance(REST_MS / 1_000)
    await going.run()
    async with world.transactions() as stores:
        assert await stores.tx.fetchval("SELECT count(*) FROM workouts") == 0
        assert await stores.tx.fetchval("SELECT count(*) FROM data_keys") == 0
        gone = await stores.accounts.by_id(ada.account_id)
        assert gone is not None
        assert (gone.name, gone.roles) == (SOMEBODY, frozenset())
    assert await going.run() == 0


async def test_nothing_opens_or_moves_an_account_that_is_closed(world: World, going: Going) -> None:
    ada = (await world.account()).account_id
    at, now_ms = utc(world.clock.wall_ms()), world.clock.wall_ms()
    mail = AccountMail(AccountMailId(world.ids.next()), "undo", "old@example.org", now_ms, ada)
    async with world.transactions() as stores:
        await stores.tx.execute(
            """
            INSERT INTO passkeys (id, account_id, name, credential_id, credential, signatures, made_at)
            VALUES ($1, $2, 'Phone', 'id', 'key', 0, $3)
            """,
            world.ids.next(),
            ada,
            at,
        )
        await stores.identities.add(
            Identity(
                id=IdentityId(world.ids.next()),
                issuer="https://issuer.example",
                subject="ada",
                account_id=ada,
                provider="studio",
                email=None,
                linked_ms=now_ms,
                used_ms=now_ms,
            )
        )
        await stores.account_mails.add(mail, at, at)
    await going.erasures.ask_for(ada)
    await world.clock.advance(GRACE_MS / 1_000)
    await going.run()
    async with world.transactions() as stores:
        assert await stores.second_factors.passkey_locked(b"id") is None
        assert await stores.identities.find("https://issuer.example", "ada") is None
        assert await stores.account_mails.open_of_account(ada, "undo") == []


async def test_one_that_fails_holds_no_other_up_and_is_tried_again(world: World, going: Going) -> None:
    async def closed() -> set[AccountId]:
        async with world.transactions() as stores:
            rows = await stores.tx.fetch("SELECT account_id FROM erasures WHERE closed_at IS NOT NULL")
        return {AccountId(row["account_id"]) for row in rows}

    ada, bob = (await world.account()).account_id, (await world.account("Bob")).account_id
    async with world.transactions() as stores:
        await stores.tx.execute(
            f"""
            CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not hers'; END $$;
            CREATE TRIGGER fails BEFORE UPDATE ON accounts FOR EACH ROW WHEN (OLD.id = '{ada}') EXECUTE FUNCTION fail();
            """
        )
    await going.erasures.ask_for(ada)
    await world.clock.advance(1)
    await going.erasures.ask_for(bob)
    await world.clock.advance(GRACE_MS / 1_000)
    await going.run()
    assert await closed() == {bob}
    async with world.transactions() as stores:
        await stores.tx.execute("DROP TRIGGER fails ON accounts")
    assert await going.run() == 0
    await world.clock.advance(PASSED_OVER_MS / 1_000)
    await going.run()
    assert await closed() == {ada, bob}


async def test_killed_in_every_bite_it_ends_in_the_same(world: World, going: Going) -> None:
    ada, bob = await world.account(), await world.account("Bob", "coach")
    live = await world.live_class(bob)
    await world.enter(live, ada)
    for _ in range(3):
        await world.workout(ada, steady(5), live=live)
    await world.book(ada, await world.offer(bob))
    await going.erasures.ask_for(ada.account_id)
    await world.clock.advance((GRACE_MS + REST_MS) / 1_000)
    killed = 0
    while True:
        async with world.database.connection() as connection:
            dying = connection.transaction()
            await dying.start()
            await going.jobs.erase(Stores(connection, world.clock, world.ids, vault=None), NOW)
            await dying.rollback()
            killed += 1
        if not await going.bite():
            break
        await world.clock.advance(REST_MS / 1_000)
    assert killed > 5
    async with world.transactions() as stores:
        for table in ("workouts", "streams", "sample_batches", "class_members", "class_bookings", "data_keys"):
            n = await stores.tx.fetchval(f"SELECT count(*) FROM {table}")
            assert n == 0, table
        assert await stores.tx.fetchval("SELECT ended_at IS NOT NULL FROM erasures")


async def test_who_waited_behind_them_has_their_place_and_a_class_of_theirs_is_called_off(
    world: World, going: Going
) -> None:
    ada, bob = await world.account("Ada", "member", "coach"), await world.account("Bob", "coach")
    cleo = await world.account("Cleo")
    in_min = (GRACE_MS + 2 * REST_MS) // 60_000 + 60
    full = await world.offer(bob, in_min=in_min, capacity=1)
    await world.book(ada, full)
    waiting = await world.book(cleo, full)
    assert waiting.state == "waitlisted"
    hers = await world.offer(ada, in_min=in_min)
    await world.book(cleo, hers)
    await going.through(ada.account_id)
    async with world.transactions() as stores:
        assert await stores.tx.fetchval("SELECT state FROM class_bookings WHERE id = $1", waiting.id) == "confirmed"
        assert await stores.tx.fetchval("SELECT called_off_at IS NOT NULL FROM class_offers WHERE id = $1", hers)
        facts = {row["type"] for row in await stores.tx.fetch("SELECT type FROM outbox")}
    assert {"class.booking_promoted", "class.called_off"} <= facts


async def test_an_organisation_has_an_owner_when_its_owner_has_gone(world: World, going: Going) -> None:
    ada, bob, cleo = await world.account(), await world.account("Bob"), await world.account("Cleo")
    organisations = Organisations(world.transactions, world.clock, world.ids)
    owned = (await organisations.make(ada, "Harbour Gym")).organisation.id
    alone = (await organisations.make(ada, "Ada's own")).organisation.id
    async with world.transactions() as stores:
        now = utc(world.clock.wall_ms())
        await stores.organisations.seat(owned, cleo.account_id, "member", now)
        await stores.organisations.seat(owned, bob.account_id, "admin", now)
    await going.through(ada.account_id)
    async with world.transactions() as stores:
        members = {each.account_id: each.role for each in await stores.organisations.members(owned)}
        assert members == {bob.account_id: "owner", cleo.account_id: "member"}
        assert await stores.organisations.by_id(alone) is None, "nobody was in it any more"
        acts = await stores.tx.fetch("SELECT act FROM audit_waiting WHERE thing_kind = 'organisation' ORDER BY id")
    assert [row["act"] for row in acts if row["act"] != "organisation.made"] == [
        "organisation.left",
        "organisation.role_changed",
        "organisation.left",
        "organisation.dissolved",
    ]


async def test_the_table_of_a_class_that_others_keep_says_somebody_who_left(world: World, going: Going) -> None:
    ada, bob = await world.account(), await world.account("Bob", "coach")
    live = await world.live_class(bob)
    await world.enter(live, bob, "coach")
    await world.enter(live, ada)
    standings = (
        ClassStanding(2, 1, "Ada", 3.0, (0,) * 6),
        ClassStanding(3, 2, "Ada", 2.0, (0,) * 6),
    )
    summary = ClassSummary(live.id, "Hills", 1, 2, standings)
    async with world.transactions() as stores:
        await stores.tx.execute(
            "UPDATE classes SET summary = $2 WHERE id = $1", live.id, msgspec.json.encode(summary).decode()
        )
        top = [{"rank": n, "name": "Ada", "effort": 1.0} for n in (1, 2)]
        content = {
            "topic": "class.summarised",
            "class_id": str(live.id),
            "title": "Hills",
            "coach_name": "Bob",
            "top": top,
        }
        await stores.tx.execute(
            """
            INSERT INTO notifications (id, account_id, topic, template, version, content, collapse_key, told_at, expires_at)
            VALUES ($1, $2, 'class.summarised', 't', 1, $3, 'k', $4, $4)
            """,
            world.ids.next(),
            bob.account_id,
            msgspec.json.encode(content).decode(),
            utc(world.clock.wall_ms()),
        )
    await going.through(ada.account_id)
    async with world.transactions() as stores:
        said = msgspec.json.decode(await stores.tx.fetchval("SELECT summary FROM classes"), type=ClassSummary)
        told = msgspec.json.decode(await stores.tx.fetchval("SELECT content FROM notifications"))
    assert [line.name for line in said.standings] == [SOMEBODY, "Ada"]
    assert [line["name"] for line in told["top"]] == [SOMEBODY, "Ada"]


async def test_who_was_their_friend_has_one_less_and_a_request_to_them_waits_as_before(
    world: World, going: Going
) -> None:
    ada, bob, cleo = await world.account(), await world.account("Bob"), await world.account("Cleo")
    # So that the request is not over before they have gone.
    asked_ms = world.clock.wall_ms() + GRACE_MS
    content = {"topic": "friend.made", "account_id": str(ada.account_id), "name": "Ada", "since_ms": 1}
    async with world.transactions() as stores:
        await stores.friends.befriend(ada.account_id, bob.account_id, utc(world.clock.wall_ms()))
        await stores.friends.put(Request(cleo.account_id, ada.account_id, "A.", asked_ms))
        await stores.friends.put(Request(ada.account_id, cleo.account_id, "C.", asked_ms))
        for owner, topic in ((bob, "friend.made"), (cleo, "friend.asked")):
            await stores.tx.execute(
                """
                INSERT INTO notifications (id, account_id, topic, template, version, content, collapse_key, told_at, expires_at)
                VALUES ($1, $2, $3, 't', 1, $4, 'k', $5, $5)
                """,
                world.ids.next(),
                owner.account_id,
                topic,
                msgspec.json.encode(content | {"topic": topic}).decode(),
                utc(world.clock.wall_ms()),
            )
    await going.through(ada.account_id)
    async with world.transactions() as stores:
        assert await stores.friends.views(bob.account_id) == []
        assert await stores.friends.request(ada.account_id, cleo.account_id) is None
        waiting = await stores.friends.asked_by(cleo.account_id, utc(0))
        told = await stores.tx.fetch("SELECT content ->> 'name' AS name FROM notifications")
    assert [(one.called, one.withdrawn) for one in waiting] == [("A.", False)], "nobody learns it from a request"
    assert {row["name"] for row in told} == {SOMEBODY}
