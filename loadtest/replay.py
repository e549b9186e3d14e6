"""Recordings streamed into a live class, as if each were a device on a wrist.

A replay is a client like any other: it registers (or logs in), joins with a code, opens a stream per recording,
sends each sample when its time has come, keeps it until it is acknowledged, and finishes. The recording's own
clock is kept, gaps and all; `speed` only divides it. Without a join code a class is made for the replay and
ended after it, so that the final table comes too.

Whatever happens to one recording happens to it alone: the others go on, and the outcome says per recording how
it ended.
"""

import asyncio
import math
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final, Literal

import msgspec

from loadtest.api import Api, Refusal, ServerAway
from loadtest.client import NotReady, PacelineClient, account_tokens, login_tokens, open_client
from loadtest.link import LinkEnded
from loadtest.patience import OutOfPatience
from loadtest.progress import Reporter
from loadtest.stream import DeviceStream, StreamLost
from loadtest.tokens import Tokens
from loadtest.window import PromiseBroken
from realtime.wire import ClassSummary, ClassView
from services.kernel.ids import WorkoutId
from services.training.recordings import Recording, Timeline
from services.training.sample import Sample
from services.training.summary import WorkoutSummary

TICK_S: Final = 0.05
"""Samples due within this time go out together: at high speed a batch instead of a thousand events."""
MAIL_DOMAIN: Final = "replay.invalid"
"""Throw-away accounts get addresses that can never receive mail (RFC 2606)."""

Ending = Literal["finished", "interrupted", "refused", "server_away"]


class Login(msgspec.Struct, frozen=True):
    """An account that exists."""

    email: str
    password: str


class Source(msgspec.Struct, frozen=True):
    """One recording, ready to be sent. `name` is what the board shows; `login` None: a throw-away account is made."""

    name: str
    recording: Recording
    timeline: Timeline
    login: Login | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What became of one recording. `stored` samples of `samples` were acknowledged.

    `same` says whether the stored samples, read back, equal those sent (None: not compared); `why` is set when it did not
    finish.
    """

    name: str
    ending: Ending
    samples: int
    stored: int
    workout: WorkoutId | None = None
    summary: WorkoutSummary | None = None
    same: bool | None = None
    why: str | None = None


class Result(msgspec.Struct, frozen=True):
    """What became of the whole replay. `final` is the table of a class that was made for it."""

    room: ClassView | None
    outcomes: tuple[Outcome, ...]
    final: ClassSummary | None = None


class Replay:
    """One run over several recordings at once. `speed` divides the recordings' time; infinite: as fast as it goes.
    `profile` is what is known of throw-away athletes (birth_date, sex, mass_kg, max_hr, rest_hr).

    `stop` may be set at any time: nothing more is sent, what was sent is finished properly.
    """

    def __init__(
        self,
        api: Api,
        reporter: Reporter,
        *,
        code: str | None = None,
        speed: float = 1.0,
        verify: bool = False,
        profile: Mapping[str, str | float] | None = None,
    ) -> None:
        if not speed > 0:
            raise ValueError(f"speed must be above 0, got {speed}")
        self._api = api
        self._reporter = reporter
        self._code = code
        self._speed = speed
        self._verify = verify
        self._profile = profile or {}
        self.stop: Final = asyncio.Event()

    async def run(self, sources: Sequence[Source]) -> Result:
        """Stream them all. Raises Refusal or OutOfPatience when not even the class could be reached."""
        async with AsyncExitStack() as stack:
            room, coach = None, None
            code = self._code
            if code is None:
                coach = await self._throw_away("Replay coach", role="coach")
                title = f"Replay: {', '.join(source.name for source in sources)}"
                room = await self._api.create_class(await coach.current(), title[:80])
                code = room.code
            self._reporter.say(f"watch it at {self._api.base_url}/board?code={code}")
            outcomes = await asyncio.gather(*(self._one(source, code) for source in sources))
            final = None
            if room is not None and coach is not None:
                client = await stack.enter_async_context(open_client(self._api, coach))
                final = await self._end(client, room)
        return Result(room=room, outcomes=tuple(outcomes), final=final)

    async def _end(self, coach: PacelineClient, room: ClassView) -> ClassSummary | None:
        try:
            try:
                await self._api.end_class(await coach.tokens.current(), room.id)
            except Refusal as refusal:
                if refusal.problem.code != "class_over":  # an earlier try ended it, its answer was lost
                    raise
            return await coach.class_summary(room.id)
        except (Refusal, NotReady, OutOfPatience, ServerAway) as problem:
            self._reporter.say(f"the class has no final table: {problem}")
            return None

    async def _throw_away(self, name: str, role: Literal["member", "coach"] = "member") -> Tokens:
        email = f"{secrets.token_hex(8)}@{MAIL_DOMAIN}"
        return await account_tokens(self._api, email, secrets.token_urlsafe(24), name, role)

    async def _one(self, source: Source, code: str) -> Outcome:
        """One recording from account to summary; never raises for what may happen to one alone."""
        progress = _Progress(self._reporter, source)
        try:
            return await self._stream(source, code, progress)
        except (OutOfPatience, LinkEnded, ServerAway) as problem:
            return progress.outcome("server_away", str(problem))
        except (Refusal, StreamLost, PromiseBroken) as problem:
            return progress.outcome("refused", str(problem))

    async def _stream(self, source: Source, code: str, progress: "_Progress") -> Outcome:
        if source.login is None:
            tokens = await self._throw_away(source.name)
            if self._profile:
                await self._api.update_me(await tokens.current(), **self._profile)
        else:
            tokens = await login_tokens(self._api, source.login.email, source.login.password)
        async with open_client(self._api, tokens) as client:
            await client.join(code)
            recording = source.recording
            async with client.open_stream(
                class_code=code,
                device=recording.device or f"replay of {recording.format}",
                sport=recording.sport or "",
                on_stored=progress.stored,
            ) as stream:
                progress.stream = stream
                opened = await stream.wait_opened()
                await self._feed(stream, source.timeline.samples)
                finished = await stream.finish()
            summary = await self._summary(client, finished.workout, source.name)
            sent = source.timeline.samples[: finished.next_seq]
            same = None
            if self._verify:
                same = tuple(await self._api.samples(await client.tokens.current(), opened.workout)) == sent
            ending: Ending = "finished" if len(sent) == len(source.timeline.samples) else "interrupted"
            return progress.outcome(ending, workout=finished.workout, summary=summary, same=same)

    async def _summary(self, client: PacelineClient, workout: WorkoutId, name: str) -> WorkoutSummary | None:
        try:
            return await client.workout_summary(workout)
        except NotReady as late:
            self._reporter.say(f"{name}: {late}")
            return None

    async def _feed(self, stream: DeviceStream, samples: Sequence[Sample]) -> None:
        """Append every sample at its time, until told to stop."""
        clock = self._api.clock
        began = clock.monotonic()
        for sample in samples:
            if math.isfinite(self._speed):
                wait = began + sample.t / 1000 / self._speed - clock.monotonic()
                if wait > 0:
                    await self._sleep(max(wait, TICK_S))
            if self.stop.is_set():
                return
            await stream.append(sample)

    async def _sleep(self, seconds: float) -> None:
        """Until the time is over, or we are told to stop."""
        try:
            async with asyncio.timeout(seconds):
                await self.stop.wait()
        except TimeoutError:
            return


class _Progress:
    """How far one recording is, for the reporter and for the outcome."""

    def __init__(self, reporter: Reporter, source: Source) -> None:
        self._reporter = reporter
        self._source = source
        self.stream: DeviceStream | None = None
        reporter.begin(source.name, len(source.timeline.samples))

    def stored(self, samples: int) -> None:
        self._reporter.stored(self._source.name, samples)

    def outcome(
        self,
        ending: Ending,
        why: str | None = None,
        *,
        workout: WorkoutId | None = None,
        summary: WorkoutSummary | None = None,
        same: bool | None = None,
    ) -> Outcome:
        stream = self.stream
        if workout is None and stream is not None and stream.opening is not None:
            workout = stream.opening.workout
        return Outcome(
            name=self._source.name,
            ending=ending,
            samples=len(self._source.timeline.samples),
            stored=0 if stream is None else stream.stored,
            workout=workout,
            summary=summary,
            same=same,
            why=why,
        )
