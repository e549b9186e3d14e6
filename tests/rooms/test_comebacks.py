"""Coming back by the secret of the last connection: all of it with proof, or nothing."""

import uuid
from typing import Any

import pytest

from realtime.connection import Connection
from realtime.disconnect import LOGIN_ENDED
from realtime.records import Claim, Record, Refreshed, Written
from realtime.room_log import LogAway
from realtime.wire import ChatSend, CueSend, RoomJoin
from rooms.comebacks import SURE_ROUNDS, WRITE_EVERY_S, Comeback
from services.classes.live_class import LiveClass
from services.kernel.caller import Caller
from services.kernel.problems import Unavailable
from tests.rooms.conftest import TestNode, World, events


class Studio:
    """Two nodes, and a coach with two classes on the first."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.here, self.there = world.node(), world.node()
        self.classes: list[LiveClass] = []

    async def open(self, count: int = 2) -> "Studio":
        mia = await self.world.person("Mia", coach=True)
        self.coach = self.here.connect(mia)
        for _ in range(count):
            live = await self.here.create_class(mia)
            await self.here.join(self.coach, live.code, "coach")
            self.classes.append(live)
        await self.world.advance(0)
        return self

    async def cue(self, text: str, number: int = 0) -> str:
        said = await self.here.speaking.cue(self.coach, CueSend(class_id=self.classes[number].id, text=text))
        await self.world.advance(0)
        return said.position

    def connect(self, node: TestNode, caller: Caller) -> Connection:
        connection = node.connect(caller)
        connection.pid = node.comebacks.new_pid()
        return connection

    async def join(self, node: TestNode, connection: Connection, number: int = 0) -> str:
        """Join, and the position to come back with."""
        joined = await node.join(connection, self.classes[number].code)
        await self.world.advance(0)
        assert joined.position is not None
        return joined.position

    async def back(
        self, node: TestNode, caller: Caller, pid: object, offset: object
    ) -> tuple[Connection, Comeback | None]:
        """Come back as CONNECT does it."""
        connection = node.connect(caller)
        comeback = await node.comebacks.recall(caller, pid, offset, connection.id)
        if comeback is not None:
            connection.pid = comeback.pid
            node.comebacks.restore(connection, comeback)
        return connection, comeback


async def reset(studio: Studio, *connections: Connection) -> list[str]:
    """All logs are lost; what each connection is told last of it, a position to come back with."""
    await studio.world.advance(3)  # by then everybody has heard who is there
    studio.world.log.forget()
    await studio.world.advance(10)
    told = [[payload for name, payload in events(each) if name == "room.reset"] for each in connections]
    return [of_one[-1]["position"] for of_one in told]


def heard(connection: Connection) -> list[Any]:
    return [payload.get("text", name) for name, payload in events(connection)]


@pytest.fixture
async def studio(world: World) -> Studio:
    return await Studio(world).open()


async def test_it_comes_back_to_its_room_on_another_node_with_what_it_missed_before_anything_new(
    studio: Studio,
) -> None:
    ada = await studio.world.person("Ada")
    phone = studio.connect(studio.here, ada)
    await studio.join(studio.here, phone)
    seen = await studio.cue("seen")
    # The line breaks, and nobody is left on this node who could say so.
    await studio.cue("missed")
    again, comeback = await studio.back(studio.there, ada, phone.pid, seen)
    await studio.cue("new")
    assert comeback is not None
    assert comeback.pid == phone.pid
    assert heard(again) == ["missed", "board.snapshot", "new"]
    room = studio.there.rooms.get(studio.classes[0].id)
    assert room is not None
    member = room.member(ada.account_id)
    assert member is not None
    assert member.present


async def test_it_comes_back_though_nothing_was_said_before_it_went(studio: Studio) -> None:
    ada = await studio.world.person("Ada")
    phone = studio.connect(studio.here, ada)
    told = await studio.join(studio.here, phone)
    await studio.cue("missed")
    again, comeback = await studio.back(studio.there, ada, phone.pid, told)
    assert comeback is not None
    assert heard(again) == ["missed", "board.snapshot"]


async def test_it_can_be_tried_again_when_the_answer_was_lost(studio: Studio) -> None:
    ada = await studio.world.person("Ada")
    phone = studio.connect(studio.here, ada)
    told = await studio.join(studio.here, phone)
    await studio.cue("missed")
    for node in (studio.there, studio.here, studio.there):
        again, comeback = await studio.back(node, ada, phone.pid, told)
        assert comeback is not None
        assert heard(again) == ["missed", "board.snapshot"]


async def test_it_stays_possible_while_connected_and_for_two_minutes_after(studio: Studio) -> None:
    ada = await studio.world.person("Ada")
    phone = studio.connect(studio.here, ada)
    told = await studio.join(studio.here, phone)
    await studio.world.advance(600)
    studio.here.cut(phone)
    await studio.world.advance(85)
    assert (await studio.back(studio.there, ada, phone.pid, told))[1] is not None
    other = studio.connect(studio.here, ada)
    told = await studio.join(studio.here, other)
    studio.here.cut(other)
    await studio.world.advance(121)
    assert (await studio.back(studio.there, ada, other.pid, told))[1] is None


@pytest.mark.parametrize("offset", [None, 7, "", "nonsense", "00000000-000000000001"])
async def test_without_a_position_of_one_of_its_rooms_nothing_is_proven(studio: Studio, offset: object) -> None:
    ada = await studio.world.person("Ada")
    phone = studio.connect(studio.here, ada)
    await studio.join(studio.here, phone)
    assert (await studio.back(studio.there, ada, phone.pid, offset))[1] is None


@pytest.mark.parametrize("pid", [None, 5, "", "x" * 24, "x" * 10_000, "}:{evil"])
async def test_a_pid_that_nobody_gave_is_none(studio: Studio, pid: object) -> None:
    ada = await studio.world.person("Ada")
    told = await studio.join(studio.here, studio.connect(studio.here, ada))
    assert (await studio.back(studio.there, ada, pid, told))[1] is None


async def test_nobody_else_comes_back_with_it(studio: Studio) -> None:
    ada, eve = await studio.world.person("Ada"), await studio.world.person("Eve")
    phone = studio.connect(studio.here, ada)
    told = await studio.join(studio.here, phone)
    assert (await studio.back(studio.there, eve, phone.pid, told))[1] is None


async def test_a_log_that_began_anew_proves_nothing(studio: Studio) -> None:
    ada = await studio.world.person("Ada")
    phone = studio.connect(studio.here, ada)
    told = await studio.join(studio.here, phone)
    studio.world.log.forget()
    await studio.cue("of another epoch")
    assert (await studio.back(studio.there, ada, phone.pid, told))[1] is None


async def test_in_two_rooms_it_comes_back_only_if_the_other_was_silent(studio: Studio) -> None:
    ada = await studio.world.person("Ada")
    phone = studio.connect(studio.here, ada)
    for number in (0, 1):
        await studio.join(studio.here, phone, number)
    seen = await studio.cue("seen", 0)
    await studio.cue("missed", 0)
    again, comeback = await studio.back(studio.there, ada, phone.pid, seen)
    assert comeback is not None
    assert again.rooms == {live.id for live in studio.classes}
    assert heard(again) == ["missed", "board.snapshot", "board.snapshot"]
    await studio.cue("in the other room, seen by whom?", 1)
    assert (await studio.back(studio.there, ada, phone.pid, seen))[1] is None


async def test_a_room_that_was_left_is_not_come_back_to(studio: Studio) -> None:
    ada = await studio.world.person("Ada")
    phone = studio.connect(studio.here, ada)
    for number in (0, 1):
        await studio.join(studio.here, phone, number)
    studio.here.rooms.leave(phone, studio.classes[1].id)
    studio.here.comebacks.left(phone, studio.classes[1].id)
    await studio.world.advance(2)
    seen = await studio.cue("seen", 0)
    again, comeback = await studio.back(studio.there, ada, phone.pid, seen)
    assert comeback is not None
    assert again.rooms == {studio.classes[0].id}


async def test_who_was_sent_away_for_good_does_not_come_back_by_it(studio: Studio) -> None:
    ada = await studio.world.person("Ada")
    phone = studio.connect(studio.here, ada)
    told = await studio.join(studio.here, phone)
    phone.end(LOGIN_ENDED)
    studio.here.cut(phone)
    await studio.world.advance(2)
    assert (await studio.back(studio.there, ada, phone.pid, told))[1] is None


async def test_the_old_half_of_a_connection_no_longer_changes_the_record(studio: Studio) -> None:
    ada = await studio.world.person("Ada")
    phone = studio.connect(studio.here, ada)
    told = await studio.join(studio.here, phone)
    again, _ = await studio.back(studio.there, ada, phone.pid, told)
    # The first node finds out now, and ends its half for good.
    phone.end(LOGIN_ENDED)
    studio.here.cut(phone)
    await studio.world.advance(2)
    assert await studio.world.records.read(again.pid) is not None


async def test_while_its_return_cannot_be_made_sure_a_connection_joins_one_room_and_no_second(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> bool:
        raise LogAway("away")

    ada, bob = await studio.world.person("Ada"), await studio.world.person("Bob")
    phone, tablet = studio.connect(studio.here, ada), studio.connect(studio.here, bob)
    told = await studio.join(studio.here, phone)
    with monkeypatch.context() as patched:
        patched.setattr(studio.world.records, "write", away)
        with pytest.raises(Unavailable):
            await studio.join(studio.here, phone, 1)
        first = await studio.join(studio.here, tablet)
    await studio.join(studio.here, tablet, 1)
    both, _ = await studio.back(studio.there, bob, tablet.pid, first)
    assert both.rooms == {live.id for live in studio.classes}
    again, _ = await studio.back(studio.there, ada, phone.pid, told)
    assert again.rooms == {studio.classes[0].id}


async def test_who_joins_with_a_position_looks_after_itself_and_is_not_recovered_by_pid(studio: Studio) -> None:
    ada = await studio.world.person("Ada")
    phone = studio.connect(studio.here, ada)
    pid, told = phone.pid, await studio.join(studio.here, phone)
    seen = await studio.cue("missed, and given with the answer", 1)
    joined = await studio.here.rooms.join(phone, RoomJoin(code=studio.classes[1].code, since=f"{seen[:-1]}0"))
    assert joined.recovered
    assert len(joined.missed) == 1
    for offset in (told, seen, f"{seen[:-1]}0"):
        assert (await studio.back(studio.there, ada, pid, offset))[1] is None


async def test_rooms_of_the_auth_payload_are_joined_one_after_the_other_and_each_is_answered(studio: Studio) -> None:
    ada = await studio.world.person("Ada")
    phone = studio.connect(studio.there, ada)
    seen = await studio.cue("seen", 1)
    await studio.cue("missed", 1)
    await studio.there.comebacks.rejoin(
        phone,
        [
            RoomJoin(code=studio.classes[0].code),
            RoomJoin(code="NOSUCH"),
            RoomJoin(code=studio.classes[1].code, since=seen),
        ],
    )
    told = list(events(phone))
    assert [name for name, _ in told] == [
        "room.position",
        "room.recovered",
        "room.recovered",
        "room.recovered",
    ]
    first, unknown, last = [payload for name, payload in told if name == "room.recovered"]
    assert first["ok"]["recovered"] is False
    assert (unknown["code"], unknown["problem"]["code"]) == ("NOSUCH", "class_not_found")
    assert last["ok"]["recovered"] is True
    ((name, payload),) = last["ok"]["missed"]
    assert (name, payload["text"]) == ("cue", "missed")
    await studio.there.speaking.chat(phone, ChatSend(class_id=studio.classes[0].id, text="back", key=uuid.uuid4().hex))
    await studio.world.advance(0)
    assert heard(phone) == ["back"]


async def test_after_its_log_began_anew_it_comes_back_from_where_it_was_told_to_go_on(studio: Studio) -> None:
    ada = await studio.world.person("Ada")
    phone = studio.connect(studio.here, ada)
    before = await studio.join(studio.here, phone)
    await studio.cue("of the log that is lost")
    (told,) = await reset(studio, phone)
    await studio.cue("missed")
    assert (await studio.back(studio.there, ada, phone.pid, before))[1] is None
    again, comeback = await studio.back(studio.there, ada, phone.pid, told)
    assert comeback is not None
    assert heard(again) == ["missed", "board.snapshot"]
    # And once more, on the node that it has come to.
    (told,) = await reset(studio, again)
    assert (await studio.back(studio.here, ada, again.pid, told))[1] is not None


async def test_of_two_rooms_that_began_anew_it_must_have_been_told_of_both(studio: Studio) -> None:
    ada = await studio.world.person("Ada")
    phone = studio.connect(studio.here, ada)
    for number in (0, 1):
        await studio.join(studio.here, phone, number)
    await studio.world.advance(3)  # by then everybody has heard who is there
    studio.world.log.forget()
    await studio.world.advance(10)
    first, last = [payload["position"] for name, payload in events(phone) if name == "room.reset"]
    assert (await studio.back(studio.there, ada, phone.pid, first))[1] is None
    again, comeback = await studio.back(studio.there, ada, phone.pid, last)
    assert comeback is not None
    assert again.rooms == {live.id for live in studio.classes}


async def test_what_came_later_in_another_room_shows_that_it_was_told(studio: Studio) -> None:
    ada = await studio.world.person("Ada")
    phone = studio.connect(studio.here, ada)
    for number in (0, 1):
        await studio.join(studio.here, phone, number)
    await studio.world.advance(3)  # by then everybody has heard who is there
    studio.world.log.forget()
    await studio.world.advance(10)
    told = [payload for name, payload in events(phone) if name == "room.reset"]
    first = [str(live.id) for live in studio.classes].index(told[0]["room"]["id"])
    later = await studio.cue("in the room that was told of first", first)
    await studio.world.advance(1)
    assert (await studio.back(studio.there, ada, phone.pid, told[0]["position"]))[1] is None
    assert (await studio.back(studio.there, ada, phone.pid, later))[1] is not None


async def test_a_record_that_was_lost_is_written_again_for_a_connection_that_has_shown_that_it_lives(
    studio: Studio,
) -> None:
    ada = await studio.world.person("Ada")
    phone = studio.connect(studio.here, ada)
    await studio.join(studio.here, phone)
    studio.world.records.lose()
    (told,) = await reset(studio, phone)
    await studio.world.advance(30)
    assert (await studio.back(studio.there, ada, phone.pid, told))[1] is None, "whose it is nobody can say yet"
    await studio.world.advance(60)
    assert (await studio.back(studio.there, ada, phone.pid, told))[1] is not None


async def test_a_record_that_was_lost_alone_is_found_missing_when_it_is_refreshed(studio: Studio) -> None:
    ada = await studio.world.person("Ada")
    phone = studio.connect(studio.here, ada)
    told = await studio.join(studio.here, phone)
    studio.world.records.lose()
    await studio.world.advance(100)
    assert (await studio.back(studio.there, ada, phone.pid, told))[1] is not None


async def test_the_old_half_of_a_connection_does_not_write_a_lost_record_again(studio: Studio) -> None:
    ada = await studio.world.person("Ada")
    phone = studio.connect(studio.here, ada)
    told = await studio.join(studio.here, phone)
    again, _ = await studio.back(studio.there, ada, phone.pid, told)
    await studio.join(studio.there, again, 1)
    studio.world.records.lose()
    await reset(studio, again)
    await studio.world.advance(35)  # by then the first node has had no answer to its ping
    studio.here.cut(phone)
    assert await studio.world.records.read(again.pid) is None
    await studio.world.advance(60)
    record = await studio.world.records.read(again.pid)
    assert record is not None
    assert {held.class_id for held in record.rooms} == {live.id for live in studio.classes}


async def test_a_record_that_cannot_be_written_holds_up_no_other_and_is_tried_again(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite, broken = studio.world.records.rewrite, True

    async def half_away(claim: Claim, record: Record) -> Written:
        if broken and claim.pid == phones[0].pid:
            raise LogAway("the server of this one is away")
        return await rewrite(claim, record)

    monkeypatch.setattr(studio.world.records, "rewrite", half_away)
    people = [await studio.world.person(name) for name in ("Ada", "Bob")]
    phones = [studio.connect(studio.here, each) for each in people]
    told = [[await studio.join(studio.here, each, number) for number in (0, 1)] for each in phones]
    for phone in phones:
        studio.here.rooms.leave(phone, studio.classes[1].id)
        studio.here.comebacks.left(phone, studio.classes[1].id)
    await studio.world.advance(300)
    kept = [await studio.world.records.read(each.pid) for each in phones]
    assert [record and len(record.rooms) for record in kept] == [2, 1]
    assert (await studio.back(studio.there, people[1], phones[1].pid, told[1][0]))[1] is not None
    broken = False
    await studio.world.advance(2)
    again, _ = await studio.back(studio.there, people[0], phones[0].pid, told[0][0])
    assert again.rooms == {studio.classes[0].id}


async def test_records_of_a_server_that_was_away_are_refreshed_as_soon_as_it_is_back(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    refresh = studio.world.records.refresh
    asked: list[tuple[str, ...]] = []
    phones = [studio.connect(studio.here, await studio.world.person(name)) for name in ("Ada", "Bob")]
    for phone in phones:
        await studio.join(studio.here, phone)
    away = {phones[0].pid}

    async def half_away(claims: tuple[Claim, ...]) -> Refreshed:
        asked.append(tuple(claim.pid for claim in claims))
        told = await refresh(tuple(claim for claim in claims if claim.pid not in away))
        return Refreshed(told.lost, tuple(claim.pid for claim in claims if claim.pid in away))

    monkeypatch.setattr(studio.world.records, "refresh", half_away)
    await studio.world.advance(32)
    assert asked[0] == tuple(phone.pid for phone in phones)
    assert set(asked[1:]) == {(phones[0].pid,)}
    away.clear()
    await studio.world.advance(1)
    count = len(asked)
    await studio.world.advance(20)
    assert len(asked) == count, "nothing is in doubt any more"


@pytest.mark.parametrize("overtaken", [False, True])
async def test_a_room_that_is_joined_while_another_resets_is_in_the_record_before_the_join_is_answered(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, overtaken: bool
) -> None:
    ada = await studio.world.person("Ada")
    phone = studio.connect(studio.here, ada)
    await studio.join(studio.here, phone)
    write, rewrite = studio.world.records.write, studio.world.records.rewrite
    late: list[tuple[Claim, Record]] = []
    tries = 0

    async def slowly(claim: Claim, record: Record) -> Written:
        nonlocal tries
        tries += 1
        if tries > 1:
            return await write(claim, record)
        written = Written.KEPT if overtaken else await write(claim, record)
        room = studio.here.rooms.get(studio.classes[0].id)
        assert room is not None
        studio.world.log.forget()
        await studio.world.advance(10)  # by then the room has been reset and the record without the new room is sent
        return await write(claim, record) if overtaken else written

    async def sent(claim: Claim, record: Record) -> Written:
        late.append((claim, record))
        return await rewrite(claim, record)

    monkeypatch.setattr(studio.world.records, "write", slowly)
    monkeypatch.setattr(studio.world.records, "rewrite", sent)
    await studio.here.join(phone, studio.classes[1].code)
    assert tries == 2
    assert late
    for claim, record in late:  # and one of them arrives again, after everything
        assert await rewrite(claim, record) is Written.OLDER
    kept = await studio.world.records.read(phone.pid)
    assert kept is not None
    assert {held.class_id for held in kept.rooms} == phone.rooms == {live.id for live in studio.classes}


async def test_a_room_that_is_joined_while_a_lost_record_is_written_anew_is_in_it_before_the_join_is_answered(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = studio.connect(studio.here, await studio.world.person("Ada"))
    await studio.join(studio.here, phone)
    write = studio.world.records.write
    rooms: list[int] = []

    async def slowly(claim: Claim, record: Record) -> Written:
        rooms.append(len(record.rooms))
        written = await write(claim, record)
        if len(rooms) == 1:
            studio.here.comebacks._miss(phone.id)
            await studio.world.advance((SURE_ROUNDS + 2) * WRITE_EVERY_S)
        return written

    monkeypatch.setattr(studio.world.records, "write", slowly)
    await studio.here.join(phone, studio.classes[1].code)
    assert rooms == [2, 1, 2], "with the new room, as it was known, and with the new room again"
    kept = await studio.world.records.read(phone.pid)
    assert kept is not None
    assert {held.class_id for held in kept.rooms} == phone.rooms == {live.id for live in studio.classes}


async def test_a_join_that_its_record_cannot_keep_up_with_is_refused(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await studio.world.person("Ada")
    phone = studio.connect(studio.here, ada)
    told = await studio.join(studio.here, phone)
    write = studio.world.records.write

    async def always_another(claim: Claim, record: Record) -> Written:
        written = await write(claim, record)
        studio.here.comebacks.left(phone, studio.classes[1].id)  # as good a change as any
        return written

    with monkeypatch.context() as patched:
        patched.setattr(studio.world.records, "write", always_another)
        with pytest.raises(Unavailable):
            await studio.join(studio.here, phone, 1)
    await studio.world.advance(2)
    again, _ = await studio.back(studio.there, ada, phone.pid, told)
    assert again.rooms == {studio.classes[0].id}


async def test_a_server_that_lacks_the_last_join_brings_nobody_back_until_the_record_is_written_anew(
    studio: Studio,
) -> None:
    ada = await studio.world.person("Ada")
    phone = studio.connect(studio.here, ada)
    await studio.join(studio.here, phone)
    fall_back = studio.world.records.copy()
    await studio.join(studio.here, phone, 1)
    fall_back()
    for _ in range(4):
        seen = await studio.cue("in the room that the older record has")
        assert (await studio.back(studio.there, ada, phone.pid, seen))[1] is None
        await studio.world.advance(20)
    await studio.world.advance(20)
    kept = await studio.world.records.read(phone.pid)
    assert kept is not None
    assert {held.class_id for held in kept.rooms} == {live.id for live in studio.classes}


async def test_a_join_that_was_stored_nowhere_is_found_when_records_are_refreshed(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nowhere(*_: object) -> Written:
        return Written.KEPT

    ada = await studio.world.person("Ada")
    phone = studio.connect(studio.here, ada)
    await studio.join(studio.here, phone)
    with monkeypatch.context() as patched:
        patched.setattr(studio.world.records, "write", nowhere)
        await studio.join(studio.here, phone, 1)
    await studio.world.advance(100)
    kept = await studio.world.records.read(phone.pid)
    assert kept is not None
    assert {held.class_id for held in kept.rooms} == {live.id for live in studio.classes}


async def test_a_server_that_lacks_who_came_back_takes_the_next_join_from_the_newest_connection(
    studio: Studio,
) -> None:
    ada = await studio.world.person("Ada")
    phone = studio.connect(studio.here, ada)
    told = await studio.join(studio.here, phone)
    fall_back = studio.world.records.copy()
    again, _ = await studio.back(studio.there, ada, phone.pid, told)
    fall_back()
    await studio.join(studio.there, again, 1)
    third, _ = await studio.back(studio.here, ada, again.pid, told)
    assert third.rooms == {live.id for live in studio.classes}


async def test_whose_record_is_anothers_joins_no_further_room(studio: Studio) -> None:
    ada = await studio.world.person("Ada")
    phone = studio.connect(studio.here, ada)
    told = await studio.join(studio.here, phone)
    again, _ = await studio.back(studio.there, ada, phone.pid, told)
    # The old half of the connection has a join under way, or the server forgot that the record was taken.
    with pytest.raises(Unavailable):
        await studio.join(studio.here, phone, 1)
    assert phone.rooms == {studio.classes[0].id}
    kept = await studio.world.records.read(again.pid)
    assert kept is not None
    assert {held.class_id for held in kept.rooms} == again.rooms
