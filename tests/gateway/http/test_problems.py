"""Every failure has one shape, whoever noticed it."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable

import pytest
import structlog

from services.accounts.account import Account
from services.apps.lent import Callers
from services.kernel.caller import Caller
from services.kernel.ids import AccountId, LoginId
from services.kernel.problems import Busy, Unavailable
from tests.gateway.http.conftest import Api

GOOD_LOGIN = {"email": "anna@example.org", "password": "violet anchor moss"}
Start = Callable[..., Awaitable[Api]]


async def test_every_kind_of_failure_has_the_members_of_rfc_9457(api: Api) -> None:
    token = await api.token()
    for method, url, body, headers, status, code in (
        ("GET", "/v1/nothing", None, {}, 404, "not_found"),
        ("GET", "/nothing", None, {}, 404, "not_found"),
        ("GET", "/socket.io/", None, {}, 404, "not_found"),
        ("GET", "/v1/accounts", None, {}, 405, "method_not_allowed"),
        ("PUT", "/v1/me", None, {}, 405, "method_not_allowed"),
        ("PROPFIND", "/v1/me", None, {}, 405, "method_not_allowed"),
        ("OPTIONS", "/v1/me", None, {}, 405, "method_not_allowed"),
        ("GET", "/v1/me", None, {}, 401, "not_authenticated"),
        ("POST", "/v1/logins", b"{", {}, 400, "bad_json"),
        ("POST", "/v1/logins", b"", {}, 400, "bad_json"),
        ("POST", "/v1/logins", b"\xff\xfe", {}, 400, "bad_json"),
        ("POST", "/v1/logins", b"[" * 30_000, {}, 422, "bad_shape"),
        ("POST", "/v1/logins/refresh", b'{"refresh_token": "x"} x', {}, 400, "bad_json"),
        ("POST", "/v1/logins", b"[]", {}, 422, "bad_shape"),
        ("POST", "/v1/logins", b"null", {}, 422, "bad_shape"),
        (
            "POST",
            "/v1/logins",
            b"a=b",
            {"Content-Type": "application/x-www-form-urlencoded"},
            415,
            "unsupported_media_type",
        ),
        ("POST", "/v1/logins", b"{}", {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
        (
            "POST",
            "/v1/logins",
            b"{}",
            {"Content-Type": "application/json; charset=utf-16"},
            415,
            "unsupported_media_type",
        ),
        ("POST", "/v1/logins", b"x" * 70_000, {}, 413, "too_large"),
        ("GET", "/v1/classes/%00", None, {"Authorization": f"Bearer {token}"}, 422, "bad_shape"),
    ):
        response = await api.call(method, url, body, headers=headers)
        problem = await response.json(content_type="application/problem+json")
        assert (response.status, problem["code"]) == (status, code), (method, url, body and body[:20])
        assert problem["status"] == status
        assert problem["type"] == f"/docs#problem-{code}"
        assert problem["title"]
        assert problem["detail"]
        assert problem["instance"]
        assert problem["trace_id"] == response.headers["X-Request-Id"]
        assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("sign", ["\\u0000", "\\ud800", "\\udfff", "\\u202e", "\\ufeff"])
async def test_no_sign_in_any_text_is_a_fault_of_ours(api: Api, sign: str) -> None:
    token = await api.token("coach")
    text = f'"violet{sign}anchor moss kettle"'
    registration = f'{{"email": "x@example.org", "password": {text}, "name": "Ada", "device": {text}}}'
    for method, url, body in (
        ("POST", "/v1/accounts", registration),
        ("POST", "/v1/accounts", registration.replace('"Ada"', text)),
        ("POST", "/v1/accounts", registration.replace('"x@example.org"', text)),
        ("POST", "/v1/logins", f'{{"email": "x@example.org", "password": {text}, "device": {text}}}'),
        ("POST", "/v1/logins/refresh", f'{{"refresh_token": {text}}}'),
        ("POST", "/v1/displays", f'{{"code": {text}}}'),
        ("PATCH", "/v1/me", f'{{"name": {text}}}'),
        ("POST", "/v1/classes", f'{{"title": {text}}}'),
    ):
        response = await api.call(method, url, body.encode(), token=token)
        assert response.status < 500, (url, await response.text())


async def test_a_head_request_is_answered_like_a_get_without_a_body(api: Api) -> None:
    response = await api.call("HEAD", "/v1/me", token=await api.token())
    assert (response.status, await response.read()) == (200, b"")
    assert (await api.call("HEAD", "/v1/nothing")).status == 404


async def test_a_body_without_a_length_is_stopped_at_the_limit(api: Api) -> None:
    async def endless() -> object:
        for _ in range(100):
            yield b"x" * 4_096

    response = await api.client.post(
        "/v1/logins",
        data=endless(),
        headers={"Content-Type": "application/json"},
    )
    assert (response.status, (await response.json())["code"]) == (413, "too_large")


async def test_a_packed_body_is_not_unpacked(api: Api) -> None:
    response = await api.call("POST", "/v1/logins", b"x" * 10, headers={"Content-Encoding": "gzip"})
    assert response.status in {400, 415}
    assert response.content_type == "application/problem+json"


async def test_a_wrong_method_says_which_are_right(api: Api) -> None:
    response = await api.call("DELETE", "/v1/me")
    assert set(response.headers["Allow"].split(",")) == {"GET", "HEAD", "PATCH"}


async def test_a_fault_of_ours_is_logged_with_its_trace_and_told_without_anything(with_deps: Start, api: Api) -> None:
    def broken(token: str) -> Caller:
        raise RuntimeError("the secret is 4711, see /etc/paceline/key.pem")

    api = await with_deps(callers=Callers(broken, api.transactions, api.clock))
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        response = await api.call("GET", "/v1/me", token="x")
    text = await response.text()
    assert (response.status, (await response.json())["code"]) == (500, "internal_fault")
    assert "4711" not in text
    assert "RuntimeError" not in text
    fault = next(line for line in lines if line["event"] == "http.fault")
    assert fault["trace_id"] == (await response.json())["trace_id"]
    assert fault["exc_info"]


@pytest.mark.parametrize(("wait_ms", "seconds"), [(None, "1"), (1, "1"), (1_001, "2"), (2_000, "2")])
async def test_an_answer_to_try_again_says_when_in_whole_seconds(
    with_deps: Start, api: Api, wait_ms: int | None, seconds: str
) -> None:
    def away(token: str) -> Caller:
        raise Unavailable(retry_after_ms=wait_ms)

    away_now = await with_deps(callers=Callers(away, api.transactions, api.clock))
    response = await away_now.call("GET", "/v1/me", token="x")
    assert (response.status, response.headers["Retry-After"]) == (503, seconds)


async def test_a_full_queue_of_passwords_is_busy_and_not_a_fault(with_deps: Start, api: Api) -> None:
    class Full:
        async def log_in(self, **_: object) -> None:
            raise Busy(retry_after_ms=2_000)

    response = await (await with_deps(accounts=Full())).call("POST", "/v1/logins", GOOD_LOGIN)
    problem = await response.json()
    assert (response.status, problem["code"], problem["retry"]) == (503, "busy", True)


async def test_a_client_that_hangs_up_is_nobody_s_fault(with_deps: Start) -> None:
    reached, ended = asyncio.Event(), asyncio.Event()

    class Slow:
        async def me(self, caller: Caller) -> None:
            reached.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

    api = await with_deps(accounts=Slow())
    somebody = Account(AccountId(uuid.uuid4()), "somebody@example.org", "Somebody", frozenset({"member"}), 0)
    issued = api.tokens.for_account(somebody, LoginId(uuid.uuid4()), api.clock.wall_ms())
    with structlog.testing.capture_logs() as lines:
        task = asyncio.create_task(api.call("GET", "/v1/me", token=issued.token))
        await reached.wait()
        task.cancel()
        await api.client.close()
        await ended.wait()
    assert not [line for line in lines if line["log_level"] == "error"]


class TestTraceIds:
    async def test_a_decent_one_is_kept(self, api: Api) -> None:
        response = await api.call("GET", "/v1/nothing", headers={"X-Request-Id": "req-0001.abc"})
        assert response.headers["X-Request-Id"] == "req-0001.abc"
        assert (await response.json())["trace_id"] == "req-0001.abc"

    @pytest.mark.parametrize("sent", ["short", "x" * 65, "with blank in it", "quote\"'<script>", "ünïcödé-name"])
    async def test_any_other_is_replaced(self, api: Api, sent: str) -> None:
        response = await api.call("GET", "/livez", headers={"X-Request-Id": sent})
        assert response.headers["X-Request-Id"] != sent
        assert len(response.headers["X-Request-Id"]) == 32


class TestHeaders:
    async def test_every_answer_carries_the_protective_ones(self, api: Api) -> None:
        for url in ("/livez", "/v1/nothing", "/", "/docs", "/assets/board.js"):
            headers = (await api.call("GET", url)).headers
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "no-referrer"
            assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
            assert headers["Server"] == "paceline"

    async def test_pages_may_load_from_our_origin_alone_and_nothing_inline(self, api: Api) -> None:
        policy = (await api.call("GET", "/board")).headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy


class TestBrowsers:
    async def test_get_a_page_where_programs_get_json(self, api: Api) -> None:
        response = await api.call("GET", "/nowhere", headers={"Accept": "text/html,*/*"})
        assert (response.status, response.content_type) == (404, "text/html")
        assert "Not Found" in await response.text()
        response = await api.call("GET", "/v1/nowhere", headers={"Accept": "text/html,*/*"})
        assert response.content_type == "application/problem+json"


class TestAccessLog:
    async def test_names_the_route_and_never_the_address_or_the_token(self, api: Api) -> None:
        token = await api.token()
        with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
            await api.call("GET", "/v1/workouts/0199-secret?from=K7WQ2M", token=token)
        (line,) = [line for line in lines if line["event"] == "http.request"]
        assert (line["method"], line["route"], line["status"]) == ("GET", "/v1/workouts/{id}", 422)
        assert "secret" not in str(lines)
        assert "K7WQ2M" not in str(lines)
        assert token not in str(lines)

    async def test_has_no_line_for_a_probe_that_is_content(self, api: Api) -> None:
        with structlog.testing.capture_logs() as lines:
            for url in ("/livez", "/readyz", "/metrics"):
                assert (await api.call("GET", url)).status == 200
        assert lines == []

    async def test_is_limited_and_counts_what_it_left_out(self, api: Api) -> None:
        with structlog.testing.capture_logs() as lines:
            for _ in range(60):
                await api.call("GET", "/v1/demo")
            await api.clock.advance(1.0)
            await api.call("GET", "/v1/demo")
        written = [line for line in lines if line["event"] == "http.request"]
        assert len(written) == 51
        assert written[-1]["left_out"] == 10


@pytest.mark.parametrize(
    ("method", "url", "allow"),
    [
        ("DELETE", "/v1/logins/refresh", "POST"),
        ("DELETE", "/v1/logins/end-others", "POST"),
        ("GET", "/v1/challenges/join", "POST"),
        ("GET", "/v1/notifications/read", "POST"),
    ],
)
async def test_an_address_that_stands_for_itself_is_nothing_with_an_id(
    api: Api, method: str, url: str, allow: str
) -> None:
    response = await api.call(method, url, token=await api.token())
    assert (response.status, response.headers["Allow"]) == (405, allow)
