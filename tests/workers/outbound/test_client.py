"""The outbound client against servers that do everything wrong, on real sockets, with a clock that jumps."""

import asyncio
import gzip
import ipaddress
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from services.kernel.clock import ManualClock
from tests.support.certificates import Authority
from tests.support.hostile import Act, HostileServer, Request, answers, open_hostile, resets, says, silence
from workers.outbound.client import (
    Answered,
    Blocked,
    Limits,
    NotReached,
    Outbound,
    Outcome,
    Unanswered,
    open_outbound,
)
from workers.outbound.egress import Egress

LOOPBACK: Final = Egress((ipaddress.ip_network("127.0.0.0/8"),))
LIMITS: Final = Limits(connect_s=5, total_s=15, max_body=1_000)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still."""
    return ManualClock()


@pytest.fixture
async def outbound(clock: ManualClock) -> AsyncIterator[Outbound]:
    """A client that may call this machine."""
    async with open_outbound(clock, LOOPBACK, limits=LIMITS) as made:
        yield made


@asynccontextmanager
async def calling(outbound: Outbound, act: Act) -> AsyncIterator[tuple[HostileServer, "asyncio.Task[Outcome]"]]:
    """A call on its way to a server that has seen the whole request and acts."""
    async with open_hostile(act) as server:
        call = asyncio.create_task(outbound.call("POST", server.url(), body=b"{}"))
        await server.acting.wait()
        yield server, call
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)


async def outcome_of(outbound: Outbound, act: Act) -> Outcome:
    """How a call to such a server ends, by itself."""
    async with calling(outbound, act) as (_, call):
        async with asyncio.timeout(10):
            return await call


def found(*addresses: str) -> Callable[[str, int], Any]:
    """A resolver that gives these addresses, whatever the name."""

    async def look_up(_host: str, _port: int) -> Sequence[str]:
        return addresses

    return look_up


# -- how a call ends ---------------------------------------------------------------------------------------------


async def test_an_answer_is_told_with_its_status_headers_and_body(outbound: Outbound) -> None:
    async with open_hostile(answers(207, b'{"ok":1}', "Retry-After: 7", "X-Two: a", "X-Two: b")) as server:
        outcome = await outbound.call("POST", server.url("/a%2Fb?q=%41"), body=b"[1]", headers={"X-Mine": "1"})
    assert isinstance(outcome, Answered)
    assert (outcome.status, outcome.body, outcome.cut) == (207, b'{"ok":1}', None)
    assert (outcome.headers["retry-after"], outcome.headers["X-TWO"]) == ("7", "a")
    (request,) = server.requests
    assert (request.method, request.path, request.body) == ("POST", "/a%2Fb?q=%41", b"[1]")
    assert (request.headers["x-mine"], request.headers["accept-encoding"]) == ("1", "identity")
    assert request.headers["user-agent"] == "Paceline"
    assert outbound.statistics.ended == {"answered": 1}


async def test_a_server_that_is_not_there_was_not_reached(outbound: Outbound) -> None:
    async with open_hostile(silence) as server:
        pass
    outcome = await outbound.call("POST", server.url(), body=b"{}")
    assert isinstance(outcome, NotReached)
    assert "refused" in outcome.why


async def test_a_name_that_does_not_resolve_was_not_reached(clock: ManualClock) -> None:
    async def look_up(host: str, _port: int) -> Sequence[str]:
        raise OSError(-2, f"{host}: Name or service not known")

    async with open_outbound(clock, Egress(), look_up=look_up) as outbound:
        assert await outbound.call("GET", "https://example.org/") == NotReached("the name does not resolve")


async def test_a_resolver_that_never_answers_costs_the_time_to_a_connection_and_no_more(clock: ManualClock) -> None:
    asked = asyncio.Event()

    async def look_up(_host: str, _port: int) -> Sequence[str]:
        asked.set()
        await asyncio.get_running_loop().create_future()
        return ()

    async with open_outbound(clock, Egress(), look_up=look_up, limits=LIMITS) as outbound:
        call = asyncio.create_task(outbound.call("GET", "https://example.org/"))
        await asked.wait()
        await clock.advance(4.9)
        assert not call.done()
        await clock.advance(0.1)
        assert await call == NotReached("no connection within 5 s")


async def test_a_server_that_never_answers_leaves_the_call_in_doubt(outbound: Outbound, clock: ManualClock) -> None:
    async with calling(outbound, silence) as (_, call):
        await clock.advance(14.9)
        assert not call.done()
        await clock.advance(0.1)
        assert await call == Unanswered("no answer within 15 s")


async def test_a_reset_before_the_answer_leaves_the_call_in_doubt(outbound: Outbound) -> None:
    outcome = await outcome_of(outbound, resets)
    assert outcome == Unanswered("the connection was closed before the answer")


async def test_a_call_that_is_cancelled_leaves_nothing_behind(outbound: Outbound) -> None:
    async with calling(outbound, silence) as (_, call):
        assert outbound.statistics.running == 1
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert outbound.statistics.running == 0


# -- what the other side may do to us ----------------------------------------------------------------------------


async def test_of_ten_megabytes_only_the_beginning_is_read(outbound: Outbound) -> None:
    sent = 0

    async def pour(_request: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")
        for _ in range(1_000):
            writer.write(b"x" * 10_000)
            await writer.drain()
            sent += 10_000

    outcome = await outcome_of(outbound, pour)
    assert isinstance(outcome, Answered)
    assert (outcome.status, outcome.body, outcome.cut) == (200, b"x" * 1_000, "large")
    assert sent < 10_000_000  # the connection was dropped, not drained


async def test_a_body_that_drips_is_cut_at_the_deadline_and_its_status_counts(
    outbound: Outbound, clock: ManualClock
) -> None:
    dripped = asyncio.Event()

    async def drip(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 Slow\r\nContent-Length: 100\r\n\r\nab")
        await writer.drain()
        dripped.set()
        await silence(request, writer)

    async with calling(outbound, drip) as (_, call):
        await dripped.wait()
        while outbound.statistics.running and not call.done():
            await clock.advance(5)
        outcome = await call
    assert isinstance(outcome, Answered)
    assert (outcome.status, outcome.body, outcome.cut) == (503, b"ab", "late")


async def test_headers_that_drip_do_not_hold_a_call_beyond_its_deadline(outbound: Outbound, clock: ManualClock) -> None:
    async def drip(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        await writer.drain()
        await silence(request, writer)

    async with calling(outbound, drip) as (_, call):
        await clock.advance(15)
        assert await call == Unanswered("no answer within 15 s")


async def test_interim_answers_without_end_do_not_hold_a_call_beyond_its_deadline(
    outbound: Outbound, clock: ManualClock
) -> None:
    async def interim(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 102 Processing\r\n\r\n" * 1_000)
        await writer.drain()
        await silence(request, writer)

    async with calling(outbound, interim) as (_, call):
        await clock.advance(15)
        assert await call == Unanswered("no answer within 15 s")


async def test_endless_headers_end_the_call(outbound: Outbound) -> None:
    async def pour(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(100_000):
            writer.write(f"X-{number}: {'y' * 100}\r\n".encode())
            await writer.drain()

    assert await outcome_of(outbound, pour) == Unanswered("what came back is not HTTP")


async def test_a_header_without_end_ends_the_call(outbound: Outbound) -> None:
    async def pour(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        for _ in range(100_000):
            writer.write(b"y" * 1_000)
            await writer.drain()

    assert await outcome_of(outbound, pour) == Unanswered("what came back is not HTTP")


async def test_a_compressed_bomb_stays_as_small_as_it_came(outbound: Outbound) -> None:
    bomb = gzip.compress(b"0" * 900_000)
    assert len(bomb) < 1_000
    outcome = await outcome_of(outbound, answers(200, bomb, "Content-Encoding: gzip"))
    assert isinstance(outcome, Answered)
    assert outcome.body == bomb


@pytest.mark.parametrize("text", [b"SSH-2.0-OpenSSH_9.9\r\n", b"\x00\x01\x02\r\n\r\n", b"HTTP/9 maybe\r\n\r\n"])
async def test_what_is_not_http_is_no_answer(outbound: Outbound, text: bytes) -> None:
    assert isinstance(await outcome_of(outbound, says(text)), Unanswered)


async def test_a_body_that_breaks_off_leaves_the_status_standing(outbound: Outbound) -> None:
    outcome = await outcome_of(outbound, says(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"))
    assert isinstance(outcome, Answered)
    assert (outcome.status, outcome.body, outcome.cut) == (200, b"abc", "broken")


async def test_chunks_that_are_wrong_from_the_start_are_no_answer(outbound: Outbound) -> None:
    wrong = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    assert await outcome_of(outbound, says(wrong)) == Unanswered("what came back is not HTTP")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_is_never_followed(outbound: Outbound, status: int) -> None:
    async with open_hostile(silence) as inner:
        async with open_hostile(answers(status, b"", f"Location: {inner.url()}")) as server:
            outcome = await outbound.call("POST", server.url(), body=b"{}")
            assert isinstance(outcome, Answered)
            assert outcome.status == status
            assert len(server.requests) == 1
        assert inner.connections == 0


async def test_cookies_are_not_kept(outbound: Outbound) -> None:
    async with open_hostile(answers(200, b"", "Set-Cookie: a=b; Path=/")) as server:
        for _ in range(2):
            await outbound.call("GET", server.url())
    assert all("cookie" not in request.headers for request in server.requests)


async def test_a_proxy_in_the_environment_is_not_asked(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_hostile(answers(200)) as proxy, open_hostile(answers(200)) as server:
        monkeypatch.setenv("http_proxy", proxy.url(""))
        async with open_outbound(clock, LOOPBACK) as outbound:
            await outbound.call("GET", server.url())
        assert (proxy.connections, server.connections) == (0, 1)


async def test_one_host_gets_no_more_connections_than_its_share(clock: ManualClock) -> None:
    async with open_outbound(clock, LOOPBACK, per_host=2, limits=LIMITS) as outbound, open_hostile(silence) as server:
        calls = [asyncio.create_task(outbound.call("GET", server.url())) for _ in range(3)]
        while len(server.requests) < 2:
            server.acting.clear()
            await server.acting.wait()
        await clock.advance(5)
        (turned_away,) = [call for call in calls if call.done()]
        assert await turned_away == NotReached("no connection within 5 s")
        assert server.connections == 2
        await clock.advance(10)
        assert [type(await call) for call in calls].count(Unanswered) == 2


# -- whom we call -------------------------------------------------------------------------------------------------


async def test_a_private_address_is_blocked_before_anything_is_sent(clock: ManualClock) -> None:
    async with open_hostile(answers(200)) as server, open_outbound(clock, Egress()) as outbound:
        for url in (server.url(), server.url(scheme="https"), server.url(host="[::ffff:127.0.0.1]", scheme="https")):
            assert isinstance(await outbound.call("POST", url, body=b"{}"), Blocked)
        assert server.connections == 0


async def test_a_name_of_a_private_address_is_blocked(clock: ManualClock) -> None:
    async with open_hostile(answers(200)) as server:
        async with open_outbound(clock, Egress(), look_up=found("127.0.0.1")) as outbound:
            outcome = await outbound.call("POST", server.url(host="hook.example.org", scheme="https"))
        assert outcome == Blocked("it leads to an address that is not public (this machine)")
        assert server.connections == 0


@pytest.mark.parametrize(
    "mixed", [("93.184.215.14", "127.0.0.1"), ("2606:2800:21f::1", "::1"), ("10.0.0.1", "9.9.9.9")]
)
async def test_one_private_address_among_several_blocks_the_name(clock: ManualClock, mixed: tuple[str, str]) -> None:
    async with open_outbound(clock, Egress(), look_up=found(*mixed)) as outbound:
        assert isinstance(await outbound.call("POST", "https://hook.example.org/"), Blocked)


async def test_one_private_address_blocks_a_name_although_the_good_one_would_answer(clock: ManualClock) -> None:
    this_machine = Egress((ipaddress.ip_network("127.0.0.1/32"),))
    async with (
        open_hostile(answers(200)) as server,
        open_outbound(clock, this_machine, look_up=found("127.0.0.1", "10.0.0.1")) as outbound,
    ):
        assert isinstance(await outbound.call("GET", server.url(host="hook.example.org")), Blocked)
        assert server.connections == 0


async def test_a_name_is_asked_for_once_and_what_it_meant_then_is_what_is_called(
    clock: ManualClock, tmp_path: Path
) -> None:
    """A resolver that says something good first and something private afterwards gets nobody in."""
    authority = Authority(tmp_path)
    said: list[str] = []

    async def look_up(_host: str, _port: int) -> Sequence[str]:
        said.append("127.0.0.2" if not said else "127.0.0.1")
        return [said[-1]]

    second_only = Egress((ipaddress.ip_network("127.0.0.2/32"),))
    async with (
        open_hostile(answers(200), tls=authority.serving("hook.example.org")) as inner,
        open_outbound(clock, second_only, look_up=look_up, tls=authority.trusting()) as outbound,
    ):
        url = inner.url(host="hook.example.org", scheme="https")
        # Nobody listens there: the call must fail, and must not try what the name means by now.
        assert isinstance(await outbound.call("POST", url), NotReached)
        assert said == ["127.0.0.2"]
        assert isinstance(await outbound.call("POST", url), Blocked)
        assert inner.connections == 0


async def test_a_number_as_host_meets_the_last_look_before_the_connection(clock: ManualClock) -> None:
    """Even if a text passed that should not have: the socket is not made."""

    class Careless(Egress):
        def judge_url(self, url: str) -> Any:
            return LOOPBACK.judge_url(url)

    async with open_hostile(answers(200)) as server, open_outbound(clock, Careless()) as outbound:
        outcome = await outbound.call("POST", server.url())
        assert outcome == Blocked("it leads to an address that is not public (this machine)")
        assert server.connections == 0


async def test_http_is_for_allowed_networks_only_whatever_the_name_says(clock: ManualClock) -> None:
    async with open_outbound(clock, LOOPBACK, look_up=found("93.184.215.14")) as outbound:
        assert await outbound.call("GET", "http://hook.example.org/") == Blocked("it has to begin with https://")


async def test_tls_is_spoken_with_the_name_although_the_address_is_pinned(clock: ManualClock, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with (
        open_hostile(answers(200), tls=authority.serving("hook.example.org")) as server,
        open_outbound(clock, LOOPBACK, look_up=found("127.0.0.1"), tls=authority.trusting()) as outbound,
    ):
        good = await outbound.call("POST", server.url(host="hook.example.org", scheme="https"))
        assert isinstance(good, Answered)
        wrong = await outbound.call("POST", server.url(host="other.example.org", scheme="https"))
        assert isinstance(wrong, NotReached)
        assert "certificate" in wrong.why
        assert len(server.requests) == 1
        assert server.requests[0].headers["host"] == f"hook.example.org:{server.port}"


async def test_a_certificate_of_an_unknown_authority_is_not_good(clock: ManualClock, tmp_path: Path) -> None:
    async with (
        open_hostile(answers(200), tls=Authority(tmp_path).serving("hook.example.org")) as server,
        open_outbound(clock, LOOPBACK, look_up=found("127.0.0.1")) as outbound,
    ):
        outcome = await outbound.call("POST", server.url(host="hook.example.org", scheme="https"))
    assert isinstance(outcome, NotReached)
    assert "certificate" in outcome.why
    assert server.requests == []


async def test_with_a_proxy_all_connections_go_there_and_texts_are_judged_all_the_same(clock: ManualClock) -> None:
    async with (
        open_hostile(says(b"HTTP/1.1 502 No\r\n\r\n")) as proxy,
        open_outbound(clock, Egress(), proxy=proxy.url("")) as outbound,
    ):
        assert isinstance(await outbound.call("POST", "https://10.0.0.1/"), Blocked)
        assert proxy.connections == 0
        outcome = await outbound.call("POST", "https://hook.example.org/", body=b"{}")
    assert outcome == NotReached("the proxy did not make the connection")
    assert [(request.method, request.path) for request in proxy.requests] == [("CONNECT", "hook.example.org:443")]
