"""The long task `export_account`: everything that we have about a person, as a ZIP file of JSON.

    README.txt                    what the rest is
    profile.json                  the account and what it says about the body
    logins.jsonl                  one device per line
    memberships.jsonl             one class per line
    challenges.jsonl              one challenge per line
    bookings.jsonl                one booking of a class per line
    blocks.jsonl                  one person per line whom one does not hear
    friends.jsonl                 one friend per line, or person whom one has asked
    incidents.jsonl               one time per line that one was asked whether one is all right
    emergency_contacts.jsonl      one time per line that somebody was asked to be told
    consents.jsonl                one thing that was agreed to per line
    display.json                  how others see them in the classes to come
    workouts/DAY_ID.jsonl         a line with the workout and its summary, then one line per sample
    data/TABLE.jsonl              every row that the register says is about them (services/privacy/register.py), one per line
    manifest.json                 what is in data/: which columns of how many rows, and which are not told

The first step writes the small things, each further one a few workouts or tables, the last one the list of entries. That it is
everything follows from the register, which knows every column there is; a test plants a mark in each and finds it in the file. A
workout is read and packed in pages, so memory does not grow with anybody's history.

The file lies in a folder that all workers and gateways of an installation share. It is outside the transaction, so it is never
trusted further than the checkpoint says: going on cuts off what lies behind it. Each taking of the task has a file of its own,
named by its epoch, and begins by copying what is committed: a worker that was frozen and wakes up writes into a file that
nobody reads any more. A file that is missing or shorter than it should be (another machine's folder, a lost disk) begins anew.

A finished file can be fetched for `KEPT_H` hours; then a job removes it, and whatever else lies in the folder for no reason.
"""

import asyncio
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from persistence.personal import contact_lines, incident_lines, personal
from persistence.stores import Stores
from services.accounts.account import view_of as account_view
from services.classes.showing import Showing
from services.kernel.clock import Clock, utc
from services.kernel.ids import AccountId, TaskId, WorkoutId
from services.privacy.entry import Entry
from services.privacy.register import REGISTER
from services.schedule.jobs import Tick
from services.tasks.task import AnyWork, ExportAccount, Step, Task, TaskFile, TaskResult
from services.training.origin import StreamOrigin, origins_of
from services.training.workouts import READ_AT_ONCE, Workout
from workers.retry import Unprocessable
from workers.zip_file import BrokenFile, FileTooLarge, ZipFile

KEPT_H: Final = 24
STALE_H: Final = 72
"""Age of a file that no task accounts for, from which on it is swept: the longest a task may reasonably take."""
STEP_WORKOUTS: Final = 10
STEP_BYTES: Final = 1 << 20
"""A step ends after so many workouts, or when it has written so much."""
STEP_TABLES: Final = 10
PIECE_BYTES: Final = 1 << 16
TABLES: Final = tuple(entry for entry in REGISTER if entry.subjects)
BITE: Final = 50
TASK_DAYS: Final = 30
"""How long ended tasks can be looked at; as long, their keys are remembered."""


README: Final = """What Paceline has about you, as of the day you asked for it.

profile.json       your account and what you told about your body
logins.jsonl       one line per device that was logged in
memberships.jsonl  one line per class you took part in or gave
challenges.jsonl   one line per challenge you are or were in
bookings.jsonl     one line per class you have booked, whatever became of it
entitlements.jsonl one line per thing that you were entitled to: by whom (source), from when to when
blocks.jsonl       one line per account that you have blocked
friends.jsonl      one line per friend, and per person whom you have asked within 30 days
incidents.jsonl    one line per time that you were asked whether you are all right, for 90 days
emergency_contacts.jsonl
                   one line per time that you asked somebody to be your emergency contact
consents.jsonl     one line per thing you agreed to show: what (purpose), to whom at most (audience), from when to when; without a
                   class_id it was for the classes to come
display.json       how others see you in the classes that you join from now on
workouts/          one file per finished workout. Its first line is the workout with its summary and the body it was
                   judged by, and what fed each of its streams: the sensor, as far as it said, and where you wore several in
                   a class, from when to when this one was shown and counted. Each further line is one
                   sample: [ms since the start, beats per minute or null, the intervals between beats in ms as far as
                   the sensor measured them, [metres on the counter, watts, turns or steps per minute] as far as
                   a machine or a foot pod measured them, or null].
data/              everything else that we keep about you, as it lies in our database: one file per table, one line of JSON per
                   row. What is not told is what would open something (hashes of passwords, keys) and our own bookkeeping.
manifest.json      what is in data/: the columns of each file by what they hold, and how many lines it has

Times that end in _ms are milliseconds since 1970-01-01 UTC. Heart rates are in beats per minute, masses in kg.
"""


class _Place(msgspec.Struct, frozen=True):
    """Where it is: the epoch whose file holds `offset` good bytes, the last workout in it, how many those are, and the lines of
    each table that is in it."""

    epoch: int
    offset: int
    total: int
    done: int = 0
    after: WorkoutId | None = None
    lines: dict[str, int] = {}


class _TableNote(msgspec.Struct, frozen=True):
    """A table in the manifest: `columns` by what they hold, `not_told` those that are not in the file."""

    file: str
    lines: int
    columns: dict[str, str]
    not_told: tuple[str, ...]


class _Manifest(msgspec.Struct, frozen=True):
    """What is in `data/`. `format` changes when files come to mean something else."""

    format: str
    account: str
    made_at: datetime
    tables: tuple[_TableNote, ...]


class _WorkoutLine(msgspec.Struct, frozen=True):
    """The first line of a workout's file."""

    workout: Workout
    streams: tuple[StreamOrigin, ...]


class Exports:
    """The files. Methods with `_` in front of their name block and run in threads."""

    def __init__(self, folder: Path) -> None:
        self._folder: Final = folder

    def name_of(self, task_id: TaskId, epoch: int) -> str:
        return f"{task_id}.{epoch}.zip"

    def path_of(self, name: str) -> Path:
        return self._folder / name

    async def adopt(self, task: Task, place: _Place) -> _Place | None:
        """Go on with another epoch's file, in one of our own; None when it is not there as it should be."""
        if place.epoch == task.epoch:
            return place
        copied = await asyncio.to_thread(self._copy, task, place)
        return msgspec.structs.replace(place, epoch=task.epoch) if copied else None

    async def remove(self, task_id: TaskId, but: str = "") -> None:
        """Remove the files of a task, except one."""
        await asyncio.to_thread(self._remove, task_id, but)

    async def sweep(self, before_s: float) -> int:
        """Remove up to `BITE` files that were last written before an instant (s since 1970); how many they were."""
        return await asyncio.to_thread(self._sweep, before_s)

    def _copy(self, task: Task, place: _Place) -> bool:
        old, new = (self.path_of(self.name_of(task.id, epoch)) for epoch in (place.epoch, task.epoch))
        try:
            with old.open("rb") as source, new.open("wb") as target:
                new.chmod(0o600)
                shutil.copyfileobj(source, target)
        except FileNotFoundError:
            return False
        return new.stat().st_size >= place.offset

    def _remove(self, task_id: TaskId, but: str) -> None:
        for path in self._folder.glob(f"{task_id}.*.zip"):
            if path.name != but:
                path.unlink(missing_ok=True)

    def _sweep(self, before_s: float) -> int:
        swept = 0
        for path in self._folder.glob("*.zip"):
            if swept < BITE and path.stat().st_mtime < before_s:
                path.unlink(missing_ok=True)
                swept += 1
        return swept


class ExportKind:
    """See `workers.long_tasks.Kind`."""

    work: Final[type[AnyWork]] = ExportAccount
    concurrency: Final = 2

    def __init__(self, exports: Exports, clock: Clock) -> None:
        self._exports: Final = exports
        self._clock: Final = clock

    async def step(self, stores: Stores, task: Task) -> Step:
        """The small things, a few workouts, or the list of entries."""
        place = None if task.checkpoint is None else msgspec.json.decode(task.checkpoint, type=_Place)
        if place is not None:
            place = await self._exports.adopt(task, place)
        try:
            if place is None:
                return await self._begin(stores, task)
            workouts = await stores.workouts.following(
                task.account_id, after=place.after, since=None, limit=STEP_WORKOUTS
            )
            if workouts:
                return await self._go_on(stores, task, place, workouts)
            if len(place.lines) < len(TABLES):
                return await self._tables(stores, task, place)
            return await self._finish(task, place)
        except BrokenFile:
            return await self._begin(stores, task)
        except FileTooLarge as problem:
            raise Unprocessable(f"it is too much for one file: {problem}") from problem

    async def clean(self, task: Task) -> None:
        """Remove its files."""
        await self._exports.remove(task.id)

    async def _begin(self, stores: Stores, task: Task) -> Step:
        account = await stores.accounts.by_id(task.account_id)
        if account is None:
            raise Unprocessable("the account is gone")
        small = await personal(stores.tx, task.account_id)
        incidents = await incident_lines(stores.safety, task.account_id)
        contacts = await contact_lines(stores.contacts, stores.contact_phones, task.account_id)
        profile = msgspec.json.format(msgspec.json.encode(account_view(account)))
        consents = await stores.showings.ledger(task.account_id)
        display = msgspec.json.format(msgspec.json.encode(await stores.showings.default(task.account_id) or Showing()))
        at = utc(self._clock.wall_ms())

        def write() -> int:
            path = self._path(task)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with ZipFile(path) as file:
                for name, content in (
                    ("README.txt", README.encode()),
                    ("profile.json", profile),
                    ("logins.jsonl", b"".join(map(_line, small.logins))),
                    ("memberships.jsonl", b"".join(map(_line, small.memberships))),
                    ("challenges.jsonl", b"".join(map(_line, small.challenges))),
                    ("bookings.jsonl", b"".join(map(_line, small.bookings))),
                    ("entitlements.jsonl", b"".join(map(_line, small.entitlements))),
                    ("blocks.jsonl", b"".join(map(_line, small.blocks))),
                    ("friends.jsonl", b"".join(map(_line, small.friends))),
                    ("incidents.jsonl", b"".join(map(_line, incidents))),
                    ("emergency_contacts.jsonl", b"".join(map(_line, contacts))),
                    ("consents.jsonl", b"".join(map(_line, consents))),
                    ("display.json", display),
                ):
                    file.begin(name, at)
                    file.write(content)
                    file.end()
                file.sync()
                return file.offset

        offset = await asyncio.to_thread(write)
        total = await stores.workouts.count_finished(task.account_id, None)
        return _step(_Place(task.epoch, offset, total))

    async def _go_on(self, stores: Stores, task: Task, place: _Place, workouts: list[Workout]) -> Step:
        after, done = place.after, place.done
        file = await asyncio.to_thread(ZipFile, self._path(task), place.offset)
        with file:
            for workout in workouts:
                await self._write(stores, file, workout)
                after, done = workout.id, done + 1
                if file.offset - place.offset > STEP_BYTES:
                    break
            await asyncio.to_thread(file.sync)
            return _step(_Place(task.epoch, file.offset, place.total, done, after, place.lines))

    async def _tables(self, stores: Stores, task: Task, place: _Place) -> Step:
        """A few tables more, by the register."""
        lines = dict(place.lines)
        at = utc(self._clock.wall_ms())
        file = await asyncio.to_thread(ZipFile, self._path(task), place.offset)
        with file:
            for entry in TABLES[len(lines) :]:
                lines[entry.table] = await self._table(stores, file, entry, task.account_id, at)
                if file.offset - place.offset > STEP_BYTES or len(lines) - len(place.lines) >= STEP_TABLES:
                    break
            await asyncio.to_thread(file.sync)
            return _step(msgspec.structs.replace(place, epoch=task.epoch, offset=file.offset, lines=lines))

    async def _table(self, stores: Stores, file: ZipFile, entry: Entry, account_id: AccountId, at: datetime) -> int:
        """How many lines it has. Without any there is no file."""
        count, piece = 0, bytearray()
        async for line in stores.personal_rows.lines(entry, account_id):
            if not count:
                file.begin(_file_of(entry), at)
            count += 1
            piece += line
            if len(piece) > PIECE_BYTES:
                await asyncio.to_thread(file.write, bytes(piece))
                piece.clear()
        if count:
            await asyncio.to_thread(file.write, bytes(piece))
            await asyncio.to_thread(file.end)
        return count

    async def _write(self, stores: Stores, file: ZipFile, workout: Workout) -> None:
        at = utc(workout.created_at_ms)
        file.begin(f"workouts/{at:%Y-%m-%d}_{workout.id}.jsonl", at)
        await asyncio.to_thread(file.write, _line(_WorkoutLine(workout, await origins_of(stores.streams, workout))))
        position = 0
        while page := await stores.workouts.samples(workout.id, position, READ_AT_ONCE):
            position += len(page)
            await asyncio.to_thread(file.write, b"".join(map(_line, page)))
        await asyncio.to_thread(file.end)

    async def _finish(self, task: Task, place: _Place) -> Step:
        at = utc(self._clock.wall_ms())
        manifest = _Manifest("paceline export 2", str(task.account_id), at, tuple(_notes(place.lines)))

        def finish() -> tuple[int, str]:
            with ZipFile(self._path(task), place.offset) as file:
                file.begin("manifest.json", at)
                file.write(msgspec.json.format(msgspec.json.encode(manifest)))
                file.end()
                return file.finish()

        size, digest = await asyncio.to_thread(finish)
        name = self._exports.name_of(task.id, task.epoch)
        await self._exports.remove(task.id, but=name)
        until_ms = self._clock.wall_ms() + KEPT_H * 3_600_000
        return _step(place, TaskResult(file=TaskFile(name, size, digest, until_ms)))

    def _path(self, task: Task) -> Path:
        return self._exports.path_of(self._exports.name_of(task.id, task.epoch))


class ExportJobs:
    """What the schedule does for long tasks and their files."""

    def __init__(self, exports: Exports, clock: Clock) -> None:
        self._exports: Final = exports
        self._clock: Final = clock

    async def remove_old_exports(self, stores: Stores, _: Tick) -> int:
        """Remove files whose time is over, and such that nobody accounts for."""
        now_ms = self._clock.wall_ms()
        old = await stores.long_tasks.outdated_files(utc(now_ms), BITE)
        for task_id, _name in old:
            await self._exports.remove(task_id)
        await stores.long_tasks.forget_files([task_id for task_id, _name in old])
        return len(old) + await self._exports.sweep(now_ms / 1_000 - STALE_H * 3_600)

    async def prune_long_tasks(self, stores: Stores, _: Tick) -> int:
        """Forget tasks that ended long ago."""
        return await stores.long_tasks.prune(utc(self._clock.wall_ms()) - timedelta(days=TASK_DAYS), BITE)


def _step(place: _Place, result: TaskResult | None = None) -> Step:
    return Step(
        checkpoint=msgspec.json.encode(place).decode(),
        done=place.done,
        total=max(place.total, place.done),
        note="workouts",
        result=result,
    )


def _notes(lines: dict[str, int]) -> Iterator[_TableNote]:
    for entry in TABLES:
        told = {name for subject in entry.subjects for name in entry.told_to(subject)}
        columns = {name: str(kind) for name, kind in entry.columns.items() if name in told}
        yield _TableNote(_file_of(entry), lines[entry.table], columns, tuple(entry.columns.keys() - told))


def _file_of(entry: Entry) -> str:
    return f"data/{entry.table}.jsonl"


def _line(value: msgspec.Struct) -> bytes:
    return msgspec.json.encode(value) + b"\n"
