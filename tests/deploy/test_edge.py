"""deploy/edge/haproxy.cfg, run by a real HAProxy: what comes to a gateway, what never does, and who gets what when one is away.

The gateways here are instruments that write down what reached them; the same file before real ones is
tests/journeys/test_behind_proxy.py.
"""

import asyncio
import inspect
import json
import re
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from gateway.http.routes import WINDOWS
from gateway.sockets.engine.server import Engine
from tests.deploy.instrument import HANDSHAKE, SPOOFED, Instrument, headers_at_gateway, who_answers
from tests.support.edge import CONFIGURATION, Edge, edge_environ, open_edge
from tests.support.server import free_port
from tests.support.system_parts import require


@pytest.fixture
async def edge(nodes: tuple[Instrument, Instrument]) -> AsyncIterator[Edge]:
    require("haproxy")
    with open_edge({one.tag: one.port for one in nodes}) as edge:
        yield edge


def judged(environ: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """What HAProxy thinks of the file."""
    words = [str(require("haproxy")), "-c", "-f", str(CONFIGURATION)]
    return subprocess.run(words, env=environ, capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_haproxy_finds_nothing_to_say_about_the_file(tls: bool, tmp_path: Path) -> None:
    environ = edge_environ(tmp_path, {"g1": 1, "g2": 2}, **({"EDGE_CERTIFICATE": certificate(tmp_path)} if tls else {}))

    said = judged(environ)

    assert said.returncode == 0, said.stderr
    assert "WARNING" not in said.stderr
    assert "ALERT" not in said.stderr


def test_haproxy_refuses_what_is_wrong(tmp_path: Path) -> None:
    assert judged(edge_environ(tmp_path, {"g1": 1, "g2": 2}, EDGE_BIND="nowhere")).returncode != 0


def test_the_timeouts_fit_the_pings() -> None:
    stated = {
        name: int(seconds) for name, seconds in re.findall(r"timeout ([a-z-]+) (\d+)s", CONFIGURATION.read_text())
    }
    pings = {name: one.default for name, one in inspect.signature(Engine.__init__).parameters.items()}

    assert stated["tunnel"] > pings["ping_interval"] + pings["ping_timeout"], "the gateway finds out first who is gone"
    assert stated["server"] > pings["ping_interval"], "a long-polling request waits that long"
    assert stated["client"] > pings["ping_interval"]


async def test_what_a_client_says_about_itself_is_written_anew(edge: Edge) -> None:
    """ASVS 4.1.3: header spoofing through a real proxy."""
    told = await headers_at_gateway(edge.base_url, SPOOFED)

    assert "evil" not in json.dumps(told)
    assert "6.6.6.6" not in json.dumps(told)
    assert told["x-forwarded-for"] == "127.0.0.1"
    assert told["x-forwarded-host"] == told["host"] == f"127.0.0.1:{edge.port}"
    assert (told["x-forwarded-proto"], told["x-forwarded-port"]) == ("http", str(edge.port))
    assert not {"forwarded", "x-real-ip", "x-forwarded-prefix", "x-original-url", "true-client-ip"} & set(told)


async def test_the_host_that_was_called_is_told_and_no_other(edge: Edge) -> None:
    told = await headers_at_gateway(
        edge.base_url, {"Host": "class.example.org", "X-Forwarded-Host": "evil.example"}, HANDSHAKE
    )

    assert told["host"] == told["x-forwarded-host"] == "class.example.org"


async def test_a_decent_request_id_is_kept_and_any_other_replaced(edge: Edge) -> None:
    kept = await headers_at_gateway(edge.base_url, {"X-Request-Id": "phone-00000042"})
    made = await headers_at_gateway(edge.base_url, {"X-Request-Id": "evil id"})

    assert kept["x-request-id"] == "phone-00000042"
    assert re.fullmatch(r"[0-9a-f-]{36}", made["x-request-id"])


@pytest.mark.parametrize(
    "path",
    [
        *(one.url for one in WINDOWS if one.url in {"/livez", "/readyz", "/metrics"}),
        "/operations",
        "/v1/operations/sockets",
        "//metrics",
        "/metrics/",
        "/%6detrics",
        "/METRICS",
        "/v1/%6fperations/sockets?limit=5",
        "/v1//operations/sockets",
    ],
)
async def test_the_windows_of_operators_are_not_outside(
    path: str, edge: Edge, nodes: tuple[Instrument, Instrument]
) -> None:
    url = URL(f"{edge.base_url}{path}", encoded=True)
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        assert answer.status == 404
        assert answer.content_type == "application/problem+json"
        assert (await answer.json(content_type=None))["code"] == "not_found"
    assert not any(node.seen for node in nodes)


async def test_figures_of_the_edge_are_inside_only(edge: Edge) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{edge.inner_url}/metrics") as figures:
            assert 'haproxy_server_status{proxy="sockets",server="g1"' in await figures.text()
        async with http.get(f"{edge.inner_url}/") as page:
            assert page.status == 200
        async with http.get(f"{edge.base_url}/metrics") as outside:
            assert outside.status == 404


async def test_a_link_is_known_by_the_tag_of_its_id(edge: Edge) -> None:
    for _ in range(3):
        assert await who_answers(edge.base_url, f"{HANDSHAKE}&sid=g1.Zm9vYmFy") == "g1"
        assert await who_answers(edge.base_url, f"{HANDSHAKE}&sid=g2.Zm9vYmFy") == "g2"
    assert await who_answers(edge.base_url, f"{HANDSHAKE}&sid=g9.Zm9vYmFy") in {"g1", "g2"}, (
        "somebody says that it is unknown"
    )


async def test_a_gateway_that_drains_keeps_its_links_and_gets_no_others(
    edge: Edge, nodes: tuple[Instrument, Instrument]
) -> None:
    nodes[0].ready = False
    await edge.sees("g1", "DOWN")

    assert {await who_answers(edge.base_url, HANDSHAKE) for _ in range(6)} == {"g2"}
    assert {await who_answers(edge.base_url, "/board") for _ in range(6)} == {"g2"}
    assert await who_answers(edge.base_url, f"{HANDSHAKE}&sid=g1.Zm9vYmFy") == "g1"

    nodes[0].ready = True
    await edge.sees("g1", "UP")
    assert {await who_answers(edge.base_url, HANDSHAKE) for _ in range(40)} == {"g1", "g2"}, "back, though slowly"


async def test_a_handshake_that_one_gateway_refuses_is_offered_to_the_other(
    edge: Edge, nodes: tuple[Instrument, Instrument]
) -> None:
    nodes[0].refuses = 503

    assert {await who_answers(edge.base_url, HANDSHAKE) for _ in range(6)} == {"g2"}
    assert nodes[0].seen, "it was asked as well"


async def test_when_all_refuse_the_client_hears_the_word_of_a_gateway(
    edge: Edge, nodes: tuple[Instrument, Instrument]
) -> None:
    for node in nodes:
        node.refuses = 503

    async with aiohttp.ClientSession(edge.base_url) as http, http.get(HANDSHAKE) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "7")
    assert len(nodes[0].seen) + len(nodes[1].seen) <= 3, "a crowd is not multiplied without end"


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", f"{HANDSHAKE}&sid=g1.Zm9vYmFy"), ("GET", f"{HANDSHAKE}&sid=g1.Zm9vYmFy"), ("POST", "/v1/accounts")],
)
async def test_what_may_have_been_carried_out_is_not_sent_again(
    method: str, path: str, edge: Edge, nodes: tuple[Instrument, Instrument]
) -> None:
    for node in nodes:
        node.refuses = 503

    async with aiohttp.ClientSession(edge.base_url) as http, http.request(method, path, data=b"x") as answer:
        assert answer.status == 503
    assert sum(len(node.seen) for node in nodes) == 1


async def test_without_a_gateway_clients_are_told_when_to_come_back_and_not_all_at_once(
    edge: Edge, nodes: tuple[Instrument, Instrument]
) -> None:
    for node in nodes:
        node.ready = False
        await edge.sees(node.tag, "DOWN")

    waits = set()
    async with aiohttp.ClientSession(edge.base_url) as http:
        for _ in range(30):
            async with http.get(HANDSHAKE) as answer:
                assert answer.status == 503
                assert answer.content_type == "application/problem+json"
                problem = json.loads(await answer.read())
                assert (problem["code"], problem["retry"]) == ("unavailable", True)
                waits.add(int(answer.headers["Retry-After"]))
    assert len(waits) > 1
    assert waits <= set(range(1, 6))


async def test_an_operator_takes_a_gateway_out_by_hand(edge: Edge) -> None:
    assert await edge.command("set server sockets/g1 state drain") == "\n"

    assert {await who_answers(edge.base_url, HANDSHAKE) for _ in range(6)} == {"g2"}
    assert await who_answers(edge.base_url, f"{HANDSHAKE}&sid=g1.Zm9vYmFy") == "g1"
    assert {await who_answers(edge.base_url, "/board") for _ in range(6)} == {"g2"}, (
        "one word for both doors of a gateway"
    )


async def test_the_log_knows_no_ids_of_links(edge: Edge) -> None:
    await who_answers(edge.base_url, f"{HANDSHAKE}&sid=g1.c2VjcmV0")

    async with asyncio.timeout(5):
        while "/socket.io/" not in edge.said():
            await asyncio.sleep(0.02)
    assert "c2VjcmV0" not in edge.said()


async def test_with_a_certificate_clients_come_by_tls_and_the_gateway_is_told(
    nodes: tuple[Instrument, Instrument], tmp_path: Path
) -> None:
    port, pem = free_port(), certificate(tmp_path)
    trust = ssl.create_default_context(cafile=pem)
    async with AsyncExitStack() as stack:
        edge = stack.enter_context(
            open_edge({one.tag: one.port for one in nodes}, EDGE_CERTIFICATE=pem, EDGE_BIND_TLS=f"127.0.0.1:{port}")
        )
        http = await stack.enter_async_context(aiohttp.ClientSession())
        async with http.get(f"{edge.base_url}/board", allow_redirects=False) as plain:
            assert plain.status == 308
            assert plain.headers["Location"].startswith("https://")
        async with http.get(f"https://localhost:{port}/board", ssl=trust, headers=SPOOFED) as answer:
            assert "Strict-Transport-Security" in answer.headers
            told = dict((await answer.json())["headers"])
    assert told["x-forwarded-proto"] == "https"


def certificate(folder: Path) -> str:
    """A certificate for localhost with its key, in one file."""
    both, key = folder / "edge.pem", folder / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    words += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(both)]
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    both.write_text(both.read_text() + key.read_text())
    return str(both)
