"""A program of its own that opens the local servers, for the tests that kill it: `python -m
tests.paceline.embedded_program FOLDER`.

It prints one JSON line when the servers are up and waits to be ended; an EmbeddedError is printed and ends it
with code 3. It imports the standard library and the package under test alone, so that any interpreter and any
user can run it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from paceline.embedded import EmbeddedError, open_embedded


async def main(folder: Path) -> None:
    told_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, told_to_stop.set)
    async with open_embedded(folder, durable=False) as embedded:
        up = {"database_url": embedded.database_url, "pids": list(embedded.pids.values()), "uid": os.geteuid()}
        print(json.dumps(up), flush=True)
        await told_to_stop.wait()
    print("stopped in order", flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main(Path(sys.argv[1])))
    except EmbeddedError as error:
        print(json.dumps({"error": type(error).__name__, "text": str(error)}), flush=True)
        sys.exit(3)
