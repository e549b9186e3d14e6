"""Friends: two people who have both said so. Pure.

Whoever asks holds a request for thirty days. It is *open* to both until it is answered, and there are three ways for it to come to
nothing that look the same to whoever asked: nobody answers, it is *unwanted* (declined, or its author blocked), or there is nobody
of that account. It stays in its author's list in all of them, so asking finds out neither who has blocked whom nor who has an
account. It is kept when its author takes it back, too: otherwise asking, taking back and asking again would ring at somebody's door
all day long.

Two open requests across each other are a friendship.
"""

from typing import Annotated, Final, Literal

import msgspec

from services.kernel.ids import AccountId
from services.kernel.problems import TooManyFriendRequests, TooManyFriends

MAX_FRIENDS: Final = 200
"""Friends of one account and people whom it has asked, together: so there is room for each yes. Full means: part from somebody.
Chosen by feeling: a beat looks at as many lines for each who looks at their friends alone (rooms/filtering.py)."""
MAX_ASKED: Final = 50
"""People whom one account may ask in `LIFE_MS`, also those requests that it has taken back. Full means: wait."""
MAX_SHOWN: Final = 200
"""Requests that somebody is shown, the oldest first, and told of. Further ones come up as these are answered."""
LIFE_MS: Final = 30 * 86_400_000
MAX_CALLED: Final = 80

Called = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=MAX_CALLED,
        description="what you call them, in your list of requests; nobody else sees it",
    ),
]
State = Literal["asked", "friends"]
"""What asking has led to: a request that waits, or a friendship, because they had asked, too."""


class Request(msgspec.Struct, frozen=True):
    """A request as stored."""

    asker_id: AccountId
    asked_id: AccountId
    called: str
    asked_ms: int
    withdrawn: bool = False
    unwanted: bool = False


def is_over(request: Request, now_ms: int) -> bool:
    """Whether its time has run out: from then on it is as if it had never been."""
    return now_ms >= request.asked_ms + LIFE_MS


def is_meant(request: Request | None, now_ms: int) -> bool:
    """Whether somebody wants to be friends who has asked, whatever the other has thought of it so far."""
    return request is not None and not request.withdrawn and not is_over(request, now_ms)


def asked_again(request: Request, called: str, *, unwanted: bool) -> Request:
    """The same request, meant again. Who did not want it does not hear of it again."""
    return msgspec.structs.replace(request, called=called, withdrawn=False, unwanted=request.unwanted or unwanted)


def require_room(friends: int, asked: int) -> None:
    """Raise `TooManyFriends` where no further friend or request fits, `asked` being the requests that are not over."""
    if friends + asked >= MAX_FRIENDS:
        raise TooManyFriends(limit=MAX_FRIENDS)


def require_may_ask(friends: int, asked: int) -> None:
    """Raise `TooManyFriendRequests` or `TooManyFriends` where nobody else can be asked now."""
    if asked >= MAX_ASKED:
        raise TooManyFriendRequests(limit=MAX_ASKED)
    require_room(friends, asked)
