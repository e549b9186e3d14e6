"""A member of the bench holds exactly the board that the server told, and notices when it cannot."""

import uuid

from realtime.wire import BoardChanges, BoardSnapshot, Member, Row
from services.kernel.ids import AccountId, ClassId
from tests.faults.watcher import Fold, payload_of

ROOM = ClassId(uuid.UUID(int=1))


def row(n: int, bpm: int) -> Row:
    return Row(n, 1, bpm, 70, 3, 1.0, "live")


def seat(n: int) -> Member:
    return Member(n=n, account_id=AccountId(uuid.UUID(int=n)), name="Ada", role="athlete")


def whole(v: int, *rows: Row, epoch: str = "e") -> BoardSnapshot:
    return BoardSnapshot(ROOM, epoch, v, 0, (seat(1), seat(2)), rows)


def changes(v: int, *rows: Row, epoch: str = "e") -> BoardChanges:
    return BoardChanges(ROOM, epoch, v, 0, rows)


def folded() -> Fold:
    fold = Fold()
    fold.take(whole(3, row(1, 100), row(2, 110)))
    return fold


def test_a_snapshot_and_what_follows_upon_it_are_the_servers_board() -> None:
    fold = folded()
    assert fold.change(changes(4, row(2, 120)))
    assert fold.agrees(whole(4, row(1, 100), row(2, 120)))


def test_changes_that_do_not_follow_are_not_applied() -> None:
    fold = folded()
    assert not fold.change(changes(5, row(1, 1)))
    assert not fold.change(changes(3, row(1, 1)))
    assert not fold.change(changes(4, row(1, 1), epoch="f"))
    assert fold.agrees(whole(3, row(1, 100), row(2, 110)))


def test_a_board_that_differs_in_a_number_a_row_or_a_version_does_not_agree() -> None:
    fold = folded()
    assert not fold.agrees(whole(3, row(1, 100), row(2, 111)))
    assert not fold.agrees(whole(3, row(1, 100)))
    assert not fold.agrees(whole(4, row(1, 100), row(2, 110)))
    assert not fold.agrees(whole(3, row(1, 100), row(2, 110), epoch="f"))


def test_the_payload_of_an_event_is_found_whatever_stands_behind_it() -> None:
    assert bytes(payload_of(b'42/live,["cue",{"text":"[1]"}]')) == b'{"text":"[1]"}'
    assert bytes(payload_of(b'42/live,["cue",{"text":"1"},"0f3a9c41-000000000012"]')) == b'{"text":"1"}'
