"""The group commit: one transaction every few hundred milliseconds for all streams of this node.

Approach. `append` is synchronous and puts samples into a buffer. One loop takes the whole buffer, writes it in one
transaction, and only after the commit tells each stream how far it is stored; those marks are the acknowledgements that
devices wait for. At most one commit is under way; what arrives meanwhile waits for the next, so a slow disk makes commits
larger instead of more numerous.

Invariants. The buffer of a stream is contiguous. A commit that failed is put back in front of what came since, and tried
again with back-off, so marks never move past something unwritten. A commit whose answer was lost is written again too; the
store drops what it already has. A stream that belongs to a newer epoch is dropped here and its owner told.

Full means: `MAX_SAMPLES` in the buffer, and the caller refuses (`WindowFull`); devices keep their samples, boards go on.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from persistence.streams import StreamBatch, Written
from rooms.effort import Effort
from services.kernel.clock import Clock, pause
from services.kernel.ids import StreamId
from services.kernel.problems import Problem
from services.training.motion import Moving
from services.training.provenance import SensorKind
from services.training.sample import Sample

MAX_SAMPLES: Final = 500_000
"""Samples held while Postgres is away: 16 minutes of 500 athletes at 1 Hz, about 100 MB."""
MAX_PER_COMMIT: Final = 20_000
"""Samples in one transaction, so that one flood cannot make everybody's acknowledgement late."""
RETRY_FIRST_S: Final = 0.2
RETRY_MOST_S: Final = 5.0

log = structlog.get_logger(__name__)


class SampleWriter(Protocol):
    """Commits batches (one per stream) in one transaction; raises when nothing was committed, or when in doubt."""

    async def __call__(self, batches: list[StreamBatch]) -> list[Written]: ...


@dataclass(slots=True)
class _Buffered:
    """Samples of one stream that are not yet committed, numbered from `first_seq`."""

    epoch: int
    first_seq: int
    samples: list[Sample]
    received_ms: int
    effort: Effort
    clock_offset_ms: int | None
    sensor: SensorKind | None
    moving: Moving | None


@dataclass(slots=True)
class RecorderStatistics:
    """Counts since start, and what is there now: samples `waiting`, a commit under way (`committing`).

    `commit_seconds` are the last few hundred commits.
    """

    committing: bool = False
    samples: int = 0
    commits: int = 0
    failures: int = 0
    fenced: int = 0
    waiting: int = 0
    commit_seconds: list[float] = field(default_factory=list)
    commit_seconds_sum: float = 0.0


class Recorder:
    """Collects samples and commits them. `stored` is called after each commit, per stream: (stream, epoch, next_seq);
    `fenced` when a stream turned out to belong to a newer epoch: (stream, epoch)."""

    def __init__(
        self,
        write: SampleWriter,
        clock: Clock,
        *,
        interval_s: float,
        stored: Callable[[StreamId, int, int], None],
        fenced: Callable[[StreamId, int], None],
        max_samples: int = MAX_SAMPLES,
    ) -> None:
        self._write = write
        self._clock = clock
        self._interval_s = interval_s
        self._stored = stored
        self._fenced = fenced
        self._max_samples = max_samples
        self._buffer: dict[StreamId, _Buffered] = {}
        self._work = asyncio.Event()
        self._hurry = asyncio.Event()
        self._stopping = False
        self._appended = 0
        self._settled = 0
        self._flushes: list[tuple[int, asyncio.Future[None]]] = []
        self.statistics: Final = RecorderStatistics()

    def full(self) -> bool:
        """Whether there is no room for another batch."""
        return self.statistics.waiting >= self._max_samples

    def holds(self, stream_id: StreamId) -> bool:
        """Whether samples of this stream wait to be taken into a commit."""
        return stream_id in self._buffer

    def append(
        self,
        stream_id: StreamId,
        epoch: int,
        first_seq: int,
        samples: tuple[Sample, ...],
        effort: Effort,
        received_ms: int,
        clock_offset_ms: int | None,
        sensor: SensorKind | None = None,
        moving: Moving | None = None,
    ) -> None:
        """Keep `samples`, numbered from `first_seq`, until the next commit; `effort` is the score after them, `sensor` what they
        come from, as far as it is known, `moving` their motion.

        Never waits. A newer epoch than the buffered one replaces it: the older samples can no longer be written.
        """
        held = self._buffer.get(stream_id)
        if held is None or held.epoch != epoch:
            if held is not None:
                self._settle(len(held.samples))
            self._buffer[stream_id] = _Buffered(
                epoch, first_seq, list(samples), received_ms, effort, clock_offset_ms, sensor, moving
            )
        else:
            held.samples.extend(samples)
            held.effort, held.received_ms, held.clock_offset_ms = effort, received_ms, clock_offset_ms
            held.sensor, held.moving = sensor, moving
        self.statistics.waiting += len(samples)
        self._appended += len(samples)
        self._work.set()

    async def flush(self) -> None:
        """Return when everything appended before this call is committed or fenced; skips the interval.

        Waits as long as Postgres is away: give it a timeout.
        """
        if self._settled >= self._appended:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._flushes.append((self._appended, done))
        self._hurry.set()
        await done

    def stop(self) -> None:
        """Ask `run` to commit what is there and return. May be called again."""
        self._stopping = True
        self._work.set()
        self._hurry.set()

    async def run(self) -> None:
        """Commit until stopped. On `stop`, what is in the buffer is still tried, for a bounded time."""
        delay = RETRY_FIRST_S
        while True:
            await self._work.wait()
            if self._stopping and not self._buffer:
                return
            await self._gather()
            batches = self._take()
            if await self._commit(batches):
                delay = RETRY_FIRST_S
            else:
                if self._stopping and delay >= RETRY_MOST_S:
                    log.error("recorder.gave_up", streams=len(self._buffer), samples=self.statistics.waiting)
                    return
                await self._clock.sleep(delay)
                delay = min(delay * 2, RETRY_MOST_S)
            if not self._flushes and not self._stopping:
                self._hurry.clear()
            if not self._buffer and not self._stopping:
                self._work.clear()

    async def _gather(self) -> None:
        """Give other streams the interval to join this commit, unless somebody is in a hurry or it is full already."""
        if self.statistics.waiting < MAX_PER_COMMIT:
            await pause(self._clock, self._interval_s, self._hurry)

    def _take(self) -> list[tuple[StreamId, _Buffered]]:
        taken: list[tuple[StreamId, _Buffered]] = []
        count = 0
        for stream_id in list(self._buffer):
            if taken and count >= MAX_PER_COMMIT:
                break
            taken.append((stream_id, self._buffer.pop(stream_id)))
            count += len(taken[-1][1].samples)
        return taken

    async def _commit(self, taken: list[tuple[StreamId, _Buffered]]) -> bool:
        began = self._clock.monotonic()
        self.statistics.committing = True
        try:
            results = await self._write([_batch(stream_id, held) for stream_id, held in taken])
        except (Problem, OSError, TimeoutError) as problem:
            self.statistics.failures += 1
            log.warning("recorder.commit_failed", problem=str(problem), streams=len(taken))
            self._put_back(taken)
            return False
        except Exception:
            self.statistics.failures += 1
            if len(taken) > 1:
                log.exception("recorder.commit_refused_writing_one_by_one", streams=len(taken))
                return await self._one_by_one(taken)
            # One stream whose samples Postgres will not take must not hold up the others for ever.
            log.exception("recorder.batch_dropped", stream=str(taken[0][0]), samples=len(taken[0][1].samples))
            self._fenced(taken[0][0], taken[0][1].epoch)
            self._settle(len(taken[0][1].samples))
            return True
        finally:
            self.statistics.committing = False
        epochs = {stream_id: held.epoch for stream_id, held in taken}
        for result in results:
            if result.fenced:
                self.statistics.fenced += 1
                self._fenced(result.stream_id, epochs[result.stream_id])
            else:
                self._stored(result.stream_id, epochs[result.stream_id], result.next_seq)
        self._note(taken, self._clock.monotonic() - began)
        return True

    async def _one_by_one(self, taken: list[tuple[StreamId, _Buffered]]) -> bool:
        committed = True
        for one in taken:
            committed = await self._commit([one]) and committed
        return committed

    def _put_back(self, taken: list[tuple[StreamId, _Buffered]]) -> None:
        for stream_id, held in taken:
            newer = self._buffer.get(stream_id)
            if newer is None:
                self._buffer[stream_id] = held
            elif newer.epoch == held.epoch:
                newer.samples[:0] = held.samples
                newer.first_seq = held.first_seq
            else:
                self._settle(len(held.samples))

    def _settle(self, count: int) -> None:
        """`count` samples are no longer this buffer's to worry about; wake flushes that waited for them."""
        self.statistics.waiting -= count
        self._settled += count
        waiting, self._flushes = self._flushes, []
        for target, done in waiting:
            if target <= self._settled and not done.done():
                done.set_result(None)
            elif not done.done():
                self._flushes.append((target, done))

    def _note(self, taken: list[tuple[StreamId, _Buffered]], seconds: float) -> None:
        count = sum(len(held.samples) for _, held in taken)
        statistics = self.statistics
        self._settle(count)
        statistics.samples += count
        statistics.commits += 1
        statistics.commit_seconds_sum += seconds
        statistics.commit_seconds.append(seconds)
        del statistics.commit_seconds[:-300]


def _batch(stream_id: StreamId, held: _Buffered) -> StreamBatch:
    return StreamBatch(
        stream_id=stream_id,
        epoch=held.epoch,
        first_seq=held.first_seq,
        samples=tuple(held.samples),
        received_ms=held.received_ms,
        last_t=held.effort.last_t,
        last_bpm=held.effort.last_bpm,
        clock_offset_ms=held.clock_offset_ms,
        sensor=held.sensor,
        zone_ms=held.effort.zone_ms,
        moving=held.moving,
        burned=held.effort.burned,
    )
