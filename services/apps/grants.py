"""What an account has lent to apps: seeing it, and taking it back.

A grant is a login with an app. Several of one app, say of its site and its phone app, are one thing to the person who lent them.
"""

from typing import Final

import msgspec
import structlog

from services.accounts.scope import in_order
from services.apps.ending import end_grants
from services.apps.ports import AppTransactions, GrantInUse
from services.kernel.caller import Caller, Scope
from services.kernel.clock import Clock, to_wall_ms, utc
from services.kernel.ids import AppId
from services.kernel.problems import NotFound

TAKEN_BACK: Final = "taken back by the account"

log = structlog.get_logger(__name__)


class AppAtHome(msgspec.Struct, frozen=True):
    """An app that may do something in one's account: what, since when, and when it last asked for tokens."""

    app_id: AppId
    name: str
    scopes: tuple[Scope, ...]
    since_ms: int
    used_at_ms: int


class Grants:
    """The use cases."""

    def __init__(self, transactions: AppTransactions, clock: Clock) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock

    async def own(self, caller: Caller) -> tuple[AppAtHome, ...]:
        """The apps at home in the caller's account, the one used last first. Raises Forbidden."""
        caller.require("member")
        async with self._transactions() as stores:
            live = await stores.app_grants.live(caller.account_id, utc(self._clock.wall_ms()))
        by_app: dict[AppId, list[GrantInUse]] = {}
        for each in live:
            by_app.setdefault(each.grant.app_id, []).append(each)
        return tuple(_at_home(app_id, grants) for app_id, grants in by_app.items())

    async def take_back(self, caller: Caller, app_id: AppId) -> None:
        """End everything that the caller has lent this app: its refresh tokens die at once, its access tokens and sockets within
        seconds. Raises NotFound when it is nothing, Forbidden."""
        caller.require("member")
        now = utc(self._clock.wall_ms())
        async with self._transactions() as stores:
            live = await stores.app_grants.live(caller.account_id, now)
            theirs = [each.grant for each in live if each.grant.app_id == app_id]
            if not theirs:
                raise NotFound("no such app is at home in your account")
            await end_grants(stores, theirs, now, TAKEN_BACK)
        log.info("app.taken_back", app=str(app_id), account=str(caller.account_id))


def _at_home(app_id: AppId, grants: list[GrantInUse]) -> AppAtHome:
    return AppAtHome(
        app_id=app_id,
        name=grants[0].name,
        scopes=in_order({scope for each in grants for scope in each.grant.scopes}),
        since_ms=min(to_wall_ms(each.grant.granted_at) for each in grants),
        used_at_ms=max(to_wall_ms(each.used_at) for each in grants),
    )
