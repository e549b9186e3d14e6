"""A device on the stand: the reference client's stream, fed with samples that tell which one they are."""

import asyncio
import random
import time
from typing import TYPE_CHECKING, Final

import msgspec

from loadtest.api import Api, Refusal
from loadtest.scenarios.marked import marked_bpm, marked_sample, shown_sample
from loadtest.stream import DeviceStream, StreamLost
from realtime.wire import StreamOpen
from services.classes.live_class import LiveClass
from services.kernel.clock import SystemClock
from services.kernel.ids import StreamId, Uuid7Ids
from tests.faults.people import Person
from tests.faults.roamer import Roamer

if TYPE_CHECKING:
    from tests.faults.swarm import Swarm


class Device:
    """A strap: a sample every so often, each one marked by its heart rate, all of them kept until they are acknowledged."""

    def __init__(self, swarm: "Swarm", number: int, person: Person, room: LiveClass) -> None:
        self.who: Final = f"device-{number}"
        self.number: Final = number
        self.person: Final = person
        self.room: Final = room
        self.link: Final = Roamer(swarm, self.who, person, home=number)
        self.sent_ns: list[int] = []
        self.since = 0
        self.paused = False
        self._swarm: Final = swarm
        self._ops: dict[int, int] = {}
        self._ended = 0
        opening = StreamOpen(
            stream=StreamId(Uuid7Ids(SystemClock()).next()),
            started_at_ms=SystemClock().wall_ms(),
            class_code=room.code,
            device=self.who,
        )
        self.stream: Final = DeviceStream(
            self.link,
            opening,
            clock=SystemClock(),
            rng=random.Random(swarm.rng.getrandbits(64)),
            on_stored=self._on_stored,
        )

    async def beat(self) -> None:
        """Make samples, for ever."""
        step_s = 1.0 / self._swarm.plan.hz
        began = time.monotonic()
        for turn in range(1, 1 << 30):
            if not self.paused:
                # The time of a sample is its place in the beat, whether or not those before it were made.
                k = len(self.sent_ns)
                sample = msgspec.structs.replace(marked_sample(self.number, k), t=int((turn - 1) * step_s * 1000))
                self.sent_ns.append(time.monotonic_ns())
                self._ops[k] = self._swarm.history.invoke(self.who, "sample", room=self.room.code, value=k)
                try:
                    await self.stream.append(sample)
                except (StreamLost, Refusal) as fault:
                    self._swarm.faults.append(f"{self.who}: {fault}")
                    return
            await asyncio.sleep(max(0.0, began + turn * step_s - time.monotonic()))

    @property
    def waits(self) -> bool:
        """Whether something it made is not acknowledged yet."""
        return self.stream.stored < len(self.sent_ns)

    def begin(self) -> None:
        """A new history begins with the next sample."""
        self.since = len(self.sent_ns)
        self._ops.clear()

    def shown(self, bpm: int | None) -> int | None:
        """Which of its samples a heart rate on a board is, None when it is none of them."""
        return None if bpm is None else shown_sample(self.number, bpm, self.sent_ns, time.monotonic_ns())

    async def stored(self, api: Api) -> list[int]:
        """The numbers of its stored samples since the history began, in stored order."""
        if self.stream.opening is None:
            return []
        found = await api.samples(self.person.token, self.stream.opening.workout)
        return [
            k if k < len(self.sent_ns) and s.bpm == marked_bpm(self.number, k) else -1 for k, s in enumerate(found)
        ][self.since :]

    def _on_stored(self, stored: int) -> None:
        for k in range(self._ended, stored):
            if (op := self._ops.pop(k, None)) is not None:
                self._swarm.history.end(op, "ok")
        self._ended = max(self._ended, stored)
