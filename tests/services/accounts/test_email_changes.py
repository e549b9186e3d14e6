"""Another address for an account, and the way back; with a real database and mail server."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from persistence.database import Database
from services.accounts.account_mail import LIFE_MS, PAUSE_MS
from services.accounts.step_up import FRESH_MS
from services.kernel.problems import BadShape, EmailTaken, LinkOver, StepUpNeeded, WrongCredentials
from tests.support.doors import ANNA, NEW, OLD, Doors, open_doors, token_in
from tests.support.mailed import text_of

THERE = "anna@new.example.org"


@pytest.fixture
async def doors(database: Database) -> AsyncIterator[Doors]:
    async with open_doors(database) as doors:
        yield doors


async def ask(doors: Doors, email: str = THERE) -> None:
    await doors.email_changes.ask(doors.caller(await doors.log_in()), email, address=None)


async def moved(doors: Doors) -> str:
    """Anna's account has another address; the link that takes it back."""
    await doors.account()
    await ask(doors)
    await doors.email_changes.finish(token_in((await doors.mailing.mails())[0], "change"), address=None)
    return await doors.link("undo")


async def test_an_account_has_its_new_address_once_that_is_proved_and_both_are_told(doors: Doors) -> None:
    """ASVS 6.3.7."""
    account_id = (await doors.account()).account.id
    await ask(doors, f" {THERE.upper()} ")
    assert await doors.email_of(account_id) == ANNA
    there, here = await doors.mailing.mails()
    assert (there["To"], here["To"]) == (THERE, ANNA)
    assert "wants it to have another e-mail address" in text_of(here)
    await doors.email_changes.finish(token_in(there, "change"), address=None)
    assert await doors.email_of(account_id) == THERE
    told = await doors.newest()
    assert (told["To"], told["Subject"]) == (ANNA, "Your account has another address now")
    assert (await doors.log_in(email=THERE)).account.verified
    with pytest.raises(WrongCredentials):
        await doors.log_in()
    with pytest.raises(LinkOver):
        await doors.email_changes.finish(token_in(there, "change"), address=None)


async def test_asvs_7_5_1_only_a_login_that_has_just_proved_itself_may_ask(doors: Doors) -> None:
    """ASVS 7.5.1."""
    caller = doors.caller(await doors.account())
    await doors.clock.advance(FRESH_MS / 1_000)
    with pytest.raises(StepUpNeeded):
        await doors.email_changes.ask(caller, THERE, address=None)
    assert await doors.mailing.mails() == []


async def test_asvs_6_3_8_an_address_of_somebody_else_is_answered_alike_and_its_owner_is_told(doors: Doors) -> None:
    """ASVS 6.3.8."""
    await doors.account()
    await doors.account(THERE, NEW)
    await ask(doors)
    there, _ = await doors.mailing.mails()
    assert (there["To"], there["Subject"]) == (THERE, "This address has an account already")
    assert "#change=" not in text_of(there)


async def test_an_address_that_was_taken_meanwhile_is_told_to_who_has_proved_it(doors: Doors) -> None:
    account_id = (await doors.account()).account.id
    await ask(doors)
    link = token_in((await doors.mailing.mails())[0], "change")
    await doors.account(THERE, NEW)
    with pytest.raises(EmailTaken):
        await doors.email_changes.finish(link, address=None)
    assert await doors.email_of(account_id) == ANNA


async def test_the_address_that_one_has_is_no_new_one(doors: Doors) -> None:
    await doors.account()
    with pytest.raises(BadShape):
        await ask(doors, ANNA.title())


async def test_a_second_wish_takes_the_place_of_the_first(doors: Doors) -> None:
    account_id = (await doors.account()).account.id
    await ask(doors)
    first = token_in((await doors.mailing.mails())[0], "change")
    await doors.clock.advance(PAUSE_MS / 1_000)
    await ask(doors, "anna@third.example.org")
    with pytest.raises(LinkOver):
        await doors.email_changes.finish(first, address=None)
    assert await doors.email_of(account_id) == ANNA


async def test_who_was_robbed_of_their_account_takes_it_back_and_the_thief_is_out(doors: Doors) -> None:
    link = await moved(doors)
    thief = await doors.log_in(email=THERE)
    await doors.clock.advance(7 * 86_400)
    await doors.email_changes.undo(link, address=None)
    assert await doors.email_of(thief.account.id) == ANNA
    for email in (ANNA, THERE):
        with pytest.raises(WrongCredentials):
            await doors.log_in(OLD, email)
    assert await doors.logins.all(doors.caller(await doors.account("bob@example.org"))) != ()
    await doors.reset(await doors.link("reset"))
    assert (await doors.log_in(NEW)).account.id == thief.account.id
    with pytest.raises(LinkOver):
        await doors.email_changes.undo(link, address=None)


async def test_however_often_the_thief_moves_on_the_first_address_takes_it_back(doors: Doors) -> None:
    link = await moved(doors)
    caller = doors.caller(await doors.log_in(email=THERE))
    await doors.email_changes.ask(caller, "thief@example.org", address=None)
    on = next(mail for mail in await doors.mailing.mails() if mail["To"] == "thief@example.org")
    await doors.email_changes.finish(token_in(on, "change"), address=None)
    second = await doors.link("undo")
    await doors.email_changes.undo(link, address=None)
    assert await doors.email_of(caller.account_id) == ANNA
    with pytest.raises(LinkOver):
        await doors.email_changes.undo(second, address=None)


async def test_a_move_is_taken_back_for_two_weeks(doors: Doors) -> None:
    link = await moved(doors)
    await doors.clock.advance(LIFE_MS["undo"] / 1_000)
    with pytest.raises(LinkOver):
        await doors.email_changes.undo(link, address=None)


async def test_a_reset_that_was_mailed_to_the_old_address_is_worthless_after_the_move(doors: Doors) -> None:
    await doors.account()
    await doors.resets.ask(ANNA, address=None)
    reset = await doors.link("reset")
    await ask(doors)
    change = next(mail for mail in await doors.mailing.mails() if mail["To"] == THERE)
    await doors.email_changes.finish(token_in(change, "change"), address=None)
    with pytest.raises(LinkOver):
        await doors.reset(reset)


async def test_two_accounts_that_ask_for_each_others_address_at_once_wait_for_nobody(doors: Doors) -> None:
    callers = [doors.caller(await doors.account(email)) for email in (ANNA, THERE)]
    for _ in range(10):
        await asyncio.gather(
            doors.email_changes.ask(callers[0], THERE, address=None),
            doors.email_changes.ask(callers[1], ANNA, address=None),
        )
