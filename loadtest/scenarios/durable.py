"""A flood: a few streams send as fast as they are acknowledged. How many samples a second become durable?

Each stream keeps its window full and batches as large as the protocol allows, so the server is never waiting
for the client; what is measured is receiving, deciding what is new, and group commit. Board traffic is not part
of it: the streams belong to no class.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

import msgspec

from loadtest.api import Api
from loadtest.client import open_client
from loadtest.scenarios.crew import (
    Person,
    Spread,
    add_target,
    cpu_seconds,
    open_api,
    refuse_remote,
    register,
    run,
    spread_of,
    tell,
    tell_result,
)
from loadtest.scenarios.marked import marked_sample
from loadtest.stream import DeviceStream
from services.kernel.ids import WorkoutId
from services.training.sample import MAX_T_MS

STEP_MS = 500


class Durable(msgspec.Struct, frozen=True):
    """The result. `stream_seconds` is how long each stream took, `ack_ms` the time from appending to acknowledged."""

    streams: int
    samples: int
    seconds: float
    samples_per_second: float
    stream_seconds: Spread
    ack_ms: Spread
    wrong_samples: int
    client_cpu_seconds: float


class _Flood:
    """One stream with a stop-watch on every thousandth sample."""

    def __init__(self, number: int, samples: int) -> None:
        self.number = number
        self.samples = samples
        self.ack_ms: list[float] = []
        self.seconds = 0.0
        self._marks: dict[int, float] = {}
        self._next_mark = 0

    def stored(self, stored: int) -> None:
        while self._next_mark in self._marks and self._next_mark < stored:
            self.ack_ms.append((time.monotonic() - self._marks.pop(self._next_mark)) * 1000)
            self._next_mark += 1_000

    async def run(self, stream: DeviceStream) -> None:
        began = time.monotonic()
        for k in range(self.samples):
            if k % 1_000 == 0:
                self._marks[k] = time.monotonic()
                await asyncio.sleep(0)  # let the socket have its turn
            await stream.append(marked_sample(self.number, k, STEP_MS))
        await stream.finish()
        self.seconds = time.monotonic() - began


async def measure(url: str, *, streams: int, samples: int, check: int = 1) -> Durable:
    """Run it: `samples` for each of `streams`; `check` workouts are read back."""
    if samples * STEP_MS > MAX_T_MS:
        raise SystemExit(f"--samples may be {MAX_T_MS // STEP_MS} at most: a stream lasts a week")
    async with open_api(url) as api, AsyncExitStack() as stack:
        tell("registering", accounts=streams)
        people = await register(api, streams, "Flood")
        floods = [_Flood(number, samples) for number in range(streams)]
        opened: list[tuple[DeviceStream, WorkoutId]] = []
        for person, flood in zip(people, floods, strict=True):
            client = await stack.enter_async_context(open_client(api, person.tokens(api)))
            stream = await stack.enter_async_context(client.open_stream(on_stored=flood.stored))
            opened.append((stream, (await stream.wait_opened()).workout))
        tell("streaming", samples=streams * samples)
        cpu_before, began = cpu_seconds(), time.monotonic()
        await asyncio.gather(*(flood.run(stream) for flood, (stream, _) in zip(floods, opened, strict=True)))
        seconds = time.monotonic() - began
        cpu = cpu_seconds() - cpu_before
        tell("stored")
        wrong = await _read_back(api, people[:check], [workout for _, workout in opened], samples)
    return Durable(
        streams=streams,
        samples=streams * samples,
        seconds=round(seconds, 3),
        samples_per_second=round(streams * samples / seconds, 1),
        stream_seconds=spread_of([flood.seconds for flood in floods]),
        ack_ms=spread_of([ms for flood in floods for ms in flood.ack_ms]),
        wrong_samples=wrong,
        client_cpu_seconds=round(cpu, 2),
    )


async def _read_back(api: Api, people: Sequence[Person], workouts: Sequence[WorkoutId], samples: int) -> int:
    wrong = 0
    for number, (person, workout) in enumerate(zip(people, workouts, strict=False)):
        stored = await api.samples(await person.tokens(api).current(), workout)
        wrong += abs(len(stored) - samples)
        wrong += sum(sample != marked_sample(number, k, STEP_MS) for k, sample in enumerate(stored))
    return wrong


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(prog="python -m loadtest.scenarios.durable", description=__doc__)
    command.add_argument("--streams", type=int, default=4, help="streams at once, one account each (default: 4)")
    command.add_argument("--samples", type=int, default=100_000, help="samples per stream (default: 100000)")
    command.add_argument("--check", type=int, default=1, help="workouts read back sample by sample (default: 1)")
    add_target(command)
    return command


async def _main(args: argparse.Namespace) -> int:
    result = await measure(args.url, streams=args.streams, samples=args.samples, check=args.check)
    tell_result(result)
    return 1 if result.wrong_samples else 0


if __name__ == "__main__":
    arguments = parser().parse_args()
    refuse_remote(arguments.url, allowed=arguments.allow_remote)
    sys.exit(run(_main(arguments)))
