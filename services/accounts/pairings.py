"""Letting in big screens that cannot type: a screen asks, somebody with a login answers for it, the screen fetches its token.

What comes out is a display's token, as whoever types a join code on the screen gets (`displays.py`). Who answers must be in the
class that they show, and it must be live: policy says so (`class.put_on_screen`). That is no more than the join code allows, which
all of them know.

Everything is in the database, so any node takes any step. A row is locked by whoever changes it: of two people who answer one is
told that nobody waits, and of two questions of one screen one gets the token.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Generic, Protocol, TypeVar

import msgspec
import structlog

from services.accounts import pairing as pure
from services.accounts.attempts import network_of
from services.accounts.displays import Display, Displays, WatchableClass
from services.accounts.pairing import INTERVAL_S, LIFETIME_S, MOST_WAITING, Pairing
from services.accounts.qr import picture_of
from services.audit.entry import network_of as coarse
from services.kernel.caller import Caller
from services.kernel.clock import Clock
from services.kernel.ids import ClassId
from services.kernel.problems import (
    AuthorizationPending,
    Busy,
    PairingExpired,
    PairingRefused,
    PairingUnknown,
    SlowDown,
    TooManyAttempts,
)
from services.limits.limits import Limits
from services.limits.table import SCREENS, USER_CODE, USER_CODE_FROM

PAGE: Final = "/display"
_CODE_TRIES: Final = 5

log = structlog.get_logger(__name__)


class PairingStore(Protocol):
    """See persistence/pairings.py."""

    async def add(self, pairing: Pairing) -> bool: ...
    async def full_until(self, most: int, now_ms: int) -> int | None: ...
    async def locked(self, device_hash: bytes) -> Pairing | None: ...
    async def locked_by_code(self, user_code: str) -> Pairing | None: ...
    async def save(self, pairing: Pairing) -> None: ...
    async def take(self, device_hash: bytes) -> bool: ...


class PairingStores(Protocol):
    """The stores of one transaction."""

    @property
    def pairings(self) -> PairingStore: ...


C = TypeVar("C", bound=WatchableClass)
C_co = TypeVar("C_co", bound=WatchableClass, covariant=True)


class ClassesForScreens(Protocol[C_co]):
    """Which classes may be put on a screen, and by whom (services/classes/classes.py)."""

    async def showable(self, caller: Caller) -> Sequence[C_co]:
        """The live classes that the caller is in, newest first."""
        ...

    async def to_show(self, caller: Caller, class_id: ClassId) -> C_co:
        """One that the caller wants to put on a screen. Raises ClassNotFound, ClassOver, RemovedFromClass."""
        ...

    async def live(self, class_id: ClassId) -> C_co:
        """A class that a screen was given. Raises ClassNotFound, ClassOver."""
        ...


class PairingBegun(msgspec.Struct, frozen=True):
    """What a screen needs. It shows `user_code` and `verification_uri`, and `picture`, an SVG: the QR code of
    `verification_uri_complete`, where the code is typed already. It keeps `device_code` to itself, and asks with it every
    `interval_s` seconds what became of it, for `expires_in_s` seconds."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    picture: str
    expires_in_s: int
    interval_s: int

    def __repr__(self) -> str:
        return "PairingBegun()"


class Asking(msgspec.Struct, Generic[C], frozen=True):
    """A screen that waits for an answer, as whoever answers sees it, and what it can be given."""

    pairing: Pairing
    classes: tuple[C, ...]


class Pairings(Generic[C]):
    """The use cases. `base_url` is how people reach this installation."""

    def __init__(
        self,
        transactions: Callable[[], AbstractAsyncContextManager[PairingStores]],
        classes: ClassesForScreens[C],
        displays: Displays[C],
        limits: Limits,
        clock: Clock,
        *,
        base_url: Callable[[], str],
    ) -> None:
        self._transactions: Final = transactions
        self._classes: Final = classes
        self._displays: Final = displays
        self._limits: Final = limits
        self._clock: Final = clock
        self._base_url: Final = base_url

    async def begin(self, *, address: str | None) -> PairingBegun:
        """A screen asks to be let in. Raises TooManyAttempts, Busy when as many wait as may."""
        if address is not None:
            await self._limits.spend(SCREENS, network_of(address), problem=TooManyAttempts)
        device_code = pure.make_device_code()
        for _ in range(_CODE_TRIES):
            now_ms = self._clock.wall_ms()
            pairing = pure.begin(device_code, coarse(address), now_ms)
            async with self._transactions() as stores:
                if (until_ms := await stores.pairings.full_until(MOST_WAITING, now_ms)) is not None:
                    raise Busy("too many screens are waiting to be let in", retry_after_ms=until_ms - now_ms)
                if await stores.pairings.add(pairing):
                    return self._begun(device_code, pairing)
        raise Busy("no free code was found; try again")

    async def poll(self, device_code: str) -> Display[C]:
        """What became of a pairing: the display's token, once. Raises AuthorizationPending, SlowDown, PairingRefused,
        PairingExpired; ClassOver when the class has ended meanwhile."""
        device_hash = pure.hash_of(device_code)
        given = await self._asked(device_hash)
        # Looked up before the pairing is used up: what fails here can be asked again.
        display = self._displays.admit(await self._classes.live(given))
        async with self._transactions() as stores:
            if not await stores.pairings.take(device_hash):
                raise PairingExpired
        return display

    async def look(self, caller: Caller, typed: str, *, address: str | None) -> Asking[C]:
        """Which screen shows this user code. Raises PairingUnknown, TooManyAttempts."""
        user_code = await self._counted(caller, typed, address)
        async with self._transactions() as stores:
            pairing = await stores.pairings.locked_by_code(user_code)
        if pairing is None or not pairing.waits(self._clock.wall_ms()):
            raise PairingUnknown
        await self._uncount(caller, address)
        return Asking(pairing, tuple(await self._classes.showable(caller)))

    async def answer(self, caller: Caller, typed: str, class_id: ClassId | None, *, address: str | None) -> None:
        """Give the screen that shows this user code a class of the caller's, or None to refuse. Raises PairingUnknown,
        TooManyAttempts, ClassNotFound, ClassOver, RemovedFromClass."""
        user_code = await self._counted(caller, typed, address)
        if class_id is not None:
            await self._classes.to_show(caller, class_id)
        async with self._transactions() as stores:
            pairing = await stores.pairings.locked_by_code(user_code)
            now_ms = self._clock.wall_ms()
            if pairing is None or not pairing.waits(now_ms):
                raise PairingUnknown
            await stores.pairings.save(pure.answer(pairing, class_id, now_ms))
        await self._uncount(caller, address)
        log.info(
            "pairing.answered",
            account=str(caller.account_id),
            class_id=None if class_id is None else str(class_id),
            network=pairing.network,
        )

    async def _asked(self, device_hash: bytes) -> ClassId:
        """The class that a screen was given, or what it hears instead."""
        async with self._transactions() as stores:
            pairing = await stores.pairings.locked(device_hash)
            if pairing is None:
                raise PairingExpired
            after, heard = pure.poll(pairing, self._clock.wall_ms())
            if after != pairing:
                await stores.pairings.save(after)
        # Out here, because a problem in there would undo that the question was noted.
        if heard == "agreed" and after.class_id is not None:
            return after.class_id
        match heard:
            case "pending":
                raise AuthorizationPending(retry_after_ms=after.interval_s * 1_000)
            case "slow_down":
                raise SlowDown(retry_after_ms=after.interval_s * 1_000)
            case "refused":
                raise PairingRefused
            case _:
                raise PairingExpired

    async def _counted(self, caller: Caller, typed: str, address: str | None) -> str:
        """Count a code before anybody looks for it; the code as it is kept. Raises TooManyAttempts, PairingUnknown."""
        if address is not None:
            await self._limits.spend(USER_CODE_FROM, network_of(address), problem=TooManyAttempts)
        await self._limits.spend(USER_CODE, str(caller.account_id), problem=TooManyAttempts)
        user_code = pure.typed(typed)
        if user_code is None:
            raise PairingUnknown
        return user_code

    async def _uncount(self, caller: Caller, address: str | None) -> None:
        """The code was right: it was no guess."""
        if address is not None:
            await self._limits.take(USER_CODE_FROM, network_of(address), cost=-1)
        await self._limits.take(USER_CODE, str(caller.account_id), cost=-1)

    def _begun(self, device_code: str, pairing: Pairing) -> PairingBegun:
        page, shown = self._base_url() + PAGE, pure.spelled(pairing.user_code)
        # Behind #: what stands there is sent to no server, so no log has it.
        complete = f"{page}#{shown}"
        return PairingBegun(device_code, shown, page, complete, picture_of(complete), LIFETIME_S, INTERVAL_S)
