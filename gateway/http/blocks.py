"""Blocks: whom you do not hear in any room. Nobody is told that they are blocked."""

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.kernel.ids import AccountId
from services.kernel.problems import Forbidden, NotFound, TooManyBlocks
from services.social.blocks import MAX_BLOCKS, BlockView


class BlockPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom, as the board of a class names them."""

    account: AccountId


class BlockList(msgspec.Struct, frozen=True):
    """Everybody whom you have blocked, the newest first."""

    blocks: tuple[BlockView, ...]


async def block(deps: GatewayDeps, call: Call[Nothing, Nothing, BlockPath]) -> None:
    await deps.blocks.block(call.caller, call.path.account)


async def unblock(deps: GatewayDeps, call: Call[Nothing, Nothing, BlockPath]) -> None:
    await deps.blocks.unblock(call.caller, call.path.account)


async def own_blocks(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> BlockList:
    return BlockList(tuple(await deps.blocks.own(call.caller)))


BLOCK = Route(
    "PUT",
    "/v1/blocks/{account}",
    name="block",
    permission=may.USE_BLOCKS,
    tag="people",
    does="Hear and see no more what somebody says, in any room, live or in its history.",
    more=(
        "It holds on this node when this is answered and on the others moments later. Whoever is blocked is not told, gets the"
        f" same answers as before and is heard by everybody else. Again is fine. An account may block {MAX_BLOCKS} people."
    ),
    handler=block,
    body=Nothing,
    query=Nothing,
    path=BlockPath,
    reply=None,
    status=204,
    problems=(Forbidden, NotFound, TooManyBlocks),
)
UNBLOCK = Route(
    "DELETE",
    "/v1/blocks/{account}",
    name="unblock",
    permission=may.USE_BLOCKS,
    tag="people",
    does="Hear somebody again. Somebody who was not blocked is fine, too.",
    handler=unblock,
    body=Nothing,
    query=Nothing,
    path=BlockPath,
    reply=None,
    status=204,
    problems=(Forbidden,),
)
OWN_BLOCKS = Route(
    "GET",
    "/v1/blocks",
    name="own_blocks",
    permission=may.USE_BLOCKS,
    tag="people",
    does="Everybody whom you have blocked.",
    handler=own_blocks,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=BlockList,
    problems=(Forbidden,),
)
