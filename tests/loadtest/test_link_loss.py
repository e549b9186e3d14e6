"""A connection that breaks while something is sent on it is no connection any more, from that moment on."""

import asyncio
import random
import uuid
from typing import Any, cast

import pytest

from loadtest.link import Link, LinkLost
from realtime.wire import Done, RoomRef
from services.kernel.clock import SystemClock
from services.kernel.ids import ClassId


class Broken:
    """A WebSocket whose line is cut, and whose reader has not noticed yet."""

    async def send_str(self, _: bytes) -> None:
        raise ConnectionResetError("Cannot write to closing transport")


async def test_whoever_sends_again_waits_for_the_next_connection() -> None:
    link = Link(cast(Any, None), "http://127.0.0.1:1", cast(Any, None), clock=SystemClock(), rng=random.Random(1))
    link._enter(cast(Any, Broken()))
    with pytest.raises(LinkLost):
        await link.call("board.get", RoomRef(class_id=ClassId(uuid.uuid4())), Done)
    assert link.connection is None
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(link.opened(), 0.05)
