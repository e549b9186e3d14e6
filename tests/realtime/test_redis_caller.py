"""Many scripts on one line, and a server that goes away under them."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from realtime.redis_address import TROUBLE, address_of
from realtime.redis_caller import MOST, Fixed, Key, RedisCaller, Word, _packed, _run
from realtime.redis_line import packed
from tests.support.redis_server import RedisServer, open_redis

COUNT = "return redis.call('INCRBY', KEYS[1], ARGV[1])"


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    async with open_redis() as server:
        yield server


@pytest.fixture
async def caller(server: RedisServer) -> AsyncIterator[RedisCaller]:
    caller = RedisCaller(address_of(server.url))
    yield caller
    caller.close()
    await asyncio.sleep(0)


async def count(caller: RedisCaller, by: int = 1) -> object:
    return await caller.script(COUNT, ["n"], [by])


async def test_each_gets_its_own_answer_however_many_ask_at_once(caller: RedisCaller) -> None:
    assert await count(caller) == 1
    assert await asyncio.gather(*(count(caller) for _ in range(500))) == list(range(2, 502))


async def test_what_is_asked_before_there_is_a_line_leaves_in_its_order_when_there_is_one(caller: RedisCaller) -> None:
    assert await asyncio.gather(*(count(caller) for _ in range(20))) == list(range(1, 21))


async def test_lines_that_are_cut_while_it_is_asked_are_opened_again(server: RedisServer, caller: RedisCaller) -> None:
    async def cut_again_and_again() -> None:
        for _ in range(20):
            await server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    async with asyncio.timeout(20):
        cutting = asyncio.create_task(cut_again_and_again())
        answers: list[object] = []
        while not cutting.done() or len(answers) < 100:
            answers += await asyncio.gather(*(count(caller) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(answer, (int, *TROUBLE)) for answer in answers), "everybody is answered"
    counted = [answer for answer in answers if isinstance(answer, int)]
    assert counted == sorted(set(counted)), "nobody gets the answer of another"
    assert len(counted) >= 3


async def test_whoever_waits_for_a_line_that_does_not_open_is_told_so(server: RedisServer) -> None:
    await server.kill()
    caller = RedisCaller(address_of(server.url))
    answers = await asyncio.gather(*(count(caller) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(answer, TROUBLE) for answer in answers)
    await server.start()
    assert await count(caller) == 1
    caller.close()


@pytest.mark.parametrize("turns", range(6))
async def test_what_is_asked_before_or_after_it_is_closed_has_failed(server: RedisServer, turns: int) -> None:
    caller = RedisCaller(address_of(server.url))
    asking = asyncio.ensure_future(count(caller))
    for _ in range(turns):
        await asyncio.sleep(0)
    caller.close()
    async with asyncio.timeout(5):
        with pytest.raises(ConnectionError):
            await asking
        with pytest.raises(ConnectionError):
            await count(caller)


async def test_an_error_is_for_whoever_asked_and_for_nobody_else(caller: RedisCaller) -> None:
    await count(caller)
    answers = await asyncio.gather(
        count(caller), caller.call(b"NONSENSE"), count(caller), caller.call(b"GET", b"n"), return_exceptions=True
    )
    assert isinstance(answers[1], ResponseError)
    assert (answers[0], answers[2], answers[3]) == (2, 3, b"3")


async def test_whoever_gave_up_does_not_shift_the_answers_of_others(caller: RedisCaller) -> None:
    await count(caller)
    asking = [asyncio.create_task(count(caller)) for _ in range(3)]
    await asyncio.sleep(0)
    asking[1].cancel()
    assert [await asking[0], await asking[2]] == [2, 4]
    await asyncio.gather(asking[1], return_exceptions=True)


async def test_what_is_under_way_when_the_server_dies_has_failed_and_later_calls_find_the_new_one(
    server: RedisServer, caller: RedisCaller
) -> None:
    await count(caller)
    server.freeze()
    asking = [asyncio.create_task(count(caller)) for _ in range(20)]
    await asyncio.sleep(0.01)
    await server.kill()
    assert all(isinstance(answer, TROUBLE) for answer in await asyncio.gather(*asking, return_exceptions=True))
    with pytest.raises(TROUBLE):
        await count(caller)
    await server.start()
    assert await count(caller) == 1, "the script was lost with the server, and is given anew"


async def test_a_server_that_hangs_is_given_up_within_its_patience_by_all_who_wait(
    server: RedisServer, caller: RedisCaller
) -> None:
    await count(caller)
    server.freeze()
    try:
        async with asyncio.timeout(5):
            answers = await asyncio.gather(*(count(caller) for _ in range(50)), return_exceptions=True)
            assert all(isinstance(answer, TROUBLE) for answer in answers)
            answers = await asyncio.gather(*(count(caller) for _ in range(50)), return_exceptions=True)
            assert all(isinstance(answer, TROUBLE) for answer in answers), "none of fifty waits for the one before"
    finally:
        server.thaw()
    while isinstance((await asyncio.gather(count(caller), return_exceptions=True))[0], Exception):
        await asyncio.sleep(0.01)


async def test_more_than_it_may_hold_is_refused_at_once(server: RedisServer, caller: RedisCaller) -> None:
    await count(caller)
    answers = await asyncio.gather(*(count(caller) for _ in range(MOST + 5)), return_exceptions=True)
    assert [isinstance(answer, ConnectionError) for answer in answers] == [False] * MOST + [True] * 5


_text = st.text() | st.text().map(Fixed)


@given(st.lists(_text | st.binary(), max_size=4), st.lists(_text | st.binary() | st.integers(), max_size=4))
def test_a_script_leaves_in_the_words_that_a_command_would(keys: list[Key], args: list[Word]) -> None:
    words = [word.word if isinstance(word, Fixed) else word for word in (*keys, *args)]
    bare = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    digest = hashlib.sha1(b"return 1", usedforsecurity=False).hexdigest().encode()
    whole = _run("return 1", len(keys) + len(args)) + _packed(keys, args)
    assert whole == packed(b"EVALSHA", digest, b"%d" % len(keys), *bare)
