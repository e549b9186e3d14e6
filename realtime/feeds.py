"""What this node has delivered of each room's log, and the care that nothing is left out.

A message that comes over the broker says where it stands in its log. Exactly the next one is delivered; an older one was
delivered before and is skipped; anything else means that something was lost, and then the log is read from where this node
stands, in order, before anything newer is delivered. When the log cannot prove what came in between, because it was trimmed or
began anew, the members here are told so: `on_reset`. A log that began anew is read from its begin: members are told to go on from
there, and then hear what is in it. So what is said first after a failover is heard like anything else.

A loss at the end of a burst has no successor that would show it, so every four seconds the ends of all logs are compared with
what was delivered, in one question per server (in a cluster per log); and at once when the broker says that it had a gap.

Invariants. `Feed.at` moves in one place each for delivery and for reset, never back within an epoch, and never while something
older waits; what is in an epoch that was left is not delivered a second time. So all members of a channel on this node see the
same events in the same order, and whoever joins between two deliveries stands exactly at `at`. Reading is done one at a time per
feed.

What is said into a log goes one step at a time per channel, and a step takes along everything that was said while the one before
was under way. So a calm room is told at once, and a loud one costs Redis and the members a step for many events.

Extending it: a new reason to doubt a feed calls `doubt`, nothing else.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec
import structlog

from realtime.codec import event_frame, position_of_frame
from realtime.crew import Crew
from realtime.frame import Frame
from realtime.node import Node
from realtime.parcel import MalformedError, OtherLevelError, decode_frame, encode_frame, header_of
from realtime.position import TAIL_BYTES, Position, head
from realtime.room_log import KEEP_EVENTS, READ_EVENTS, Appended, Entry, LogAway, RoomLog, Since
from realtime.sparingly import Sparingly
from services.kernel.clock import Clock

CHECK_EVERY_S: Final = 4.0
"""How long a loss that nothing follows can go unnoticed, and how late an event is on a node that is deaf and has not noticed. One
question per server for all rooms: a thousand rooms are 250 fields a second."""
AGAIN_S: Final = 0.5
"""Pause after a log did not answer. It answers within 0.25 s or not, so that a log is asked at most about once a second."""
AT_ONCE: Final = 16
"""Feeds that are read at the same time."""
READ_BYTES: Final = 4 * 1024 * 1024
"""Bytes that a feed reads at once: as good as all that a log keeps."""
BEGINS_READ: Final = 3
"""How often a log is read from its begin, while it begins anew again and again."""
EPOCHS_LEFT: Final = 8
"""Epochs that a feed has left and knows again. By feeling: a log goes back to an older one when its server starts with what was on
the disk, and the next event begins another."""
HELD_MESSAGES: Final = 256
"""Messages that wait while a feed is read. Full means: all of them are forgotten, because the log has them and is read again."""
SAID_TOGETHER: Final = 64
"""Events that go into a channel's log in one step."""
SAYING: Final = 512
"""Events that wait for a channel's log. Full means: one more is refused, as if the log were away, and may be said again."""
END_WITHIN_S: Final = 5.0

log = structlog.get_logger(__name__)

OnReset = Callable[[str, Position], None]
OnDelivered = Callable[[str, Frame], None]
HandOut = Callable[[str, Frame], object]
_Saying = list[tuple[Entry, "asyncio.Future[Appended]"]]


@dataclass(slots=True)
class FeedsStatistics:
    """Counts since start: events `delivered` (once per event, not per member), `skipped` as delivered before, `repaired`
    from the log, `resets` told, `appended` by this node, and what was `refused` because the log was away."""

    delivered: int = 0
    skipped: int = 0
    repaired: int = 0
    resets: int = 0
    appended: int = 0
    refused: int = 0


@dataclass(slots=True, eq=False)
class Feed:
    """One channel. `at` is the position of the last event delivered here, None until the log was first asked; `held` waits
    for what is missing before it; `left` are the epochs that it stood in before, the latest last; `failed_at` is the monotonic
    second in which the log last did not answer."""

    channel: str
    at: Position | None = None
    held: deque[tuple[Position, Frame]] = field(default_factory=deque)
    left: tuple[str, ...] = ()
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    failed_at: float = -math.inf


class _Step:
    """What goes into a log together."""

    __slots__ = ("_feeds", "channel", "saying", "together")

    def __init__(self, feeds: "Feeds", channel: str, saying: _Saying, together: _Saying) -> None:
        self._feeds: Final = feeds
        self.channel: Final = channel
        self.saying: Final = saying
        self.together: Final = together

    def told(self, told: "list[Appended] | BaseException") -> None:
        """See `RoomLog.append`."""
        self._feeds.stepped(self, told)


class Feeds:
    """The feeds of one node. `on_reset(channel, position)` is called when members here may have missed something: they go on
    from `position`. `hand_out(channel, frame)` gives an event to the members here: to all who hear the channel, unless somebody
    knows better for whom it is."""

    def __init__(self, node: Node, room_log: RoomLog, clock: Clock) -> None:
        self.on_reset: OnReset = _reset_for_nobody
        self._on_delivered: Final[list[OnDelivered]] = []
        self.statistics: Final = FeedsStatistics()
        self.hand_out: HandOut = node.broadcast
        self._node: Final = node
        self._log: Final = room_log
        self._clock: Final = clock
        self._say: Final = Sparingly(log, clock.monotonic)
        self._feeds: dict[str, Feed] = {}
        self._doubted: dict[str, None] = {}
        self._wake: Final = asyncio.Event()
        self._saying: Final[dict[str, _Saying]] = {}
        node.on_finished(self._heard)
        node.on_gap(self.doubt)

    # -- speaking -------------------------------------------------------------------------------------------------

    async def append(self, channel: str, event: str, shape: msgspec.Struct, key: str) -> Appended:
        """`begin`, and wait for it. Raises `LogAway`."""
        return await self.begin(channel, event, shape, key)

    def begin(self, channel: str, event: str, shape: msgspec.Struct, key: str) -> "asyncio.Future[Appended]":
        """Put an event into the log of a channel, behind all that this node has begun to say there; `shape` has `NOWHERE` for
        its position. Members, here and elsewhere, get it when it comes out of the log. The same `key` again: it is said once.
        The future raises `LogAway`."""
        message = encode_frame(self._node.id, event_frame(event, shape), open_end=TAIL_BYTES)
        loop = asyncio.get_running_loop()
        appended: asyncio.Future[Appended] = loop.create_future()
        saying = self._saying.get(channel)
        if saying is None:
            saying = self._saying[channel] = []
            loop.call_soon(self._step, channel, saying)
        if len(saying) < SAYING:
            saying.append((Entry(head(message), key), appended))
        else:
            self.statistics.refused += 1
            appended.set_exception(LogAway(f"{SAYING} events wait for this log already"))
        return appended

    def _step(self, channel: str, saying: _Saying) -> None:
        """Say what waits for this log, as much as goes together. It ends by itself: a log answers in time or is away."""
        together = saying[:SAID_TOGETHER]
        del saying[:SAID_TOGETHER]
        step = _Step(self, channel, saying, together)
        try:
            self._log.append(channel, [entry for entry, _ in together], step.told)
        except Exception as fault:  # of ours: whoever waits must not wait for ever
            step.told(fault)

    def stepped(self, step: "_Step", told: "list[Appended] | BaseException") -> None:
        """Tell what came of one step, and take the next."""
        together = [appended for _, appended in step.together]
        if not isinstance(told, BaseException) and len(told) != len(together):
            told = ValueError(f"the log told where {len(told)} entries stand, and was given {len(together)}")
        if isinstance(told, BaseException):
            self._refuse(together, told)
        else:
            for future, appended in zip(together, told, strict=True):
                self.statistics.appended += not appended.repeated
                if not future.done():
                    future.set_result(appended)
        if step.saying:
            self._step(step.channel, step.saying)
        else:
            del self._saying[step.channel]

    def _refuse(self, together: "list[asyncio.Future[Appended]]", fault: BaseException) -> None:
        self.statistics.refused += len(together)
        for future in together:
            if not future.done():
                future.set_exception(LogAway(str(fault)) if isinstance(fault, LogAway) else fault)

    def on_delivered(self, handler: OnDelivered) -> None:
        """Call `handler(channel, frame)` for each event just before members here get it."""
        self._on_delivered.append(handler)

    # -- following ------------------------------------------------------------------------------------------------

    def follow(self, channel: str) -> None:
        """Deliver what comes out of this log, from about now on. The channel itself is followed by whoever calls this."""
        if channel not in self._feeds:
            self._feeds[channel] = Feed(channel)
            self.doubt((channel,))

    def unfollow(self, channel: str) -> None:
        """Undo `follow`."""
        self._feeds.pop(channel, None)
        self._doubted.pop(channel, None)

    def at(self, channel: str) -> Position | None:
        """The position of the last event delivered here; None when it is not known (yet)."""
        feed = self._feeds.get(channel)
        return None if feed is None else feed.at

    def doubt(self, channels: Iterable[str]) -> None:
        """Something may be missing on these channels: compare them with their logs, soon."""
        for channel in channels:
            if channel in self._feeds:
                self._doubted[channel] = None
                self._wake.set()

    async def missed(self, channel: str, since: Position) -> tuple[Frame, ...] | None:
        """Everything after `since` up to what has been delivered here at the moment this returns, so that whoever joins in
        the same step has no hole and no duplicate. None when that cannot be proven. Raises `LogAway`."""
        found: list[Frame] = []
        last = since
        for _ in range(_TRIES):
            await self._caught_up(channel, since)
            at = self.at(channel)
            if at is None or at.epoch != since.epoch or since.after(at) or at.offset - since.offset > READ_EVENTS:
                return None
            if last.offset < at.offset:
                frames = _frames_of((await self._log.since(channel, last)).messages)
                if frames is None:
                    return None
                found += frames
                last = last.moved(len(frames))
            at = self.at(channel)
            if at is not None and at.epoch == since.epoch and since.offset <= at.offset <= last.offset:
                # What was read beyond `at` will be delivered to everybody here, the newcomer included.
                return tuple(found[: at.offset - since.offset])
        return None

    async def back(self, channel: str, before: Position, events: int) -> tuple[tuple[Frame, ...], Position | None]:
        """At most so many events before `before`, newest first, and the position of the oldest of them: None when there is nothing
        older. What stands at the end of the log and has not been delivered here is no part of it. Raises `LogAway`."""
        at = await self.known(channel)
        if at is None:
            raise LogAway("nobody here knows yet where this log stands")
        end = at.moved(1) if before.after(at) else before
        read = await self._log.back(channel, end, events=events)
        frames = _frames_of(read.messages)
        if frames is None:
            raise LogAway("what this log holds is not understood here")
        oldest = position_of_frame(frames[-1]) if frames else None
        return frames, None if oldest is None or oldest.offset == 1 else oldest

    async def known(self, channel: str) -> Position | None:
        """Where members here stand, asking the log if this is not known yet; None when it does not answer."""
        feed = self._feeds.get(channel)
        if feed is not None and feed.at is None:
            try:
                await self._read(feed)
            except LogAway as away:
                self._say.warning("feeds.position_unknown", cause="position", channel=channel, trouble=str(away))
        return self.at(channel)

    async def _caught_up(self, channel: str, since: Position) -> None:
        """A client that was on a node ahead of this one must not get the same events again."""
        feed = self._feeds.get(channel)
        if feed is not None and (feed.at is None or since.epoch != feed.at.epoch or since.after(feed.at)):
            await self._read(feed)

    # -- what comes in --------------------------------------------------------------------------------------------

    def _heard(self, channel: str, frame: Frame) -> None:
        feed = self._feeds.get(channel)
        if feed is None:
            return
        try:
            position = position_of_frame(frame)
        except ValueError as fault:
            self._say.warning("feeds.message_not_understood", cause="message", channel=channel, problem=str(fault))
            return
        if feed.at is not None and position.epoch == feed.at.epoch and position.offset <= feed.at.offset:
            self.statistics.skipped += 1
        elif feed.at is not None and position.follows(feed.at):
            self._deliver(feed, position, frame)
            if feed.held:
                self._release(feed)
        else:
            if len(feed.held) >= HELD_MESSAGES:
                feed.held.clear()
            feed.held.append((position, frame))
            self.doubt((channel,))

    def _deliver(self, feed: Feed, position: Position, frame: Frame) -> None:
        feed.at = position
        self.statistics.delivered += 1
        for handler in self._on_delivered:
            handler(feed.channel, frame)
        self.hand_out(feed.channel, frame)

    def _release(self, feed: Feed) -> None:
        """Deliver what was held and now follows; what still does not is looked for in the log."""
        held, feed.held = feed.held, deque()
        for position, frame in held:
            self._take(feed, position, frame)
        if feed.held:
            self.doubt((feed.channel,))

    def _take(self, feed: Feed, position: Position, frame: Frame) -> None:
        if feed.at is not None and position.follows(feed.at):
            self._deliver(feed, position, frame)
        elif feed.at is None or feed.at.epoch != position.epoch or position.after(feed.at):
            feed.held.append((position, frame))
        else:
            self.statistics.skipped += 1

    # -- reading the log ------------------------------------------------------------------------------------------

    async def _read(self, feed: Feed) -> None:
        """Bring a feed up to the end of its log. Raises `LogAway`."""
        async with feed.reading:
            # A hall full of people who join at once must not wait for one time-out after the other.
            if self._clock.monotonic() - feed.failed_at < AGAIN_S:
                raise LogAway("the log did not answer just now")
            try:
                after, read = await self._rest(feed)
            except LogAway:
                feed.failed_at = self._clock.monotonic()
                raise
            if self._feeds.get(feed.channel) is feed:
                self._bring_up(feed, after, read)

    async def _rest(self, feed: Feed) -> tuple[Position | None, Since]:
        """What the log has for a feed, and after which position that comes: where the feed stands, or the begin of an epoch that
        is new to it."""
        after = feed.at
        if after is None:
            top = (await self._log.tops((feed.channel,)))[feed.channel]
            if isinstance(top, LogAway):
                raise top
            return None, Since(top, None)
        heard = max((at.offset for at, _ in feed.held if at.epoch == after.epoch), default=after.offset)
        if heard > after.offset:
            # What was said must be there: a log that lacks it has lost its end, and begins another epoch when it is asked so.
            await self._after(feed.channel, Position(after.epoch, heard))
        read = await self._after(feed.channel, after)
        for _ in range(BEGINS_READ):
            if read.top.epoch == after.epoch or read.top.epoch in feed.left:
                break
            after = Position(read.top.epoch, 0)
            read = await self._after(feed.channel, after)
        return after, read

    async def _after(self, channel: str, position: Position) -> Since:
        return await self._log.since(channel, position, events=KEEP_EVENTS, size=READ_BYTES)

    def _bring_up(self, feed: Feed, after: Position | None, read: Since) -> None:
        frames = _frames_of(read.messages)
        if after is not None and frames is not None:
            if feed.at is None or feed.at.epoch != after.epoch:
                self._go_on_from(feed, after)
            for number, frame in enumerate(frames, start=1):
                position = after.moved(number)
                if feed.at is not None and position.follows(feed.at):
                    self.statistics.repaired += 1
                    self._deliver(feed, position, frame)
        elif feed.at is None or feed.at.epoch != read.top.epoch or feed.at.offset < read.top.offset:
            self._go_on_from(feed, read.top)
        # What is of another epoch belongs to a log that is gone; or to a newer one, which a second look will show.
        if any(position.epoch != read.top.epoch for position, _ in feed.held):
            feed.held = deque(entry for entry in feed.held if entry[0].epoch == read.top.epoch)
            self.doubt((feed.channel,))
        self._release(feed)

    def _go_on_from(self, feed: Feed, position: Position) -> None:
        """Nobody can say what members here have missed: they start again at a position."""
        if feed.at is not None and feed.at.epoch != position.epoch:
            feed.left = (*feed.left, feed.at.epoch)[-EPOCHS_LEFT:]
        feed.at = position
        self.statistics.resets += 1
        self.on_reset(feed.channel, position)

    # -- life -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Repair and check, until cancelled."""
        crew = Crew("feeds", END_WITHIN_S)
        await crew.live(repairs=self._keep_repairing(crew), checks=self._keep_checking(crew))

    async def _keep_repairing(self, crew: Crew) -> None:
        while not crew.over:
            await self._wake.wait()
            self._wake.clear()
            batch = list(self._doubted)[:AT_ONCE]
            for channel in batch:
                del self._doubted[channel]
            async with asyncio.TaskGroup() as group:
                repairs = {
                    channel: group.create_task(self._repaired(channel), name=f"feeds.repair {channel}")
                    for channel in batch
                }
            failed = [channel for channel, repair in repairs.items() if not repair.result()]
            if failed:
                await self._clock.sleep(AGAIN_S)
            self.doubt(failed)
            if self._doubted:
                self._wake.set()

    async def _repaired(self, channel: str) -> bool:
        feed = self._feeds.get(channel)
        if feed is None:
            return True
        try:
            await self._read(feed)
        except LogAway as away:
            self._say.warning("feeds.log_away", cause="repair", channel=channel, trouble=str(away))
            return False
        return True

    async def _keep_checking(self, crew: Crew) -> None:
        while not crew.over:
            await self._clock.sleep(CHECK_EVERY_S)
            tops = await self._log.tops(tuple(self._feeds))
            unknown = [top for top in tops.values() if isinstance(top, LogAway)]
            if unknown:
                self._say.warning("feeds.check_failed", cause="check", logs=len(unknown), trouble=str(unknown[0]))
            self.doubt(
                channel for channel, top in tops.items() if isinstance(top, Position) and top != self.at(channel)
            )


_TRIES: Final = 5
"""Readings for one newcomer, while events come faster than they can be read."""


def _frames_of(messages: tuple[bytes, ...] | None) -> tuple[Frame, ...] | None:
    """The frames in messages of a log; None when one of them is none, which proves as little as a hole."""
    if messages is None:
        return None
    frames = []
    for message in messages:
        try:
            frame = decode_frame(header_of(message), message)
            position_of_frame(frame)
            frames.append(frame)
        except (MalformedError, OtherLevelError, ValueError) as fault:
            log.warning("feeds.log_not_understood", problem=str(fault))
            return None
    return tuple(frames)


def _reset_for_nobody(channel: str, position: Position) -> None:
    """Nobody asked to hear of resets."""
