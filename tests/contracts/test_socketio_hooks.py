"""What gateway/sockets leans on inside python-socketio, one test per hook.

These are not documented interfaces. When one of these tests fails after an upgrade, its text says what no longer holds
and what in gateway/sockets rests on it; the tests in tests/conformance/ then show the damage.
"""

import inspect
import re
from pathlib import Path
from typing import Any

import socketio  # type: ignore[import-untyped]
from socketio import packet

from gateway.sockets.engine.server import Engine
from gateway.sockets.semantics import SocketServer
from services.kernel.clock import ManualClock


def source(thing: object) -> str:
    return inspect.getsource(thing)  # type: ignore[arg-type]


def test_it_takes_its_engine_from_a_method_and_hands_options_down() -> None:
    text = source(socketio.base_server.BaseServer.__init__)
    assert "self._engineio_server_class()(**engineio_options)" in text, (
        "SocketServer._engineio_server_class is not asked"
    )
    assert "engineio_options = kwargs" in text, "the clock no longer reaches the Engine"
    server = SocketServer(clock=ManualClock(), ping_interval=0.3)
    assert isinstance(server.eio, Engine)
    assert server.eio.ping_interval_s == 0.3


def test_it_asks_of_an_engine_only_what_ours_has() -> None:
    used: set[str] = set()
    for module in (socketio.base_server, socketio.async_server, socketio.base_manager, socketio.async_manager):
        used |= set(re.findall(r"(?:self|server)\.eio\.(\w+)", Path(str(module.__file__)).read_text("utf-8")))
    engine = Engine(clock=ManualClock())
    lacking = {name for name in used if not hasattr(engine, name)}
    assert not lacking, f"gateway/sockets/engine/server.py lacks {lacking}, under what Socket.IO asks"


def test_messages_and_endings_come_in_through_two_methods_of_its() -> None:
    for name, parameters in (
        ("_handle_eio_message", ["self", "eio_sid", "data"]),
        ("_handle_eio_disconnect", ["self", "eio_sid", "reason"]),
        ("_handle_connect", ["self", "eio_sid", "namespace", "data"]),
        ("_handle_event_internal", ["self", "server", "sid", "eio_sid", "data", "namespace", "id"]),
    ):
        method = getattr(socketio.AsyncServer, name)
        assert inspect.iscoroutinefunction(method), f"{name} is no longer a coroutine function"
        assert list(inspect.signature(method).parameters) == parameters, f"{name} takes other arguments"


def test_it_remembers_requests_and_half_packets_by_the_id_of_the_session() -> None:
    server = SocketServer(clock=ManualClock())
    assert server.environ == {}, "SocketServer._general fills it for the handlers of connect"
    assert server._binary_packet == {}, "SocketServer asks it whether attachments are expected"
    assert "self.environ[eio_sid]" in source(socketio.AsyncServer._handle_connect)
    assert "self._binary_packet[eio_sid] = pkt" in source(socketio.AsyncServer._handle_eio_message)


def test_its_manager_tells_who_is_in_which_namespace() -> None:
    server = SocketServer(clock=ManualClock())
    assert list(server.manager.get_namespaces()) == []
    assert server.manager.sid_from_eio_sid("nobody", "/") is None
    assert server.manager_initialized, (
        "the manager is initialised before the first message, not by the first connection"
    )


def test_a_handlers_answer_is_what_an_acknowledgement_is_made_of() -> None:
    text = source(socketio.AsyncServer._handle_event_internal)
    assert "await server._trigger_event(data[0], namespace, sid, *data[1:])" in text, "SocketServer's version differs"
    assert "self.not_handled" in text


def test_a_packet_of_its_encodes_to_text_and_attachments() -> None:
    one: Any = packet.Packet(packet.EVENT, ["a", b"\x00"], namespace="/x", id=7)
    head, attachment = one.encode()
    assert head == '51-/x,7["a",{"_placeholder":true,"num":0}]'
    assert attachment == b"\x00"
