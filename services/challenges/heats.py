"""Heats as people use them: make one, say ready, begin.

Coming in, going, the table and its log are those of every challenge (challenges.py); the end comes by the schedule
(scorekeeping.py). A heat is made together with its room and the script of it, one interval as long as the heat; the beginning is an
event of that room's class clock and an entry of the score log in one transaction, so what the screens count down to is what the log
says.
"""

import secrets
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Final, Protocol

import msgspec

from services.access import permission as may
from services.access.policy import owned, require, require_held
from services.challenges.challenge import Challenge, Entrant, Ties, require_zone, team_from
from services.challenges.challenges import (
    AccountStore,
    ChallengeStore,
    ChallengeView,
    HeatStore,
    LaterStore,
    OutboxStore,
    new_challenge,
    require_place,
    seen_by,
    view_in,
)
from services.challenges.heat import (
    GATHER_MS,
    MOST_HEATS,
    Heat,
    HeatKind,
    Late,
    board_metric,
    heat_rules,
    require_gathering,
    terms_of,
)
from services.challenges.score_log import Joined, Opened, Started
from services.challenges.scorekeeping import append
from services.classes.class_clock import Event, Start, decide
from services.classes.live_class import CODE_LENGTH, NOBODY, LiveClass, code_from
from services.classes.lobby import COUNTDOWN_MS, Lobby, begins
from services.classes.script import Block, Interval, Script, laid_out
from services.classes.timeline import Timeline, clocks_of
from services.flags.switches import ALL_ON, Switches
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.facts import ChallengeDue, ChallengeMoved, ClassClockMoved
from services.kernel.ids import AccountId, ChallengeId, ClassId, Ids
from services.kernel.problems import BadShape, Busy, ChallengeNotFound, ChallengeOver, Forbidden, TooManyChallenges

_CODE_TRIES: Final = 5


class RoomStore(Protocol):
    """What this needs of the classes' store (persistence/classes.py)."""

    async def create(self, live: LiveClass) -> bool: ...
    async def lock(self, class_id: ClassId) -> LiveClass | None: ...


class TimelineStore(Protocol):
    """And of the timelines' (persistence/timelines.py)."""

    async def of(self, class_id: ClassId) -> Timeline: ...
    async def save_script(self, class_id: ClassId, script: Script, revision: int, at: datetime) -> None: ...
    async def add(self, class_id: ClassId, n: int, event: Event, key: str | None) -> None: ...


class LobbyStore(HeatStore, Protocol):
    """And of the heats' (persistence/heats.py)."""

    async def add(self, challenge_id: ChallengeId, class_id: ClassId) -> None: ...
    async def count_made(self, account_id: AccountId) -> int: ...
    async def start(self, challenge_id: ChallengeId, starts: datetime, ends: datetime) -> None: ...
    async def set_ready(self, challenge_id: ChallengeId, n: int, at: datetime | None) -> bool: ...
    async def here(self, challenge_id: ChallengeId) -> Sequence[AccountId]: ...


class HeatStores(Protocol):
    """The stores of one transaction."""

    @property
    def challenges(self) -> ChallengeStore: ...
    @property
    def heats(self) -> LobbyStore: ...
    @property
    def classes(self) -> RoomStore: ...
    @property
    def timelines(self) -> TimelineStore: ...
    @property
    def accounts(self) -> AccountStore: ...
    @property
    def schedule(self) -> LaterStore: ...
    @property
    def outbox(self) -> OutboxStore: ...


class Room(Protocol):
    """The room of a heat, on every node."""

    async def moved(self, class_id: ClassId, timeline: Timeline) -> None:
        """Tell everybody there how the timeline is now. Raises nothing: it is stored, and a worker says it again."""
        ...


class Heats:
    """The use cases."""

    def __init__(
        self,
        transactions: Callable[[], AbstractAsyncContextManager[HeatStores]],
        clock: Clock,
        ids: Ids,
        room: Room,
        switches: Switches = ALL_ON,
    ) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._ids: Final = ids
        self._room: Final = room
        self._switches: Final = switches

    async def create(
        self,
        caller: Caller,
        *,
        title: str,
        kind: HeatKind,
        length_min: int,
        from_zone: int | None,
        target: float | None,
        ties: Ties,
        late: Late,
        time_zone: str,
        teams: tuple[str, ...] = (),
        team: str | None = None,
    ) -> ChallengeView:
        """Make a heat; its maker is in it, where there are teams in the one of this name. Raises `ContradictoryChallenge`,
        `TooManyChallenges`, and `BadShape` for zone and team."""
        require_held(caller, may.USE_CHALLENGES)
        self._switches.require("challenges.making")
        now_ms = self._clock.wall_ms()
        rules = heat_rules(kind, length_min, from_zone, target, ties, late, now_ms, teams)
        own = team_from(rules, team)
        zone = require_zone(time_zone)
        if not title.strip():
            raise BadShape("give the heat a title", path="$.title")
        for _ in range(_CODE_TRIES):
            challenge = new_challenge(ChallengeId(self._ids.next()), caller, title.strip(), rules, now_ms)
            room = self._new_room(challenge)
            async with self._transactions() as stores:
                await require_place(stores, caller)
                if await stores.heats.count_made(caller.account_id) >= MOST_HEATS:
                    raise TooManyChallenges(limit=MOST_HEATS)
                if not await stores.challenges.create(challenge):
                    continue
                if not await stores.classes.create(room):
                    raise Busy("no free code was found; try again")
                return await self._opened(stores, caller, challenge, room, Joined(1, zone, own, now_ms))
        raise Busy("no free code was found; try again")

    async def ready(self, caller: Caller, challenge_id: ChallengeId, *, ready: bool) -> ChallengeView:
        """Say that one is ready, or is not. Once everybody is, the heat begins. Raises `ChallengeNotFound`, `HeatBegun`,
        `ChallengeOver`, and `BadShape` for a challenge that is no heat."""
        begun: tuple[ClassId, Timeline] | None = None
        async with self._transactions() as stores:
            challenge, heat, me = await self._gathering(stores, caller, challenge_id)
            if me is None:
                raise Forbidden("you have made this heat and are not in it: join it first")
            now_ms = self._clock.wall_ms()
            if await stores.heats.set_ready(challenge_id, me.n, utc(now_ms) if ready else None):
                await stores.outbox.add(ChallengeMoved(challenge_id), challenge_id)
                lobby = Lobby(tuple(await stores.heats.ready(challenge_id)))
                if ready and begins(lobby, await stores.heats.here(challenge_id)):
                    begun = await self._begin(stores, challenge, heat, now_ms)
            view = await view_in(stores, challenge, caller, me)
        await self._tell(begun)
        return view

    async def start(self, caller: Caller, challenge_id: ChallengeId) -> ChallengeView:
        """Begin, whoever is ready; for the maker. Raises as `ready`, and `Forbidden` for others."""
        async with self._transactions() as stores:
            challenge, heat, me = await self._gathering(stores, caller, challenge_id)
            require(caller, may.START_HEAT, owned(challenge.owner_id))
            begun = await self._begin(stores, challenge, heat, self._clock.wall_ms())
            view = await view_in(stores, challenge, caller, me)
        await self._tell(begun)
        return view

    async def _opened(
        self, stores: HeatStores, caller: Caller, challenge: Challenge, room: LiveClass, joined: Joined
    ) -> ChallengeView:
        now_ms = challenge.created_ms
        script = Script((Block((Interval(terms_of(challenge.rules).length_ms, room.title),)),))
        await stores.timelines.save_script(room.id, script, 1, utc(now_ms))
        await stores.heats.add(challenge.id, room.id)
        challenge = await append(stores.challenges, challenge, Opened(challenge.id, challenge.rules))
        challenge = await append(stores.challenges, challenge, joined)
        me = Entrant(1, caller.account_id, joined.zone, joined.team, now_ms, None, 0, 0, challenge.seq)
        await stores.challenges.enter(challenge.id, me)
        due = ChallengeDue(challenge.id)
        await stores.schedule.once(due, challenge.id, at_ms=now_ms + GATHER_MS, key=f"{challenge.id}:gather")
        return await view_in(stores, msgspec.structs.replace(challenge, members=1), caller, me)

    async def _gathering(
        self, stores: HeatStores, caller: Caller, challenge_id: ChallengeId
    ) -> tuple[Challenge, Heat, Entrant | None]:
        """A heat that has not begun, its row locked, for the caller who is in it or has made it."""
        challenge = await stores.challenges.lock(challenge_id)
        if challenge is None:
            raise ChallengeNotFound
        me = await seen_by(stores, challenge, caller)
        terms_of(challenge.rules)
        heat = await stores.heats.of(challenge_id)
        if heat is None:
            raise ChallengeNotFound
        require_gathering(heat)
        if challenge.over:
            raise ChallengeOver
        return challenge, heat, me

    @staticmethod
    async def _begin(stores: HeatStores, challenge: Challenge, heat: Heat, now_ms: int) -> tuple[ClassId, Timeline]:
        await stores.classes.lock(heat.class_id)
        timeline = await stores.timelines.of(heat.class_id)
        if timeline.script is None:
            raise ChallengeNotFound
        clock = clocks_of(timeline)[-1]
        event = decide(clock, laid_out(timeline.script), Start(COUNTDOWN_MS), now_ms)
        timeline = msgspec.structs.replace(timeline, events=(*timeline.events, event))
        begun = clocks_of(timeline)[-1]
        ends_ms = begun.at_ms + begun.duration_ms
        await stores.timelines.add(heat.class_id, begun.events, event, None)
        await append(stores.challenges, challenge, Started(begun.at_ms, ends_ms))
        await stores.heats.start(challenge.id, utc(begun.at_ms), utc(ends_ms))
        due = ChallengeDue(challenge.id)
        await stores.schedule.cancel(ChallengeDue, f"{challenge.id}:gather")
        await stores.schedule.once(due, challenge.id, at_ms=ends_ms, key=f"{challenge.id}:end")
        await stores.outbox.add(ClassClockMoved(heat.class_id), heat.class_id)
        await stores.outbox.add(ChallengeMoved(challenge.id), challenge.id)
        return heat.class_id, timeline

    async def _tell(self, begun: tuple[ClassId, Timeline] | None) -> None:
        if begun is not None:
            await self._room.moved(*begun)

    def _new_room(self, challenge: Challenge) -> LiveClass:
        return LiveClass(
            id=ClassId(self._ids.next()),
            code=code_from(secrets.token_bytes(CODE_LENGTH)),
            title=challenge.title,
            coach_id=NOBODY,
            coach_name="",
            created_ms=challenge.created_ms,
            heat=True,
            metric=board_metric(challenge.rules),
            teams=challenge.rules.teams,
        )
