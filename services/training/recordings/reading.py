"""From the bytes of a file to a recording: which format it is, and what becomes of damage.

The format is told by the content: file endings get lost in mails and downloads, and `.txt` says nothing
anyway. Each format's reader fills a draft until the file ends or stops making sense; here alone it is
decided whether a file that stopped is an error (the rule) or a shorter recording (`keep_going`).
"""

import codecs
import re
from typing import Final

from services.training.recordings.day_curve import read_day_curve
from services.training.recordings.draft import Draft, ReadingStopped
from services.training.recordings.event_log import is_event, read_event_log
from services.training.recordings.fit import read_fit
from services.training.recordings.polar import read_hrm
from services.training.recordings.recording import MAX_BYTES, Format, Recording, RecordingError
from services.training.recordings.rr_list import read_rr_list
from services.training.recordings.text import decoded
from services.training.recordings.tracks import read_tracks

_HEAD: Final = 4096
_NUMBER: Final = re.compile(r"[-+]?\d{1,9}(\.\d*)?")
_SECTION: Final = re.compile(r"\[[A-Za-z][\w-]*\]")
_ARCHIVES: Final = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}


def read_recording(data: bytes, name: str, *, keep_going: bool = False) -> Recording:
    """The recording in `data`; `name` is what errors call the file.

    A damaged file raises RecordingError with the place where reading stopped; with `keep_going` it becomes
    the recording of what came before, and says in `damage` where that was. RecordingError is raised in
    either case for a file that is empty, of no known format, larger than MAX_BYTES, longer than MAX_POINTS,
    or without any heart rate.
    """
    if len(data) > MAX_BYTES:
        raise RecordingError(
            name,
            f"has {len(data)} bytes, and {MAX_BYTES // 2**20} MiB is the limit for one recording",
            cure="Cut it into shorter files.",
        )
    draft = Draft(name, keep_going=keep_going)
    kind = _format_of(data, draft)
    try:
        kind = _read(kind, data, draft)
    except ReadingStopped as stop:
        if not keep_going:
            raise _strict_error(draft, stop) from stop
        draft.damage = draft.damage or stop.damage
    return draft.finish(kind)


def _read(kind: Format, data: bytes, draft: Draft) -> Format:
    match kind:
        case "FIT":
            read_fit(data, draft)
        case "TCX" | "GPX":
            return read_tracks(data, draft)
        case "Polar HRM":
            read_hrm(data, draft)
        case "event log":
            read_event_log(data, draft)
        case "day curve":
            read_day_curve(data, draft)
        case "RR list":
            read_rr_list(data, draft)
    return kind


def _strict_error(draft: Draft, stop: ReadingStopped) -> RecordingError:
    count = len(draft.points)
    cure = (
        f"The {count} points before it can be used: go on with --keep-going."
        if count
        else "Export the recording again from the device, or try --keep-going."
    )
    return draft.refusal(stop.damage.reason, place=stop.damage.place, cure=cure)


def _format_of(data: bytes, draft: Draft) -> Format:
    """The format, by the first bytes. Raises RecordingError when they belong to none."""
    if data[8:12] == b".FIT":
        return "FIT"
    for magic, archive in _ARCHIVES.items():
        if data.startswith(magic):
            raise draft.refusal(f"is a {archive} archive", cure="Unpack it and choose the file inside.")
    head = decoded(_even(data[:_HEAD])).lstrip()
    if not head:
        raise draft.refusal("is empty", cure="Choose the file of a recorded workout.")
    first_line = head.splitlines()[0].strip()
    if head.startswith("<"):
        return "GPX" if "<gpx" in head else "TCX"  # a guess for messages: the root element decides
    if _SECTION.fullmatch(first_line):
        return "Polar HRM"
    if head.startswith(("{", "[")):
        return "day curve"
    if is_event(first_line):
        return "event log"
    if _NUMBER.fullmatch(first_line) or first_line.startswith("#"):
        return "RR list"
    raise draft.refusal(
        "is no recording that can be recognised by its content",
        cure="Known are FIT, TCX and GPX with heart rate, Polar HRM, RR lists (one interval in ms per line), "
        "event logs (time;KIND;value) and JSON day curves.",
    )


def _even(head: bytes) -> bytes:
    """A head that does not end inside a letter of UTF-16; harmless for anything else."""
    return head if not head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else head[: len(head) // 2 * 2]
