"""Valid input for the addresses of second factors, as routes.py has it for the others."""

import uuid
from datetime import timedelta
from typing import Final

import msgspec

from paceline.keys import sealing_keys
from services.accounts import passkey, totp
from services.accounts.factor_logins import PURPOSE
from services.accounts.passkey import Passkey, PasskeyChallenges, creation_options, made, request_options, site_of
from services.accounts.ports import Login
from services.accounts.proving import about_totp
from services.accounts.second_factor import WaitingLogin, continuation_hash, make_continuation, password_mark
from services.accounts.totp import Totp
from services.kernel.clock import utc
from services.kernel.ids import AccountId, PasskeyId
from services.kernel.sealing import Seals
from tests.matrix.roles import Who
from tests.matrix.routes import PASSWORD
from tests.matrix.scene import PUBLIC_URL, Asked, Evening
from tests.support.authenticator import Authenticator

SECRET: Final = b"12345678901234567890"
SITE: Final = site_of(PUBLIC_URL)
WITH_ACCOUNT: Final = frozenset(Who) - {Who.SUSPENDED, Who.DISPLAY, Who.OPERATOR, Who.NOBODY}


async def scanned(evening: Evening, who: Who) -> Asked:
    """Whoever has an account has scanned a secret, and shows its code."""
    if who in WITH_ACCOUNT:
        await _store_app(evening, (await evening.caller(who)).account_id, confirmed=False)
        await _store_login(evening, who)
    return Asked(body={"code": _code(evening)})


async def with_app(evening: Evening, who: Who) -> Asked:
    """Whoever has an account has an app."""
    if who in WITH_ACCOUNT:
        await _store_app(evening, (await evening.caller(who)).account_id, confirmed=True)
    return Asked()


async def with_passkey(evening: Evening, who: Who) -> Asked:
    """Whoever has an account has a passkey."""
    if who in WITH_ACCOUNT:
        await _store_passkey(evening, (await evening.caller(who)).account_id)
    return Asked()


async def owners_passkey(evening: Evening, _: Who) -> Asked:
    kept = await _store_passkey(evening, (await evening.caller(Who.OWNER)).account_id)
    return Asked({"id": kept.id}, body={"name": "Red phone"})


async def owners_passkey_to_remove(evening: Evening, who: Who) -> Asked:
    return Asked((await owners_passkey(evening, who)).path)


async def made_passkey(evening: Evening, who: Who) -> Asked:
    """What an authenticator has made for whoever asks."""
    account_id = login_id = uuid.uuid4()
    if who in WITH_ACCOUNT:
        caller = await evening.caller(who)
        account_id, login_id = caller.account_id, caller.login_id
        await _store_login(evening, who)
    challenge = _challenges(evening).make(f"add {account_id} {login_id}", evening.now_ms())
    options = creation_options(SITE, challenge, AccountId(account_id), "a@example.org", "A", ())
    answer = Authenticator(origin=PUBLIC_URL).make(options)
    return Asked(body={"passkey": msgspec.to_builtins(answer), "name": "Red phone"})


async def waiting(evening: Evening, _: Who) -> Asked:
    """A log-in of somebody new, whose password was right."""
    account_id = await _somebody(evening)
    await _store_app(evening, account_id, confirmed=True)
    token, now = make_continuation(), utc(evening.now_ms())
    async with evening.world.transactions() as stores:
        mark = password_mark(await stores.accounts.password_hash_locked(account_id))
        login = WaitingLogin(account_id, "phone", mark)
        await stores.second_factors.wait(continuation_hash(token), login, now, now + timedelta(minutes=5))
    return Asked(body={"token": token, "code": _code(evening)})


async def shown_passkey(evening: Evening, _: Who) -> Asked:
    """A passkey of somebody new."""
    phone = Authenticator(origin=PUBLIC_URL)
    await _store_passkey(evening, await _somebody(evening), phone)
    challenge = _challenges(evening).make(PURPOSE, evening.now_ms())
    return Asked(body={"passkey": msgspec.to_builtins(phone.show(request_options(SITE, challenge)))})


async def _somebody(evening: Evening) -> AccountId:
    credentials = {"email": f"{uuid.uuid4()}@example.org", "password": PASSWORD, "name": "Somebody"}
    opened = await evening.make(Who.NOBODY, "POST", "/v1/accounts", credentials)
    return AccountId(uuid.UUID(opened["account"]["id"]))


async def _store_app(evening: Evening, account_id: AccountId, *, confirmed: bool) -> None:
    now_ms = evening.now_ms()
    sealed = _seals(evening).seal(SECRET.hex(), about_totp(account_id))
    app = Totp(sealed, made_at_ms=now_ms, confirmed_at_ms=now_ms if confirmed else None, guessed_at_ms=now_ms)
    async with evening.world.transactions() as stores:
        await stores.second_factors.save_totp(account_id, app)


async def _store_passkey(evening: Evening, account_id: AccountId, phone: Authenticator | None = None) -> Passkey:
    options = creation_options(SITE, b"c" * 32, account_id, "a@example.org", "A", ())
    new = made(SITE, (phone or Authenticator(origin=PUBLIC_URL)).make(options))
    kept = passkey.Passkey(
        PasskeyId(uuid.uuid4()), account_id, "Phone", new.credential, new.signatures, made_at_ms=evening.now_ms()
    )
    async with evening.world.transactions() as stores:
        await stores.second_factors.add_passkey(kept)
    return kept


async def _store_login(evening: Evening, who: Who) -> None:
    caller = await evening.caller(who)
    async with evening.world.transactions() as stores:
        await stores.logins.add(Login(caller.login_id, caller.account_id, "phone", utc(evening.now_ms())))


def _code(evening: Evening) -> str:
    return totp.code_at(SECRET, totp.step_of(evening.now_ms()))


def _seals(evening: Evening) -> Seals:
    return Seals(sealing_keys(evening.stage.parts.settings))


def _challenges(evening: Evening) -> PasskeyChallenges:
    return PasskeyChallenges(_seals(evening))
