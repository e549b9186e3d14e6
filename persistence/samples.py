"""How samples lie in the database: one row per stream and group commit, its readings as parallel arrays.

A row per sample would cost forty bytes of header for six bytes of news. Arrays keep a batch as small as its content
and are read back in one go; the price is that this file alone knows the layout, in both directions.

Most batches say nothing but the heart: the columns of motion are null then, each of its own.

Beat-to-beat intervals vary in number per sample, so all of a batch's intervals lie in one array and `rr_n` says how
many of them belong to each sample.

Sealed, the columns lie in one, as a MessagePack list of the arrays under the key of the account (services/privacy/vault.py); the
others are null. That is smaller than the arrays: five samples take 95 bytes instead of 196.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, repeat
from typing import Any, Final, NamedTuple

import msgspec

from services.privacy.vault import Field
from services.training.sample import Motion, Sample

SAMPLES: Final = Field("sample_batches", "sealed")
_NONE: Final = (None, None, None)


class BatchColumns(NamedTuple):
    """The columns of `sample_batches` by their names: ms, beats per minute or None, ms, counts; m, W and turns per minute, None
    where a sample does not say so, and in the place of the whole column where none does."""

    t: list[int]
    bpm: list[int | None]
    rr: list[int]
    rr_n: list[int]
    distance_m: list[int | None] | None = None
    power_w: list[int | None] | None = None
    cadence: list[int | None] | None = None


_unpack: Final = msgspec.msgpack.Decoder(BatchColumns).decode


class CorruptBatch(Exception):  # noqa: N818 - it says what the row is
    """A stored batch whose arrays do not fit together: the row was changed by hand or damaged on disk.

    Restore it from a backup, or delete the stream's rows from `first_seq` on.
    """


def encode_batch(samples: Sequence[Sample]) -> BatchColumns:
    """The columns that hold these samples, in their order. A `Motion` that says nothing is none."""
    heart = BatchColumns(
        t=[sample.t for sample in samples],
        bpm=[sample.bpm for sample in samples],
        rr=[interval for sample in samples for interval in sample.rr],
        rr_n=[len(sample.rr) for sample in samples],
    )
    motions = [sample.motion for sample in samples]
    if not any(motions):
        return heart
    return heart._replace(
        distance_m=_said([None if motion is None else motion.distance_m for motion in motions]),
        power_w=_said([None if motion is None else motion.power_w for motion in motions]),
        cadence=_said([None if motion is None else motion.cadence for motion in motions]),
    )


def _said(column: list[int | None]) -> list[int | None] | None:
    return None if all(value is None for value in column) else column


def pack_batch(columns: BatchColumns) -> bytes:
    """The columns as what is sealed of them."""
    return msgspec.msgpack.encode(columns)


def unpack_batch(packed: bytes) -> tuple[Sample, ...]:
    """The samples of what was sealed. Raises `CorruptBatch`."""
    try:
        columns = _unpack(packed)
    except msgspec.DecodeError as cause:
        raise CorruptBatch(f"a sealed batch has other columns: {cause}") from cause
    return decode_batch(columns._asdict())


def decode_batch(row: Mapping[str, Any]) -> tuple[Sample, ...]:
    """The samples of a row that has the columns of `BatchColumns`. Raises `CorruptBatch`."""
    t, bpm, rr, rr_n = row["t"], row["bpm"], row["rr"], row["rr_n"]
    if not (len(t) == len(bpm) == len(rr_n)) or sum(rr_n) != len(rr):
        raise CorruptBatch(
            f"a batch has {len(t)} times, {len(bpm)} heart rates, {len(rr_n)} interval counts "
            f"that add up to {sum(rr_n)}, and {len(rr)} intervals"
        )
    motion = row["distance_m"], row["power_w"], row["cadence"]
    if not rr and motion == _NONE:
        return tuple(map(Sample, t, bpm))
    intervals = iter(rr)
    return tuple(
        Sample(at, rate, tuple(islice(intervals, count)), moved)
        for at, rate, count, moved in zip(t, bpm, rr_n, _motions(motion, len(t)), strict=True)
    )


def _motions(columns: Sequence[Sequence[int | None] | None], count: int) -> Iterator[Motion | None]:
    """The motion of each sample. Raises `CorruptBatch`."""
    for column in columns:
        if column is not None and len(column) != count:
            raise CorruptBatch(f"a batch has {count} times and {len(column)} values of distance, power or cadence")
    whole = [repeat(None, count) if column is None else column for column in columns]
    for values in zip(*whole, strict=True):
        yield None if values == _NONE else Motion(*values)
