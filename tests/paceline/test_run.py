"""`paceline run` as a person meets it: it starts, says where to look, stops cleanly, and explains what is in its way."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import ROOT, Server, free_port, open_server
from tests.support.world import SEALING_KEYS


def children_of(pid: int) -> set[int]:
    """Every descendant of a process."""
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        tasks = Path(f"/proc/{waiting.pop()}/task")
        for children in tasks.glob("*/children"):
            new = {int(child) for child in children.read_text().split()} - found
            found |= new
            waiting += new
    return found


def get(server: Server, path: str) -> Any:
    with urllib.request.urlopen(f"{server.base_url}{path}", timeout=5) as answer:
        return json.load(answer)


def status_of(request: urllib.request.Request) -> int:
    try:
        with urllib.request.urlopen(request) as answer:
            status: int = answer.status
    except urllib.error.HTTPError as refused:
        return refused.code
    return status


def paceline(*words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PACELINE_")}
    return subprocess.run(
        [sys.executable, "-m", "paceline", *words],
        cwd=ROOT,
        env=clean | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_with_two_lines_and_leaves_no_process_behind(number: signal.Signals) -> None:
    with open_server() as server:
        lines = [line.rstrip() for line in server.output if line.strip()]
        last = lines.index("Stop with Ctrl-C.")  # a loop may have had something to say since
        assert lines[last - 1].startswith(f"Open {server.base_url}/")
        assert get(server, "/readyz")["ready"]
        children = children_of(server.pid)
        assert len(children) > 2, "PostgreSQL and Redis run below it"
        assert server.stop(number) == 0
        assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []
        assert server.said("Stopped.")


def test_the_demo_class_is_live_at_once_and_still_the_same_after_a_restart() -> None:
    with open_server(PACELINE_DEMO="on") as server:
        code = get(server, "/v1/demo")["code"]
        assert server.said(f"/board?code={code}")
        assert server.stop() == 0
        server.start()
        assert get(server, "/v1/demo")["code"] == code


def test_a_taken_port_is_said_before_anything_is_started() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ended = paceline("run", PACELINE_PORT=str(port), PACELINE_DATA_DIR="/nonexistent/never-made")
    assert ended.returncode == 1
    assert f"Port {port} on 127.0.0.1 is taken" in ended.stderr
    assert "PACELINE_PORT=" in ended.stderr


def test_the_windows_can_have_a_port_of_their_own() -> None:
    port = free_port()
    with open_server(PACELINE_METRICS_PORT=str(port), PACELINE_MAX_CONNECTIONS="7") as server:
        for path, found in (
            ("/metrics", "paceline_sockets_limit 7.0"),
            ("/readyz", '"ready":true'),
            ("/livez", "true"),
        ):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                assert found in answer.read().decode()
        assert status_of(urllib.request.Request(f"http://127.0.0.1:{port}/v1/accounts", method="POST")) == 404
        ended = paceline(
            "run",
            PACELINE_PORT=str(free_port()),
            PACELINE_METRICS_PORT=str(port),
            PACELINE_DATA_DIR="/nonexistent/never-made",
        )
        assert ended.returncode == 1
        assert "PACELINE_METRICS_PORT=" in ended.stderr
        assert server.stop() == 0


def test_a_second_program_on_the_same_data_is_told_whose_it_is() -> None:
    with open_server() as server:
        ended = paceline("run", PACELINE_PORT=str(free_port()), PACELINE_DATA_DIR=str(server.data_dir))
        assert ended.returncode == 1
        assert str(server.pid) in ended.stderr
        assert get(server, "/readyz")["ready"], "and the first one is not disturbed"


def test_damaged_data_is_said_with_the_cure() -> None:
    with open_server() as server:
        server.stop()
        (server.data_dir / "postgres" / "PG_VERSION").unlink()
        ended = paceline("run", PACELINE_PORT=str(server.port), PACELINE_DATA_DIR=str(server.data_dir))
    assert ended.returncode == 1
    assert str(server.data_dir) in ended.stderr
    assert "Traceback" not in ended.stderr


def test_all_wrong_settings_are_said_at_once() -> None:
    ended = paceline("run", PACELINE_PORT="many", PACELINE_BOARD_HZ="99", PACELINE_PROT="1")
    assert ended.returncode == 2
    for variable in ("PACELINE_PORT", "PACELINE_BOARD_HZ", "PACELINE_PROT"):
        assert variable in ended.stderr


def test_check_masks_secrets_and_lists_every_fault() -> None:
    ended = paceline(
        "check",
        "--json",
        DATABASE_URL="postgresql://me:hush@localhost:5432/x",
        PACELINE_BOARD_HZ="99",
        PACELINE_DB_POOL="none",
    )
    assert ended.returncode == 2
    assert "hush" not in ended.stdout
    report = json.loads(ended.stdout)
    assert {fault["variable"] for fault in report["faults"]} == {"PACELINE_BOARD_HZ", "PACELINE_DB_POOL"}


def test_check_asks_the_servers_that_are_named() -> None:
    port = free_port()
    ended = paceline(
        "check",
        "--connect",
        DATABASE_URL=f"postgresql://me:hush@127.0.0.1:{port}/x",
        REDIS_URL=f"redis://127.0.0.1:{port}/0",
        AMQP_URL=f"amqp://me:hush@127.0.0.1:{port}/",
    )
    assert ended.returncode == 1
    for variable in ("DATABASE_URL", "REDIS_URL", "AMQP_URL"):
        assert f"{variable}: does not answer" in ended.stdout
    assert "hush" not in ended.stdout


@pytest.mark.parametrize("command", ["run", "check", "migrate", "account", "activity", "replay"])
def test_every_command_explains_itself(command: str) -> None:
    ended = paceline(command, "--help")
    assert ended.returncode == 0
    assert len(ended.stdout.splitlines()) > 8


def test_a_coach_can_be_made_where_signing_up_as_one_is_closed() -> None:
    with open_server(PACELINE_COACH_SIGNUP="closed") as server:
        body = {"email": "mia@example.org", "password": "a sentence nobody guesses", "name": "Mia"}
        for role, status in (("coach", 403), ("member", 201)):
            request = urllib.request.Request(
                f"{server.base_url}/v1/accounts",
                data=json.dumps(body | {"role": role}).encode(),
                headers={"Content-Type": "application/json"},
            )
            assert status_of(request) == status
        server.stop()
        there = {"PACELINE_DATA_DIR": str(server.data_dir), "PACELINE_SEALING_KEYS": SEALING_KEYS}
        granted = paceline("account", "grant", "mia@example.org", "coach", **there)
        assert granted.returncode == 0, granted.stderr
        assert "coach, member" in granted.stdout
        unknown = paceline("account", "grant", "eve@example.org", "coach", **there)
        assert unknown.returncode == 1
        assert "no account with the address eve@example.org" in unknown.stderr


def test_a_command_where_nothing_has_run_makes_nothing(tmp_path: Path) -> None:
    ended = paceline("account", "create", "mia@example.org", "Mia", PACELINE_DATA_DIR=str(tmp_path / "data"))
    assert ended.returncode == 1
    assert "`paceline run` makes it at its first start" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_command_on_the_data_folder_of_a_server_finds_its_keys_there() -> None:
    with open_server(PACELINE_SEALING_KEYS="") as server:
        server.stop()
        there = {"PACELINE_DATA_DIR": str(server.data_dir)}
        for words in (["keys", "list"], ["keys", "rotate"], ["audit", "verify"], ["audit", "checkpoint"]):
            ended = paceline(*words, **there)
            assert ended.returncode == 0, ended.stderr
