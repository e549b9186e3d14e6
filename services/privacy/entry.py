"""How the register describes a table: what its columns hold, whom its rows are about, and what becomes of them. Pure.

A row is about its *subjects*, each found by a lead: a column that holds the account, or that leads to a table which has one. A
row can be about two people, who then see different parts of it: who was reported does not learn by whom.

When somebody goes, their account's row stays without anything in it, so that what others keep still refers to somebody, shown as
"somebody who left". The id is then a pseudonym that leads to nobody. What is about them alone is deleted, what others need is
blanked.
"""

from collections.abc import Iterator
from enum import Enum
from typing import Final, Literal

import msgspec

Kind = Literal["account", "person", "key", "personal", "health", "secret", "house"]
"""What a column holds.

    account   the account that a row is about
    person    the account of somebody else, as an id
    key       an id or number by which rows are found
    personal  says something of the person
    health    says something of the person's body, or whom to call when it fails
    secret    opens something, or finds it (a blind index): about the person, and handed to nobody
    house     the program's own bookkeeping; says nothing of a person, or names them by an id at most
"""

TOLD: Final[frozenset[Kind]] = frozenset({"account", "person", "key", "personal", "health"})
"""What a person's own copy has: everything but what would open something and the bookkeeping."""
ABOUT_SOMEBODY: Final[frozenset[Kind]] = frozenset({"personal", "health", "secret"})


class Blank(Enum):
    """What stands in place of what was there: nothing, no text, no elements, the beginning of time, a name that says that somebody
    has left, an address that nobody can type."""

    NULL = "null"
    NO_TEXT = "no text"
    NO_ELEMENTS = "no elements"
    NO_TIME = "no time"
    SOMEBODY = "somebody"
    NO_ADDRESS = "no address"


class Deleted(msgspec.Struct, frozen=True):
    """Rows about whoever goes are deleted."""


class Kept(msgspec.Struct, frozen=True):
    """Rows stay as they are, `because` others need them; the id in them leads to nobody any more."""

    because: str


class Blanked(msgspec.Struct, frozen=True):
    """Rows stay without the columns in `blanks`; what else they say stays `because` others need it."""

    blanks: dict[str, Blank]
    because: str


Erasure = Deleted | Kept | Blanked


class Lead(msgspec.Struct, frozen=True):
    """`columns` of a row are the account's id, or are equal to `keys` of a row of `table`, which goes on leading."""

    columns: tuple[str, ...]
    table: str = ""
    keys: tuple[str, ...] = ()


class Subject(msgspec.Struct, frozen=True):
    """Somebody whom a row is about. `hides`: the columns that this one is not shown, as they are about somebody else."""

    lead: Lead
    erasure: Erasure
    hides: frozenset[str] = frozenset()


class Entry(msgspec.Struct, frozen=True):
    """One table. Without `subjects` it is about nobody."""

    table: str
    columns: dict[str, Kind]
    subjects: tuple[Subject, ...]
    why: str = ""

    def of(self, *kinds: Kind) -> list[str]:
        """The columns of these kinds."""
        return [name for name, kind in self.columns.items() if kind in kinds]

    def told_to(self, subject: Subject) -> list[str]:
        """The columns that one of its subjects has in their own copy."""
        return [name for name, kind in self.columns.items() if kind in TOLD and name not in subject.hides]


DELETED: Final = Deleted()


def by(column: str, erasure: Erasure = DELETED, *, hides: str = "") -> Subject:
    """Whose account's id stands in `column`; `hides` are names with spaces between."""
    return Subject(Lead((column,)), erasure, frozenset(hides.split()))


def through(columns: str, table: str, keys: str = "id", erasure: Erasure = DELETED, *, hides: str = "") -> Subject:
    """Whom a row of `table` is about whose `keys` are the `columns` of this one."""
    return Subject(Lead(tuple(columns.split()), table, tuple(keys.split())), erasure, frozenset(hides.split()))


def entry(table: str, *subjects: Subject, why: str = "", **columns: str) -> Entry:
    """One row of the register: `columns` by kind, names with spaces between. Raises ValueError for a column that is there twice."""
    kinds: dict[str, Kind] = {}
    for name, kind in _split(columns):
        if name in kinds:
            raise ValueError(f"{table}.{name} is in the register twice")
        kinds[name] = kind
    return Entry(table, kinds, subjects, why)


def _split(columns: dict[str, str]) -> Iterator[tuple[str, Kind]]:
    for kind, names in columns.items():
        yield from ((name, msgspec.convert(kind, Kind)) for name in names.split())
