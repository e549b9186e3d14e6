"""The group commit: nothing is told before it is stored, nothing is lost when storing fails."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from persistence.streams import StreamBatch, Written
from rooms.effort import Effort
from rooms.recorder import MAX_PER_COMMIT, Recorder
from services.kernel.clock import ManualClock
from services.kernel.ids import StreamId
from services.kernel.problems import Unavailable
from services.training.sample import Sample

A, B = (StreamId(uuid.UUID(int=n)) for n in (1, 2))


class Disk:
    """Keeps what was committed, per stream; fails when told to; can hold a commit back."""

    def __init__(self) -> None:
        self.stored: dict[StreamId, list[Sample]] = {}
        self.commits: list[list[StreamBatch]] = []
        self.failures: list[Exception] = []
        self.fenced: set[StreamId] = set()
        self.lose_answers = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, batches: list[StreamBatch]) -> list[Written]:
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        results = []
        for batch in batches:
            if batch.stream_id in self.fenced:
                results.append(Written(stream_id=batch.stream_id, next_seq=0, fenced=True))
                continue
            kept = self.stored.setdefault(batch.stream_id, [])
            assert batch.first_seq <= len(kept), "a hole"
            kept += batch.samples[len(kept) - batch.first_seq :]
            results.append(Written(stream_id=batch.stream_id, next_seq=len(kept)))
        self.commits.append(batches)
        if self.lose_answers:
            self.lose_answers -= 1
            raise Unavailable("the answer to COMMIT was lost")
        return results


class Bench:
    """A recorder with everything around it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.disk = Disk()
        self.told: list[tuple[StreamId, int, int]] = []
        self.lost: list[tuple[StreamId, int]] = []
        self.recorder = Recorder(
            self.disk,
            self.clock,
            interval_s=0.2,
            stored=lambda *mark: self.told.append(mark),
            fenced=lambda *stream: self.lost.append(stream),
            max_samples=50_000,
        )
        self.task = asyncio.ensure_future(self.recorder.run())

    def append(self, stream: StreamId, first: int, count: int, epoch: int = 1) -> None:
        samples = tuple(Sample(t=1_000 * n, bpm=100) for n in range(first, first + count))
        self.recorder.append(stream, epoch, first, samples, Effort(), 0, None)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    bench.disk.gate.set()
    bench.disk.failures.clear()
    bench.recorder.stop()
    await bench.clock.advance(60)
    await bench.task


async def test_one_commit_takes_all_streams_of_an_interval(bench: Bench) -> None:
    bench.append(A, 0, 2)
    bench.append(B, 0, 3)
    bench.append(A, 2, 1)
    assert bench.told == []
    await bench.clock.advance(0.2)
    assert len(bench.disk.commits) == 1
    assert sorted(bench.told) == [(A, 1, 3), (B, 1, 3)]


async def test_nothing_is_told_while_the_commit_is_under_way(bench: Bench) -> None:
    bench.disk.gate.clear()
    bench.append(A, 0, 1)
    await bench.clock.advance(5)
    assert bench.told == []
    bench.append(A, 1, 1)
    bench.disk.gate.set()
    await bench.clock.advance(0.2)
    assert bench.told == [(A, 1, 1), (A, 1, 2)]


async def test_a_failed_commit_is_tried_again_with_what_came_since(bench: Bench) -> None:
    bench.disk.failures = [Unavailable(), ConnectionResetError()]
    bench.append(A, 0, 2)
    await bench.clock.advance(0.2)
    bench.append(A, 2, 2)
    await bench.clock.advance(5)
    assert [sample.t for sample in bench.disk.stored[A]] == [0, 1_000, 2_000, 3_000]
    assert bench.told[-1] == (A, 1, 4)
    assert bench.recorder.statistics.failures == 2
    assert bench.recorder.statistics.waiting == 0


async def test_a_commit_whose_answer_was_lost_is_stored_once(bench: Bench) -> None:
    bench.disk.lose_answers = 1
    bench.append(A, 0, 3)
    await bench.clock.advance(5)
    assert len(bench.disk.stored[A]) == 3
    assert bench.told == [(A, 1, 3)]


async def test_a_stream_that_belongs_to_somebody_else_is_reported_and_does_not_hold_up_the_others(bench: Bench) -> None:
    bench.disk.fenced.add(A)
    bench.append(A, 0, 1)
    bench.append(B, 0, 1)
    await bench.clock.advance(0.2)
    assert bench.lost == [(A, 1)]
    assert bench.told == [(B, 1, 1)]


async def test_samples_of_an_older_epoch_are_dropped_when_a_newer_one_writes(bench: Bench) -> None:
    bench.append(A, 0, 5, epoch=1)
    bench.append(A, 0, 2, epoch=2)
    await bench.clock.advance(0.2)
    assert bench.told == [(A, 2, 2)]
    assert bench.recorder.statistics.waiting == 0


async def test_a_batch_that_the_database_refuses_fails_alone(bench: Bench) -> None:
    class RefusesA(Disk):
        async def __call__(self, batches: list[StreamBatch]) -> list[Written]:
            if any(batch.stream_id == A for batch in batches):
                raise ValueError("A cannot be stored")
            return await super().__call__(batches)

    bench.recorder._write = RefusesA()
    bench.append(A, 0, 1)
    bench.append(B, 0, 1)
    await bench.clock.advance(0.2)
    assert bench.told == [(B, 1, 1)]
    assert bench.lost == [(A, 1)]


async def test_a_flush_does_not_wait_for_the_interval(bench: Bench) -> None:
    bench.append(A, 0, 1)
    await asyncio.wait_for(bench.recorder.flush(), 1)
    assert bench.told == [(A, 1, 1)]


async def test_a_flush_ends_although_new_samples_keep_coming(bench: Bench) -> None:
    bench.disk.gate.clear()
    bench.append(A, 0, 1)
    flush = asyncio.ensure_future(bench.recorder.flush())
    await bench.clock.advance(0.2)
    bench.append(B, 0, 1)
    bench.disk.gate.set()
    await asyncio.wait_for(flush, 1)
    assert (A, 1, 1) in bench.told


async def test_a_full_buffer_says_so_until_a_commit_makes_room(bench: Bench) -> None:
    bench.disk.gate.clear()
    bench.append(A, 0, 50_000)
    assert bench.recorder.full()
    bench.disk.gate.set()
    await bench.clock.advance(1)
    assert not bench.recorder.full()


async def test_a_flood_is_committed_in_parts(bench: Bench) -> None:
    bench.append(A, 0, MAX_PER_COMMIT)
    bench.append(B, 0, 10)
    await bench.clock.advance(0.2)
    await bench.clock.advance(0.2)
    assert [len(commit) for commit in bench.disk.commits] == [1, 1]
    assert sorted(bench.told) == [(A, 1, MAX_PER_COMMIT), (B, 1, 10)]


async def test_a_full_commit_does_not_wait_for_the_interval(bench: Bench) -> None:
    bench.append(A, 0, MAX_PER_COMMIT)
    await bench.clock.advance(0)
    assert bench.told == [(A, 1, MAX_PER_COMMIT)]


async def test_stopping_commits_what_is_there(bench: Bench) -> None:
    bench.append(A, 0, 4)
    bench.recorder.stop()
    await asyncio.wait_for(bench.task, 1)
    assert len(bench.disk.stored[A]) == 4
