"""Short words for the tests of recordings: read bytes strictly, read them anyway, look at one column."""

from services.training.recordings import Recording, RecordingError, Timeline, read_recording, to_samples


def timeline(data: bytes, *, keep_going: bool = False) -> Timeline:
    """Read and clean."""
    return to_samples(read_recording(data, "test file", keep_going=keep_going))


def heart_rates(data: bytes) -> list[int | None]:
    """The cleaned heart rates, one per sample."""
    return [sample.bpm for sample in timeline(data).samples]


def complaint(data: bytes, *, keep_going: bool = False) -> RecordingError:
    """The error that reading ends with; fails where there is none."""
    try:
        recording: Recording = read_recording(data, "test file", keep_going=keep_going)
    except RecordingError as error:
        return error
    raise AssertionError(f"{len(recording.points)} points were read, an error was expected")
