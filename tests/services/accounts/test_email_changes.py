"""Another address for an account, and the way back; with a real database and mail server."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from persistence.database import Database
from services.accounts.account_mail import LIFE_MS, PAUSE_MS
from services.accounts.email_changes import MOVED_BACK
from services.accounts.identity import Identity
from services.accounts.step_up import FRESH_MS
from services.integrations.endpoint import Endpoint
from services.kernel.caller import Caller
from services.kernel.clock import utc
from services.kernel.ids import AccountId, IdentityId, WebhookEndpointId
from services.kernel.problems import (
    BadShape,
    EmailTaken,
    LinkOver,
    NotAuthenticated,
    NotFound,
    PasskeyRefused,
    StepUpNeeded,
    TooManyAttempts,
    WrongCredentials,
)
from services.privacy.erasures import Erasures
from tests.services.accounts.factored import open_house
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


async def move(doors: Doors, caller: Caller, to: str) -> str:
    """Their account has this address; the link that takes it back."""
    await doors.email_changes.ask(caller, to, address=None)
    mail = [mail for mail in await doors.mailing.mails() if mail["To"] == to][-1]
    await doors.email_changes.finish(token_in(mail, "change"), address=None)
    return await doors.link("undo")


async def come(doors: Doors, account_id: AccountId, name: str) -> None:
    """A provider and a webhook, both of this name, come to an account."""
    now_ms = doors.clock.wall_ms()
    identity = Identity(
        id=IdentityId(doors.ids.next()),
        issuer="https://issuer.example",
        subject=name,
        account_id=account_id,
        provider=name,
        email=None,
        linked_ms=now_ms,
        used_ms=now_ms,
    )
    endpoint_id = WebhookEndpointId(doors.ids.next())
    endpoint = Endpoint(endpoint_id, account_id, "https://a.example/", (), ("samples",), name, now_ms)
    async with doors.transactions() as stores:
        assert await stores.identities.add(identity)
        await stores.webhooks.add(endpoint, "a.example")
        await stores.webhooks.add_secret(endpoint_id, b"sealed", utc(now_ms))


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


async def test_asked_for_again_at_once_the_link_that_is_in_the_mailbox_stays_good(doors: Doors) -> None:
    account_id = (await doors.account()).account.id
    await ask(doors)
    await ask(doors)
    (link,) = (token_in(mail, "change") for mail in await doors.mailing.mails() if mail["To"] == THERE)
    await doors.email_changes.finish(link, address=None)
    assert await doors.email_of(account_id) == THERE


async def test_a_wish_for_which_no_mail_may_be_written_is_refused_and_the_one_before_it_holds(doors: Doors) -> None:
    account_id = (await doors.account()).account.id
    await ask(doors)
    await ask(doors, "anna@third.example.org")
    with pytest.raises(TooManyAttempts):
        await ask(doors)
    link = next(mail for mail in await doors.mailing.mails() if mail["To"] == "anna@third.example.org")
    await doors.email_changes.finish(token_in(link, "change"), address=None)
    assert await doors.email_of(account_id) == "anna@third.example.org"


async def test_no_account_moves_without_a_mail_that_takes_it_back(doors: Doors) -> None:
    caller = doors.caller(await doors.account())
    await doors.email_changes.undo(await move(doors, caller, THERE), address=None)
    await doors.reset(await doors.link("reset"))
    caller = doors.caller(await doors.log_in(NEW))
    await doors.email_changes.ask(caller, "thief@example.org", address=None)
    mail = next(mail for mail in await doors.mailing.mails() if mail["To"] == "thief@example.org")
    with pytest.raises(TooManyAttempts):
        await doors.email_changes.finish(token_in(mail, "change"), address=None)
    assert await doors.email_of(caller.account_id) == ANNA
    await doors.clock.advance(PAUSE_MS / 1_000)
    await doors.email_changes.finish(token_in(mail, "change"), address=None)
    assert token_in(await doors.newest(), "undo")


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


async def test_a_thief_who_moves_on_and_back_has_not_shut_the_way_back_of_the_owner(doors: Doors) -> None:
    """ASVS 6.4: only who has the first address takes everything back."""
    caller = doors.caller(await doors.account())
    owners = await move(doors, caller, "thief@one.example.org")
    thiefs = await move(doors, caller, "thief@two.example.org")
    await doors.email_changes.undo(thiefs, address=None)
    assert await doors.email_of(caller.account_id) == "thief@one.example.org"
    await doors.email_changes.undo(owners, address=None)
    assert await doors.email_of(caller.account_id) == ANNA


async def test_what_came_to_the_account_since_goes_with_the_move_and_what_is_older_stays(
    doors: Doors, database: Database
) -> None:
    async with open_house(database, doors.clock) as house:
        _, caller = await house.with_passkey(doors.caller(await doors.account()), "Mine")
        await come(doors, caller.account_id, "mine")
        await doors.clock.advance(1)
        link = await move(doors, caller, "thief@example.org")
        await house.with_app(caller)
        phone, _ = await house.with_passkey(caller, "Theirs")
        await house.factors.new_codes(caller)
        await come(doors, caller.account_id, "theirs")
        erasures = Erasures(doors.transactions, doors.clock)
        await erasures.ask_for(caller.account_id)
        await doors.email_changes.undo(link, address=None)
        factors = await house.factors.now(caller)
        assert [one.name for one in factors.passkeys] == ["Mine"]
        assert (factors.totp_since_ms, factors.recovery_codes) == (None, 0)
        shown = phone.show(await house.factor_logins.options(address=None))
        with pytest.raises(PasskeyRefused):
            await house.factor_logins.with_passkey(shown, device="phone", address=None)
        assert (await house.told())[-2:] == ["totp_removed", "passkey_removed"]
    with pytest.raises(NotFound):
        await erasures.own(caller)
    async with doors.transactions() as stores:
        assert [one.provider for one in await stores.identities.of_account(caller.account_id)] == ["mine"]
        assert [one.description for one in await stores.webhooks.of_account(caller.account_id)] == ["mine"]
        assert await stores.tx.fetchval("SELECT count(*) FROM webhook_secrets") == 1
        told = await stores.tx.fetch("SELECT act, account_id, reason, data FROM audit_waiting")
    assert [tuple(row) for row in told] == [
        ("factors.reset", caller.account_id, MOVED_BACK, '{"passkeys":1,"recovery_codes":10}')
    ]


async def test_what_the_owner_had_before_the_move_is_theirs_when_it_is_taken_back(
    doors: Doors, database: Database
) -> None:
    async with open_house(database, doors.clock) as house:
        _, caller = await house.with_app(doors.caller(await doors.account()))
        await house.factors.new_codes(caller)
        asked = await Erasures(doors.transactions, doors.clock).ask_for(caller.account_id)
        await doors.clock.advance(1)
        await doors.email_changes.undo(await move(doors, caller, THERE), address=None)
        factors = await house.factors.now(caller)
        assert factors.totp_since_ms is not None
        assert factors.recovery_codes == 10
    assert await Erasures(doors.transactions, doors.clock).own(caller) == asked
    async with doors.transactions() as stores:
        assert await stores.tx.fetchval("SELECT count(*) FROM audit_waiting") == 0


async def test_a_token_that_outlives_its_login_moves_nothing(doors: Doors) -> None:
    caller = doors.caller(await doors.account())
    await doors.email_changes.undo(await move(doors, caller, THERE), address=None)
    with pytest.raises(NotAuthenticated):
        await doors.email_changes.ask(caller, "thief@example.org", address=None)


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
