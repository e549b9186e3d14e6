"""Who does not see whom: the blocks of everybody who is in a room on this node, and what follows for what is said there.

A message goes out as one frame to everybody; whoever has blocked its author is left out. A frame names its author by number only,
because a name and an account may be what somebody does not show. A number that is not on the board yet, its share being still on
its way, could be anybody: then whoever blocks anybody is left out. They find the message in the history.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Final

import msgspec

from realtime.codec import payload_of
from realtime.frame import Frame
from realtime.wire import ChatRemoved, ChatSaid
from rooms.room import Room
from services.kernel.ids import AccountId

CHAT_EVENT: Final = "chat.said"
TAKEN_DOWN_EVENT: Final = "chat.removed"

_decode: Final = msgspec.json.Decoder(ChatSaid).decode
_decode_removed: Final = msgspec.json.Decoder(ChatRemoved).decode


class Screen:
    """Whom the accounts that are here have blocked. Asked for every message, so it is turned around: who has blocked its author."""

    def __init__(self) -> None:
        self._blocked: dict[AccountId, frozenset[AccountId]] = {}
        self._blockers: dict[AccountId, set[AccountId]] = {}

    def __contains__(self, account_id: AccountId) -> bool:
        return account_id in self._blocked

    def accounts(self) -> Collection[AccountId]:
        """Everybody whose blocks are known."""
        return self._blocked.keys()

    @property
    def blank(self) -> bool:
        """Whether nobody here has blocked anybody."""
        return not self._blockers

    def know(self, account_id: AccountId, blocked: frozenset[AccountId]) -> None:
        """Take what is stored in place of what was known."""
        self.forget(account_id)
        self._blocked[account_id] = blocked
        for other in blocked:
            self._blockers.setdefault(other, set()).add(account_id)

    def forget(self, account_id: AccountId) -> None:
        """Nobody of this account is here any more."""
        for other in self._blocked.pop(account_id, ()):
            blockers = self._blockers[other]
            blockers.discard(account_id)
            if not blockers:
                del self._blockers[other]

    def blockers(self, author: AccountId | None) -> Collection[AccountId]:
        """Who here has blocked the author; of one who is not known, whoever has blocked anybody."""
        if author is None:
            return [account_id for account_id, blocked in self._blocked.items() if blocked]
        return self._blockers.get(author, ())

    def hides(self, author: AccountId | None, account_id: AccountId) -> bool:
        """Whether what the author says is kept from an account."""
        blocked = self._blocked.get(account_id, frozenset())
        return bool(blocked) if author is None else author in blocked

    def shown(self, room: Room, account_id: AccountId, frames: Iterable[Frame]) -> Iterator[Frame]:
        """What an account gets to see of events out of a room's log: nothing that was taken down, also by one of these events."""
        frames = tuple(frames)
        taken_down = room.taken_down | {taken_down_in(frame) for frame in frames if frame.event == TAKEN_DOWN_EVENT}
        for frame in frames:
            if frame.event == CHAT_EVENT:
                said = said_in(frame)
                if said.position in taken_down or self.hides(room.account_of(said.n), account_id):
                    continue
            yield frame


def said_in(frame: Frame) -> ChatSaid:
    """The message in a frame of `CHAT_EVENT`."""
    return _decode(payload_of(frame))


def taken_down_in(frame: Frame) -> str:
    """Where the message stands that a frame of `TAKEN_DOWN_EVENT` takes down."""
    return _decode_removed(payload_of(frame)).removed


def author_of(room: Room, frame: Frame) -> AccountId | None:
    """Who said what is in a frame of `CHAT_EVENT`; None for a number that is not known here (yet)."""
    return room.account_of(said_in(frame).n)
