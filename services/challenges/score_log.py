"""The score log: everything that made a challenge's table, in one chain that nobody can change unnoticed. Pure.

Each entry is a line of JSON, kept as the bytes that were hashed. Its hash is SHA-256 over the hash before it and those bytes, so
the last hash, the *head*, stands for all of the log: change a byte, leave an entry out, put two in another order, and no head
comes out that anybody has seen. Entries cut off the end leave a valid shorter chain; whoever has kept a head, from a page of
the table or from the fact that the challenge has finished, finds that too.

`Ledger` reads the log and nothing else: the rules are its first entry, people are numbers, days were decided when they were written
(a later list of time zones must not decide otherwise). What it comes to is the final table. The log says neither names nor
accounts, so a member may have all of it.

Of a workout only the latest revision counts. An entry of a revision that is not newer than one before it changes nothing, therefore
entries of scores may have been written in any order, and twice.

    Opened  Joined*  (Joined | Left | Scored)*  Closed

The log of a heat says when it was ridden, once, before anything is scored:

    Opened  (Joined | Left)*  Started  (Joined | Left | Scored)*  Closed
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final

import msgspec

from services.challenges.challenge import HeatTerms, Rules
from services.challenges.ranking import Line, Ranked, ranked, team_lines, tie_of
from services.challenges.scoring import Contribution, score_in
from services.kernel.ids import ChallengeId, WorkoutId

BEGINNING: Final = hashlib.sha256(b"paceline score log 1\n").digest()
"""What stands for the hash before the first entry."""


class Opened(msgspec.Struct, frozen=True, tag="opened", tag_field="entry"):
    """The first entry: which challenge, and its rules, which never change."""

    challenge: ChallengeId
    rules: Rules


class Joined(msgspec.Struct, frozen=True, tag="joined", tag_field="entry"):
    """Somebody came in, or came back. `n` their number, `zone` the time zone of their days, `team` an index; ms since 1970."""

    n: int
    zone: str
    team: int | None
    at_ms: int


class Started(msgspec.Struct, frozen=True, tag="started", tag_field="entry"):
    """A heat is ridden from `at_ms` to `until_ms`, ms since 1970."""

    at_ms: int
    until_ms: int


class Left(msgspec.Struct, frozen=True, tag="left", tag_field="entry"):
    """Somebody went and is not on the table any more; ms since 1970."""

    n: int
    at_ms: int


class Scored(msgspec.Struct, frozen=True, tag="scored", tag_field="entry"):
    """A workout counts, or counts differently than before."""

    n: int
    what: Contribution


class Closed(msgspec.Struct, frozen=True, tag="closed", tag_field="entry"):
    """The last entry: the table stands as it is, for ever; ms since 1970."""

    at_ms: int


Entry = Opened | Joined | Started | Left | Scored | Closed

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Entry).decode


class Link(msgspec.Struct, frozen=True):
    """An entry as it is kept: its number from 1, its bytes, its hash."""

    seq: int
    body: bytes
    hash: bytes


class BrokenLogError(ValueError):
    """This is not the log of a challenge: where (`seq`) and why."""

    def __init__(self, seq: int, reason: str) -> None:
        super().__init__(f"entry {seq}: {reason}")
        self.seq: Final = seq


def linked(seq: int, head: bytes, entry: Entry) -> Link:
    """The entry as the next link after entry `seq`, whose hash is `head`."""
    body = _encode(entry)
    return Link(seq + 1, body, hash_of(head, body))


def hash_of(before: bytes, body: bytes) -> bytes:
    """The hash of an entry, from the hash before it."""
    return hashlib.sha256(before + body).digest()


@dataclass(slots=True)
class _Member:
    zone: str
    team: int | None
    here: bool = True
    latest: dict[WorkoutId, Contribution] = field(default_factory=dict)


class Ledger:
    """The table as the log alone has it. Links are given one after the other; `seq` and `head` are those of the last one."""

    def __init__(self) -> None:
        self.seq = 0
        self.head = BEGINNING
        self.closed = False
        self._opened: Opened | None = None
        self._started: Started | None = None
        self._members: Final[dict[int, _Member]] = {}

    def take(self, link: Link) -> None:
        """The next link. Raises `BrokenLogError` when it does not follow, or says what cannot be."""
        if link.seq != self.seq + 1:
            raise BrokenLogError(link.seq, f"entry {self.seq + 1} should come here")
        if hash_of(self.head, link.body) != link.hash:
            raise BrokenLogError(link.seq, "its hash is not that of its bytes and the hash before it")
        try:
            entry = _decode(link.body)
        except msgspec.DecodeError as fault:
            raise BrokenLogError(link.seq, f"it cannot be read: {fault}") from fault
        if _encode(entry) != link.body:
            raise BrokenLogError(link.seq, "it says more than this program can read")
        if self.closed:
            raise BrokenLogError(link.seq, "the challenge was closed before it")
        self._apply(link.seq, entry)
        self.seq, self.head = link.seq, link.hash

    @property
    def rules(self) -> Rules:
        """The rules of the challenge. Raises `BrokenLogError` for an empty log."""
        if self._opened is None:
            raise BrokenLogError(self.seq + 1, "a log begins with the rules of its challenge")
        return self._opened.rules

    @property
    def challenge(self) -> ChallengeId | None:
        """Which challenge this is the log of; None before its first entry."""
        return None if self._opened is None else self._opened.challenge

    def lines(self) -> list[Line]:
        """Everybody who is in, in no order."""
        rules = self.rules
        found = []
        for n, member in self._members.items():
            if member.here:
                score = score_in(rules, member.latest.values())
                found.append(Line(n, score.value, tie_of(rules.ties, score), member.team))
        return found

    def table(self) -> list[Ranked]:
        """The table of the members, best first."""
        return list(ranked(self.lines()))

    def teams(self) -> list[Ranked]:
        """The table of the teams, best first; empty where there are none."""
        return list(ranked(team_lines(self.lines(), self.rules.ties, self.rules.teams)))

    def _apply(self, seq: int, entry: Entry) -> None:
        if isinstance(entry, Opened):
            if self._opened is not None:
                raise BrokenLogError(seq, "the challenge was opened before")
            self._opened = entry
            return
        rules = self.rules
        match entry:
            case Joined(n=n, zone=zone, team=team):
                if (team is not None) != bool(rules.teams) or (team is not None and not 0 <= team < len(rules.teams)):
                    raise BrokenLogError(seq, f"there is no team {team}")
                member = self._members.setdefault(n, _Member(zone, team, here=False))
                if member.here or (member.zone, member.team) != (zone, team):
                    raise BrokenLogError(seq, f"member {n} is in already, or came in otherwise")
                member.here = True
            case Left(n=n):
                self._here(seq, n).here = False
            case Scored(n=n, what=what):
                latest = self._here(seq, n).latest
                known = latest.get(what.workout)
                if not rules.first_day <= what.day <= rules.last_day:
                    raise BrokenLogError(seq, f"{what.day} is no day of this challenge")
                if isinstance(rules.heat, HeatTerms):
                    self._ridden(seq, rules.heat, what)
                if known is None or what.revision > known.revision:
                    latest[what.workout] = what
            case Started(at_ms=at_ms, until_ms=until_ms):
                if self._started is not None or not isinstance(rules.heat, HeatTerms):
                    raise BrokenLogError(seq, "what is no heat, or has begun, does not begin")
                if until_ms - at_ms != rules.heat.length_ms:
                    raise BrokenLogError(seq, f"this heat lasts {rules.heat.length_ms} ms")
                self._started = entry
            case Closed():
                self.closed = True

    def _ridden(self, seq: int, terms: HeatTerms, what: Contribution) -> None:
        """Whether a contribution lies within a heat."""
        started = self._started
        if started is None or not started.at_ms <= what.began_ms <= what.ended_ms <= started.until_ms:
            raise BrokenLogError(seq, "this was not ridden while the heat was")
        if terms.target is not None and what.value > terms.target:
            raise BrokenLogError(seq, f"whoever has {terms.target} is done")

    def _here(self, seq: int, n: int) -> _Member:
        member = self._members.get(n)
        if member is None or not member.here:
            raise BrokenLogError(seq, f"there is no member {n}")
        return member
