"""Who comes with an access token of another issuer, where the operator trusts it (trust.py); what one proves is foreign_token.py.

**For whom.** An identity that is linked to an account acts as that account, with the scopes that the operator maps and nothing
else, as an app does. Nobody is linked silently: who is not linked is told to sign in with that provider first, or, where the
operator says `provision`, gets an account if their address is vouched for and free.

**Behind the tokens of an identity is a login**, opened when the first of them comes. Whatever ends logins ends it (a changed
password, a suspension, a role that is taken, the provider taken away), and with it, within the bound of every login, all tokens
that were issued until then: sockets close, requests are refused. A token that was issued later opens another login, unless the
account is shut; a clock that differs by `SKEW_S` brings none of the old ones back.

**Keys come from the database**, where workers keep what issuers publish; nobody is called here. They are kept for `KEYS_KEPT_S`.
A name that is not among them is looked for there, and workers are asked to read anew, `WANT_EVERY_S` apart, whoever makes up names.
What could not be read for `KEYS_HOLD_S` is believed no longer, since the issuer may have called a key back.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import structlog

from services.accounts.account import normal_device
from services.accounts.arriving import Arriving
from services.accounts.foreign_token import Ended, ForeignToken, accepted, claimed_issuer
from services.accounts.id_token import SKEW_S
from services.accounts.identity import Identity, Standing
from services.accounts.issuer_keys import IssuerKeys, KidUnknown, TokenRefused, read_keys
from services.accounts.ports import Login
from services.accounts.provider import BadDocument, Provider
from services.accounts.sign_in_ports import SignInStores, SignInTransactions
from services.accounts.suspension import require_open
from services.flags.switches import ALL_ON, Switches
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.ids import Ids, LoginId
from services.kernel.problems import (
    AccountSuspended,
    EmailNotVouched,
    IdentityTaken,
    LinkNeeded,
    NotAuthenticated,
    RegisteringPaused,
    TokenExpired,
    Unavailable,
)

KEYS_KEPT_S: Final = 60.0
LOOK_AGAIN_S: Final = 2.0
"""Between two looks into the database for a name of a key that is not known."""
WANT_EVERY_S: Final = 30.0
KEYS_HOLD_S: Final = 24 * 3_600
USED_EVERY_MS: Final = 3_600_000
"""How exactly it is noted when an identity was last used."""
SOON_MS: Final = 2_000

WhyNot = Literal["not_linked", "ended", "suspended", "address_taken", "address_not_vouched", "registering_paused"]
"""Why a token that is all right opens nothing here."""

log = structlog.get_logger(__name__)


class _Known(NamedTuple):
    keys: IssuerKeys
    read_at: float
    fetched_ms: int


class ForeignTokens:
    """See the module. Believes the issuers of those `providers` that say so. `refused` counts tokens that were not believed,
    `opened` logins that were opened."""

    def __init__(
        self,
        transactions: SignInTransactions,
        providers: Sequence[Provider],
        clock: Clock,
        ids: Ids,
        switches: Switches = ALL_ON,
    ) -> None:
        self.refused = 0
        self.opened = 0
        self._transactions: Final = transactions
        self._trusted: Final = {one.issuer: one for one in providers if one.trust is not None}
        self._clock: Final = clock
        self._ids: Final = ids
        self._arriving: Final = Arriving(clock, ids, switches)
        self._known: Final[dict[str, _Known]] = {}
        self._reading: Final = {issuer: asyncio.Lock() for issuer in self._trusted}
        self._wanted: Final[dict[str, float]] = {}

    def claims(self, token: str) -> bool:
        """Whether a token says that it is from an issuer that is trusted; nothing of it is believed yet."""
        return bool(self._trusted) and claimed_issuer(token) in self._trusted

    async def caller_of(self, token: str) -> Caller:
        """Who shows a token of which `claims` is true. Raises NotAuthenticated, TokenExpired, Unavailable."""
        provider = self._trusted[claimed_issuer(token)]
        try:
            shown = await self._accepted(provider, token)
        except Ended as ended:
            raise TokenExpired(f"the access token has expired; get a new one from {provider.name}") from ended
        except TokenRefused as why:
            self.refused += 1
            log.info("foreign_tokens.refused", provider=provider.id, why=str(why))
            raise NotAuthenticated(f"this token of {provider.name} is not taken: {why}") from why
        try:
            return await self._caller(provider, shown)
        except (LinkNeeded, IdentityTaken) as taken:
            # Another node may have made the account at this very moment.
            if (found := await self._standing(shown)) is None:
                raise _refused(provider, "address_taken") from taken
            return await self._caller(provider, shown, found)

    # -- the account ----------------------------------------------------------------------------------------------

    async def _standing(self, shown: ForeignToken) -> Standing | None:
        async with self._transactions() as stores:
            return await stores.identities.standing(shown.statement.issuer, shown.statement.subject)

    async def _caller(self, provider: Provider, shown: ForeignToken, found: Standing | None = None) -> Caller:
        who, now_ms = shown.statement, self._clock.wall_ms()
        async with self._transactions() as stores:
            found = found or await stores.identities.standing(who.issuer, who.subject)
            if found is None:
                found = await self._arrived(stores, provider, shown)
            if found.logged_in is None:
                found = await self._log_in(stores, provider, shown, found.identity)
            if now_ms - found.identity.used_ms >= USED_EVERY_MS:
                await stores.identities.used(found.identity.id, now_ms)
        if found.logged_in is None:
            raise _refused(provider, "ended")
        return Caller(
            account_id=found.identity.account_id,
            login_id=found.logged_in,
            name=found.name,
            roles=found.roles,
            expires_at_ms=shown.expires_ms,
            scopes=shown.scopes,
        )

    async def _arrived(self, stores: SignInStores, provider: Provider, shown: ForeignToken) -> Standing:
        """An account for somebody who has none. Raises NotAuthenticated, LinkNeeded, IdentityTaken."""
        who = shown.statement
        if provider.trust is None or not provider.trust.provision:
            raise _refused(provider, "not_linked")
        try:
            await self._arriving.new_account(stores, provider.id, who)
        except EmailNotVouched as why:
            raise _refused(provider, "address_not_vouched") from why
        except RegisteringPaused as paused:
            raise _refused(provider, "registering_paused", paused.message) from paused
        made = await stores.identities.standing(who.issuer, who.subject)
        if made is None:
            raise _refused(provider, "not_linked")
        return made

    async def _log_in(
        self, stores: SignInStores, provider: Provider, shown: ForeignToken, identity: Identity
    ) -> Standing:
        """The login behind the tokens of an identity; another one where it has ended before this token was issued."""
        # Under the lock of the account: of two nodes one opens it, and who suspends or unlinks at this moment is seen here.
        await stores.accounts.locked(identity.account_id)
        found = await stores.identities.standing(identity.issuer, identity.subject)
        if found is None:
            raise _refused(provider, "not_linked")
        if found.logged_in is not None:
            return found
        now_ms = self._clock.wall_ms()
        try:
            require_open(await stores.suspensions.standing(identity.account_id), now_ms)
        except AccountSuspended as suspended:
            raise _refused(provider, "suspended", suspended.message) from suspended
        if found.ended_ms is not None and shown.issued_ms <= found.ended_ms + SKEW_S * 1_000:
            raise _refused(provider, "ended")
        login_id = LoginId(self._ids.next())
        await stores.logins.add(
            Login(login_id, identity.account_id, normal_device(provider.name), created_at=utc(now_ms))
        )
        await stores.identities.log_in(identity.id, login_id)
        self.opened += 1
        log.info("foreign_tokens.opened", provider=provider.id, account=str(identity.account_id), login=str(login_id))
        made = await stores.identities.standing(identity.issuer, identity.subject)
        if made is None:
            raise _refused(provider, "not_linked")
        return made

    # -- keys -----------------------------------------------------------------------------------------------------

    async def _accepted(self, provider: Provider, token: str) -> ForeignToken:
        known = await self._keys(provider, KEYS_KEPT_S)
        try:
            return accepted(token, provider, known.keys, self._clock.wall_ms())
        except KidUnknown:
            newer = await self._keys(provider, LOOK_AGAIN_S)
        try:
            return accepted(token, provider, newer.keys, self._clock.wall_ms())
        except KidUnknown:
            await self._want(provider)
            raise

    async def _keys(self, provider: Provider, at_most_s: float) -> _Known:
        """The issuer's keys, as they were in the database so many seconds ago at most. Raises Unavailable."""
        known = self._fresh(provider, at_most_s)
        if known is None:
            # Of many requests at once, one reads and the others have its answer.
            async with self._reading[provider.issuer]:
                known = self._fresh(provider, at_most_s) or await self._read(provider)
        if known is None or self._clock.wall_ms() - known.fetched_ms > KEYS_HOLD_S * 1_000:
            await self._want(provider)
            raise Unavailable(
                f"the keys of {provider.name} have not been read lately; try again", retry_after_ms=SOON_MS
            )
        return known

    def _fresh(self, provider: Provider, at_most_s: float) -> _Known | None:
        known = self._known.get(provider.issuer)
        return known if known is not None and self._clock.monotonic() - known.read_at < at_most_s else None

    async def _read(self, provider: Provider) -> _Known | None:
        now = self._clock.monotonic()
        async with self._transactions() as stores:
            documents = await stores.issuers.of([provider.issuer])
        try:
            known = _Known(read_keys(documents[0].keys), now, documents[0].fetched_ms) if documents else None
        except BadDocument as problem:
            log.warning("foreign_tokens.bad_keys", provider=provider.id, problem=str(problem))
            known = None
        if known is not None:
            self._known[provider.issuer] = known
        return known

    async def _want(self, provider: Provider) -> None:
        now = self._clock.monotonic()
        if now - self._wanted.get(provider.issuer, -WANT_EVERY_S) < WANT_EVERY_S:
            return
        self._wanted[provider.issuer] = now
        async with self._transactions() as stores:
            await stores.issuers.want(provider.issuer, self._clock.wall_ms())


def _refused(provider: Provider, why: WhyNot, message: str = "") -> NotAuthenticated:
    said: dict[WhyNot, str] = {
        "not_linked": f"nobody here is linked to this identity: sign in with {provider.name} first, or link it to your account",
        "ended": f"this login has ended: get a new token from {provider.name}, in two minutes at the latest",
        "suspended": message,
        "registering_paused": message,
        "address_taken": f"there is an account with your address: log in to it, and link {provider.name} on the account page",
        "address_not_vouched": f"{provider.name} does not vouch for an address of yours, so no account is made: register here,"
        " and link it on the account page",
    }
    return NotAuthenticated(said[why], provider=provider.id, reason=why)
