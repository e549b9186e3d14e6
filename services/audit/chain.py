"""The chain: why a change of the audit is found.

Each row carries the hash of the row before it, and its own: SHA-256 over that hash and over what the row says (`written`). Whoever
changes, removes, inserts or moves a row breaks it there, and to mend it would have to make every later hash anew, which a signed
checkpoint outside the database contradicts (checkpoint.py).

A row's own place is not part of its hash, so the two things that can be wrong with it are told apart. If what it says does not
make its hash, it was altered. If it does, but the hash before it is not that of the row before it, it stands in the wrong place:
rows were moved, or one between them was taken out. `Verifier` goes on from each breach with what is stored, so every one is told,
and once.

Rows have pseudonyms instead of accounts: which account one stands for is kept beside the chain, and an erasure takes that away
without touching a row.
"""

import hashlib
from collections.abc import Iterable
from typing import Final, Literal
from uuid import UUID

import msgspec

from services.audit.checkpoint import Checkpoint

BEGINNING: Final = bytes(32)
"""What the first row has for the hash before it."""
VERSION: Final = 1
"""The first word of what is hashed: how a row is written. A row that is written otherwise gets another number."""

FindingKind = Literal["altered", "deleted", "reordered", "truncated", "forked", "checkpoint"]


class Row(msgspec.Struct, frozen=True):
    """One row as it is hashed. `actor` and `about` are pseudonyms; `data` is JSON with its keys in order."""

    id: UUID
    at_ms: int
    actor_kind: str
    actor: UUID | None
    login: UUID | None
    app: UUID | None
    name: str
    network: str
    act: str
    about: UUID | None
    thing_kind: str
    thing: str
    reason: str
    data: str


class Link(msgspec.Struct, frozen=True):
    """A row in its place: `position` counts from 1 without holes."""

    position: int
    previous: bytes
    hash: bytes
    row: Row


class Finding(msgspec.Struct, frozen=True):
    """What is wrong, and where: at which position, or after which one."""

    kind: FindingKind
    position: int
    text: str

    def __str__(self) -> str:
        return f"{self.kind} at {self.position}: {self.text}"


def written(row: Row) -> bytes:
    """What is hashed of a row: a JSON list, so that no two rows are written alike, whatever is in their texts."""
    return msgspec.json.encode([VERSION, *msgspec.structs.astuple(row)])


def hash_of(previous: bytes, row: Row) -> bytes:
    """The hash of a row after the one that has the hash `previous`."""
    return hashlib.sha256(previous + written(row)).digest()


def linked(rows: Iterable[Row], after: int, previous: bytes) -> list[Link]:
    """The rows in their places, behind the one at `after` (0: none), whose hash is `previous`."""
    links = []
    for position, row in enumerate(rows, after + 1):
        links.append(Link(position, previous, hash_of(previous, row), row))
        previous = links[-1].hash
    return links


class Verifier:
    """Reads a chain from its beginning, link by link, and says what is wrong with it.

    `checkpoints` are those whose signatures are good; what they say is compared as their positions come by. It begins behind the
    row at `after`, whose hash is `previous`, if not at the beginning.
    """

    def __init__(self, checkpoints: Iterable[Checkpoint] = (), *, after: int = 0, previous: bytes = BEGINNING) -> None:
        self._expected: Final[dict[int, list[Checkpoint]]] = {}
        for checkpoint in checkpoints:
            self._expected.setdefault(checkpoint.position, []).append(checkpoint)
        self.position = after
        """The last position that was read."""
        self.head = previous
        """The hash of the last row that was read."""

    def step(self, link: Link) -> list[Finding]:
        """What is wrong with the next link. They come in the order of their positions."""
        found = []
        place = self.position + 1
        missing = link.position - place
        if missing > 0:
            lost = str(place) if missing == 1 else f"{place} to {link.position - 1}"
            found.append(Finding("deleted", place, f"{missing} rows are not there ({lost})"))
        if hash_of(link.previous, link.row) != link.hash:
            found.append(
                Finding("altered", link.position, f"entry {link.row.id} ({link.row.act}) is not what was hashed")
            )
        elif not missing and link.previous != self.head:
            found.append(
                Finding(
                    "reordered",
                    link.position,
                    f"entry {link.row.id} ({link.row.act}) was not written behind the one before it:"
                    " rows were moved, or one was taken out and the rest renumbered",
                )
            )
        for checkpoint in self._expected.pop(link.position, ()):
            if checkpoint.hash != link.hash:
                found.append(
                    Finding(
                        "forked",
                        link.position,
                        f"the checkpoint of {checkpoint.when} has {checkpoint.hash.hex()}, the chain {link.hash.hex()}:"
                        " the chain was written anew up to here",
                    )
                )
        self.position, self.head = link.position, link.hash
        return found

    def end(self) -> list[Finding]:
        """What is missing behind the last link: rows that a checkpoint has seen."""
        return [
            Finding(
                "truncated" if position > self.position else "deleted",
                position,
                f"the checkpoint of {checkpoint.when} has seen a row there, and the chain ends at {self.position}"
                if position > self.position
                else f"the checkpoint of {checkpoint.when} has seen a row there, which is gone",
            )
            for position, checkpoints in sorted(self._expected.items())
            if position > 0
            for checkpoint in checkpoints
        ]
