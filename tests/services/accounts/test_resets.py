"""A new password by mail; with a real database and mail server."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from persistence.database import Database
from services.accounts.account_mail import LIFE_MS, PAUSE_MS
from services.accounts.resets import PASSWORD_RESET
from services.kernel.facts import LoginEnded
from services.kernel.problems import LinkOver, RefreshRefused, WeakPassword, WrongCredentials
from tests.support.doors import ANNA, NEW, OLD, Doors, open_doors
from tests.support.mailed import text_of


@pytest.fixture
async def doors(database: Database) -> AsyncIterator[Doors]:
    async with open_doors(database) as doors:
        yield doors


async def ask(doors: Doors, email: str = ANNA) -> None:
    await doors.resets.ask(email, address=None)


async def test_who_has_lost_their_password_chooses_another_by_mail_and_all_their_devices_are_out(doors: Doors) -> None:
    """ASVS 7.4.3."""
    watch = await doors.account()
    phone = await doors.log_in()
    await ask(doors, "ANNA@example.org")
    await doors.reset(await doors.link("reset"))
    with pytest.raises(WrongCredentials):
        await doors.log_in(OLD)
    for logged_in in (watch, phone):
        with pytest.raises(RefreshRefused):
            await doors.accounts.refresh(logged_in.refresh_token, address=None)
    async with doors.transactions() as stores:
        ended = [e.fact for e in await stores.outbox.peek(100) if isinstance(e.fact, LoginEnded)]
    assert {fact.login_id for fact in ended} == {doors.caller(watch).login_id, doors.caller(phone).login_id}
    assert {fact.reason for fact in ended} == {PASSWORD_RESET}
    assert (await doors.log_in(NEW)).account.verified, "who reads the mail has proved the address"


async def test_the_owner_is_told_that_the_password_was_changed(doors: Doors) -> None:
    """ASVS 6.3.7: told of a change, at the address that the account has."""
    await doors.account()
    await ask(doors)
    await doors.reset(await doors.link("reset"))
    told = await doors.newest()
    assert (told["To"], told["Subject"]) == (ANNA, "Your password was changed")


async def test_asvs_6_4_3_choosing_a_password_opens_no_login(doors: Doors) -> None:
    """ASVS 6.4.3: so a second factor is asked for as ever, when they log in."""
    logged_in = await doors.account()
    await ask(doors)
    await doors.reset(await doors.link("reset"))
    assert await doors.logins.all(doors.caller(logged_in)) == ()


async def test_asvs_6_4_1_a_link_is_used_once_also_by_two_at_the_same_moment(doors: Doors) -> None:
    """ASVS 6.4.1."""
    await doors.account()
    await ask(doors)
    link = await doors.link("reset")
    ends = await asyncio.gather(
        doors.reset(link), doors.reset(link, "marble pigeon cello drift"), return_exceptions=True
    )
    assert sorted(type(end).__name__ for end in ends) == ["LinkOver", "NoneType"]
    with pytest.raises(LinkOver):
        await doors.reset(link)


async def test_asvs_6_4_1_a_link_is_short_lived(doors: Doors) -> None:
    """ASVS 6.4.1."""
    await doors.account()
    await ask(doors)
    link = await doors.link("reset")
    await doors.clock.advance(LIFE_MS["reset"] / 1_000)
    with pytest.raises(LinkOver):
        await doors.reset(link)


async def test_with_one_link_all_older_ones_die(doors: Doors) -> None:
    await doors.account()
    await ask(doors)
    first = await doors.link("reset")
    await doors.clock.advance(PAUSE_MS / 1_000)
    await ask(doors)
    await doors.reset(await doors.link("reset"))
    with pytest.raises(LinkOver):
        await doors.reset(first)


async def test_a_password_that_is_changed_by_its_owner_makes_links_worthless(doors: Doors) -> None:
    """ASVS 6.4.1: after a change."""
    caller = doors.caller(await doors.account())
    await ask(doors)
    link = await doors.link("reset")
    await doors.logins.change_password(caller, old=OLD, new=NEW, address=None)
    assert (await doors.newest())["Subject"] == "Your password was changed"
    with pytest.raises(LinkOver):
        await doors.reset(link, "marble pigeon cello drift")


async def test_a_refused_password_leaves_the_link_good(doors: Doors) -> None:
    await doors.account()
    await ask(doors)
    link = await doors.link("reset")
    with pytest.raises(WeakPassword):
        await doors.reset(link, "anna@example.org")
    await doors.reset(link)


async def test_asvs_6_3_8_an_address_without_an_account_is_answered_alike_and_gets_no_mail(doors: Doors) -> None:
    """ASVS 6.3.8."""
    await ask(doors, "nobody@example.org")
    assert await doors.mailing.mails() == []


async def test_an_address_is_not_flooded_and_the_last_link_stays_good(doors: Doors) -> None:
    """ASVS 6.3.1: somebody who asks again and again does not keep the owner out."""
    await doors.account()
    for _ in range(20):
        await ask(doors)
    assert len(await doors.mailing.mails()) == 1
    await doors.reset(await doors.link("reset"))


async def test_no_name_that_somebody_typed_is_mailed_to_an_address(doors: Doors) -> None:
    await doors.account(name="Win 1000 Euro at evil example")
    await ask(doors)
    assert "Euro" not in text_of(await doors.newest())
