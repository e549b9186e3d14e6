"""`paceline sockets` as a person meets it: against a running gateway, and against everything that is not one."""

import json
import os
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from rich.console import Console

from gateway.http.examples import EXAMPLES
from gateway.http.operations import SocketsNow
from gateway.probes import FAMILIES
from paceline.keys import ADMIN_TOKEN_FILE
from paceline.sockets_view import COLUMNS, counters, duration, fitting, show, size
from tests.support.server import ROOT, Server, open_server

SEEN = cast(SocketsNow, EXAMPLES[SocketsNow])


def sockets(*words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PACELINE_")}
    return subprocess.run(
        [sys.executable, "-m", "paceline", "sockets", *words],
        cwd=ROOT,
        env=clean | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# -- on a running gateway -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A gateway that made its own admin token; its demo class brings a dozen sockets."""
    with open_server(PACELINE_DEMO="on") as server:
        yield server


def test_on_the_same_machine_it_needs_to_be_told_nothing(server: Server) -> None:
    ended = sockets(PACELINE_DATA_DIR=str(server.data_dir), PACELINE_PORT=str(server.port))
    assert ended.returncode == 0, ended.stderr
    assert "12 sockets" in ended.stdout
    assert "Connections, most bytes queued first" in ended.stdout
    assert ended.stdout.count("127.0.0.1") == 12


def test_as_json_it_is_what_the_route_answers(server: Server) -> None:
    told = (server.data_dir / ADMIN_TOKEN_FILE).read_text().strip()
    ended = sockets(
        "--json", "--limit", "3", "--order", "age", PACELINE_ADMIN_TOKEN=told, PACELINE_URL=server.base_url + "/"
    )
    assert ended.returncode == 0, ended.stderr
    seen = json.loads(ended.stdout)
    assert (seen["order"], seen["counts"]["websockets"], len(seen["lines"])) == ("age", 12, 3)
    ages = [line["age_s"] for line in seen["lines"]]
    assert ages == sorted(ages, reverse=True)


def test_watching_goes_on_until_it_is_stopped(server: Server) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PACELINE_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "paceline", "sockets", "--json", "--watch", "0.2", "--limit", "0"],
        cwd=ROOT,
        env=clean | {"PACELINE_DATA_DIR": str(server.data_dir), "PACELINE_URL": server.base_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    seen = [json.loads(process.stdout.readline()) for _ in range(3)]
    process.send_signal(2)
    _, said = process.communicate(timeout=30)
    assert [one["lines"] for one in seen] == [[], [], []]
    assert seen[2]["counts"]["frames_in"] > seen[0]["counts"]["frames_in"]
    assert process.returncode == 130
    assert "Traceback" not in said


def test_a_wrong_token_is_said_with_the_cure_and_never_shown(server: Server) -> None:
    wrong = "not-the-token-of-this-server"
    ended = sockets(PACELINE_ADMIN_TOKEN=wrong, PACELINE_URL=server.base_url)
    assert ended.returncode == 1
    assert "PACELINE_ADMIN_TOKEN" in ended.stderr
    assert wrong not in ended.stderr + ended.stdout


def test_prometheus_sees_the_same(server: Server) -> None:
    with urllib.request.urlopen(f"{server.base_url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    assert 'paceline_sockets_by_state{state="open"} 12.0' in text
    assert 'paceline_sockets_by_transport{transport="websocket"} 12.0' in text
    shown = set(re.findall(r"^# TYPE paceline_(\w+?)(?:_total)? ", text, re.MULTILINE))
    assert {family.name for family in FAMILIES if family.name.startswith("sockets")} <= shown


def test_the_token_of_a_gateway_is_in_no_line_of_its_log(server: Server) -> None:
    assert not server.said((server.data_dir / ADMIN_TOKEN_FILE).read_text().strip())


# -- on everything else -------------------------------------------------------------------------------------------


def test_without_a_token_it_says_where_one_comes_from(tmp_path: Path) -> None:
    ended = sockets(PACELINE_DATA_DIR=str(tmp_path))
    assert ended.returncode == 2
    assert str(tmp_path / ADMIN_TOKEN_FILE) in ended.stderr
    assert "paceline run" in ended.stderr
    assert list(tmp_path.iterdir()) == [], "a command that looks makes nothing"


def test_a_gateway_that_is_not_running_is_said_with_the_cure() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        ended = sockets(PACELINE_ADMIN_TOKEN="x" * 24, PACELINE_PORT=str(port))
    assert ended.returncode == 3
    assert f"No gateway answers at http://127.0.0.1:{port} (Connection refused)" in ended.stderr
    assert "paceline run" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("url", ["ftp://example.org", "localhost:8080", "http://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    ended = sockets("--url", url, PACELINE_ADMIN_TOKEN="x" * 24)
    assert ended.returncode == 2
    assert "http://127.0.0.1:8080" in ended.stderr


@pytest.mark.parametrize(
    "words", [("--limit", "501"), ("--limit", "-1"), ("--order", "size"), ("--watch", "0"), ("--watch", "nan")]
)
def test_a_wrong_word_in_the_call_is_explained(words: tuple[str, ...]) -> None:
    ended = sockets(*words)
    assert ended.returncode == 2
    assert words[0] in ended.stderr


def test_wrong_settings_are_all_listed() -> None:
    ended = sockets(PACELINE_ADMIN_TOKEN="short", PACELINE_ADMIN_UI="all")
    assert ended.returncode == 2
    assert "PACELINE_ADMIN_TOKEN: it has 5 characters" in ended.stderr
    assert "PACELINE_ADMIN_UI" in ended.stderr


# -- how it looks -------------------------------------------------------------------------------------------------


def rendered(width: int) -> list[str]:
    console = Console(width=width, highlight=False, color_system=None)
    with console.capture() as captured:
        show(console, SEEN)
    return captured.get().splitlines()


@pytest.mark.parametrize("width", [80, 100, 120, 160, 240])
def test_no_column_is_squeezed_and_wider_terminals_show_more(width: int) -> None:
    lines = rendered(width)
    head = next(line for line in lines if line.lstrip().startswith("connection"))
    assert "…" not in "".join(lines)
    assert [name for name in head.split() if name] == [column.name for column in fitting(width)]
    assert {"connection", "queued", "waits", "ping"} <= set(head.split())
    if width == 240:
        assert len(fitting(width)) == len(COLUMNS)


def test_the_counters_say_what_waits_what_was_merged_and_why_sockets_ended() -> None:
    said = dict(counters(SEEN))
    assert said["gateway-3"].startswith("1204 sockets: 1200 open, 3 not authenticated, 1 closing")
    assert "47.1 KiB queued, 16.0 KiB unwritten, 1 do not read" in said["waiting"]
    assert "x1.30 merged" in said["since start"]
    assert said["ended"].startswith("closed 331 (client 320, silent 11); cut 1 (stalled 1); refused 14")
    assert "ping 33 ms, p99 310 ms" in said["time"]


def test_amounts_are_said_in_the_unit_that_keeps_them_short() -> None:
    assert [size(count) for count in (0, 1_023, 1_024, 1_048_575, 1_048_576, 5 * 1_024**4, 2_000 * 1_024**4)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "1024.0 KiB",
        "1.0 MiB",
        "5.0 TiB",
        "2000.0 TiB",
    ]
    assert [duration(seconds) for seconds in (0.04, 9.9, 42, 200, 7_300, 200_000)] == [
        "0.0 s",
        "9.9 s",
        "42 s",
        "3 min",
        "2.0 h",
        "2.3 d",
    ]
