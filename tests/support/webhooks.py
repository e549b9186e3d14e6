"""Webhooks in a real database, with a sender that makes real calls on a clock that jumps.

`HookBench` has the owner's use cases and whatever sends; `verify` is a receiver's half of Standard Webhooks, written from the
text of the standard and sharing nothing with the code that signs.
"""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import ipaddress
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from persistence.database import Database
from services.integrations.delivery import Delivery
from services.integrations.endpoint import Endpoint, Scope
from services.integrations.webhooks import Looked, Made, Webhooks
from services.kernel.caller import Caller
from services.kernel.facts import AnyFact
from services.kernel.ids import WebhookDeliveryId, WebhookEndpointId
from tests.support.hostile import Request
from tests.support.world import SEALS, World
from workers.outbound.client import open_outbound
from workers.outbound.egress import Egress
from workers.webhooks import WebhookSender, judging

LOOPBACK: Final = Egress((ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")))
WAIT_S: Final = 20.0
TOLERANCE_S: Final = 300


class NotOurs(Exception):  # noqa: N818 - what a receiver says
    """A call that a receiver must refuse."""


def verify(secret: str, request: Request, now_s: float) -> bytes:
    """The body of a call that was signed with `secret` within the last five minutes. Raises `NotOurs`."""
    said = request.headers
    if abs(now_s - int(said["webhook-timestamp"])) > TOLERANCE_S:
        raise NotOurs("too old")
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{said['webhook-id']}.{said['webhook-timestamp']}.{request.body.decode()}".encode()
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    if not any(hmac.compare_digest(expected, given) for given in said["webhook-signature"].split()):
        raise NotOurs("signed by somebody else")
    return request.body


def ids_of(requests: Iterable[Request]) -> list[str]:
    """The webhook-ids of calls, in their order."""
    return [request.headers["webhook-id"] for request in requests]


class HookBench:
    """A world with webhooks. `owner` has the first endpoint that is made."""

    def __init__(self, database: Database, egress: Egress = LOOPBACK) -> None:
        self.world: Final = World(database)
        self.clock: Final = self.world.clock
        self.egress: Final = egress
        self.cases: Final = Webhooks(self.world.transactions, self.clock, self.world.ids, SEALS, judging(egress))

    async def endpoint(
        self,
        owner: Caller,
        url: str = "http://127.0.0.1:9/hook",
        *wants: str,
        scopes: tuple[Scope, ...] = (),
    ) -> Made:
        """An endpoint of somebody, for workouts unless other events are named."""
        return await self.cases.create(owner, url, wants or ("workout.summarised",), scopes, "")

    async def happen(self, fact: AnyFact) -> None:
        """Handle a fact as a worker would."""
        async with self.world.transactions() as stores:
            await self.world.webhook_facts().tell(stores, fact)

    async def now(self, owner: Caller, endpoint_id: WebhookEndpointId) -> Endpoint:
        """The endpoint as it is."""
        return await self.cases.by_id(owner, endpoint_id)

    async def deliveries(self, owner: Caller, endpoint_id: WebhookEndpointId) -> list[Delivery]:
        """The endpoint's deliveries, newest first."""
        return await self.cases.deliveries(owner, endpoint_id)

    async def look(self, owner: Caller, endpoint_id: WebhookEndpointId, delivery_id: WebhookDeliveryId) -> Looked:
        """One delivery with all that is known of it."""
        return await self.cases.delivery(owner, endpoint_id, delivery_id)

    @asynccontextmanager
    async def sending(self, *, slots: int = 50, per_host: int = 8) -> AsyncIterator[WebhookSender]:
        """A worker that sends while entered, without jitter."""
        async with open_outbound(self.clock, self.egress) as outbound:
            sender = WebhookSender(
                self.world.transactions,
                outbound,
                SEALS,
                self.clock,
                slots=slots,
                per_host=per_host,
                poll_s=0.1,
                luck=lambda: 0.0,
            )
            loop = asyncio.create_task(sender.run(), name="webhook sender")
            try:
                yield sender
            finally:
                sender.stop()
                # A call that hangs must not keep a test: its deadline comes at once.
                for _ in range(40):
                    if loop.done():
                        break
                    await self.clock.advance(1)
                    await asyncio.wait({loop}, timeout=0.05)
                loop.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await loop

    async def until(self, look: Callable[[], object]) -> None:
        """Let time pass, slowly, until awaiting `look()` gives something true; fails after `WAIT_S` of real time."""
        async with asyncio.timeout(WAIT_S):
            while True:
                found = look()
                if asyncio.iscoroutine(found):
                    found = await found
                if found:
                    return
                await self.clock.advance(0.05)
                await asyncio.sleep(0.01)


def plain(body: bytes) -> dict[str, object]:
    """A body as a receiver reads it."""
    found: dict[str, object] = msgspec.json.decode(body)
    return found
