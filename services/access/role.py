"""What somebody can be: the roles of an account. Data, no rules.

An account has one or several roles; everybody who registers is a member. A role by itself opens nothing: each permission names the
roles that hold it (permission.py). Roles of staff are given by the operator or an admin, never taken by signing up.
"""

from typing import Final, Literal

from services.kernel.caller import AccountRole

ROLES: Final[dict[AccountRole, str]] = {
    "member": "whoever has an account: trains, joins classes and challenges, books",
    "coach": "gives classes, leads them, and sees in them what members let their coach see",
    "author": "writes scripts and puts them on demand, without leading classes",
    "support": "looks at accounts, without what tells of their body, and ends their logins",
    "admin": "what support may; also suspends accounts, and gives and takes roles",
    "display": "a screen without an account: watches the one class it was opened for",
}

EVERYBODY: Final[frozenset[AccountRole]] = frozenset(ROLES)
PEOPLE: Final[frozenset[AccountRole]] = EVERYBODY - {"display"}
COACHES: Final[frozenset[AccountRole]] = frozenset({"coach"})
WRITERS: Final[frozenset[AccountRole]] = frozenset({"coach", "author"})
STAFF: Final[frozenset[AccountRole]] = frozenset({"support", "admin"})
ADMINS: Final[frozenset[AccountRole]] = frozenset({"admin"})
NO_ROLE: Final[frozenset[AccountRole]] = frozenset()
GRANTED: Final[frozenset[AccountRole]] = frozenset({"coach", "author", "support", "admin"})
"""Those that can be given and taken."""

OrgRole = Literal["owner", "admin", "coach", "member"]
ORG_ROLES: Final[dict[OrgRole, str]] = {
    "owner": "what an admin may; also makes admins and owners, hands the organisation over and dissolves it",
    "admin": "invites and removes, says who is a coach or a member, and sees who has booked the classes in its name",
    "coach": "what a member is; offers classes in its name",
    "member": "whoever sits on a seat: has what the organisation has for its members",
}
"""What somebody is in one organisation. It is no role of the account, and in no token: it is looked up when something is asked."""
