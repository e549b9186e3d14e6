"""Long-polling: the requests of one link, for networks that do not let WebSockets through.

A poll (GET) is answered as soon as there is something to say; packets that came in (POST) are handled before they are
answered, so that a client that sends faster than it is handled is held back. One poll at a time: of two, the protocol
wants the first closed and the second refused.
"""

import asyncio
from typing import TYPE_CHECKING, Final

from aiohttp import web

from gateway.sockets.engine.frames import BINARY, TEXT
from gateway.sockets.engine.packets import PayloadError, join_payload, split_payload

if TYPE_CHECKING:
    from gateway.sockets.engine.link import Link

MAX_PACKETS: Final = 10_000
"""Packets in one request. Official clients put everything into it that has come up since the last; the bytes
of a request bound it as well."""

_TEXT: Final = "text/plain; charset=UTF-8"
_KEPT_BY_NOBODY: Final = {"Cache-Control": "no-store"}


class Poll:
    """A request that waits for something to say."""

    __slots__ = ("_request", "_waiter", "answer", "refused")

    def __init__(self, request: web.Request) -> None:
        self._request: Final = request
        self._waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answer: list[tuple[int, bytes]] | None = None
        self.refused = False

    def wake(self) -> None:
        """There is something to say: the poll takes it when it runs."""
        if not self._waiter.done():
            self._waiter.set_result(None)

    def release(self, packets: list[tuple[int, bytes]] | None = None) -> None:
        """Answer with these packets, or with none; there is nothing else to wait for. Only the first answer counts."""
        if self.answer is None:
            self.answer = packets or [(TEXT, b"6")]
        self.wake()

    def refuse(self) -> None:
        """Answer that there is no such link."""
        self.refused = True
        self.wake()

    @property
    def given_up(self) -> bool:
        """Whether the client is no longer there to be answered."""
        return self._request.transport is None or self._request.transport.is_closing()

    async def wait(self) -> None:
        """Return when there is something to say."""
        await self._waiter


async def poll(link: "Link", request: web.Request) -> web.Response | None:
    """What to answer a poll with; None to refuse it. The link may be over afterwards."""
    if link.poll is not None:
        link.poll.release([(TEXT, b"1")])
        link.close("transport")
        return None
    if link.closed or link.goodbye_taken:
        link.close("transport")
        return None
    if not (link.has_output or link.over or link.takes_noop):
        held = link.poll = Poll(request)
        link.look_at(link.engine.clock.monotonic() + link.engine.tick_s)
        try:
            await held.wait()
        finally:
            if link.poll is held:
                link.poll = None
        if held.refused:
            return None
        if held.answer is not None:
            return _counted(link, held.answer)
        if held.given_up:
            # What it would have been told stays; but a client that hung up on a poll has given up.
            link.close("transport")
            return None
    packets = link.take_packets(link.engine.max_payload)
    if not packets and link.takes_noop:
        packets = [(TEXT, b"6")]
    if not packets:
        return None if link.closed else _counted(link, [(TEXT, b"6")])
    return _counted(link, packets)


async def post(link: "Link", body: bytes) -> web.Response | None:
    """Handle what came in; None when it is no payload, and the link is over."""
    try:
        packets = split_payload(body, max_packets=MAX_PACKETS, binary=link.engine.binary)
    except PayloadError:
        link.malformed()
        return None
    link.engine.bytes_in += len(body)
    for opcode, packet in packets:
        if link.closed:
            break
        while link.order is not None and link.order.crowded:
            await asyncio.wait({link.order.task})
        link.engine.frames_in += 1
        if opcode == BINARY:
            link.receive_binary(bytearray(packet))
        else:
            link.receive(bytearray(packet), link.engine.monotonic())
    if link.order is not None:
        await asyncio.wait({link.order.task})
    refused = link.closed and link.ending is not None and link.ending.name == "malformed"
    return None if refused else web.Response(body=b"ok", headers={"Content-Type": "text/html", **_KEPT_BY_NOBODY})


def opening(packet: bytes) -> web.Response:
    """The answer to a handshake."""
    return _answer([(TEXT, packet)])


def _counted(link: "Link", packets: list[tuple[int, bytes]]) -> web.Response:
    answer = _answer(packets)
    turn = link.engine.turn
    turn.writes += 1
    turn.frames += len(packets)
    turn.bytes_out += len(answer.body) if isinstance(answer.body, bytes) else 0
    return answer


def _answer(packets: list[tuple[int, bytes]]) -> web.Response:
    return web.Response(body=join_payload(packets), headers={"Content-Type": _TEXT, **_KEPT_BY_NOBODY})
