"""Small recordings of every format, made here: for tests, and for people who have no file of their own at
hand.

All of them are written from the same list of readings, so a test can say what it wants to see and compare.
Nothing in them comes from a real person; the heart that beats here is a formula without any randomness, and
every run writes the same bytes.

    python -m tests.support.recordings OUT_DIR

writes one file of each format and the damaged variants, to try `paceline replay` with.
"""

import json
import math
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from tests.support.fit_encoder import (
    FILE_ID,
    FIT_EPOCH_S,
    HEART_RATE,
    HR,
    HRV,
    RECORD,
    SUMMARY,
    TIMESTAMP,
    Field,
    FitFile,
)

START: Final = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


class Reading(NamedTuple):
    """What a sensor said: ms since the beginning, bpm (None: no contact), RR intervals in ms."""

    t: int
    bpm: int | None
    rr: tuple[int, ...] = ()


def workout(seconds: int = 120, *, step_s: int = 1, lost: range = range(0)) -> list[Reading]:
    """Rest, a ramp and intervals, one reading every `step_s` seconds; no contact in the seconds of `lost`."""
    readings = []
    for second in range(0, seconds, step_s):
        ramp = 60 * (1 - math.exp(-second / 60))
        bpm = None if second in lost else round(80 + ramp + 12 * math.sin(second / 15))
        readings.append(Reading(second * 1000, bpm))
    return readings


def beats(seconds: int = 120, *, lost_ms: int = 0) -> list[int]:
    """RR intervals of the same workout in ms.

    With `lost_ms` one of them is a hole of that length, in the middle.
    """
    intervals: list[int] = []
    t = 0
    while t < seconds * 1000:
        rr = round(60_000 / (80 + 60 * (1 - math.exp(-t / 60_000)) + 12 * math.sin(t / 15_000)))
        if lost_ms and t >= seconds * 500:
            rr, lost_ms = lost_ms, 0
        intervals.append(rr)
        t += rr
    return intervals


def with_rr(readings: Sequence[Reading]) -> list[Reading]:
    """The readings with the intervals that fit their heart rate, as a strap adds them."""
    return [
        reading._replace(rr=(round(60_000 / reading.bpm),) * (1 + reading.bpm // 100) if reading.bpm else ())
        for reading in readings
    ]


def fit(readings: Sequence[Reading], *, start: datetime = START) -> bytes:
    """A FIT activity.

    `record` messages, `hrv` messages after those that have intervals, a summary at the end.
    """
    file = _begun()
    file.define(1, RECORD, [TIMESTAMP, HEART_RATE])
    file.define(2, HRV, [Field(0, "uint16", 5)])
    for reading in readings:
        time = {} if reading.bpm is None else {HEART_RATE.number: reading.bpm}
        file.write(1, {TIMESTAMP.number: fit_seconds(start, reading.t), **time})
        for first in range(0, len(reading.rr), 5):
            file.write(2, {0: reading.rr[first : first + 5]})
    file.define(3, SUMMARY, [TIMESTAMP, Field(5, "enum")])
    file.write(3, {TIMESTAMP.number: fit_seconds(start, readings[-1].t), 5: 1})
    return file.encoded()


def fit_swim(
    records: Sequence[int], late: Sequence[Reading], *, start: datetime = START, strap_ticks: int = 7_000
) -> bytes:
    """A swim.

    Records without heart rate at the given ms, then all of it in `hr` messages from the strap's memory.
    """
    file = _begun()
    file.define(1, RECORD, [TIMESTAMP])
    for t in records:
        file.write(1, {TIMESTAMP.number: fit_seconds(start, t)})
    file.define(2, HR, [TIMESTAMP, Field(0, "uint16"), Field(6, "uint8"), Field(9, "uint32")])
    file.define(3, HR, [Field(6, "uint8", 8), Field(10, "byte", 12)])
    first, *rest = late
    fraction = first.t % 1000 * 32_768 // 1000
    file.write(
        2,
        {
            TIMESTAMP.number: fit_seconds(start, first.t),
            0: fraction,
            6: first.bpm or 0xFF,
            9: strap_ticks,
        },
    )
    for at in range(0, len(rest), 8):
        eight = [*rest[at : at + 8]]
        eight += [eight[-1]] * (8 - len(eight))
        ticks = [strap_ticks + round((reading.t - first.t) * 1.024) for reading in eight]
        file.write(3, {6: [reading.bpm or 0xFF for reading in eight], 10: packed_12_bits(ticks)})
    return file.encoded()


def packed_12_bits(values: Sequence[int]) -> bytes:
    """The low 12 bits of each value, two values in three bytes."""
    packed = bytearray()
    for low, high in zip(values[0::2], values[1::2], strict=True):
        both = low & 0xFFF | (high & 0xFFF) << 12
        packed += both.to_bytes(3, "little")
    return bytes(packed)


def fit_seconds(start: datetime, t: int) -> int:
    """A FIT timestamp: whole seconds since the end of 1989."""
    return int(start.timestamp()) + t // 1000 - FIT_EPOCH_S


def _begun() -> FitFile:
    file = FitFile()
    file.define(0, FILE_ID, [Field(0, "enum"), Field(1, "uint16"), Field(8, "string", 16)])
    file.write(0, {0: 4, 1: 255, 8: b"Paceline example"})
    return file


def tcx(readings: Sequence[Reading], *, start: datetime = START) -> bytes:
    """A TCX activity of one lap; a reading without contact has no HeartRateBpm."""
    points = "".join(
        f"<Trackpoint><Time>{_iso(start, r.t)}</Time>"
        + ("" if r.bpm is None else f"<HeartRateBpm><Value>{r.bpm}</Value></HeartRateBpm>")
        + "</Trackpoint>\n"
        for r in readings
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<TrainingCenterDatabase xmlns="http://www.garmin.com/xmlschemas/TrainingCenterDatabase/v2">\n'
        f'<Activities><Activity Sport="Running"><Id>{_iso(start, 0)}</Id><Lap StartTime="{_iso(start, 0)}">\n'
        "<AverageHeartRateBpm><Value>199</Value></AverageHeartRateBpm>\n"
        f"<Track>\n{points}</Track></Lap><Creator><Name>Paceline example</Name></Creator></Activity></Activities>\n"
        "</TrainingCenterDatabase>\n"
    ).encode()


def gpx(readings: Sequence[Reading], *, start: datetime = START) -> bytes:
    """A GPX track with the heart-rate extension; all of it stands on one invented spot in the Atlantic."""
    points = "".join(
        f'<trkpt lat="0" lon="-30"><time>{_iso(start, r.t)}</time>'
        + (
            ""
            if r.bpm is None
            else f"<extensions><g:TrackPointExtension><g:hr>{r.bpm}</g:hr></g:TrackPointExtension></extensions>"
        )
        + "</trkpt>\n"
        for r in readings
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<gpx version="1.1" creator="Paceline example" xmlns="http://www.topografix.com/GPX/1/1"'
        ' xmlns:g="http://www.garmin.com/xmlschemas/TrackPointExtension/v1">\n'
        f"<metadata><time>{_iso(start, 0)}</time></metadata>\n"
        f"<trk><type>cycling</type><trkseg>\n{points}</trkseg></trk></gpx>\n"
    ).encode()


def hrm(readings: Sequence[Reading], *, interval_s: int = 5, start: datetime = START, note: bytes = b"") -> bytes:
    """A Polar HRM file with heart rate, speed and cadence in its rows; no contact is heart rate 0."""
    rows = "".join(f"{r.bpm or 0}\t0\t0\r\n" for r in readings)
    length_ms = max(len(readings) - 1, 0) * interval_s * 1000
    return _hrm_head(interval_s, "110000000", length_ms, start, note) + rows.encode()


def hrm_rr(intervals: Sequence[int], *, start: datetime = START) -> bytes:
    """A Polar HRM file in RR mode: one interval in ms per row."""
    rows = "".join(f"{rr}\r\n" for rr in intervals)
    return _hrm_head(238, "000000000", sum(intervals), start, b"") + rows.encode()


def _hrm_head(interval: int, smode: str, length_ms: int, start: datetime, note: bytes) -> bytes:
    length = f"{length_ms // 3_600_000:02}:{length_ms // 60_000 % 60:02}:{length_ms % 60_000 / 1000:04.1f}"
    params = (
        f"[Params]\r\nVersion=106\r\nMonitor=1\r\nSMode={smode}\r\nDate={start:%Y%m%d}\r\n"
        f"StartTime={start:%H:%M:%S}.0\r\nLength={length}\r\nInterval={interval}\r\n\r\n[Note]\r\n"
    )
    return params.encode() + note + b"\r\n\r\n[HRData]\r\n"


def rr_list(intervals: Sequence[int]) -> bytes:
    """One interval in ms per line."""
    return "".join(f"{rr}\n" for rr in intervals).encode()


def event_log(readings: Sequence[Reading], *, start: datetime = START) -> bytes:
    """`time;kind;value` lines.

    The intervals of a reading just before its heart rate, steps and calories between.
    """
    lines = []
    for number, r in enumerate(readings):
        if number % 10 == 0:
            lines.append(f"{_iso(start, r.t)};STEPS;{number}.0")
        lines += [f"{_iso(start, r.t)};HEART_RATE_VARIABILITY;{rr}.0" for rr in r.rr]
        lines.append(f"{_iso(start, r.t)};HEART_RATE;{-1 if r.bpm is None else r.bpm}.0")
    return ("\n".join(lines) + "\n").encode()


def day_curve(readings: Sequence[Reading], *, start: datetime = START) -> bytes:
    """The JSON of a day: pairs of epoch ms and bpm, null where there was no contact."""
    zero = int(start.timestamp() * 1000)
    return json.dumps(
        {"calendarDate": f"{start:%Y-%m-%d}", "heartRateValues": [[zero + r.t, r.bpm] for r in readings]}
    ).encode()


def cut_off(data: bytes, share: float = 0.7) -> bytes:
    """The first part of a file, as a full disk or a lost connection leaves it."""
    return data[: int(len(data) * share)]


def flipped(data: bytes, at: int, bits: int = 0xFF) -> bytes:
    """The file with some bits of one byte turned over."""
    return data[:at] + bytes((data[at] ^ bits,)) + data[at + 1 :]


def _iso(start: datetime, t: int) -> str:
    moment = start + timedelta(milliseconds=t)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


EXAMPLES: Final[dict[str, Callable[[], bytes]]] = {
    "interval-run.fit": lambda: fit(with_rr(workout(lost=range(40, 50)))),
    "swim-late-heart-rate.fit": lambda: fit_swim(range(0, 60_000, 1000), workout(60)),
    "run.tcx": lambda: tcx(workout(60, lost=range(20, 25))),
    "ride.gpx": lambda: gpx(workout(60, step_s=3)),
    "ride-5s.hrm": lambda: hrm(workout(120, step_s=5, lost=range(30, 40))),
    "run-rr.hrm": lambda: hrm_rr(beats(60, lost_ms=8_000)),
    "rest-rr.txt": lambda: rr_list(beats(60)),
    "phone-log.csv": lambda: event_log(with_rr(workout(60))),
    "day.json": lambda: day_curve(workout(3600, step_s=120, lost=range(600, 960))),
    "damaged-cut-off.fit": lambda: cut_off(fit(workout())),
    "damaged-cut-off.tcx": lambda: cut_off(tcx(workout(60))),
    "damaged-spaces-first.tcx": lambda: b"   " + tcx(workout(60)),
    "damaged-cut-off.hrm": lambda: cut_off(hrm(workout(120, step_s=5)), 0.9),
}


def main(arguments: Sequence[str]) -> int:
    """Write the examples into the folder named on the command line."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: python -m tests.support.recordings OUT_DIR", file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in EXAMPLES.items():
        (folder / name).write_bytes(make())
        print(folder / name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
