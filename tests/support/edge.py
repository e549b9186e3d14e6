"""The real edge for tests: HAProxy with deploy/edge/haproxy.cfg as it stands, in front of whatever the test names.

The addresses come in by the environment, as in an installation, so what a test shows is shown of the file that is deployed. The
process is a child of the test and ends with it; its own word on each gateway is asked over its runtime socket.
"""

import asyncio
import csv
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.keeper import keep
from tests.support.server import ROOT, free_port
from tests.support.system_parts import require

CONFIGURATION: Final = ROOT / "deploy" / "edge" / "haproxy.cfg"
START_S: Final = 60.0
CHANGE_S: Final = 20.0
"""How long the edge may take to see that a gateway has gone or come; its checks need two seconds."""
_POLL_S: Final = 0.02
MOST_CLIENTS: Final = "500"
"""Little enough for the descriptors that any user has."""


def edge_environ(folder: Path, nodes: Mapping[str, int], **settings: str) -> dict[str, str]:
    """The environment of an edge in front of two gateways: their tags, with the ports they listen on."""
    (tag_1, port_1), (tag_2, port_2) = nodes.items()
    return {
        "PATH": os.environ["PATH"],
        "EDGE_TAG_1": tag_1,
        "EDGE_NODE_1": f"127.0.0.1:{port_1}",
        "EDGE_TAG_2": tag_2,
        "EDGE_NODE_2": f"127.0.0.1:{port_2}",
        "EDGE_INNER": f"127.0.0.1:{free_port()}",
        "EDGE_SOCKET": str(folder / "edge.sock"),
        "EDGE_MAXCONN": MOST_CLIENTS,
        "EDGE_SLOWSTART": "1s",
        **settings,
    }


class Edge:
    """A running HAProxy. `base_url` is where clients come in, `inner_url` where operators look."""

    def __init__(self, folder: Path, nodes: Mapping[str, int], settings: Mapping[str, str]) -> None:
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self._environ = edge_environ(folder, nodes, **{"EDGE_BIND": f"127.0.0.1:{self.port}", **settings})
        self.inner_url = f"http://{self._environ['EDGE_INNER']}"
        self._said = folder / "edge.log"
        self._process: subprocess.Popen[bytes] | None = None

    def said(self) -> str:
        """Everything it has written: its access log too."""
        return self._said.read_text(errors="replace")

    def start(self) -> None:
        """Start it; returns when it accepts connections, on its runtime socket too."""
        words = [str(require("haproxy")), "-db", "-f", str(CONFIGURATION)]
        with self._said.open("ab") as said:
            self._process = subprocess.Popen(words, env=self._environ, stdout=said, stderr=said)
            keep(self._process.pid)
        deadline = time.monotonic() + START_S
        while not self._accepts():
            assert self._process.poll() is None, f"HAProxy ended at once:\n{self.said()}"
            assert time.monotonic() < deadline, f"HAProxy does not listen after {START_S:g} s:\n{self.said()}"
            time.sleep(_POLL_S)  # another program is starting: there is no event to wait for

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(START_S)

    async def command(self, words: str) -> str:
        """One command to the runtime socket, as an operator gives it; the answer."""
        reader, writer = await asyncio.open_unix_connection(self._environ["EDGE_SOCKET"])
        try:
            writer.write(f"{words}\n".encode())
            async with asyncio.timeout(START_S):
                return (await reader.read()).decode()
        finally:
            writer.close()
            await writer.wait_closed()

    async def gateways(self) -> dict[str, dict[str, str]]:
        """What HAProxy knows of each gateway, by its tag: `status` ("UP", "DOWN", "DRAIN", …), `scur` (open now) and the rest of
        its statistics."""
        rows = csv.DictReader((await self.command("show stat")).removeprefix("# ").splitlines())
        return {row["svname"]: row for row in rows if row["pxname"] == "sockets" and row["svname"] != "BACKEND"}

    async def sees(self, tag: str, status: str) -> None:
        """Wait until HAProxy says this of a gateway. A status it is on its way to ("UP 1/2") does not count."""
        async with asyncio.timeout(CHANGE_S):
            while (await self.gateways())[tag]["status"] != status:
                await asyncio.sleep(_POLL_S)

    def _accepts(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return Path(self._environ["EDGE_SOCKET"]).exists()  # which it gets a moment later


@contextmanager
def open_edge(nodes: Mapping[str, int], **settings: str) -> Iterator[Edge]:
    """A running edge in front of two gateways (tag, port). `settings` are more variables of the configuration."""
    folder = Path(tempfile.mkdtemp(prefix="paceline-edge-"))
    edge = Edge(folder, nodes, settings)
    try:
        edge.start()
        yield edge
    finally:
        edge.stop()
        shutil.rmtree(folder, ignore_errors=True)
