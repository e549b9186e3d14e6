"""Classes that come again: make a series, end it, and offer its classes some weeks ahead.

A series offers its first classes in the transaction that makes it; a job of the schedule does the rest (`grow`), in the order of
the days. A class of a series is an offer like any other: its coach may change it, put it off or call it off, and the series does
not make it again. Ending a series leaves what is offered. One in the name of an organisation ends by itself once its coach does
not coach there any more.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import date, datetime, timedelta
from typing import Final, Protocol

from msgspec.structs import replace

from services.access import permission as may
from services.access.policy import require_held, sits_for
from services.classes import series as rules
from services.classes.offer import Offer, Terms, checked
from services.classes.offers import OfferStore as SingleOfferStore
from services.classes.offers import OfferStores, in_whose_name, offer_class
from services.classes.script_library import require_own
from services.classes.series import AHEAD_DAYS, Series, SeriesView, Weekly, due, may_end, view_of
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.ids import AccountId, ClassId, Ids, SeriesId
from services.kernel.problems import KeyReused, NotFound

MAX_PAGE: Final = 50


class OfferStore(SingleOfferStore, Protocol):
    """What this needs of the offers' store (persistence/offers.py)."""

    async def add_series(self, series: Series, key: str) -> bool: ...
    async def series_by_key(self, coach_id: AccountId, key: str) -> Series | None: ...
    async def lock_series(self, series_id: SeriesId) -> Series | None: ...
    async def series_of(self, coach_id: AccountId, before: SeriesId | None, limit: int) -> list[Series]: ...
    async def growing(self, through: date, limit: int) -> list[Series]: ...
    async def made(self, series_id: SeriesId, through: date) -> None: ...
    async def end_series(self, series_id: SeriesId, at: datetime) -> None: ...


class SeriesStores(OfferStores, Protocol):
    """The stores of one transaction."""

    @property
    def offers(self) -> OfferStore: ...


class Recurring:
    """The use cases."""

    def __init__(
        self, transactions: Callable[[], AbstractAsyncContextManager[SeriesStores]], clock: Clock, ids: Ids
    ) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._ids: Final = ids

    async def create(self, caller: Caller, rule: Weekly, terms: Terms, key: str) -> SeriesView:
        """Make a series and offer its next classes; the same request again with its `key` finds the one it made. Raises `Forbidden`
        for anybody but coaches, `BadShape`, `KeyReused`, `NotFound` for a script that is not in the caller's library or an
        organisation that they are not in."""
        require_held(caller, may.CREATE_SERIES)
        terms = checked(terms)
        rules.check(rule, terms)
        now_ms = self._clock.wall_ms()
        fresh = Series(
            id=SeriesId(self._ids.next()),
            coach_id=caller.account_id,
            coach_name=caller.name,
            rule=rule,
            terms=terms,
            created_ms=now_ms,
            # Wherever on earth it is, its calendar is at most a day behind.
            made_through=utc(now_ms).date() - timedelta(days=2),
        )
        async with self._transactions() as stores:
            await require_own(stores, caller.account_id, terms.script)
            if await stores.offers.add_series(fresh, key):
                await in_whose_name(stores, caller, terms.organisation)
                return view_of(await _grow(stores, fresh, self._ids, now_ms))
            known = await stores.offers.series_by_key(caller.account_id, key)
        if known is None or (known.rule, known.terms) != (fresh.rule, fresh.terms):
            raise KeyReused
        return view_of(known)

    async def own(self, caller: Caller, before: SeriesId | None, limit: int) -> tuple[SeriesView, ...]:
        """The caller's series, newest first, at most `MAX_PAGE`. Raises `Forbidden` for anybody but coaches."""
        require_held(caller, may.CREATE_SERIES)
        async with self._transactions() as stores:
            found = await stores.offers.series_of(caller.account_id, before, min(max(limit, 1), MAX_PAGE))
        return tuple(map(view_of, found))

    async def end(self, caller: Caller, series_id: SeriesId) -> SeriesView:
        """No more classes of it; those that are offered stay. Again is fine. Raises `NotFound`, `Forbidden`."""
        async with self._transactions() as stores:
            found = await stores.offers.lock_series(series_id)
            if found is None:
                raise NotFound("there is no series with this id")
            may_end(found, caller)
            if found.ended_ms is None:
                now_ms = self._clock.wall_ms()
                await stores.offers.end_series(series_id, utc(now_ms))
                found = replace(found, ended_ms=now_ms)
        return view_of(found)


async def grow(stores: SeriesStores, ids: Ids, now_ms: int, limit: int) -> int:
    """Offer the next classes of up to `limit` series that are behind; how many series they were."""
    behind = await stores.offers.growing(_horizon(now_ms), limit)
    for each in behind:
        if await _in_its_name(stores, each):
            await _grow(stores, each, ids, now_ms)
        else:
            await stores.offers.end_series(each.id, utc(now_ms))
    return len(behind)


async def _in_its_name(stores: SeriesStores, series: Series) -> bool:
    organisation_id = series.terms.organisation
    if organisation_id is None:
        return True
    return sits_for(may.OFFER_FOR_ORGANISATION, await stores.organisations.seat_of(organisation_id, series.coach_id))


async def _grow(stores: SeriesStores, series: Series, ids: Ids, now_ms: int) -> Series:
    through = _horizon(now_ms)
    for day, starts_ms in due(series, now_ms, through):
        offer = Offer(
            id=ClassId(ids.next()),
            coach_id=series.coach_id,
            coach_name=series.coach_name,
            starts_ms=starts_ms,
            terms=series.terms,
            created_ms=now_ms,
            series_id=series.id,
        )
        # Keys of clients have no colon: no coach can take the place of a class of a series.
        await offer_class(stores, offer, f"{series.id}:{day}")
    await stores.offers.made(series.id, through)
    return replace(series, made_through=through)


def _horizon(now_ms: int) -> date:
    return utc(now_ms).date() + timedelta(days=AHEAD_DAYS)
