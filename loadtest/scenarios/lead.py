"""Somebody leads the class that is measured: a coach with an open cockpit who says something every second, and one member who
hides and shows themselves again.

The screens note when each cue reached them and when the member was gone from their board. Both are timed from the call that sends
the order, on the clock of this process: order, database, the room's log or the next board, socket, receiving.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import msgspec

from loadtest.api import Api
from loadtest.client import PacelineClient, open_client
from loadtest.scenarios.crew import Spread, register, spread_of
from loadtest.tokens import Tokens
from realtime.wire import (
    BoardChanges,
    BoardSnapshot,
    ClassView,
    Cue,
    CueSend,
    DisplayNow,
    DisplaySet,
    Said,
)

CUE_EVERY_S: Final = 1.0
HIDE_EVERY_S: Final = 2.5
"""Slower than decisions are paced."""
PATIENCE_S: Final = 30.0


class Led(msgspec.Struct, frozen=True):
    """What leading the class took, ms. `cue_ms`: from saying a cue until a screen had it, one figure per cue and screen;
    `hidden_ms`: from asking to be hidden until a screen's board had done without. `unheard` cues and `shown` members never came, or
    never went.
    `cockpit_frames` came to the coach, of `cockpit_bytes` each on average.
    """

    cue_ms: Spread
    hidden_ms: Spread
    unheard: int
    shown: int
    cockpit_frames: int
    cockpit_bytes: int


class Screen:
    """One screen's notes: when it heard which cue, by text, and since when it does without the member, by their number."""

    def __init__(self, client: PacelineClient) -> None:
        self.heard: dict[str, int] = {}
        self._news: Final = asyncio.Event()
        self._seats: set[int] = set()
        self.gone = asyncio.Event()
        self.gone_ns = 0
        self.member: int | None = None
        client.link.on("cue", self._on_cue)
        client.link.on("board.changes", self._on_changes)
        client.link.on("board.snapshot", self._on_snapshot)

    def _on_cue(self, cue: Cue) -> None:
        self.heard.setdefault(cue.text, time.monotonic_ns())
        self._news.set()

    async def has_heard(self, cues: Iterable[str]) -> None:
        """Return when it has all of them."""
        while not self.heard.keys() >= set(cues):
            self._news.clear()
            await self._news.wait()

    async def shows_member(self) -> None:
        """Return when the member is on its board: before that nobody can be seen to go."""
        while self.member not in self._seats:
            self._news.clear()
            await self._news.wait()

    def _on_changes(self, board: BoardChanges) -> None:
        self._seats.update(seat.n for seat in board.members)
        self._seats.difference_update(board.gone)
        self._news.set()
        if self.member in board.gone:
            self._gone()

    def _on_snapshot(self, board: BoardSnapshot) -> None:
        self._seats = {seat.n for seat in board.members}
        self._news.set()
        if self.member is not None and all(seat.n != self.member for seat in board.members):
            self._gone()

    def _gone(self) -> None:
        self.gone_ns = time.monotonic_ns()
        self.gone.set()


class Leading:
    """The coach, the member who hides, and the screens. Made by `open_leading`."""

    def __init__(
        self, coach: PacelineClient, shy: PacelineClient, room: ClassView, screens: Sequence[Screen], member: int
    ) -> None:
        self._coach: Final = coach
        self._shy: Final = shy
        self._room: Final = room
        self._screens: Final = screens
        self._said: dict[str, int] = {}
        self._hidden_ms: list[float] = []
        self._shown = 0
        self._frames = 0
        self._bytes = 0
        self._watching = False
        for screen in screens:
            screen.member = member
        coach.link.on_raw("cockpit.changes", self._on_cockpit)
        coach.link.on_raw("cockpit.snapshot", self._on_cockpit)

    def _on_cockpit(self, frame: bytes) -> None:
        if self._watching:
            self._frames += 1
            self._bytes += len(frame)

    async def lead(self, seconds: int) -> Led:
        """Do so for a while, and say how long it took each time."""
        self._watching = True
        until = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            group.create_task(self._speak(until), name="cues")
            group.create_task(self._hide(until), name="consents")
        self._watching = False
        await self._all_heard()
        times = [
            (screen.heard[text] - at_ns) / 1e6
            for text, at_ns in self._said.items()
            for screen in self._screens
            if text in screen.heard
        ]
        return Led(
            cue_ms=spread_of(times),
            hidden_ms=spread_of(self._hidden_ms),
            unheard=len(self._said) * len(self._screens) - len(times),
            shown=self._shown,
            cockpit_frames=self._frames,
            cockpit_bytes=self._bytes // max(1, self._frames),
        )

    async def _speak(self, until: float) -> None:
        begin = time.monotonic()
        while time.monotonic() < until:
            text = f"cue-{len(self._said) + 1}"
            self._said[text] = time.monotonic_ns()
            await self._coach.call("cue.send", CueSend(self._room.id, text, key=text), Said)
            await asyncio.sleep(begin + len(self._said) * CUE_EVERY_S - time.monotonic())

    async def _hide(self, until: float) -> None:
        while time.monotonic() < until:
            async with asyncio.timeout(PATIENCE_S):
                for screen in self._screens:
                    await screen.shows_member()
            for screen in self._screens:
                screen.gone.clear()
            began = time.monotonic_ns()
            await self._shy.call("display.set", DisplaySet(self._room.id, "hidden"), DisplayNow)
            for screen in self._screens:
                try:
                    await asyncio.wait_for(screen.gone.wait(), PATIENCE_S)
                except TimeoutError:
                    self._shown += 1
                else:
                    self._hidden_ms.append((screen.gone_ns - began) / 1e6)
            await asyncio.sleep(HIDE_EVERY_S / 2)
            await self._shy.call("display.set", DisplaySet(self._room.id, "full"), DisplayNow)
            await asyncio.sleep(HIDE_EVERY_S / 2)

    async def _all_heard(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                for screen in self._screens:
                    await screen.has_heard(self._said)


@asynccontextmanager
async def open_leading(apis: Sequence[Api], coach: Tokens, room: ClassView, display: Tokens) -> AsyncIterator[Leading]:
    """A coach on the first gateway, the member on the last, and a screen on each."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(open_client(api, display)) for api in apis]
        screens = [Screen(client) for client in clients]
        for client in clients:
            await client.join(room.code, "spectator")
        leader = await stack.enter_async_context(open_client(apis[0], coach))
        await leader.join(room.code, "coach")
        (person,) = await register(apis[0], 1, "Shy")
        shy = await stack.enter_async_context(open_client(apis[-1], person.tokens(apis[-1])))
        joined = await shy.join(room.code)
        if joined.you is None:
            raise ValueError("whoever joins as an athlete has a number on the board")
        yield Leading(leader, shy, room, screens, joined.you.n)
