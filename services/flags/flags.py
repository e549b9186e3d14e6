"""The flags as they are set, seen and read by every process.

What is set stands in the database, so it holds for every node and after any restart, and each process reads it every
`READ_EVERY_S`: within 5 s it holds everywhere, whatever else carries or does not. Database away: what was read last goes on
holding.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Final, Protocol

import msgspec
import structlog

from services.audit.entry import Actor, AuditStore, Entry, Thing
from services.flags.flag import FLAGS, Flag, FlagName
from services.flags.switches import Switches
from services.kernel.clock import Clock, to_wall_ms, utc
from services.kernel.ids import AccountId
from services.kernel.problems import NotFound, Unavailable

READ_EVERY_S: Final = 2.0

log = structlog.get_logger(__name__)


class SetFlag(msgspec.Struct, frozen=True):
    """A flag that somebody has set: `account` by whom, if it was a person, and their address; `command` the user of a command."""

    name: str
    on: bool
    reason: str
    account: AccountId | None
    email: str | None
    command: str
    at: datetime


class FlagView(msgspec.Struct, frozen=True):
    """A flag. `off` is what happens while it is off. `reason`, `set_at_ms` and by whom (`set_by` an address, or the user of a
    command on the server) are null while nobody has set it: then it is on."""

    name: FlagName
    on: bool
    off: str
    reason: str | None = None
    set_at_ms: int | None = None
    set_by: str | None = None


class FlagStore(Protocol):
    """See persistence/flags.py."""

    async def all(self) -> Sequence[SetFlag]: ...
    async def save(self, flag: SetFlag) -> None: ...
    async def forget(self, name: str) -> bool: ...


class FlagStores(Protocol):
    """The stores of one transaction."""

    @property
    def flags(self) -> FlagStore: ...
    @property
    def audit(self) -> AuditStore: ...


class Flags:
    """The use cases, for whoever was let in. `switches` is what it teaches."""

    def __init__(
        self, transactions: Callable[[], AbstractAsyncContextManager[FlagStores]], switches: Switches, clock: Clock
    ) -> None:
        self._transactions: Final = transactions
        self._switches: Final = switches
        self._clock: Final = clock

    async def run(self) -> None:
        """Read, again and again, until cancelled."""
        while True:
            await self._clock.sleep(READ_EVERY_S)
            try:
                await self.read()
            except Unavailable as problem:
                log.warning("flags.not_read", problem=problem.message)

    async def read(self) -> None:
        """Learn how they stand. Raises `Unavailable`."""
        async with self._transactions() as stores:
            found = await stores.flags.all()
        self._learn(found)

    async def all(self) -> tuple[FlagView, ...]:
        """Every flag, in the order of the table."""
        async with self._transactions() as stores:
            return _views(await stores.flags.all())

    async def one(self, name: str) -> FlagView:
        """One of them. Raises `NotFound`."""
        flag = known(name)
        (found,) = [view for view in await self.all() if view.name == flag.name]
        return found

    async def set(self, by: Actor, name: str, *, on: bool, reason: str) -> FlagView:
        """Switch it. Raises `NotFound`."""
        flag = known(name)
        at = utc(self._clock.wall_ms())
        told = Entry(by, "flag.set", thing=Thing("flag", flag.name), reason=reason, data={"to": "on" if on else "off"})
        async with self._transactions() as stores:
            await stores.flags.save(SetFlag(flag.name, on, reason, by.account, None, by.name, at))
            await stores.audit.add(told)
            found = await stores.flags.all()
        return self._now(flag, found)

    async def unset(self, by: Actor, name: str, *, reason: str) -> FlagView:
        """Let it stand as it does by itself. Again is fine. Raises `NotFound`."""
        flag = known(name)
        async with self._transactions() as stores:
            if await stores.flags.forget(flag.name):
                await stores.audit.add(Entry(by, "flag.unset", thing=Thing("flag", flag.name), reason=reason))
            found = await stores.flags.all()
        return self._now(flag, found)

    def _now(self, flag: Flag, found: Sequence[SetFlag]) -> FlagView:
        self._learn(found)
        (view,) = [each for each in _views(found) if each.name == flag.name]
        return view

    def _learn(self, found: Sequence[SetFlag]) -> None:
        changed = self._switches.learn({each.name: each.on for each in found})
        if changed:
            log.info("flags.changed", changed=changed)


def known(name: str) -> Flag:
    """The row of a flag. Raises `NotFound`, with the names that there are."""
    for flag in FLAGS.values():
        if flag.name == name:
            return flag
    raise NotFound(f"there is no flag {name}; there are {', '.join(FLAGS)}")


def _views(found: Sequence[SetFlag]) -> tuple[FlagView, ...]:
    said = {each.name: each for each in found}
    return tuple(_view(flag, said.get(flag.name)) for flag in FLAGS.values())


def _view(flag: Flag, said: SetFlag | None) -> FlagView:
    if said is None:
        return FlagView(flag.name, on=True, off=flag.off)
    return FlagView(
        flag.name,
        on=said.on,
        off=flag.off,
        reason=said.reason,
        set_at_ms=to_wall_ms(said.at),
        set_by=said.email or said.command or None,
    )
