"""Those who speak: coaches, who say numbers into their rooms, each exactly once, and clerks, who ask a gateway something all the
time and note how long it took.

A coach whose message was not answered says it again with the same key. Where the server has no such event, the coach falls silent
and `Swarm.missing` names it.
"""

import asyncio
import time
from typing import TYPE_CHECKING, Final

import msgspec

from loadtest.api import Refusal
from loadtest.link import LinkLost
from realtime.wire import RoomRef
from services.classes.live_class import LiveClass
from services.kernel.ids import ClassId
from tests.faults.history import History
from tests.faults.people import Person
from tests.faults.roamer import Roamer
from tests.faults.watcher import Join, Watcher

if TYPE_CHECKING:
    from tests.faults.swarm import Swarm

SAY_FOR_S: Final = 15.0
"""How long a coach goes on trying to say one thing."""
ASK_EVERY_S: Final = 0.05


class _Say(msgspec.Struct, frozen=True):
    class_id: ClassId
    text: str
    key: str


class _Said(msgspec.Struct, frozen=True):
    position: str | None = None


class Coach(Watcher):
    """Whoever leads a room: says a number every so often, each exactly once."""

    async def speak(self) -> None:
        """Say one number after another, for ever, or until the server turns out to know no such event."""
        while True:
            await asyncio.sleep(self._swarm.plan.say_every_s)
            if self.inside and not self._swarm.hushed and not await self._say(self._swarm.next_word()):
                return

    busy = False
    """Whether it is saying something right now."""

    async def _say(self, number: int) -> bool:
        self.busy = True
        try:
            return await self._say_until_answered(number)
        finally:
            self.busy = False

    async def _say_until_answered(self, number: int) -> bool:
        history = self._swarm.history
        op = history.invoke(self.who, "cue", room=self.room.code, value=number)
        payload = _Say(self.room.id, str(number), f"{self.who}-{number}")
        deadline = time.monotonic() + SAY_FOR_S
        problem = None
        while time.monotonic() < deadline:
            try:
                async with asyncio.timeout_at(asyncio.get_running_loop().time() + SAY_FOR_S):
                    await self.link.opened()
                    said = await self.link.call("cue.send", payload, _Said)
            except (LinkLost, TimeoutError):
                continue
            except Refusal as refusal:
                problem = refusal.problem.code
                if problem == "unknown_event":
                    self._swarm.missing.add("cue.send")
                if not refusal.problem.retry and problem != "not_in_room":
                    history.end(op, "fail", problem=problem)
                    return problem != "unknown_event"
                self._swarm.refusals.append(problem)
                await asyncio.sleep((refusal.problem.retry_after_ms or 200) / 1000)
            else:
                history.end(op, "ok", position=said.position)
                return True
        history.end(op, "info", problem=problem)
        return True


class Clerk:
    """Asks one gateway for a board every 50 ms and notes how long each answer took."""

    def __init__(self, swarm: "Swarm", number: int, person: Person, room: LiveClass) -> None:
        gateway = swarm.stand.gateways[number]
        self.who: Final = f"clerk-{gateway.name}"
        self.link: Final = Roamer(swarm, self.who, person, home=0, addresses=[gateway.url])
        self._swarm: Final = swarm
        self._room: Final = room
        self.link.greet(self._join)

    async def _join(self) -> None:
        await self.link.request("room.join", Join(self._room.code, "spectator"), lambda _: None)

    async def ask(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(ASK_EVERY_S)
            await self.link.opened()
            history = self._swarm.history
            op = history.invoke(self.who, "ask")

            def answered(raw: msgspec.Raw | None, op: int = op, history: History = history) -> None:
                history.end(op, "info" if raw is None else "ok")

            try:
                await self.link.request("board.get", RoomRef(self._room.id), answered)
            except LinkLost:
                continue
