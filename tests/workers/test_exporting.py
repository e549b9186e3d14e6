"""A person's own data as one file: whole, by whichever worker, in bounded memory, and gone after a day."""

import hashlib
import json
import os
import tracemalloc
import uuid
import zipfile
from pathlib import Path
from typing import Any, Final

import pytest

from persistence.database import Database
from services.accounts.entitlements import Entitlements
from services.classes.showing import Consent, Showing
from services.kernel.caller import Caller
from services.kernel.clock import utc
from services.kernel.ids import AccountId, LoginId, StreamId, TaskId
from services.notifications.contact_link import ContactLinks
from services.safety.contacts import Contacts
from services.safety.ports import Chosen
from services.safety.safety import Safety
from services.safety.watching import Finding
from services.schedule.jobs import Tick
from services.social.friend import Request
from services.tasks.task import ExportAccount, Step, Task, TaskFile
from services.training import workouts
from services.training.sample import Motion, Sample
from tests.support.challenged import Challenged
from tests.support.planted import plant, told_in
from tests.support.world import World, steady
from workers.exporting import KEPT_H, STALE_H, STEP_WORKOUTS, ExportJobs, ExportKind, Exports

NOW: Final = Tick("test", 0)


@pytest.fixture
def world(database: Database) -> World:
    """An empty world."""
    return World(database)


class Exporting:
    """One export on its way, step by step; `epoch` is the worker's."""

    def __init__(self, world: World, folder: Path, ada: Caller) -> None:
        self.world = world
        self.folder = folder
        self.ada = ada
        self.id = TaskId(world.ids.next())
        self.epoch = 1
        self.last: Step | None = None
        self.kind = ExportKind(Exports(folder), world.clock)

    def task(self) -> Task:
        return Task(
            id=self.id,
            account_id=self.ada.account_id,
            work=ExportAccount(),
            state="running",
            created_ms=self.world.clock.wall_ms(),
            checkpoint=None if self.last is None else self.last.checkpoint,
            epoch=self.epoch,
        )

    async def step(self, *, committed: bool = True) -> Step:
        async with self.world.transactions() as stores:
            step = await self.kind.step(stores, self.task())
        if committed:
            self.last = step
        return step

    async def finish(self) -> TaskFile:
        while (step := await self.step()).result is None:
            pass
        assert step.result.file is not None
        return step.result.file

    def read(self, file: TaskFile) -> dict[str, bytes]:
        path = self.folder / file.name
        assert hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256
        assert path.stat().st_size == file.bytes
        with zipfile.ZipFile(path) as read:
            assert read.testzip() is None
            return {name: read.read(name) for name in read.namelist()}


async def finished(world: World, ada: Caller, *batches: list[Sample]) -> str:
    """A finished workout; its id."""
    workout_id, _ = await world.workout(ada, *batches)
    async with world.transactions() as stores:
        await stores.workouts.finish(workout_id, utc(world.clock.wall_ms()))
        await workouts.summarise(stores, workout_id)
    await world.clock.advance(3_600)
    return str(workout_id)


def lines(content: bytes) -> list[Any]:
    return [json.loads(line) for line in content.splitlines()]


async def test_it_holds_the_challenges_that_one_is_or_was_in(database: Database, tmp_path: Path) -> None:
    world = Challenged(database)
    ada, bob = await world.account(), await world.account("Bob")
    view = await world.challenge(bob, kind="count")
    await world.join(view, bob, ada)
    await world.works_out(ada)
    await world.challenges.leave(ada, view.id)
    export = Exporting(world, tmp_path / "exports", ada)
    (line,) = lines(export.read(await export.finish())["challenges.jsonl"])
    assert (line["challenge_id"], line["n"], line["zone"], line["value"]) == (str(view.id), 2, "UTC", 1)
    assert line["left_at"] is not None


async def test_it_holds_all_that_is_ours_and_nothing_of_anybody_else(world: World, tmp_path: Path) -> None:
    ada, bob = await world.account(), await world.account("Bob", "coach")
    live = await world.live_class(bob)
    await world.enter(live, ada)
    booked = await world.book(ada, await world.offer(bob))
    await world.book(await world.account("Cleo"), booked.class_id)
    async with world.transactions() as stores:
        await stores.blocks.add(ada.account_id, bob.account_id, utc(world.clock.wall_ms()))
        await stores.friends.put(Request(ada.account_id, bob.account_id, "Bobby", world.clock.wall_ms()))
    safety = Safety(world.transactions, world.clock, world.ids)
    entitlements = Entitlements(world.transactions, world.clock, world.ids)
    for caller in (ada, bob):
        await entitlements.grant(caller.account_id, "live", f"of {caller.name}", None, None)
        await safety.choose(caller, Chosen(on=True))
        finding = Finding("over_limit", world.clock.wall_ms(), 199)
        await safety.found(caller.account_id, live.id, StreamId(world.ids.next()), finding)
        contacts = Contacts(world.transactions, world.clock, world.ids, ContactLinks(b"secret"), offered=True)
        await contacts.name(caller, f"Contact of {caller.name}", f"contact-of-{caller.name.lower()}@example.org")
    mine = await finished(
        world, ada, steady(3), [Sample(3_000, None), Sample(4_000, 99, (600, 610), Motion(40, None, 170))]
    )
    his = await finished(world, bob, steady(5))
    export = Exporting(world, tmp_path / "exports", ada)
    content = export.read(await export.finish())
    profile = json.loads(content["profile.json"])
    assert (profile["id"], profile["name"]) == (str(ada.account_id), "Ada")
    assert "hash" not in str(profile)
    (membership,) = lines(content["memberships.jsonl"])
    assert (membership["class_id"], membership["role"]) == (str(live.id), "athlete")
    (booking,) = lines(content["bookings.jsonl"])
    assert (booking["id"], booking["title"], booking["state"]) == (str(booked.id), "Hills", "confirmed")
    (entitlement,) = lines(content["entitlements.jsonl"])
    assert (entitlement["name"], entitlement["source"], entitlement["until_at"]) == ("live", "of Ada", None)
    (block,) = lines(content["blocks.jsonl"])
    assert block["account_id"] == str(bob.account_id)
    (friend,) = lines(content["friends.jsonl"])
    assert (friend["account_id"], friend["state"], friend["called"]) == (str(bob.account_id), "asked", "Bobby")
    (incident,) = lines(content["incidents.jsonl"])
    assert (incident["kind"], incident["bpm"], incident["state"]) == ("over_limit", 199, "prompted")
    (contact,) = lines(content["emergency_contacts.jsonl"])
    assert (contact["name"], contact["email"]) == ("Contact of Ada", "contact-of-ada@example.org")
    assert contact["agreed_at"] is None
    (name,) = [name for name in content if name.startswith("workouts/")]
    assert mine in name
    first, *samples = lines(content[name])
    assert (first["workout"]["id"], first["workout"]["revision"]) == (mine, 1)
    assert [(one["sensor"], one["samples"], one["fed"]) for one in first["streams"]] == [(None, 5, None)]
    assert samples == [
        [0, 150, [], None],
        [1000, 150, [], None],
        [2000, 150, [], None],
        [3000, None, [], None],
        [4000, 99, [600, 610], [40, None, 170]],
    ]
    assert his.encode() not in b"".join(content.values())
    assert b"sample: [ms since the start" in content["README.txt"]


async def test_it_holds_how_one_is_shown_and_what_was_agreed_to(world: World, tmp_path: Path) -> None:
    ada, now = await world.account(), utc(world.clock.wall_ms())
    live = await world.live_class(await world.account("Bob", "coach"))
    async with world.transactions() as stores:
        await stores.showings.save_default(ada.account_id, Showing("alias", "Fox", body=True), now)
        await stores.showings.give(ada.account_id, [(uuid.uuid4(), Consent(None, "name", "coach", 1, now))])
    await world.enter(live, ada)
    export = Exporting(world, tmp_path / "exports", ada)
    content = export.read(await export.finish())
    shown = {"mode": "alias", "alias": "Fox", "revision": 0, "body": True, "age": False, "age_group": None}
    assert json.loads(content["display.json"]) == shown
    (consent,) = lines(content["consents.jsonl"])
    assert (consent["purpose"], consent["audience"], consent["withdrawn_at"]) == ("name", "coach", None)
    (membership,) = lines(content["memberships.jsonl"])
    assert (membership["display"], membership["alias"]) == ("alias", "Fox")


async def test_another_worker_goes_on_where_the_committed_part_ends(world: World, tmp_path: Path) -> None:
    ada = await world.account()
    made = {await finished(world, ada, steady(seconds)) for seconds in range(1, 2 * STEP_WORKOUTS + 4)}
    export = Exporting(world, tmp_path, ada)
    await export.step()
    await export.step()
    await export.step(committed=False)  # written, and its worker died before the commit
    export.epoch = 2
    zombie = Exporting(world, tmp_path, ada)
    zombie.id, zombie.last = export.id, export.last
    step = await export.step()
    assert (step.done, step.total) == (2 * STEP_WORKOUTS, 2 * STEP_WORKOUTS + 3)
    await zombie.step()  # the first worker was only frozen, and writes on
    content = export.read(await export.finish())
    names = [name for name in content if name.startswith("workouts/")]
    assert {name.split("_")[1].removesuffix(".jsonl") for name in names} == made
    assert len(names) == len(made)
    assert [path.name for path in tmp_path.glob("*")] == [f"{export.id}.2.zip"]


@pytest.mark.parametrize("loss", ["gone", "short"])
async def test_a_file_that_is_not_as_it_was_left_is_begun_anew(world: World, tmp_path: Path, loss: str) -> None:
    ada = await world.account()
    for _ in range(STEP_WORKOUTS + 2):
        await finished(world, ada, steady(2))
    export = Exporting(world, tmp_path, ada)
    await export.step()
    await export.step()
    (path,) = tmp_path.glob("*.zip")
    path.unlink() if loss == "gone" else os.truncate(path, 100)
    export.epoch = 2
    content = export.read(await export.finish())
    assert sum(name.startswith("workouts/") for name in content) == STEP_WORKOUTS + 2


async def test_a_long_history_does_not_fill_the_memory(world: World, tmp_path: Path) -> None:
    ada = await world.account()
    day = 20_000
    await finished(world, ada, *(steady(5_000, start=start) for start in range(0, day, 5_000)))
    export = Exporting(world, tmp_path, ada)
    await export.step()
    tracemalloc.start()
    try:
        await export.step()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    content = export.read(await export.finish())
    (name,) = [name for name in content if name.startswith("workouts/")]
    assert len(lines(content[name])) == day + 1
    assert len(content[name]) > 250_000
    assert peak < 2_000_000, "pages, whatever the length"


async def test_after_a_day_the_file_is_removed_and_so_is_what_nobody_accounts_for(world: World, tmp_path: Path) -> None:
    ada = await world.account()
    export = Exporting(world, tmp_path, ada)
    file = await export.finish()
    async with world.transactions() as stores:
        await stores.long_tasks.add(export.task(), "key")
        await stores.tx.execute("UPDATE long_tasks SET state = 'running', epoch = 1 WHERE id = $1", export.id)
        assert export.last is not None
        assert await stores.long_tasks.end(export.id, 1, "done", utc(world.clock.wall_ms()), result=export.last.result)
    left = tmp_path / "left-behind.1.zip"
    left.write_bytes(b"")
    jobs = ExportJobs(Exports(tmp_path), world.clock)

    async def removed() -> int:
        async with world.transactions() as stores:
            return await jobs.remove_old_exports(stores, NOW)

    now_s = world.clock.wall_ms() / 1_000
    os.utime(left, (now_s, now_s))
    os.utime(tmp_path / file.name, (now_s, now_s))
    await world.clock.advance(KEPT_H * 3_600 - 1)
    assert await removed() == 0
    await world.clock.advance(1)
    assert await removed() == 1
    assert list(tmp_path.iterdir()) == [left]
    await world.clock.advance((STALE_H - KEPT_H) * 3_600 + 1)
    assert await removed() == 1
    assert list(tmp_path.iterdir()) == []
    await world.clock.advance(30 * 86_400)
    async with world.transactions() as stores:
        assert await jobs.prune_long_tasks(stores, NOW) == 1


async def test_one_that_is_cancelled_leaves_nothing(world: World, tmp_path: Path) -> None:
    export = Exporting(world, tmp_path, await world.account())
    await export.step()
    assert list(tmp_path.iterdir())
    await export.kind.clean(export.task())
    assert list(tmp_path.iterdir()) == []


async def exported(database: Database, folder: Path, world: World, account_id: AccountId) -> dict[str, bytes]:
    export = Exporting(
        world, folder, Caller(account_id, LoginId(world.ids.next()), "Ada", frozenset({"member"}), 2**53)
    )
    return export.read(await export.finish())


@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "sealed"])
async def test_a_mark_in_every_column_that_is_about_somebody_is_in_their_copy_and_in_nobody_elses(
    database: Database, world: World, tmp_path: Path, *, sealed: bool
) -> None:
    """ASVS 14.2.1, GDPR article 15: everything, by the register of every column there is."""
    ada, bob = AccountId(world.ids.next()), AccountId(world.ids.next())
    hers, his = await plant(database, (ada, bob), (bob, ada))
    if sealed:
        async with world.transactions() as stores:
            while await stores.sealing_passes.go_on(100, utc(world.clock.wall_ms())):
                pass
    content = await exported(database, tmp_path, world, ada)
    columns = 0
    for row in hers.rows:
        told = told_in(row)
        if not told:
            continue
        found = lines(content[f"data/{row.entry.table}.jsonl"])
        wanted = {column: row.said[column] for column in told}
        if row.entry.table == "webhook_deliveries":
            wanted["body"] = row.values["body"].decode()
        there = any(wanted == {column: line.get(column) for column in told} for line in found)
        assert there, f"{row.entry.table}: {wanted} is not in {found}"
        columns += len(told)
    assert columns > 300
    everything = b"".join(content.values())
    for row, column, mark in his.texts():
        if len(row.entry.subjects) > 1:
            continue  # about both of them
        assert mark.encode() not in everything, f"{row.entry.table}.{column} is about somebody else"
    for row, column, mark in hers.texts():
        if row.entry.columns[column] == "secret":
            assert mark.encode() not in everything, f"{row.entry.table}.{column} is a secret"
