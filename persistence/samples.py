"""How samples lie in the database: one row per stream and group commit, its readings as parallel arrays.

A row per sample would cost forty bytes of header for six bytes of news. Arrays keep a batch as small as its content
and are read back in one go; the price is that this file alone knows the layout, in both directions.

Beat-to-beat intervals vary in number per sample, so all of a batch's intervals lie in one array and `rr_n` says how
many of them belong to each sample.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from services.training.sample import Sample


class BatchColumns(NamedTuple):
    """The columns `t`, `bpm`, `rr`, `rr_n` of `sample_batches`: ms, beats per minute or None, ms, counts."""

    t: list[int]
    bpm: list[int | None]
    rr: list[int]
    rr_n: list[int]


class CorruptBatch(Exception):  # noqa: N818 - it says what the row is
    """A stored batch whose arrays do not fit together: the row was changed by hand or damaged on disk.

    Restore it from a backup, or delete the stream's rows from `first_seq` on.
    """


def encode_batch(samples: Sequence[Sample]) -> BatchColumns:
    """The columns that hold these samples, in their order."""
    return BatchColumns(
        t=[sample.t for sample in samples],
        bpm=[sample.bpm for sample in samples],
        rr=[interval for sample in samples for interval in sample.rr],
        rr_n=[len(sample.rr) for sample in samples],
    )


def decode_batch(row: Mapping[str, Any]) -> tuple[Sample, ...]:
    """The samples of a row that has the columns of `BatchColumns`. Raises `CorruptBatch`."""
    t, bpm, rr, rr_n = row["t"], row["bpm"], row["rr"], row["rr_n"]
    if not (len(t) == len(bpm) == len(rr_n)) or sum(rr_n) != len(rr):
        raise CorruptBatch(
            f"a batch has {len(t)} times, {len(bpm)} heart rates, {len(rr_n)} interval counts "
            f"that add up to {sum(rr_n)}, and {len(rr)} intervals"
        )
    if not rr:
        return tuple(map(Sample, t, bpm))
    intervals = iter(rr)
    return tuple(
        Sample(at, rate, tuple(islice(intervals, count))) for at, rate, count in zip(t, bpm, rr_n, strict=True)
    )
