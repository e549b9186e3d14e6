"""Which samples of a stream are new: repeats, overlaps and reorderings, decided without I/O.

A device may send anything twice, in any overlap, and a second path may deliver a later batch first. `Intake` knows
one number, the next sequence it wants, and a small shelf of batches that came early. What it gives out is exactly
the stream, in order, each sample once. The shelf is bounded: further ahead than `MAX_AHEAD` is refused with the
number to go back to, because a gap that wide is a device that lost its place, not a reordering.

A repeated sample is never compared with the stored one: the first wins, whatever the second says.
"""

from typing import Final

from services.kernel.problems import SequenceGap
from services.training.sample import Sample

MAX_AHEAD: Final = 4_000
"""Samples that may wait for the ones before them: four full batches. Chosen by feeling."""


class Intake:
    """The receiving end of one stream. `next_seq` is the first sequence number not yet given out."""

    __slots__ = ("_early", "_held", "next_seq")

    def __init__(self, next_seq: int) -> None:
        self.next_seq = next_seq
        self._early: dict[int, tuple[Sample, ...]] = {}
        self._held = 0

    def accept(self, seq: int, samples: tuple[Sample, ...]) -> tuple[Sample, ...]:
        """Take a batch numbered from `seq`; return the samples that are new and in order (possibly none).

        Raises `SequenceGap` with `expected` when the batch lies too far ahead to be kept.
        """
        if seq > self.next_seq:
            self._shelve(seq, samples)
            return ()
        fresh = samples[self.next_seq - seq :]
        self.next_seq += len(fresh)
        if fresh and self._early:
            fresh += self._unshelve()
        return fresh

    def _shelve(self, seq: int, samples: tuple[Sample, ...]) -> None:
        known = self._early.get(seq, ())
        if len(samples) <= len(known):
            return
        if seq + len(samples) - self.next_seq > MAX_AHEAD or self._held + len(samples) > MAX_AHEAD:
            raise SequenceGap(expected=self.next_seq, path="$.seq")
        self._held += len(samples) - len(known)
        self._early[seq] = samples

    def _unshelve(self) -> tuple[Sample, ...]:
        """Everything on the shelf that now joins on, and nothing that is overtaken."""
        joined: tuple[Sample, ...] = ()
        for seq in sorted(self._early):
            if seq > self.next_seq:
                break
            samples = self._early.pop(seq)
            self._held -= len(samples)
            fresh = samples[self.next_seq - seq :]
            self.next_seq += len(fresh)
            joined += fresh
        return joined
