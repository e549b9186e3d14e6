"""The reference client's link with one difference: it knows every gateway's address, and goes elsewhere when a connection is lost,
as a balancer would make it."""

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import aiohttp

from loadtest import packets
from loadtest.link import Link
from realtime.wire import Bye
from services.kernel.clock import SystemClock
from tests.faults.history import Lost
from tests.faults.people import Person

if TYPE_CHECKING:
    from tests.faults.swarm import Swarm

PATIENCE_S: Final = 600.0


class Roamer(Link):
    """A link that goes elsewhere when a connection is lost. `who` names it in the history; `home` is where it belongs."""

    def __init__(
        self, swarm: "Swarm", who: str, person: Person, *, home: int, addresses: Sequence[str] | None = None
    ) -> None:
        self.who: Final = who
        self.at = home
        self._swarm: Final = swarm
        self._home: Final = home
        self._addresses = tuple(addresses or (gateway.url for gateway in swarm.stand.gateways))
        self._goodbye: Bye | None = None
        super().__init__(
            swarm.stand.http,
            self._addresses[home % len(self._addresses)],
            person.tokens(),
            clock=SystemClock(),
            rng=random.Random(swarm.rng.getrandbits(64)),
            patience_s=PATIENCE_S,
        )
        self.on("bye", self._on_goodbye)

    def lead_to(self, addresses: Sequence[str]) -> None:
        """Look for gateways there from the next connection on."""
        self._addresses = tuple(addresses)

    @property
    def abroad(self) -> bool:
        """Whether it is not where it belongs."""
        return self.at % len(self._addresses) != self._home % len(self._addresses)

    async def go_home(self) -> None:
        """Move to where it belongs; nothing happens when it is there."""
        if self.abroad:
            self.at = self._home - 1  # the loss moves it on by one
            await self.drop()

    async def _connected(self) -> tuple[aiohttp.ClientWebSocketResponse[bool], packets.Opened]:
        self._goodbye = None
        self._url = f"{self._addresses[self.at % len(self._addresses)]}/socket.io/?EIO=4&transport=websocket"
        try:
            return await super()._connected()
        except BaseException:
            self.at += 1
            raise

    async def _read(self, ws: aiohttp.ClientWebSocketResponse[bool], hello: packets.Opened) -> str:
        try:
            return await super()._read(ws, hello)
        finally:
            self.at += 1
            history, goodbye = self._swarm.history, self._goodbye
            code = goodbye.code if goodbye else None if ws.close_code in (None, 1006) else int(ws.close_code)
            come_back_ms = goodbye.come_back_ms if goodbye else None
            history.note(Lost(t=history.now(), who=self.who, code=code, come_back_ms=come_back_ms))

    def _on_goodbye(self, bye: Bye) -> None:
        self._goodbye = bye
