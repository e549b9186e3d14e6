"""Reactions: what somebody says with one touch, in the middle of an effort. Pure.

They mean now: they are counted, shown and forgotten. In no log, and nobody who was away gets them later.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final, Literal, get_args

from services.kernel.ids import AccountId

Reaction = Literal["high_five", "clap", "fire", "heart", "strong", "laugh"]
REACTIONS: Final[tuple[Reaction, ...]] = get_args(Reaction)

Gathered = Mapping[tuple[AccountId, Reaction], int]
"""How often who has reacted how, for a moment."""


def counts_of(
    gathered: Gathered, hidden: Callable[[AccountId], bool] | None = None
) -> tuple[tuple[Reaction, int], ...]:
    """How many of each kind there are, in the order of `REACTIONS`; without those whose author is `hidden`."""
    counts: Counter[Reaction] = Counter()
    for (author, kind), count in gathered.items():
        if hidden is None or not hidden(author):
            counts[kind] += count
    return tuple((kind, counts[kind]) for kind in REACTIONS if counts[kind])
