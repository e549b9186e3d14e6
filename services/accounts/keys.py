"""The signing keys of an installation: read by every process, changed by an operator.

Private keys lie in the database sealed with a key that does not (services/kernel/sealing.py), each about its own name, so a row
cannot be given another row's key. A process that cannot open one says so and goes on with those it can: it still believes every
public key.

The first key is none of these: each node brings its own, which is the same where all is well. So that a command cannot
take another one for it, and leave the true one believed without end, every node writes the public half of its first
key down when it begins, and keys are changed only by a process that begins with one of those. All of them retire then.
That a key is written down makes nobody believe it: a first key is believed by those who begin with it.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import structlog

from services.accounts.keyring import (
    READ_EVERY_MS,
    Jwk,
    KeyProblem,
    Keyring,
    RingKey,
    SigningKey,
    load_key,
    make_key,
    public_key,
    raw_public,
    rotated,
)
from services.accounts.ports import KeyTransactions, StoredKey
from services.audit.entry import SYSTEM, Actor, Entry, Thing
from services.kernel.clock import Clock, utc
from services.kernel.problems import Unavailable
from services.kernel.sealing import CannotOpen, Seals

log = structlog.get_logger(__name__)


class KeyView(msgspec.Struct, frozen=True):
    """One key, for operators. `signs` right now; `retired`: not believed any more. Wall ms; `retires_ms` None: no end yet."""

    kid: str
    signs: bool
    retired: bool
    signs_from_ms: int
    retires_ms: int | None


class Keys:
    """The use cases. `first` is the key of the installation; `ring` what this process signs and checks with."""

    def __init__(
        self, transactions: KeyTransactions, seals: Seals, first: SigningKey, clock: Clock, *, token_ms: int
    ) -> None:
        self.ring: Final = Keyring(first)
        self._first: Final = first
        self._transactions: Final = transactions
        self._seals: Final = seals
        self._clock: Final = clock
        self._token_ms: Final = token_ms

    async def run(self) -> None:
        """Read the keys every minute, until cancelled. What is known stays good while the database is away."""
        while True:
            await self._clock.sleep(READ_EVERY_MS / 1_000)
            try:
                await self.read()
            except Unavailable as problem:
                log.warning("keys.not_read", problem=problem.message)

    async def begin(self) -> None:
        """Write down which key this node begins with, and learn those that there are. Raises Unavailable."""
        first = StoredKey(RingKey(self._first.kid, 0), raw_public(self._first), None)
        async with self._transactions() as stores:
            await stores.signing_keys.lock()
            await stores.signing_keys.begin(first, utc(self._clock.wall_ms()))
            stored = await stores.signing_keys.all()
        self._learn(stored)

    async def read(self) -> None:
        """Learn the keys that there are. Raises Unavailable."""
        async with self._transactions() as stores:
            stored = await stores.signing_keys.all()
        self._learn(stored)

    def check(self) -> None:
        """Return when this process has a key to sign with. Raises KeyProblem."""
        self.ring.signing(self._clock.wall_ms())

    def published(self) -> tuple[Jwk, ...]:
        """The public keys, for whoever checks our tokens."""
        return self.ring.published(self._clock.wall_ms())

    async def all(self) -> tuple[KeyView, ...]:
        """All keys in the order in which they sign, the retired ones included. Raises KeyProblem when this process
        begins with a key that no node begins with."""
        async with self._transactions() as stores:
            stored = await stores.signing_keys.all()
        require_begun(self._first, stored)
        self._learn(stored)
        now = self._clock.wall_ms()
        signing = self.ring.signing(now).kid
        return tuple(
            KeyView(
                kid=place.kid,
                signs=place.kid == signing,
                retired=place.retires_ms is not None and place.retires_ms <= now,
                signs_from_ms=place.signs_from_ms,
                retires_ms=place.retires_ms,
            )
            for place in (key.place for key in stored)
        )

    async def rotate(self, *, stolen: bool = False, by: Actor = SYSTEM) -> RingKey:
        """Make a key that takes over, and let the others retire (`rotated` says when); the new one's place. Keys that
        retired a token's life ago are forgotten. Raises KeyProblem while another is still waiting to take over, and
        when this process begins with a key that no node begins with."""
        pem = make_key()
        new = load_key(pem)
        now = self._clock.wall_ms()
        async with self._transactions() as stores:
            await stores.signing_keys.lock()
            stored = await stores.signing_keys.all()
            require_begun(self._first, stored)
            places = rotated((key.place for key in stored), new.kid, now, token_ms=self._token_ms, stolen=stolen)
            known = {key.place.kid: key for key in stored}
            known[new.kid] = StoredKey(places[-1], raw_public(new), self._seals.seal(pem.decode(), about_key(new.kid)))
            changed = [msgspec.structs.replace(known[place.kid], place=place) for place in places]
            await stores.signing_keys.save(changed, utc(now))
            await stores.signing_keys.forget(utc(now - self._token_ms))
            told = {"stolen": "yes" if stolen else "no"}
            await stores.audit.add(Entry(by, "keys.rotated", thing=Thing("key", new.kid), data=told))
            self._learn(await stores.signing_keys.all())
        log.info("keys.rotated", kid=new.kid, signs_from_ms=places[-1].signs_from_ms, stolen=stolen)
        return places[-1]

    def _learn(self, stored: Sequence[StoredKey]) -> None:
        believed = [key for key in stored if key.sealed is not None or key.place.kid == self._first.kid]
        own = []
        for key in believed:
            if key.sealed is None:
                continue
            try:
                own.append(load_key(self._seals.open(key.sealed, about_key(key.place.kid))))
            except CannotOpen as problem:
                log.warning("keys.cannot_open", kid=key.place.kid, problem=str(problem))
        self.ring.learn([key.place for key in believed], [public_key(key.public) for key in believed], own)


def require_begun(first: SigningKey, stored: Iterable[StoredKey]) -> None:
    """Return when nodes begin with this key. Raises KeyProblem."""
    begun = [key.place.kid for key in stored if key.sealed is None]
    if not begun:
        raise KeyProblem(
            "no node has said yet which key it begins with: start one of this version on this database, then try again"
        )
    if first.kid not in begun:
        raise KeyProblem(
            f"the nodes begin with another key ({', '.join(begun)}) than this process ({first.kid}): give it their"
            " PACELINE_TOKEN_KEY, or run it on their data folder"
        )


def about_key(kid: str) -> bytes:
    return b"signing key " + kid.encode()
