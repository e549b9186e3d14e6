"""`paceline schedule` as a person meets it, on a running installation."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.server import ROOT, Server, open_server


def schedule(server: Server, *words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PACELINE_")}
    own = {"PACELINE_DATA_DIR": str(server.data_dir), "PACELINE_PORT": str(server.port)}
    return subprocess.run(
        [sys.executable, "-m", "paceline", "schedule", *words],
        cwd=ROOT,
        env=clean | own | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One process with all roles on local servers."""
    with open_server(PACELINE_NODE_ID="the-node") as server:
        yield server


def test_a_job_is_done_when_asked_for_and_the_list_says_so(server: Server) -> None:
    done = schedule(server, "run", "prune-inbox")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "prune-inbox is done: 0\n"
    shown = schedule(server)
    assert shown.returncode == 0, shown.stderr
    assert "the-node leads since" in shown.stdout
    assert "finish-abandoned-streams" in shown.stdout
    assert "every 15 s" in shown.stdout


def test_as_json_it_is_what_the_route_answers(server: Server) -> None:
    ended = schedule(server, "--json")
    assert ended.returncode == 0, ended.stderr
    seen = json.loads(ended.stdout)
    assert seen["leader"]["node"] == "the-node"
    assert {job["job"] for job in seen["jobs"]} >= {"prune-inbox", "finish-abandoned-streams"}
    assert all(job["known"] for job in seen["jobs"])


def test_a_job_that_does_not_exist_is_said_with_the_cure(server: Server) -> None:
    ended = schedule(server, "run", "prune-everything")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "`paceline schedule` lists them" in ended.stderr
    assert schedule(server, PACELINE_URL="http://127.0.0.1:9").returncode == 3
    assert schedule(server, PACELINE_ADMIN_TOKEN="x" * 40).returncode == 1
