"""A lobby: people who come together for something that nobody leads, say that they are ready, and begin at the same instant. Pure.

Whoever says ready is marked, and may take it back until it begins. It begins by itself once everybody who is here is ready and
there are at least two of them: one alone is waiting for the others, and begins by asking for it. Who is here is for the caller to
know; that somebody goes away begins nothing, because nobody has asked for anything at that moment.

The beginning lies `COUNTDOWN_MS` ahead, so that everybody has heard of it before it comes: they count down by the server's time
and begin together, however slow their lines are. From then on newcomers are let in for a while (`shuts_ms`): they find their place
by the clock, as whoever comes late to a class does.
"""

from collections.abc import Collection
from typing import Final

import msgspec

from services.kernel.ids import AccountId

COUNTDOWN_MS: Final = 10_000
"""By feeling: long enough for hands to find the handlebar, and forty times what a slow line takes to say it."""
TOGETHER: Final = 2
"""So many have to be here for it to begin by itself."""
MS_PER_MINUTE: Final = 60_000


class Lobby(msgspec.Struct, frozen=True):
    """`ready`: who is, in the order in which they said so. `n` counts the changes: of two lobbies of one thing the one with the
    higher number is the newer, whichever way it came."""

    ready: tuple[AccountId, ...] = ()
    n: int = 0


class LobbyNow(msgspec.Struct, frozen=True):
    """A lobby by the numbers of its members: who is `ready`, in the order in which they said so; a higher `n` is newer."""

    ready: tuple[int, ...]
    n: int


def marked(lobby: Lobby, account_id: AccountId, *, ready: bool) -> Lobby:
    """The lobby after somebody has said that they are ready, or not; the same one when that is known."""
    if (account_id in lobby.ready) is ready:
        return lobby
    others = tuple(each for each in lobby.ready if each != account_id)
    return Lobby((*others, account_id) if ready else others, lobby.n + 1)


def begins(lobby: Lobby, here: Collection[AccountId]) -> bool:
    """Whether it begins by itself, now that somebody of those who are `here` has said ready."""
    return len(here) >= TOGETHER and set(here) <= set(lobby.ready)


def shuts_ms(begun_ms: int | None, late_min: int) -> int | None:
    """Until when newcomers are let in to what begins, or has begun, at `begun_ms`; None while that is not decided."""
    return None if begun_ms is None else begun_ms + late_min * MS_PER_MINUTE
