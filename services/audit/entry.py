"""One line of the audit: who did what, to whom, why.

Two kinds of acts are in it: what somebody does by a right that others do not have (`privileged`), and every look at another
person's health data (`view`). `ACTS` is the closed table of both: an act that is not in it cannot be told, and neither can data
that its row does not name. So what an entry may say is decided here, where it is read, and not wherever one is written: no
secrets, no measurements, no words that a person wrote about another but the reason an operator gives.

An entry is added in the transaction that does what it tells (`await stores.audit.add(entry)`), so there is none of what was rolled
back and none is missing of what was done. A look changes nothing; whoever shows adds the entry before it shows.
"""

import ipaddress
from collections.abc import Mapping
from typing import Final, Literal, Protocol
from uuid import UUID

import msgspec

from services.kernel.caller import Caller
from services.kernel.ids import AccountId, LoginId

MAX_TEXT: Final = 300
"""Characters of a reason, or of one text among the data. Longer ones are cut: an act must not fail for its explanation."""

ActorKind = Literal["account", "app", "operator", "command", "system"]
"""Who acts: a person by a login, an application in a person's name or its own, whoever has the admin token, a command on the
server, or the program itself."""
ActKind = Literal["privileged", "view"]
ThingKind = Literal[
    "class",
    "workout",
    "challenge",
    "incident",
    "key",
    "job",
    "task",
    "queue",
    "login",
    "delivery",
    "organisation",
    "app",
    "flag",
]
Value = str | int


class ActRow(msgspec.Struct, frozen=True):
    """What an act is: its kind, what it `means`, and the names of the data that an entry of it may carry."""

    kind: ActKind
    means: str
    data: frozenset[str] = frozenset()


def _privileged(means: str, *data: str) -> ActRow:
    return ActRow("privileged", means, frozenset(data))


def _view(means: str, *data: str) -> ActRow:
    return ActRow("view", means, frozenset(data))


ACTS: Final[Mapping[str, ActRow]] = {
    # -- accounts
    "account.created": _privileged("an operator made an account", "role"),
    "account.suspended": _privileged("an account may not be used any more"),
    "account.lifted": _privileged("a suspended account may be used again"),
    "account.exported": _privileged("everything about a person was written out"),
    "account.erased": _privileged("an operator had a person forgotten"),
    "account.closed": _privileged("an account was closed for good: its erasure has begun"),
    "account.looked_up": _view("an administrator looked at an account, with its state and logins"),
    "connections.looked_up": _view("an administrator looked at where somebody is connected"),
    "factors.reset": _privileged("somebody's second factors were taken away", "passkeys", "recovery_codes"),
    "logins.ended": _privileged("somebody else's logins were ended", "count"),
    "role.granted": _privileged("an account was given a role", "role"),
    "role.withdrawn": _privileged("a role was taken from an account", "role"),
    "entitlement.granted": _privileged("an account was entitled to something", "name", "source"),
    "entitlement.withdrawn": _privileged("an entitlement was taken back", "name", "source"),
    # -- the installation
    "keys.rotated": _privileged("a new key will sign access tokens", "stolen"),
    "job.run": _privileged("a job of the schedule was run by hand"),
    "tasks.replayed": _privileged("what a queue had given up was given all its attempts again"),
    "tasks.dropped": _privileged("what a queue had given up was forgotten"),
    "delivery.resent": _privileged("a message to somebody that failed or is in doubt is sent again"),
    "announcement.made": _privileged("something was announced to many people"),
    "flag.set": _privileged("something was switched on or off for everybody", "to"),
    "flag.unset": _privileged("a switch stands as it does by itself again"),
    "audit.read": _view("an administrator read the audit"),
    # -- organisations
    "organisation.made": _privileged("an account made an organisation"),
    "organisation.renamed": _privileged("an organisation got another name"),
    "organisation.seats_set": _privileged("an operator said how many seats an organisation has", "seats"),
    "organisation.invited": _privileged("somebody was asked by mail to be in an organisation", "role"),
    "organisation.invitation_ended": _privileged("an invitation was withdrawn or declined", "side"),
    "organisation.joined": _privileged("an account took a seat in an organisation", "role"),
    "organisation.role_changed": _privileged("a member became something else in an organisation", "role"),
    "organisation.removed": _privileged("a member was put out of an organisation", "role"),
    "organisation.left": _privileged("a member left an organisation", "role"),
    "organisation.handed_over": _privileged("an owner made another member the owner in their place"),
    "organisation.entitled": _privileged("an organisation was entitled to something for its members", "name"),
    "organisation.unentitled": _privileged("an entitlement of an organisation was taken back", "name"),
    "organisation.dissolved": _privileged("an organisation was dissolved", "count"),
    # -- people in classes
    "coach.appointed": _privileged("a member of a class was made somebody who leads it, or not any more", "to"),
    "class.ended": _privileged("staff ended a class of others"),
    "room.looked_up": _view("staff looked at who is in a class"),
    "rooms.looked_up": _view("staff looked at which classes are live"),
    "member.removed": _privileged("a member was sent out of a class"),
    "member.let_in": _privileged("a member who had been sent out was let in again"),
    "chat.muted": _privileged("a member of a class may not speak"),
    "chat.unmuted": _privileged("a member who was muted may speak again"),
    "message.removed": _privileged("what a member said in a class was taken down"),
    "case.decided": _privileged("somebody else's workout was judged by a reviewer", "decision"),
    # -- health data of others
    "heart_rate.watched": _view("who leads a class saw an athlete's heart rate, from the first reading on"),
    "evidence.viewed": _view("what the rules found in somebody else's workout was shown to a reviewer"),
    "curve.viewed": _view("how somebody else's score grew in a class was shown"),
    "replay.viewed": _view("the boards of a class that is over were shown again"),
    "incident.told": _privileged("those who coach somebody were told of an alarm about their heart"),
    "incident.viewed": _view("who coaches somebody was shown an alarm about their heart that waits, or took it on"),
}
"""The table. Adding an act: a row here, and `stores.audit.add` where it is done."""


class Actor(msgspec.Struct, frozen=True):
    """Who acts. `account` and `login` of a person, `app` of an application; `name` of a command's user on the server. `network` is
    where they are, roughly (`network_of`)."""

    kind: ActorKind
    account: AccountId | None = None
    login: LoginId | None = None
    app: UUID | None = None
    name: str = ""
    network: str = ""


class Thing(msgspec.Struct, frozen=True):
    """What an act was about, beside the person: its kind and its id or name."""

    kind: ThingKind
    id: str


class Entry(msgspec.Struct, frozen=True):
    """One act. `account` is to whom it was done or whose data was seen; the store adds the instant and an id."""

    actor: Actor
    act: str
    account: AccountId | None = None
    thing: Thing | None = None
    reason: str = ""
    data: Mapping[str, Value] = {}

    def __post_init__(self) -> None:
        row = ACTS.get(self.act)
        if row is None:
            raise ValueError(f"{self.act} is no act of the audit: add a row to ACTS")
        if unknown := self.data.keys() - row.data:
            raise ValueError(f"an entry about {self.act} carries no {', '.join(sorted(unknown))}: see its row in ACTS")


class AuditStore(Protocol):
    """What use cases need of the store (persistence/audit.py)."""

    async def add(self, *entries: Entry) -> None:
        """Tell the entries if and only if this transaction commits."""
        ...


class AuditStores(Protocol):
    """The stores of one open transaction, for whoever only adds entries."""

    @property
    def audit(self) -> AuditStore: ...


def actor_of(caller: Caller, address: str | None = None) -> Actor:
    """The person who asks, or the app that asks for them or for itself."""
    network = network_of(address)
    if caller.app_id is None:
        return Actor("account", caller.account_id, caller.login_id, network=network)
    itself = not caller.roles
    return Actor("app", None if itself else caller.account_id, None, caller.app_id, network=network)


def operator(address: str | None) -> Actor:
    """Whoever has the admin token of this installation."""
    return Actor("operator", network=network_of(address))


def command(user: str) -> Actor:
    """A command on the server, by a user of its operating system."""
    return Actor("command", name=user[:MAX_TEXT])


SYSTEM: Final = Actor("system")
"""The program itself, by the clock."""


def network_of(address: str | None) -> str:
    """The network an address is in: 24 bits of IPv4, 48 of IPv6. Tells an office from a café, and is no person."""
    if address is None:
        return ""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return str(ipaddress.ip_network((found, 24 if found.version == 4 else 48), strict=False))


def cut(text: str) -> str:
    """A text as an entry keeps it: one line, not too long, nothing that a terminal would obey."""
    return "".join(char if char.isprintable() else " " for char in text)[:MAX_TEXT]
