"""What a server may say, read from the catalogues themselves: everything else that comes back is a finding."""

import json
import re
from typing import Any, Final

import msgspec

from realtime.disconnect import ENDINGS
from realtime.wire import SERVER_EVENTS
from services.kernel.problems import Problem
from tests.support.raw_socket import PONG, TEXT, Frame

CLOSE_CODES: Final = frozenset({1000, 1002, 1003, 1007, 1008, 1009} | {ending.code for ending in ENDINGS})
"""1011, "something went wrong here", is not among them: nothing a client sends may go wrong here."""
HTTP_STATUSES: Final = frozenset({200, 204, 400, 403, 404, 405, 408, 411, 413, 414, 426, 429, 431, 503})
"""500 is not among them, for the same reason."""

_SHAPES: Final = {event.name: event.shape for event in SERVER_EVENTS}
_SOCKET: Final = re.compile(r"([01234])(/[^,]*,)?(\d*)(.*)", re.DOTALL)
FAULT: Final = "internal_fault"


class NotInCatalogue(AssertionError):  # noqa: N818 - a finding
    """The server has said something that no client can be prepared for."""


def problem_codes() -> frozenset[str]:
    """The codes of all problems a client may be told, the server's own faults left out."""

    def below(kind: type[Problem]) -> set[str]:
        return {kind.code for kind in kind.__subclasses__()}.union(*(below(kind) for kind in kind.__subclasses__()), ())

    return frozenset(below(Problem) - {FAULT})


_PROBLEMS: Final = problem_codes()


def check_frame(frame: Frame) -> None:
    """Raises `NotInCatalogue` unless the frame is something that a client of the live namespace knows."""
    if frame.opcode == PONG:
        return
    if frame.opcode != TEXT:
        raise NotInCatalogue(f"{frame}: text only")
    check_packet(frame.payload.decode())


def check_packet(packet: str) -> None:
    """The same, for an Engine.IO packet."""
    if packet in ("1", "2", "3probe", "6"):
        return
    if not packet.startswith("4"):
        raise NotInCatalogue(f"no Engine.IO packet that a server sends: {packet[:200]!r}")
    found = _SOCKET.fullmatch(packet[1:])
    if found is None:
        raise NotInCatalogue(f"no Socket.IO packet that a server sends: {packet[:200]!r}")
    kind, namespace, ack_id, body = found.groups()
    match kind:
        case "0" if namespace == "/live," and set(_read(body)) == {"sid"}:
            return
        case "1" if not body:
            return
        case "2" if namespace == "/live," and not ack_id:
            return _event(body)
        case "3" if namespace == "/live," and ack_id:
            return _ack(body)
        case "4" if not ack_id:
            return _refusal(body)
        case _:
            raise NotInCatalogue(f"not like this: {packet[:200]!r}")


def _event(body: str) -> None:
    match _read(body):
        case [str(name), payload] if name in _SHAPES:
            try:
                told: Any = msgspec.convert(payload, _SHAPES[name])
            except msgspec.ValidationError as fault:
                raise NotInCatalogue(f"not the shape of {name}: {fault}") from fault
            if name == "problem":
                _problem(msgspec.to_builtins(told)["problem"])
        case _:
            raise NotInCatalogue(f"no server event: {body[:200]!r}")


def _ack(body: str) -> None:
    match _read(body):
        case [{"ok": dict()}] | [None, {"ok": dict()}]:
            return
        case [{"problem": problem}] | [None, {"problem": problem}]:
            _problem(problem)
        case _:
            raise NotInCatalogue(f"no acknowledgement: {body[:200]!r}")


def _refusal(body: str) -> None:
    match _read(body):
        case {"message": str(), "data": problem}:
            _problem(problem)
        case {"message": str(), **rest} if not rest:
            return
        case _:
            raise NotInCatalogue(f"no refusal of a CONNECT: {body[:200]!r}")


def _problem(problem: Any) -> None:
    if not isinstance(problem, dict) or problem.get("code") not in _PROBLEMS:
        raise NotInCatalogue(f"no problem a client may be told: {problem}")


def _read(body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError as fault:
        raise NotInCatalogue(f"no JSON: {body[:200]!r}") from fault
