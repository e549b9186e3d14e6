"""A bench that is killed leaves no server behind."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import keeper
from tests.support.server import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")

GONE_S = 60.0
BENCH = """
import sys, threading, time
from pathlib import Path
from tests.support.server import Server

program = (sys.executable, "-c", "import time; print('Stop with Ctrl-C.', flush=True); time.sleep(600)")
server = Server(Path(sys.argv[1]), 1, {}, program)
thread = threading.Thread(target=server.start)
thread.start()
thread.join()
print(server.pid, flush=True)
time.sleep(600)
"""


def ends(process: int) -> bool:
    """Whether the process of this descriptor ends in time."""
    return bool(select.select([process], [], [], GONE_S)[0])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_ends_with_a_bench_that_is_killed_and_not_with_the_thread_that_started_it(
    tmp_path: Path, number: signal.Signals
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BENCH, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as bench:
        assert bench.stdout is not None
        pid = int(bench.stdout.readline())
        server = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(server, 0)  # it lives
            bench.send_signal(number)
            bench.wait(GONE_S)
            assert ends(server)
        finally:
            bench.kill()
            os.close(server)


def test_a_process_that_was_given_the_id_of_another_one_is_left_alone() -> None:
    words = [sys.executable, "-I", "-S", keeper.__file__]
    with subprocess.Popen(["/bin/sleep", "600"]) as sleeper:
        began = keeper.began_at(sleeper.pid)
        assert began is not None
        subprocess.run(words, input=f"{sleeper.pid} {int(began) - 1}\n", text=True, check=True)
        assert sleeper.poll() is None
        subprocess.run(words, input=f"{sleeper.pid} {began}\n", text=True, check=True)
        assert sleeper.wait(GONE_S) == -signal.SIGKILL
