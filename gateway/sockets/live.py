"""The events of the live namespace, each handed to the one use case that answers it.

Samples are taken in place, synchronously: their acknowledgement is the recorder's business. So is what is said into a room, whose
log keeps its order. The others wait for the database in place too, which keeps one client's events in order and holds back a client
that sends faster than it is answered.
"""

from collections.abc import Awaitable, Mapping

from gateway.sockets.dispatch import Handler, Reply
from gateway.sockets.renewal import Renewals
from realtime import wire
from realtime.connection import Connection
from rooms.chatting import Chatting
from rooms.clocks import Clocks
from rooms.comebacks import Comebacks
from rooms.driving import Driving
from rooms.lobbying import Lobbying
from rooms.muting import Muting
from rooms.players import Players
from rooms.raw_frames import batch_of, kind_of
from rooms.reacting import Reacting
from rooms.removing import Removing
from rooms.reporting import Reporting
from rooms.room import clock_views, view_of
from rooms.rooms import Rooms
from rooms.speaking import Speaking
from rooms.streams import Streams
from rooms.watching import Watching
from services.classes.classes import Classes
from services.classes.coaches import Coaches
from services.classes.rankings import Rankings
from services.classes.showings import Choice, Showings
from services.classes.timelines import Timelines
from services.kernel.problems import BadShape, NotInRoom
from services.notifications.notifications import Notifications
from services.safety.safety import Safety
from services.tasks.tasks import Tasks


class Live:
    """The handlers, by event name, over the use cases they call."""

    def __init__(
        self,
        streams: Streams,
        rooms: Rooms,
        classes: Classes,
        timelines: Timelines,
        coaches: Coaches,
        rankings: Rankings,
        clocks: Clocks,
        lobbying: Lobbying,
        speaking: Speaking,
        chatting: Chatting,
        muting: Muting,
        removing: Removing,
        reporting: Reporting,
        reacting: Reacting,
        driving: Driving,
        comebacks: Comebacks,
        showings: Showings,
        notifications: Notifications,
        tasks: Tasks,
        watching: Watching,
        players: Players,
        safety: Safety,
        renewals: Renewals,
    ) -> None:
        self._streams = streams
        self._rooms = rooms
        self._classes = classes
        self._timelines = timelines
        self._coaches = coaches
        self._rankings = rankings
        self._clocks = clocks
        self._lobbying = lobbying
        self._speaking = speaking
        self._chatting = chatting
        self._muting = muting
        self._removing = removing
        self._reporting = reporting
        self._reacting = reacting
        self._driving = driving
        self._comebacks = comebacks
        self._showings = showings
        self._tasks = tasks
        self._safety = safety
        self._notifications = notifications
        self._watching = watching
        self._players = players
        self._renewals = renewals

    def handlers(self) -> Mapping[str, Handler]:
        """One handler per client event of the catalogue."""
        return {
            "stream.open": self.stream_open,
            "stream.samples": self.stream_samples,
            "sensor.frame": self.sensor_frame,
            "stream.finish": self.stream_finish,
            "room.join": self.room_join,
            "room.leave": self.room_leave,
            "board.get": self.board_get,
            "board.filter": self.board_filter,
            "display.set": self.display_set,
            "cue.send": self.cue_send,
            "cue.seen": self.cue_seen,
            "trainer.set": self.trainer_set,
            "chat.send": self.chat_send,
            "chat.mute": self.chat_mute,
            "chat.unmute": self.chat_unmute,
            "chat.remove": self.chat_remove,
            "chat.report": self.chat_report,
            "reaction.send": self.reaction_send,
            "chat.history": self.chat_history,
            "class.create": self.class_create,
            "class.end": self.class_end,
            "class.control": self.class_control,
            "class.ready": self.class_ready,
            "coach.appoint": self.coach_appoint,
            "ranking.set": self.ranking_set,
            "member.remove": self.member_remove,
            "member.let_in": self.member_let_in,
            "timeline.get": self.timeline_get,
            "clock.sync": self.clock_sync,
            "token.renew": self.token_renew,
            "challenge.watch": self.challenge_watch,
            "challenge.unwatch": self.challenge_unwatch,
            "replay.open": self.replay_open,
            "replay.pace": self.replay_pace,
            "replay.seek": self.replay_seek,
            "replay.close": self.replay_close,
            "task.cancel": self.task_cancel,
            "safety.cancel": self.safety_cancel,
            "safety.acknowledge": self.safety_acknowledge,
            "inbox.read": self.inbox_read,
        }

    def closed(self, connection: Connection) -> None:
        """A connection is gone: its streams wait, its scores stay."""
        self._streams.drop(connection)
        self._rooms.drop(connection)
        self._comebacks.gone(connection)
        self._watching.drop(connection)
        self._players.drop(connection)
        self._renewals.closed(connection)

    async def stream_open(self, connection: Connection, message: wire.StreamOpen, reply: Reply) -> None:
        reply.ok(await self._streams.open(connection, message))

    def stream_samples(self, connection: Connection, message: wire.SampleBatch, reply: Reply) -> None:
        self._streams.accept(connection, message, reply)

    def sensor_frame(self, connection: Connection, message: wire.SensorFrame, reply: Reply) -> None:
        self._streams.accept(connection, batch_of(message), reply, kind_of(message))

    async def stream_finish(self, connection: Connection, message: wire.StreamFinish, reply: Reply) -> None:
        reply.ok(await self._streams.finish(connection, message))

    async def room_join(self, connection: Connection, message: wire.RoomJoin, reply: Reply) -> None:
        joined = await self._rooms.join(connection, message)
        # In front: a client that has read the answer can come back by what was in front of it.
        self._comebacks.tell_position(connection, joined.room.id, joined.position)
        reply.ok(joined)

    def room_leave(self, connection: Connection, message: wire.RoomRef, reply: Reply) -> None:
        self._rooms.leave(connection, message.class_id)
        self._comebacks.left(connection, message.class_id)
        reply.ok(wire.Done())

    def board_get(self, connection: Connection, message: wire.RoomRef, reply: Reply) -> None:
        reply.ok(self._rooms.board(connection, message.class_id))

    def board_filter(self, connection: Connection, message: wire.BoardFilter, reply: Reply) -> None:
        reply.ok(self._rooms.filter(connection, message))

    async def display_set(self, connection: Connection, message: wire.DisplaySet, reply: Reply) -> None:
        class_id, choice = message.class_id, Choice(message.mode, message.alias, message.body, message.age)
        chosen = await self._showings.choose(connection.caller, class_id, choice)
        reply.ok(wire.DisplayNow(class_id, chosen.mode, chosen.alias, chosen.body, chosen.age))

    def cue_send(self, connection: Connection, message: wire.CueSend, reply: Reply) -> None:
        reply.when(self._speaking.cue(connection, message))

    def cue_seen(self, connection: Connection, message: wire.CueSeen, reply: Reply) -> None:
        reply.ok(self._speaking.seen(connection, message))

    def trainer_set(self, connection: Connection, message: wire.TrainerSet, reply: Reply) -> None:
        reply.ok(self._driving.set(connection, message))

    def chat_send(self, connection: Connection, message: wire.ChatSend, reply: Reply) -> None:
        reply.when(self._speaking.chat(connection, message))

    async def chat_mute(self, connection: Connection, message: wire.ChatMute, reply: Reply) -> None:
        reply.ok(await self._muting.mute(connection, message))

    async def chat_unmute(self, connection: Connection, message: wire.ChatUnmute, reply: Reply) -> None:
        reply.ok(await self._muting.unmute(connection, message))

    async def chat_remove(self, connection: Connection, message: wire.ChatRemove, reply: Reply) -> None:
        reply.ok(await self._removing.remove(connection, message))

    async def chat_report(self, connection: Connection, message: wire.ChatReport, reply: Reply) -> None:
        reply.ok(await self._reporting.report(connection, message))

    def reaction_send(self, connection: Connection, message: wire.ReactionSend, reply: Reply) -> None:
        reply.ok(self._reacting.send(connection, message))

    async def chat_history(self, connection: Connection, message: wire.ChatPage, reply: Reply) -> None:
        reply.ok(await self._chatting.history(connection, message))

    async def class_create(self, connection: Connection, message: wire.ClassCreate, reply: Reply) -> None:
        caller = connection.caller
        made = await self._classes.create(caller, message.title, message.needs, message.metric, message.teams)
        reply.ok(view_of(made))

    async def class_end(self, connection: Connection, message: wire.ClassRef, reply: Reply) -> None:
        reply.ok(view_of(await self._classes.end(connection.caller, message.class_id)))

    async def class_control(self, connection: Connection, message: wire.ClassControl, reply: Reply) -> None:
        class_id = message.class_id
        timeline = await self._timelines.control(connection.caller, class_id, message.do, message.key)
        reply.ok(clock_views(class_id, timeline)[-1])

    async def class_ready(self, connection: Connection, message: wire.ClassReady, reply: Reply) -> None:
        reply.ok(await self._lobbying.ready(connection, message))

    async def coach_appoint(self, connection: Connection, message: wire.CoachAppoint, reply: Reply) -> None:
        if message.class_id not in connection.rooms:
            raise NotInRoom
        reply.ok(view_of(await self._coaches.appoint(connection.caller, message.class_id, message.n, message.to)))

    async def ranking_set(self, connection: Connection, message: wire.RankingSet, reply: Reply) -> None:
        if message.class_id not in connection.rooms:
            raise NotInRoom
        reply.ok(view_of(await self._rankings.rank_by(connection.caller, message.class_id, message.metric)))

    async def member_remove(self, connection: Connection, message: wire.MemberRemove, reply: Reply) -> None:
        if message.class_id not in connection.rooms:
            raise NotInRoom
        await self._coaches.remove(connection.caller, message.class_id, message.n)
        reply.ok(wire.Done())

    async def member_let_in(self, connection: Connection, message: wire.MemberLetIn, reply: Reply) -> None:
        if message.class_id not in connection.rooms:
            raise NotInRoom
        await self._coaches.let_in(connection.caller, message.class_id, message.n)
        reply.ok(wire.Done())

    async def timeline_get(self, connection: Connection, message: wire.RoomRef, reply: Reply) -> None:
        class_id = message.class_id
        if class_id not in connection.rooms:
            raise NotInRoom
        timeline = await self._timelines.of(class_id)
        reply.ok(wire.ClassTimeline(class_id, timeline.script, clock_views(class_id, timeline)))

    def clock_sync(self, connection: Connection, message: wire.ClockSync, reply: Reply) -> None:
        reply.ok(self._clocks.sync(connection, message, reply.age_ms()))

    def token_renew(self, connection: Connection, message: wire.TokenRenew, reply: Reply) -> Awaitable[None] | None:
        return self._renewals.renew(connection, message, reply)

    async def challenge_watch(self, connection: Connection, message: wire.ChallengeRef, reply: Reply) -> None:
        reply.ok(await self._watching.watch(connection, message.challenge_id))

    def challenge_unwatch(self, connection: Connection, message: wire.ChallengeRef, reply: Reply) -> None:
        self._watching.unwatch(connection, message.challenge_id)
        reply.ok(wire.Done())

    async def replay_open(self, connection: Connection, message: wire.ReplayOpen, reply: Reply) -> None:
        reply.ok(await self._players.open(connection, message))

    def replay_pace(self, connection: Connection, message: wire.ReplayPace, reply: Reply) -> None:
        reply.ok(self._players.pace(connection, message))

    def replay_seek(self, connection: Connection, message: wire.ReplaySeek, reply: Reply) -> None:
        reply.ok(self._players.seek(connection, message))

    def replay_close(self, connection: Connection, message: wire.RoomRef, reply: Reply) -> None:
        self._players.close(connection, message.class_id)
        reply.ok(wire.Done())

    async def task_cancel(self, connection: Connection, message: wire.TaskRef, reply: Reply) -> None:
        reply.ok(await self._tasks.cancel(connection.caller, message.task))

    async def safety_cancel(self, connection: Connection, message: wire.IncidentRef, reply: Reply) -> None:
        reply.ok(await self._safety.cancel(connection.caller, message.incident))

    async def safety_acknowledge(self, connection: Connection, message: wire.IncidentRef, reply: Reply) -> None:
        reply.ok(await self._safety.acknowledge(connection.caller, message.incident))

    async def inbox_read(self, connection: Connection, message: wire.InboxRead, reply: Reply) -> None:
        match message:
            case wire.InboxRead(ids=tuple(ids), up_to=None):
                reply.ok(await self._notifications.mark_read(connection.caller, ids))
            case wire.InboxRead(ids=None, up_to=last) if last is not None:
                reply.ok(await self._notifications.mark_read_up_to(connection.caller, last))
            case _:
                raise BadShape("give either ids or up_to", path="$")
