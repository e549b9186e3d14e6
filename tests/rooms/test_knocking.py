"""Join codes that somebody tries: a few at once, then slowly."""

import pytest

from services.kernel.problems import ClassNotFound, TooManyAttempts
from services.limits.table import WRONG_CODE
from tests.rooms.conftest import World

BURST = WRONG_CODE.burst


async def test_after_too_many_wrong_codes_one_is_looked_at_every_ten_seconds(world: World) -> None:
    node = world.node()
    live = await node.create_class(await world.person("Mia", coach=True))
    eve = node.connect(await world.person("Eve"))
    for n in range(BURST):
        with pytest.raises(ClassNotFound):
            await node.join(eve, f"WRONG{n}")
    with pytest.raises(TooManyAttempts) as refused:
        await node.join(eve, live.code)
    wait_ms = refused.value.retry_after_ms
    assert wait_ms is not None
    assert 0 < wait_ms <= WRONG_CODE.every_ms
    await world.advance(wait_ms / 1_000)
    with pytest.raises(ClassNotFound):
        await node.join(eve, "STILLNOT")
    with pytest.raises(TooManyAttempts):
        await node.join(eve, live.code)
    await world.advance(WRONG_CODE.every_ms / 1_000)
    assert (await node.join(eve, live.code)).room.id == live.id


async def test_rooms_and_streams_count_the_same_codes(world: World) -> None:
    node = world.node()
    eve = node.connect(await world.person("Eve"))
    for n in range(BURST // 2):
        with pytest.raises(ClassNotFound):
            await node.join(eve, f"WRONG{n}")
        with pytest.raises(ClassNotFound):
            await node.open(eve, f"WRONG{n}")
    with pytest.raises(TooManyAttempts):
        await node.join(eve, "WRONG")
    with pytest.raises(TooManyAttempts):
        await node.open(eve, "WRONG")
