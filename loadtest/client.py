"""The reference client: one account (or one display) on one server.

It holds together what a person's app holds together: tokens that stay fresh, a connection that comes back, the
rooms it is in (joined again on every new connection, with what was missed), and the streams of its devices. Nothing here is private
to Paceline: whoever writes a client in another language may read it as a description.

    async with aiohttp.ClientSession() as http:
        api = Api(http, "http://127.0.0.1:8080")
        tokens = await account_tokens(api, "runner@example.com", "a long password", "Runner")
        async with open_client(api, tokens) as client, client.open_stream(class_code="K7TQ") as stream:
            await stream.append(Sample(t=0, bpm=92))
            finished = await stream.finish()
            summary = await client.workout_summary(finished.workout)
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import msgspec

from loadtest.api import AccountRole, Api, Grant, Refusal
from loadtest.link import Link, LinkLost
from loadtest.patience import Patience
from loadtest.room import StayingRoom
from loadtest.stream import DeviceStream
from loadtest.tokens import ByJoinCode, ByRefreshToken, Tokens
from realtime.wire import (
    MAX_UNACKED_SAMPLES,
    ClassSummary,
    Role,
    RoomJoin,
    RoomJoined,
    StreamOpen,
    WorkoutSummaryView,
)
from services.kernel.ids import ClassId, StreamId, Uuid7Ids, WorkoutId
from services.training.summary import WorkoutSummary

T = TypeVar("T")

SUMMARY_WAIT_S: Final = 60.0
"""A summary is a task in the background: usually there in a second, later when the workers are behind."""
ASK_EVERY_S: Final = 1.0


class NotReady(Exception):  # noqa: N818 - a state of the world
    """What we waited for did not come in time; it may still come."""


async def account_tokens(api: Api, email: str, password: str, name: str, role: AccountRole = "member") -> Tokens:
    """Tokens of an account that is made if it does not exist, and logged in to if it does."""
    try:
        grant = await api.register(email, password, name, role)
    except Refusal as refusal:
        if refusal.problem.code != "email_taken":
            raise
        return await login_tokens(api, email, password)
    return Tokens(api.clock, grant, ByRefreshToken(api, email, password))


async def login_tokens(api: Api, email: str, password: str) -> Tokens:
    """Tokens of an account that exists."""
    grant = await api.log_in(email, password)
    return Tokens(api.clock, grant, ByRefreshToken(api, email, password))


async def display_tokens(api: Api, code: str) -> Tokens:
    """Tokens of a big screen for the class with this join code."""
    display = await api.display(code)
    grant = Grant(access_token=display.access_token, expires_in_s=display.expires_in_s)
    return Tokens(api.clock, grant, ByJoinCode(api, code))


class PacelineClient:
    """See the top of this file; made by `open_client`."""

    def __init__(self, api: Api, tokens: Tokens, link: Link) -> None:
        self.api = api
        self.tokens = tokens
        self.link = link
        self.rooms: dict[ClassId, StayingRoom] = {}
        self._ids = Uuid7Ids(api.clock)
        self._summaries: dict[WorkoutId, WorkoutSummary] = {}
        self._summary_came = asyncio.Event()
        link.on("workout.summary", self._on_workout_summary)

    async def call(self, event: str, payload: msgspec.Struct, shape: type[T]) -> T:
        """Send an event that may be repeated, on this connection or the next, until it is answered. Raises Refusal."""
        patience = Patience(self.api.clock, self.api.rng, self.api.patience_s)
        while True:
            await self.link.opened()
            try:
                return await self.link.call(event, payload, shape)
            except LinkLost:
                continue
            except Refusal as refusal:
                if not refusal.problem.retry:
                    raise
                await patience.wait(str(refusal), refusal.problem.retry_after_ms)

    async def join(self, code: str, role: Role = "athlete") -> RoomJoined:
        """Join a room, now and on every connection after this one, with what was missed in between. Raises Refusal."""
        wanted = RoomJoin(code=code, role=role)
        joined = await self.call("room.join", wanted, RoomJoined)
        self.rooms[joined.room.id] = StayingRoom(self.link, wanted, joined)
        return joined

    @asynccontextmanager
    async def open_stream(
        self,
        *,
        class_code: str | None = None,
        device: str = "reference client",
        sport: str = "",
        stream_id: StreamId | None = None,
        keep: int = MAX_UNACKED_SAMPLES,
        on_stored: Callable[[int], None] = lambda _: None,
    ) -> AsyncIterator[DeviceStream]:
        """A stream whose t = 0 is now. On leaving, what is not stored is no longer sent."""
        opening = StreamOpen(
            stream=stream_id or StreamId(self._ids.next()),
            started_at_ms=self.api.clock.wall_ms(),
            class_code=class_code,
            device=device[:80],
            sport=sport[:80],
        )
        stream = DeviceStream(
            self.link, opening, clock=self.api.clock, rng=self.api.rng, keep=keep, on_stored=on_stored
        )
        task = asyncio.create_task(stream.run(), name=f"device stream {stream.id}")
        try:
            yield stream
        finally:
            await _ended(task)

    async def workout_summary(self, workout_id: WorkoutId, *, wait_s: float = SUMMARY_WAIT_S) -> WorkoutSummary:
        """The summary of an own finished workout: pushed over the socket, or asked for when the push was missed.

        Raises NotReady when it has not come after `wait_s` seconds.
        """
        deadline = self.api.clock.monotonic() + wait_s
        while workout_id not in self._summaries:
            self._summary_came.clear()
            try:
                async with asyncio.timeout(ASK_EVERY_S):
                    await self._summary_came.wait()
            except TimeoutError:
                seen = await self.api.workout(await self.tokens.current(), workout_id)
                if seen.summary is not None:
                    return seen.summary
            if self.api.clock.monotonic() > deadline:
                raise NotReady(
                    f"the summary of workout {workout_id} is not ready after {wait_s:.0f} s; "
                    f"it will be at /v1/workouts/{workout_id}"
                )
        return self._summaries[workout_id]

    async def class_summary(self, class_id: ClassId, *, wait_s: float = SUMMARY_WAIT_S) -> ClassSummary:
        """The final table of a class that has ended. Raises NotReady after `wait_s` seconds."""
        deadline = self.api.clock.monotonic() + wait_s
        while True:
            summary = await self.api.class_summary(await self.tokens.current(), class_id)
            if summary is not None:
                return summary
            if self.api.clock.monotonic() > deadline:
                raise NotReady(
                    f"the summary of class {class_id} is not ready after {wait_s:.0f} s; "
                    f"it will be at /v1/classes/{class_id}/summary"
                )
            await self.api.clock.sleep(ASK_EVERY_S / 2)

    def _on_workout_summary(self, view: WorkoutSummaryView) -> None:
        self._summaries[view.workout] = view.summary
        self._summary_came.set()


@asynccontextmanager
async def open_client(api: Api, tokens: Tokens) -> AsyncIterator[PacelineClient]:
    """A client whose connection is being opened in the background; it is closed on leaving."""
    link = Link(
        api.http,
        api.base_url,
        tokens,
        clock=api.clock,
        rng=api.rng,
        patience_s=api.patience_s,
        tell=api.tell,
    )
    task = asyncio.create_task(link.run(), name="link")
    try:
        yield PacelineClient(api, tokens, link)
    finally:
        await link.close()
        await _ended(task)


async def _ended(task: "asyncio.Task[None]") -> None:
    """End a loop of ours. What it died of is kept by the link or the stream and was raised to whoever waited for them."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
