"""The HTTP side and the tokens: problems as exceptions, waiting for a server, renewing in time."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import aiohttp
import msgspec
import pytest

from loadtest.api import Api, Grant, Refusal, ServerAway
from loadtest.client import account_tokens
from loadtest.patience import OutOfPatience
from loadtest.tokens import ByJoinCode, ByRefreshToken, Tokens
from services.kernel.ids import WorkoutId
from services.training.sample import Sample
from tests.loadtest.gateway import ScriptedGateway, open_gateway
from tests.loadtest.quick_clock import QuickClock

ACCOUNT = {"id": str(UUID(int=5)), "name": "Ada"}
Answer = Callable[[str, str, Any], tuple[int, Any]]


def grant(number: int) -> dict[str, Any]:
    return {
        "account": ACCOUNT,
        "access_token": f"a{number}",
        "expires_in_s": 900,
        "refresh_token": f"r{number}",
    }


@asynccontextmanager
async def api_of(answer: Answer, patience_s: float = 60) -> AsyncIterator[tuple[Api, ScriptedGateway, QuickClock]]:
    clock = QuickClock()
    async with open_gateway() as gateway, aiohttp.ClientSession() as http:
        gateway.on_call = answer
        yield Api(http, gateway.base_url, clock=clock, rng=random.Random(1), patience_s=patience_s), gateway, clock


async def test_a_problem_is_raised_with_its_code_its_words_and_its_place() -> None:
    def answer(*_: Any) -> tuple[int, Any]:
        return 422, {"code": "bad_shape", "detail": "too short", "path": "$.title", "status": 422}

    async with api_of(answer) as (api, _, _):
        with pytest.raises(Refusal, match=r"POST /v1/classes: too short \(bad_shape at \$\.title\)") as caught:
            await api.create_class("t", "")
    assert caught.value.status == 422


async def test_a_busy_server_is_asked_again_after_the_time_it_names() -> None:
    answers = [(503, {"code": "busy", "detail": "later", "retry": True, "retry_after_ms": 8_000}), (201, grant(1))]

    async with api_of(lambda *_: answers.pop(0)) as (api, _, clock):
        assert (await api.log_in("a@b.c", "x")).access_token == "a1"
    assert 4 <= clock.slept[0] <= 12


async def test_a_server_that_is_not_there_is_waited_for_until_patience_ends() -> None:
    async with aiohttp.ClientSession() as http:
        clock = QuickClock()
        told: list[str] = []
        api = Api(http, "http://127.0.0.1:9", clock=clock, rng=random.Random(1), patience_s=20, tell=told.append)
        with pytest.raises(OutOfPatience, match="no answer for 20 s"):
            await api.register("a@b.c", "x", "Ada")
    assert sum(clock.slept) == pytest.approx(20)
    assert told[0].startswith("waiting for the server (0 s): 127.0.0.1 port 9")


async def test_a_request_that_may_have_been_carried_out_is_only_repeated_where_that_is_harmless() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, aiohttp.ClientSession() as http:
        clock = QuickClock()
        api = Api(http, url, clock=clock, rng=random.Random(1), patience_s=5)
        with pytest.raises(ServerAway, match="look whether it was carried out"):
            await api.create_class("t", "Ride")
        assert not clock.slept
        with pytest.raises(OutOfPatience):
            await api.log_in("a@b.c", "x")


async def test_an_answer_that_is_not_of_this_protocol_is_named_as_such() -> None:
    async with api_of(lambda *_: (200, {"hello": "world"})) as (api, _, _):
        with pytest.raises(Refusal, match="does not speak this protocol"):
            await api.create_class("t", "Ride")


async def test_samples_are_read_page_by_page_until_an_empty_one() -> None:
    stored = [Sample(t=1000 * n, bpm=60 + n % 50) for n in range(2_500)]
    pages = [stored[:1_000], stored[1_000:2_000], stored[2_000:], []]

    async with api_of(lambda *_: (200, {"samples": msgspec.to_builtins(pages.pop(0)), "next_seq": 1})) as (api, _, _):
        assert await api.samples("t", WorkoutId(UUID(int=1))) == stored
    assert not pages


async def test_a_summary_that_is_not_ready_is_none_and_any_other_refusal_is_not() -> None:
    answers = [(404, {"code": "not_found", "detail": "not yet"}), (403, {"code": "forbidden", "detail": "no"})]
    async with api_of(lambda *_: answers.pop(0)) as (api, _, _):
        assert await api.class_summary("t", UUID(int=1)) is None  # type: ignore[arg-type]
        with pytest.raises(Refusal, match="forbidden"):
            await api.class_summary("t", UUID(int=1))  # type: ignore[arg-type]


async def test_an_account_that_exists_is_logged_in_to() -> None:
    def answer(method: str, path: str, body: Any) -> tuple[int, Any]:
        return (409, {"code": "email_taken", "detail": "taken"}) if path == "/v1/accounts" else (201, grant(1))

    async with api_of(answer) as (api, gateway, _):
        tokens = await account_tokens(api, "a@b.c", "x", "Ada")
        assert await tokens.current() == "a1"
    assert gateway.calls == [("POST", "/v1/accounts"), ("POST", "/v1/logins")]


async def test_a_token_is_renewed_before_it_expires_and_only_once_for_all_who_wait() -> None:
    clock = QuickClock()
    renewals = 0

    async def renew(old: Grant) -> Grant:
        nonlocal renewals
        renewals += 1
        await asyncio.sleep(0)
        return Grant(access_token=old.access_token + "'", expires_in_s=100)

    tokens = Tokens(clock, Grant(access_token="a", expires_in_s=100), renew)
    clock.now += 79
    assert await tokens.current() == "a"
    clock.now += 2
    assert await asyncio.gather(*(tokens.current() for _ in range(5))) == ["a'"] * 5
    assert renewals == 1


async def test_a_refresh_token_that_is_gone_is_replaced_by_the_password() -> None:
    def answer(method: str, path: str, body: Any) -> tuple[int, Any]:
        if path == "/v1/logins/refresh":
            return 401, {"code": "refresh_refused", "detail": "used before"}
        return 201, grant(7)

    async with api_of(answer) as (api, gateway, _):
        renewed = await ByRefreshToken(api, "a@b.c", "x")(msgspec.convert(grant(1), Grant))
    assert renewed.access_token == "a7"
    assert [path for _, path in gateway.calls] == ["/v1/logins/refresh", "/v1/logins"]


async def test_a_display_renews_by_the_join_code() -> None:
    room = {
        "id": str(UUID(int=1)),
        "code": "K7TQ",
        "title": "T",
        "coach_name": "C",
        "state": "live",
        "created_at_ms": 1,
    }

    async with api_of(lambda *_: (201, {"access_token": "d2", "expires_in_s": 60, "class": room})) as (api, _, _):
        renewed = await ByJoinCode(api, "K7TQ")(Grant(access_token="d1", expires_in_s=60))
    assert renewed.access_token == "d2"
