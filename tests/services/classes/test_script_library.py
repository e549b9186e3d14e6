"""The library of scripts on a real database: kept, found, changed, copied, taken into classes, and gone with who kept them."""

import asyncio
import itertools
import uuid
from datetime import date
from typing import Final

import pytest

from persistence.database import Database
from services.classes import script_library
from services.classes.class_clock import Start
from services.classes.kept_script import LibraryQuery, LibraryScriptView, ScriptLabel
from services.classes.offer import MS_PER_MINUTE, Terms
from services.classes.offers import Offers, open_doors
from services.classes.recurring import Recurring
from services.classes.script import Script
from services.classes.script_library import Library
from services.classes.series import Weekly
from services.classes.timeline import Timeline
from services.classes.timelines import ScriptDraft, Timelines
from services.kernel.caller import Caller
from services.kernel.ids import ClassId, ScriptId
from services.kernel.problems import (
    BadShape,
    ChangedMeanwhile,
    ClassStarted,
    Forbidden,
    KeyReused,
    NotFound,
    ScriptAwaited,
    TooManyScripts,
)
from services.privacy.erasure import DELETED
from services.privacy.register import ENTRIES
from tests.services.classes.scripts import script
from tests.support.world import World

HILLS: Final = script(60, 30, cues=(0, 50))
FLATS: Final = script(120)
THURSDAYS: Final = Weekly(days=("thu",), at="18:30", zone="Europe/Vienna", from_day=date(2026, 1, 1))
NOBODY: Final = ScriptId(uuid.UUID(int=1))


class EmptyRoom:
    """Nobody is there to be told."""

    async def moved(self, class_id: ClassId, timeline: Timeline) -> None:
        """Nobody."""


class Shelf:
    """A world with a library and what is done with it in a few words."""

    def __init__(self, world: World) -> None:
        self.world: Final = world
        self.script_library: Final = Library(world.transactions, world.clock, world.ids)
        self.timelines: Final = Timelines(world.transactions, world.clock, EmptyRoom())
        self.offers: Final = Offers(world.transactions, world.clock, world.ids)
        self.series: Final = Recurring(world.transactions, world.clock, world.ids)
        self._keys: Final = itertools.count(1)

    async def coach(self, name: str = "Mira") -> Caller:
        return await self.world.account(name, "member", "coach")

    async def keep(
        self,
        caller: Caller,
        name: str = "Hills",
        words: Script = HILLS,
        *,
        shared: bool = False,
        tags: tuple[str, ...] = (),
    ) -> LibraryScriptView:
        label = ScriptLabel(name, tags=tags, shared="coaches" if shared else "private")
        return await self.script_library.keep(caller, label, words, f"key{next(self._keys)}")

    async def names(self, caller: Caller, **asked: object) -> list[str]:
        query = LibraryQuery(**asked)  # type: ignore[arg-type]
        return [entry.label.name for entry in await self.script_library.page(caller, query)]

    async def offer(self, caller: Caller, script_id: ScriptId | None, in_min: int = 60) -> ClassId:
        return await self.world.offer(caller, in_min, script=script_id)

    async def doors(self, class_id: ClassId) -> Timeline:
        """The doors of a class open; its timeline."""
        async with self.world.transactions() as stores:
            assert await open_doors(stores, class_id, self.world.clock.wall_ms()) is not None
            return await stores.timelines.of(class_id)


@pytest.fixture
def shelf(database: Database) -> Shelf:
    """An empty library."""
    return Shelf(World(database))


async def test_a_kept_script_is_read_again_as_it_was_written(shelf: Shelf) -> None:
    mira = await shelf.coach()
    kept = await shelf.keep(mira, tags=("Hills",))
    assert await shelf.script_library.by_id(mira, kept.id) == kept
    assert (kept.script, kept.revision, kept.duration_ms, kept.label.tags) == (HILLS, 1, 90_000, ("hills",))
    assert kept.origin is None


async def test_authors_keep_scripts_and_members_do_not(shelf: Shelf) -> None:
    """ASVS 8.2.1: by role."""
    author, member = await shelf.world.account("Otto", "author"), await shelf.world.account()
    kept = await shelf.keep(author, shared=True)
    for refused in (
        shelf.keep(member),
        shelf.script_library.page(member, LibraryQuery(whose="any")),
        shelf.script_library.by_id(member, kept.id),
        shelf.script_library.copy(member, kept.id, "k"),
        shelf.script_library.delete(member, kept.id),
    ):
        with pytest.raises(Forbidden):
            await refused
    with pytest.raises(Forbidden):
        shelf.script_library.check(member, HILLS)


async def test_a_script_that_contradicts_itself_is_refused_with_the_place(shelf: Shelf) -> None:
    mira, wrong = await shelf.coach(), script(60, cues=(10, 5))
    kept = await shelf.keep(mira)
    with pytest.raises(BadShape) as checked:
        shelf.script_library.check(mira, wrong)
    with pytest.raises(BadShape) as stored:
        await shelf.keep(mira, words=wrong)
    with pytest.raises(BadShape) as changed:
        await shelf.script_library.change(mira, kept.id, kept.label, wrong, 1)
    assert {each.value.path for each in (checked, stored, changed)} == {"$.script.cues[1].at_ms"}
    assert shelf.script_library.check(mira, HILLS) == 90_000


async def test_the_same_request_again_finds_what_it_made_as_that_is_by_then(shelf: Shelf) -> None:
    mira, label = await shelf.coach(), ScriptLabel("Hills")
    made = await shelf.script_library.keep(mira, label, HILLS, "key")
    assert await shelf.script_library.keep(mira, label, HILLS, "key") == made
    with pytest.raises(KeyReused):
        await shelf.script_library.keep(mira, label, FLATS, "key")
    written_on = await shelf.script_library.change(mira, made.id, label, FLATS, 1)
    assert await shelf.script_library.keep(mira, label, HILLS, "key") == written_on
    assert await shelf.names(mira) == ["Hills"]


async def test_who_changes_what_was_changed_meanwhile_is_told_the_revision(shelf: Shelf) -> None:
    mira = await shelf.coach()
    kept = await shelf.keep(mira)
    both = await asyncio.gather(
        *(shelf.script_library.change(mira, kept.id, kept.label, words, 1) for words in (FLATS, HILLS)),
        return_exceptions=True,
    )
    (refused,) = (each for each in both if isinstance(each, ChangedMeanwhile))
    assert refused.data["revision"] == 2
    assert (await shelf.script_library.by_id(mira, kept.id)).revision == 2


async def test_scripts_are_found_by_their_name_by_their_tag_and_page_by_page(shelf: Shelf) -> None:
    mira, noe = await shelf.coach(), await shelf.coach("Noe")
    await shelf.keep(mira, "Two Hills", tags=("hills",))
    second = await shelf.keep(mira, "100% flat")
    await shelf.keep(noe, "Noe's secret hills")
    await shelf.keep(noe, "Noe's hills", shared=True, tags=("Hills",))
    assert await shelf.names(mira) == ["100% flat", "Two Hills"]
    assert await shelf.names(mira, whose="shared") == ["Noe's hills"]
    assert await shelf.names(mira, whose="any") == ["Noe's hills", "100% flat", "Two Hills"]
    assert await shelf.names(mira, whose="any", name="HILLS") == ["Noe's hills", "Two Hills"]
    assert await shelf.names(mira, name="%") == ["100% flat"], "a letter like any other"
    assert await shelf.names(mira, whose="any", tag="HILLS") == ["Noe's hills", "Two Hills"]
    assert await shelf.names(mira, whose="any", limit=1) == ["Noe's hills"]
    assert await shelf.names(mira, whose="any", after=second.id) == ["Two Hills"]


async def test_a_shared_script_is_copied_and_the_copy_says_where_it_comes_from(shelf: Shelf) -> None:
    mira, noe = await shelf.coach(), await shelf.coach("Noe")
    theirs = await shelf.keep(noe, "Noe's hills", shared=True)
    copy = await shelf.script_library.copy(mira, theirs.id, "copy")
    assert await shelf.script_library.copy(mira, theirs.id, "copy") == copy
    assert (copy.script, copy.owner_id, copy.label.shared, copy.revision) == (HILLS, mira.account_id, "private", 1)
    assert copy.origin is not None
    assert (copy.origin.id, copy.origin.owner_name, copy.origin.revision) == (theirs.id, "Noe", 1)
    mine = await shelf.script_library.change(mira, copy.id, ScriptLabel("My hills"), FLATS, 1)
    await shelf.script_library.delete(noe, theirs.id)
    left = await shelf.script_library.by_id(mira, copy.id)
    assert (left.script, left.label.name) == (FLATS, "My hills") == (mine.script, mine.label.name)
    assert left.origin is not None
    assert (left.origin.id, left.origin.owner_name) == (None, "Noe")


async def test_what_is_private_again_is_found_by_nobody_else(shelf: Shelf) -> None:
    """ASVS 8.2.2: what is somebody else's is not found."""
    mira, noe = await shelf.coach(), await shelf.coach("Noe")
    theirs = await shelf.keep(noe, shared=True)
    with pytest.raises(Forbidden):
        await shelf.script_library.change(mira, theirs.id, theirs.label, FLATS, 1)
    await shelf.script_library.change(noe, theirs.id, ScriptLabel("Hills"), HILLS, 1)
    live = await shelf.world.live_class(mira)
    for refused in (
        shelf.script_library.by_id(mira, theirs.id),
        shelf.script_library.copy(mira, theirs.id, "k"),
        shelf.script_library.change(mira, theirs.id, theirs.label, FLATS, 2),
        shelf.script_library.delete(mira, theirs.id),
        shelf.timelines.save_script(mira, live.id, ScriptDraft(library=theirs.id)),
        shelf.timelines.check_script(mira, live.id, ScriptDraft(library=theirs.id)),
    ):
        with pytest.raises(NotFound):
            await refused
    assert await shelf.names(mira, whose="any") == []


async def test_an_account_keeps_so_many_scripts_and_no_more(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script_library, "MOST_SCRIPTS", 3)
    mira = await shelf.coach()
    tried = await asyncio.gather(*(shelf.keep(mira, f"Hills {n}") for n in range(5)), return_exceptions=True)
    assert sum(isinstance(each, TooManyScripts) for each in tried) == 2
    (first, *_) = await shelf.script_library.page(mira, LibraryQuery())
    with pytest.raises(TooManyScripts):
        await shelf.script_library.copy(mira, first.id, "copy")
    await shelf.script_library.delete(mira, first.id)
    await shelf.script_library.copy(mira, (await shelf.script_library.page(mira, LibraryQuery()))[0].id, "copy")


async def test_a_class_takes_a_copy_that_stays_what_it_is(shelf: Shelf) -> None:
    mira, noe = await shelf.coach(), await shelf.coach("Noe")
    theirs = await shelf.keep(noe, shared=True)
    live = await shelf.world.live_class(mira)
    assert (await shelf.timelines.check_script(mira, live.id, ScriptDraft(library=theirs.id))).revision == 0
    taken = await shelf.timelines.save_script(mira, live.id, ScriptDraft(library=theirs.id))
    assert (taken.script, taken.revision, taken.duration_ms) == (HILLS, 1, 90_000)
    await shelf.script_library.change(noe, theirs.id, theirs.label, FLATS, 1)
    await shelf.script_library.delete(noe, theirs.id)
    assert await shelf.timelines.script(mira, live.id) == taken
    for draft in (ScriptDraft(revision=1), ScriptDraft(FLATS, 1, NOBODY)):
        with pytest.raises(BadShape):
            await shelf.timelines.save_script(mira, live.id, draft)
    with pytest.raises(ChangedMeanwhile):
        await shelf.timelines.save_script(mira, live.id, ScriptDraft(library=NOBODY))
    await shelf.timelines.control(mira, live.id, Start(), "start")
    with pytest.raises(ClassStarted):
        await shelf.timelines.save_script(mira, live.id, ScriptDraft(revision=1, library=NOBODY))


async def test_a_class_on_offer_gets_its_script_as_it_is_when_its_doors_open(shelf: Shelf) -> None:
    mira = await shelf.coach()
    kept = await shelf.keep(mira)
    class_id, bare = await shelf.offer(mira, kept.id), await shelf.offer(mira, None)
    await shelf.script_library.change(mira, kept.id, kept.label, FLATS, 1)
    await shelf.world.clock.advance(45 * 60)
    assert await shelf.doors(class_id) == Timeline(FLATS, 1)
    assert await shelf.doors(bare) == Timeline()
    await shelf.timelines.save_script(mira, class_id, ScriptDraft(HILLS, 1))


async def test_an_offer_names_a_script_of_its_coach_alone(shelf: Shelf) -> None:
    mira, noe = await shelf.coach(), await shelf.coach("Noe")
    theirs = await shelf.keep(noe, shared=True)
    class_id = await shelf.offer(mira, None)
    terms = Terms(title="Hills", duration_min=45, capacity=10, script=theirs.id)
    for refused in (
        shelf.offer(mira, theirs.id),
        shelf.offers.change(mira, class_id, shelf.world.clock.wall_ms() + 90 * MS_PER_MINUTE, terms),
        shelf.series.create(mira, THURSDAYS, terms, "series"),
    ):
        with pytest.raises(NotFound) as problem:
            await refused
        assert problem.value.path == "$.terms.script"


async def test_a_script_that_a_class_waits_for_is_not_deleted(shelf: Shelf) -> None:
    mira = await shelf.coach()
    kept = await shelf.keep(mira)
    class_id = await shelf.offer(mira, kept.id)
    with pytest.raises(ScriptAwaited):
        await shelf.script_library.delete(mira, kept.id)
    await shelf.offers.call_off(mira, class_id)
    terms = Terms(title="Hills", duration_min=45, capacity=10, script=kept.id)
    series = await shelf.series.create(mira, THURSDAYS, terms, "series")
    async with shelf.world.transactions() as stores:
        offered = [
            ClassId(row["id"])
            for row in await stores.tx.fetch("SELECT id FROM class_offers WHERE series_id = $1", series.id)
        ]
    assert offered
    for each in offered:
        await shelf.offers.call_off(mira, each)
    with pytest.raises(ScriptAwaited):
        await shelf.script_library.delete(mira, kept.id)
    await shelf.series.end(mira, series.id)
    await shelf.script_library.delete(mira, kept.id)
    with pytest.raises(NotFound):
        await shelf.script_library.by_id(mira, kept.id)


async def test_a_script_whose_class_has_its_doors_open_may_go(shelf: Shelf) -> None:
    mira = await shelf.coach()
    kept = await shelf.keep(mira)
    class_id = await shelf.offer(mira, kept.id)
    await shelf.world.clock.advance(45 * 60)
    opened = await shelf.doors(class_id)
    await shelf.script_library.delete(mira, kept.id)
    assert opened.script == HILLS


async def test_whose_account_is_erased_takes_their_scripts_along_and_copies_stay(shelf: Shelf) -> None:
    """ASVS 14.2.7: what is about one person alone goes with them."""
    mira, noe = await shelf.coach(), await shelf.coach("Noe")
    theirs = await shelf.keep(noe, shared=True)
    copy = await shelf.script_library.copy(mira, theirs.id, "copy")
    (subject,) = ENTRIES["library_scripts"].subjects
    assert (ENTRIES["library_scripts"], subject) in DELETED
    async with shelf.world.transactions() as stores:
        told = [line async for line in stores.personal_rows.lines(ENTRIES["library_scripts"], noe.account_id)]
        assert await stores.erasing.delete(ENTRIES["library_scripts"], subject, noe.account_id, 10) == 1
    assert len(told) == 1
    assert b'"Hills"' in told[0]
    left = await shelf.script_library.by_id(mira, copy.id)
    assert (left.script, left.origin and left.origin.id) == (HILLS, None)
