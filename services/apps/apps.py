"""What a developer does with apps: register, look, change, rotate the secret, delete.

Only the owner sees an app here; for everybody else it does not exist. A secret is shown once, when it is made. Deleting an app ends
everything that anybody has lent it, in that transaction: its refresh tokens die, its sockets close as those of any login.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import msgspec
import structlog

from services.apps import secret
from services.apps.app import App, AppKind, app_name, redirect_uris
from services.apps.ending import end_grants
from services.apps.ports import AppStores, AppTransactions
from services.kernel.caller import Caller
from services.kernel.clock import Clock, to_wall_ms, utc
from services.kernel.ids import AppId, Ids
from services.kernel.problems import Forbidden, NotAuthenticated, NotFound, TooManyApps

MAX_APPS: Final = 20
"""Of one account."""
OVERLAP_S: Final = 24 * 3_600
"""How long the old secret is still taken beside the new one, unless its owner says otherwise."""
LONGEST_OVERLAP_S: Final = 7 * 24 * 3_600
APP_DELETED: Final = "the app was deleted"

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Registered:
    """A new app, and the secret of a confidential one, which is not shown again."""

    app: App
    secret: str | None


@dataclass(frozen=True)
class Rotated:
    """A new secret, and until when (wall ms) the old one is taken, too."""

    secret: str
    old_until_ms: int


@dataclass(frozen=True)
class Counted:
    """An app, and how many accounts it is at home in."""

    app: App
    accounts: int


class Apps:
    """The use cases."""

    def __init__(self, transactions: AppTransactions, clock: Clock, ids: Ids) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._ids: Final = ids

    async def register(self, caller: Caller, *, name: str, kind: AppKind, uris: tuple[str, ...]) -> Registered:
        """A new app. Raises BadShape, TooManyApps, Forbidden."""
        caller.require("member")
        app = App(
            id=AppId(self._ids.next()),
            owner_id=caller.account_id,
            name=app_name(name),
            kind=kind,
            redirect_uris=redirect_uris(uris),
            created_at_ms=self._clock.wall_ms(),
        )
        made = secret.make(secret.APP_SECRET) if kind == "confidential" else None
        async with self._transactions() as stores:
            # Of two requests at once, the second counts what the first has made.
            if await stores.accounts.locked(caller.account_id) is None:
                raise NotAuthenticated
            if len(await stores.apps.of_owner(caller.account_id)) >= MAX_APPS:
                raise TooManyApps(limit=MAX_APPS)
            await stores.apps.add(app)
            if made is not None:
                await stores.apps.add_secret(app.id, made.hash, utc(self._clock.wall_ms()))
        log.info("app.registered", app=str(app.id), owner=str(app.owner_id), kind=kind)
        return Registered(app, None if made is None else made.text)

    async def own(self, caller: Caller) -> list[App]:
        """The caller's apps, the oldest first. Raises Forbidden."""
        caller.require("member")
        async with self._transactions() as stores:
            return await stores.apps.of_owner(caller.account_id)

    async def by_id(self, caller: Caller, app_id: AppId) -> Counted:
        """One of the caller's apps, or the app that asks for itself. Raises NotFound, Forbidden."""
        if caller.app_id is None:
            caller.require("member")
        async with self._transactions() as stores:
            app = await stores.apps.by_id(app_id)
            if app is None or app.id != caller.app_id:
                app = _theirs(caller, app)
            return Counted(app, await stores.app_grants.accounts(app.id, utc(self._clock.wall_ms())))

    async def change(self, caller: Caller, app_id: AppId, *, name: str | None, uris: tuple[str, ...] | None) -> App:
        """Change what is not None. Raises BadShape, NotFound, Forbidden."""
        caller.require("member")
        async with self._transactions() as stores:
            app = _theirs(caller, await stores.apps.locked(app_id))
            if name is not None:
                app = msgspec.structs.replace(app, name=app_name(name))
            if uris is not None:
                app = msgspec.structs.replace(app, redirect_uris=redirect_uris(uris))
            await stores.apps.change(app)
        return app

    async def rotate(self, caller: Caller, app_id: AppId, overlap_s: int) -> Rotated:
        """A new secret; the old one is taken for `overlap_s` more. There are never more than two: an older one ends at once.

        Raises NotFound, Forbidden for a public app, which has none.
        """
        caller.require("member")
        made, now = secret.make(secret.APP_SECRET), utc(self._clock.wall_ms())
        until = now + timedelta(seconds=overlap_s)
        async with self._transactions() as stores:
            app = _theirs(caller, await stores.apps.locked(app_id))
            if app.kind == "public":
                raise Forbidden("a public app has no secret: PKCE is its proof")
            await stores.apps.retire_secrets(app_id, now, until)
            await stores.apps.add_secret(app_id, made.hash, now)
        log.info("app.secret_rotated", app=str(app_id), overlap_s=overlap_s)
        return Rotated(made.text, to_wall_ms(until))

    async def delete(self, caller: Caller, app_id: AppId) -> None:
        """Forget an app and end all that was lent to it. Raises NotFound, Forbidden."""
        caller.require("member")
        async with self._transactions() as stores:
            app = _theirs(caller, await stores.apps.locked(app_id))
            ended = await self._end_all(stores, app)
            await stores.apps.remove(app_id)
        log.info("app.deleted", app=str(app_id), grants=ended)

    async def _end_all(self, stores: AppStores, app: App) -> int:
        grants = await stores.app_grants.open_of_app(app.id)
        return await end_grants(stores, grants, utc(self._clock.wall_ms()), APP_DELETED)


def _theirs(caller: Caller, app: App | None) -> App:
    if app is None or app.owner_id != caller.account_id:
        raise NotFound("you have no such app")
    return app
