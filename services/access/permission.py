"""Everything that can be permitted: one closed table. Data, no rules; policy.py decides by it.

A permission names the roles that hold it, and what else has to be true of the thing in question: how the caller stands to it
(`to`), that its class is live, that the person it is about agrees, that the plan allows it. What is not in the table is nobody's.

Each route (gateway/http/) and each event of a client (realtime/wire.py) names its permission; so do use cases that look at more
than the token. Adding one: a row here. A new kind of standing: `Standing`, and the place in policy.py where it is found out.
"""

from typing import Final, Literal

import msgspec

from services.access.role import ADMINS, COACHES, EVERYBODY, NO_ROLE, PEOPLE, STAFF, WRITERS
from services.kernel.caller import AccountRole
from services.kernel.problems import ClassNotFound, NotFound, Problem

Place = Literal["none", "spectator", "athlete", "co_coach", "coach", "starter"]
"""How somebody stands to a class. starter: who has started one that nobody coaches."""
Standing = Literal[
    "whose_it_is",
    "spectator",
    "athlete",
    "co_coach",
    "coach",
    "starter",
    "screen",
    "org_owner",
    "org_admin",
    "org_coach",
    "org_member",
]
"""How somebody may have to stand to the thing: it is theirs, they are this in its class, or this in its organisation."""
Shows = Literal["nothing", "token", "admin_token"]
"""What whoever asks must show: nothing at all, an access token, or the admin token of the installation."""


class Permission(msgspec.Struct, frozen=True, kw_only=True):
    """One row. `held_by`: one of these roles is needed; `to`: one of these standings, empty for any.

    `live`: the class must not be over; `consent`: the person it is about must agree; `plan`: the entitlement that is asked for must
    hold. `services`: an app that speaks for itself holds it, too. `otherwise` is said to whoever stands otherwise; `hides`
    is the answer instead where they must not learn that there is such a thing.
    """

    name: str
    does: str
    held_by: frozenset[AccountRole] = PEOPLE
    shows: Shows = "token"
    to: frozenset[Standing] = frozenset()
    live: bool = False
    consent: bool = False
    plan: bool = False
    services: bool = False
    otherwise: str = ""
    hides: type[Problem] | None = None


def _standings(*of: Standing) -> frozenset[Standing]:
    return frozenset(of)


_LEADERS: Final = _standings("coach", "co_coach")
_COACH: Final = _standings("coach")
_COACH_OR_STARTER: Final = _standings("coach", "starter")
_IN_CLASS: Final = _standings("coach", "co_coach", "starter", "athlete", "spectator")
_OWNER: Final = _standings("whose_it_is")
_ORG_OWNER: Final = _standings("org_owner")
_ORG_ADMINS: Final = _standings("org_owner", "org_admin")
_ORG_COACHES: Final = _standings("org_owner", "org_admin", "org_coach")
_IN_ORG: Final = _standings("org_owner", "org_admin", "org_coach", "org_member")

# -- without an account ---------------------------------------------------------------------------------------------

PUBLIC: Final = Permission(
    name="public", does="what anybody may ask: no token is looked at", held_by=EVERYBODY, shows="nothing"
)
OPERATE: Final = Permission(
    name="operate", does="operate this installation", held_by=NO_ROLE, shows="admin_token"
)  # fmt: skip
ASK_TIME: Final = Permission(name="time.ask", does="ask for the time of the server", held_by=EVERYBODY)

RENEW_TOKEN: Final = Permission(
    name="token.renew", does="show a new token on a connection", held_by=EVERYBODY, services=True
)
GET_TICKET: Final = Permission(name="ticket.get", does="get a ticket for one connection", held_by=EVERYBODY)
READ_APP: Final = Permission(
    name="app.read",
    does="read the registration of an app, as its owner or as the app itself, and how many people use it",
    services=True,
)

# -- one's own account ------------------------------------------------------------------------------------------------

READ_PROFILE: Final = Permission(name="profile.read", does="read one's own account, profile and entitlements")
WRITE_PROFILE: Final = Permission(name="profile.write", does="change one's own profile")
READ_LOGINS: Final = Permission(name="logins.read", does="see where one is logged in")
END_LOGINS: Final = Permission(name="logins.end", does="log oneself out, here and elsewhere")
CHANGE_PASSWORD: Final = Permission(name="password.change", does="change one's own password")
CHANGE_EMAIL: Final = Permission(name="email.change", does="confirm one's address, and change it")
USE_IDENTITIES: Final = Permission(name="identities.use", does="see and choose which providers one signs in with")
ERASE_ONESELF: Final = Permission(name="account.erase", does="have one's own account erased, and take that back")
STEP_UP: Final = Permission(name="step_up", does="prove oneself anew before a sensitive act")
USE_FACTORS: Final = Permission(
    name="factors.use", does="have an authenticator app, passkeys and recovery codes besides one's password"
)
USE_SHOWING: Final = Permission(
    name="showing.use", does="decide how one is shown to others, and read what one agreed to"
)
PAIR_SCREENS: Final = Permission(name="screens.pair", does="answer a big screen that asks to be let in")
USE_BLOCKS: Final = Permission(name="blocks.use", does="block somebody, and take it back")
USE_FRIENDS: Final = Permission(
    name="friends.use", does="ask people to be friends, answer who asks, part, and see who they are"
)
USE_INBOX: Final = Permission(name="inbox.use", does="read one's notifications and choose which ones come")
USE_DEVICES: Final = Permission(name="devices.use", does="have notifications sent to one's devices and telephone")
USE_SAFETY: Final = Permission(
    name="safety.use", does="decide how one is watched over, name a contact, and answer for oneself"
)
USE_TASKS: Final = Permission(name="tasks.use", does="start long tasks about oneself, follow and cancel them")
OWN_APPS: Final = Permission(name="apps.own", does="register apps for others to use, change and delete them")
LEND_TO_APPS: Final = Permission(name="apps.lend", does="let an app into one's own account, and take that back")
USE_API_KEYS: Final = Permission(name="api_keys.use", does="make, rotate and revoke keys for scripts of one's own")
USE_WEBHOOKS: Final = Permission(name="webhooks.use", does="have events sent to an address of one's own")

# -- workouts ---------------------------------------------------------------------------------------------------------

OPEN_STREAM: Final = Permission(
    name="stream.open",
    does="stream a workout of one's own",
    to=_OWNER,
    otherwise="this stream belongs to somebody else: make a new id",
)
FEED_STREAM: Final = Permission(
    name="stream.feed", does="send samples into a stream that one has opened on this connection", held_by=EVERYBODY
)
FEED_CLASS: Final = Permission(
    name="class.feed",
    does="have a stream counted in a class that one rides in",
    to=_standings("coach", "co_coach", "starter", "athlete"),
    otherwise="you watch this class: join it as athlete before you send samples into it",
)
READ_WORKOUTS: Final = Permission(name="workouts.read", does="read one's own workouts", to=_OWNER, hides=NotFound)
READ_VERDICTS: Final = Permission(name="verdicts.read", does="read what was ruled about workouts one has to do with")
APPEAL_VERDICT: Final = Permission(
    name="verdicts.appeal", does="appeal against a ruling about one's own workout", to=_OWNER, hides=NotFound
)
RULE_VERDICT: Final = Permission(name="verdicts.rule", does="rule on workouts ridden in what one leads")
SEE_HEART_RATE: Final = Permission(
    name="heart_rate.see",
    does="see somebody's raw heart rate, live, in a class that one leads",
    held_by=COACHES,
    to=_LEADERS,
    live=True,
    consent=True,
    plan=True,
    otherwise="only who leads this class sees heart rates in it",
)

# -- classes ----------------------------------------------------------------------------------------------------------

CREATE_CLASS: Final = Permission(name="class.create", does="begin a live class", held_by=COACHES)
LIST_CLASSES: Final = Permission(name="class.list", does="list one's own classes", held_by=COACHES)
READ_CLASS: Final = Permission(
    name="class.read",
    does="read a class that one leads, is in, or is a screen of",
    held_by=EVERYBODY,
    to=_IN_CLASS | {"screen"},
    hides=ClassNotFound,
)
JOIN_TO_LEAD: Final = Permission(
    name="class.join_to_lead",
    does="join the room of a class as its coach",
    to=_LEADERS,
    live=True,
    otherwise="you are not the coach of this class",
)
JOIN_TO_RIDE: Final = Permission(name="class.join_to_ride", does="join a class as athlete, with its code", live=True)
JOIN_TO_WATCH: Final = Permission(
    name="class.join_to_watch", does="join a class as spectator, with its code", live=True
)
SHOW_CLASS: Final = Permission(
    name="class.show",
    does="watch the one class that a screen was opened for",
    held_by=EVERYBODY,
    to=_standings("screen"),
    live=True,
    otherwise="a display may only watch the class it was opened for",
)
PUT_ON_SCREEN: Final = Permission(
    name="class.put_on_screen",
    does="put a live class that one is in on a big screen",
    to=_IN_CLASS,
    live=True,
    hides=ClassNotFound,
)
JOIN_ROOM: Final = Permission(
    name="room.join", does="join a room; as what, is asked with what one wants to be in it", held_by=EVERYBODY
)
FOLLOW_ROOM: Final = Permission(name="room.follow", does="follow a room one is in, and leave it", held_by=EVERYBODY)
SEE_PEOPLE: Final = Permission(
    name="class.people",
    does="see who is or was in a class, and who was sent out",
    to=_LEADERS,
    otherwise="only who leads this class sees who is in it and who was sent out",
)
CONTROL_CLASS: Final = Permission(
    name="class.control",
    does="control the clock of a class, and what it is ranked by",
    to=_LEADERS,
    live=True,
    otherwise="only the coach of this class may control it",
)
RUN_CLASS: Final = Permission(
    name="class.run",
    does="control the clock of a class without a coach that one has started",
    to=_standings("starter"),
    live=True,
    otherwise="only who has started this class may control its clock",
)
SCRIPT_CLASS: Final = Permission(
    name="class.script",
    does="replace the script of a class",
    to=_COACH,
    live=True,
    otherwise="only the coach of this class may replace its script",
)
END_CLASS: Final = Permission(
    name="class.end",
    does="end a class",
    to=_COACH_OR_STARTER,
    live=True,
    otherwise="only the coach of this class may end it",
)
APPOINT: Final = Permission(
    name="class.appoint",
    does="decide who leads a class",
    to=_COACH,
    live=True,
    otherwise="only the coach of this class decides who leads it",
)
REMOVE_MEMBER: Final = Permission(
    name="class.remove_member",
    does="send somebody out of a class",
    to=_LEADERS,
    live=True,
    otherwise="only who leads this class may send somebody out",
)
LET_IN: Final = Permission(
    name="class.let_in",
    does="let somebody back into a class",
    to=_LEADERS,
    live=True,
    otherwise="only who leads this class may let somebody back in",
)
GIVE_CUES: Final = Permission(
    name="class.cue",
    does="give cues and drive trainers in a class",
    to=_LEADERS,
    otherwise="only the coach of this class may give cues",
)
MODERATE: Final = Permission(
    name="class.moderate",
    does="keep the talk of a class decent: mute, take messages down, decide what was reported",
    to=_LEADERS,
    live=True,
    otherwise="only the coach of this class keeps its talk decent",
)
TALK: Final = Permission(name="class.talk", does="chat, react, report and confirm cues in a room that one is in")
READY: Final = Permission(
    name="class.ready",
    does="say that one is ready to ride in a class without a coach",
    held_by=EVERYBODY,
    to=_standings("athlete"),
    otherwise="only who rides says ready: join the class as athlete",
)
WATCH_REPLAY: Final = Permission(
    name="replay.watch",
    does="watch a class again that one was in",
    to=_IN_CLASS,
    hides=ClassNotFound,
)
STEER_REPLAY: Final = Permission(
    name="replay.steer", does="steer a replay that is played on this connection", held_by=EVERYBODY
)
REPORTS_OWN: Final = Permission(name="reports.own", does="read what became of what one has reported")

# -- offers, bookings, series, classes on demand ------------------------------------------------------------------------

CREATE_OFFER: Final = Permission(name="offer.create", does="offer a class to be booked", held_by=COACHES)
READ_OFFERS: Final = Permission(name="offer.read", does="read which classes are offered")
CHANGE_OFFER: Final = Permission(
    name="offer.change",
    does="change a class that one offers",
    to=_OWNER,
    otherwise="only the coach of this class may change it",
)
CALL_OFF: Final = Permission(
    name="offer.call_off",
    does="call off a class that one offers",
    to=_OWNER,
    otherwise="only the coach of this class may call it off",
)
READ_ROSTER: Final = Permission(
    name="offer.roster",
    does="see who has booked a class that one offers, or that is offered in the name of an organisation that one administers",
    to=_OWNER | _ORG_ADMINS,
    otherwise="only the coach of this class, and who administers its organisation, see who has booked it",
)
BOOK: Final = Permission(name="booking.make", does="book a class, read one's bookings and give them back")
CREATE_SERIES: Final = Permission(name="series.create", does="offer classes that repeat", held_by=COACHES)
END_SERIES: Final = Permission(
    name="series.end",
    does="end a series that one gives",
    to=_OWNER,
    otherwise="only the coach of this series may end it",
)
READ_LIBRARY: Final = Permission(
    name="library.read", does="read one's own scripts, and those that others share", held_by=WRITERS
)
KEEP_SCRIPTS: Final = Permission(
    name="library.keep", does="keep scripts apart from classes, share them, copy those that are shared", held_by=WRITERS
)
CHANGE_LIBRARY_SCRIPT: Final = Permission(
    name="library.change",
    does="change a script that one keeps, and delete it",
    held_by=WRITERS,
    to=_OWNER,
    otherwise="only who keeps this script may change it: make a copy of it",
)
PUT_ON_DEMAND: Final = Permission(name="on_demand.put", does="put a script on demand", held_by=WRITERS)
WITHDRAW_ON_DEMAND: Final = Permission(
    name="on_demand.withdraw",
    does="withdraw what one has put on demand",
    to=_OWNER,
    otherwise="only the coach who has put this on demand may withdraw it",
)
RIDE_ON_DEMAND: Final = Permission(name="on_demand.ride", does="see what is on demand, and start a class of it")

# -- organisations --------------------------------------------------------------------------------------------------------

USE_ORGANISATIONS: Final = Permission(
    name="organisation.use", does="make an organisation, list those one is in, and answer an invitation into one"
)
READ_ORGANISATION: Final = Permission(
    name="organisation.read", does="see an organisation that one is in, and who else is", to=_IN_ORG, hides=NotFound
)
LEAVE_ORGANISATION: Final = Permission(
    name="organisation.leave", does="leave an organisation that one is in", to=_IN_ORG, hides=NotFound
)
RENAME_ORGANISATION: Final = Permission(
    name="organisation.rename",
    does="give an organisation another name",
    to=_ORG_ADMINS,
    otherwise="only owners and admins of this organisation may rename it",
)
OFFER_FOR_ORGANISATION: Final = Permission(
    name="organisation.offer",
    does="offer classes in the name of an organisation",
    to=_ORG_COACHES,
    otherwise="only owners, admins and coaches of this organisation offer classes in its name",
)
SEAT_MEMBERS: Final = Permission(
    name="organisation.seat",
    does="invite people into an organisation, say that they are coaches or members of it, and remove them",
    to=_ORG_ADMINS,
    otherwise="only owners and admins of this organisation decide who is in it",
)
SEAT_ADMINS: Final = Permission(
    name="organisation.seat_admins",
    does="make owners and admins of an organisation, and unmake them",
    to=_ORG_OWNER,
    otherwise="only owners of this organisation decide who administers it",
)
HAND_OVER: Final = Permission(
    name="organisation.hand_over",
    does="hand an organisation over to another member",
    to=_ORG_OWNER,
    otherwise="only owners of this organisation may hand it over",
)
DISSOLVE: Final = Permission(
    name="organisation.dissolve",
    does="dissolve an organisation",
    to=_ORG_OWNER,
    otherwise="only owners of this organisation may dissolve it",
)

# -- challenges ---------------------------------------------------------------------------------------------------------

USE_CHALLENGES: Final = Permission(
    name="challenge.use", does="make challenges and heats, join them with their code, leave them"
)
WATCH_CHALLENGE: Final = Permission(
    name="challenge.watch", does="follow the table of a challenge that one is in", held_by=EVERYBODY
)
RENEW_CHALLENGE_CODE: Final = Permission(
    name="challenge.renew_code",
    does="change the code of a challenge that one has made",
    to=_OWNER,
    otherwise="only who made this challenge may change its code",
)
START_HEAT: Final = Permission(
    name="heat.start",
    does="start a heat that one has made before everybody is ready",
    to=_OWNER,
    otherwise="only who made this heat may start it before everybody is ready",
)

# -- staff --------------------------------------------------------------------------------------------------------------

LOOK_AT_ACCOUNTS: Final = Permission(
    name="accounts.look", does="find accounts and look at them, without what tells of their body", held_by=STAFF
)
END_THEIR_LOGINS: Final = Permission(name="accounts.end_logins", does="end the logins of somebody else", held_by=STAFF)
SUSPEND: Final = Permission(name="accounts.suspend", does="suspend an account, and lift that", held_by=ADMINS)
GRANT_ROLES: Final = Permission(name="accounts.grant", does="give roles to accounts, and take them", held_by=ADMINS)
LOOK_AT_ROOMS: Final = Permission(
    name="rooms.look",
    does="see which classes are live and who is in them, without what tells of their body",
    held_by=STAFF,
)
SEND_OUT: Final = Permission(name="rooms.send_out", does="send somebody out of a class of others", held_by=STAFF)
END_ROOM: Final = Permission(name="rooms.end", does="end a class of others", held_by=ADMINS)
READ_FLAGS: Final = Permission(name="flags.read", does="see what is switched off for everybody", held_by=STAFF)
SET_FLAGS: Final = Permission(name="flags.set", does="switch something off for everybody, and on again", held_by=ADMINS)
READ_AUDIT: Final = Permission(
    name="audit.read", does="read what was done with privilege, and who looked at whose data", held_by=ADMINS
)

ALL: Final[dict[str, Permission]] = {
    each.name: each for each in list(globals().values()) if isinstance(each, Permission)
}
"""The table, by name."""
