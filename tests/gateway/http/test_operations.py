"""`GET /v1/operations/sockets`: the engine's counters and the slowest connections, behind the admin token."""

from collections.abc import Awaitable, Callable, Sequence

from gateway.admin_token import AdminToken
from gateway.sockets.statistics import LineView, Measured, Order, SocketsStatistics
from services.kernel.clock import ManualClock
from tests.gateway.http.conftest import Api

SECRET = "kettle-moss-anchor-violet-2031"
URL = "/v1/operations/sockets"
Start = Callable[..., Awaitable[Api]]


def line(number: int) -> LineView:
    return LineView(
        id=f"line-{number}",
        account=None,
        transport="websocket",
        state="open",
        age_s=1.5,
        queued_bytes=number * 100,
        queued_frames=number,
        unwritten_bytes=0,
        waiting_s=0.0,
        dropped=0,
        replaced=0,
        rtt_ms=None,
        events_in=0,
        rooms=1,
        peer="203.0.113.7",
    )


class Engine:
    """Three lines and some counters."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, str]] = []

    def statistics(self) -> SocketsStatistics:
        return SocketsStatistics(
            links=7,
            websockets=5,
            polling=2,
            unauthenticated=2,
            closing=1,
            queued_bytes=600,
            unwritten_bytes=10,
            blocked=1,
            writes=4,
            in_bulk=3,
            frames=10,
            bytes_out=1_000,
            bytes_in=500,
            frames_in=20,
            malformed=3,
            pings=2,
            rtt_ms=Measured(2, 30.0, (10.0, 20.0)),
            refused={"token_expired": 1},
            cut={"stalled": 1},
            closed={"client": 4},
        )

    def lines(self, limit: int, order: Order) -> Sequence[LineView]:
        self.asked.append((limit, order))
        return [line(number) for number in (3, 2, 1)][:limit]


async def opened(with_deps: Start, engine: Engine | None = None) -> Api:
    engine = engine or Engine()
    return await with_deps(admin_token=AdminToken(SECRET, ManualClock()), sockets=lambda: engine, node_id="gateway-3")


async def test_it_shows_counters_and_the_slowest_lines(with_deps: Start) -> None:
    engine = Engine()
    api = await opened(with_deps, engine)
    response = await api.call("GET", f"{URL}?limit=2&order=rtt", token=SECRET)
    seen = await response.json()
    assert response.status == 200
    assert response.headers["Cache-Control"] == "no-store"
    assert (seen["node"], seen["order"], engine.asked) == ("gateway-3", "rtt", [(2, "rtt")])
    assert [one["id"] for one in seen["lines"]] == ["line-3", "line-2"]
    counts = seen["counts"]
    assert (counts["sockets"], counts["open"], counts["unauthenticated"], counts["closing"]) == (7, 4, 2, 1)
    assert (counts["merged"], counts["in_bulk"]) == (2.5, 3)
    assert (counts["cut"], counts["closed"], counts["refused"]) == ({"stalled": 1}, {"client": 4}, {"token_expired": 1})
    assert counts["round_trips"] == {"count": 2, "mean": 15.0, "p50": 20.0, "p99": 20.0, "max": 20.0}
    assert seen["loop_lag_worst_ms"] >= 0


async def test_what_is_not_said_is_the_documented_default(with_deps: Start) -> None:
    engine = Engine()
    api = await opened(with_deps, engine)
    await api.call("GET", URL, token=SECRET)
    assert engine.asked == [(50, "queued")]


async def test_without_an_admin_token_it_is_closed_and_names_the_setting(with_deps: Start) -> None:
    api = await with_deps(sockets=Engine)
    response = await api.call("GET", URL, token=SECRET)
    problem = await response.json(content_type="application/problem+json")
    assert (response.status, problem["code"]) == (404, "not_found")
    assert "PACELINE_ADMIN_TOKEN" in problem["detail"]


async def test_a_process_without_sockets_says_so(with_deps: Start) -> None:
    api = await with_deps(admin_token=AdminToken(SECRET, ManualClock()))
    response = await api.call("GET", URL, token=SECRET)
    assert response.status == 404
    assert "no sockets" in (await response.json(content_type="application/problem+json"))["detail"]


async def test_nobody_gets_in_with_anything_but_the_admin_token(with_deps: Start) -> None:
    api = await opened(with_deps)
    coach = await api.token("coach")
    for token in (None, "", coach, SECRET[:-1], SECRET + "x", AdminToken(SECRET, ManualClock()).new_pass()):
        response = await api.call("GET", URL, token=token)
        problem = await response.json(content_type="application/problem+json")
        assert (response.status, problem["code"]) == (401, "not_authenticated"), token
        assert "admin token" in problem["detail"]
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        assert SECRET not in str(problem)


async def test_the_admin_token_is_nobodys_access_token(with_deps: Start) -> None:
    api = await opened(with_deps)
    assert (await api.call("GET", "/v1/me", token=SECRET)).status == 401


async def test_a_wrong_order_or_limit_is_a_problem_that_says_where(with_deps: Start) -> None:
    api = await opened(with_deps)
    for query, where in (
        ("order=slowest", "query.order"),
        ("limit=501", "query.limit"),
        ("limit=-1", "query.limit"),
        ("limit=x", "query.limit"),
        ("limt=5", "query"),
    ):
        response = await api.call("GET", f"{URL}?{query}", token=SECRET)
        problem = await response.json(content_type="application/problem+json")
        assert (response.status, problem["path"]) == (422, where), query


async def test_nothing_counted_yet_is_not_a_division_by_zero(with_deps: Start) -> None:
    class Fresh(Engine):
        def statistics(self) -> SocketsStatistics:
            return SocketsStatistics(*16 * (0,), Measured())

    api = await opened(with_deps, Fresh())
    response = await api.call("GET", URL, token=SECRET)
    counts = (await response.json())["counts"]
    assert counts["merged"] == 1.0
    assert counts["round_trips"] == {"count": 0, "mean": None, "p50": None, "p99": None, "max": None}
