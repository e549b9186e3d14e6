"""The chain of the audit: every way to change it is found, and where. No database.

Reliability, 3.3: alter, delete, reorder, truncate the tail, fork.
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from services.audit import chain
from services.audit.chain import BEGINNING, Finding, Link, Row, Verifier, hash_of, linked, written
from services.audit.checkpoint import (
    BadCheckpoint,
    Checkpoint,
    as_line,
    check,
    key_name,
    key_named,
    made,
    of_line,
)
from services.kernel.clock import ManualClock
from services.kernel.ids import Uuid7Ids

KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw()
AT_MS = 1_790_000_000_000


def row(number: int, ids: Uuid7Ids | None = None) -> Row:
    made_by = ids or Uuid7Ids(ManualClock())
    return Row(
        id=made_by.next(),
        at_ms=AT_MS + number,
        actor_kind="account",
        actor=made_by.next(),
        login=made_by.next(),
        app=None,
        name="",
        network="203.0.113.0/24",
        act="role.granted",
        about=made_by.next(),
        thing_kind="",
        thing="",
        reason=f"number {number}",
        data='{"role":"coach"}',
    )


def chain_of(count: int) -> list[Link]:
    ids = Uuid7Ids(ManualClock())
    return linked([row(number, ids) for number in range(1, count + 1)], 0, BEGINNING)


def checkpoint_of(link: Link) -> Checkpoint:
    return made(link.position, link.hash, AT_MS, PUBLIC, KEY.sign)


def findings(links: Sequence[Link], *checkpoints: Checkpoint) -> list[Finding]:
    verifier = Verifier(checkpoints)
    return [finding for link in links for finding in verifier.step(link)] + verifier.end()


def told(found: Sequence[Finding]) -> list[tuple[str, int]]:
    return [(finding.kind, finding.position) for finding in found]


def with_row(link: Link, **changes: object) -> Link:
    return msgspec.structs.replace(link, row=msgspec.structs.replace(link.row, **changes))


def test_a_chain_that_nobody_touched_is_whole() -> None:
    links = chain_of(10)
    assert findings(links, checkpoint_of(links[3]), checkpoint_of(links[9])) == []


def test_a_chain_that_is_lengthened_later_is_the_chain_made_at_once() -> None:
    links = chain_of(6)
    first = linked([link.row for link in links[:2]], 0, BEGINNING)
    assert first + linked([link.row for link in links[2:]], 2, first[-1].hash) == links


@pytest.mark.parametrize("field", Row.__struct_fields__)
def test_a_change_of_any_word_of_a_row_is_found_at_that_row_alone(field: str) -> None:
    links = chain_of(5)
    value = getattr(links[2].row, field)
    other = value + 1 if isinstance(value, int) else value + "x" if isinstance(value, str) else links[0].row.id
    links[2] = with_row(links[2], **{field: other})
    assert told(findings(links)) == [("altered", 3)]


def test_who_makes_the_hash_of_a_changed_row_anew_is_found_at_the_next_one() -> None:
    links = chain_of(5)
    forged = with_row(links[2], reason="nothing to see")
    links[2] = msgspec.structs.replace(forged, hash=hash_of(forged.previous, forged.row))
    assert told(findings(links)) == [("reordered", 4)]


def test_a_row_that_is_gone_leaves_its_place() -> None:
    links = chain_of(6)
    del links[2:4]
    (finding,) = findings(links)
    assert (finding.kind, finding.position) == ("deleted", 3)
    assert "3 to 4" in finding.text


def test_a_row_that_is_gone_is_found_when_the_rest_was_renumbered() -> None:
    links = chain_of(6)
    del links[2]
    links = [msgspec.structs.replace(link, position=n) for n, link in enumerate(links, 1)]
    assert told(findings(links)) == [("reordered", 3)]


def test_two_rows_that_changed_places_are_found() -> None:
    links = chain_of(6)
    links[2], links[3] = (
        msgspec.structs.replace(links[3], position=3),
        msgspec.structs.replace(links[2], position=4),
    )
    assert told(findings(links)) == [("reordered", 3), ("reordered", 4), ("reordered", 5)]


def test_a_tail_that_was_taken_off_is_found_by_a_checkpoint_and_only_by_one() -> None:
    links = chain_of(6)
    checkpoint = checkpoint_of(links[5])
    assert findings(links[:4]) == []
    (finding,) = findings(links[:4], checkpoint)
    assert (finding.kind, finding.position) == ("truncated", 6)
    assert "ends at 4" in finding.text


def test_a_chain_that_was_emptied_is_found_by_a_checkpoint() -> None:
    assert told(findings([], checkpoint_of(chain_of(3)[2]))) == [("truncated", 3)]


def test_a_chain_that_was_written_anew_is_found_by_a_checkpoint() -> None:
    links = chain_of(6)
    rows = [link.row for link in links]
    rows[1] = msgspec.structs.replace(rows[1], reason="another story")
    other = linked(rows, 0, BEGINNING)
    assert findings(other) == []
    assert told(findings(other, checkpoint_of(links[0]), checkpoint_of(links[4]))) == [("forked", 5)]


def test_several_breaches_are_each_told_once() -> None:
    links = chain_of(12)
    links[1] = with_row(links[1], reason="a")
    links[6] = with_row(links[6], reason="b")
    del links[9]
    assert told(findings(links)) == [("altered", 2), ("altered", 7), ("deleted", 10)]


@given(st.lists(st.text(), min_size=2, max_size=2), st.lists(st.text(), min_size=2, max_size=2))
def test_two_rows_that_say_different_things_are_written_differently(one: list[str], other: list[str]) -> None:
    first = msgspec.structs.replace(row(1), thing=one[0], reason=one[1])
    second = msgspec.structs.replace(first, thing=other[0], reason=other[1])
    assert (written(first) == written(second)) == (one == other)


def test_what_is_hashed_stays_what_it_was() -> None:
    """Rows that are out there have been hashed so: whoever changes this makes every audit look forged."""
    fixed = Row(
        id=UUID(int=1),
        at_ms=AT_MS,
        actor_kind="operator",
        actor=None,
        login=None,
        app=None,
        name="",
        network="2001:db8:aa::/48",
        act="keys.rotated",
        about=None,
        thing_kind="key",
        thing="é",
        reason='"quoted"',
        data="{}",
    )
    assert (
        written(fixed)
        == (
            '[1,"00000000-0000-0000-0000-000000000001",1790000000000,"operator",null,null,null,"","2001:db8:aa::/48",'
            '"keys.rotated",null,"key","é","\\"quoted\\"","{}"]'
        ).encode()
    )
    assert chain.VERSION == 1


# -- checkpoints ------------------------------------------------------------------------------------------------------


def test_a_checkpoint_comes_back_from_its_line_and_proves_itself() -> None:
    checkpoint = checkpoint_of(chain_of(3)[2])
    again = of_line(as_line(checkpoint))
    assert again == checkpoint
    check(again, [key_named(key_name(PUBLIC))])


@pytest.mark.parametrize("change", [{"position": 2}, {"hash": bytes(32)}, {"at_ms": 0}, {"signature": bytes(64)}])
def test_a_checkpoint_that_was_changed_proves_nothing(change: dict[str, object]) -> None:
    checkpoint = msgspec.structs.replace(checkpoint_of(chain_of(3)[2]), **change)
    with pytest.raises(BadCheckpoint, match="does not fit"):
        check(checkpoint, [PUBLIC])


def test_a_checkpoint_that_somebody_else_signed_proves_nothing() -> None:
    other = Ed25519PrivateKey.generate()
    checkpoint = made(1, bytes(32), AT_MS, other.public_key().public_bytes_raw(), other.sign)
    with pytest.raises(BadCheckpoint, match="--trust"):
        check(checkpoint, [PUBLIC])
    check(checkpoint, [PUBLIC, checkpoint.public])


def test_a_signature_over_the_same_words_for_another_purpose_is_none() -> None:
    """ASVS 9.2.2: what is signed for one use is not accepted for another."""
    checkpoint = checkpoint_of(chain_of(1)[0])
    bare = msgspec.json.encode([checkpoint.position, checkpoint.hash.hex(), checkpoint.at_ms])
    with pytest.raises(BadCheckpoint):
        check(msgspec.structs.replace(checkpoint, signature=KEY.sign(bare)), [PUBLIC])


@pytest.mark.parametrize("line", ["", "{}", "[]", '{"position":1}', as_line(checkpoint_of(chain_of(1)[0]))[:-3]])
def test_a_line_that_is_no_checkpoint_is_refused(line: str) -> None:
    with pytest.raises(BadCheckpoint):
        of_line(line)
