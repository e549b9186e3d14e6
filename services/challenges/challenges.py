"""Challenges as people use them: make one, invite, come in, go, look at the table and at its log."""

import secrets
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import date, datetime
from typing import Final, Protocol
from uuid import UUID

import msgspec

from services.access import permission as may
from services.access.policy import owned, require, require_held
from services.challenges import tables
from services.challenges.challenge import (
    CODE_LENGTH,
    GONE,
    MOST_OPEN,
    Called,
    Challenge,
    Entrant,
    HeatTerms,
    Kind,
    Rules,
    Ties,
    closes_ms,
    over_everywhere_ms,
    require_zone,
    room_for,
    rules_from,
    team_from,
)
from services.challenges.heat import GATHER_MS, SETTLE_MS, Heat, HeatView, require_open
from services.challenges.ranking import Line, Ranked, ranked_teams
from services.challenges.score_log import BEGINNING, Joined, Left, Link, Opened
from services.challenges.scorekeeping import AppendStore, append, move_team
from services.challenges.tables import HotTable, LineStore, Page, TableAway
from services.classes.live_class import CODE_ALPHABET, normal_code
from services.flags.switches import ALL_ON, Switches
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.facts import AnyFact, ChallengeDue, ChallengeMoved, Fact
from services.kernel.ids import AccountId, ChallengeId, FactId, Ids
from services.kernel.problems import (
    BadShape,
    Busy,
    ChallengeFull,
    ChallengeNotFound,
    ChallengeOver,
    HeatBegun,
    TooManyChallenges,
)

MAX_LIST: Final = 50
MAX_PAGE: Final = 100
"""Lines of one page of a table."""
MAX_ENTRIES: Final = 500
"""Entries of one page of a score log."""
WAITING_SHOWN: Final = 5
"""Names of those for whom a heat waits: with more of them the page was a wall of names; the others are a number."""
_CODE_TRIES: Final = 5


class ChallengeView(msgspec.Struct, frozen=True):
    """A challenge as its members see it. `code` invites. `kind` says what `value` counts on its table: workouts (`count`), ms in
    zone `from_zone` and above (`zone_time`), zone-milliseconds, which are points times 60,000 (`effort`), days in a row
    (`streak`), or metres (`distance`; workouts of which nobody measured any are worth 0). With `heat` it is ridden together from a
    common start, and the days say nothing. Both days count whole, each in the time zone with which a member came in. `closes_ms` is
    when the table is final, ms since 1970; `finished_ms` null until it is. `you` is the caller's number on it, null for one who is
    not in."""

    id: ChallengeId
    code: str
    title: str
    kind: Kind
    first_day: date
    last_day: date
    ties: Ties
    from_zone: int | None
    teams: tuple[str, ...]
    members: int
    closes_ms: int
    finished_ms: int | None
    yours: bool
    you: int | None = None
    time_zone: str | None = None
    heat: HeatView | None = None


class Invitation(msgspec.Struct, frozen=True):
    """What a code invites to: what somebody agrees to by joining. Everything as in `ChallengeView`; `open` says whether anybody may
    still come in. `heat` where it is one: how long it lasts, whether one may come late, and with how much one is done."""

    title: str
    kind: Kind
    first_day: date
    last_day: date
    ties: Ties
    from_zone: int | None
    teams: tuple[str, ...]
    members: int
    open: bool
    heat: HeatTerms | None = None


class TableLine(msgspec.Struct, frozen=True):
    """A member on the table. `n` their number; `name` null when their account is gone; `team` null where there are none; `flagged`
    while fair play has a doubt about something in their score."""

    rank: int
    n: int
    name: str | None
    value: int
    team: str | None
    flagged: bool = False


class TeamLine(msgspec.Struct, frozen=True):
    """A team on the table: the sum of its members."""

    rank: int
    team: str
    value: int


class ChallengeTable(msgspec.Struct, frozen=True):
    """A page of a table. `revision` is the entry of the score log after which it was so: it grows with every change, also with a
    correction that takes something away. `start` is the position of the first line, from 0. `head` (hex) is the hash of the last
    entry of the log: keep it, and nobody can change the log behind your back. `final` once the challenge is closed."""

    challenge_id: ChallengeId
    revision: int
    members: int
    start: int
    lines: tuple[TableLine, ...]
    teams: tuple[TeamLine, ...]
    head: str
    entries: int
    final: bool


class ChallengeStore(AppendStore, LineStore, Protocol):
    """What this needs of the challenges' store (persistence/challenges.py)."""

    async def create(self, challenge: Challenge) -> bool: ...
    async def by_code(self, code: str) -> Challenge | None: ...
    async def lock(self, challenge_id: ChallengeId) -> Challenge | None: ...
    async def set_code(self, challenge_id: ChallengeId, code: str) -> bool: ...
    async def of_account(self, account_id: AccountId, limit: int) -> list[Challenge]: ...
    async def count_open(self, account_id: AccountId, but: ChallengeId | None) -> int: ...
    async def entrant(self, challenge_id: ChallengeId, account_id: AccountId) -> Entrant | None: ...
    async def enter(self, challenge_id: ChallengeId, entrant: Entrant) -> None: ...
    async def come_and_go(self, challenge_id: ChallengeId, n: int, left_at: datetime | None, seq: int) -> None: ...
    async def called(self, challenge_id: ChallengeId, ns: Sequence[int]) -> dict[int, Called]: ...
    async def team_moved(self, challenge_id: ChallengeId, team: int, by: int) -> None: ...
    async def teams(self, challenge_id: ChallengeId) -> list[Line]: ...
    async def marked(self, challenge_id: ChallengeId, ns: Sequence[int]) -> set[int]: ...
    async def log(self, challenge_id: ChallengeId, after: int, limit: int) -> list[Link]: ...


class HeatStore(Protocol):
    """And of the heats' (persistence/heats.py)."""

    async def of(self, challenge_id: ChallengeId) -> Heat | None: ...
    async def ready(self, challenge_id: ChallengeId) -> Sequence[AccountId]: ...
    async def waiting(self, challenge_id: ChallengeId, limit: int) -> Sequence[str]: ...


class AccountStore(Protocol):
    """And of the accounts'."""

    async def locked(self, account_id: AccountId) -> object | None: ...


class LaterStore(Protocol):
    """And of the schedule (services/schedule/later.py)."""

    async def once(self, fact: AnyFact, aggregate_id: UUID, *, at_ms: int, key: str) -> bool: ...
    async def cancel(self, kind: type[Fact], key: str) -> bool: ...


class OutboxStore(Protocol):
    """Where facts are told."""

    async def add(self, fact: AnyFact, aggregate_id: UUID) -> FactId: ...


class SeenStores(Protocol):
    """What of them it takes to see a challenge."""

    @property
    def challenges(self) -> ChallengeStore: ...
    @property
    def heats(self) -> HeatStore: ...


class PlaceStores(SeenStores, Protocol):
    """And to come into one."""

    @property
    def accounts(self) -> AccountStore: ...


class ChallengeStores(PlaceStores, Protocol):
    """The stores of one transaction."""

    @property
    def schedule(self) -> LaterStore: ...
    @property
    def outbox(self) -> OutboxStore: ...


class Challenges:
    """The use cases. `hot` holds copies of the tables in fast memory, None where there is no such memory."""

    def __init__(
        self,
        transactions: Callable[[], AbstractAsyncContextManager[ChallengeStores]],
        clock: Clock,
        ids: Ids,
        hot: HotTable | None = None,
        switches: Switches = ALL_ON,
    ) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._ids: Final = ids
        self._hot: Final = hot
        self._switches: Final = switches

    async def create(
        self,
        caller: Caller,
        *,
        title: str,
        kind: Kind,
        first_day: date,
        last_day: date | None,
        ties: Ties,
        from_zone: int | None,
        teams: tuple[str, ...],
    ) -> ChallengeView:
        """Make a challenge. Its maker is not in it until they join. Raises `ContradictoryChallenge`, `TooManyChallenges`,
        `ChallengesPaused`."""
        require_held(caller, may.USE_CHALLENGES)
        self._switches.require("challenges.making")
        now_ms = self._clock.wall_ms()
        rules = rules_from(kind, first_day, last_day, ties, from_zone, teams, now_ms)
        if not title.strip():
            raise BadShape("give the challenge a title", path="$.title")
        for _ in range(_CODE_TRIES):
            challenge = new_challenge(ChallengeId(self._ids.next()), caller, title.strip(), rules, now_ms)
            async with self._transactions() as stores:
                await require_place(stores, caller)
                if not await stores.challenges.create(challenge):
                    continue
                challenge = await append(stores.challenges, challenge, Opened(challenge.id, rules))
                due = ChallengeDue(challenge.id)
                await stores.schedule.once(due, challenge.id, at_ms=closes_ms(rules), key=str(challenge.id))
                return view_of(challenge, caller, None)
        raise Busy("no free code was found; try again")

    async def invite_anew(self, caller: Caller, challenge_id: ChallengeId) -> ChallengeView:
        """Another code in place of one that has come into the wrong hands; for the maker. Who is in stays in."""
        for _ in range(_CODE_TRIES):
            async with self._transactions() as stores:
                challenge = await self._locked(stores, challenge_id)
                me = await seen_by(stores, challenge, caller)
                require(caller, may.RENEW_CHALLENGE_CODE, owned(challenge.owner_id))
                code = _code()
                if await stores.challenges.set_code(challenge_id, code):
                    return await view_in(stores, msgspec.structs.replace(challenge, code=code), caller, me)
        raise Busy("no free code was found; try again")

    async def invitation(self, caller: Caller, code: str) -> Invitation:
        """What a code invites to, for whoever has it. Raises `ChallengeNotFound`."""
        require_held(caller, may.USE_CHALLENGES)
        async with self._transactions() as stores:
            invited = await stores.challenges.by_code(normal_code(code))
            if invited is None:
                raise ChallengeNotFound
            is_open = await _is_open(stores, invited, self._clock.wall_ms())
        rules = invited.rules
        return Invitation(
            title=invited.title,
            kind=rules.kind,
            first_day=rules.first_day,
            last_day=rules.last_day,
            ties=rules.ties,
            from_zone=rules.from_zone,
            teams=rules.teams,
            members=invited.members,
            open=is_open,
            heat=rules.heat if isinstance(rules.heat, HeatTerms) else None,
        )

    async def join(self, caller: Caller, code: str, time_zone: str, team: str | None) -> ChallengeView:
        """Come in, or come back. Who was in before has the time zone and the team of their first time, whatever they ask for now.

        Raises `ChallengeNotFound`, `ChallengeOver`, `ChallengeFull`, `TooManyChallenges`, and `BadShape` for zone and team.
        """
        require_held(caller, may.USE_CHALLENGES)
        zone = require_zone(time_zone)
        async with self._transactions() as stores:
            invited = await stores.challenges.by_code(normal_code(code))
            if invited is None:
                raise ChallengeNotFound
            await require_place(stores, caller, but=invited.id)
            challenge = await self._locked(stores, invited.id)
            now_ms = self._clock.wall_ms()
            me = await stores.challenges.entrant(challenge.id, caller.account_id)
            if me is not None and me.here:
                return await view_in(stores, challenge, caller, me)
            await _require_open(stores, challenge, now_ms)
            if challenge.members >= room_for(challenge.rules):
                raise ChallengeFull(limit=room_for(challenge.rules))
            if me is None:
                n = challenge.numbers + 1
                team_number = team_from(challenge.rules, team)
                challenge = await append(stores.challenges, challenge, Joined(n, zone, team_number, now_ms))
                me = Entrant(n, caller.account_id, zone, team_number, now_ms, None, 0, 0, challenge.seq)
                await stores.challenges.enter(challenge.id, me)
            else:
                challenge = await append(stores.challenges, challenge, Joined(me.n, me.zone, me.team, now_ms))
                await stores.challenges.come_and_go(challenge.id, me.n, None, challenge.seq)
                await move_team(stores.challenges, challenge.id, me.team, me.value)
                me = msgspec.structs.replace(me, left_ms=None, seq=challenge.seq)
            await stores.outbox.add(ChallengeMoved(challenge.id), challenge.id)
            challenge = msgspec.structs.replace(challenge, members=challenge.members + 1)
            return await view_in(stores, challenge, caller, me)

    async def leave(self, caller: Caller, challenge_id: ChallengeId) -> None:
        """Go: off the table, and nothing more counts. Raises `ChallengeNotFound`, `ChallengeOver`."""
        require_held(caller, may.USE_CHALLENGES)
        async with self._transactions() as stores:
            challenge = await self._locked(stores, challenge_id)
            me = await stores.challenges.entrant(challenge_id, caller.account_id)
            if me is None or not me.here:
                raise ChallengeNotFound
            if challenge.over:
                raise ChallengeOver
            now_ms = self._clock.wall_ms()
            challenge = await append(stores.challenges, challenge, Left(me.n, now_ms))
            await stores.challenges.come_and_go(challenge_id, me.n, utc(now_ms), challenge.seq)
            await move_team(stores.challenges, challenge_id, me.team, -me.value)
            await stores.outbox.add(ChallengeMoved(challenge_id), challenge_id)

    async def of_account(self, caller: Caller) -> tuple[ChallengeView, ...]:
        """The challenges that the caller is in or has made, newest first, at most `MAX_LIST`."""
        require_held(caller, may.USE_CHALLENGES)
        async with self._transactions() as stores:
            found = await stores.challenges.of_account(caller.account_id, MAX_LIST)
            views = []
            for challenge in found:
                me = await stores.challenges.entrant(challenge.id, caller.account_id)
                views.append(await view_in(stores, challenge, caller, me))
        return tuple(views)

    async def by_id(self, caller: Caller, challenge_id: ChallengeId) -> ChallengeView:
        """A challenge that the caller is in or has made. Raises `ChallengeNotFound` for any other."""
        async with self._transactions() as stores:
            challenge, me = await _found(stores, challenge_id, caller)
            return await view_in(stores, challenge, caller, me)

    async def table(
        self,
        caller: Caller,
        challenge_id: ChallengeId,
        *,
        start: int = 0,
        limit: int = MAX_PAGE,
        around_me: bool = False,
    ) -> ChallengeTable:
        """A page of the table: from position `start` on, or the one with the caller in its middle.

        Raises `ChallengeNotFound`, and `BadShape` for a page around somebody who is not in.
        """
        limit = min(max(limit, 1), MAX_PAGE)
        async with self._transactions() as stores:
            challenge, me = await _found(stores, challenge_id, caller)
        if around_me and me is None:
            raise BadShape("you are not on this table: join, or ask for its pages", path="query.around_me")
        page = await self._hot_page(challenge, me if around_me else None, start, limit)
        async with self._transactions() as stores:
            if page is None or not tables.believable(page, challenge, me):
                challenge, me = await _found(stores, challenge_id, caller)
                page = (
                    await tables.true_around(stores.challenges, challenge, me, limit)
                    if around_me and me is not None
                    else await tables.true_page(stores.challenges, challenge, start, limit)
                )
            return await _shown(stores, challenge, page)

    async def log(self, caller: Caller, challenge_id: ChallengeId, after: int, limit: int) -> list[Link]:
        """Entries of the score log after number `after`, at most `MAX_ENTRIES`. Raises `ChallengeNotFound`."""
        async with self._transactions() as stores:
            await _found(stores, challenge_id, caller)
            return await stores.challenges.log(challenge_id, after, min(max(limit, 1), MAX_ENTRIES))

    async def _hot_page(self, challenge: Challenge, me: Entrant | None, start: int, limit: int) -> Page | None:
        """The page from fast memory; None when it has none, or cannot be asked."""
        if self._hot is None:
            return None
        try:
            if me is not None:
                return await self._hot.around(challenge.id, me.n, limit)
            return await self._hot.page(challenge.id, start, limit)
        except TableAway:
            return None

    async def _locked(self, stores: ChallengeStores, challenge_id: ChallengeId) -> Challenge:
        challenge = await stores.challenges.lock(challenge_id)
        if challenge is None:
            raise ChallengeNotFound
        return challenge


def new_challenge(challenge_id: ChallengeId, caller: Caller, title: str, rules: Rules, now_ms: int) -> Challenge:
    """A challenge that the caller makes now, under a fresh code."""
    return Challenge(
        id=challenge_id,
        code=_code(),
        title=title,
        owner_id=caller.account_id,
        rules=rules,
        created_ms=now_ms,
        finished_ms=None,
        numbers=0,
        members=0,
        seq=0,
        head=BEGINNING,
    )


async def require_place(stores: PlaceStores, caller: Caller, but: ChallengeId | None = None) -> None:
    """Lock the caller's account, so that two at once are counted, and count. The account before any challenge, always."""
    await stores.accounts.locked(caller.account_id)
    if await stores.challenges.count_open(caller.account_id, but) >= MOST_OPEN:
        raise TooManyChallenges(limit=MOST_OPEN)


def view_of(challenge: Challenge, caller: Caller, me: Entrant | None) -> ChallengeView:
    """A challenge as the caller sees it."""
    rules = challenge.rules
    here = me if me is not None and me.here else None
    return ChallengeView(
        id=challenge.id,
        code=challenge.code,
        title=challenge.title,
        kind=rules.kind,
        first_day=rules.first_day,
        last_day=rules.last_day,
        ties=rules.ties,
        from_zone=rules.from_zone,
        teams=rules.teams,
        members=challenge.members,
        closes_ms=closes_ms(rules),
        finished_ms=challenge.finished_ms,
        yours=challenge.owner_id == caller.account_id,
        you=None if here is None else here.n,
        time_zone=None if here is None else here.zone,
    )


async def view_in(stores: SeenStores, challenge: Challenge, caller: Caller, me: Entrant | None) -> ChallengeView:
    """A challenge as the caller sees it, with what it has beyond others when it is a heat."""
    view, terms = view_of(challenge, caller, me), challenge.rules.heat
    heat = await stores.heats.of(challenge.id) if isinstance(terms, HeatTerms) else None
    if heat is None or not isinstance(terms, HeatTerms):
        return view
    ready = await stores.heats.ready(challenge.id)
    gathers_until_ms = heat.made_ms + GATHER_MS
    closes_ms = gathers_until_ms if heat.ends_ms is None else heat.ends_ms + SETTLE_MS
    seen = HeatView(
        class_id=heat.class_id,
        class_code=heat.code,
        length_ms=terms.length_ms,
        target=terms.target,
        late="starts_late" if terms.late else "refused",
        starts_ms=heat.starts_ms,
        ends_ms=heat.ends_ms,
        gathers_until_ms=gathers_until_ms,
        ready=len(ready),
        waiting=tuple(await stores.heats.waiting(challenge.id, WAITING_SHOWN)) if heat.starts_ms is None else (),
        you_ready=caller.account_id in ready,
    )
    return msgspec.structs.replace(view, closes_ms=heat.closes_ms or closes_ms, heat=seen)


async def _require_open(stores: SeenStores, challenge: Challenge, now_ms: int) -> None:
    """Raise unless anybody may come in: until the last day has ended everywhere; into a heat as its terms say."""
    terms = challenge.rules.heat
    if challenge.over or (not isinstance(terms, HeatTerms) and now_ms >= over_everywhere_ms(challenge.rules.last_day)):
        raise ChallengeOver
    if isinstance(terms, HeatTerms):
        heat = await stores.heats.of(challenge.id)
        if heat is None:
            raise ChallengeOver
        require_open(heat, terms, now_ms)


async def _is_open(stores: SeenStores, challenge: Challenge, now_ms: int) -> bool:
    try:
        await _require_open(stores, challenge, now_ms)
    except (ChallengeOver, HeatBegun):
        return False
    return True


def _code() -> str:
    return "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH))


async def _found(
    stores: ChallengeStores, challenge_id: ChallengeId, caller: Caller
) -> tuple[Challenge, Entrant | None]:
    challenge = await stores.challenges.by_id(challenge_id)
    if challenge is None:
        raise ChallengeNotFound
    return challenge, await seen_by(stores, challenge, caller)


async def seen_by(stores: SeenStores, challenge: Challenge, caller: Caller) -> Entrant | None:
    """The caller as a member, None for its maker who is not in. Raises `ChallengeNotFound` for everybody else: that there is
    a challenge of this id is not theirs to know."""
    require_held(caller, may.USE_CHALLENGES)
    me = await stores.challenges.entrant(challenge.id, caller.account_id)
    if me is not None and me.here:
        return me
    if challenge.owner_id != caller.account_id:
        raise ChallengeNotFound
    return None


async def _shown(stores: ChallengeStores, challenge: Challenge, page: Page) -> ChallengeTable:
    rules = challenge.rules
    ns = [row.line.n for row in page.rows]
    called, marked = await stores.challenges.called(challenge.id, ns), await stores.challenges.marked(challenge.id, ns)
    return ChallengeTable(
        challenge_id=challenge.id,
        revision=page.seq,
        members=challenge.members,
        start=page.start,
        lines=tuple(_line(row, called.get(row.line.n, GONE), marked, rules.teams) for row in page.rows),
        teams=tuple(
            TeamLine(rank=each.rank, team=rules.teams[each.line.n], value=each.line.value)
            for each in ranked_teams(await stores.challenges.teams(challenge.id), rules.teams)
        ),
        head=challenge.head.hex(),
        entries=challenge.seq,
        final=challenge.over,
    )


def _line(row: Ranked, called: Called, marked: set[int], teams: tuple[str, ...]) -> TableLine:
    return TableLine(
        rank=row.rank,
        n=row.line.n,
        name=called.name,
        value=row.line.value,
        team=None if called.team is None else teams[called.team],
        flagged=row.line.n in marked,
    )
