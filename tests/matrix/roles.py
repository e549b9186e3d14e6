"""The columns of the matrix, and the rules that its rows share.

A rule says for each column what comes of the attempt: `OK`, or the code of the problem.
"""

from dataclasses import astuple, dataclass, fields
from enum import StrEnum
from typing import Final

OK: Final = "ok"
FORBIDDEN: Final = "forbidden"
NOT_FOUND: Final = "not_found"
NOT_AUTHENTICATED: Final = "not_authenticated"
NOT_IN_ROOM: Final = "not_in_room"
NO_CLASS: Final = "class_not_found"


class Who(StrEnum):
    """Everybody who may ask, as seen from one class and from things that belong to its coach."""

    OWNER = "owner"
    """The coach of the class; whatever else there is in the evening is theirs, too, unless a row says otherwise."""
    CO_COACH = "co_coach"
    """A member whom the owner has asked to help; a coach, too."""
    COACH = "coach"
    """A coach, but not of this class, and no member of it."""
    ATHLETE = "athlete"
    SPECTATOR = "spectator"
    STRANGER = "stranger"
    """An account, not a member of the class."""
    AUTHOR = "author"
    """Somebody who writes scripts, not a member of the class."""
    SUPPORT = "support"
    """Somebody of the staff who looks at accounts, not a member of the class."""
    ADMIN = "admin"
    """Somebody of the staff who suspends and grants, not a member of the class."""
    ORG_ADMIN = "org_admin"
    """An admin of the owner's organisation, not a member of the class."""
    ORG_MEMBER = "org_member"
    """A member of the owner's organisation, not a member of the class."""
    SUSPENDED = "suspended"
    """Somebody whose account was suspended after they had got their token."""
    DISPLAY = "display"
    """A screen that watches the class with a token of its own."""
    OPERATOR = "operator"
    """Whoever has the admin token of the server, and nothing else."""
    NOBODY = "nobody"
    """No token, or a bad one."""


MEANINGS: Final = {
    Who.OWNER: "the coach of the class, to whom all the things in question belong",
    Who.CO_COACH: "a member of the class who leads it beside its coach",
    Who.COACH: "a coach of other classes, no member of this one",
    Who.ATHLETE: "a member of the class who rides",
    Who.SPECTATOR: "a member of the class who watches",
    Who.STRANGER: "an account, no member of the class",
    Who.AUTHOR: "an account with the role author, no member of the class",
    Who.SUPPORT: "an account with the role support, after a second factor, no member of the class",
    Who.ADMIN: "an account with the role admin, after a second factor, no member of the class",
    Who.ORG_ADMIN: "an account that administers an organisation of the owner's, no member of the class",
    Who.ORG_MEMBER: "an account that is a member of an organisation of the owner's, but not of the class",
    Who.SUSPENDED: "an account that was suspended, with a token from before",
    Who.DISPLAY: "a big screen with a token for this class",
    Who.OPERATOR: "whoever has the admin token, as their only token",
    Who.NOBODY: "no token, or one that is none",
}


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What comes of an attempt, per column; `says` it in words, for the page."""

    says: str
    owner: str
    co_coach: str
    coach: str
    athlete: str
    spectator: str
    stranger: str
    author: str
    support: str
    admin: str
    org_admin: str
    org_member: str
    suspended: str = NOT_AUTHENTICATED
    display: str = FORBIDDEN
    operator: str = NOT_AUTHENTICATED
    nobody: str = NOT_AUTHENTICATED

    def of(self, who: Who) -> str:
        """What is to be expected for one column."""
        return self.outcomes()[who]

    def outcomes(self) -> dict[Who, str]:
        """All columns in their order."""
        return dict(zip(Who, astuple(self)[1:], strict=True))


assert [each.name for each in fields(Rule)][1:] == list(Who), "the fields of a rule are the columns"


def among_accounts(others: str, says: str, *, display: str = FORBIDDEN, **but: str) -> Rule:
    """The same for all accounts, but for those that are named. Staff, authors and those in an organisation are strangers to the
    class, unless they are named."""
    accounts = dict.fromkeys(("owner", "co_coach", "coach", "athlete", "spectator", "stranger"), others) | but
    strangers = dict.fromkeys(("author", "support", "admin", "org_admin", "org_member"), accounts["stranger"])
    return Rule(says=says, display=display, **(strangers | accounts))


ANYBODY: Final = among_accounts(OK, "anybody, without a token", suspended=OK, display=OK, operator=OK, nobody=OK)
ANY_TOKEN: Final = among_accounts(OK, "every account and every screen", display=OK)
ANY_ACCOUNT: Final = among_accounts(OK, "every account")
COACHES: Final = among_accounts(FORBIDDEN, "every coach", owner=OK, co_coach=OK, coach=OK)
WRITERS: Final = among_accounts(FORBIDDEN, "every coach and every author", owner=OK, co_coach=OK, coach=OK, author=OK)
STAFF: Final = among_accounts(FORBIDDEN, "support and admins", support=OK, admin=OK)
ADMINS: Final = among_accounts(FORBIDDEN, "admins", admin=OK)
OPERATORS: Final = among_accounts(
    NOT_AUTHENTICATED, "whoever has the admin token", display=NOT_AUTHENTICATED, operator=OK
)
THEIR_OWN: Final = among_accounts(NOT_FOUND, "whose it is; to others it does not exist", owner=OK)
ORGANISATION: Final = among_accounts(
    NOT_FOUND, "who is in the organisation; to others it does not exist", owner=OK, org_admin=OK, org_member=OK
)
ORGANISERS: Final = among_accounts(
    NOT_FOUND, "its owners and admins; to those who are not in it, it does not exist", owner=OK, org_admin=OK,
    org_member=FORBIDDEN,
)  # fmt: skip
ORG_OWNERS: Final = among_accounts(
    NOT_FOUND, "its owners; to those who are not in it, it does not exist", owner=OK, org_admin=FORBIDDEN,
    org_member=FORBIDDEN,
)  # fmt: skip
CLASS: Final = among_accounts(
    NO_CLASS,
    "who has to do with the class; to others it does not exist",
    owner=OK,
    co_coach=OK,
    athlete=OK,
    spectator=OK,
    display=OK,
)
OWN_CLASS: Final = among_accounts(
    NO_CLASS, "the coach of the class; to those who have nothing to do with it, it does not exist", owner=OK,
    co_coach=FORBIDDEN, athlete=FORBIDDEN, spectator=FORBIDDEN,
)  # fmt: skip
LED_CLASS: Final = among_accounts(
    NO_CLASS, "who leads the class; to those who have nothing to do with it, it does not exist", owner=OK,
    co_coach=OK, athlete=FORBIDDEN, spectator=FORBIDDEN,
)  # fmt: skip
ITS_COACH: Final = among_accounts(FORBIDDEN, "the coach whose it is", owner=OK)
IN_ROOM: Final = among_accounts(OK, "who is in the room", coach=NOT_IN_ROOM, stranger=NOT_IN_ROOM, display=OK)
MEMBERS_IN_ROOM: Final = among_accounts(
    OK, "the members in the room, not its screens", coach=NOT_IN_ROOM, stranger=NOT_IN_ROOM
)
IN_CLASS_BUT_ITS_COACH: Final = among_accounts(
    OK, "the members of the class but who leads it; to others it does not exist", owner=FORBIDDEN,
    co_coach=FORBIDDEN, coach=NO_CLASS, stranger=NO_CLASS,
)  # fmt: skip
IN_CLASS: Final = among_accounts(
    OK, "the members of the class; to others it does not exist", coach=NO_CLASS, stranger=NO_CLASS
)
RIDERS_IN_ROOM: Final = among_accounts(
    OK, "who rides in a class without a coach, in its room", coach=NOT_IN_ROOM, stranger=NOT_IN_ROOM,
    spectator=FORBIDDEN, display=NOT_IN_ROOM,
)  # fmt: skip
LEADER_IN_ROOM: Final = among_accounts(
    FORBIDDEN, "who leads the class, in its room", owner=OK, co_coach=OK, coach=NOT_IN_ROOM, stranger=NOT_IN_ROOM
)
OWNER_IN_ROOM: Final = among_accounts(
    FORBIDDEN, "the coach of the class, in its room", owner=OK, coach=NOT_IN_ROOM, stranger=NOT_IN_ROOM
)
