"""An erasure: somebody wants everything about them to go. Pure.

    asked --(GRACE)--> closed --(REST)--> emptied, stage by stage --> ended

Within the grace they may take it back, from any login; nothing has happened yet. When it is over the account is closed: nobody gets
in, its sockets end. What is about it goes only after a rest, so that nothing is written any more by a token that is still good, or
told by a room's log that has not run out.
"""

from typing import Final, Literal

import msgspec

from services.kernel.ids import AccountId
from services.privacy.entry import Blanked, Deleted, Entry, Subject
from services.privacy.register import ENTRIES, REGISTER

GRACE_MS: Final = 7 * 86_400_000
"""By feeling: long enough to hear of it when somebody else has asked, and for a second thought."""
REST_MS: Final = 3_600_000
"""At least: an access token lives for minutes, what was said in a room stays in its log for an hour (realtime/room_log.py)."""
SOMEBODY: Final = "somebody who left"

Stage = Literal["close", "things", "names", "rows", "blanks"]
STAGES: Final[tuple[Stage, ...]] = ("close", "things", "names", "rows", "blanks")
"""What is done, in this order; each may be cut off anywhere and be done again.

    close    nobody gets in any more; then a rest, until nothing can come any more
    things   what others would wait for in vain: places are given back, classes called off; files are removed
    names    where others keep the name, it becomes that of somebody who left
    rows     what is about them alone is deleted, and their data key with it
    blanks   what others need is blanked, their account last
"""


class Erasure(msgspec.Struct, frozen=True):
    """One erasure as stored; instants in ms since 1970, `stage` a place in `STAGES`."""

    account_id: AccountId
    asked_ms: int
    due_ms: int
    closed_ms: int | None = None
    stage: int = 0
    ended_ms: int | None = None


class ErasureView(msgspec.Struct, frozen=True):
    """How it stands with what you asked for; `due_ms` (ms since 1970) is when your account is closed, until then you may take it
    back."""

    asked_ms: int
    due_ms: int


def _depth(entry: Entry) -> int:
    return max((1 + _depth(ENTRIES[each.lead.table]) for each in entry.subjects if each.lead.table), default=0)


def _deleted() -> tuple[tuple[Entry, Subject], ...]:
    """What leads to other rows before these; the key last, so that whatever is still there can be read."""
    found = [(entry, each) for entry in REGISTER for each in entry.subjects if isinstance(each.erasure, Deleted)]
    return tuple(sorted(found, key=lambda pair: (-_depth(pair[0]), pair[0].table == "data_keys")))


def _blanked() -> tuple[tuple[Entry, Subject, Blanked], ...]:
    found = [
        (entry, each, each.erasure)
        for entry in REGISTER
        for each in entry.subjects
        if isinstance(each.erasure, Blanked)
    ]
    return tuple(sorted(found, key=lambda row: row[0].table == "accounts"))


DELETED: Final = _deleted()
BLANKED: Final = _blanked()
