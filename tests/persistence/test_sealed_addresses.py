"""Addresses and numbers that SQL compares: they lie sealed, and are found by a blind index whatever key it was made with."""

import uuid
from typing import Final

import pytest

from persistence.database import Database
from persistence.sealing_keys import INDEXED
from persistence.stores import Stores, Transactions
from services.kernel.caller import Caller
from services.kernel.clock import utc
from services.kernel.ids import AccountId, ContactId, ContactPhoneId, PhoneCheckId
from services.kernel.sealing import Seals
from services.notifications.phone import PhoneCheck
from services.privacy.vault import Vault
from services.safety.contact import Contact
from services.safety.contact_phone import ContactPhone
from tests.support.world import VAULT, World

OLD, NEW = bytes(range(32)), bytes(32)
EMAIL, THEIRS, OWN = "ben@example.org", "+4915112345678", "+4915187654321"
SINCE: Final = utc(0)
MOST: Final = 100


@pytest.fixture
def world(database: Database) -> World:
    """An empty world; its stores seal with the old key."""
    return World(database)


def transactions(world: World, vault: Vault | None) -> Transactions:
    return Transactions(world.database, world.clock, world.ids, vault=vault)


async def tell(world: World, caller: Caller, vault: Vault | None = VAULT) -> None:
    """Somebody names a contact, gives a number of theirs, and one of their own with a code on its way."""
    async with transactions(world, vault)() as stores:
        contact = contact_of(world, caller)
        await stores.contacts.add(contact)
        await stores.contact_phones.add(
            ContactPhone(
                id=ContactPhoneId(world.ids.next()),
                account_id=caller.account_id,
                athlete=caller.name,
                contact_id=contact.id,
                contact=contact.name,
                number=THEIRS,
                asked_at_ms=world.clock.wall_ms(),
            )
        )
        await stores.notification_settings.set_phone(caller.account_id, OWN, utc(world.clock.wall_ms()))
        at = world.clock.wall_ms()
        await stores.phones.begin(PhoneCheck(PhoneCheckId(world.ids.next()), caller.account_id, OWN, at, at + 1))


def contact_of(world: World, caller: Caller) -> Contact:
    return Contact(
        id=ContactId(world.ids.next()),
        account_id=caller.account_id,
        athlete=caller.name,
        name="Ben",
        email=EMAIL,
        asked_at_ms=world.clock.wall_ms(),
    )


async def told(stores: Stores, caller: Caller) -> tuple[object, ...]:
    """What the stores say of what was told."""
    account_id = caller.account_id
    contact, phone = await stores.contacts.current(account_id), await stores.contact_phones.current(account_id)
    own, check = await stores.phones.of(account_id), await stores.phones.check(account_id)
    assert contact is not None
    assert phone is not None
    assert own is not None
    assert check is not None
    assert await stores.contacts.by_id(contact.id) == contact
    assert await stores.contact_phones.by_id(phone.id) == phone
    return contact.name, contact.email, phone.contact, phone.number, own.number, check.number


TOLD: Final = ("Ben", EMAIL, "Ben", THEIRS, OWN, OWN)


async def asked_by_anybody(stores: Stores) -> tuple[int, int, int]:
    """How often was asked at each address, as somebody else sees it who asks there, too."""
    other = AccountId(uuid.UUID(int=1))
    _, by_mail = await stores.contacts.asked_since(other, EMAIL, SINCE)
    _, by_text = await stores.contact_phones.asked_since(other, THEIRS, SINCE)
    _, codes = await stores.phones.codes_since(other, OWN, SINCE)
    return len(by_mail), len(by_text), len(codes)


async def dumped(world: World) -> str:
    """The tables as text."""
    async with world.database.tx() as tx:
        return "\n".join(
            [
                row["said"]
                for sealed, _ in INDEXED
                for row in await tx.fetch(f"SELECT to_jsonb(dumped)::text AS said FROM {sealed.field.table} AS dumped")
            ]
        )


async def wrap_anew(world: World, vault: Vault, bite: int = MOST) -> int:
    """Bring everything under the newest key; how many bites that took."""
    for n in range(MOST):
        async with transactions(world, vault)() as stores:
            if not await stores.sealing_keys.wrap_anew(bite):
                return n
    raise AssertionError("it does not end")


async def test_what_is_written_is_not_to_be_seen_and_comes_back(world: World) -> None:
    """ASVS 14.2.4: whom to call, and every telephone number, lies sealed."""
    ada = await world.account()
    await tell(world, ada)
    async with world.transactions() as stores:
        assert await told(stores, ada) == TOLD
        (contact,) = await stores.contacts.latest(ada.account_id, 2)
        assert (contact.name, contact.email) == ("Ben", EMAIL)
    text = await dumped(world)
    for plain in ("Ben", EMAIL, THEIRS, OWN):
        assert plain not in text
        assert plain.encode().hex() not in text


async def test_equal_addresses_are_counted_over_all_accounts_and_a_no_is_known(world: World) -> None:
    ada, bob = await world.account(), await world.account("Bob")
    await tell(world, ada)
    await tell(world, bob)
    async with world.transactions() as stores:
        assert await asked_by_anybody(stores) == (2, 2, 2)
        assert (await stores.contacts.asked_since(ada.account_id, "else@example.org", SINCE))[1] == []
        contact, phone = (
            await stores.contacts.current(ada.account_id),
            await stores.contact_phones.current(ada.account_id),
        )
        assert contact is not None
        assert phone is not None
        await stores.contacts.refuse(contact, SINCE)
        await stores.contact_phones.refuse(phone, SINCE)
        for caller, said_no in ((ada, True), (bob, False)):
            assert await stores.contacts.refused(caller.account_id, EMAIL) == said_no
            assert await stores.contact_phones.refused(caller.account_id, THEIRS) == said_no
            assert not await stores.contacts.refused(caller.account_id, "else@example.org")
        assert await stores.phones.release(OWN, bob.account_id) == [ada.account_id]
        assert await stores.phones.release(OWN, bob.account_id) == []


async def test_another_name_leaves_the_address_where_it_is_found(world: World) -> None:
    ada = await world.account()
    await tell(world, ada)
    async with world.transactions() as stores:
        contact = await stores.contacts.current(ada.account_id)
        assert contact is not None
        renamed = await stores.contacts.rename(contact, "Benjamin")
        assert await stores.contacts.current(ada.account_id) == renamed
        assert (renamed.name, renamed.email) == ("Benjamin", EMAIL)
        assert await asked_by_anybody(stores) == (1, 1, 1)


@pytest.mark.parametrize("bite", [1, MOST])
async def test_what_an_older_program_wrote_counts_before_in_the_middle_and_after_it_is_sealed(
    world: World, bite: int
) -> None:
    people = [await world.account(f"Ada {n}") for n in range(2)]
    for one in people:
        await tell(world, one, vault=None)
    assert EMAIL in await dumped(world)
    bites = 0
    while True:
        async with world.transactions() as stores:
            assert await asked_by_anybody(stores) == (2, 2, 2)
            for one in people:
                assert await told(stores, one) == TOLD
            if not await stores.sealing_passes.go_on(bite, utc(world.clock.wall_ms())):
                break
        bites += 1
    assert bites >= len(INDEXED)
    assert EMAIL not in await dumped(world)


async def test_while_nodes_of_an_older_program_run_what_they_and_others_write_is_found_by_all_that_seal(
    world: World,
) -> None:
    """A node that is told to write plain, beside one that seals already and one that knows no seals."""
    ada, bob, eve = [await world.account(name) for name in ("Ada", "Bob", "Eve")]
    beside = Vault(Seals((OLD,)), seals=False)
    for caller, vault in ((ada, VAULT), (bob, None), (eve, beside)):
        await tell(world, caller, vault)
    for vault in (beside, VAULT):
        async with transactions(world, vault)() as stores:
            assert await asked_by_anybody(stores) == (3, 3, 3)
            for caller in (ada, bob, eve):
                contact = await stores.contacts.current(caller.account_id)
                assert contact is not None
                await stores.contacts.rename(contact, "Ben")
                assert await told(stores, caller) == TOLD
            assert await asked_by_anybody(stores) == (3, 3, 3)
    async with transactions(world, beside)() as stores:
        assert set(await stores.phones.release(OWN, eve.account_id)) == {ada.account_id, bob.account_id}


async def test_another_key_of_the_installation_makes_the_indexes_anew_and_none_is_lost_on_the_way(world: World) -> None:
    """ASVS 11.1.1: rotation without anything that stops; `paceline keys sealing` counts what is still under the old one."""
    people = [await world.account(f"Ada {n}") for n in range(3)]
    for one in people:
        await tell(world, one)
    first, second = Vault(Seals((NEW, OLD))), Vault(Seals((OLD, NEW)))
    while True:
        for vault in (first, second):
            async with transactions(world, vault)() as stores:
                assert await asked_by_anybody(stores) == (3, 3, 3)
        async with transactions(world, first)() as stores:
            under_old = (await stores.sealing_keys.counts()).get(second.newest, 0)
            if not await stores.sealing_keys.wrap_anew(2):
                break
        assert under_old > 0
    assert under_old == 0
    alone = transactions(world, Vault(Seals((NEW,))))
    async with alone() as stores:
        assert await asked_by_anybody(stores) == (3, 3, 3)
        assert await told(stores, people[0]) == TOLD
    assert await wrap_anew(world, first) == 0


async def test_a_number_that_is_damaged_keeps_its_old_index_and_stops_no_other(world: World) -> None:
    """`paceline keys sealing` goes on to say that one is under the old key; the log says which."""
    ada, bob = await world.account(), await world.account("Bob")
    await tell(world, ada)
    await tell(world, bob)
    async with world.database.tx() as tx:
        await tx.execute("UPDATE phones SET sealed = '\\x01' WHERE account_id = $1", ada.account_id)
    first = Vault(Seals((NEW, OLD)))
    await wrap_anew(world, first)
    async with transactions(world, first)() as stores:
        assert (await stores.sealing_keys.counts())[Vault(Seals((OLD,))).newest] == 1
        assert await stores.phones.release(OWN, AccountId(uuid.UUID(int=1))) != []
        assert await asked_by_anybody(stores) == (2, 2, 2)


async def test_an_index_says_nothing_without_its_key_and_is_another_one_in_each_column(world: World) -> None:
    """ASVS 11.4.2: no list of all telephone numbers undoes it."""
    ada = await world.account()
    await tell(world, ada)
    async with transactions(world, Vault(Seals((NEW,))))() as stores:
        assert await stores.phones.codes_since(AccountId(uuid.UUID(int=1)), OWN, SINCE) == ([], [])
    fields = [index.field for _, index in INDEXED]
    assert len({VAULT.index(field, OWN) for field in fields}) == len(fields)
    assert all(len(VAULT.index(field, OWN)) == 4 + 16 for field in fields)
