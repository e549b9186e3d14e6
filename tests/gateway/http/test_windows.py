"""/livez, /readyz and /metrics on the running server."""

from collections.abc import Awaitable, Callable

from gateway.probes import NotReady
from tests.gateway.http.conftest import Api

Start = Callable[..., Awaitable[Api]]


async def test_alive_asks_nobody(with_deps: Start) -> None:
    async def never() -> None:
        raise AssertionError("asked")

    response = await (await with_deps(checks={"never": never})).call("GET", "/livez")
    assert (response.status, await response.json()) == (200, {"alive": True})


async def test_ready_names_every_check(api: Api) -> None:
    response = await api.call("GET", "/readyz")
    assert (response.status, await response.json()) == (200, {"ready": True, "checks": {"database": "ok"}})
    assert response.headers["Cache-Control"] == "no-store"


async def test_not_ready_is_a_problem_that_says_which_check_and_why(with_deps: Start, api: Api) -> None:
    async def deaf() -> None:
        raise NotReady("nothing heard from Redis for 10 s")

    server = await with_deps(checks={**api.deps.checks, "broker": deaf})
    response = await server.call("GET", "/readyz")
    problem = await response.json(content_type="application/problem+json")
    assert (response.status, problem["code"]) == (503, "unavailable")
    assert problem["checks"] == {"database": "ok", "broker": "nothing heard from Redis for 10 s"}
    assert "broker" in problem["detail"]
    assert response.headers["Retry-After"] == "1"


async def test_requests_and_problems_are_counted_by_route_and_never_by_address(with_deps: Start) -> None:
    api = await with_deps(readings={"rooms": lambda: 2})
    for url in ("/v1/classes/a", "/v1/classes/b", "/nowhere/at/all"):
        await api.call("GET", url)
    await api.call("PROPFIND", "/livez")
    response = await api.call("GET", "/metrics")
    text = await response.text()
    assert response.content_type == "text/plain"
    assert "paceline_rooms 2.0" in text
    assert 'paceline_http_requests_total{request="GET /v1/classes/{id} 401"} 2.0' in text
    assert 'paceline_http_requests_total{request="GET unmatched 404"} 1.0' in text
    assert 'paceline_http_requests_total{request="OTHER unmatched 405"} 1.0' in text
    assert 'paceline_http_problems_total{code="not_authenticated"} 2.0' in text
    assert "paceline_loop_lag_seconds" in text
