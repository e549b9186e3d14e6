"""Friends: two people who have both said so. Who asks is told neither that they were declined nor that they are blocked."""

from typing import Final

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.kernel.ids import AccountId
from services.kernel.problems import Forbidden, NotFound, TooManyFriendRequests, TooManyFriends, YouBlocked
from services.social.friend import LIFE_MS, MAX_ASKED, MAX_FRIENDS, Called, State
from services.social.friends import Circle

DAYS: Final = LIFE_MS // 86_400_000


class FriendPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom, as the board of a class names them."""

    account: AccountId


class FriendAsk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request to somebody."""

    called: Called


class FriendAnswer(msgspec.Struct, frozen=True):
    """What asking has led to: `friends` where they had asked you, too; else it is `asked` and waits."""

    state: State


async def own_friends(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> Circle:
    return await deps.friends.own(call.caller)


async def ask_friend(deps: GatewayDeps, call: Call[FriendAsk, Nothing, FriendPath]) -> FriendAnswer:
    return FriendAnswer(await deps.friends.ask(call.caller, call.path.account, call.body.called))


async def withdraw_friend_request(deps: GatewayDeps, call: Call[Nothing, Nothing, FriendPath]) -> None:
    await deps.friends.withdraw(call.caller, call.path.account)


async def accept_friend(deps: GatewayDeps, call: Call[Nothing, Nothing, FriendPath]) -> None:
    await deps.friends.accept(call.caller, call.path.account)


async def decline_friend(deps: GatewayDeps, call: Call[Nothing, Nothing, FriendPath]) -> None:
    await deps.friends.decline(call.caller, call.path.account)


async def part_from_friend(deps: GatewayDeps, call: Call[Nothing, Nothing, FriendPath]) -> None:
    await deps.friends.part(call.caller, call.path.account)


OWN_FRIENDS = Route(
    "GET",
    "/v1/friends",
    name="own_friends",
    permission=may.USE_FRIENDS,
    tag="people",
    does="Your friends, whom you have asked, and who asks you.",
    handler=own_friends,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=Circle,
    problems=(Forbidden,),
)
ASK = Route(
    "PUT",
    "/v1/friends/{account}/request",
    name="ask_friend",
    permission=may.USE_FRIENDS,
    tag="people",
    does="Ask somebody to be friends.",
    more=(
        f"They have {DAYS} days to say yes. Where they have asked you, it is done. Until then the request stands in your list, also"
        " when they have declined or blocked you, or there is nobody of that account: the answers are the same. Asking again is"
        f" fine and tells them nothing new. You may ask {MAX_ASKED} people in {DAYS} days, and have {MAX_FRIENDS} friends, requests"
        " included."
    ),
    handler=ask_friend,
    body=FriendAsk,
    query=Nothing,
    path=FriendPath,
    reply=FriendAnswer,
    problems=(Forbidden, YouBlocked, TooManyFriends, TooManyFriendRequests),
)
WITHDRAW = Route(
    "DELETE",
    "/v1/friends/{account}/request",
    name="withdraw_friend_request",
    permission=may.USE_FRIENDS,
    tag="people",
    does="Take back what you have asked. A request that there is not is fine, too.",
    handler=withdraw_friend_request,
    body=Nothing,
    query=Nothing,
    path=FriendPath,
    reply=None,
    status=204,
    problems=(Forbidden,),
)
ACCEPT = Route(
    "PUT",
    "/v1/friends/{account}",
    name="accept_friend",
    permission=may.USE_FRIENDS,
    tag="people",
    does="Say yes to somebody who asks, also after having declined. Again is fine.",
    handler=accept_friend,
    body=Nothing,
    query=Nothing,
    path=FriendPath,
    reply=None,
    status=204,
    problems=(Forbidden, NotFound, YouBlocked, TooManyFriends),
)
DECLINE = Route(
    "POST",
    "/v1/friends/{account}/decline",
    name="decline_friend",
    permission=may.USE_FRIENDS,
    tag="people",
    does="Hear of a request no more. Whoever asked is not told. A request that there is not is fine, too.",
    handler=decline_friend,
    body=Nothing,
    query=Nothing,
    path=FriendPath,
    reply=None,
    status=204,
    problems=(Forbidden,),
)
PART = Route(
    "DELETE",
    "/v1/friends/{account}",
    name="part_from_friend",
    permission=may.USE_FRIENDS,
    tag="people",
    does="Be friends no more, at once on every board. They are not told. Somebody who was none is fine, too.",
    handler=part_from_friend,
    body=Nothing,
    query=Nothing,
    path=FriendPath,
    reply=None,
    status=204,
    problems=(Forbidden,),
)
