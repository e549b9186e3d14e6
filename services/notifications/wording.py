"""Which templates there are, in every version that a stored notification may name, and where a notification leads.

A notification keeps the name and version of its template and its content, never a sentence. So it is read in the language that
its reader has today, and an old one goes on saying what it said: a template that has been used is not changed in what it says,
it gets a new version beside it. The words are in `templates/`; docs/howto/templates.md says how to write them.

Each version is shown by examples, which together walk through every turn that its words can take. Tests render all of them
in every language, as they are and with the worst that people can type; the operator's preview shows the first.
"""

import uuid
from collections.abc import Iterable, Mapping
from typing import Final, get_args

import msgspec

from services.accounts.second_factor import Change
from services.kernel.ids import (
    AccountId,
    BookingId,
    ClassId,
    LoginId,
    NotificationId,
    WebhookEndpointId,
    WorkoutId,
)
from services.notifications.account_letter import Letter
from services.notifications.contact_letter import Says
from services.notifications.content import (
    AnnouncementContent,
    AppealContent,
    BookingCancelledContent,
    BookingPromotedContent,
    ClassContent,
    ClassReminderContent,
    Content,
    ErasureAskedContent,
    FriendAskedContent,
    FriendMadeContent,
    LoginEndedContent,
    Place,
    SecondFactorContent,
    VerdictContent,
    WebhookPausedContent,
    WorkoutContent,
)
from services.notifications.local import language_of
from services.notifications.notification import Notification
from services.notifications.topics import Topic
from services.training.plausibility import RULES

DIGEST: Final = "digest"
"""The template of the mail that gathers others. It is made of notifications, and none is stored with it."""
DIGEST_VERSION: Final = 1
CODE: Final = "phone_code"
"""The template of the text message that proves a telephone number. It is about no topic: whoever asked for it waits for it."""
CODE_VERSION: Final = 1
CONTACT: Final[Mapping[Says, str]] = {"ask": "contact.ask", "alarm": "contact.alarm", "well": "contact.well"}
"""The templates of the letters to an emergency contact. They are about no topic either: they are for somebody else."""
CONTACT_VERSION: Final = 1
ACCOUNT: Final[Mapping[Letter, str]] = {says: f"account.{says}" for says in get_args(Letter)}
"""The templates of mails about accounts. They are about no topic either: they may go to somebody without an account."""
ACCOUNT_VERSION: Final = 1

PROSE: Final[dict[type[msgspec.Struct], frozenset[str]]] = {AnnouncementContent: frozenset({"body"})}
"""Fields that people write several lines into; every other string is one line."""


class Template(msgspec.Struct, frozen=True):
    """One version of one template. `examples` are of its `shape`, the first is the one that is shown."""

    name: str
    version: int
    shape: type[Content]
    examples: tuple[Content, ...]


def newest(templates: Iterable[Template]) -> dict[str, int]:
    """The version that new notifications are made with, by name of the template."""
    ordered = sorted(templates, key=lambda template: template.version)
    return {template.name: template.version for template in ordered}


def about(topic: Topic, locale: str) -> str:
    """What a topic is about, in the language of this locale."""
    return _ABOUT.get(language_of(locale), {}).get(topic.name, topic.about)


def leads_to(content: Content) -> str:
    """The page that has more about it: a path from the root of the installation, or a whole address."""
    match content:
        case (
            LoginEndedContent()
            | ClassContent()
            | ClassReminderContent()
            | BookingPromotedContent()
            | BookingCancelledContent()
        ):
            return "/athlete"
        case SecondFactorContent() | ErasureAskedContent():
            return "/account"
        case WebhookPausedContent():
            return "/inbox"
        case FriendAskedContent() | FriendMadeContent():
            return "/friends"
        case AppealContent():
            return "/cases?as=coach"
        case WorkoutContent(workout_id=workout_id) | VerdictContent(workout_id=workout_id):
            return f"/athlete#workout={workout_id}"
        case AnnouncementContent(link=link):
            # Whatever else was typed there is no address that a button may lead to.
            return link if link.startswith(("https://", "http://", "/")) and not link.startswith("//") else "/inbox"


_ABOUT: Final = {
    "de": {
        "security.login_ended": "Jemand anderes hat vielleicht eine deiner Anmeldungen benutzt; wir haben sie beendet",
        "security.second_factor": "Dein zweiter Faktor wurde geändert oder benutzt: eine App, ein Passkey, ein Code",
        "security.erasure_asked": "Jemand hat verlangt, dass dein Konto und alles über dich gelöscht wird",
        "workout.summarised": "Die Auswertung deines Trainings ist fertig",
        "class.summarised": "Das Ergebnis eines Kurses, an dem du teilgenommen hast, steht fest",
        "class.reminder": "Ein Kurs, in dem du einen Platz hast, beginnt bald",
        "booking.promoted": "Du bist von einer Warteliste nachgerückt und hast einen Platz im Kurs",
        "booking.cancelled": "Ein Kurs, den du gebucht hattest, fällt aus, oder deine Buchung wurde storniert",
        "verdict.changed": "Faires Spiel: ob ein Training von dir zählt, hat sich geändert, oder jemand hat darüber entschieden",
        "appeal.waiting": "Faires Spiel: jemand legt Einspruch ein, und du sollst ihn ansehen",
        "friend.asked": "Jemand möchte mit dir befreundet sein",
        "friend.made": "Jemand, den du gefragt hast, ist jetzt mit dir befreundet",
        "announcement": "Neuigkeiten von deiner Trainerin, deinem Trainer oder von uns",
        "webhook.paused": "Einer deiner Webhooks hat tagelang versagt; wir haben ihn angehalten",
    }
}
"""What topics are about in languages other than that of `topics.py`, which is English."""

_AT: Final = 1_790_000_000_000
_ID: Final = uuid.UUID("01a0c38d-ab80-7000-8000-000000000005")
_WORKOUT: Final = WorkoutContent(
    workout_id=WorkoutId(_ID),
    sport="cycling",
    started_at_ms=_AT,
    duration_ms=2_700_000,
    mean_bpm=148,
    max_bpm=176,
    effort=137.4,
    energy_kcal=513,
    class_title="Thursday hills",
    zone_ms=(0, 240_000, 600_000, 960_000, 720_000, 180_000),
)
_CLASS: Final = ClassContent(
    class_id=ClassId(_ID),
    title="Thursday hills",
    coach_name="Mira",
    duration_ms=2_700_000,
    athletes=12,
    rank=3,
    effort=137.4,
    ended_at_ms=_AT + 2_700_000,
    top=(Place(1, "Chidi", 151.8), Place(2, "Ana", 144.0), Place(3, "Jonas", 137.4)),
)
_PAUSED: Final = WebhookPausedContent(
    endpoint_id=WebhookEndpointId(_ID),
    host="hooks.example.org",
    description="Training diary",
    reason="dead",
    failing_since_ms=_AT - 3 * 86_400_000,
)

_VERDICT: Final = VerdictContent(
    workout_id=WorkoutId(_ID),
    sport="cycling",
    started_at_ms=_AT,
    verdict="rejected",
    rule="flat",
    appeal_until_ms=_AT + 14 * 86_400_000,
)

_APPEAL: Final = AppealContent(workout_id=WorkoutId(_ID), name="Jonas", sport="cycling", started_at_ms=_AT)

TEMPLATES: Final = (
    Template(
        "security.login_ended",
        1,
        LoginEndedContent,
        (
            LoginEndedContent(login_id=LoginId(_ID), device="Chrome on Android", ended_at_ms=_AT),
            LoginEndedContent(login_id=LoginId(_ID), device="", ended_at_ms=_AT),
        ),
    ),
    Template(
        "workout.summarised",
        1,
        WorkoutContent,
        (
            _WORKOUT,
            msgspec.structs.replace(_WORKOUT, class_title=None, mean_bpm=None, max_bpm=None, energy_kcal=None),
            msgspec.structs.replace(_WORKOUT, max_bpm=None, duration_ms=0, effort=0.0, zone_ms=()),
        ),
    ),
    Template(
        "class.summarised",
        1,
        ClassContent,
        (
            _CLASS,
            msgspec.structs.replace(_CLASS, rank=None, effort=None),
            msgspec.structs.replace(_CLASS, athletes=1, top=(Place(1, "Jonas", 137.4),), rank=1),
            msgspec.structs.replace(_CLASS, athletes=0, top=(), rank=None, effort=None, ended_at_ms=None),
        ),
    ),
    Template(
        "announcement",
        1,
        AnnouncementContent,
        (
            AnnouncementContent(
                title="New bikes in hall 2",
                body="From Monday there are twelve new bikes in hall 2.\n\nThe old ones move to the foyer.",
                sender="Mira",
                link="https://example.org/bikes",
            ),
            AnnouncementContent(title="Closed on January 6", body="We are back on the 7th.", sender=""),
        ),
    ),
    Template(
        "class.reminder",
        1,
        ClassReminderContent,
        (
            ClassReminderContent(
                class_id=ClassId(_ID),
                title="Thursday hills",
                coach_name="Mira",
                starts_at_ms=_AT + 3_600_000,
                equipment=("bike", "heart-rate strap"),
            ),
            ClassReminderContent(
                class_id=ClassId(_ID), title="Thursday hills", coach_name="Mira", starts_at_ms=_AT + 3_600_000
            ),
        ),
    ),
    Template(
        "booking.promoted",
        1,
        BookingPromotedContent,
        (
            BookingPromotedContent(
                class_id=ClassId(_ID),
                booking_id=BookingId(_ID),
                title="Thursday hills",
                coach_name="Mira",
                starts_at_ms=_AT + 86_400_000,
            ),
        ),
    ),
    Template(
        "booking.cancelled",
        1,
        BookingCancelledContent,
        tuple(
            BookingCancelledContent(
                class_id=ClassId(_ID),
                title="Thursday hills",
                coach_name="Mira",
                starts_at_ms=_AT + 86_400_000,
                called_off=called_off,
            )
            for called_off in (True, False)
        ),
    ),
    Template(
        "booking.cancelled",
        2,
        BookingCancelledContent,
        tuple(
            BookingCancelledContent(
                class_id=ClassId(_ID),
                title="Thursday hills",
                coach_name="Mira",
                starts_at_ms=_AT + 86_400_000,
                called_off=called_off,
                needs=needs,
            )
            for called_off, needs in ((True, ""), (False, ""), (False, "premium"))
        ),
    ),
    Template(
        "booking.cancelled",
        3,
        BookingCancelledContent,
        tuple(
            BookingCancelledContent(
                class_id=ClassId(_ID),
                title="Thursday hills",
                coach_name="Mira",
                starts_at_ms=_AT + 86_400_000,
                called_off=called_off,
                needs=needs,
                members_only=members_only,
            )
            for called_off, needs, members_only in (
                (True, "", False),
                (False, "", False),
                (False, "premium", False),
                (False, "", True),
            )
        ),
    ),
    Template(
        "verdict.changed",
        1,
        VerdictContent,
        (
            _VERDICT,
            *(msgspec.structs.replace(_VERDICT, verdict="flagged", rule=rule) for rule in RULES),
            msgspec.structs.replace(_VERDICT, verdict="accepted", rule="", appeal_until_ms=None),
            msgspec.structs.replace(
                _VERDICT, by_person=True, reason="The strap had slipped; I have seen it.", appeal_until_ms=None
            ),
        ),
    ),
    Template(
        "webhook.paused",
        1,
        WebhookPausedContent,
        (
            _PAUSED,
            msgspec.structs.replace(_PAUSED, description="", reason="gone"),
        ),
    ),
    Template("appeal.waiting", 1, AppealContent, (_APPEAL,)),
    Template(
        "friend.asked", 1, FriendAskedContent, (FriendAskedContent(AccountId(_ID), "Jonas", _AT + 30 * 86_400_000),)
    ),
    Template("friend.made", 1, FriendMadeContent, (FriendMadeContent(AccountId(_ID), "Jonas", _AT),)),
    Template(
        "security.erasure_asked",
        1,
        ErasureAskedContent,
        (ErasureAskedContent(asked_at_ms=_AT, due_at_ms=_AT + 7 * 86_400_000),),
    ),
    Template(
        "security.second_factor",
        1,
        SecondFactorContent,
        (
            SecondFactorContent(change="code_used", at_ms=_AT, left=9),
            SecondFactorContent(change="something_new", at_ms=_AT),
            *(SecondFactorContent(change="code_used", at_ms=_AT, left=left) for left in (1, 0)),
            *(
                SecondFactorContent(
                    change=change, at_ms=_AT, name="Ana's laptop" if "passkey" in change else "", left=10
                )
                for change in get_args(Change)
            ),
        ),
    ),
)
"""Every version of every template."""


def example(template: Template, content: Content | None = None) -> Notification:
    """A notification with the first example of `template`, or with another content."""
    return Notification(
        id=NotificationId(_ID),
        account_id=AccountId(_ID),
        topic=template.name,
        template=template.name,
        version=template.version,
        content=template.examples[0] if content is None else content,
        collapse_key="",
        told_at_ms=_AT,
        expires_at_ms=_AT + 90 * 86_400_000,
    )


def example_digest() -> tuple[Notification, ...]:
    """What a weekly digest gathers: one of each template that was ever digested, a day apart."""
    days = (("class.summarised", 5), ("workout.summarised", 4), ("announcement", 1))
    by_name = {template.name: template for template in TEMPLATES}
    return tuple(
        msgspec.structs.replace(example(by_name[name]), told_at_ms=_AT - days_ago * 86_400_000)
        for name, days_ago in days
    )
