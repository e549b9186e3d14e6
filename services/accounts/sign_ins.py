"""Signing in with others, and linking them: what the gateway does of it.

`sign_in.py` says how a sign-in goes; workers ask the providers (workers/signing_in.py). Here it begins, takes the provider's
answer, and ends: in a login of the account that the identity belongs to, in a new account, or in a link.

**Never linked silently.** A provider's word that somebody has an address makes a new account with it, and opens none that is there:
who has that address here may have proven less, or more, than the provider asks for. They log in as they do and link it themselves.

A new account is made in arriving.py.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Final, Literal

import msgspec
import structlog

from services.accounts.account import SignupRole, normal_device
from services.accounts.arriving import Arriving
from services.accounts.attempts import Attempts
from services.accounts.id_token import Statement
from services.accounts.identity import MOST_IDENTITIES
from services.accounts.opening import LoggedIn, Opened, Opening, let_in
from services.accounts.provider import BadDocument, Metadata, Provider, read_metadata
from services.accounts.sign_in import (
    LIFETIME_MS,
    RETURN_PATH,
    Failure,
    SignIn,
    about,
    authorization_url,
    belongs,
    digest,
    make_fresh,
    why_not_from,
)
from services.accounts.sign_in_ports import SignInStores, SignInTransactions
from services.accounts.step_up import require_fresh
from services.flags.switches import ALL_ON, Switches
from services.kernel.caller import Caller
from services.kernel.clock import Clock
from services.kernel.ids import AccountId, Ids, SignInId
from services.kernel.problems import (
    AccountSuspended,
    EmailNotVouched,
    Forbidden,
    IdentityTaken,
    LinkNeeded,
    NotFound,
    RegisteringPaused,
    SignInRefused,
    SignInUnknown,
    TooManyIdentities,
    Unavailable,
)
from services.kernel.sealing import CannotOpen, Seals

ASK_AGAIN_MS: Final = 400
"""How long a page waits before it asks again how its sign-in is."""
SOON_MS: Final = 2_000
_ENDINGS: Final = (
    SignInRefused,
    LinkNeeded,
    EmailNotVouched,
    IdentityTaken,
    TooManyIdentities,
    AccountSuspended,
    RegisteringPaused,
)
"""With any of these a sign-in is over; begin again."""

log = structlog.get_logger(__name__)

_REASONS: Final[Mapping[Failure, str]] = {
    "denied": "You did not agree at the provider, so nobody was logged in.",
    "refused": "The provider refused to confirm who you are. Begin again; if it stays so, tell the operator.",
    "unreachable": "The provider could not be asked who you are. Try again in a minute.",
    "unproven": "What the provider said cannot be believed, so nobody was logged in. If it stays so, tell the operator.",
    "abandoned": "The server was interrupted while it asked the provider. Begin again.",
}


class ProviderView(msgspec.Struct, frozen=True):
    """A provider that one can sign in with. `button` is what its button says."""

    id: str
    name: str
    button: str


class SignInBegun(msgspec.Struct, frozen=True):
    """Go to `url` in the browser. Keep `secret` in the page or app that began, and hand it to nobody else; all is over after
    `expires_in_s` seconds."""

    id: SignInId
    secret: str
    url: str
    expires_in_s: int

    def __repr__(self) -> str:
        return f"SignInBegun({self.id})"


class Came(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the provider's answer says, and the secret of who began. `provider` is the one whose return address was called; `iss`
    is there if it says its issuer, `error` in place of `code` if it refused. `name` is what the person calls themselves (Apple)."""

    secret: Annotated[str, msgspec.Meta(max_length=100)]
    provider: Annotated[str, msgspec.Meta(max_length=30)]
    state: Annotated[str, msgspec.Meta(max_length=100)]
    code: Annotated[str, msgspec.Meta(max_length=4_096)] = ""
    iss: Annotated[str, msgspec.Meta(max_length=500)] | None = None
    error: Annotated[str, msgspec.Meta(max_length=200)] = ""
    name: Annotated[str, msgspec.Meta(max_length=300)] = ""

    def __repr__(self) -> str:
        return f"Came(provider={self.provider!r})"


class SignInNow(msgspec.Struct, frozen=True):
    """How it is. waiting: ask again in `again_in_ms`; done: `login` is yours; linked: you can sign in with it from now on."""

    state: Literal["waiting", "done", "linked"]
    again_in_ms: int | None = None
    login: LoggedIn | None = None


class SignIns:
    """The use cases. `base_url` is how people reach this installation."""

    def __init__(
        self,
        transactions: SignInTransactions,
        providers: Sequence[Provider],
        opening: Opening,
        seals: Seals,
        clock: Clock,
        ids: Ids,
        attempts: Attempts,
        *,
        base_url: Callable[[], str],
        coach_signup: Literal["open", "closed"] = "open",
        switches: Switches = ALL_ON,
    ) -> None:
        self._transactions: Final = transactions
        self._providers: Final = {provider.id: provider for provider in providers}
        self._opening: Final = opening
        self._seals: Final = seals
        self._clock: Final = clock
        self._ids: Final = ids
        self._arriving: Final = Arriving(clock, ids, switches)
        self._attempts: Final = attempts
        self._base_url: Final = base_url
        self._coach_signup: Final = coach_signup

    def offered(self) -> tuple[ProviderView, ...]:
        """The providers one can sign in with, in the operator's order."""
        return tuple(ProviderView(one.id, one.name, one.button) for one in self._providers.values())

    async def begin(self, provider_id: str, *, role: SignupRole, device: str, address: str | None) -> SignInBegun:
        """Begin to sign in. `role` is that of a new account, if it comes to one. Raises NotFound, Forbidden (coach sign-up is
        closed), Unavailable, TooManyAttempts."""
        if role == "coach" and self._coach_signup == "closed":
            raise Forbidden(
                "coaches cannot sign up by themselves here; register as a member and ask the operator for the role"
            )
        return await self._begin(provider_id, role=role, device=device, address=address, linking=None)

    async def begin_link(self, caller: Caller, provider_id: str, *, address: str | None) -> SignInBegun:
        """Begin to link a provider to the caller's account. Raises as `begin`, StepUpNeeded, TooManyIdentities."""
        if caller.class_id is not None:
            raise Forbidden("a display has no account; log in for this")
        require_fresh(caller, self._clock.wall_ms())
        return await self._begin(provider_id, role="member", device="", address=address, linking=caller)

    async def come_back(self, sign_in_id: SignInId, came: Came, *, address: str | None) -> SignInNow:
        """Take the provider's answer, once. Raises SignInUnknown, SignInRefused, TooManyAttempts."""
        await self._attempts.from_address(address)
        async with self._transactions() as stores:
            found = self._theirs(await stores.sign_ins.locked(sign_in_id), came.secret)
            if found.state != "begun" or found.state_hash != digest(came.state):
                raise SignInUnknown
            why_not = await self._why_not(stores, found, came)
            if why_not is not None:
                # What was begun is over: the forgetting has to be committed, so it is refused below.
                await stores.sign_ins.forget(found.id)
            else:
                code = self._seals.seal(msgspec.json.encode([came.code, came.name]).decode(), about(found.id, "code"))
                await stores.sign_ins.save(msgspec.structs.replace(found, state="returned", code=code))
        if why_not is not None:
            log.info("sign_in.refused", provider=found.provider, reason=why_not)
            raise _refused(why_not)
        return SignInNow("waiting", again_in_ms=ASK_AGAIN_MS)

    async def finish(self, sign_in_id: SignInId, secret: str) -> SignInNow:
        """How it is; once the provider has said who it is, its end. Raises SignInUnknown, SignInRefused, LinkNeeded,
        EmailNotVouched, IdentityTaken, TooManyIdentities, AccountSuspended, SecondFactorNeeded, and RegisteringPaused for who has
        no account yet."""
        try:
            async with self._transactions() as stores:
                # Whoever only looks locks nothing: a worker passes over a sign-in that is locked.
                seen = self._theirs(await stores.sign_ins.by_id(sign_in_id), secret)
                if seen.state == "begun":
                    raise SignInUnknown("hand in the provider's answer first")
                if seen.waits(self._clock.wall_ms()):
                    return SignInNow("waiting", again_in_ms=ASK_AGAIN_MS)
                found = self._theirs(await stores.sign_ins.locked(sign_in_id), secret)
                if found.statement is None:
                    raise _refused(found.failure or "abandoned")
                opened = await self._end(stores, found, found.statement)
                await stores.sign_ins.forget(found.id)
        except _ENDINGS as problem:
            # Nothing of it was written; that the sign-in is over has to be.
            async with self._transactions() as stores:
                await stores.sign_ins.forget(sign_in_id)
            log.info("sign_in.refused", sign_in=str(sign_in_id), code=problem.code)
            raise
        log.info("sign_in.ended", provider=found.provider, linked=opened is None)
        return SignInNow("linked") if opened is None else SignInNow("done", login=let_in(opened))

    async def _begin(
        self, provider_id: str, *, role: SignupRole, device: str, address: str | None, linking: Caller | None
    ) -> SignInBegun:
        await self._attempts.from_address(address)
        provider = self._providers.get(provider_id)
        if provider is None:
            raise NotFound(
                "nobody can sign in with this provider here; GET /v1/sign-in-providers lists those there are"
            )
        fresh = make_fresh()
        new = SignInId(self._ids.next())
        return_url = f"{self._base_url()}{RETURN_PATH}{provider.id}"
        async with self._transactions() as stores:
            metadata = await self._metadata(stores, provider)
            if metadata is not None:
                if linking is not None:
                    await self._require_room(stores, linking.account_id)
                await stores.sign_ins.add(
                    SignIn(
                        id=new,
                        provider=provider.id,
                        secret_hash=digest(fresh.secret),
                        state_hash=digest(fresh.state),
                        sealed=self._seals.seal(msgspec.json.encode(fresh.sealed).decode(), about(new, "secrets")),
                        return_url=return_url,
                        device=normal_device(device),
                        role=role,
                        began_ms=self._clock.wall_ms(),
                        account_id=linking.account_id if linking else None,
                        login_id=linking.login_id if linking else None,
                    )
                )
        if metadata is None:
            raise Unavailable(f"{provider.name} has not been reached yet; try again", retry_after_ms=SOON_MS)
        url = authorization_url(provider, metadata, fresh, return_url)
        return SignInBegun(new, fresh.secret, url, LIFETIME_MS // 1_000)

    def _theirs(self, found: SignIn | None, secret: str) -> SignIn:
        """The sign-in that was found. One that is over, or somebody else's, is as one that never was."""
        if found is None or found.over(self._clock.wall_ms()) or not belongs(found, secret):
            raise SignInUnknown
        return found

    async def _metadata(self, stores: SignInStores, provider: Provider) -> Metadata | None:
        """What is known of the provider; None, and workers are asked for it, when that is nothing."""
        if provider.fixed is not None:
            return provider.fixed
        documents = await stores.issuers.of([provider.issuer])
        try:
            if documents:
                return read_metadata(provider, documents[0].metadata)
        except BadDocument as problem:
            log.warning("sign_in.bad_metadata", provider=provider.id, problem=str(problem))
        await stores.issuers.want(provider.issuer, self._clock.wall_ms())
        return None

    async def _why_not(self, stores: SignInStores, found: SignIn, came: Came) -> Failure | None:
        """Why this answer ends the sign-in."""
        provider = self._providers.get(found.provider)
        metadata = None if provider is None else await self._metadata(stores, provider)
        if provider is None or metadata is None or came.provider != found.provider:
            return "unproven"
        if (why := why_not_from(provider, metadata, came.iss)) is not None:
            log.warning("sign_in.mixed_up", provider=provider.id, why=why)
            return "unproven"
        if came.error:
            return "denied" if came.error in {"access_denied", "user_cancelled_authorize"} else "refused"
        return None if came.code else "refused"

    async def _end(self, stores: SignInStores, found: SignIn, statement: Statement) -> Opened | None:
        """A login, or None for a link."""
        if found.account_id is not None:
            await self._link(stores, found, found.account_id, statement)
            return None
        identity = await stores.identities.find(statement.issuer, statement.subject)
        account = None if identity is None else await stores.accounts.locked(identity.account_id)
        if account is not None:
            # First the account, then its identity, as everybody does who locks both; it may have been taken away.
            identity = await stores.identities.find(statement.issuer, statement.subject)
        if identity is None:
            account = await self._arriving.new_account(stores, found.provider, statement, found.role)
        elif account is None or account.id != identity.account_id:
            raise SignInUnknown
        else:
            await stores.identities.used(identity.id, self._clock.wall_ms())
        return await self._opening.open(stores, account, found.device, "issuer")

    async def _link(self, stores: SignInStores, found: SignIn, account_id: AccountId, statement: Statement) -> None:
        await stores.accounts.locked(account_id)
        # Whoever was logged out meanwhile links nothing.
        login = None if found.login_id is None else await stores.logins.by_id(found.login_id)
        if login is None or login.ended_at is not None:
            raise SignInUnknown("you were logged out meanwhile; log in and link it again")
        identity = await stores.identities.find(statement.issuer, statement.subject)
        if identity is None:
            await self._require_room(stores, account_id)
            await self._arriving.link(stores, account_id, found.provider, statement)
        elif identity.account_id != account_id:
            raise IdentityTaken

    @staticmethod
    async def _require_room(stores: SignInStores, account_id: AccountId) -> None:
        if len(await stores.identities.of_account(account_id)) >= MOST_IDENTITIES:
            raise TooManyIdentities


def opened(seals: Seals, found: SignIn) -> tuple[str, str]:
    """The provider's code, and what the person calls themselves. Raises CannotOpen."""
    if found.code is None:
        raise CannotOpen("there is no code")
    code, name = msgspec.json.decode(seals.open(found.code, about(found.id, "code")), type=tuple[str, str])
    return code, name


def _refused(why: Failure) -> SignInRefused:
    return SignInRefused(_REASONS[why], reason=why)
