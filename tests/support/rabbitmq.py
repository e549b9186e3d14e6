"""A real RabbitMQ for tests: one node per test run, on loopback, with its own ports, folders, cookie and epmd.

The Debian package's `rabbitmq-server` is run directly, never as the system's service. Everything that starts here ends
here: the node and its port mapper are children of the test run, and the kernel ends them should the run be killed.
Where there is no server, tests that need one are skipped and say so; with CI=true they fail.
"""

import asyncio
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import aio_pika
import pytest

from paceline.embedded import launch
from tests.support.server import free_ports
from tests.support.system_parts import require

SERVER: Final = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The server itself; the program of that name in /usr/sbin insists on being the system's."""
CONTROL: Final = SERVER.with_name("rabbitmqctl")
START_S: Final = 90.0
CONTROL_S: Final = 120.0


class RabbitMQ:
    """One node. `start` and `kill` may alternate; what it has on disk stays until `remove`.

    A node that is made `beside` another one uses that one's port mapper and cookie, so the two may form a cluster (`join`).
    """

    def __init__(self, epmd: str, beside: "RabbitMQ | None" = None) -> None:
        self.folder: Final = Path(tempfile.mkdtemp(prefix="paceline-rabbit-"))
        self.port, self._dist_port, self._epmd_port = free_ports(3)
        self._epmd_program: Final = epmd
        self._epmd: subprocess.Popen[bytes] | None = None
        self._node: subprocess.Popen[bytes] | None = None
        self._beside: Final = beside
        if beside is not None:
            self._epmd_port = beside._epmd_port

    @property
    def url(self) -> str:
        """How a client reaches it."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    @property
    def name(self) -> str:
        """The node's name among nodes."""
        return f"paceline{self.port}@localhost"

    @property
    def runs(self) -> bool:
        """Whether its process lives."""
        return self._node is not None and self._node.poll() is None

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self._node is not None, "start it first"
        return self._node.pid

    def start(self) -> None:
        """Start the node and wait until it talks AMQP."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start the node. Only ever from the main thread: the kernel ends it with the thread that started it."""
        if self._epmd is None and self._beside is None:
            # Our own, in the foreground: the one that Erlang starts by itself is a daemon that nobody would end.
            command = [self._epmd_program, "-port", str(self._epmd_port), "-address", "127.0.0.1"]
            self._epmd = self._spawn(command, "epmd.log")
            _wait_for_port(self._epmd_port, self._epmd, self.folder / "epmd.log")
        self._node = self._spawn([str(SERVER)], "node.log")

    def wait(self) -> None:
        """Return when the node talks AMQP; from any thread."""
        assert self._node is not None, "start it first"
        _wait_for_port(self.port, self._node, self.folder / "node.log")

    def kill(self) -> None:
        """End the node as a power cut would."""
        assert self._node is not None, "start it first"
        self._node.kill()
        self._node.wait(30)
        self._node = None

    def freeze(self) -> None:
        """Stop the node in its tracks: connections stay open and nothing answers."""
        assert self._node is not None, "start it first"
        self._node.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Undo `freeze`."""
        assert self._node is not None, "start it first"
        self._node.send_signal(signal.SIGCONT)

    def control(self, *words: str) -> str:
        """What `rabbitmqctl WORDS` says, asked at this node; takes a second or two, from any thread. Raises
        CalledProcessError with its output when it fails."""
        done = subprocess.run(
            [str(CONTROL), *words],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=CONTROL_S,
        )
        if done.returncode != 0:
            raise subprocess.CalledProcessError(done.returncode, words, done.stdout, done.stderr)
        return done.stdout

    def evaluate(self, erlang: str) -> str:
        """Let the node evaluate an Erlang expression; what it gives, as text. From any thread."""
        return self.control("eval", f"{erlang}.").strip()

    def join(self, other: "RabbitMQ") -> None:
        """Become a member of the other one's cluster; both run, and this one forgets what it had. From any thread."""
        other_name = f"'{other.name}'"
        self.evaluate(f"rabbit:stop(), rabbit_mnesia:join_cluster({other_name}, disc), rabbit:start()")
        self.wait()

    def remove(self) -> None:
        """End what runs and remove what is on disk."""
        for process in (self._node, self._epmd):
            if process is not None:
                process.kill()
                process.wait(30)
        self._node = self._epmd = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def _spawn(self, command: list[str], log: str) -> subprocess.Popen[bytes]:
        # launch.py makes the child die with this process, however this process ends.
        launcher = [sys.executable, "-I", "-S", launch.__file__, str(os.getpid())]
        keep_user = [str(int(signal.SIGKILL)), "-1", "-1", "0"]
        with (self.folder / log).open("ab") as output:
            return subprocess.Popen(
                [*launcher, *keep_user, *command],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _environment(self) -> dict[str, str]:
        config = self.folder / "rabbitmq.conf"
        config.write_text(f"listeners.tcp.1 = 127.0.0.1:{self.port}\nvm_memory_high_watermark.absolute = 512MB\n")
        plugins = self.folder / "plugins"
        plugins.write_text("[].\n")
        cookie = self.folder / ".erlang.cookie"
        if not cookie.exists():
            cookie.touch(mode=0o400)
            cookie.chmod(0o600)
            cookie.write_text(self._beside._cookie() if self._beside is not None else secrets.token_hex(16))
            cookie.chmod(0o400)
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(self.folder / "feature_flags"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            # Lets the script become the node instead of watching it, so that a signal reaches the node.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-noinput -kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def _cookie(self) -> str:
        self._environment()  # makes it
        return (self.folder / ".erlang.cookie").read_text()


def _wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"{log.stem} ended at once:\n{log.read_text(errors='replace')[-2000:]}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)  # another program is starting: there is no event to wait for
        else:
            return
    pytest.fail(f"{log.stem} did not listen on port {port} within {START_S:.0f} s, see {log}")


def epmd_program() -> str:
    """Erlang's port mapper. Raises FileNotFoundError where RabbitMQ is not installed as Debian does it."""
    epmd = shutil.which("epmd")
    if not SERVER.exists() or epmd is None:
        raise FileNotFoundError(f"RabbitMQ is not installed as Debian does it: {SERVER} and epmd are needed")
    return epmd


@contextmanager
def open_rabbitmq() -> Iterator[RabbitMQ]:
    """A running node; gone afterwards, data and all. In the main thread."""
    broker = RabbitMQ(epmd_program())
    try:
        broker.start()
        yield broker
    finally:
        broker.remove()


@asynccontextmanager
async def open_cluster(size: int) -> AsyncIterator[tuple[RabbitMQ, ...]]:
    """A running cluster of so many nodes, the first of which was there before the others; gone afterwards. In the main thread."""
    first = RabbitMQ(epmd_program())
    nodes = (first, *(RabbitMQ(epmd_program(), beside=first) for _ in range(size - 1)))
    try:
        for node in nodes:
            node.launch()
        await asyncio.gather(*(asyncio.to_thread(node.wait) for node in nodes))
        for node in nodes[1:]:  # one after another: two that join at once may each wait for the other
            await asyncio.to_thread(node.join, first)
        yield nodes
    finally:
        for node in reversed(nodes):
            await asyncio.to_thread(node.remove)


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMQ]:
    """The broker of this test run."""
    require("rabbitmq")
    try:
        epmd_program()
    except FileNotFoundError as other:
        pytest.fail(str(other))
    with open_rabbitmq() as broker:
        # In a thread of its own: this one has a loop already.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, first_of_each(broker.url)).result()
        yield broker


async def first_of_each(url: str) -> None:
    """Have the broker make its first quorum queue and its first stream: that starts parts of it, which may take longer on a busy
    machine than a publish has patience for."""
    async with asyncio.timeout(START_S), await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        for kind in ("quorum", "stream"):
            queue = await channel.declare_queue(f"first-{kind}", durable=True, arguments={"x-queue-type": kind})
            await channel.default_exchange.publish(aio_pika.Message(b"first"), queue.name)
            await queue.delete(if_unused=False, if_empty=False)
