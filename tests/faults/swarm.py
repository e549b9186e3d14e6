"""The people of the stand, all together: devices that keep their samples until they are acknowledged, members that fold the board,
coaches that speak into rooms, and a clerk at each gateway.

What they send and see goes into the history; what to think of it is the checkers' business. One swarm serves many cases: a history
begins and ends while all is quiet.

    people.py    accounts and classes         roamer.py    a connection that looks for another gateway
    device.py    numbered samples             watcher.py   a strict member
    voices.py    coaches and clerks
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import msgspec

from loadtest.api import Api, Refusal
from loadtest.link import LinkEnded, LinkLost
from services.kernel.ids import AccountId, ClassId
from tests.faults.device import Device
from tests.faults.history import History, RowSeen, Stored
from tests.faults.people import Person, Registry, open_registry
from tests.faults.roamer import Roamer
from tests.faults.stand import Stand
from tests.faults.voices import Clerk, Coach
from tests.faults.watcher import Watcher

SETTLE_S: Final = 30.0
QUIET_S: Final = 30.0


class Plan(msgspec.Struct, frozen=True):
    """How many: `devices` and `members` in each of so many `rooms`; samples a second of each device; seconds between a coach's
    words."""

    rooms: int = 3
    devices: int = 4
    members: int = 6
    hz: float = 2.0
    say_every_s: float = 0.25


SHORT: Final = Plan()
FEW: Final = Plan(rooms=1, devices=2, members=3)
"""For short cases that are about something else, and want to see that people do not notice."""
FULL: Final = Plan(rooms=15, devices=8, members=12, hz=2.0, say_every_s=0.25)
"""300 clients, as many as the catalogue of faults asks for, and 15 coaches."""


class Swarm:
    """Everybody. `history` is the one that is being written; `faults` what went wrong with the swarm itself; `missing` the events
    that the server does not know; `refusals` what coaches were told before they tried again."""

    def __init__(self, stand: Stand, plan: Plan, rng: random.Random) -> None:
        self.stand: Final = stand
        self.plan: Final = plan
        self.rng: Final = rng
        self.history = History()
        self.devices: list[Device] = []
        self.members: list[Watcher] = []
        self.coaches: list[Coach] = []
        self.clerks: list[Clerk] = []
        self.missing: set[str] = set()
        self.faults: list[str] = []
        self.refusals: list[str] = []
        self.hushed = False
        self.first_word = 1
        self._words = 0
        self._codes: dict[str, str] = {}
        self._devices_of: dict[AccountId, Device] = {}
        self._group: asyncio.TaskGroup | None = None
        self._registry: Registry | None = None

    async def strangers(self, count: int) -> list[Person]:
        """So many more people, with accounts and nothing else."""
        assert self._registry is not None
        return await self._registry.people([f"Stranger {n}" for n in range(count)])

    @property
    def watchers(self) -> Iterator[Watcher]:
        """Everybody who folds a board."""
        yield from self.members
        yield from self.coaches

    @property
    def roamers(self) -> Iterator[Roamer]:
        """Everybody who may be on any gateway."""
        yield from (device.link for device in self.devices)
        yield from (watcher.link for watcher in self.watchers)

    def code_of(self, class_id: ClassId | str) -> str:
        """The join code of a class; its id when it is none of ours, which is a leak of the worst kind."""
        return self._codes.get(str(class_id), str(class_id))

    def device_of(self, account_id: AccountId) -> Device | None:
        """The device of an account, if it has one."""
        return self._devices_of.get(account_id)

    def next_word(self) -> int:
        """What the next coach says: numbers are not said twice in any room."""
        self._words += 1
        return self._words

    def later(self, work: Any) -> None:
        """Do it soon, as one of the swarm's own tasks."""
        assert self._group is not None
        self._group.create_task(self._unless_lost(work), name="swarm: a small thing")

    @staticmethod
    async def _unless_lost(work: Any) -> None:
        with contextlib.suppress(LinkLost, ConnectionError):
            await work

    # -- made -------------------------------------------------------------------------------------------------------------

    async def gather(self, registry: Registry) -> None:
        """Make the people and the rooms, and give everybody a place; alternately on one gateway and the other."""
        plan = self.plan
        self._registry = registry
        coaches = await registry.people([f"Coach {n}" for n in range(plan.rooms)], "coach", "member")
        athletes = await registry.people([f"Athlete {n}" for n in range(plan.rooms * plan.devices)])
        audience = await registry.people([f"Member {n}" for n in range(plan.rooms * plan.members)])
        clerks = await registry.people([f"Clerk {n}" for n in range(len(self.stand.gateways))])
        rooms = [await registry.live_class(coach, self.rng) for coach in coaches]
        self._codes = {str(room.id): room.code for room in rooms}
        for n, person in enumerate(athletes):
            device = Device(self, n, person, rooms[n // plan.devices])
            self.devices.append(device)
            self._devices_of[person.account_id] = device
        for n, person in enumerate(audience):
            link = Roamer(self, f"member-{n}", person, home=n)
            self.members.append(Watcher(self, f"member-{n}", person, rooms[n // plan.members], link, "spectator"))
        for n, (person, room) in enumerate(zip(coaches, rooms, strict=True)):
            link = Roamer(self, f"coach-{n}", person, home=n)
            self.coaches.append(Coach(self, f"coach-{n}", person, room, link, "coach"))
        self.clerks = [Clerk(self, n, person, rooms[0]) for n, person in enumerate(clerks)]

    async def live(self, group: asyncio.TaskGroup) -> None:
        """Set everybody going, in `group`."""
        self._group = group
        for link in (*self.roamers, *(clerk.link for clerk in self.clerks)):
            group.create_task(self._link(link), name=f"link of {link.who}")
        for device in self.devices:
            group.create_task(device.stream.run(), name=f"stream of {device.who}")
            group.create_task(device.beat(), name=f"beat of {device.who}")
        for coach in self.coaches:
            group.create_task(coach.speak(), name=f"words of {coach.who}")
        for clerk in self.clerks:
            group.create_task(self._until_link_ends(clerk.ask()), name=f"questions of {clerk.who}")

    async def _link(self, link: Roamer) -> None:
        try:
            await link.run()
        except (LinkEnded, Refusal) as fault:
            self.faults.append(f"{link.who}: {fault}")

    @staticmethod
    async def _until_link_ends(work: Any) -> None:
        with contextlib.suppress(LinkEnded):
            await work

    # -- a history's beginning and end -----------------------------------------------------------------------------------------

    def begin(self, history: History) -> None:
        """Everything that happens from now on belongs to this history. To be called while all is quiet."""
        self.history = self.stand.history = history
        self.first_word = self._words + 1
        self.refusals.clear()
        for device in self.devices:
            device.begin()
        for watcher in self.watchers:
            watcher.begin()

    async def settled(self, within_s: float = SETTLE_S) -> None:
        """Wait until everybody is in and every board shows every device live. Raises TimeoutError saying who does not."""
        try:
            async with asyncio.timeout(within_s):
                while self.not_settled():
                    await asyncio.sleep(0.05)
        except TimeoutError as late:
            raise TimeoutError(f"after {within_s:g} s: {'; '.join(self.not_settled()[:5])}") from late

    def not_settled(self) -> list[str]:
        """Who is not in, and whose board does not show the present."""
        found = [f"{link.who} is not connected" for link in self.roamers if link.connection is None]
        for watcher in self.watchers:
            if not watcher.inside:
                found.append(f"{watcher.who} is not in the room")
                continue
            rows = watcher.look().rows
            old = [row for row in rows if row.freshness != "live" or not self._is_new(row)]
            if old or len(rows) < self.plan.devices:
                found.append(f"{watcher.who} sees {old[:1] or len(rows)}")
        return found

    def _is_new(self, row: RowSeen) -> bool:
        device = next(one for one in self.devices if one.who == row.device)
        return row.sample is not None and time.monotonic_ns() - device.sent_ns[row.sample] < 2_500_000_000

    async def home(self) -> None:
        """Bring everybody back to where they belong, so that one case begins like another."""
        for link in self.roamers:
            await link.go_home()

    async def quiet(self, within_s: float = QUIET_S) -> None:
        """Stop speaking and sending, and wait until everything that was sent is acknowledged. What is not is left as it is: the
        checkers decide."""
        for device in self.devices:
            device.paused = True
        deadline = time.monotonic() + within_s
        await self.hush(within_s)
        while time.monotonic() < deadline and any(device.waits for device in self.devices):
            await asyncio.sleep(0.05)

    async def hush(self, within_s: float = QUIET_S) -> None:
        """Stop speaking, and wait until what was said has been answered and heard: whoever leaves afterwards is owed nothing."""
        self.hushed = True
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline and any(coach.busy for coach in self.coaches):
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)  # what was said last is on its way

    def loud(self) -> None:
        """Go on."""
        self.hushed = False
        for device in self.devices:
            device.paused = False

    async def look(self) -> None:
        """Note everybody's board, compared with the server's own."""
        watchers = [watcher for watcher in self.watchers if watcher.inside]
        verdicts = await asyncio.gather(*(watcher.same() for watcher in watchers))
        for watcher, same in zip(watchers, verdicts, strict=True):
            if same is False:  # a change may have been on its way when it was asked: only twice is a difference
                await asyncio.sleep(0.3)
                same = await watcher.same()
            self.history.note(watcher.look(same=same))

    async def note_stored(self) -> None:
        """Read back what the server has of every device."""
        api = Api(self.stand.http, self.stand.gateways[0].server.base_url, patience_s=20)
        for device in self.devices:
            self.history.note(Stored(t=self.history.now(), who=device.who, samples=await device.stored(api)))


@asynccontextmanager
async def open_swarm(stand: Stand, plan: Plan, seed: int) -> AsyncIterator[Swarm]:
    """A swarm that is in its rooms and sends."""
    swarm = Swarm(stand, plan, random.Random(seed))
    async with AsyncExitStack() as resources:
        registry = await resources.enter_async_context(open_registry(stand))
        await swarm.gather(registry)
        group = asyncio.TaskGroup()
        async with group:
            await swarm.live(group)
            try:
                await swarm.settled()
                yield swarm
            finally:
                for link in (*swarm.roamers, *(clerk.link for clerk in swarm.clerks)):
                    await link.close()
                for task in tuple(group._tasks):
                    task.cancel()
