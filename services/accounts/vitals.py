"""The history of somebody's body: what they see, add and take out of it.

The profile (`PATCH /v1/me`) is its present: a heart rate or mass that is changed there is written into the history as of today,
null there takes its kind out of the history, and whatever is done to the history leaves in the profile what holds today.
"""

from collections.abc import Sequence
from datetime import date
from typing import Final

import msgspec

from services.accounts.account import Account, Profile, ProfileChange
from services.accounts.ports import AccountStores, AccountTransactions
from services.accounts.vital import (
    MOST_VITALS,
    OF_PROFILE,
    NewVital,
    Vital,
    VitalView,
    check_plausible,
    holding,
    profile_on,
    views,
    vital_of,
)
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.ids import Ids, VitalId
from services.kernel.problems import Forbidden, NotAuthenticated, NotFound, TooManyVitals

_HEART: Final = ("max_hr", "rest_hr", "birth_date")
"""What of a profile bounds a heart rate: without a maximum that was measured it is guessed from the age."""


class Vitals:
    """The use cases. All raise Forbidden for a display, and NotAuthenticated when the account is gone."""

    def __init__(self, transactions: AccountTransactions, clock: Clock, ids: Ids) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._ids: Final = ids

    async def own(self, caller: Caller) -> tuple[VitalView, ...]:
        """The caller's history, kind by kind, the newest first."""
        _require_account(caller)
        async with self._transactions() as stores:
            return views(await stores.vitals.of(caller.account_id), self._today())

    async def add(self, caller: Caller, new: NewVital) -> VitalView:
        """Add a value. Raises BadShape with the path of what cannot be, TooManyVitals."""
        _require_account(caller)
        vital = vital_of(new, VitalId(self._ids.next()), self._today(), self._clock.wall_ms())
        async with self._transactions() as stores:
            account, history = await self._locked(stores, caller)
            if len(history) >= MOST_VITALS:
                raise TooManyVitals(limit=MOST_VITALS)
            history.append(vital)
            # What changes is from its day on; the day before keeps what it had.
            check_plausible(account.profile, history, (vital.from_day, max(vital.from_day, self._today())))
            await stores.vitals.add(account.id, vital)
            await self._keep_present(stores, account, history, account.profile)
        return next(view for view in views(history, self._today()) if view.id == vital.id)

    async def delete(self, caller: Caller, vital_id: VitalId) -> None:
        """Take a value out. Raises NotFound, BadShape when what would hold then cannot be."""
        _require_account(caller)
        async with self._transactions() as stores:
            account, history = await self._locked(stores, caller)
            gone = next((vital for vital in history if vital.id == vital_id), None)
            if gone is None:
                raise NotFound("there is no such value in your history", path="$.id")
            left = [vital for vital in history if vital is not gone]
            profile = account.profile
            if gone.kind in OF_PROFILE and all(vital.kind != gone.kind for vital in left):
                profile = msgspec.structs.replace(profile, **{gone.kind: None})
            check_plausible(profile, left, (gone.from_day, self._today()))
            await stores.vitals.delete(account.id, vital_id)
            await self._keep_present(stores, account, left, profile)

    async def _locked(self, stores: AccountStores, caller: Caller) -> tuple[Account, list[Vital]]:
        account = await stores.accounts.locked(caller.account_id)
        if account is None:
            raise NotAuthenticated
        return account, await stores.vitals.of(account.id)

    async def _keep_present(
        self, stores: AccountStores, account: Account, history: Sequence[Vital], profile: Profile
    ) -> None:
        present = profile_on(profile, history, self._today())
        if present != account.profile:
            await stores.accounts.save(msgspec.structs.replace(account, profile=present))

    def _today(self) -> date:
        return utc(self._clock.wall_ms()).date()


async def check_against_history(stores: AccountStores, account: Account, change: ProfileChange, now_ms: int) -> None:
    """Raise BadShape with the path of what was changed when the account, as it is after that, contradicts its history
    today, or from a day on that comes. A change that bounds no heart rate is let through, whatever stands there."""
    field = next((name for name in _HEART if getattr(change, name) is not msgspec.UNSET), None)
    if field is None:
        return
    history, today = await stores.vitals.of(account.id), utc(now_ms).date()
    coming = sorted({vital.from_day for vital in history if vital.from_day > today})
    check_plausible(account.profile, history, (today, *coming), path=f"$.{field}")


async def write_into_history(
    stores: AccountStores, account: Account, change: ProfileChange, ids: Ids, now_ms: int
) -> None:
    """What a change of the profile means for the history; `account` is what it was before. A value that was typed before there was
    a history held since the account began. Raises TooManyVitals."""
    changed = {kind: getattr(change, kind) for kind in OF_PROFILE if getattr(change, kind) is not msgspec.UNSET}
    if not changed:
        return
    history, today = await stores.vitals.of(account.id), utc(now_ms).date()
    for kind, value in changed.items():
        holds = holding(history, kind, today)
        if value is None:
            for vital in history:
                if vital.kind == kind:
                    await stores.vitals.delete(account.id, vital.id)
            continue
        before = getattr(account.profile, kind)
        news = [(value, today, now_ms)] if holds is None or holds.value != value else []
        if holds is None and before not in (None, value):
            news.insert(0, (before, utc(account.created_at_ms).date(), account.created_at_ms))
        if len(history) + len(news) > MOST_VITALS:
            raise TooManyVitals(limit=MOST_VITALS)
        for known, from_day, noted_at_ms in news:
            await stores.vitals.add(account.id, Vital(VitalId(ids.next()), kind, known, from_day, "typed", noted_at_ms))


def _require_account(caller: Caller) -> None:
    if caller.class_id is not None:
        raise Forbidden("a display has no account; log in for this")
