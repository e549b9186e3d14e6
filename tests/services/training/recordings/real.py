"""Real recordings of real devices, where their folder is present, each read once.

The folder is named by PACELINE_RECORDINGS, else it is looked for beside the checkout.
"""

import os
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.training.recordings import Recording, Timeline, read_recording, to_samples

FOLDER = Path(os.environ.get("PACELINE_RECORDINGS") or Path(__file__).parents[5] / "shared" / "recordings")
MANIFEST = FOLDER / "MANIFEST.json"
ENTRIES: list[dict[str, Any]] = msgspec.json.decode(MANIFEST.read_bytes())["recordings"] if MANIFEST.is_file() else []

needs_recordings = pytest.mark.skipif(
    not ENTRIES, reason=f"no recordings at {FOLDER}: set PACELINE_RECORDINGS to a folder with a MANIFEST.json"
)

SILENT = {"night-hrv-garmin.json", "sleep-summary-garmin.json"}
DAMAGED = {
    "broken/bike-sigma-cut-off.fit": "byte 403437 of 403456",
    "broken/run-polar-v800-bad-xml.tcx": "line 1 column 11",
}
"""Where reading stops in those that are not whole."""


@cache
def read_once(name: str) -> tuple[Recording, Timeline]:
    recording = read_recording((FOLDER / name).read_bytes(), name, keep_going=name in DAMAGED)
    return recording, to_samples(recording)
