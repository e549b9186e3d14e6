"""What gateway/sockets leans on inside python-socketio, python-engineio and aiohttp, one test per hook.

These are not documented interfaces. When one of these tests fails after an upgrade, its text says what no longer holds and
what in gateway/sockets rests on it; the tests in tests/gateway/sockets/ then show the damage.
"""

import asyncio
import inspect
from typing import Any

import engineio  # type: ignore[import-untyped]
import pytest
import socketio  # type: ignore[import-untyped]
from aiohttp import web
from aiohttp.http_websocket import WebSocketWriter
from engineio import async_socket, base_socket, packet, payload
from engineio.async_drivers import aiohttp as driver  # type: ignore[import-untyped]

from gateway.sockets.engine import Engine
from gateway.sockets.link import Link
from realtime.codec import event_frame
from realtime.wire import Bye
from services.kernel.clock import ManualClock


def source(thing: object) -> str:
    return inspect.getsource(thing)  # type: ignore[arg-type]


def engine() -> Engine:
    return Engine(clock=ManualClock(), auth_deadline_s=5.0, async_handlers=False)


def test_socketio_takes_its_engine_from_a_method_and_hands_options_down() -> None:
    text = source(socketio.base_server.BaseServer.__init__)
    assert "self._engineio_server_class()(**engineio_options)" in text, "LiveServer._engineio_server_class is not asked"
    assert "engineio_options = kwargs" in text, "clock and deadline no longer reach the Engine"


def test_socketio_hears_of_lines_and_messages_through_the_three_methods_we_override() -> None:
    text = source(socketio.base_server.BaseServer.__init__)
    for event, method in (("connect", "connect"), ("message", "message"), ("disconnect", "disconnect")):
        assert f"self.eio.on('{event}', self._handle_eio_{method})" in text
    for name, parameters in (
        ("_handle_eio_connect", ["self", "eio_sid", "environ"]),
        ("_handle_eio_message", ["self", "eio_sid", "data"]),
        ("_handle_eio_disconnect", ["self", "eio_sid", "reason"]),
        ("_handle_connect", ["self", "eio_sid", "namespace", "data"]),
        ("_handle_disconnect", ["self", "eio_sid", "namespace", "reason"]),
    ):
        method = getattr(socketio.AsyncServer, name)
        assert inspect.iscoroutinefunction(method), f"{name} is no longer a coroutine function"
        assert list(inspect.signature(method).parameters) == parameters, f"{name} takes other arguments"


def test_a_refused_connect_carries_message_and_data() -> None:
    refused = socketio.exceptions.ConnectionRefusedError("why", {"code": "x"})
    assert refused.error_args == {"message": "why", "data": {"code": "x"}}


def test_the_engine_makes_one_queue_per_socket_through_the_hook() -> None:
    eio = engine()
    held = async_socket.AsyncSocket(eio, "sid")
    assert isinstance(held.queue, Link), "the engine no longer takes its queue from create_queue"
    assert list(eio.links) == [held.queue]


def test_the_engine_uses_of_a_queue_only_what_a_link_has() -> None:
    used = set()
    for module in (async_socket, base_socket, engineio.async_server):
        for word in source(module).split("queue.")[1:]:
            used.add(word.split("(")[0])
    assert used <= {"get", "get_nowait", "put", "put_nowait", "task_done", "join"}, f"a Link lacks some of {used}"


async def test_a_poll_reads_until_the_queue_is_empty_and_takes_none_for_the_end() -> None:
    held: Any = async_socket.AsyncSocket(engine(), "sid")
    link: Link = held.queue
    link.put_nowait(packet.Packet(packet.PING))
    link.put_nowait(packet.Packet(packet.NOOP))
    assert [one.packet_type for one in await held.poll()] == [packet.PING, packet.NOOP]
    link.attach(_RequestWithoutLine())  # type: ignore[arg-type]
    link.put_nowait(None)
    assert await held.poll() == []
    link.detach()
    with pytest.raises(engineio.exceptions.QueueEmpty):
        await held.poll()


async def test_a_poll_waits_without_a_task_of_its_own() -> None:
    held: Any = async_socket.AsyncSocket(engine(), "sid")
    before = asyncio.all_tasks()
    polling = asyncio.create_task(held.poll())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() - before == {polling}, "wait_for makes a task of what Link.get returns"
    held.queue.put_nowait(packet.Packet(packet.PING))
    await polling


async def test_a_frame_goes_through_a_poll_as_the_shared_bytes() -> None:
    held: Any = async_socket.AsyncSocket(engine(), "sid")
    link: Link = held.queue
    frame = event_frame("bye", Bye(3000, "r", 1))
    link.open_mailbox().put(frame)
    link.release()
    (one,) = await held.poll()
    assert one.encode() is frame.wire, "the engine's packets are encoded by another method now"
    assert payload.Payload(packets=[one, one]).encode() == f"4{frame.text}\x1e4{frame.text}"


def test_the_writer_sends_what_a_packet_encodes_to() -> None:
    text = source(async_socket.AsyncSocket._websocket_handler)
    assert "await ws.send(pkt.encode())" in text
    assert "await ws.close()" in text, "the WebSocket is no longer closed after the last packet"
    assert "await self.queue.put(None)" in text, "the writer is no longer told that the reader has ended"


def test_the_driver_is_a_table_that_we_can_replace_entries_of() -> None:
    eio = engine()
    assert set(driver._async) == {"asyncio", "create_route", "translate_request", "make_response", "websocket"}
    assert driver._async["websocket"] is driver.WebSocket, "the shared table was changed instead of our copy"
    assert eio._async["websocket"] is not driver.WebSocket
    for method in (engineio.AsyncServer.handle_request, async_socket.AsyncSocket._upgrade_websocket):
        assert "self._async[" in source(method) or "server._async[" in source(method)
    assert "inspect.iscoroutinefunction(translate_request)" in source(engineio.AsyncServer.handle_request)


def test_the_websocket_is_constructed_with_a_bound_method_of_the_socket() -> None:
    text = source(async_socket.AsyncSocket._upgrade_websocket)
    assert "self._websocket_handler, self.server)" in text, "_WebSocket finds its link through handler.__self__"
    assert "return await ws(environ)" in text


def test_requests_of_the_transport_all_come_through_handle_request() -> None:
    app = web.Application()
    eio = engine()
    eio.attach(app, "socket.io")
    handlers = {route.handler for route in app.router.routes()}
    assert handlers == {eio.handle_request}


def test_origins_are_asked_of_a_callable_with_origin_and_environ() -> None:
    asked: list[tuple[object, ...]] = []

    def may_connect(origin: str, environ: object) -> bool:
        asked.append((origin, environ))
        return True

    eio = Engine(clock=ManualClock(), auth_deadline_s=5.0, cors_allowed_origins=may_connect)
    environ = {"HTTP_ORIGIN": "http://a"}
    assert eio._cors_allowed_origins(environ) == ["http://a"]
    assert asked == [("http://a", environ)]


def test_the_ping_of_a_socket_is_a_background_task_bound_to_it() -> None:
    assert "self.server.start_background_task(self._send_ping)" in source(async_socket.AsyncSocket.schedule_ping), (
        "Engine.start_background_task no longer sees the pings, and Link.close cannot end them"
    )


def test_the_number_of_packets_in_a_request_is_a_class_attribute() -> None:
    assert isinstance(payload.Payload.max_decode_packets, int)
    assert "self.max_decode_packets" in source(payload.Payload.decode)


def test_aiohttp_writes_a_frame_of_bytes_as_text_without_encoding_it_again() -> None:
    assert list(inspect.signature(web.WebSocketResponse.send_frame).parameters) == [
        "self",
        "message",
        "opcode",
        "compress",
    ]
    text = source(WebSocketWriter.send_frame)
    assert "_drain_helper" in text, "a write no longer waits for a slow peer: Link.stalled sees nothing"


class _RequestWithoutLine:
    transport = None
