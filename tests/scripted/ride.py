"""A story happens: second by second, on a site, until every summary is made."""

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from persistence.stores import Transactions
from realtime.connection import Connection
from realtime.wire import BoardSnapshot, CueSend, RoomJoin, RoomJoined
from rooms.replay import Replay, Verdict
from services.audit.entry import SYSTEM
from services.classes.class_clock import Command, Pause, Resume, Start, ran_ms_at
from services.classes.live_class import LiveClass
from services.classes.script import Block, Interval, Script
from services.classes.showings import Choice
from services.classes.timeline import clocks_of
from services.classes.timelines import ScriptDraft
from services.kernel.facts import ClassEnded, WorkoutFinished
from services.kernel.ids import StreamId, Uuid7Ids
from services.notifications.rendering import Words
from tests.rooms.test_rooms import Screen
from tests.scripted.phone import Phone
from tests.scripted.site import Site, SiteNode, read
from tests.scripted.story import Story
from workers.handlers import Handlers
from workers.push import NodePush

TEAMS: Final = ("North", "South", "West")
"""One in four phones names none of them."""
AT_ONCE: Final = 8
"""Phones that come in side by side."""
LAST_S: Final = 16
"""Seconds after the last sample: longer than it takes until a dead node makes nobody present, or a sensor is lost."""


@dataclass
class Watched:
    """A screen on one node, and the connection that feeds it."""

    node: SiteNode
    connection: Connection
    screen: Screen

    def read(self) -> None:
        """What came since the last time; that changes fit on each other is the screen's own assertion."""
        self.screen.read([each for each in read(self.connection) if each[0].startswith("board.")])


@dataclass
class Outcome:
    """What was seen while it happened. `ran_ms` is how long the coach let the class run, `clock_ms` what its clock says of that,
    `ended_ms` when the last second was over, all by the clock of the site: a second in which the servers took long has more ms than
    1,000 (`Site.until`). `still_seen` are numbers of who had hidden and stood on a screen a second later; `replayed` the last board
    of the class as it plays again, `refused` how many answers were a problem, by code."""

    story: Story
    live: LiveClass
    phones: list[Phone]
    screens: list[Watched]
    ran_ms: int
    clock_ms: int
    ended_ms: int
    cues: list[str]
    still_seen: list[int]
    verdict: Verdict
    replayed: Screen
    refused: dict[str, int] = field(default_factory=dict)


class Ride:
    """One story on one site. `rest` is awaited after each minute of class."""

    def __init__(self, site: Site, story: Story, rest: Callable[[int], Awaitable[None]] | None = None) -> None:
        self.site: Final = site
        self.story: Final = story
        self._rest: Final = rest
        self._screens: list[Watched] = []
        self._phones: list[Phone] = []
        self._said: list[str] = []
        self._hidden: list[int] = []
        self._still_seen: list[int] = []
        self._ran_ms = 0
        self._running_since_ms: int | None = None

    async def run(self) -> Outcome:
        """Let it happen."""
        site, story = self.site, self.story
        one, two = await site.node(), await site.node()
        self._coach = await site.person("Mia", 190, coach=True)
        self._live = live = await one.classes.create(self._coach, "Scripted class", teams=TEAMS)
        self._watching = await self._watch(one, coach=True)
        await self._watch(two)
        site.class_id = live.id
        # Longer than the story: the clock would stop at its end, also when the servers took long.
        minutes = Script(blocks=(Block(intervals=(Interval(60_000),), repeat=story.seconds // 60 + 5),))
        await one.timelines.save_script(self._coach, live.id, ScriptDraft(minutes))
        for number, rider in enumerate(story.riders):
            caller = await site.person(rider.name, rider.max_hr)
            team = (*TEAMS, None)[number % (len(TEAMS) + 1)]
            self._phones.append(Phone(rider, caller, StreamId(uuid.UUID(int=number + 1)), live.code, team))
        for second in range(story.seconds):
            await self._second(second, one, two)
            if self._rest is not None and second % 60 == 59:
                await self._rest(second // 60 + 1)
        return await self._end(one)

    async def _second(self, second: int, one: SiteNode, two: SiteNode) -> None:
        story = self.story
        if second == story.dies_s:
            await self._dies(two)
        if second == story.third_s:
            await self._watch(await self.site.node())
        await self._lead(one, second)
        for phone in self._phones:
            if phone.rider.measures(second):
                phone.measure(second)
            if phone.connection is not None and not phone.rider.reaches(second):
                phone.lose()
        await self._bring_in(second)
        for phone in self._phones:
            if second == phone.rider.hides_s:
                await one.showings.choose(phone.caller, self._live.id, Choice("hidden"))
                self._hidden.append(phone.n)
            phone.speak()
        await self.site.second()
        for phone in self._phones:
            phone.listen()
            if second == phone.rider.leaves_s - 1 and phone.rider.leaves_s < story.seconds:
                await self._leaves(phone)
        for screen in self._screens:
            screen.read()
            self._still_seen += [n for n in self._hidden if n in screen.screen.rows]

    async def _lead(self, node: SiteNode, second: int) -> None:
        """What the coach does in this second."""
        if second == self.story.starts_s:
            await self._control(node, Start(), runs=True)
        for begin, end in self.story.pauses:
            if second == begin:
                await self._control(node, Pause(), runs=False)
            if second == end:
                await self._control(node, Resume(), runs=True)
        if second in self.story.cues:
            text = f"Cue at {second} s"
            await node.speaking.cue(self._watching, CueSend(class_id=self._live.id, text=text))
            self._said.append(text)

    async def _control(self, node: SiteNode, command: Command, *, runs: bool) -> None:
        await node.timelines.control(self._coach, self._live.id, command, None)
        self._settle()
        self._running_since_ms = self.site.clock.wall_ms() if runs else None

    def _settle(self) -> None:
        """Count for how long the class has run up to now."""
        now_ms = self.site.clock.wall_ms()
        if self._running_since_ms is not None:
            self._ran_ms += now_ms - self._running_since_ms
            self._running_since_ms = now_ms

    async def _bring_in(self, second: int) -> None:
        """Whoever is there and has no connection gets one."""
        coming = [
            phone
            for phone in self._phones
            if phone.connection is None
            and not phone.finished
            and phone.rider.comes_s <= second
            and phone.rider.reaches(second)
        ]
        for begin in range(0, len(coming), AT_ONCE):
            await asyncio.gather(*(phone.come_in(self._node_of(phone)) for phone in coming[begin : begin + AT_ONCE]))

    def _node_of(self, phone: Phone) -> SiteNode:
        """A phone comes back on the other node as often as on the same."""
        nodes = self.site.nodes
        return nodes[(phone.rider.home + phone.comings) % len(nodes)]

    async def _leaves(self, phone: Phone) -> None:
        """Somebody goes home early: with all that they have measured, also when they had no network."""
        if phone.connection is None:
            await phone.come_in(self._node_of(phone))
            phone.speak()
        await phone.finish()
        phone.lose()

    async def _dies(self, node: SiteNode) -> None:
        await self.site.kill(node)
        self._screens = [watched for watched in self._screens if watched.node is not node]
        for phone in self._phones:
            if phone.node is node:
                phone.forget()

    async def _watch(self, node: SiteNode, *, coach: bool = False) -> Connection:
        caller = self._coach if coach else await self.site.person("Screen", 190)
        connection = node.connect(caller)
        joined: RoomJoined = await node.rooms.join(
            connection, RoomJoin(code=self._live.code, role="coach" if coach else "spectator")
        )
        self._screens.append(Watched(node, connection, Screen(joined.board)))
        return connection

    # -- the end --------------------------------------------------------------------------------------------------

    async def _end(self, node: SiteNode) -> Outcome:
        """Everybody comes back and says the rest; the coach ends the class; all finish, and what follows is done."""
        self._settle()
        ended_ms = self.site.clock.wall_ms()
        clock_ms = ran_ms_at(clocks_of(await node.timelines.of(self._live.id))[-1], ended_ms)
        for phone in self._phones:
            if phone.connection is None and not phone.finished:
                await phone.come_in(self._node_of(phone))
            phone.speak()
        await self.site.second()
        await node.classes.end(self._coach, self._live.id)
        for _ in range(LAST_S):
            await self.site.second()
        for phone in self._phones:
            phone.listen()
            if not phone.finished:
                await phone.finish()
        await self.site.second()
        await self.site.second()
        for watched in self._screens:
            watched.read()
        for each in self.site.nodes:
            await each.tapes.write()
        await self._summarise(node)
        return await self._outcome(clock_ms, ended_ms)

    async def _summarise(self, node: SiteNode) -> None:
        """Hand every fact to its handler, each twice, in a drawn order."""
        transactions = self._transactions()
        handlers = Handlers(self.site.clock, NodePush(node.node, node.rooms.feeds, Words()), lambda _: None)
        async with transactions() as stores:
            facts = [envelope.fact for envelope in await stores.outbox.peek(100_000)] * 2
        random.Random(self.story.seed).shuffle(facts)
        for fact in facts:
            async with transactions() as stores:
                if isinstance(fact, WorkoutFinished):
                    await handlers.summarise_workout(stores, fact)
                if isinstance(fact, ClassEnded | WorkoutFinished):
                    await handlers.summarise_class(stores, fact)

    async def _outcome(self, clock_ms: int, ended_ms: int) -> Outcome:
        replay = Replay(self._transactions())
        shown = [each async for each in replay.show(self._live.id, SYSTEM) if each.event.startswith("board.")]
        first, *rest = shown
        replayed = Screen(msgspec.json.decode(first.payload, type=BoardSnapshot))
        replayed.read([(each.event, msgspec.json.decode(each.payload)) for each in rest])
        refused: dict[str, int] = {}
        for code in (code for phone in self._phones for code in phone.refused):
            refused[code] = refused.get(code, 0) + 1
        return Outcome(
            story=self.story,
            live=self._live,
            phones=self._phones,
            screens=self._screens,
            ran_ms=self._ran_ms,
            clock_ms=clock_ms,
            ended_ms=ended_ms,
            cues=self._said,
            still_seen=self._still_seen,
            verdict=await replay.check(self._live.id),
            replayed=replayed,
            refused=refused,
        )

    def _transactions(self) -> Transactions:
        return Transactions(self.site.database, self.site.clock, Uuid7Ids(self.site.clock))
