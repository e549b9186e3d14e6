"""Hashing in bounded threads."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.accounts.passwords import Cost, Passwords
from services.kernel.problems import Busy, WeakPassword

LOW = Cost(rounds=1, memory_kib=8, lanes=1)


@pytest.fixture
async def passwords() -> AsyncIterator[Passwords]:
    passwords = Passwords(cost=LOW)
    yield passwords
    passwords.close()


async def test_a_password_matches_its_hash_and_no_other(passwords: Passwords) -> None:
    stored = await passwords.hash("violet anchor moss")
    assert stored.startswith("$argon2id$")
    assert (await passwords.check("violet anchor moss", stored)).matches
    assert not (await passwords.check("violet anchor mosS", stored)).matches


async def test_the_same_password_has_another_hash_every_time(passwords: Passwords) -> None:
    assert await passwords.hash("violet anchor moss") != await passwords.hash("violet anchor moss")


async def test_nobody_is_checked_with_the_same_work_and_never_matches(passwords: Passwords) -> None:
    before = passwords.statistics().hashed
    assert not (await passwords.check("violet anchor moss", None)).matches
    assert passwords.statistics().hashed == before + 1


async def test_a_hash_of_another_cost_is_told_to_be_outdated(passwords: Passwords) -> None:
    stored = await passwords.hash("violet anchor moss")
    dearer = Passwords(cost=Cost(rounds=2, memory_kib=16, lanes=1))
    try:
        assert (await dearer.check("violet anchor moss", stored)).outdated
        assert not (await dearer.check("wrong", stored)).outdated
    finally:
        dearer.close()
    assert not (await passwords.check("violet anchor moss", stored)).outdated


async def test_the_default_cost_is_the_second_choice_of_rfc_9106() -> None:
    passwords = Passwords()
    try:
        assert (await passwords.hash("violet anchor moss")).startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    finally:
        passwords.close()


async def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    # Dear enough that none of the first three is done before the loop has asked for all four.
    passwords = Passwords(cost=Cost(rounds=4, memory_kib=32_768, lanes=1), workers=1, waiting=2)
    try:
        answers = await asyncio.gather(*(passwords.hash(f"password {n}") for n in range(4)), return_exceptions=True)
    finally:
        passwords.close()
    refused = [answer for answer in answers if isinstance(answer, Busy)]
    assert len(refused) == 1
    assert refused[0].retry_after_ms
    statistics = passwords.statistics()
    assert (statistics.hashed, statistics.refused, statistics.pending) == (3, 1, 0)


async def test_whoever_hangs_up_keeps_the_place_until_the_work_is_done() -> None:
    passwords = Passwords(cost=Cost(rounds=6, memory_kib=65_536, lanes=1), workers=1, waiting=0)
    task = asyncio.create_task(passwords.hash("violet anchor moss"))
    await asyncio.sleep(0)
    assert passwords.statistics().pending == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(Busy):
        await passwords.hash("another one")
    passwords.close()
    assert passwords.statistics().pending == 0


async def test_an_absurdly_long_password_is_refused_without_work(passwords: Passwords) -> None:
    for work in (passwords.hash("x" * 1_000_000), passwords.check("x" * 1_000_000, None)):
        with pytest.raises(WeakPassword):
            await work
    assert passwords.statistics().hashed == 0


async def test_after_closing_everybody_is_told_to_go_elsewhere(passwords: Passwords) -> None:
    passwords.close()
    passwords.close()
    with pytest.raises(Busy):
        await passwords.hash("violet anchor moss")
    assert passwords.statistics().pending == 0
