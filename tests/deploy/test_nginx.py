"""deploy/edge/nginx.conf, run by a real nginx where there is one: what it promises to do as deploy/edge/haproxy.cfg does."""

import inspect
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import aiohttp
import pytest
from yarl import URL

from gateway.sockets.engine.server import Engine
from tests.deploy.files import DEPLOY
from tests.deploy.instrument import HANDSHAKE, SPOOFED, Instrument, headers_at_gateway, who_answers
from tests.support.server import free_port

CONFIGURATION: Final = DEPLOY / "edge" / "nginx.conf"
START_S: Final = 10.0


def nginx() -> str:
    """The program; the test is skipped without it, because HAProxy is the edge that is promised."""
    return shutil.which("nginx") or pytest.skip("nginx is missing: sudo apt-get install nginx-light")


def in_place(folder: Path, port: int, one: int, two: int) -> Path:
    """The file as somebody would change it for this machine: the addresses, and where it writes."""
    text = CONFIGURATION.read_text()
    for old, new in (
        ("gateway-1:8080", f"127.0.0.1:{one}"),
        ("gateway-2:8080", f"127.0.0.1:{two}"),
        ("listen 8080", f"listen 127.0.0.1:{port}"),
        ("/run/nginx.pid", str(folder / "nginx.pid")),
        ("worker_processes auto", "worker_processes 1"),
        ("worker_connections 32768", "worker_connections 256"),
        ("worker_rlimit_nofile 65536;", ""),
        ("http {", f"http {{\n    client_body_temp_path {folder}/body;\n    proxy_temp_path {folder}/proxy;"),
        ("/dev/stdout", str(folder / "access.log")),
        ("/dev/stderr", str(folder / "error.log")),
    ):
        assert old in text, f"{old} is no longer in the file"
        text = text.replace(old, new)
    changed = folder / "nginx.conf"
    changed.write_text(text)
    return changed


@contextmanager
def running(folder: Path, one: int, two: int) -> Iterator[str]:
    """nginx in front of these two ports; where clients come in."""
    program, port = nginx(), free_port()
    changed = in_place(folder, port, one, two)
    words = [program, "-p", str(folder), "-e", str(folder / "early.log"), "-c", str(changed), "-g", "daemon off;"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "early.log").read_text()
                assert time.monotonic() < deadline, "nginx does not listen"
                time.sleep(0.02)  # another program is starting: there is no event to wait for
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(START_S)


@pytest.fixture
def base_url(nodes: tuple[Instrument, Instrument], tmp_path: Path) -> Iterator[str]:
    with running(tmp_path, *(one.port for one in nodes)) as base_url:
        yield base_url


def test_nginx_finds_nothing_wrong_with_the_file(tmp_path: Path) -> None:
    changed = in_place(tmp_path, free_port(), 1, 2)
    words = [nginx(), "-t", "-q", "-p", str(tmp_path), "-e", str(tmp_path / "early.log"), "-c", str(changed)]

    said = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)

    assert (said.returncode, said.stderr) == (0, "")


def test_the_timeouts_fit_the_pings() -> None:
    (read_s,) = re.findall(r"proxy_read_timeout (\d+)s", CONFIGURATION.read_text())
    pings = {name: one.default for name, one in inspect.signature(Engine.__init__).parameters.items()}

    assert int(read_s) > pings["ping_interval"] + pings["ping_timeout"]


async def test_what_a_client_says_about_itself_is_written_anew(base_url: str) -> None:
    """ASVS 4.1.3: header spoofing through a real proxy."""
    told = await headers_at_gateway(base_url, SPOOFED)

    assert "evil" not in str(told)
    assert "6.6.6.6" not in str(told)
    assert told["x-forwarded-for"] == "127.0.0.1"
    assert told["x-forwarded-host"] == told["host"]
    assert told["x-forwarded-proto"] == "http"


async def test_a_link_is_known_by_the_tag_of_its_id(base_url: str) -> None:
    for _ in range(3):
        assert await who_answers(base_url, f"{HANDSHAKE}&sid=g1.Zm9vYmFy") == "g1"
        assert await who_answers(base_url, f"{HANDSHAKE}&sid=g2.Zm9vYmFy") == "g2"
    assert await who_answers(base_url, f"{HANDSHAKE}&sid=g9.Zm9vYmFy") in {"g1", "g2"}


async def test_a_handshake_that_one_gateway_refuses_is_offered_to_the_other(
    base_url: str, nodes: tuple[Instrument, Instrument]
) -> None:
    nodes[0].refuses = 503

    assert {await who_answers(base_url, HANDSHAKE) for _ in range(6)} == {"g2"}


async def test_what_may_have_been_carried_out_is_not_sent_again(
    base_url: str, nodes: tuple[Instrument, Instrument]
) -> None:
    for node in nodes:
        node.refuses = 503
    async with aiohttp.ClientSession(base_url) as http:
        for method, path in (("GET", f"{HANDSHAKE}&sid=g1.Zm9vYmFy"), ("POST", "/v1/accounts")):
            before = sum(len(node.seen) for node in nodes)
            async with http.request(method, path) as answer:
                assert answer.status == 503
            assert sum(len(node.seen) for node in nodes) == before + 1


@pytest.mark.parametrize(
    "path",
    ["/metrics", "/readyz", "/livez", "/operations", "/v1/operations/sockets", "//metrics", "/%6detrics", "/METRICS"],
)
async def test_the_windows_of_operators_are_not_outside(
    path: str, base_url: str, nodes: tuple[Instrument, Instrument]
) -> None:
    async with aiohttp.ClientSession() as http, http.get(URL(f"{base_url}{path}", encoded=True)) as answer:
        assert (answer.status, answer.content_type) == (404, "application/problem+json")
    assert not any(node.seen for node in nodes)


async def test_without_a_gateway_clients_are_told_when_to_come_back_and_not_all_at_once(tmp_path: Path) -> None:
    waits = set()
    with running(tmp_path, free_port(), free_port()) as base_url:
        async with aiohttp.ClientSession(base_url) as http:
            for _ in range(30):
                async with http.get(HANDSHAKE) as answer:
                    assert (answer.status, answer.content_type) == (503, "application/problem+json")
                    waits.add(int(answer.headers["Retry-After"]))
    assert len(waits) > 1
