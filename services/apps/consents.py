"""The page that asks somebody whether an app may.

It is asked for by the page /oauth/authorize with the person's own access token, in a header that no other site can make a browser
send: nobody agrees by a picture or a form on somebody else's page (login CSRF, clickjacking: the page may not stand in a frame).

Somebody who has lent an app all that it asks for is not asked again as long as the app is at home in their account. Asked again is
whoever meets more scopes than before, and whenever an app cannot prove that it is itself: on a loopback address any program of the
computer may listen (RFC 8252, 8.6).
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import msgspec
import structlog

from services.accounts.scope import SENTENCES, in_order
from services.apps import secret
from services.apps.app import App
from services.apps.authorization import (
    CODE_TTL_S,
    Asked,
    Refused,
    Wanted,
    app_id_of,
    certain,
    place_of,
    read,
    way_back,
)
from services.apps.ending import require_going_on
from services.apps.ports import AppStores, AppTransactions, Code
from services.flags.switches import ALL_ON, Switches
from services.kernel.caller import Caller, Scope
from services.kernel.clock import Clock, utc
from services.kernel.ids import AppId

log = structlog.get_logger(__name__)


class Lent(msgspec.Struct, frozen=True):
    """A scope, and what it allows in words."""

    scope: Scope
    allows: str


class Question(msgspec.Struct, frozen=True):
    """What to ask. `name` is what the app calls itself; `place` is where it gets the answer. `remembered`: all of it was agreed to
    before, so say yes without asking. `redirect`: ask nothing, go there: the request is out of order, and the app is told so."""

    app_id: AppId
    name: str
    place: str
    scopes: tuple[Lent, ...] = ()
    remembered: bool = False
    redirect: str | None = None


class SentBack(msgspec.Struct, frozen=True):
    """Where to go now: back to the app, with what it needs to know."""

    redirect: str

    def __repr__(self) -> str:
        return "SentBack()"


class Consents:
    """The use cases. `issuer` is the address of this installation, as apps know it."""

    def __init__(
        self, transactions: AppTransactions, clock: Clock, issuer: Callable[[], str], switches: Switches = ALL_ON
    ) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._issuer: Final = issuer
        self._switches: Final = switches

    async def ask(self, caller: Caller, asked: Asked) -> Question:
        """What to ask the caller. Raises AppUnknown, RedirectMismatch, Forbidden."""
        caller.require("member")
        async with self._transactions() as stores:
            app = await _certain(stores, asked)
            wanted = read(asked)
            if isinstance(wanted, Refused):
                return Question(app.id, app.name, place_of(asked.redirect_uri), redirect=self._told(asked, wanted))
            return Question(
                app.id,
                app.name,
                place_of(asked.redirect_uri),
                scopes=tuple(Lent(scope, SENTENCES[scope]) for scope in in_order(wanted.scopes)),
                remembered=await self._remembered(stores, caller, app, wanted),
            )

    async def decide(self, caller: Caller, asked: Asked, *, allow: bool) -> SentBack:
        """The caller has decided. Raises AppUnknown, RedirectMismatch, Forbidden, NotAuthenticated, and for a yes
        ConsentingPaused."""
        caller.require("member")
        if allow:
            self._switches.require("apps.consenting")
        made = secret.make(secret.CODE)
        async with self._transactions() as stores:
            await require_going_on(stores, caller)
            app = await _certain(stores, asked)
            wanted = read(asked)
            if isinstance(wanted, Refused):
                return SentBack(self._told(asked, wanted))
            if not allow:
                return SentBack(self._told(asked, Refused("access_denied", "the person said no")))
            code = Code(
                app_id=app.id,
                account_id=caller.account_id,
                redirect_uri=asked.redirect_uri,
                scopes=wanted.scopes,
                challenge=wanted.challenge,
                expires_at=utc(self._clock.wall_ms()) + timedelta(seconds=CODE_TTL_S),
                given_in=caller.login_id,
            )
            await stores.app_grants.add_code(made.hash, code)
        log.info("app.allowed", app=str(app.id), account=str(caller.account_id))
        return SentBack(way_back(asked, self._issuer(), code=made.text))

    def _told(self, asked: Asked, refused: Refused) -> str:
        return way_back(asked, self._issuer(), error=refused.error, error_description=refused.description)

    async def _remembered(self, stores: AppStores, caller: Caller, app: App, wanted: Wanted) -> bool:
        if not app.proves_itself:
            return False
        live = await stores.app_grants.live(caller.account_id, utc(self._clock.wall_ms()))
        lent = {scope for each in live if each.grant.app_id == app.id for scope in each.grant.scopes}
        return wanted.scopes <= lent


async def _certain(stores: AppStores, asked: Asked) -> App:
    app_id = app_id_of(asked.client_id)
    return certain(None if app_id is None else await stores.apps.by_id(app_id), asked)
