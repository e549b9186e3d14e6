"""`paceline run` with a side door, for faults that cannot be made from outside.

    python -m tests.faults.gateway PATH

runs the same program with the same settings; at the unix socket PATH it can be asked (door.py) to block its event loop ({"do":
"block", "seconds": 12}) and what tasks it has ({"do": "tasks"}). With BENCH_PING_S in the environment its pings are that many
seconds apart instead of 25, so that a short test need not wait as long as a phone does.
"""

import functools
import os
import sys

from gateway.sockets.server import attach
from paceline import wiring
from paceline.__main__ import main
from tests.faults.door import open_door

if __name__ == "__main__":
    open_door(sys.argv[1])
    if seconds := os.environ.get("BENCH_PING_S"):
        brisk = functools.partial(attach, ping_interval_s=float(seconds), ping_timeout_s=float(seconds))
        setattr(wiring, "attach", brisk)  # noqa: B010 - not a name that the module offers
    sys.exit(main(["run"]))
