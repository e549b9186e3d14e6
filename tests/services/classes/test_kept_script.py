"""Scripts in the library: what they are called, and who may know of them and change them."""

import uuid
from typing import Final

import pytest
from msgspec.structs import replace

from services.classes.kept_script import (
    LibraryScript,
    ScriptLabel,
    changed,
    labelled,
    may_change,
    may_read,
    origin_of,
    view_of,
)
from services.kernel.caller import AccountRole, Caller
from services.kernel.ids import AccountId, LoginId, ScriptId
from services.kernel.problems import BadShape, Forbidden, NotFound
from tests.services.classes.scripts import script

NOW: Final = 1_800_000_000_000


def caller(number: int, name: str, *roles: AccountRole) -> Caller:
    return Caller(AccountId(uuid.UUID(int=number)), LoginId(uuid.UUID(int=number)), name, frozenset(roles), 2**53)


MIRA: Final = caller(1, "Mira", "coach")
NOE: Final = caller(2, "Noe", "coach")
KEPT: Final = LibraryScript(
    ScriptId(uuid.UUID(int=9)), MIRA.account_id, "Mira", ScriptLabel("Hills"), 60_000, 3, NOW, NOW + 5
)
SHARED: Final = replace(KEPT, label=replace(KEPT.label, shared="coaches"))


def test_a_label_is_cleaned_and_its_tags_are_small_and_each_there_once() -> None:
    label = labelled(ScriptLabel(" Two\n hills ", "  ", ("Hills", "hills", "Über  Berg")))
    assert label == ScriptLabel("Two hills", "", ("hills", "über berg"))


@pytest.mark.parametrize(
    ("label", "path"),
    [
        (ScriptLabel("\u200b"), "$.label.name"),
        (ScriptLabel("Hills", "\u2800"), "$.label.description"),
        (ScriptLabel("Hills", tags=("hills", " ")), "$.label.tags[1]"),
    ],
)
def test_a_label_with_nothing_to_be_read_in_it_is_refused_with_the_place(label: ScriptLabel, path: str) -> None:
    with pytest.raises(BadShape) as refused:
        labelled(label)
    assert refused.value.path == path


def test_a_private_script_exists_for_who_keeps_it_alone() -> None:
    """ASVS 8.2.2: what is somebody else's is not found."""
    assert may_read(KEPT, MIRA) == may_change(KEPT, MIRA) == KEPT
    for ask in (may_read, may_change):
        for there in (KEPT, None):
            with pytest.raises(NotFound):
                ask(there, NOE)


def test_a_shared_script_is_read_by_others_and_changed_by_who_keeps_it_alone() -> None:
    assert may_read(SHARED, NOE) == may_change(SHARED, MIRA) == SHARED
    with pytest.raises(Forbidden, match="make a copy"):
        may_change(SHARED, NOE)


def test_who_writes_no_scripts_any_more_changes_none() -> None:
    with pytest.raises(Forbidden):
        may_change(KEPT, replace(MIRA, roles=frozenset({"member"})))


def test_other_words_make_the_next_revision() -> None:
    other = changed(KEPT, SHARED.label, script(60, 30), NOW + 9)
    assert (other.revision, other.duration_ms, other.label) == (4, 90_000, SHARED.label)
    assert (other.created_ms, other.changed_ms) == (NOW, NOW + 9)


def test_a_copy_says_what_it_was_made_of() -> None:
    origin = origin_of(KEPT)
    assert (origin.id, origin.owner_name, origin.revision) == (KEPT.id, "Mira", 3)
    seen = view_of(replace(KEPT, owner_id=NOE.account_id, origin=origin), script(60))
    assert (seen.origin, seen.script, seen.owner_id) == (origin, script(60), NOE.account_id)
