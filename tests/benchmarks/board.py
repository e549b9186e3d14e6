"""A board of a given size, for the peer to emit: made once, of the form of ours, so that both send as many bytes."""

import json
from typing import Any, Final

from realtime.wire import NAMESPACE

EVENT: Final = "board.changes"


def board(size: int) -> dict[str, Any]:
    """A `board.changes` payload whose frame has about `size` bytes (within a row, which is 40)."""
    head: dict[str, Any] = {
        "class_id": "01939b3e-0000-7000-8000-000000000000",
        "epoch": "3f9ac1d2",
        "v": 1_234,
        "at_ms": 1_790_000_000_000,
    }
    frame = f'42{NAMESPACE},["{EVENT}",]'
    rows: list[list[object]] = []
    length = len(frame) + len(_compact(head | {"rows": rows}))
    while length < size:
        n = 100 + len(rows)
        rows.append([n, n, 142, 77, 3, 12.5, "live"])
        length += len(_compact(rows[-1])) + (len(rows) > 1)
    return head | {"rows": rows}


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
