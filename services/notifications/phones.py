"""The telephone number of an account: giving one, proving it with a code, taking it back. The use cases.

A number that is given is not used before it is proved, and the old one stays in use until then. A number belongs to whoever
proved it last: numbers are given to other people, and those must not read what was meant for the one before them. Giving another
one asks for a login that has proven itself just now (ASVS 7.5.1).
"""

from typing import Final, Literal

import msgspec
import structlog

from services.access import permission as may
from services.access.policy import require_held
from services.accounts.step_up import require_fresh
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.ids import AccountId, DeliveryId, Ids, PhoneCheckId
from services.kernel.problems import CodeExpired, NotFound, TooManyCodes, WrongCode
from services.notifications.addresses import normal_phone
from services.notifications.phone import DAY_MS, LIFE_MS, Phone, PhoneCheck, PhoneCodes, wait_ms
from services.notifications.ports import PhoneStores, PhoneTransactions

log = structlog.get_logger(__name__)


class PhoneNow(msgspec.Struct, frozen=True):
    """How it stands: the number that is used, and the check that waits for its code. `offered`: whether text messages are sent
    at all."""

    phone: Phone | None
    check: PhoneCheck | None
    offered: bool


class Phones:
    """The use cases. `offered`: whether this installation sends text messages at all."""

    def __init__(
        self, transactions: PhoneTransactions, clock: Clock, ids: Ids, codes: PhoneCodes, *, offered: bool
    ) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._ids: Final = ids
        self._codes: Final = codes
        self._offered: Final = offered

    async def now(self, caller: Caller) -> PhoneNow:
        """The caller's number. Raises Forbidden for a display."""
        account_id = _own(caller)
        async with self._transactions() as stores:
            return await self._now(stores, account_id)

    async def give(self, caller: Caller, text: str) -> PhoneNow:
        """Send a code to this number, in place of an earlier code. One that is proved and lives needs none.

        Raises BadShape at `$.phone`, StepUpNeeded, TooManyCodes with the time to wait, NotFound where no text messages are sent.
        """
        account_id, number = _own(caller), normal_phone(text)
        require_fresh(caller, self._clock.wall_ms())
        if not self._offered:
            raise NotFound("this server sends no text messages")
        now_ms = self._clock.wall_ms()
        async with self._transactions() as stores:
            await stores.phones.lock(account_id, number)
            found = await self._now(stores, account_id)
            if found.phone is not None and found.phone.number == number and found.phone.dead_at_ms is None:
                return found
            since = utc(now_ms - DAY_MS)
            by_account, to_number = await stores.phones.codes_since(account_id, number, since)
            if pause_ms := max(wait_ms(by_account, now_ms), wait_ms(to_number, now_ms)):
                raise TooManyCodes(retry_after_ms=pause_ms)
            check = PhoneCheck(PhoneCheckId(self._ids.next()), account_id, number, now_ms, now_ms + LIFE_MS)
            await stores.phones.begin(check)
            await stores.deliveries.add_code(DeliveryId(self._ids.next()), check, utc(now_ms))
        log.info("phones.given", account=str(account_id), number=_hidden(number))
        return PhoneNow(found.phone, check, self._offered)

    async def prove(self, caller: Caller, typed: str) -> PhoneNow:
        """Use the number that the code was sent to from now on.

        Raises WrongCode with the guesses that are left, CodeExpired when there is no code that could be right.
        """
        account_id = _own(caller)
        async with self._transactions() as stores:
            outcome = await self._prove(stores, account_id, typed)
            found = await self._now(stores, account_id)
        # Raised after the commit: a wrong guess counts.
        match outcome:
            case "expired":
                raise CodeExpired
            case "wrong":
                left = 0 if found.check is None else found.check.guesses_left
                again = "you may try again" if left else "ask for another one"
                raise WrongCode(f"this is not the code that was sent; {again}", path="$.code", guesses_left=left)
            case "proved":
                return found

    async def take_back(self, caller: Caller) -> None:
        """Send the caller no text messages any more, and take no code that is on its way. Raises NotFound when there is neither."""
        account_id = _own(caller)
        now = utc(self._clock.wall_ms())
        async with self._transactions() as stores:
            await stores.phones.lock(account_id)
            found = await self._now(stores, account_id)
            if found.phone is None and found.check is None:
                raise NotFound("you have given no telephone number")
            if found.check is not None:
                await stores.phones.end(found.check.id, "withdrawn", now)
            await stores.phones.forget(account_id)
        log.info("phones.taken_back", account=str(account_id))

    async def _prove(
        self, stores: PhoneStores, account_id: AccountId, typed: str
    ) -> Literal["proved", "wrong", "expired"]:
        now_ms = self._clock.wall_ms()
        now = utc(now_ms)
        await stores.phones.lock(account_id)
        check = await stores.phones.check(account_id)
        if check is None or now_ms >= check.expires_at_ms:
            return "expired"
        if not self._codes.matches(check, typed):
            await stores.phones.guessed_wrong(check.id)
            if check.guesses_left <= 1:
                await stores.phones.end(check.id, "used_up", now)
            log.info("phones.wrong_code", account=str(account_id), guesses_left=check.guesses_left - 1)
            return "wrong"
        await stores.phones.lock(account_id, check.number)
        await stores.phones.end(check.id, "confirmed", now)
        for former in await stores.phones.release(check.number, account_id):
            log.info("phones.moved", account=str(former), to=str(account_id), number=_hidden(check.number))
        await stores.notification_settings.set_phone(account_id, check.number, now)
        log.info("phones.proved", account=str(account_id), number=_hidden(check.number))
        return "proved"

    async def _now(self, stores: PhoneStores, account_id: AccountId) -> PhoneNow:
        check = await stores.phones.check(account_id)
        if check is not None and self._clock.wall_ms() >= check.expires_at_ms:
            check = None
        return PhoneNow(await stores.phones.of(account_id), check, self._offered)


def _own(caller: Caller) -> AccountId:
    require_held(caller, may.USE_DEVICES)
    return caller.account_id


def _hidden(number: str) -> str:
    return f"{number[:3]}…{number[-2:]}"
