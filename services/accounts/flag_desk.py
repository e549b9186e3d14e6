"""The flags as people of the staff see and set them: with the right to, and behind a second factor that was shown just now."""

from typing import Final

from services.access import permission as may
from services.access.permission import Permission
from services.access.policy import require
from services.accounts.step_up import require_fresh
from services.audit.entry import Actor, actor_of
from services.flags.flags import Flags, FlagView
from services.kernel.caller import Caller
from services.kernel.clock import Clock


class FlagDesk:
    """The use cases. They raise `Forbidden`, `StepUpNeeded`, and `NotFound` for a flag that does not exist; `address` is where
    the caller asks from."""

    def __init__(self, flags: Flags, clock: Clock) -> None:
        self._flags: Final = flags
        self._clock: Final = clock

    async def all(self, caller: Caller) -> tuple[FlagView, ...]:
        """Every flag, and how it stands."""
        self._let_in(caller, may.READ_FLAGS, None)
        return await self._flags.all()

    async def one(self, caller: Caller, name: str) -> FlagView:
        """One of them."""
        self._let_in(caller, may.READ_FLAGS, None)
        return await self._flags.one(name)

    async def set(self, caller: Caller, name: str, reason: str, address: str | None, *, on: bool) -> FlagView:
        """Switch it, on every node."""
        return await self._flags.set(self._let_in(caller, may.SET_FLAGS, address), name, on=on, reason=reason)

    async def unset(self, caller: Caller, name: str, reason: str, address: str | None) -> FlagView:
        """Let it stand as it does by itself."""
        return await self._flags.unset(self._let_in(caller, may.SET_FLAGS, address), name, reason=reason)

    def _let_in(self, caller: Caller, permission: Permission, address: str | None) -> Actor:
        require(caller, permission)
        require_fresh(caller, self._clock.wall_ms(), second_factor=True)
        return actor_of(caller, address)
