"""A class being played from its tapes: its notes one by one, and what each of them is to whoever watches.

A note is made into an event only when it is told (`told`), not when it is read: who is shown and who may hear what can change while
a player waits, and what was read ahead must not be told by what held before (`renew`).

With `standing`, a player that begins in the middle first gets the board as it stood there, which a client that was there then would
have had on its screen; without, the first board is that of the first beat from there on.

Pieces are read one at a time, so a class of any length is played in the memory of some seconds of it.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from persistence.stores import Transactions
from persistence.tapes import Piece
from realtime.wire import BoardChanges, BoardSnapshot
from rooms.retelling import Retelling, Retold, Telling, reel_of
from rooms.tape import Note, Said, notes_of
from services.classes.live_class import Membership
from services.kernel.ids import AccountId, ClassId

BREATH: Final = 2_000
"""Entries put on a board before others have their turn: some ms, measured with a thousand athletes."""


class Shown(msgspec.Struct, frozen=True, array_like=True):
    """One event of a class, as an array `[at_ms, event, payload]`: what a member would have got at an instant (wall clock)."""

    at_ms: int
    event: str
    payload: msgspec.Raw


class Viewing(msgspec.Struct, frozen=True):
    """Who is shown to whom: the `members` of the class as they are now, who looks (None: whoever runs the server), and the accounts
    and the messages of which they are told nothing."""

    members: tuple[Membership, ...]
    viewer: Membership | None = None
    unheard: frozenset[AccountId] = frozenset()
    taken_down: frozenset[str] = frozenset()


class Playback:
    """One playing of a class from `from_ms` (wall clock) on. `every_ms` says, whenever a board has been shown, how far the next one
    is from it at least; 0: every frame that was told."""

    def __init__(
        self,
        transactions: Transactions,
        class_id: ClassId,
        pieces: Sequence[Piece],
        viewing: Viewing,
        from_ms: int = 0,
        *,
        every_ms: Callable[[], int] = lambda: 0,
        standing: bool = False,
    ) -> None:
        self._transactions: Final = transactions
        self._class_id: Final = class_id
        self._reel: Final = reel_of(pieces, from_ms)
        self._every_ms: Final = every_ms
        self._standing = standing
        self._telling = _telling(class_id, viewing)
        self._retelling = Retelling()
        self._tape = ""
        self._last: Retold | None = None

    async def notes(self) -> AsyncGenerator[Said | Retold, None]:
        """What comes, in its order: what was said, and the frames of boards. Until the next one is asked for, `told` and `whole`
        are about this one."""
        for cut in self._reel:
            self._tape, self._retelling = cut.tape, Retelling()
            wanted, put = _Wanted(cut.after_ms, self._every_ms), 0
            for n in range(cut.first, cut.last + 1):
                ahead = _Ahead(await self._notes(cut.tape, n))
                playing = self._retelling.play(n, ahead, wanted)
                while True:
                    if self._standing and (ahead.at_ms or 0) > cut.after_ms:
                        self._standing = False
                        if (stood := self._retelling.rest()) is not None:
                            wanted.first = False
                            yield stood
                    note = next(playing, None)
                    if note is None:
                        break
                    if isinstance(note, Said):
                        if note.at_ms > cut.after_ms:
                            yield note
                        continue
                    beat, retold = note
                    put += len(beat.puts)
                    if retold is not None and (retold.changes or wanted.first):
                        wanted.first = False
                        yield retold
                        put = BREATH  # a frame of a thousand athletes takes some ms as well
                    if put >= BREATH:
                        put = 0
                        await asyncio.sleep(0)
            rest = self._retelling.rest()
            if rest is not None and rest.at_ms > cut.after_ms and (rest.changes or wanted.first):
                yield rest

    def told(self, note: Said | Retold) -> Shown | None:
        """The event of the note that came last. None for what was not for the viewer."""
        if isinstance(note, Said):
            payload = self._telling.said(note)
            return None if payload is None else Shown(note.at_ms, note.event, msgspec.Raw(payload))
        self._last = note
        return _shown(self._telling.tell(self._tape, self._retelling, note))

    def whole(self, at_ms: int) -> Shown:
        """The whole board, in place of the changes that were told last."""
        return _shown(self._telling.whole(self._retelling, at_ms))

    def renew(self, viewing: Viewing) -> Shown | None:
        """Show by this from now on. The board that stands, if there is one: nothing of it is to remain that may no longer be
        seen."""
        self._telling = _telling(self._class_id, viewing)
        return None if self._last is None else _shown(self._telling.tell(self._tape, self._retelling, self._last))

    async def _notes(self, tape: str, n: int) -> Iterator[Note]:
        async with self._transactions() as stores:
            data = await stores.tapes.notes(self._class_id, tape, n)
        return iter(()) if data is None else notes_of(data)


class _Wanted:
    """Which beats are shown: those after an instant, `every_ms` apart. `first` until one was."""

    def __init__(self, after_ms: int, every_ms: Callable[[], int]) -> None:
        self.first = True
        self._from_ms = after_ms + 1
        self._every_ms: Final = every_ms

    def __call__(self, at_ms: int) -> bool:
        wanted = at_ms >= self._from_ms
        if wanted:
            self._from_ms = at_ms + self._every_ms()
        return wanted


class _Ahead(Iterator[Note]):
    """Notes of which the instant of the next one is known before it is taken: `at_ms`, None when there is none."""

    def __init__(self, notes: Iterable[Note]) -> None:
        self._notes: Final = iter(notes)
        self._next = next(self._notes, None)

    @property
    def at_ms(self) -> int | None:
        return None if self._next is None else self._next.at_ms

    def __next__(self) -> Note:
        note = self._next
        if note is None:
            raise StopIteration
        self._next = next(self._notes, None)
        return note


def _telling(class_id: ClassId, viewing: Viewing) -> Telling:
    return Telling(class_id, viewing.members, viewing.viewer, viewing.unheard, viewing.taken_down)


def _shown(event: BoardSnapshot | BoardChanges) -> Shown:
    name = "board.snapshot" if isinstance(event, BoardSnapshot) else "board.changes"
    return Shown(event.at_ms, name, msgspec.Raw(msgspec.json.encode(event)))
