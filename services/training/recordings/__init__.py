"""Recordings: files of watches, phones and straps, read into samples.

`read_recording` takes the bytes of a file in any of seven formats and gives what the file says;
`to_samples` turns that into what a device on the wrist would have sent. Both are pure. The rule, format by
format, with what is done about every oddity, is `docs/reference/recordings.md`.
"""

from services.training.recordings.reading import read_recording
from services.training.recordings.recording import (
    MAX_BYTES,
    MAX_POINTS,
    Damage,
    Format,
    RawPoint,
    Recording,
    RecordingError,
)
from services.training.recordings.timeline import Cleaning, Timeline, to_samples

__all__ = [
    "MAX_BYTES",
    "MAX_POINTS",
    "Cleaning",
    "Damage",
    "Format",
    "RawPoint",
    "Recording",
    "RecordingError",
    "Timeline",
    "read_recording",
    "to_samples",
]
