"""A client asks for the time, over the real dispatcher."""

import json
from typing import Any, cast

from gateway.sockets.dispatch import Dispatcher
from gateway.sockets.live import Live
from realtime import wire
from realtime.broker import MemoryBus
from realtime.feeds import Feeds
from realtime.limits import Allowance
from realtime.room_log import MemoryRoomLog
from rooms.clocks import BOUNDS_S, Clocks
from rooms.rooms import Rooms
from services.classes.clock_sync import Exchange, best_of
from services.kernel.clock import ManualClock
from tests.realtime import build

AWAY_MS = 60_000.5


async def test_a_client_that_asks_several_times_knows_how_far_its_clock_is_off() -> None:
    clock = ManualClock()
    nobody = cast(Any, None)
    node = build.node("one", MemoryBus(), clock)
    feeds = Feeds(node, MemoryRoomLog(lambda *_: None, clock), clock)
    clocks = Clocks(Rooms(node, nobody, clock, feeds, board_hz=2), nobody, clock)
    live = Live(
        nobody,
        nobody,
        nobody,
        nobody,
        nobody,
        nobody,
        clocks,
        nobody,
        nobody,
        nobody,
        nobody,
        nobody,
        nobody,
        nobody,
        nobody,
        nobody,
        nobody,
        nobody,
        nobody,
        nobody,
        nobody,
        nobody,
        nobody,
    )
    handlers = {event.name: live.handlers()[event.name] for event in wire.CLIENT_EVENTS}
    dispatcher, allowance = Dispatcher(handlers, clock), Allowance(clock.monotonic())
    connection = build.connection("a", 1)

    async def ask(out_s: float, waits_s: float, home_s: float, **report: object) -> Exchange:
        """One exchange: so long out, so long until the node gets to it, so long home."""
        sent_ms = clock.wall_ms() - AWAY_MS
        await clock.advance(out_s)
        read_at = clock.monotonic()
        await clock.advance(waits_s)
        arguments = json.dumps(["clock.sync", {"sent_ms": sent_ms, **report}]).encode()
        assert dispatcher.dispatch(connection, allowance, b"1", arguments, read_at) is None
        (text,) = build.texts(connection.mailbox)
        ((answer,),) = (json.loads(text[text.index("[") :]),)
        await clock.advance(home_s)
        synced = answer["ok"]
        return Exchange(synced["sent_ms"], synced["received_ms"], synced["answered_ms"], clock.wall_ms() - AWAY_MS)

    exchanges = [await ask(0.180, 0, 0.020), await ask(0.015, 0.5, 0.015), await ask(0.040, 0, 0.100)]
    found = best_of(exchanges)
    assert found.delay_ms == 30
    assert found.offset_ms == AWAY_MS
    await ask(0.01, 0, 0.01, report={"delay_ms": found.delay_ms, "moved_ms": -1.5})
    told = clocks.statistics
    assert (told.moved.counts[BOUNDS_S.index(0.002)], told.moved.total_s) == (1, 0.0015)
    assert (told.delay.counts[BOUNDS_S.index(0.05)], told.delay.total_s) == (1, 0.03)
