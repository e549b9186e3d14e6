"""The table: what comes of every event and every address of the product, for everybody (roles.py has the columns and the rules).

Adding an event or a route: a row here, with a rule and the function that makes valid input (events.py, routes.py). An event or a
route may have several rows, told apart by `case`, where it depends on what is asked for.

What is somebody else's:

- What one has nothing to do with (a workout, a task, a notification, a device, a webhook endpoint of somebody else's; a class or a
  challenge one is not in) answers 404, the very answer of an id that nobody has: whether it is there is nobody's business.
- What one may see (a class or a challenge one is in, an offer, a series of classes) but not change answers 403.
- What needs a role of the account answers 403 before anything is looked for. A screen has no account, and is told the same.
- Without a token nothing is looked for at all: 401.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from services.tasks.task import RecomputeWorkouts
from tests.matrix import events as e
from tests.matrix import factors as f
from tests.matrix import organisations as o
from tests.matrix import routes as r
from tests.matrix.roles import (
    ADMINS,
    ANY_ACCOUNT,
    ANY_TOKEN,
    ANYBODY,
    CLASS,
    COACHES,
    FORBIDDEN,
    IN_CLASS,
    IN_CLASS_BUT_ITS_COACH,
    IN_ROOM,
    ITS_COACH,
    LEADER_IN_ROOM,
    LED_CLASS,
    MEMBERS_IN_ROOM,
    NO_CLASS,
    NOT_FOUND,
    OK,
    OPERATORS,
    ORG_OWNERS,
    ORGANISATION,
    ORGANISERS,
    OWN_CLASS,
    OWNER_IN_ROOM,
    RIDERS_IN_ROOM,
    STAFF,
    THEIR_OWN,
    WRITERS,
    Rule,
    Who,
    among_accounts,
)
from tests.matrix.scene import Evening

EventInput = Callable[[Evening, Who], Awaitable[object]]


@dataclass(frozen=True)
class EventRow:
    """One event, or one `case` of it."""

    name: str
    rule: Rule
    ask: EventInput
    case: str = ""


@dataclass(frozen=True)
class RouteRow:
    """One address with its method, or one `case` of it."""

    name: str
    rule: Rule
    ask: r.RouteInput
    case: str = ""


_SECRET: Final = "with the secret of an app"
_NOT_OPEN: Final = "stream_not_open"
_NOT_PLAYED: Final = "replay_not_open"
_NO_CHALLENGE: Final = "challenge_not_found"

_OWN_STREAM: Final = among_accounts(OK, "every account, once it has opened one", display=_NOT_OPEN)
_LEADERS: Final = among_accounts(FORBIDDEN, "who leads the class", owner=OK, co_coach=OK)
_WHO_RIDES: Final = among_accounts(OK, "every account that does not just watch this class", spectator=FORBIDDEN)
_OPENER: Final = among_accounts(_NOT_OPEN, "the connection that opened it", display=_NOT_OPEN, owner=OK)
_STREAM_OWNER: Final = among_accounts(FORBIDDEN, "whoever made it", owner=OK)
_KEPT: Final = among_accounts(
    FORBIDDEN, "who keeps it; to other coaches and authors it does not exist", owner=OK, co_coach=NOT_FOUND,
    coach=NOT_FOUND, author=NOT_FOUND,
)  # fmt: skip
_WAS_IN_CLASS: Final = among_accounts(
    NO_CLASS,
    "the coach and the members of the class; to others it does not exist",
    owner=OK,
    co_coach=OK,
    athlete=OK,
    spectator=OK,
)
_HAS_IT_PLAYED: Final = among_accounts(
    _NOT_PLAYED,
    "who was in the class and has it played on this connection",
    owner=OK,
    co_coach=OK,
    athlete=OK,
    spectator=OK,
    display=_NOT_PLAYED,
)
_OWNS_LOGIN: Final = among_accounts(FORBIDDEN, "whose login it is of", owner=OK)
_IN_CHALLENGE: Final = among_accounts(
    _NO_CHALLENGE, "its maker and its members; to others it does not exist", owner=OK, athlete=OK
)
_TOLD_COACH: Final = among_accounts(
    NOT_FOUND, "who leads the class and was told; to others it does not exist", owner=OK, co_coach=OK
)
_JUDGES: Final = among_accounts(
    NOT_FOUND, "whose it is and who leads its class; to others it does not exist", owner=OK, co_coach=OK
)
_BOOKER: Final = among_accounts(
    NOT_FOUND, "who booked and the coach of the class; to others it does not exist", owner=OK, athlete=OK
)

EVENTS: Final = (
    EventRow("stream.open", ANY_ACCOUNT, e.new_stream, "a workout of one's own"),
    EventRow("stream.open", _WHO_RIDES, e.stream_into_class, "into a class whose code one knows"),
    EventRow("stream.open", _STREAM_OWNER, e.owners_stream, "the owner's stream again"),
    EventRow("stream.samples", _OWN_STREAM, e.own_samples, "into one's own stream"),
    EventRow("stream.samples", _OPENER, e.owners_samples, "into the owner's stream"),
    EventRow("sensor.frame", _OWN_STREAM, e.own_frames, "into one's own stream"),
    EventRow("sensor.frame", _OPENER, e.owners_frames, "into the owner's stream"),
    EventRow("stream.finish", _OWN_STREAM, e.own_finish, "one's own stream"),
    EventRow("stream.finish", _OPENER, e.owners_finish, "the owner's stream"),
    EventRow("room.join", ANY_TOKEN, e.join, "to ride or to watch"),
    EventRow("room.join", _LEADERS, e.join_as_coach, "as coach"),
    EventRow("room.join", ANY_ACCOUNT, e.join_as_athlete, "as athlete"),
    EventRow("room.leave", IN_ROOM, e.the_room),
    EventRow("board.get", IN_ROOM, e.the_room),
    EventRow("board.filter", IN_ROOM, e.part_of_board),
    EventRow("class.create", COACHES, e.new_class),
    EventRow("class.end", OWN_CLASS, e.the_class),
    EventRow("class.control", LED_CLASS, e.start_clock),
    EventRow("class.ready", RIDERS_IN_ROOM, e.ready_to_ride),
    EventRow("coach.appoint", OWNER_IN_ROOM, e.appointing),
    EventRow("ranking.set", LEADER_IN_ROOM, e.ranking),
    EventRow("member.remove", LEADER_IN_ROOM, e.sending_out),
    EventRow("member.let_in", LEADER_IN_ROOM, e.letting_in),
    EventRow("timeline.get", IN_ROOM, e.the_room),
    EventRow("challenge.watch", _IN_CHALLENGE, e.challenge),
    EventRow("challenge.unwatch", ANY_TOKEN, e.challenge),
    EventRow("replay.open", _WAS_IN_CLASS, e.replay, "a class that is over"),
    EventRow("replay.pace", _HAS_IT_PLAYED, e.replay_pace),
    EventRow("replay.seek", _HAS_IT_PLAYED, e.replay_seek),
    EventRow("replay.close", ANY_TOKEN, e.replay_close),
    EventRow("clock.sync", ANY_TOKEN, e.time),
    EventRow("token.renew", ANY_TOKEN, e.own_token, "with a token of one's own login"),
    EventRow("token.renew", _OWNS_LOGIN, e.owners_token, "with the owner's"),
    EventRow("cue.send", LEADER_IN_ROOM, e.cue),
    EventRow("cue.seen", MEMBERS_IN_ROOM, e.cue_to_all),
    EventRow("trainer.set", LEADER_IN_ROOM, e.trainers),
    EventRow("chat.send", MEMBERS_IN_ROOM, e.chat),
    EventRow("chat.remove", LEADER_IN_ROOM, e.message_to_remove),
    EventRow("chat.report", MEMBERS_IN_ROOM, e.message_to_report),
    EventRow("reaction.send", MEMBERS_IN_ROOM, e.applause),
    EventRow("chat.mute", LEADER_IN_ROOM, e.mute),
    EventRow("chat.unmute", LEADER_IN_ROOM, e.unmute),
    EventRow("chat.history", IN_ROOM, e.said_so_far),
    EventRow("display.set", IN_CLASS_BUT_ITS_COACH, e.display_mode),
    EventRow("task.cancel", THEIR_OWN, e.owners_task),
    EventRow("safety.cancel", THEIR_OWN, e.owners_incident),
    EventRow("safety.acknowledge", _TOLD_COACH, e.athletes_incident),
    EventRow("inbox.read", THEIR_OWN, e.owners_notification),
)

FRESH: Final = "after a proof just now"
ROUTES: Final = (
    # -- accounts
    RouteRow("POST /v1/accounts", ANYBODY, r.newcomer),
    RouteRow("GET /v1/me", ANY_ACCOUNT, r.plain),
    RouteRow("PATCH /v1/me", ANY_ACCOUNT, r.body({"max_hr": 190})),
    RouteRow("GET /v1/me/vitals", ANY_ACCOUNT, r.plain),
    RouteRow("POST /v1/me/vitals", ANY_ACCOUNT, r.body({"kind": "ftp_w", "value": 250})),
    RouteRow("DELETE /v1/me/vitals/{id}", THEIR_OWN, r.owners_vital),
    RouteRow("POST /v1/registrations", ANYBODY, r.newcomer),
    RouteRow("POST /v1/registrations/{id}/resend", ANYBODY, r.waiting_registration),
    RouteRow("POST /v1/registrations/finish", ANYBODY, r.registration_link, "with the link from a mail"),
    RouteRow("POST /v1/me/email/confirmation", ANY_ACCOUNT, r.plain),
    RouteRow("POST /v1/email-confirmations", ANYBODY, r.confirmation_link, "with the link from a mail"),
    RouteRow("PUT /v1/me/email", ANY_ACCOUNT, r.new_email, "with a fresh login"),
    RouteRow("POST /v1/email-changes/finish", ANYBODY, r.change_link, "with the link from a mail"),
    RouteRow("POST /v1/email-changes/undo", ANYBODY, r.undo_link, "with the link from a mail"),
    RouteRow("POST /v1/password-resets", ANYBODY, r.lost_password),
    RouteRow("POST /v1/password-resets/finish", ANYBODY, r.reset_link, "with the link from a mail"),
    RouteRow("POST /v1/logins", ANYBODY, r.known),
    RouteRow("POST /v1/logins/second-factor", ANYBODY, f.waiting, "with the token of a log-in that waits, and a code"),
    RouteRow("POST /v1/logins/passkey/options", ANYBODY, r.plain),
    RouteRow("POST /v1/logins/passkey", ANYBODY, f.shown_passkey, "with a passkey"),
    RouteRow("POST /v1/logins/refresh", ANYBODY, r.refreshing, "with a refresh token"),
    RouteRow("DELETE /v1/logins/current", ANY_ACCOUNT, r.plain),
    RouteRow("POST /v1/tickets", ANY_TOKEN, r.plain),
    RouteRow("GET /.well-known/jwks.json", ANYBODY, r.plain),
    RouteRow("GET /v1/logins", ANY_ACCOUNT, r.plain),
    RouteRow("DELETE /v1/logins/{id}", THEIR_OWN, r.owners_login),
    RouteRow("POST /v1/logins/end-others", ANY_ACCOUNT, r.plain),
    RouteRow("PUT /v1/me/password", ANY_ACCOUNT, r.new_password, "with the old one"),
    RouteRow("GET /v1/sign-in-providers", ANYBODY, r.plain),
    RouteRow("POST /v1/sign-ins", ANYBODY, r.body({"provider": "github"})),
    RouteRow("POST /v1/sign-ins/{id}/return", ANYBODY, r.sent_back, "with the secret that it began with"),
    RouteRow("POST /v1/sign-ins/{id}/finish", ANYBODY, r.answered, "with the secret that it began with"),
    RouteRow("GET /sign-in/return/{provider}", ANYBODY, r.by_provider),
    RouteRow("POST /sign-in/return/{provider}", ANYBODY, r.by_provider_with_a_form),
    RouteRow("GET /v1/me/identities", ANY_ACCOUNT, r.plain),
    RouteRow("POST /v1/me/identities", ANY_ACCOUNT, r.linking, "with a login that is fresh"),
    RouteRow("DELETE /v1/me/identities/{id}", THEIR_OWN, r.owners_identity, "with a login that is fresh"),
    RouteRow("POST /v1/me/erasure", ANY_ACCOUNT, r.plain, "of a fresh login"),
    RouteRow("GET /v1/me/erasure", ANY_ACCOUNT, r.wanted_gone, "which was asked for"),
    RouteRow("DELETE /v1/me/erasure", ANY_ACCOUNT, r.plain),
    RouteRow("POST /v1/me/step-up", ANY_ACCOUNT, r.stepping_up, "with the password"),
    RouteRow("POST /v1/me/step-up/options", ANY_ACCOUNT, f.with_passkey),
    RouteRow("GET /v1/me/second-factor", ANY_ACCOUNT, r.plain),
    RouteRow("POST /v1/me/totp", ANY_ACCOUNT, r.plain, FRESH),
    RouteRow("POST /v1/me/totp/confirm", ANY_ACCOUNT, f.scanned, FRESH),
    RouteRow("DELETE /v1/me/totp", ANY_ACCOUNT, f.with_app, FRESH),
    RouteRow("POST /v1/me/recovery-codes", ANY_ACCOUNT, f.with_app, FRESH),
    RouteRow("POST /v1/me/passkeys/options", ANY_ACCOUNT, r.plain, FRESH),
    RouteRow("POST /v1/me/passkeys", ANY_ACCOUNT, f.made_passkey, FRESH),
    RouteRow("PATCH /v1/me/passkeys/{id}", THEIR_OWN, f.owners_passkey),
    RouteRow("DELETE /v1/me/passkeys/{id}", THEIR_OWN, f.owners_passkey_to_remove, FRESH),
    # -- organisations
    RouteRow("POST /v1/organisations", ANY_ACCOUNT, r.body({"name": "Pier Studio"})),
    RouteRow("GET /v1/organisations", ANY_ACCOUNT, r.plain),
    RouteRow("GET /v1/organisations/{id}", ORGANISATION, o.the_organisation()),
    RouteRow("PATCH /v1/organisations/{id}", ORGANISERS, o.the_organisation({"name": "Harbour Sports"})),
    RouteRow("DELETE /v1/organisations/{id}", ORG_OWNERS, o.the_organisation(), FRESH),
    RouteRow(
        "PUT /v1/organisations/{id}/members/{account}", ORGANISERS, o.a_seat(said={"role": "coach"}), "a member a coach"
    ),
    RouteRow(
        "PUT /v1/organisations/{id}/members/{account}",
        ORG_OWNERS,
        o.a_seat(said={"role": "admin"}),
        "a member an admin",
    ),
    RouteRow("DELETE /v1/organisations/{id}/members/{account}", ORGANISERS, o.a_seat(), "a member"),
    RouteRow("DELETE /v1/organisations/{id}/members/{account}", ORG_OWNERS, o.a_seat("admin"), "an admin"),
    RouteRow("POST /v1/organisations/{id}/leave", ORGANISATION, o.leaving),
    RouteRow("POST /v1/organisations/{id}/hand-over", ORG_OWNERS, o.handing_over, FRESH),
    RouteRow("GET /v1/organisations/{id}/invitations", ORGANISERS, o.the_organisation()),
    RouteRow("POST /v1/organisations/{id}/invitations", ORGANISERS, o.inviting(), "as a member"),
    RouteRow("POST /v1/organisations/{id}/invitations", ORG_OWNERS, o.inviting("admin"), "as an admin"),
    RouteRow("DELETE /v1/organisations/{id}/invitations/{invitation}", ORGANISERS, o.an_invitation),
    RouteRow("POST /v1/organisation-invitations/look", ANYBODY, o.invitation_link, "with the link from a mail"),
    RouteRow(
        "POST /v1/organisation-invitations/accept", ANY_ACCOUNT, o.invitation_link, "with the link from a mail to them"
    ),
    RouteRow("POST /v1/organisation-invitations/decline", ANYBODY, o.invitation_link, "with the link from a mail"),
    # -- staff
    RouteRow("GET /v1/staff/accounts", STAFF, r.their_address),
    RouteRow("GET /v1/staff/accounts/{id}", STAFF, r.their_account),
    RouteRow("GET /v1/staff/accounts/{id}/connections", STAFF, r.their_account),
    RouteRow("POST /v1/staff/accounts/{id}/logins/end", STAFF, r.their_account_because),
    RouteRow("PUT /v1/staff/accounts/{id}/suspension", ADMINS, r.their_account_because),
    RouteRow("DELETE /v1/staff/accounts/{id}/suspension", ADMINS, r.their_suspension),
    RouteRow("PUT /v1/staff/accounts/{id}/roles/{role}", ADMINS, r.their_role),
    RouteRow("DELETE /v1/staff/accounts/{id}/roles/{role}", ADMINS, r.their_role),
    RouteRow("GET /v1/staff/rooms", STAFF, r.plain),
    RouteRow("GET /v1/staff/rooms/{id}", STAFF, r.their_room),
    RouteRow("POST /v1/staff/rooms/{id}/send-out", STAFF, r.somebody_in_their_room),
    RouteRow("POST /v1/staff/rooms/{id}/end", ADMINS, r.their_room_because),
    RouteRow("GET /v1/staff/flags", STAFF, r.plain),
    RouteRow("GET /v1/staff/flags/{name}", STAFF, r.a_flag),
    RouteRow("PUT /v1/staff/flags/{name}", ADMINS, r.a_flag_set),
    RouteRow("DELETE /v1/staff/flags/{name}", ADMINS, r.a_flag_because),
    RouteRow("GET /v1/staff/audit", ADMINS, r.plain),
    RouteRow("GET /v1/staff/audit/state", ADMINS, r.plain),
    # -- apps and keys
    RouteRow("GET /v1/scopes", ANYBODY, r.plain),
    RouteRow("POST /v1/apps", ANY_ACCOUNT, r.body(r.APP)),
    RouteRow("GET /v1/apps", ANY_ACCOUNT, r.plain),
    RouteRow("GET /v1/apps/{id}", THEIR_OWN, r.an_app()),
    RouteRow("PATCH /v1/apps/{id}", THEIR_OWN, r.an_app({"name": "Diary"})),
    RouteRow("POST /v1/apps/{id}/rotate", THEIR_OWN, r.an_app({})),
    RouteRow("DELETE /v1/apps/{id}", THEIR_OWN, r.an_app()),
    RouteRow("GET /v1/me/apps", ANY_ACCOUNT, r.plain),
    RouteRow("DELETE /v1/me/apps/{id}", THEIR_OWN, r.an_app_at_home),
    RouteRow("POST /v1/api-keys", ANY_ACCOUNT, r.logged_in(r.body(r.KEY))),
    RouteRow("GET /v1/api-keys", ANY_ACCOUNT, r.plain),
    RouteRow("POST /v1/api-keys/{id}/rotate", THEIR_OWN, r.an_api_key({})),
    RouteRow("DELETE /v1/api-keys/{id}", THEIR_OWN, r.an_api_key()),
    RouteRow("POST /v1/oauth/requests", ANY_ACCOUNT, r.what_an_app_wants()),
    RouteRow("POST /v1/oauth/decisions", ANY_ACCOUNT, r.logged_in(r.what_an_app_wants(allow=True))),
    RouteRow("GET /.well-known/oauth-authorization-server", ANYBODY, r.plain),
    RouteRow("GET /.well-known/assetlinks.json", ANYBODY, r.plain),
    RouteRow("GET /.well-known/apple-app-site-association", ANYBODY, r.plain),
    RouteRow(
        "POST /oauth/token", ANYBODY, r.as_an_app({"grant_type": "client_credentials", "scope": "app:read"}), _SECRET
    ),
    RouteRow("POST /oauth/revoke", ANYBODY, r.as_an_app({"token": "x"}), _SECRET),
    RouteRow("POST /oauth/introspect", ANYBODY, r.as_an_app({"token": "x"}), _SECRET),
    # -- classes
    RouteRow("POST /v1/displays", ANYBODY, r.join_code, "with the code of a class"),
    RouteRow("POST /v1/pairings", ANYBODY, r.plain),
    RouteRow("POST /v1/pairings/token", ANYBODY, r.a_screen_let_in, "with the code that the screen keeps"),
    RouteRow("POST /v1/pairings/requests", ANY_ACCOUNT, r.a_screen_that_asks, "with the code on the screen"),
    RouteRow("POST /v1/pairings/decisions", ANY_ACCOUNT, r.a_screen_refused, "refusing"),
    RouteRow("POST /v1/pairings/decisions", IN_CLASS, r.a_screen_for_the_class, "giving it the owner's class"),
    RouteRow("GET /v1/demo", ANYBODY, r.demo_class),
    RouteRow("POST /v1/classes", COACHES, r.body({"title": "Friday flats"})),
    RouteRow("GET /v1/classes", COACHES, r.plain),
    RouteRow("GET /v1/classes/{id}", CLASS, r.a_class),
    RouteRow("GET /v1/classes/{id}/people", LED_CLASS, r.a_class),
    RouteRow("POST /v1/classes/{id}/end", OWN_CLASS, r.a_class),
    RouteRow("GET /v1/classes/{id}/summary", CLASS, r.a_summary),
    RouteRow("GET /v1/classes/{id}/ghosts/{who}", _WAS_IN_CLASS, r.a_raced_class),
    RouteRow("GET /v1/classes/{id}/replay", _WAS_IN_CLASS, r.a_recorded_class, "a class that is over"),
    RouteRow("GET /v1/classes/{id}/script", CLASS, r.class_with_script),
    RouteRow("PUT /v1/classes/{id}/script", OWN_CLASS, r.new_script),
    RouteRow("POST /v1/classes/{id}/script/check", OWN_CLASS, r.new_script),
    RouteRow("GET /v1/me/entitlements", ANY_ACCOUNT, r.plain),
    RouteRow("GET /v1/me/display", ANY_ACCOUNT, r.plain),
    RouteRow("PUT /v1/me/display", ANY_ACCOUNT, r.body({"mode": "zone"})),
    RouteRow("GET /v1/classes/{id}/display", IN_CLASS, r.in_class()),
    RouteRow("PUT /v1/classes/{id}/display", IN_CLASS_BUT_ITS_COACH, r.in_class({"mode": "zone"})),
    RouteRow("GET /v1/me/consents", ANY_ACCOUNT, r.plain),
    # -- challenges
    RouteRow("POST /v1/challenges", ANY_ACCOUNT, r.new_challenge),
    RouteRow("GET /v1/challenges", ANY_ACCOUNT, r.plain),
    RouteRow("GET /v1/challenges/invitations/{code}", ANY_ACCOUNT, r.invitation, "with the code of a challenge"),
    RouteRow("POST /v1/challenges/join", ANY_ACCOUNT, r.invited, "with the code of a challenge"),
    RouteRow("GET /v1/challenges/{id}", _IN_CHALLENGE, r.a_challenge),
    RouteRow(
        "POST /v1/challenges/{id}/code",
        among_accounts(_NO_CHALLENGE, "its maker; a member may not", owner=OK, athlete=FORBIDDEN),
        r.a_challenge,
    ),
    RouteRow("POST /v1/challenges/{id}/leave", _IN_CHALLENGE, r.a_challenge),
    RouteRow("GET /v1/challenges/{id}/table", _IN_CHALLENGE, r.a_challenge),
    RouteRow("GET /v1/challenges/{id}/log", _IN_CHALLENGE, r.a_challenge),
    RouteRow("POST /v1/heats", ANY_ACCOUNT, r.new_heat),
    RouteRow("POST /v1/heats/{id}/ready", _IN_CHALLENGE, r.a_heat_to_be_ready_for),
    RouteRow(
        "POST /v1/heats/{id}/start",
        among_accounts(_NO_CHALLENGE, "its maker; a member may not", owner=OK, athlete=FORBIDDEN),
        r.a_heat,
    ),
    # -- booking
    RouteRow("POST /v1/offers", COACHES, r.new_offer),
    RouteRow(
        "POST /v1/offers",
        among_accounts(
            FORBIDDEN,
            "its coaches, with the role coach; to coaches who are not in it, it does not exist",
            owner=OK,
            co_coach=NOT_FOUND,
            coach=NOT_FOUND,
        ),
        r.new_organisations_offer,
        "in the name of an organisation",
    ),
    RouteRow("GET /v1/offers", ANY_ACCOUNT, r.plain),
    RouteRow("GET /v1/offers/{id}", ANY_ACCOUNT, r.an_offer),
    RouteRow("PUT /v1/offers/{id}", ITS_COACH, r.offer_change),
    RouteRow("DELETE /v1/offers/{id}", ITS_COACH, r.an_offer),
    RouteRow(
        "POST /v1/offers/{id}/bookings",
        among_accounts(OK, "every account but the coach of the class", owner=FORBIDDEN),
        r.new_booking,
    ),
    RouteRow("GET /v1/offers/{id}/bookings", ITS_COACH, r.an_offer),
    RouteRow(
        "GET /v1/offers/{id}/bookings",
        among_accounts(
            FORBIDDEN, "the coach whose it is, and who administers its organisation", owner=OK, org_admin=OK
        ),
        r.an_organisations_offer("all"),
        "of a class in the name of an organisation",
    ),
    RouteRow(
        "GET /v1/offers/{id}",
        among_accounts(
            NO_CLASS, "who is in its organisation; to others it does not exist", owner=OK, org_admin=OK, org_member=OK
        ),
        r.an_organisations_offer("only"),
        "for members only",
    ),
    RouteRow(
        "POST /v1/offers/{id}/bookings",
        among_accounts(
            NO_CLASS,
            "who is in its organisation, but for the coach; to others it does not exist",
            owner=FORBIDDEN,
            org_admin=OK,
            org_member=OK,
        ),
        r.an_organisations_offer("only", {"key": "b"}),
        "for members only",
    ),
    RouteRow("GET /v1/bookings", ANY_ACCOUNT, r.plain),
    RouteRow("GET /v1/bookings/{id}", _BOOKER, r.athletes_booking),
    RouteRow("DELETE /v1/bookings/{id}", _BOOKER, r.athletes_booking),
    RouteRow("POST /v1/scripts", WRITERS, r.body(r.KEPT)),
    RouteRow("POST /v1/scripts/check", WRITERS, r.body({"script": r.SCRIPT})),
    RouteRow("GET /v1/scripts", WRITERS, r.plain),
    RouteRow("GET /v1/scripts/{id}", _KEPT, r.kept_script()),
    RouteRow("GET /v1/scripts/{id}", WRITERS, r.kept_script(shared="coaches"), "one that is shared"),
    RouteRow("PUT /v1/scripts/{id}", _KEPT, r.kept_script(r.KEPT_CHANGE)),
    RouteRow("PUT /v1/scripts/{id}", ITS_COACH, r.kept_script(r.KEPT_CHANGE, shared="coaches"), "one that is shared"),
    RouteRow("DELETE /v1/scripts/{id}", _KEPT, r.kept_script()),
    RouteRow("DELETE /v1/scripts/{id}", ITS_COACH, r.kept_script(shared="coaches"), "one that is shared"),
    RouteRow("POST /v1/scripts/{id}/copies", _KEPT, r.kept_script({"key": "copy"})),
    RouteRow(
        "POST /v1/scripts/{id}/copies",
        WRITERS,
        r.kept_script({"key": "copy"}, shared="coaches"),
        "one that is shared",
    ),
    RouteRow("POST /v1/on-demand", WRITERS, r.body(r.ON_DEMAND)),
    RouteRow("GET /v1/on-demand", ANY_ACCOUNT, r.plain),
    RouteRow("DELETE /v1/on-demand/{id}", ITS_COACH, r.on_demand()),
    RouteRow("POST /v1/on-demand/{id}/classes", ANY_ACCOUNT, r.on_demand({"key": "k"})),
    RouteRow("POST /v1/series", COACHES, r.body({"key": "s", "rule": r.RULE, "terms": r.TERMS})),
    RouteRow("GET /v1/series", COACHES, r.plain),
    RouteRow("DELETE /v1/series/{id}", ITS_COACH, r.a_series),
    # -- training
    RouteRow("GET /v1/workouts", ANY_ACCOUNT, r.plain),
    RouteRow("GET /v1/workouts/{id}", THEIR_OWN, r.a_workout),
    RouteRow("GET /v1/workouts/{id}/samples", THEIR_OWN, r.a_workout),
    RouteRow("GET /v1/workouts/{id}/verdict", _JUDGES, r.a_verdict),
    RouteRow("POST /v1/workouts/{id}/verdict/appeal", THEIR_OWN, r.appealed),
    RouteRow(
        "POST /v1/workouts/{id}/verdict/ruling",
        among_accounts(NOT_FOUND, "who leads its class; whose it is may not", owner=OK, co_coach=OK, athlete=FORBIDDEN),
        r.ruled,
    ),
    RouteRow(
        "GET /v1/classes/{id}/reviews",
        among_accounts(NO_CLASS, "who leads the class", owner=OK, co_coach=OK),
        r.a_class,
    ),
    RouteRow("GET /v1/challenges/{id}/reviews", among_accounts(_NO_CHALLENGE, "its maker", owner=OK), r.a_challenge),
    RouteRow("GET /v1/reviews", ANY_ACCOUNT, r.plain),
    RouteRow("GET /v1/workouts/{id}/ghost", THEIR_OWN, r.a_past_workout),
    # -- people
    RouteRow("GET /v1/classes/{id}/reports", LED_CLASS, r.the_reports),
    RouteRow("GET /v1/reports", ANY_ACCOUNT, r.plain),
    RouteRow("PUT /v1/classes/{id}/reports/{report}/verdict", LED_CLASS, r.a_report),
    RouteRow("PUT /v1/blocks/{account}", ANY_ACCOUNT, r.a_newcomer),
    RouteRow("DELETE /v1/blocks/{account}", ANY_ACCOUNT, r.a_newcomer),
    RouteRow("GET /v1/blocks", ANY_ACCOUNT, r.plain),
    RouteRow("GET /v1/friends", ANY_ACCOUNT, r.plain),
    RouteRow("PUT /v1/friends/{account}/request", ANY_ACCOUNT, r.a_newcomer_called),
    RouteRow("DELETE /v1/friends/{account}/request", ANY_ACCOUNT, r.a_newcomer),
    RouteRow("PUT /v1/friends/{account}", ANY_ACCOUNT, r.who_asks),
    RouteRow("POST /v1/friends/{account}/decline", ANY_ACCOUNT, r.a_newcomer),
    RouteRow("DELETE /v1/friends/{account}", ANY_ACCOUNT, r.a_newcomer),
    # -- long tasks
    RouteRow("POST /v1/tasks", ANY_ACCOUNT, r.body({"key": "t", "work": RecomputeWorkouts()})),
    RouteRow("GET /v1/tasks", ANY_ACCOUNT, r.plain),
    RouteRow("GET /v1/tasks/{id}", THEIR_OWN, r.owners_task),
    RouteRow("DELETE /v1/tasks/{id}", THEIR_OWN, r.owners_task),
    RouteRow("GET /v1/tasks/{id}/result", THEIR_OWN, r.a_file),
    # -- notifications
    RouteRow("GET /v1/notifications", ANY_ACCOUNT, r.plain),
    RouteRow("GET /v1/notifications/unread", ANY_ACCOUNT, r.plain),
    RouteRow("GET /v1/notifications/{id}", THEIR_OWN, r.owners_notification),
    RouteRow("POST /v1/notifications/read", THEIR_OWN, r.read_owners),
    RouteRow("GET /v1/notification-preferences", ANY_ACCOUNT, r.plain),
    RouteRow("PUT /v1/notification-preferences", ANY_ACCOUNT, r.preferences),
    RouteRow("POST /v1/devices", ANY_ACCOUNT, r.new_device),
    RouteRow("GET /v1/devices", ANY_ACCOUNT, r.plain),
    RouteRow("DELETE /v1/devices/{id}", THEIR_OWN, r.a_device),
    RouteRow("GET /v1/web-push-key", ANYBODY, r.plain),
    RouteRow("GET /v1/phone", ANY_ACCOUNT, r.plain),
    RouteRow("PUT /v1/phone", ANY_ACCOUNT, r.new_number),
    RouteRow("POST /v1/phone/prove", ANY_ACCOUNT, r.code_from_text, "with the code from one's own phone"),
    RouteRow("DELETE /v1/phone", ANY_ACCOUNT, r.given_number),
    RouteRow("GET /v1/safety", ANY_ACCOUNT, r.plain),
    RouteRow("PUT /v1/safety", ANY_ACCOUNT, r.body({"on": True, "limit_bpm": 170})),
    RouteRow("GET /v1/safety/alerts", ANY_ACCOUNT, r.plain),
    RouteRow("GET /v1/emergency-contact", ANY_ACCOUNT, r.plain),
    RouteRow("PUT /v1/emergency-contact", ANY_ACCOUNT, r.new_contact),
    RouteRow("DELETE /v1/emergency-contact", ANY_ACCOUNT, r.named_contact),
    RouteRow("PUT /v1/emergency-contact/phone", ANY_ACCOUNT, r.new_contact_phone),
    RouteRow("DELETE /v1/emergency-contact/phone", ANY_ACCOUNT, r.given_contact_phone),
    RouteRow("GET /emergency-contact/phone", ANYBODY, r.contact_phone_link, "with the link from a text message"),
    RouteRow("POST /emergency-contact/phone", ANYBODY, r.contact_phone_answer, "with the link from a text message"),
    RouteRow("GET /emergency-contact", ANYBODY, r.contact_link, "with the link from a mail"),
    RouteRow("POST /emergency-contact", ANYBODY, r.contact_answer, "with the link from a mail"),
    RouteRow("GET /unsubscribe", ANYBODY, r.mail_link, "with the link from a mail"),
    RouteRow("POST /unsubscribe", ANYBODY, r.mail_link, "with the link from a mail"),
    RouteRow("POST /v1/callbacks/sms", ANYBODY, r.signed_report, "signed by the provider"),
    # -- webhooks
    RouteRow("POST /v1/webhook-endpoints", ANY_ACCOUNT, r.body(r.HOOK)),
    RouteRow("GET /v1/webhook-endpoints", ANY_ACCOUNT, r.plain),
    RouteRow("GET /v1/webhook-endpoints/{id}", THEIR_OWN, r.endpoint()),
    RouteRow("PATCH /v1/webhook-endpoints/{id}", THEIR_OWN, r.endpoint({"description": "Mine"})),
    RouteRow("DELETE /v1/webhook-endpoints/{id}", THEIR_OWN, r.endpoint()),
    RouteRow("POST /v1/webhook-endpoints/{id}/rotate", THEIR_OWN, r.endpoint({"overlap_s": 3_600})),
    RouteRow("POST /v1/webhook-endpoints/{id}/test", THEIR_OWN, r.endpoint()),
    RouteRow("POST /v1/webhook-endpoints/{id}/resume", THEIR_OWN, r.endpoint()),
    RouteRow("GET /v1/webhook-endpoints/{id}/deliveries", THEIR_OWN, r.endpoint()),
    RouteRow("GET /v1/webhook-endpoints/{id}/deliveries/{delivery}", THEIR_OWN, r.a_delivery),
    RouteRow("POST /v1/webhook-endpoints/{id}/deliveries/{delivery}/replay", THEIR_OWN, r.a_delivery),
    RouteRow("POST /v1/webhook-endpoints/{id}/replay", THEIR_OWN, r.endpoint({"since_ms": 0})),
    RouteRow("GET /v1/webhook-samples/{link}", ANYBODY, r.samples_link, "with the link from a webhook"),
    # -- operation
    RouteRow("GET /v1/operations/sockets", OPERATORS, r.plain),
    RouteRow("GET /v1/operations/words", OPERATORS, r.plain),
    RouteRow("GET /v1/operations/accounts/{id}/entitlements", OPERATORS, r.an_account()),
    RouteRow("PUT /v1/operations/accounts/{id}/entitlements/{name}", OPERATORS, r.an_account({"source": "voucher"})),
    RouteRow("DELETE /v1/operations/accounts/{id}/entitlements/{name}", OPERATORS, r.an_account()),
    RouteRow("GET /v1/operations/organisations/{id}", OPERATORS, o.the_organisation()),
    RouteRow("PUT /v1/operations/organisations/{id}/seats", OPERATORS, o.the_organisation({"seats": 25})),
    RouteRow("PUT /v1/operations/organisations/{id}/entitlements/{name}", OPERATORS, o.an_entitlement({})),
    RouteRow("DELETE /v1/operations/organisations/{id}/entitlements/{name}", OPERATORS, o.an_entitlement()),
    RouteRow("GET /v1/operations/schedule", OPERATORS, r.plain),
    RouteRow("POST /v1/operations/schedule/{job}/run", OPERATORS, r.a_job),
    RouteRow("GET /livez", ANYBODY, r.plain),
    RouteRow("GET /readyz", ANYBODY, r.plain),
    RouteRow("GET /metrics", ANYBODY, r.plain),
    RouteRow("GET /openapi.json", ANYBODY, r.plain),
    RouteRow("GET /asyncapi.json", ANYBODY, r.plain),
    RouteRow("GET /docs", ANYBODY, r.plain),
)
