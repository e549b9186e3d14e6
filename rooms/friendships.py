"""Who is friends with whom, of the people who are in rooms on this node: a copy, so that a beat asks nobody.

Two who part are apart from the moment in which this hears of it. The database may have been asked before and answer afterwards; so
whoever asks takes a mark first, and what has been parted since the mark stays so, whatever the answer says.

Friends are kept as the numbers that their ids are: a beat intersects these sets with a board for each who filters it, and a UUID is
hashed and compared in Python, ten times slower than a number.
"""

from collections import deque
from collections.abc import Collection
from typing import Final

from services.kernel.ids import AccountId

KEPT: Final = 1_000
"""Partings that are remembered for answers on their way. With more of them during one question its answer counts for nothing."""
NOBODY: Final[frozenset[int]] = frozenset()


class Friendships:
    """See the module. Each side of a friendship has its own, as each is known for its own connections."""

    def __init__(self) -> None:
        self._friends: dict[AccountId, frozenset[int]] = {}
        self._parted: deque[tuple[int, AccountId, AccountId]] = deque(maxlen=KEPT)
        self._partings = 0

    def __contains__(self, account_id: AccountId) -> bool:
        return account_id in self._friends

    def accounts(self) -> Collection[AccountId]:
        """Everybody whose friends are known."""
        return self._friends.keys()

    def are_friends(self, account_id: AccountId, friend_id: AccountId) -> bool:
        """Whether an account has a friend, as far as its friends are known."""
        return friend_id.int in self.numbers(account_id)

    def numbers(self, account_id: AccountId) -> frozenset[int]:
        """The friends of an account as the numbers of their ids; nobody, where they are not known."""
        return self._friends.get(account_id, NOBODY)

    def mark(self) -> int:
        """Now, for `know`: take it before the database is asked."""
        return self._partings

    def know(self, account_id: AccountId, stored: frozenset[AccountId], mark: int) -> bool:
        """Take what was stored some time after `mark` in place of what was known. False when nobody can say whether that still
        holds: then they have no friends until it is read again."""
        sure = self._partings - mark <= len(self._parted)
        apart = {friend for n, one, friend in self._parted if n > mark and one == account_id}
        self._friends[account_id] = frozenset(friend.int for friend in stored - apart) if sure else NOBODY
        return sure

    def part(self, account_id: AccountId, friend_id: AccountId) -> None:
        """An account has a friend no more."""
        self._partings += 1
        self._parted.append((self._partings, account_id, friend_id))
        if account_id in self._friends:
            self._friends[account_id] -= {friend_id.int}

    def forget(self, account_id: AccountId) -> None:
        """Nobody of this account is here any more."""
        self._friends.pop(account_id, None)
