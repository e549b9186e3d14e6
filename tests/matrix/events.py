"""Valid input for each event of the socket.

Each function gets the evening and who asks, brings that person where the event is sent from (a room, for most) and gives the
payload. It does for everybody what it would do for somebody who may.
"""

import uuid

from realtime import wire
from services.classes.class_clock import Start
from services.classes.live_class import Role
from services.kernel.facts import SafetyStepDue
from services.kernel.ids import ChallengeId, ClassId, NotificationId, StreamId, TaskId
from services.safety.incident import Incident
from services.safety.ports import Chosen
from services.safety.safety import Safety, take_step
from services.safety.watching import Finding
from services.training.ftms_control import TargetPower
from services.training.heart_rate_frames import HeartRateMeasurement, encode_heart_rate
from services.training.sample import Sample
from tests.matrix.roles import Who
from tests.matrix.routes import ON_DEMAND, a_challenge, a_notification, a_recorded_class, a_script, a_task
from tests.matrix.scene import BAD_TOKEN, ROLES, Evening

_SAMPLES = (Sample(t=0, bpm=120), Sample(t=1_000, bpm=121))
_FRAMES = (wire.RawMoment(0, encode_heart_rate(HeartRateMeasurement(142, contact=True))),)


def new_stream_id() -> StreamId:
    """A stream that nobody has made yet."""
    return StreamId(uuid.uuid4())


# -- streams ----------------------------------------------------------------------------------------------------


async def new_stream(evening: Evening, _: Who) -> object:
    return wire.StreamOpen(stream=new_stream_id(), started_at_ms=evening.now_ms())


async def stream_into_class(evening: Evening, _: Who) -> object:
    live = await evening.live()
    return wire.StreamOpen(stream=new_stream_id(), started_at_ms=evening.now_ms(), class_code=live.code)


async def owners_stream(evening: Evening, _: Who) -> object:
    return wire.StreamOpen(stream=await _opened(evening, Who.OWNER), started_at_ms=evening.now_ms())


async def own_samples(evening: Evening, who: Who) -> object:
    return wire.SampleBatch(stream=await _opened(evening, who), seq=0, samples=_SAMPLES)


async def owners_samples(evening: Evening, _: Who) -> object:
    return wire.SampleBatch(stream=await _opened(evening, Who.OWNER), seq=0, samples=_SAMPLES)


async def own_frames(evening: Evening, who: Who) -> object:
    return wire.SensorFrame(stream=await _opened(evening, who), seq=0, characteristic="2a37", frames=_FRAMES)


async def owners_frames(evening: Evening, _: Who) -> object:
    return wire.SensorFrame(stream=await _opened(evening, Who.OWNER), seq=0, characteristic="2a37", frames=_FRAMES)


async def own_finish(evening: Evening, who: Who) -> object:
    return wire.StreamFinish(stream=await _opened(evening, who), samples=0)


async def owners_finish(evening: Evening, _: Who) -> object:
    return wire.StreamFinish(stream=await _opened(evening, Who.OWNER), samples=0)


async def _opened(evening: Evening, who: Who) -> StreamId:
    """A stream that `who` has opened, if they can."""
    stream, seat = new_stream_id(), await evening.sits(who)
    if not seat.refused:
        answer = await seat.call("stream.open", wire.StreamOpen(stream=stream, started_at_ms=evening.now_ms()))
        assert "ok" in answer or who is Who.DISPLAY, answer
    return stream


# -- rooms ------------------------------------------------------------------------------------------------------


async def join(evening: Evening, who: Who) -> object:
    role: wire.Role = "spectator" if who in {Who.SPECTATOR, Who.DISPLAY} else "athlete"
    return wire.RoomJoin(code=(await evening.live()).code, role=role)


async def join_as_coach(evening: Evening, _: Who) -> object:
    return wire.RoomJoin(code=(await evening.live()).code, role="coach")


async def join_as_athlete(evening: Evening, _: Who) -> object:
    return wire.RoomJoin(code=(await evening.live()).code, role="athlete")


async def the_room(evening: Evening, who: Who) -> object:
    await evening.in_room(who)
    return wire.RoomRef(class_id=(await evening.live()).id)


async def cue(evening: Evening, who: Who) -> object:
    await evening.in_room(who)
    return wire.CueSend(class_id=(await evening.live()).id, text="Stand up!")


async def appointing(evening: Evening, who: Who) -> object:
    await evening.in_room(who)
    return wire.CoachAppoint(class_id=(await evening.live()).id, n=await _spectator(evening), to="none")


async def ranking(evening: Evening, who: Who) -> object:
    await evening.in_room(who)
    return wire.RankingSet(class_id=(await evening.live()).id, metric="zone_minutes")


async def part_of_board(evening: Evening, who: Who) -> object:
    await evening.in_room(who)
    return wire.BoardFilter(class_id=(await evening.live()).id, here=True)


async def sending_out(evening: Evening, who: Who) -> object:
    await evening.in_room(who)
    return wire.MemberRemove(class_id=(await evening.live()).id, n=await _spectator(evening))


async def letting_in(evening: Evening, who: Who) -> object:
    await evening.in_room(who)
    return wire.MemberLetIn(class_id=(await evening.live()).id, n=await _spectator(evening))


async def _spectator(evening: Evening) -> int:
    live, caller = await evening.live(), await evening.caller(Who.SPECTATOR)
    async with evening.world.transactions() as stores:
        membership = await stores.classes.membership(live.id, caller.account_id)
    assert membership is not None
    return membership.n


async def cue_to_all(evening: Evening, who: Who) -> object:
    await evening.in_room(who)
    class_id = (await evening.live()).id
    said = await (await evening.in_room(Who.OWNER)).call("cue.send", wire.CueSend(class_id=class_id, text="Stand up!"))
    return wire.CueSeen(class_id=class_id, cue=said["ok"]["position"])


async def trainers(evening: Evening, who: Who) -> object:
    await evening.in_room(who)
    return wire.TrainerSet(class_id=(await evening.live()).id, target=TargetPower(watts=220))


async def chat(evening: Evening, who: Who) -> object:
    await evening.in_room(who)
    return wire.ChatSend(class_id=(await evening.live()).id, text="Hello")


async def said_so_far(evening: Evening, who: Who) -> object:
    await evening.in_room(who)
    return wire.ChatPage(class_id=(await evening.live()).id)


async def display_mode(evening: Evening, who: Who) -> object:
    await evening.in_room(who)
    return wire.DisplaySet(class_id=(await evening.live()).id, mode="zone")


async def message_to_remove(evening: Evening, who: Who) -> wire.ChatRemove:
    await evening.in_room(who)
    class_id = (await evening.live()).id
    athlete = await evening.in_room(Who.ATHLETE)
    said = await athlete.call("chat.send", wire.ChatSend(class_id=class_id, text="Hello"))
    return wire.ChatRemove(class_id=class_id, message=said["ok"]["position"])


async def message_to_report(evening: Evening, who: Who) -> object:
    about = await message_to_remove(evening, who)
    return wire.ChatReport(class_id=about.class_id, message=about.message, reason="insult")


async def applause(evening: Evening, who: Who) -> object:
    await evening.in_room(who)
    return wire.ReactionSend(class_id=(await evening.live()).id, kind="clap")


async def mute(evening: Evening, who: Who) -> object:
    await evening.in_room(who)
    return wire.ChatMute(class_id=(await evening.live()).id, n=await _an_athlete(evening))


async def unmute(evening: Evening, who: Who) -> object:
    await evening.in_room(who)
    return wire.ChatUnmute(class_id=(await evening.live()).id, n=await _an_athlete(evening))


async def _an_athlete(evening: Evening) -> int:
    """The number of an athlete who is in the room."""
    await evening.in_room(Who.ATHLETE)
    live, athlete = await evening.live(), await evening.caller(Who.ATHLETE)
    async with evening.world.transactions() as stores:
        found = await stores.classes.membership(live.id, athlete.account_id)
    assert found is not None
    return found.n


# -- classes ----------------------------------------------------------------------------------------------------


async def new_class(_: Evening, __: Who) -> object:
    return wire.ClassCreate(title="Friday flats")


async def the_class(evening: Evening, who: Who) -> object:
    await evening.in_room(who)
    return wire.ClassRef(class_id=(await evening.live()).id)


async def start_clock(evening: Evening, who: Who) -> object:
    await a_script(evening)
    await evening.in_room(who)
    return wire.ClassControl(class_id=(await evening.live()).id, do=Start())


async def ready_to_ride(evening: Evening, who: Who) -> object:
    """A class without a coach, of which those are members who are members of the class of the evening."""
    made = await evening.make(Who.OWNER, "POST", "/v1/on-demand", ON_DEMAND)
    started = await evening.make(Who.OWNER, "POST", "/v1/on-demand/{id}/classes", {"key": "k"}, id=made["id"])
    role: Role = "spectator" if who is Who.SPECTATOR else "athlete"
    if who in ROLES and who is not Who.DISPLAY:
        await (await evening.sits(who)).call("room.join", wire.RoomJoin(code=started["code"], role=role))
    return wire.ClassReady(class_id=ClassId(uuid.UUID(started["id"])))


async def time(_: Evening, __: Who) -> object:
    return wire.ClockSync(sent_ms=1_000.0)


async def own_token(evening: Evening, who: Who) -> object:
    return wire.TokenRenew(token=await evening.token(who) or BAD_TOKEN)


async def owners_token(evening: Evening, _: Who) -> object:
    return await own_token(evening, Who.OWNER)


async def challenge(evening: Evening, who: Who) -> object:
    made = await a_challenge(evening, who)
    return wire.ChallengeRef(challenge_id=ChallengeId(uuid.UUID(str(made.path["id"]))))


async def replay(evening: Evening, who: Who) -> object:
    await a_recorded_class(evening, who)
    return wire.ReplayOpen(class_id=(await evening.live()).id, speed=None)


async def replay_pace(evening: Evening, who: Who) -> object:
    return wire.ReplayPace(class_id=await _played(evening, who), speed=2.0)


async def replay_seek(evening: Evening, who: Who) -> object:
    return wire.ReplaySeek(class_id=await _played(evening, who), to_ms=0)


async def replay_close(evening: Evening, who: Who) -> object:
    return wire.RoomRef(class_id=await _played(evening, who))


async def _played(evening: Evening, who: Who) -> ClassId:
    """A class that `who` has played, if they may; it stands and so goes on until they leave."""
    message, seat = await replay(evening, who), await evening.sits(who)
    if not seat.refused:
        await seat.call("replay.open", message)
    return (await evening.live()).id


# -- one's own --------------------------------------------------------------------------------------------------


async def owners_task(evening: Evening, _: Who) -> object:
    return wire.TaskRef(task=TaskId(uuid.UUID(await a_task(evening, Who.OWNER))))


async def owners_notification(evening: Evening, _: Who) -> object:
    return wire.InboxRead(up_to=NotificationId(uuid.UUID(await a_notification(evening))))


async def owners_incident(evening: Evening, _: Who) -> object:
    return wire.IncidentRef(incident=(await _incident(evening, Who.OWNER)).id)


async def athletes_incident(evening: Evening, _: Who) -> object:
    """One of which the coaches have been told: its first step has been taken."""
    asked = await _incident(evening, Who.ATHLETE)
    async with evening.world.transactions() as stores:
        due = SafetyStepDue(asked.id, asked.account_id, asked.revision)
        assert await take_step(stores, due, evening.now_ms()) is not None
    return wire.IncidentRef(incident=asked.id)


async def _incident(evening: Evening, who: Who) -> Incident:
    """Somebody in the class is asked whether they are all right."""
    live, caller = await evening.live(), await evening.caller(who)
    safety = Safety(evening.world.transactions, evening.world.clock, evening.world.ids)
    await safety.choose(caller, Chosen(on=True))
    finding = Finding("over_limit", evening.world.clock.wall_ms(), 199)
    asked = await safety.found(caller.account_id, live.id, new_stream_id(), finding)
    assert asked is not None
    return asked
