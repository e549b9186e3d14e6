"""Erasing accounts: the stages of an erasure, bite by bite (services/privacy/erasure.py says which there are, and why).

A bite is one transaction of the job, with the stage it was at: whatever dies goes on from there, and doing a bite again finds what
is left. One that fails leaves nothing behind but that its erasure is passed over for `PASSED_OVER_MS`: the others go on.
Files are removed before the rows that know of them go. What Redis has of somebody runs out by itself within the rest:
their presence in seconds, what they said an hour after the last word in that room.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog

from persistence.stores import Stores
from services.audit.entry import SYSTEM, Entry
from services.classes.bookings import Bookings
from services.classes.offers import Offers
from services.classes.recurring import Recurring
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.facts import LoginEnded
from services.kernel.ids import AccountId, Ids, LoginId
from services.organisations.organisations import Organisations
from services.privacy.erasure import BLANKED, DELETED, STAGES, Erasure
from services.schedule.jobs import Tick
from workers.exporting import Exports

BITE: Final = 500
PASSED_OVER_MS: Final = 15 * 60_000
"""By feeling: long enough for an operator's repair, and short beside the seven days."""
CLOSED: Final = "the account was erased"

log = structlog.get_logger(__name__)


class EraseJobs:
    """What the schedule does for whoever wants to go. `rest_ms`: so long is waited between closing an account and emptying it."""

    def __init__(self, exports: Exports, clock: Clock, ids: Ids, *, rest_ms: int) -> None:
        self._exports: Final = exports
        self._clock: Final = clock
        self._ids: Final = ids
        self._rest_ms: Final = rest_ms

    async def erase(self, stores: Stores, _: Tick) -> int:
        """One bite of one erasure; how much that was, 0 when nothing is due."""
        now_ms = self._clock.wall_ms()
        erasure = await stores.erasures.lock_due(utc(now_ms), utc(now_ms - self._rest_ms))
        if erasure is None:
            return 0
        account_id, last = erasure.account_id, erasure.stage == len(STAGES) - 1
        try:
            async with stores.tx.transaction():  # a savepoint: only what has failed is undone
                did = await self._bite(stores, erasure)
        except Exception:
            log.exception(
                "erasure.failed",
                account=str(account_id),
                stage=STAGES[erasure.stage],
                again_in_s=PASSED_OVER_MS // 1_000,
            )
            await stores.erasures.pass_over(account_id, utc(now_ms + PASSED_OVER_MS))
            return 1
        if did:
            return did
        await stores.erasures.advance(account_id, erasure.stage + 1, ended_at=utc(now_ms) if last else None)
        if last:
            log.info("erasure.ended", account=str(account_id))
        return 1

    async def _bite(self, stores: Stores, erasure: Erasure) -> int:
        account_id = erasure.account_id
        match STAGES[erasure.stage]:
            case "close":
                return await self._close(stores, account_id)
            case "things":
                return await self._things(stores, account_id)
            case "names":
                erasing = stores.erasing
                # Where the whole inbox of everybody is looked through, once is enough: after the last of the classes.
                return await erasing.unname(account_id, BITE // 10) or (
                    await erasing.unname_coach(account_id, BITE)
                    + await erasing.unname_appeals(account_id, BITE)
                    + await erasing.unname_friends(account_id, BITE)
                )
            case "rows":
                return await self._rows(stores, account_id)
            case "blanks":
                for entry, subject, blanked in BLANKED:
                    await stores.erasing.blank(entry, subject, blanked, account_id)
                return 0

    async def _close(self, stores: Stores, account_id: AccountId) -> int:
        at = utc(self._clock.wall_ms())
        await stores.accounts.locked(account_id)
        for entry, subject in DELETED:
            if subject.lead.table == "accounts":  # what is found by the address goes while it still stands there
                await stores.erasing.delete(entry, subject, account_id, BITE)
        for login_id in await stores.erasing.shut(account_id, at, CLOSED):
            await stores.outbox.add(LoginEnded(account_id, login_id, CLOSED), login_id)
        await stores.erasures.close(account_id, at)
        await stores.audit.add(Entry(SYSTEM, "account.closed", account_id))
        log.info("erasure.closed", account=str(account_id))
        return 1

    async def _things(self, stores: Stores, account_id: AccountId) -> int:
        """What others would wait for in vain ends as if its owner had ended it."""
        now = utc(self._clock.wall_ms())
        caller = Caller(account_id, LoginId(self._ids.next()), "", frozenset({"member", "coach"}), 0)

        @asynccontextmanager
        async def here() -> AsyncIterator[Stores]:
            yield stores

        for task_id in await stores.erasing.tasks(account_id):
            await self._exports.remove(task_id)
        places = await stores.erasing.places(account_id, now, BITE // 10)
        for booking_id in places:
            await Bookings(here, self._clock, self._ids).cancel(caller, booking_id)
        series = await stores.erasing.series(account_id, BITE)
        for series_id in series:
            await Recurring(here, self._clock, self._ids).end(caller, series_id)
        offers = await stores.erasing.offers(account_id, now, BITE // 10)
        for class_id in offers:
            await Offers(here, self._clock, self._ids).call_off(caller, class_id)
        organisations = await stores.organisations.of_account(account_id)
        for organisation, _ in organisations:
            await Organisations(here, self._clock, self._ids).go(caller, organisation.id)
        return len(places) + len(series) + len(offers) + len(organisations)

    async def _rows(self, stores: Stores, account_id: AccountId) -> int:
        did = 0
        for entry, subject in DELETED:
            did += await stores.erasing.delete(entry, subject, account_id, BITE - did)
            if did >= BITE:
                break
        return did
