"""What apps call themselves: tokens for a code, for a refresh token, for the app itself; revoking, looking a token up.

(RFC 6749, 7009, 7636, 7662, 9700.) A code works once. Used a second time, two parties hold it and one of them stole it, so what
came of the first use ends, too. Refresh tokens are replaced with every use; one that comes back later than `GRACE` after it was
used ends the grant, as with people (services/accounts/accounts.py says why, and what the ten seconds cost).

A grant never grows: a refresh may ask for fewer scopes than were lent, never for others. It ends when it is not used for
`REFRESH_TTL`, and at `LOGIN_TTL` whatever happens.
"""

import urllib.parse
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec
import structlog

from services.accounts.account import normal_device
from services.accounts.accounts import GRACE
from services.accounts.opening import LOGIN_TTL, REFRESH_TTL
from services.accounts.ports import Login
from services.accounts.scope import FOR_SERVICES, scopes_of, written
from services.accounts.tokens import MAX_TOKEN, Issued, Tokens
from services.apps import secret
from services.apps.app import App
from services.apps.authorization import app_id_of, proves
from services.apps.ending import end_grants, end_login
from services.apps.ports import AppRefresh, AppStores, AppTransactions, Code, Grant
from services.kernel.caller import Caller, Scope
from services.kernel.clock import Clock, to_wall_ms, utc
from services.kernel.ids import Ids, LoginId
from services.kernel.problems import (
    InvalidClient,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    NotAuthenticated,
    TokenExpired,
    UnauthorizedClient,
    UnsupportedGrantType,
)

MAX_GRANTS: Final = 20
"""Logins of one app in one account. One more ends the oldest: an app that loses its tokens and asks again would fill the table."""
REUSED: Final = "an app's refresh token was used twice"
CODE_REPLAYED: Final = "a code was used twice"
REVOKED: Final = "revoked by the app"
CROWDED_OUT: Final = "the app has logged in too often since"

Form = dict[str, str]
log = structlog.get_logger(__name__)


class TokenReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """What /oauth/token answers (RFC 6749, 5.1). `expires_in` is in seconds; whoever speaks for itself gets no refresh token."""

    access_token: str
    expires_in: int
    scope: str
    token_type: Literal["Bearer"]
    refresh_token: str | None = None

    def __repr__(self) -> str:
        return "TokenReply()"


class Introspection(msgspec.Struct, frozen=True, omit_defaults=True):
    """What /oauth/introspect answers (RFC 7662): nothing but `active` when the token is not good, or is not the app's own."""

    active: bool
    scope: str | None = None
    client_id: str | None = None
    sub: str | None = None
    exp: int | None = None
    token_type: Literal["Bearer"] | None = None
    iss: str | None = None


INACTIVE: Final = Introspection(active=False)


class Credentials(msgspec.Struct, frozen=True):
    """How a client says who it is: `secret` None for one that has none to show."""

    client_id: str
    secret: str | None

    def __repr__(self) -> str:
        return f"Credentials({self.client_id})"


def credentials_of(form: Form, basic: tuple[str, str] | None) -> Credentials:
    """From the header of RFC 6749 2.3.1 (already split at the colon), or from the form; never from both. Raises InvalidRequest,
    InvalidClient."""
    if basic is None:
        if "client_id" not in form:
            raise InvalidClient("say who you are: client_id, and the secret of a confidential app")
        return Credentials(form["client_id"], form.get("client_secret"))
    name, given = (urllib.parse.unquote_plus(part) for part in basic)
    if "client_secret" in form or form.get("client_id", name) != name:
        raise InvalidRequest("prove yourself in one way: in the Authorization header, or in the form")
    return Credentials(name, given)


class Exchanging:
    """The use cases. `issuer` is the address of this installation."""

    def __init__(
        self,
        transactions: AppTransactions,
        tokens: Tokens,
        clock: Clock,
        ids: Ids,
        issuer: Callable[[], str],
        *,
        refresh_ttl: timedelta = REFRESH_TTL,
    ) -> None:
        self._transactions: Final = transactions
        self._tokens: Final = tokens
        self._clock: Final = clock
        self._ids: Final = ids
        self._issuer: Final = issuer
        self._refresh_ttl: Final = refresh_ttl

    # -- tokens -----------------------------------------------------------------------------------------------------

    async def tokens(self, form: Form, who: Credentials) -> TokenReply:
        """Tokens for what `form` brings. Raises InvalidClient, InvalidGrant, InvalidRequest, InvalidScope, UnauthorizedClient,
        UnsupportedGrantType."""
        kind = form.get("grant_type")
        if kind is None:
            raise InvalidRequest("grant_type is missing")
        if kind == "authorization_code":
            return await self._for_code(form, who)
        if kind == "refresh_token":
            return await self._for_refresh(form, who)
        if kind == "client_credentials":
            return await self._for_itself(form, who)
        raise UnsupportedGrantType

    async def _for_code(self, form: Form, who: Credentials) -> TokenReply:
        code_hash = secret.hash_of(secret.CODE, _needed(form, "code"))
        uri, verifier = _needed(form, "redirect_uri"), _needed(form, "code_verifier")
        now = utc(self._clock.wall_ms())
        async with self._transactions() as stores:
            app = await self._client(stores, who)
            code = None if code_hash is None else await stores.app_grants.code_locked(code_hash)
            if code_hash is None or code is None or code.app_id != app.id:
                raise InvalidGrant
            if code.used_at is None:
                _check_code(code, uri, verifier, now)
                login_id = LoginId(self._ids.next())
                grant = Grant(login_id, app.id, code.account_id, code.scopes, now)
                reply = await self._open(stores, app, grant, code.given_in, now)
                await stores.app_grants.use_code(code_hash, now, login_id)
                return reply
            # The ending has to be committed, so the refusal is raised after the transaction.
            if code.login_id is not None:
                await end_login(stores, code.account_id, code.login_id, now, CODE_REPLAYED, stolen=True)
        log.warning("app.code_replayed", app=str(app.id), account=str(code.account_id))
        raise InvalidGrant

    async def _open(
        self, stores: AppStores, app: App, grant: Grant, given_in: LoginId | None, now: datetime
    ) -> TokenReply:
        if await stores.accounts.locked(grant.account_id) is None:
            raise InvalidGrant
        # Under the lock: who suspends the account or changes its password at this moment ends this login, or is seen here.
        standing = await stores.suspensions.standing(grant.account_id)
        if standing is not None and standing.holds(to_wall_ms(now)):
            raise InvalidGrant("the account was suspended")
        agreed = None if given_in is None else await stores.logins.by_id(given_in)
        if agreed is not None and agreed.ended_at is not None:
            raise InvalidGrant("the login in which the person agreed has ended: ask the person again")
        live = await stores.app_grants.live(grant.account_id, now)
        of_app = [each for each in live if each.grant.app_id == app.id]
        await end_grants(stores, [each.grant for each in of_app[MAX_GRANTS - 1 :]], now, CROWDED_OUT)
        await stores.logins.add(Login(grant.login_id, grant.account_id, normal_device(app.name), created_at=now))
        await stores.app_grants.add(grant)
        return await self._issue(stores, grant, grant.scopes, now)

    async def _for_refresh(self, form: Form, who: Credentials) -> TokenReply:
        token_hash = secret.hash_of(secret.APP_REFRESH, _needed(form, "refresh_token"))
        now = utc(self._clock.wall_ms())
        async with self._transactions() as stores:
            app = await self._client(stores, who)
            refresh = None if token_hash is None else await stores.app_grants.refresh_locked(token_hash)
            if token_hash is None or refresh is None or not _good(refresh, app, now):
                raise InvalidGrant
            grant = refresh.grant
            if refresh.used_at is None or now - refresh.used_at <= GRACE:
                scopes = _fewer(form.get("scope"), grant.scopes)
                if refresh.used_at is None:
                    await stores.app_grants.mark_used(token_hash, now)
                return await self._issue(stores, grant, scopes, now)
            await end_login(stores, grant.account_id, grant.login_id, now, REUSED, stolen=True)
        log.warning("app.refresh_reused", app=str(app.id), login=str(grant.login_id))
        raise InvalidGrant

    async def _issue(self, stores: AppStores, grant: Grant, scopes: frozenset[Scope], now: datetime) -> TokenReply:
        account = await stores.accounts.by_id(grant.account_id)
        if account is None:
            raise InvalidGrant
        made = secret.make(secret.APP_REFRESH)
        expires_at = min(now + self._refresh_ttl, grant.granted_at + LOGIN_TTL)
        await stores.app_grants.add_refresh(grant.login_id, made.hash, now, expires_at)
        issued = self._tokens.for_app(account, grant.login_id, grant.app_id, scopes, self._clock.wall_ms())
        return _reply(issued, scopes, made.text)

    async def _for_itself(self, form: Form, who: Credentials) -> TokenReply:
        async with self._transactions() as stores:
            app = await self._client(stores, who)
        if app.kind == "public":
            raise UnauthorizedClient("a public app cannot prove that it is itself, so it cannot speak for itself")
        scopes = scopes_of(form.get("scope", ""))
        if not scopes or not scopes <= FOR_SERVICES:
            raise InvalidScope(f"name at least one scope of {written(FOR_SERVICES)}: others are people's to lend")
        return _reply(self._tokens.for_service(app.id, app.name, scopes, self._clock.wall_ms()), scopes)

    # -- revoking and looking up ------------------------------------------------------------------------------------

    async def revoke(self, form: Form, who: Credentials) -> None:
        """End the grant of a token, whichever of its two kinds it is. Of tokens that are not the app's nothing is told, and nothing
        happens (RFC 7009). Raises InvalidClient, InvalidRequest."""
        token, now = _needed(form, "token"), utc(self._clock.wall_ms())
        async with self._transactions() as stores:
            app = await self._client(stores, who)
            grant = await self._grant_of(stores, token)
            if grant is not None and grant.app_id == app.id:
                await end_login(stores, grant.account_id, grant.login_id, now, REVOKED)

    async def introspect(self, form: Form, who: Credentials) -> Introspection:
        """What a token of the app's own is good for. Raises InvalidClient, InvalidRequest, UnauthorizedClient."""
        token, now = _needed(form, "token"), utc(self._clock.wall_ms())
        async with self._transactions() as stores:
            app = await self._client(stores, who)
            if app.kind == "public":
                raise UnauthorizedClient("a public app cannot prove that it is itself")
            token_hash = secret.hash_of(secret.APP_REFRESH, token)
            if token_hash is not None:
                refresh = await stores.app_grants.refresh_locked(token_hash)
                if refresh is None or not _good(refresh, app, now) or refresh.used_at is not None:
                    return INACTIVE
                grant, expires_ms = refresh.grant, to_wall_ms(refresh.expires_at)
                return self._active(app, grant.scopes, str(grant.account_id), expires_ms)
            caller = self._caller_of(token)
            if caller is None or caller.app_id != app.id or caller.scopes is None:
                return INACTIVE
            if caller.account_id != app.id:
                lent = await stores.app_grants.by_login(caller.login_id)
                if lent is None or lent.ended_at is not None:
                    return INACTIVE
            return self._active(app, caller.scopes, str(caller.account_id), caller.expires_at_ms)

    def _active(self, app: App, scopes: frozenset[Scope], sub: str, expires_ms: int) -> Introspection:
        return Introspection(
            active=True,
            scope=written(scopes),
            client_id=str(app.id),
            sub=sub,
            exp=expires_ms // 1_000,
            token_type="Bearer",  # noqa: S106 - a word of the standard
            iss=self._issuer(),
        )

    async def _grant_of(self, stores: AppStores, token: str) -> Grant | None:
        token_hash = secret.hash_of(secret.APP_REFRESH, token)
        if token_hash is not None:
            refresh = await stores.app_grants.refresh_locked(token_hash)
            return None if refresh is None else refresh.grant
        caller = self._caller_of(token)
        return None if caller is None else await stores.app_grants.by_login(caller.login_id)

    def _caller_of(self, token: str) -> Caller | None:
        if len(token) > MAX_TOKEN:
            return None
        try:
            return self._tokens.identify(token, self._clock.wall_ms())
        except (NotAuthenticated, TokenExpired):
            return None

    # -- who asks ---------------------------------------------------------------------------------------------------

    async def _client(self, stores: AppStores, who: Credentials) -> App:
        app_id = app_id_of(who.client_id)
        app = None if app_id is None else await stores.apps.by_id(app_id)
        if app is None:
            raise InvalidClient
        if app.kind == "public":
            if who.secret is not None:
                raise InvalidClient("a public app has no secret; send client_id alone")
            return app
        hashed = None if who.secret is None else secret.hash_of(secret.APP_SECRET, who.secret)
        if hashed is None or not await stores.apps.has_secret(app.id, hashed, utc(self._clock.wall_ms())):
            raise InvalidClient
        return app


def _check_code(code: Code, uri: str, verifier: str, now: datetime) -> None:
    if now >= code.expires_at:
        raise InvalidGrant("the code has expired: ask the person again")
    if uri != code.redirect_uri:
        raise InvalidGrant("redirect_uri is not the one that the code was sent to")
    if not proves(verifier, code.challenge):
        raise InvalidGrant("code_verifier is not what code_challenge was made of")


def _good(refresh: AppRefresh, app: App, now: datetime) -> bool:
    return refresh.grant.app_id == app.id and refresh.grant.ended_at is None and now < refresh.expires_at


def _fewer(asked: str | None, lent: frozenset[Scope]) -> frozenset[Scope]:
    if asked is None:
        return lent
    scopes = scopes_of(asked)
    if not scopes or not scopes <= lent:
        raise InvalidScope("a refresh may ask for fewer scopes than were granted, never for others")
    return scopes


def _needed(form: Form, name: str) -> str:
    if not form.get(name):
        raise InvalidRequest(f"{name} is missing")
    return form[name]


def _reply(issued: Issued, scopes: frozenset[Scope], refresh_token: str | None = None) -> TokenReply:
    return TokenReply(
        issued.token,
        issued.expires_in_s,
        written(scopes),
        "Bearer",
        refresh_token,
    )
