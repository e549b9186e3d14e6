"""What arrives with a request: its kind costs a glance, its bytes come in time or not at all."""

import ast
import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import aiohttp.helpers
import pytest
from aiohttp import web

import gateway
from gateway.app import build_app
from gateway.http import bodies
from gateway.http.bodies import FORM, JSON, is_utf8, media_type
from gateway.http.server import GatewayRunner
from tests.gateway.http.conftest import Api
from tests.gateway.http.test_server import answer_to

TAKING: Final = {
    "/v1/logins": JSON,
    "/sign-in/return/apple": FORM,
    "/v1/callbacks/sms": FORM,
    "/oauth/token": FORM,
    "/oauth/revoke": FORM,
    "/oauth/introspect": FORM,
}
"""One route of the table, and every address outside it that takes a body."""
SOURCES: Final = Path(gateway.__file__).parent
OF_AIOHTTP: Final = {"content_type", "charset", "read", "text", "json", "post", "multipart"}
"""What a request has that parses its Content-Type, or waits for its body without an end."""


@pytest.fixture
async def port(api: Api) -> AsyncIterator[int]:
    runner = GatewayRunner(build_app(api.deps), shutdown_timeout=1.0, lingering_time=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


def saying(kind: str) -> Any:
    """A request with this Content-Type."""
    return SimpleNamespace(headers={"Content-Type": kind})


@pytest.mark.parametrize(
    ("said", "kind", "utf8"),
    [
        ("application/json", JSON, True),
        (" Application/JSON ; Charset=UTF-8", JSON, True),
        ('application/json;charset="utf8"', JSON, True),
        ("application/json; x=y; charset=latin-1", JSON, False),
        ("application/json; charset=utf-8; charset=latin-1", JSON, False),
        ("application/json; charset", JSON, False),
        (f"{FORM}; charset=UTF-8", FORM, True),
        ("application/jsonp", "application/jsonp", True),
        (";", "", True),
        ("", "", True),
        ("application/json" + ";a" * 200, "", True),
    ],
)
def test_a_kind_is_the_word_before_the_first_semicolon(said: str, kind: str, utf8: bool) -> None:
    assert (media_type(saying(said)), is_utf8(saying(said))) == (kind, utf8)


def test_a_request_that_says_no_kind_has_none() -> None:
    assert media_type(SimpleNamespace(headers={})) == ""  # type: ignore[arg-type]


@pytest.mark.parametrize("path", TAKING)
@pytest.mark.parametrize("kind", ["a/b" + ";a" * 4_000, "a/b;" + "(" * 4_000, "a/b" + "\\" * 8_000])
async def test_a_kind_that_goes_on_and_on_is_refused_at_a_glance(
    api: Api, monkeypatch: pytest.MonkeyPatch, path: str, kind: str
) -> None:
    parsed: list[str] = []
    parse = aiohttp.helpers.parse_content_type

    def noted(said: str) -> Any:
        parsed.append(said)
        return parse(said)

    monkeypatch.setattr(aiohttp.helpers, "parse_content_type", noted)
    response = await api.call("POST", path, b"{}", headers={"Content-Type": kind})
    assert 400 <= response.status < 500
    assert kind not in parsed


@pytest.mark.parametrize(("path", "kind"), TAKING.items())
async def test_half_a_body_is_waited_for_as_long_everywhere_and_the_line_closes(
    port: int, monkeypatch: pytest.MonkeyPatch, path: str, kind: str
) -> None:
    monkeypatch.setattr(bodies, "BODY_TIMEOUT_S", 0.05)
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nContent-Length: 20\r\n\r\n"
    status, _, body = await answer_to(port, head.encode() + b"half=a&bo")
    problem = json.loads(body)
    code = "invalid_request" if path.startswith("/oauth/") else "bad_json"
    assert (status, problem["code"], problem["detail"]) == (400, code, "the body did not arrive within 0.05 s")


@pytest.mark.parametrize(("path", "kind"), TAKING.items())
async def test_a_body_that_says_it_is_too_long_is_not_waited_for(port: int, path: str, kind: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nContent-Length: {bodies.MAX_BODY + 1}\r\n\r\n"
    status, _, body = await answer_to(port, head.encode())
    assert (status, json.loads(body)["code"]) == (413, "too_large")


def test_nothing_else_in_the_gateway_reads_a_body_or_asks_aiohttp_for_its_kind() -> None:
    found = [
        f"{path.relative_to(SOURCES)}:{line}: {what}"
        for path in sorted(SOURCES.rglob("*.py"))
        for line, what in _asked_of_requests(ast.parse(path.read_text()))
    ]
    assert [where.split(":")[0] + where.split(":")[2] for where in found] == ["http/bodies.py read"], found


def test_the_search_finds_a_request_by_whatever_name() -> None:
    source = "async def f(it: web.Request, other: int) -> None:\n it.charset\n other.read\n self._request.post()\n request.text"
    assert [what for _, what in _asked_of_requests(ast.parse(source))] == ["charset", "post", "text"]


def _asked_of_requests(tree: ast.AST) -> list[tuple[int, str]]:
    requests = {"request", "_request"} | {
        node.arg
        for node in ast.walk(tree)
        if isinstance(node, ast.arg) and node.annotation and ast.unparse(node.annotation).endswith("Request")
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in OF_AIOHTTP:
            of = node.value
            name = of.id if isinstance(of, ast.Name) else of.attr if isinstance(of, ast.Attribute) else ""
            if name in requests:
                found.append((node.lineno, node.attr))
    return sorted(found)
