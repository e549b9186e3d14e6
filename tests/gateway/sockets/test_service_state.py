"""Clients are told when their node stops hearing the others, and when it hears them again."""

import json
from typing import Any

from gateway.sockets.service_state import ServiceStates
from realtime.broker import InMemoryBroker
from tests.gateway.sockets.build import Client, Gateway, open_client, open_gateway


async def said(client: Client) -> dict[str, Any]:
    """The next event, which must be one of these."""
    name, payload = json.loads((await client.packet()).removeprefix("42/live,"))
    assert name == "service.state"
    assert isinstance(payload, dict)
    return payload


def deafen(gateway: Gateway) -> None:
    broker = gateway.node._broker
    assert isinstance(broker, InMemoryBroker)
    broker._bus.remove("nodes", broker)


async def test_whoever_is_connected_hears_stale_and_then_fresh_and_newcomers_hear_stale_at_once() -> None:
    async with open_gateway() as gateway:
        states = ServiceStates(gateway.node, gateway.clock)
        gateway.calls.greet = states.opened
        async with open_client(gateway) as early:
            await early.connect("1")
            deafen(gateway)
            before_ms = gateway.clock.wall_ms()
            await gateway.pass_time(8)
            stale = await said(early)
            assert stale["state"] == "stale"
            assert stale["reason"] == "this node has not heard its own heartbeat for 6 s"
            assert before_ms < stale["since_ms"] <= gateway.clock.wall_ms()
            async with open_client(gateway) as late:
                await late.connect("2")
                assert await said(late) == stale
                await gateway.pass_time(4)
                for client in (early, late):
                    fresh = await said(client)
                    assert (fresh["state"], "reason" in fresh) == ("fresh", False)
            async with open_client(gateway) as newest:
                await newest.connect("3")
                await newest.event("board.get", {"class_id": "00000000-0000-0000-0000-00000000004d"})
                assert (await newest.packet()).startswith("43/live,"), "nothing was said before the answer"
