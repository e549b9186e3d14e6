"""Frames of sensors into samples of a stream, and a frame that is none into a refusal that says which, and at which byte."""

from realtime.wire import SampleBatch, SensorFrame
from services.kernel.problems import BadShape
from services.training.frame import BadFrame
from services.training.heart_rate_frames import decode_location
from services.training.provenance import SensorKind, kind_at
from services.training.raw_sample import UnknownCharacteristic, characteristic_of, sample_of
from services.training.sample import Sample


def batch_of(message: SensorFrame) -> SampleBatch:
    """The samples that the frames of a message are. Raises `BadShape` for the first that is none; nothing of the message is then
    taken."""
    try:
        characteristic = characteristic_of(message.characteristic)
    except UnknownCharacteristic as unknown:
        raise BadShape(str(unknown), path="$.characteristic") from unknown
    samples: list[Sample] = []
    for number, frame in enumerate(message.frames):
        try:
            samples.append(sample_of(characteristic, frame.t, (frame.data, *frame.more)))
        except BadFrame as bad:
            raise BadShape(str(bad), path=f"$.frames[{number}][1]") from bad
    return SampleBatch(stream=message.stream, seq=message.seq, samples=tuple(samples))


def kind_of(message: SensorFrame) -> SensorKind | None:
    """What sensor a message comes from, by the place on the body that stands in it; None where it says none, or one where several
    kinds are worn. Raises `BadShape` for what is no place."""
    if message.location is None:
        return None
    try:
        return kind_at(decode_location(message.location))
    except BadFrame as bad:
        raise BadShape(str(bad), path="$.location") from bad
