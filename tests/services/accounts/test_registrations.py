"""Registering where the address is proved first, and proving the address of an account; with a real database and mail server."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from persistence.database import Database
from services.accounts.account_mail import AN_HOUR, LIFE_MS, PAUSE_MS
from services.kernel.facts import AccountRegistered
from services.kernel.ids import AccountMailId, ClassId, Uuid7Ids
from services.kernel.problems import (
    EmailTaken,
    Forbidden,
    LinkOver,
    NotFound,
    TooManyAttempts,
    VerifyFirst,
    WeakPassword,
    WrongCredentials,
    WrongPassword,
)
from tests.support.doors import ANNA, NEW, OLD, Doors, open_doors, token_in
from tests.support.mailed import text_of


@pytest.fixture
async def doors(database: Database) -> AsyncIterator[Doors]:
    async with open_doors(database) as doors:
        yield doors


async def test_who_registers_has_an_account_once_they_have_followed_the_link_and_typed_their_password(
    doors: Doors,
) -> None:
    begun = await doors.begin(" Anna@Example.org", role="coach")
    assert (begun.email, begun.until_ms) == (ANNA, doors.clock.wall_ms() + LIFE_MS["register"])
    with pytest.raises(WrongCredentials):
        await doors.log_in()
    assert (await doors.newest())["To"] == ANNA
    logged_in = await doors.finish(await doors.link("register"))
    assert (logged_in.account.verified, set(logged_in.account.roles)) == (True, {"member", "coach"})
    async with doors.transactions() as stores:
        facts = [envelope.fact for envelope in await stores.outbox.peek(100)]
    assert AccountRegistered(logged_in.account.id) in facts
    assert (await doors.log_in()).account.id == logged_in.account.id


async def test_asvs_6_4_1_a_link_is_used_once_also_by_two_at_the_same_moment(doors: Doors) -> None:
    """ASVS 6.4.1, 2.3.3."""
    await doors.begin()
    link = await doors.link("register")
    ends = await asyncio.gather(doors.finish(link), doors.finish(link), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["LinkOver", "LoggedIn"]
    with pytest.raises(LinkOver):
        await doors.finish(link)


async def test_a_link_is_over_after_a_day(doors: Doors) -> None:
    await doors.begin()
    link = await doors.link("register")
    await doors.clock.advance(LIFE_MS["register"] / 1_000)
    with pytest.raises(LinkOver):
        await doors.finish(link)


async def test_asvs_6_3_8_an_address_with_an_account_is_answered_alike_and_its_owner_is_told(doors: Doors) -> None:
    """ASVS 6.3.8: the answers differ in nothing but the id; only the mailbox tells."""
    await doors.account()
    begun = [await doors.begin(email, NEW) for email in (ANNA, "nobody@example.org")]
    assert len({one.until_ms for one in begun}) == 1
    known, fresh = await doors.mailing.mails()
    assert (known["To"], "has an account already" in text_of(known)) == (ANNA, True)
    assert "#register=" not in text_of(known)
    assert (fresh["To"], "#register=" in text_of(fresh)) == ("nobody@example.org", True)
    assert (await doors.log_in()).account.email == ANNA, "nothing about the account has changed"


async def test_who_reads_the_mail_of_an_address_makes_no_account_for_the_stranger_who_registered_it(
    doors: Doors,
) -> None:
    """Pre-hijacking: the stranger knows a password, the owner reads the mail, and neither gets in (OWASP API2)."""
    await doors.begin(password=NEW)
    strangers = await doors.link("register")
    with pytest.raises(WrongPassword):
        await doors.finish(strangers, OLD)
    await doors.clock.advance(PAUSE_MS / 1_000)
    await doors.begin(password=OLD)
    owner = await doors.finish(await doors.link("register"), OLD)
    with pytest.raises(LinkOver):
        await doors.finish(strangers, NEW)
    assert (await doors.log_in(OLD)).account.id == owner.account.id


async def test_a_wrong_password_leaves_the_link_good_and_cannot_be_guessed_for_ever(doors: Doors) -> None:
    """ASVS 6.3.1."""
    await doors.begin()
    link = await doors.link("register")
    ends = [await asyncio.gather(doors.finish(link, NEW), return_exceptions=True) for _ in range(20)]
    kinds = [type(end) for (end,) in ends]
    assert kinds[0] is WrongPassword
    assert kinds[-1] is TooManyAttempts
    await doors.clock.advance(3_600)
    await doors.finish(link)


async def test_the_mail_comes_again_for_who_asks_but_not_at_once(doors: Doors) -> None:
    begun = await doors.begin()
    first = await doors.link("register")
    await doors.registrations.send_again(begun.id, address=None)
    assert len(await doors.mailing.mails()) == 1
    await doors.clock.advance(PAUSE_MS / 1_000)
    await doors.registrations.send_again(begun.id, address=None)
    assert len(await doors.mailing.mails()) == 2
    second = await doors.link("register")
    assert second != first
    await doors.finish(second)
    with pytest.raises(LinkOver):
        await doors.finish(first)


async def test_sending_again_is_answered_alike_for_what_was_never_begun(doors: Doors) -> None:
    await doors.registrations.send_again(AccountMailId(Uuid7Ids(doors.clock).next()), address=None)
    assert await doors.mailing.mails() == []


async def test_an_address_is_not_flooded_and_who_asks_does_not_notice(doors: Doors) -> None:
    """OWASP API4, API6: what mail costs is bounded for each address, whoever asks."""
    for _ in range(3 * AN_HOUR):
        begun = await doors.begin()
        assert begun.email == ANNA
        await doors.clock.advance(PAUSE_MS / 1_000)
    assert len(await doors.mailing.mails()) == AN_HOUR


async def test_an_account_that_came_to_be_meanwhile_is_told_to_who_has_proved_the_address(doors: Doors) -> None:
    await doors.begin()
    link = await doors.link("register")
    await doors.account(password=NEW)
    with pytest.raises(EmailTaken):
        await doors.finish(link)


async def test_a_mail_that_has_not_left_yet_knows_that_the_account_is_there(doors: Doors) -> None:
    await doors.begin()
    await doors.account()
    assert "has an account already" in text_of(await doors.newest())


async def test_a_weak_password_is_refused_before_anything_is_hashed(doors: Doors) -> None:
    """ASVS 6.2.4."""
    before = doors.passwords.statistics().hashed
    with pytest.raises(WeakPassword):
        await doors.begin(password="password12345")
    assert doors.passwords.statistics().hashed == before


async def test_where_addresses_are_proved_first_no_account_is_made_at_once(database: Database) -> None:
    async with open_doors(database, signup="verified") as doors:
        with pytest.raises(VerifyFirst):
            await doors.account()
        await doors.begin()
        assert (await doors.finish(await doors.link("register"))).account.verified


async def test_where_no_mail_is_sent_nothing_is_begun(database: Database) -> None:
    async with open_doors(database, offered=False) as doors:
        with pytest.raises(NotFound):
            await doors.begin()
        with pytest.raises(NotFound):
            await doors.registrations.ask_to_confirm(doors.caller(await doors.account()), address=None)


async def test_the_database_has_nothing_that_opens_a_link(doors: Doors) -> None:
    """ASVS 6.4.1: who has read all of it has no token, for a part of each is made with a secret that is elsewhere."""
    await doors.begin()
    token = await doors.link("register")
    async with doors.transactions() as stores:
        rows = [
            *await stores.tx.fetch("SELECT * FROM account_mails"),
            *await stores.tx.fetch("SELECT * FROM deliveries"),
        ]
    dump = "".join(str(value) for row in rows for value in row.values())
    assert token not in dump
    assert token[22:] not in dump, "the half that is the seal"
    assert OLD not in dump


# -- the address of an account that is there --------------------------------------------------------------------


async def test_an_account_that_was_made_at_once_proves_its_address_afterwards(doors: Doors) -> None:
    logged_in = await doors.account()
    caller = doors.caller(logged_in)
    assert not logged_in.account.verified
    await doors.registrations.ask_to_confirm(caller, address=None)
    link = await doors.link("confirm")
    await doors.registrations.confirm(link, address=None)
    assert (await doors.accounts.me(caller)).verified
    with pytest.raises(LinkOver):
        await doors.registrations.confirm(link, address=None)
    await doors.clock.advance(PAUSE_MS / 1_000)
    await doors.registrations.ask_to_confirm(caller, address=None)
    assert len(await doors.mailing.mails()) == 1, "what is proved is not proved again"


async def test_a_display_has_no_address_to_prove(doors: Doors) -> None:
    caller = doors.caller(await doors.account())
    display = msgspec.structs.replace(caller, class_id=ClassId(caller.login_id))
    with pytest.raises(Forbidden):
        await doors.registrations.ask_to_confirm(display, address=None)


async def test_the_link_of_a_registration_proves_no_address_of_another_account(doors: Doors) -> None:
    await doors.begin("other@example.org")
    link = token_in(await doors.newest(), "register")
    with pytest.raises(LinkOver):
        await doors.registrations.confirm(link, address=None)
