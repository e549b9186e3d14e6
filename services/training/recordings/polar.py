"""Polar HRM: the text format of Polar's own software, in two kinds.

`[Params]` says how to read `[HRData]`. With an `Interval` in seconds every row is one instant and its first
column the heart rate; which other columns stand beside it is said by the flags of `SMode`. With
`Interval=238` every row is one RR interval in ms, and time is their running sum. A cut-off file still looks
whole line by line, so the `Length` in the parameters is held against what came.

Facts from Polar's "HRM file format" description, version 1.4 (2004). The wall clock has no zone: the start
stays naive.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from typing import Final

from services.training.recordings.draft import Draft, ReadingStopped, label
from services.training.recordings.rr_list import interval
from services.training.recordings.text import lines

_RR_MODE: Final = 238
_LAPS_ONLY: Final = 204
_MAX_INTERVAL_S: Final = 600
_LENGTH: Final = re.compile(r"(\d{1,3}):([0-5]\d):([0-5]\d(?:\.\d{1,3})?)")


def read_hrm(data: bytes, draft: Draft) -> None:
    """Fill the draft.

    Raises ReadingStopped at a damaged row, RecordingError when no interval says how to read them.
    """
    draft.calendar = False
    params: dict[str, str] = {}
    rows = _rows(data, params)
    first = next(rows, None)
    step_s = _interval_s(params, draft)
    draft.mentions_heart_rate = True
    draft.started_at = _started_at(params)
    draft.device = f"Polar, monitor code {params['monitor']}" if params.get("monitor", "").isdecimal() else "Polar"
    if first is None:
        raise ReadingStopped("the end of the file", "the section [HRData] is missing or empty")

    needed = min(_columns(params.get("smode", "")), len(first[1].split()))
    covered_ms = number = 0
    for number, row in chain([first], rows):
        if step_s == _RR_MODE:
            rr = interval(row, number)
            draft.add(None, None, (rr,))
            covered_ms += rr
        else:
            draft.add(covered_ms, _heart_rate(row, number, needed))
            covered_ms += step_s * 1000

    length_ms = _length_ms(params)
    # One row and one second of slack for rounding, one per cent for beats that the watch itself left out.
    slack_ms = length_ms // 100 + 1000 + (0 if step_s == _RR_MODE else step_s * 1000)
    if covered_ms + slack_ms < length_ms:
        raise ReadingStopped(
            f"line {number}",
            f"the rows end after {covered_ms // 1000} s, but the parameters promise {length_ms // 1000} s",
        )


def _rows(data: bytes, params: dict[str, str]) -> Iterator[tuple[int, str]]:
    """The rows of [HRData] with their line numbers; what [Params] says is put into `params` on the way."""
    section = ""
    for number, line in lines(data):
        if line.startswith("["):
            section = line.strip("[]").lower()
        elif section == "hrdata":
            yield number, line
        elif section == "params":
            key, _, value = line.partition("=")
            params[key.strip().lower()] = value.strip()


def _interval_s(params: dict[str, str], draft: Draft) -> int:
    text = params.get("interval", "")
    number = int(text) if text.isdecimal() and len(text) < 6 else 0
    if number == _LAPS_ONLY:
        raise draft.refusal("holds lap times only (Interval=204)", cure="Export it with its heart-rate curve.")
    if number != _RR_MODE and not 1 <= number <= _MAX_INTERVAL_S:
        raise draft.refusal(
            f"does not say how far apart its rows are (Interval={label(text) or 'missing'} under [Params])",
            cure="Set Interval to the seconds between two rows, or to 238 for RR intervals.",
            place="[Params]",
        )
    return number


def _columns(smode: str) -> int:
    """How many columns a row has.

    Heart rate, then speed, cadence, altitude, power (with or without balance), air pressure.
    """
    flags = [c == "1" for c in smode.ljust(9, "0")[:9]]
    speed, cadence, altitude, power, balance, pedalling, _, _, pressure = flags
    return 1 + speed + cadence + altitude + power + (power and (balance or pedalling)) + pressure


def _heart_rate(row: str, number: int, needed: int) -> int:
    columns = row.split()
    if len(columns) < needed:
        raise ReadingStopped(f"line {number}", f"the row has {len(columns)} of {needed} columns")
    if not columns[0].isdecimal() or len(columns[0]) > 5:
        raise ReadingStopped(f"line {number}", f"{columns[0][:20]!r} is not a heart rate")
    return int(columns[0])


def _started_at(params: dict[str, str]) -> datetime | None:
    """The wall clock of the watch, or None where the parameters hold no usable date.

    Nothing else depends on it.
    """
    written = f"{params.get('date', '')} {params.get('starttime', '').partition('.')[0]}"
    try:
        return datetime.strptime(written, "%Y%m%d %H:%M:%S")
    except ValueError:
        return None


def _length_ms(params: dict[str, str]) -> int:
    """The promised length in ms, 0 where none is given."""
    match = _LENGTH.fullmatch(params.get("length", ""))
    if match is None:
        return 0
    hours, minutes, seconds = match.groups()
    return round((int(hours) * 3600 + int(minutes) * 60 + float(seconds)) * 1000)
