"""What the table cannot say because it takes more than one attempt: guessing, coming without a right, speaking for others."""

import uuid
from functools import partial

import msgspec
import pytest

from realtime import wire
from services.classes.live_class import code_from
from services.classes.offers import open_doors
from services.kernel.ids import ClassId
from services.limits.table import WRONG_CODE
from services.training.sample import MAX_BPM
from tests.matrix import events
from tests.matrix.conftest import Evenings
from tests.matrix.roles import FORBIDDEN, OK, Who
from tests.matrix.routes import HOUR_MS, TERMS
from tests.matrix.scene import BAD_TOKEN, Asked, Evening
from tests.matrix.table import EVENTS, EventRow

GUESSES = WRONG_CODE.burst


@pytest.mark.parametrize("door", ["room.join", "stream.open"])
def test_codes_of_classes_cannot_be_guessed_all_day(evenings: Evenings, door: str) -> None:
    async def guess(evening: Evening) -> None:
        def knock(code: str) -> object:
            if door == "room.join":
                return wire.RoomJoin(code=code)
            return wire.StreamOpen(stream=events.new_stream_id(), started_at_ms=0, class_code=code)

        seat, code = await evening.sits(Who.STRANGER), (await evening.live()).code
        wrong = [code_from(bytes([n] * 6)) for n in range(GUESSES)]
        assert [await seat.says(door, knock(each)) for each in wrong] == ["class_not_found"] * GUESSES
        answer = await seat.call(door, knock(code))
        assert answer["problem"]["code"] == "too_many_attempts"
        assert answer["problem"]["retry"]
        assert 0 < answer["problem"]["retry_after_ms"] <= 10_000
        again = await evening.connected(await evening.token(Who.STRANGER) or "")
        assert await again.says(door, knock(code)) == "too_many_attempts", "the account counts, not the connection"
        assert await (await evening.sits(Who.ATHLETE)).says(door, knock(code)) == OK, "nobody else waits"

    evenings.spend(guess)


def test_right_codes_are_no_guesses(evenings: Evenings) -> None:
    async def come_and_go(evening: Evening) -> None:
        live, seat = await evening.live(), await evening.sits(Who.STRANGER)
        for _ in range(GUESSES + 1):
            assert await seat.says("room.join", wire.RoomJoin(code=live.code)) == OK

    evenings.spend(come_and_go)


def test_a_class_that_one_has_nothing_to_do_with_looks_like_one_that_is_not_there(evenings: Evenings) -> None:
    async def look(evening: Evening) -> None:
        for url in ("/v1/classes/{id}", "/v1/classes/{id}/summary", "/v1/classes/{id}/script"):
            answers = [
                await evening.ask(Who.STRANGER, "GET", url, Asked({"id": class_id}))
                for class_id in ((await evening.live()).id, uuid.uuid4())
            ]
            seen, missing = [(answer.status, answer.said, answer.body["detail"]) for answer in answers]
            assert seen == missing, url

    evenings.spend(look)


def test_who_has_no_place_in_a_class_on_offer_does_not_find_its_code(evenings: Evenings) -> None:
    async def look(evening: Evening) -> None:
        starts_at_ms = evening.now_ms() + HOUR_MS
        asked = {"key": "k", "starts_at_ms": starts_at_ms, "terms": TERMS}
        offer = await evening.make(Who.OWNER, "POST", "/v1/offers", asked)
        async with evening.world.transactions() as stores:
            live = await open_doors(stores, ClassId(uuid.UUID(offer["id"])), offer["doors_open_at_ms"])
        assert live is not None
        seen = await evening.make(Who.STRANGER, "GET", "/v1/offers/{id}", id=live.id)
        assert live.code not in str(seen)
        answer = await evening.ask(Who.STRANGER, "GET", "/v1/classes/{id}", Asked({"id": live.id}))
        assert answer.said == "class_not_found"
        stranger = await evening.sits(Who.STRANGER)
        assert await stranger.says("room.join", wire.RoomJoin(code=live.code)) == "not_booked"

    evenings.spend(look)


def test_a_spectator_who_publishes_is_refused_by_every_way_in(evenings: Evenings) -> None:
    async def publish(evening: Evening) -> None:
        seat = await evening.in_room(Who.SPECTATOR)
        attempts = {
            "cue.send": (events.cue, FORBIDDEN),
            "trainer.set": (events.trainers, FORBIDDEN),
            "class.control": (events.start_clock, FORBIDDEN),
            "stream.open": (events.stream_into_class, FORBIDDEN),
            "stream.samples": (events.owners_samples, "stream_not_open"),
            "sensor.frame": (events.owners_frames, "stream_not_open"),
        }
        for name, (ask, refusal) in attempts.items():
            assert await seat.says(name, await ask(evening, Who.SPECTATOR)) == refusal, name
        live = await evening.live()
        assert await seat.says("room.join", wire.RoomJoin(code=live.code, role="athlete")) == OK
        assert await seat.says("stream.open", await events.stream_into_class(evening, Who.SPECTATOR)) == OK

    evenings.spend(publish)


def test_a_coach_says_nothing_into_the_class_of_another(evenings: Evenings) -> None:
    async def cue(evening: Evening) -> None:
        theirs = await evening.live()
        seat = await evening.sits(Who.COACH)
        own = await evening.make(Who.COACH, "POST", "/v1/classes", {"title": "My own"})
        assert await seat.says("room.join", wire.RoomJoin(code=own["code"], role="coach")) == OK
        said = wire.CueSend(class_id=theirs.id, text="Faster")
        assert await seat.says("cue.send", said) == "not_in_room"
        assert await seat.says("room.join", wire.RoomJoin(code=theirs.code)) == OK
        assert await seat.says("cue.send", said) == FORBIDDEN
        assert await seat.says("class.end", wire.ClassRef(class_id=theirs.id)) == FORBIDDEN

    evenings.spend(cue)


def test_who_has_left_hears_and_says_nothing_more(evenings: Evenings) -> None:
    async def leave(evening: Evening) -> None:
        live, seat = await evening.live(), await evening.in_room(Who.ATHLETE)
        room = wire.RoomRef(class_id=live.id)
        assert await seat.says("room.leave", room) == OK
        for name, payload in (
            ("board.get", room),
            ("timeline.get", room),
            ("room.leave", room),
            ("chat.send", wire.ChatSend(class_id=live.id, text="Still here?")),
        ):
            assert await seat.says(name, payload) == "not_in_room", name

    evenings.spend(leave)


def test_who_was_sent_out_does_not_come_back_by_any_door(evenings: Evenings) -> None:
    async def come_back(evening: Evening) -> None:
        live, seat = await evening.live(), await evening.in_room(Who.SPECTATOR)
        coach = await evening.in_room(Who.CO_COACH)
        assert await coach.says("member.remove", await events.sending_out(evening, Who.CO_COACH)) == OK
        again = await evening.connected(await evening.token(Who.SPECTATOR) or "")
        for line in (seat, again):
            assert await line.says("board.get", wire.RoomRef(class_id=live.id)) == "not_in_room"
            assert await line.says("chat.send", wire.ChatSend(class_id=live.id, text="Me again")) == "not_in_room"
            for role in ("athlete", "spectator"):
                joined = wire.RoomJoin(code=live.code, role=role)
                assert await line.says("room.join", joined) == "removed_from_class", role
            feeding = await events.stream_into_class(evening, Who.SPECTATOR)
            assert await line.says("stream.open", feeding) != OK

    evenings.spend(come_back)


def test_a_screen_of_one_class_is_blind_to_every_other(evenings: Evenings) -> None:
    async def watch(evening: Evening) -> None:
        await evening.live()
        other = await evening.make(Who.OWNER, "POST", "/v1/classes", {"title": "Another"})
        seat = await evening.sits(Who.DISPLAY)
        assert await seat.says("room.join", wire.RoomJoin(code=other["code"], role="spectator")) == FORBIDDEN
        answer = await evening.ask(Who.DISPLAY, "GET", "/v1/classes/{id}", Asked({"id": other["id"]}))
        assert answer.said == "class_not_found"

    evenings.spend(watch)


@pytest.mark.parametrize("token", [None, BAD_TOKEN], ids=["who said nothing", "who was refused"])
def test_nothing_that_is_sent_without_a_welcome_reaches_anybody(evenings: Evenings, token: str | None) -> None:
    def received() -> dict[str, int]:
        events_now = evenings.stage.parts.sockets.dispatcher.statistics().events
        return {name: each.received for name, each in events_now.items()}

    async def send(evening: Evening, row: EventRow) -> None:
        payload = msgspec.to_builtins(await row.ask(evening, Who.NOBODY))
        seat = await evening.knocks() if token is None else await evening.connected(token)
        before = received()
        await seat.event(row.name, payload)
        await seat.sit(await evening.token(Who.STRANGER) or "")
        assert received() == before, f"{row.name} was heard before its sender was known"

    for row in EVENTS:
        evenings.spend(partial(send, row=row))


@pytest.mark.parametrize("bpm", [MAX_BPM + 1, 0, -60])
def test_a_heart_that_no_body_has_scores_nothing(evenings: Evenings, bpm: int) -> None:
    async def ride(evening: Evening) -> None:
        seat = await evening.sits(Who.ATHLETE)
        opened = await seat.call("stream.open", await events.stream_into_class(evening, Who.ATHLETE))
        stream = opened["ok"]["stream"]
        answer = await seat.call("stream.samples", {"stream": stream, "seq": 0, "samples": [[0, 150], [1_000, bpm]]})
        assert (answer["problem"]["code"], answer["problem"]["path"]) == ("bad_shape", "$.samples[1][1]")
        kept = await seat.call("stream.finish", {"stream": stream, "samples": 0})
        assert kept["ok"]["next_seq"] == 0, "nothing of the batch was kept"

    evenings.spend(ride)
