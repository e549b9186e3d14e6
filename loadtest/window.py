"""Which samples a device still keeps, and which it may send next. Pure.

    acknowledged | sent, not acknowledged | not sent yet
    ------------ stored ---------------- next ---------- end

`stored` only ever grows, by what the server acknowledged: everything before it is forgotten, everything from it
on is kept. `next` runs ahead and falls back: to the server's mark whenever a connection opens, to `expected`
when a gap is reported, to `stored` when the server asked to wait. So every sample is sent until it is
acknowledged, in order, and the numbering by position makes a repeat harmless.

Answers to batches that were sent before the last fall-back say nothing about what was sent since. Each batch
carries the number of its `pass_`, and a refusal from an earlier pass is ignored; else one gap report per batch
on the way would send everything again once for each.
"""

from collections import deque
from itertools import islice
from typing import Final, NamedTuple

from realtime.wire import MAX_BATCH_SAMPLES, MAX_UNACKED_SAMPLES
from services.training.sample import Sample

LARGEST_BATCH_RR: Final = 16_384
"""RR intervals in one batch; with 1000 samples about 130 KB on the wire, half of what the server takes."""


class PromiseBroken(Exception):  # noqa: N818 - it is exactly this
    """The server asks for samples that it had acknowledged as stored, or claims some that were never sent."""


class Batch(NamedTuple):
    """Samples numbered from `seq`, sent in pass number `pass_`."""

    seq: int
    samples: tuple[Sample, ...]
    pass_: int


class Window:
    """The kept samples of one stream. `stored`, `next` and `end` are sequence numbers."""

    def __init__(self) -> None:
        self._kept: deque[Sample] = deque()
        self._max_batch = MAX_BATCH_SAMPLES
        self._max_unacked = MAX_UNACKED_SAMPLES
        self.stored = 0
        self.next = 0
        self.pass_ = 0

    @property
    def end(self) -> int:
        """The number that the sample appended next will have."""
        return self.stored + len(self._kept)

    @property
    def kept(self) -> int:
        """How many samples wait for their acknowledgement."""
        return len(self._kept)

    def append(self, sample: Sample) -> None:
        """A new sample at the end."""
        self._kept.append(sample)

    def opened(self, next_seq: int, max_batch: int, max_unacked: int) -> None:
        """The stream is open on a connection: go on from the server's mark, within its limits."""
        self.acknowledge(next_seq)
        self._max_batch = max(1, min(max_batch, MAX_BATCH_SAMPLES))
        self._max_unacked = max(1, max_unacked)
        self._fall_back(next_seq)

    def take(self) -> Batch | None:
        """The next batch to send, or None when all is sent or as much is under way as the server allows."""
        room = min(self._max_batch, self.end - self.next, self.stored + self._max_unacked - self.next)
        if room <= 0:
            return None
        first = self.next - self.stored
        samples = _within_rr(tuple(islice(self._kept, first, first + room)))
        batch = Batch(self.next, samples, self.pass_)
        self.next += len(samples)
        return batch

    def acknowledge(self, next_seq: int) -> None:
        """Everything before `next_seq` is stored; an older acknowledgement that comes late changes nothing.

        Raises PromiseBroken when it is more than there is.
        """
        if next_seq > self.end:
            raise PromiseBroken(
                f"the server claims {next_seq} samples of this stream, the device has made {self.end}; "
                "is its number used by another device?"
            )
        for _ in range(next_seq - self.stored):
            self._kept.popleft()
        self.stored = max(self.stored, next_seq)
        self.next = max(self.next, self.stored)

    def refused(self, batch: Batch, expected: int | None = None) -> bool:
        """The server did not take `batch`: go back to `expected`, else to what is stored.

        To the beginning of the batch would be too little: one before it may have been refused too, by an answer that
        comes later and is then ignored as belonging to an earlier pass. False when there is nothing to do.
        """
        if batch.pass_ != self.pass_:
            return False
        self._fall_back(self.stored if expected is None else expected)
        return True

    def _fall_back(self, to: int) -> None:
        if to < self.stored:
            raise PromiseBroken(
                f"the server asks for sample {to}, but it had acknowledged everything before {self.stored}; "
                "the samples between are lost"
            )
        self.next = min(to, self.end)
        self.pass_ += 1


def _within_rr(samples: tuple[Sample, ...]) -> tuple[Sample, ...]:
    """As many of the samples as stay within the payload limit; at least one."""
    intervals = 0
    for index, sample in enumerate(samples):
        intervals += len(sample.rr)
        if intervals > LARGEST_BATCH_RR:
            return samples[: max(index, 1)]
    return samples
