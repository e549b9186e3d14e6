"""Asking providers who somebody is, and keeping what issuers publish up to date: the one loop that calls them.

A sign-in waits in the database with its code (persistence/sign_ins.py). The loop is woken by a notification and looks by itself
every `POLL_S`. It takes a sign-in in one transaction, asks the provider in none, and writes down the end in another. A code works
once, so it is asked for once: a worker that dies in between leaves a sign-in that is found abandoned a minute later, and whoever
waits for it is told to begin again.

Documents are read every `RENEW_S`, and when somebody wants them newer, because a token names a key that nobody knows: twice
a minute at most per issuer, whoever may be making up names of keys. What is read and cannot be believed is not kept, so an
issuer that publishes nonsense for an hour costs its newest keys and nothing else.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import msgspec
import structlog

from persistence.sign_ins import CHANNEL
from persistence.stores import Stores
from services.accounts.exchanging import asking_with, read_github, read_granted, token_question
from services.accounts.id_token import Statement, proven, with_userinfo
from services.accounts.issuer_keys import KidUnknown, TokenRefused, read_keys
from services.accounts.provider import BadDocument, Metadata, Provider, read_metadata
from services.accounts.sign_in import LIFETIME_MS, Failure, Sealed, SignIn, about
from services.accounts.sign_in_ports import IssuerDocuments
from services.accounts.sign_ins import opened
from services.kernel.clock import Clock, pause, utc
from services.kernel.sealing import CannotOpen, Seals
from services.schedule.jobs import Tick
from workers.outbound.identity import IdentityCalls, NoAnswer, failure_of
from workers.wakeups import Wakeups, woken_by

SLOTS: Final = 16
"""Providers that this process asks at the same time; who finds none free waits in the database."""
POLL_S: Final = 1.0
RETRY_S: Final = 2.0
"""Between two looks while the database is away."""
RENEW_S: Final = 3_600
AT_MOST_EVERY_S: Final = 30
LOOK_S: Final = 5.0
"""How often it is looked for documents that are due, besides when somebody wants them."""

Transactions = Callable[[], AbstractAsyncContextManager[Stores]]

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class SigningInStatistics:
    """Sign-ins of this process that ask now, and ended ones by their end ("proven", "unreachable"); documents read, and not."""

    running: int = 0
    ended: dict[str, int] = field(default_factory=dict)
    renewed: int = 0
    not_renewed: int = 0


class SigningIn:
    """Asks until it is stopped."""

    def __init__(
        self,
        transactions: Transactions,
        providers: Sequence[Provider],
        calls: IdentityCalls,
        seals: Seals,
        clock: Clock,
        wakeups: Wakeups | None = None,
        *,
        slots: int = SLOTS,
    ) -> None:
        self._transactions: Final = transactions
        self._providers: Final = {provider.id: provider for provider in providers}
        self._issuers: Final = {provider.issuer: provider for provider in providers if provider.discovery}
        self._calls: Final = calls
        self._seals: Final = seals
        self._clock: Final = clock
        self._wakeups: Final = wakeups
        self._slots: Final = slots
        self._stopping: Final = asyncio.Event()
        self._running = 0
        self.statistics: Final = SigningInStatistics()

    async def run(self) -> None:
        """Ask until `stop`, outlasting every fault of the database and of everybody who is asked."""
        with woken_by(self._wakeups, CHANNEL) as woken:
            await self._run(woken)

    def stop(self) -> None:
        """Finish what runs and return from `run`. May be called again."""
        self._stopping.set()

    async def _run(self, woken: asyncio.Event) -> None:
        look_at = self._clock.monotonic()
        async with asyncio.TaskGroup() as group:
            while not self._stopping.is_set():
                look = woken.is_set() or self._clock.monotonic() >= look_at
                woken.clear()
                try:
                    taken = await self.take()
                    due = await self._due() if look else []
                except Exception:
                    # Whatever it was, this loop must outlast it: nobody else would ask.
                    log.exception("signing_in.take_failed", again_in_s=RETRY_S)
                    await pause(self._clock, RETRY_S, self._stopping)
                    continue
                if look:
                    look_at = self._clock.monotonic() + LOOK_S
                for sign_in in taken:
                    self._running += 1
                    group.create_task(self._play(sign_in, woken), name=f"sign-in {sign_in.id}")
                for issuer in due:
                    group.create_task(self._renew(issuer), name=f"documents of {issuer}")
                if not taken and not due:
                    await pause(self._clock, POLL_S, woken, self._stopping)

    async def take(self) -> list[SignIn]:
        """Sign-ins that this process asks about from now on, and nobody else ever."""
        free = self._slots - self._running
        if free <= 0:
            return []
        now_ms = self._clock.wall_ms()
        async with self._transactions() as stores:
            found = await stores.sign_ins.returned(utc(now_ms - LIFETIME_MS), free)
            taken = [msgspec.structs.replace(one, state="asking", asked_ms=now_ms) for one in found]
            for one in taken:
                # Its code is not kept: who has it now asks, and nobody after them.
                await stores.sign_ins.save(msgspec.structs.replace(one, code=None))
        return taken

    # -- one sign-in ----------------------------------------------------------------------------------------------

    async def _play(self, sign_in: SignIn, woken: asyncio.Event) -> None:
        try:
            await self.play(sign_in)
        finally:
            self._running -= 1
            woken.set()

    async def play(self, sign_in: SignIn) -> None:
        """Ask about one that was taken, and write down what comes of it."""
        self.statistics.running += 1
        try:
            ended = await self._asked(sign_in)
            async with self._transactions() as stores:
                now = await stores.sign_ins.locked(sign_in.id)
                if now is not None and now.state == "asking":
                    await stores.sign_ins.save(ended)
            end = ended.failure or "proven"
            self.statistics.ended[end] = self.statistics.ended.get(end, 0) + 1
        except Exception:
            log.exception("signing_in.left_alone", sign_in=str(sign_in.id), provider=sign_in.provider)
        finally:
            self.statistics.running -= 1

    async def _asked(self, sign_in: SignIn) -> SignIn:
        """The sign-in with what its provider says, or why that came to nothing."""
        failure: Failure
        try:
            statement = await self._statement(sign_in)
            return msgspec.structs.replace(sign_in, state="proven", code=None, statement=statement)
        except (NoAnswer, TokenRefused) as problem:
            failure, why = failure_of(problem), str(problem)
        except (BadDocument, CannotOpen) as problem:
            failure, why = "unproven", str(problem)
        log.warning("signing_in.failed", provider=sign_in.provider, failure=failure, why=why)
        return msgspec.structs.replace(sign_in, state="failed", code=None, failure=failure)

    async def _statement(self, sign_in: SignIn) -> Statement:
        provider = self._providers.get(sign_in.provider)
        if provider is None:
            raise BadDocument("this worker does not know the provider: give it the PACELINE_SIGN_IN of the gateways")
        secret = msgspec.json.decode(self._seals.open(sign_in.sealed, about(sign_in.id, "secrets")), type=Sealed)
        code, name = opened(self._seals, sign_in)
        metadata = await self._metadata(provider)
        question = token_question(provider, metadata, code, secret.verifier, sign_in.return_url, self._clock.wall_ms())
        granted = read_granted(provider, await self._calls.ask(question))
        if provider.kind == "github":
            user = await self._calls.ask(asking_with(granted.access_token, provider.user_url))
            emails = await self._calls.ask(asking_with(granted.access_token, f"{provider.user_url}/emails"))
            return read_github(provider, user, emails)
        said = await self._proven(provider, metadata, granted.id_token, secret.nonce, granted.access_token)
        if said.email is None and metadata.userinfo_endpoint:
            body = await self._calls.ask(asking_with(granted.access_token, metadata.userinfo_endpoint))
            said = with_userinfo(said, provider, body)
        # What somebody calls themselves is a suggestion, whoever brought it.
        return msgspec.structs.replace(said, name=said.name or name or None)

    async def _proven(
        self, provider: Provider, metadata: Metadata, token: str, nonce: str, access_token: str
    ) -> Statement:
        """What the ID token says. Its key may be newer than what is known; then it is looked for, twice a minute at most."""
        documents = await self._documents(provider)
        for last in (False, True):
            try:
                return proven(
                    token,
                    provider,
                    read_keys(documents.keys),
                    nonce=nonce,
                    now_ms=self._clock.wall_ms(),
                    access_token=access_token,
                )
            except KidUnknown:
                if last or not await self._renewed_now(provider):
                    raise
                documents = await self._documents(provider)
        raise AssertionError("the loop above returns or raises")

    async def _metadata(self, provider: Provider) -> Metadata:
        if provider.fixed is not None:
            return provider.fixed
        return read_metadata(provider, (await self._documents(provider)).metadata)

    async def _documents(self, provider: Provider) -> IssuerDocuments:
        async with self._transactions() as stores:
            found = await stores.issuers.of([provider.issuer])
        if not found:
            raise NoAnswer("unreachable", "its documents have not been read yet")
        return found[0]

    # -- documents ------------------------------------------------------------------------------------------------

    async def _due(self) -> list[str]:
        if not self._issuers:
            return []
        async with self._transactions() as stores:
            return await stores.issuers.take_due(
                list(self._issuers),
                utc(self._clock.wall_ms()),
                every=timedelta(seconds=RENEW_S),
                at_most_every=timedelta(seconds=AT_MOST_EVERY_S),
            )

    async def _renewed_now(self, provider: Provider) -> bool:
        """Read the documents at once; False when that was done a moment ago, by whomever, or comes to nothing."""
        async with self._transactions() as stores:
            await stores.issuers.want(provider.issuer, self._clock.wall_ms())
            mine = await stores.issuers.take_due(
                [provider.issuer],
                utc(self._clock.wall_ms()),
                every=timedelta(seconds=RENEW_S),
                at_most_every=timedelta(seconds=AT_MOST_EVERY_S),
            )
        return bool(mine) and await self._read(provider)

    async def renew_due(self) -> None:
        """Read the documents that are due, one after the other."""
        for issuer in await self._due():
            await self._renew(issuer)

    async def _renew(self, issuer: str) -> None:
        try:
            await self._read(self._issuers[issuer])
        except Exception:
            # Postgres away, most likely; it is due again soon.
            log.exception("signing_in.documents_not_kept", issuer=issuer)

    async def _read(self, provider: Provider) -> bool:
        try:
            metadata = await self._calls.document(provider.discovery)
            keys = await self._calls.document(read_metadata(provider, metadata).jwks_uri)
            read_keys(keys)
        except (NoAnswer, BadDocument) as problem:
            self.statistics.not_renewed += 1
            log.warning("signing_in.documents_not_read", provider=provider.id, problem=str(problem))
            return False
        async with self._transactions() as stores:
            await stores.issuers.save(IssuerDocuments(provider.issuer, metadata, keys, self._clock.wall_ms()))
        self.statistics.renewed += 1
        return True


class SignInUpkeep:
    """What the schedule does for sign-ins."""

    def __init__(self, clock: Clock, bite: int) -> None:
        self._clock: Final = clock
        self._bite: Final = bite

    async def prune(self, stores: Stores, _: Tick) -> int:
        """Forget sign-ins whose time is up: what they know of somebody is needed no more."""
        return await stores.sign_ins.prune(utc(self._clock.wall_ms() - LIFETIME_MS), self._bite)
