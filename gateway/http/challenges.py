"""Challenges over HTTP: make one, invite, come in, go, and look at the table and at the log that it is derived from."""

from datetime import date
from typing import Annotated

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.challenges.challenge import Kind, TeamName, Ties, Title
from services.challenges.challenges import MAX_ENTRIES, MAX_PAGE, ChallengeTable, ChallengeView, Invitation
from services.kernel.ids import ChallengeId
from services.kernel.problems import (
    Busy,
    ChallengeFull,
    ChallengeNotFound,
    ChallengeOver,
    ChallengesPaused,
    ContradictoryChallenge,
    Forbidden,
    TooManyChallenges,
)

Teams = Annotated[tuple[TeamName, ...], msgspec.Meta(max_length=20)]
FromZone = Annotated[int, msgspec.Meta(ge=1, le=5)]
InviteCode = Annotated[str, msgspec.Meta(min_length=1, max_length=20)]
ZoneName = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class ChallengeCreate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A challenge to make. `kind`: `count` workouts, `zone_time` (time in zone `from_zone` and above), `effort` points, `streak`
    (days in a row with a workout) or `distance` (metres). Both days count whole, each in the time zone of the member.
    `ties`: of two with the same score the `first` one there stands higher, or the rank is `shared`. `teams`: two or more names, or
    none."""

    title: Title
    kind: Kind
    first_day: date
    last_day: date | None = None
    ties: Ties = "first"
    from_zone: FromZone | None = None
    teams: Teams = ()


class ChallengeJoin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Coming in. `time_zone` (of the IANA list) says when your days begin, and stays what it is at your first entry. `team` where
    there are teams."""

    code: InviteCode
    time_zone: ZoneName
    team: TeamName | None = None


class InvitationPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which invitation."""

    code: InviteCode


class ChallengePath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which challenge."""

    id: ChallengeId


class TableQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page: from position `start` (from 0) on, or with you in its middle."""

    start: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = 50
    around_me: bool = False


class LogQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which entries: those after number `after`."""

    after: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_ENTRIES)] = MAX_ENTRIES


class ChallengeList(msgspec.Struct, frozen=True):
    """Challenges, newest first, fifty at most."""

    challenges: tuple[ChallengeView, ...]


class LogEntry(msgspec.Struct, frozen=True):
    """An entry of a score log: its number from 1, its text, and in hex SHA-256 over the hash before it and that text as UTF-8."""

    seq: int
    body: str
    hash: str


class LogPage(msgspec.Struct, frozen=True):
    """Entries in order. `next_after` is what to give as `after` for the next page, null at the end."""

    entries: tuple[LogEntry, ...]
    next_after: int | None


async def create_challenge(deps: GatewayDeps, call: Call[ChallengeCreate, Nothing, Nothing]) -> ChallengeView:
    asked = call.body
    return await deps.challenges.create(
        call.caller,
        title=asked.title,
        kind=asked.kind,
        first_day=asked.first_day,
        last_day=asked.last_day,
        ties=asked.ties,
        from_zone=asked.from_zone,
        teams=asked.teams,
    )


async def own_challenges(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> ChallengeList:
    return ChallengeList(tuple(await deps.challenges.of_account(call.caller)))


async def invitation(deps: GatewayDeps, call: Call[Nothing, Nothing, InvitationPath]) -> Invitation:
    return await deps.challenges.invitation(call.caller, call.path.code)


async def join_challenge(deps: GatewayDeps, call: Call[ChallengeJoin, Nothing, Nothing]) -> ChallengeView:
    return await deps.challenges.join(call.caller, call.body.code, call.body.time_zone, call.body.team)


async def challenge_by_id(deps: GatewayDeps, call: Call[Nothing, Nothing, ChallengePath]) -> ChallengeView:
    return await deps.challenges.by_id(call.caller, call.path.id)


async def invite_anew(deps: GatewayDeps, call: Call[Nothing, Nothing, ChallengePath]) -> ChallengeView:
    return await deps.challenges.invite_anew(call.caller, call.path.id)


async def leave_challenge(deps: GatewayDeps, call: Call[Nothing, Nothing, ChallengePath]) -> None:
    await deps.challenges.leave(call.caller, call.path.id)


async def challenge_table(deps: GatewayDeps, call: Call[Nothing, TableQuery, ChallengePath]) -> ChallengeTable:
    page = call.query
    return await deps.challenges.table(
        call.caller, call.path.id, start=page.start, limit=page.limit, around_me=page.around_me
    )


async def challenge_log(deps: GatewayDeps, call: Call[Nothing, LogQuery, ChallengePath]) -> LogPage:
    links = await deps.challenges.log(call.caller, call.path.id, call.query.after, call.query.limit)
    entries = tuple(LogEntry(link.seq, link.body.decode(), link.hash.hex()) for link in links)
    return LogPage(entries, links[-1].seq if len(links) == call.query.limit else None)


CREATE_CHALLENGE = Route(
    "POST",
    "/v1/challenges",
    name="create_challenge",
    permission=may.USE_CHALLENGES,
    tag="challenges",
    does="Make a challenge over days or weeks; the code that invites to it is in the answer.",
    more="You are not in it until you join. Once it is made, its rules do not change.",
    handler=create_challenge,
    body=ChallengeCreate,
    query=Nothing,
    path=Nothing,
    reply=ChallengeView,
    status=201,
    problems=(Forbidden, ContradictoryChallenge, TooManyChallenges, ChallengesPaused, Busy),
)
OWN_CHALLENGES = Route(
    "GET",
    "/v1/challenges",
    name="own_challenges",
    permission=may.USE_CHALLENGES,
    tag="challenges",
    does="The challenges that you are in or have made, newest first.",
    handler=own_challenges,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=ChallengeList,
    scope="challenges:read",
    problems=(Forbidden,),
)
INVITATION = Route(
    "GET",
    "/v1/challenges/invitations/{code}",
    name="challenge_invitation",
    permission=may.USE_CHALLENGES,
    tag="challenges",
    does="What a code invites to: the rules and teams to know before joining.",
    handler=invitation,
    body=Nothing,
    query=Nothing,
    path=InvitationPath,
    reply=Invitation,
    problems=(Forbidden, ChallengeNotFound),
)
JOIN_CHALLENGE = Route(
    "POST",
    "/v1/challenges/join",
    name="join_challenge",
    permission=may.USE_CHALLENGES,
    tag="challenges",
    does="Come into a challenge by its code; what you do from now on counts, and its members see you on the table.",
    more=(
        "Its members can also see, in its log, at what times your number has worked out. Again is fine, also after you left: you "
        "keep your number, your time zone, your team and what you had."
    ),
    handler=join_challenge,
    body=ChallengeJoin,
    query=Nothing,
    path=Nothing,
    reply=ChallengeView,
    problems=(Forbidden, ChallengeNotFound, ChallengeOver, ChallengeFull, TooManyChallenges),
)
CHALLENGE_BY_ID = Route(
    "GET",
    "/v1/challenges/{id}",
    name="challenge_by_id",
    permission=may.USE_CHALLENGES,
    tag="challenges",
    does="One challenge that you are in or have made.",
    handler=challenge_by_id,
    body=Nothing,
    query=Nothing,
    path=ChallengePath,
    reply=ChallengeView,
    scope="challenges:read",
    problems=(Forbidden, ChallengeNotFound),
)
INVITE_ANEW = Route(
    "POST",
    "/v1/challenges/{id}/code",
    name="renew_challenge_code",
    permission=may.RENEW_CHALLENGE_CODE,
    tag="challenges",
    does="Another code in place of one that has come into the wrong hands (who made the challenge).",
    handler=invite_anew,
    body=Nothing,
    query=Nothing,
    path=ChallengePath,
    reply=ChallengeView,
    problems=(Forbidden, ChallengeNotFound, Busy),
)
LEAVE_CHALLENGE = Route(
    "POST",
    "/v1/challenges/{id}/leave",
    name="leave_challenge",
    permission=may.USE_CHALLENGES,
    tag="challenges",
    does="Leave a challenge: you are off its table at once, and nothing more counts.",
    handler=leave_challenge,
    body=Nothing,
    query=Nothing,
    path=ChallengePath,
    reply=None,
    status=204,
    problems=(Forbidden, ChallengeNotFound, ChallengeOver),
)
CHALLENGE_TABLE = Route(
    "GET",
    "/v1/challenges/{id}/table",
    name="challenge_table",
    permission=may.USE_CHALLENGES,
    tag="challenges",
    does="A page of the table: from a position on, or the one around you.",
    more="Of others it may be some seconds old, of yourself never. `revision` grows with every change.",
    handler=challenge_table,
    body=Nothing,
    query=TableQuery,
    path=ChallengePath,
    reply=ChallengeTable,
    scope="challenges:read",
    problems=(Forbidden, ChallengeNotFound),
)
CHALLENGE_LOG = Route(
    "GET",
    "/v1/challenges/{id}/log",
    name="challenge_log",
    permission=may.USE_CHALLENGES,
    tag="challenges",
    does="The score log, entry by entry: everything that made the table, without names.",
    more=(
        "Each hash is over the one before it and the text of its entry, so nobody can change the past unnoticed. "
        "`paceline challenge check` derives the table from the entries."
    ),
    handler=challenge_log,
    body=Nothing,
    query=LogQuery,
    path=ChallengePath,
    reply=LogPage,
    scope="challenges:read",
    problems=(Forbidden, ChallengeNotFound),
)
