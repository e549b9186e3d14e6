"""How members are shown: what of somebody reaches whom, on one node and on two, and on the bus between them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec
import pytest

from persistence.database import Database
from realtime import peer
from realtime.broker import MemoryBus
from realtime.connection import Connection
from realtime.limits import SHOWING_BURST
from realtime.parcel import header_of
from realtime.peer import Share
from realtime.wire import ChatPage, ChatSend, Row
from services.classes.live_class import LiveClass
from services.classes.showing import CONSENTS, DisplayMode
from services.classes.showings import Choice
from services.kernel.caller import Caller
from services.kernel.ids import ClassId, StreamId
from services.kernel.problems import BadShape, ClassNotFound, Forbidden, RateLimited
from tests.rooms.conftest import TestNode, World, events
from tests.rooms.test_rooms import steady

NAME, BPM = "Zuleika Quince", 187
"""Found nowhere else in what goes over the wire."""


class OverheardBus(MemoryBus):
    """A bus that remembers everything nodes have said to each other since `said` was last emptied."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[tuple[str, bytes]] = []

    def send(self, channel: str, data: bytes) -> None:
        self.said.append((channel, data))
        super().send(channel, data)


def raw(connection: Connection) -> list[str]:
    """All frames pushed to a connection and not read yet, as they leave."""
    frames = []
    while (frame := connection.mailbox.take()) is not None:
        frames.append(frame.text)
    return frames


def tells(text: str) -> bool:
    """Whether a frame carries the name or the heart rate."""
    return NAME in text or f",{BPM}," in text


def tells_nodes(data: bytes) -> bool:
    """Whether what one node says to others carries the name or the heart rate."""
    header = header_of(data)
    if header.event:
        return tells(data.decode(errors="ignore"))
    message = peer.decode(header, data)
    return NAME.encode() in data or (isinstance(message, Share) and any(one.bpm == BPM for one in message.entries))


@dataclass
class Ride:
    """A class with its coach and an athlete on one node, and on another a watcher and somebody who rides."""

    world: World
    bus: OverheardBus
    here: TestNode
    there: TestNode
    live: LiveClass
    coach: Connection
    near: Connection
    far: Connection
    rider: Caller
    phone: Connection
    stream: StreamId | None = None
    seconds: int = 0
    private: dict[Connection, list[Row]] = field(default_factory=dict)

    async def goes_on(self, seconds: int = 1) -> None:
        """Heart rates come, and everybody's board is told."""
        if self.stream is None:
            self.stream = (await self.there.open(self.phone, self.live.code)).stream
        for _ in range(seconds):
            self.there.send(self.phone, self.stream, self.seconds, steady(range(self.seconds, self.seconds + 1), BPM))
            self.seconds += 1
            await self.world.advance(1)
            await self.beats()

    async def beats(self) -> None:
        for node in (self.there, self.here):
            node.rooms.publish_shares()
        await self.world.advance(0)
        for node in (self.there, self.here):
            node.rooms.broadcast_boards()

    async def is_shown(self, mode: DisplayMode, alias: str = "", *, by: TestNode | None = None) -> None:
        """The rider decides, on whatever node, and what was said before the answer is read."""
        await (by or self.there).showings.choose(self.rider, self.live.id, Choice(mode, alias))
        await self.world.advance(0)
        for connection in (self.coach, self.near, self.far, self.phone):
            raw(connection)
        self.bus.said.clear()

    def row(self, connection: Connection, name: str = NAME) -> Row | None:
        """The line of the rider on the board as it is told to somebody who asks now, by what they are called."""
        node = self.here if connection in (self.coach, self.near) else self.there
        board = node.rooms.board(connection, self.live.id)
        numbers = [member.n for member in board.members if member.name == name]
        return next((row for row in board.rows if row.n in numbers), None)

    def beyond(self, connection: Connection) -> list[Row]:
        """What somebody has been told last to see beyond the board."""
        for event, payload in events(connection):
            if event == "board.private":
                self.private[connection] = msgspec.convert(payload.get("rows", []), list[Row])
        return self.private.get(connection, [])


@pytest.fixture
async def ride(database: Database) -> AsyncIterator[Ride]:
    bus = OverheardBus()
    world = World(database, bus=bus)
    here, there = world.node(), world.node()
    await world.advance(0)
    mia = await world.person("Mia", coach=True)
    live = await here.create_class(mia)
    coach, near = here.connect(mia), here.connect(await world.person("Sam"))
    far, rider = there.connect(await world.person("Kim")), await world.person(NAME)
    phone = there.connect(rider)
    await here.join(coach, live.code, "coach")
    await here.join(near, live.code)
    await there.join(far, live.code, "spectator")
    await there.join(phone, live.code)
    yield Ride(world, bus, here, there, live, coach, near, far, rider, phone)
    await world.close()


async def test_once_consent_is_withdrawn_no_frame_and_no_word_between_nodes_tells_name_or_heart_rate(
    ride: Ride,
) -> None:
    await ride.goes_on(3)
    for connection in (ride.coach, ride.near, ride.far):
        assert any(tells(text) for text in raw(connection)), "before that they are told"
    assert any(tells_nodes(data) for _, data in ride.bus.said)
    await ride.is_shown("hidden", by=ride.here)
    await ride.goes_on(8)
    for connection in (ride.coach, ride.near, ride.far):
        texts = raw(connection)
        assert [text for text in texts if tells(text)] == []
    assert [channel for channel, data in ride.bus.said if tells_nodes(data)] == []
    assert ride.row(ride.near) is None
    assert ride.row(ride.far) is None


async def test_whoever_asks_right_after_the_answer_gets_a_board_without_them(ride: Ride) -> None:
    await ride.goes_on(2)
    await ride.there.showings.choose(ride.rider, ride.live.id, Choice("coach"))
    board = ride.there.rooms.board(ride.far, ride.live.id)
    assert NAME not in str(board)
    assert BPM not in [row.bpm for row in board.rows]


async def test_those_who_are_on_the_board_hear_who_is_gone_from_it(ride: Ride) -> None:
    await ride.goes_on(2)
    raw(ride.near)
    await ride.there.showings.choose(ride.rider, ride.live.id, Choice("coach"))
    await ride.world.advance(0)
    changes = [payload for event, payload in events(ride.near) if event == "board.changes"]
    assert [change["gone"] for change in changes] == [[4]]


async def test_what_is_for_the_coach_only_travels_only_where_a_coach_listens(ride: Ride) -> None:
    await ride.goes_on(2)
    await ride.is_shown("coach")
    await ride.goes_on(6)
    assert {channel.partition(":")[0] for channel, data in ride.bus.said if tells_nodes(data)} == {"coaches"}
    for connection in (ride.near, ride.far):
        assert [text for text in raw(connection) if tells(text)] == []
    (row,) = ride.beyond(ride.coach)
    assert (row.bpm, row.zone, row.rank, row.freshness) == (BPM, 5, None, "live")


async def test_who_shows_only_their_zone_has_name_zone_and_rank_but_no_heart_rate(ride: Ride) -> None:
    await ride.goes_on(2)
    await ride.is_shown("zone")
    await ride.goes_on(20)
    for connection in (ride.near, ride.far):
        row = ride.row(connection)
        assert row is not None
        assert (row.bpm, row.percent, row.zone, row.freshness, row.rank) == (None, None, 5, "live", 1)
        assert row.effort > 0
    (row,) = ride.beyond(ride.coach)
    assert (row.bpm, row.percent, row.rank) == (BPM, 98, 1)


async def test_a_sensor_that_falls_silent_is_lost_also_for_who_shows_only_their_zone(ride: Ride) -> None:
    await ride.goes_on(2)
    await ride.is_shown("zone")
    await ride.goes_on(1)
    await ride.world.advance(11)
    await ride.beats()
    row = ride.row(ride.near)
    assert row is not None
    assert (row.zone, row.freshness) == (None, "lost")


async def test_under_an_alias_neither_name_nor_account_is_told(ride: Ride) -> None:
    await ride.goes_on(2)
    await ride.is_shown("alias", "Fox")
    await ride.goes_on(6)
    said = ride.there.speaking.chat(ride.phone, ChatSend(class_id=ride.live.id, text="hello"))
    await ride.world.advance(0)
    await said
    account = str(ride.rider.account_id)
    for connection in (ride.near, ride.far):
        texts = raw(connection)
        assert [text for text in texts if NAME in text or account in text] == []
        assert any('"chat.said"' in text and '"Fox"' in text for text in texts)
        row = ride.row(connection, "Fox")
        assert row is not None
        assert row.bpm == BPM


async def test_nobody_is_told_which_account_goes_by_an_alias_when_it_comes_and_goes(ride: Ride) -> None:
    await ride.is_shown("alias", "Fox")
    ride.there.cut(ride.phone)
    await ride.world.advance(60)
    again = ride.there.connect(ride.rider)
    await ride.there.join(again, ride.live.code)
    await ride.world.advance(3)
    told = raw(ride.near)
    assert any('"room.presence"' in text for text in told), "they hear how many are there"
    assert [text for text in told if str(ride.rider.account_id) in text] == []


async def test_who_was_called_by_name_before_is_not_in_what_is_told_to_those_who_come_back(ride: Ride) -> None:
    joined = await ride.here.join(ride.near, ride.live.code)
    said = ride.there.speaking.chat(ride.phone, ChatSend(class_id=ride.live.id, text="hello"))
    await ride.world.advance(0)
    await said
    await ride.is_shown("hidden")
    since = joined.position
    assert since is not None
    again = await ride.here.join(ride.near, ride.live.code, since=since)
    assert again.recovered
    chats = [msgspec.json.decode(missed.payload) for missed in again.missed if missed.event == "chat.said"]
    assert [(chat["name"], chat["text"]) for chat in chats] == [("Athlete 4", "hello")]


async def test_the_cockpit_has_who_is_for_the_coach_only_and_not_who_is_hidden(ride: Ride) -> None:
    await ride.goes_on(2)
    await ride.is_shown("coach")
    await ride.goes_on(3)
    told = [payload for event, payload in events(ride.coach) if event.startswith("cockpit.")]
    assert [row for row in told[-1]["rows"] if BPM in row]
    await ride.is_shown("hidden")
    await ride.goes_on(3)
    snapshots = [payload for event, payload in events(ride.coach) if event == "cockpit.snapshot"]
    assert [member["name"] for member in snapshots[-1]["members"]] == ["Sam"]


async def test_what_was_said_under_the_name_is_read_under_what_they_go_by_now(ride: Ride) -> None:
    said = ride.there.speaking.chat(ride.phone, ChatSend(class_id=ride.live.id, text="hello"))
    await ride.world.advance(0)
    await said
    await ride.beats()
    await ride.is_shown("alias", "Fox")
    page = await ride.here.chatting.history(ride.near, ChatPage(class_id=ride.live.id))
    assert [(message.name, message.text) for message in page.messages] == [("Fox", "hello")]


async def test_people_see_themselves_whatever_the_others_see(ride: Ride) -> None:
    await ride.is_shown("hidden")
    await ride.goes_on(21)
    (row,) = ride.beyond(ride.phone)
    assert (row.bpm, row.rank, row.freshness) == (BPM, None, "live")
    assert row.effort > 0
    you = await ride.there.join(ride.phone, ride.live.code)
    assert you.you is not None
    assert you.you.name == NAME


async def test_what_is_shown_again_is_seen_again_and_counts(ride: Ride) -> None:
    await ride.is_shown("hidden")
    await ride.goes_on(21)
    await ride.is_shown("full", by=ride.here)
    await ride.goes_on(1)
    for connection in (ride.near, ride.far):
        row = ride.row(connection)
        assert row is not None
        assert (row.bpm, row.rank) == (BPM, 1)
        assert row.effort > 1.5
    assert ride.beyond(ride.coach) == []


async def test_the_choice_for_classes_to_come_holds_from_the_first_frame(ride: Ride) -> None:
    shy = await ride.world.person("Quentin Shy")
    await ride.there.showings.choose_default(shy, Choice("alias", "Owl"))
    for connection in (ride.near, ride.far):
        raw(connection)
    ride.bus.said.clear()
    await ride.there.join(ride.there.connect(shy), ride.live.code)
    await ride.beats()
    await ride.world.advance(6)
    await ride.beats()
    for connection in (ride.near, ride.far):
        texts = raw(connection)
        assert [text for text in texts if "Quentin" in text or str(shy.account_id) in text] == []
        assert any('"Owl"' in text for text in texts)
    assert [data for channel, data in ride.bus.said if channel.startswith("room:") and b"Quentin" in data] == []


async def test_a_node_that_comes_later_and_one_that_had_no_room_show_it_as_decided(ride: Ride) -> None:
    await ride.goes_on(2)
    third, fourth = ride.world.node(), ride.world.node()
    await ride.is_shown("coach", by=third)
    late = fourth.connect(await ride.world.person("Lou"))
    joined = await fourth.join(late, ride.live.code)
    assert NAME not in str(joined)
    await ride.goes_on(6)
    assert [text for text in raw(late) if tells(text)] == []


async def test_a_coach_who_comes_later_is_told_at_the_next_beat(ride: Ride) -> None:
    await ride.is_shown("coach")
    await ride.goes_on(2)
    tablet = ride.there.connect(ride.coach.caller)
    await ride.there.join(tablet, ride.live.code, "coach")
    await ride.beats()
    assert [row.bpm for row in ride.beyond(tablet)] == [BPM]


async def test_the_ledger_says_what_was_agreed_and_withdrawn(ride: Ride) -> None:
    await ride.is_shown("zone")
    await ride.is_shown("hidden")
    ledger = await ride.there.showings.ledger(ride.rider)
    assert {(line.purpose, line.audience) for line in ledger} == {
        *CONSENTS["full"].items(),
        *CONSENTS["zone"].items(),
    }
    assert all(line.withdrawn_at is not None and line.class_id == ride.live.id for line in ledger)
    await ride.is_shown("full")
    standing = [line for line in await ride.there.showings.ledger(ride.rider) if line.withdrawn_at is None]
    assert {(line.purpose, line.audience) for line in standing} == set(CONSENTS["full"].items())


async def test_the_default_has_a_ledger_of_its_own(ride: Ride) -> None:
    showings = ride.there.showings
    await showings.choose_default(ride.rider, Choice("coach"))
    await showings.choose_default(ride.rider, Choice("hidden"))
    assert await showings.default(ride.rider) == Choice("hidden")
    assert await showings.in_class(ride.rider, ride.live.id) == Choice("full")
    ledger = await showings.ledger(ride.rider)
    assert {line.class_id for line in ledger} == {None}
    assert all(line.withdrawn_at is not None for line in ledger)


async def test_only_members_decide_and_the_coach_is_always_named(ride: Ride) -> None:
    choose = ride.there.showings.choose
    with pytest.raises(Forbidden):
        await choose(ride.coach.caller, ride.live.id, Choice("hidden"))
    with pytest.raises(ClassNotFound):
        await choose(await ride.world.person("Pat"), ride.live.id, Choice("hidden"))
    with pytest.raises(ClassNotFound):
        await choose(ride.rider, ClassId(ride.rider.account_id), Choice("hidden"))
    with pytest.raises(BadShape) as refused:
        await choose(ride.rider, ride.live.id, Choice("alias", " \u202e "))
    assert refused.value.path == "$.alias"


async def test_who_changes_it_all_the_time_is_asked_to_wait_but_may_always_take_back(ride: Ride) -> None:
    choose = ride.there.showings.choose
    for _ in range(round(SHOWING_BURST)):
        await choose(ride.rider, ride.live.id, Choice("hidden"))
        await choose(ride.rider, ride.live.id, Choice("full"))
    await choose(ride.rider, ride.live.id, Choice("hidden"))
    with pytest.raises(RateLimited):
        await choose(ride.rider, ride.live.id, Choice("full"))
    assert await ride.there.showings.in_class(ride.rider, ride.live.id) == Choice("hidden")
    await ride.world.advance(4)
    for mode in ("full", "coach", "hidden"):
        await choose(ride.rider, ride.live.id, Choice(mode))


async def test_the_same_choice_again_changes_nothing(ride: Ride) -> None:
    await ride.is_shown("zone")
    before = await ride.there.showings.ledger(ride.rider)
    await ride.is_shown("zone")
    assert await ride.there.showings.ledger(ride.rider) == before
