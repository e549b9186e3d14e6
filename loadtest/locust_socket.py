"""A device's connection as Locust users hold it: the official Python client, synchronous under gevent.

Locust tells the story of a mixed day with its own tables and pages; a connection like this costs three
greenlets, so it is meant for tens of users. For hundreds, and for numbers, see `loadtest/scenarios/`.

Every request is reported to Locust under the name of its event. What it keeps until it is acknowledged is the
same `Window` as in the reference client. Import locust before this module: locust must patch the socket library
first.
"""

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
import socketio  # type: ignore[import-untyped]

from loadtest.api import Refusal
from loadtest.window import Window
from realtime.wire import (
    NAMESPACE,
    RoomJoin,
    RoomJoined,
    SampleBatch,
    SamplesStored,
    StreamFinish,
    StreamFinished,
    StreamOpen,
    StreamOpened,
)
from services.kernel.ids import StreamId
from services.kernel.problems import ProblemView
from services.training.sample import Sample

T = TypeVar("T")

CALL_TIMEOUT_S: Final = 15


class _Ack(msgspec.Struct, frozen=True):
    ok: Any = None
    problem: ProblemView | None = None


class LiveSocket:
    """One device in one class: joins, streams, measures. Times are reported in ms.

    "samples to ack" is from sending to committed; "board age" is how old a board was when it arrived, by the clock of this
    machine, so it means something only when the server runs on the same one.
    """

    def __init__(self, report: Callable[..., None], url: str, token: str, code: str, stream: StreamId) -> None:
        self._report = report
        self._url = url
        self._token = token
        self._code = code
        self._stream = stream
        self._started_at_ms = time.time_ns() // 1_000_000
        self._window = Window()
        self._open = False
        self._client = socketio.Client(reconnection=True, reconnection_delay=0.5, reconnection_delay_max=5)
        self._client.on("connect", self._enter, namespace=NAMESPACE)
        self._client.on("disconnect", self._lost, namespace=NAMESPACE)
        for name in ("board.changes", "board.snapshot"):
            self._client.on(name, self._on_board, namespace=NAMESPACE)

    @property
    def waiting(self) -> int:
        """Samples that are not acknowledged yet."""
        return self._window.kept

    def connect(self) -> None:
        """Connect and wait for the namespace; what `_enter` does follows on its own greenlet."""
        began = time.perf_counter()
        fault: Exception | None = None
        try:
            self._client.connect(
                self._url,
                namespaces=[NAMESPACE],
                transports=["websocket"],
                auth={"token": self._token},
                wait_timeout=CALL_TIMEOUT_S,
            )
        except socketio.exceptions.ConnectionError as error:
            fault = error
        self._tell("connect", began, fault)
        if fault is not None:
            raise fault

    def send(self, sample: Sample) -> None:
        """Keep a sample, and send all that is not under way."""
        self._window.append(sample)
        self._flush()

    def finish(self) -> None:
        """Finish the stream. Samples that never arrived make it fail, and the failure is in the table."""
        if self._open:
            self._call("stream.finish", StreamFinish(stream=self._stream, samples=self._window.end), StreamFinished)

    def drop(self) -> None:
        """Lose the connection without a word, as in a tunnel; the client comes back by itself."""
        if self._client.eio.ws is not None:
            self._client.eio.ws.close()

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()

    def _enter(self) -> None:
        """On every new connection: the room again, the stream again, and what is not stored yet."""
        try:
            self._call("room.join", RoomJoin(code=self._code), RoomJoined)
            opening = StreamOpen(
                stream=self._stream, started_at_ms=self._started_at_ms, class_code=self._code, device="locust"
            )
            opened = self._call("stream.open", opening, StreamOpened)
        except (Refusal, socketio.exceptions.SocketIOError):
            return  # reported by _call; the user goes on keeping samples, as a device would
        self._window.opened(opened.next_seq, opened.max_batch, opened.max_unacked)
        self._open = True
        self._flush()

    def _lost(self, *_: object) -> None:
        self._open = False

    def _flush(self) -> None:
        while self._open and (batch := self._window.take()) is not None:
            payload = SampleBatch(stream=self._stream, seq=batch.seq, samples=batch.samples)
            began = time.perf_counter()

            def acknowledged(answer: Any, began: float = began, batch: Any = batch) -> None:
                try:
                    self._window.acknowledge(_reply(answer, SamplesStored, "stream.samples").next_seq)
                except Refusal as refusal:
                    self._tell("samples to ack", began, refusal)
                    self._window.refused(batch)
                else:
                    self._tell("samples to ack", began, None)

            self._client.emit(
                "stream.samples", msgspec.to_builtins(payload), namespace=NAMESPACE, callback=acknowledged
            )

    def _call(self, event: str, payload: msgspec.Struct, shape: type[T]) -> T:
        began = time.perf_counter()
        try:
            answer = self._client.call(event, msgspec.to_builtins(payload), namespace=NAMESPACE, timeout=CALL_TIMEOUT_S)
            reply = _reply(answer, shape, event)
        except (Refusal, socketio.exceptions.SocketIOError) as error:
            self._tell(event, began, error)
            raise
        self._tell(event, began, None)
        return reply

    def _on_board(self, board: dict[str, Any]) -> None:
        age_ms = time.time_ns() / 1e6 - board["at_ms"]
        self._report(
            request_type="WS",
            name="board age",
            response_time=max(age_ms, 0.0),
            response_length=len(board["rows"]),
            exception=None,
            context={},
        )

    def _tell(self, name: str, began: float, fault: Exception | None) -> None:
        self._report(
            request_type="WS",
            name=name,
            response_time=(time.perf_counter() - began) * 1000,
            response_length=0,
            exception=fault,
            context={},
        )


def _reply(answer: Any, shape: type[T], doing: str) -> T:
    """The reply inside an acknowledgement. Raises Refusal when it is a problem."""
    ack = msgspec.convert(answer, _Ack)
    if ack.problem is not None:
        raise Refusal(ack.problem, doing=doing)
    return msgspec.convert(ack.ok, shape)
