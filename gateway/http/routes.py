"""The whole HTTP surface on one screen.

`ROUTES` are the rows with shapes, which make both the router and most of the document. `WINDOWS` are the few addresses that
answer something other than a shape: documents, probes, and what strangers call. The pages are in pages.py, the sockets in
gateway/sockets/.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

from gateway.http import (
    accounts,
    blocks,
    bookings,
    challenges,
    classes,
    devices,
    displays,
    logins,
    notifications,
    offers,
    operations,
    phones,
    preferences,
    preview,
    reports,
    safety,
    schedule,
    scripts,
    series,
    showing,
    tasks,
    verdicts,
    webhook_deliveries,
    webhooks,
    workouts,
)
from gateway.http.router import Route
from services.kernel.problems import (
    BadShape,
    ChangedMeanwhile,
    Forbidden,
    NotFound,
    Problem,
    TooLarge,
    Unavailable,
)

ROUTES: Final[tuple[Route[Any, Any, Any], ...]] = (
    accounts.REGISTER,
    accounts.ME,
    accounts.CHANGE_PROFILE,
    logins.LOG_IN,
    logins.REFRESH,
    logins.LOG_OUT,
    displays.OPEN_DISPLAY,
    displays.DEMO,
    blocks.BLOCK,
    blocks.UNBLOCK,
    blocks.OWN_BLOCKS,
    classes.CREATE_CLASS,
    classes.OWN_CLASSES,
    classes.CLASS_BY_ID,
    classes.END_CLASS,
    classes.CLASS_SUMMARY,
    classes.CLASS_REPLAY,
    reports.CLASS_REPORTS,
    reports.DECIDE_REPORT,
    scripts.CLASS_SCRIPT,
    scripts.SAVE_SCRIPT,
    showing.OWN_DISPLAY,
    showing.CHOOSE_OWN_DISPLAY,
    showing.CLASS_DISPLAY,
    showing.CHOOSE_CLASS_DISPLAY,
    showing.OWN_CONSENTS,
    challenges.CREATE_CHALLENGE,
    challenges.OWN_CHALLENGES,
    challenges.INVITATION,
    challenges.JOIN_CHALLENGE,
    challenges.CHALLENGE_BY_ID,
    challenges.INVITE_ANEW,
    challenges.LEAVE_CHALLENGE,
    challenges.CHALLENGE_TABLE,
    challenges.CHALLENGE_LOG,
    offers.OFFER_CLASS,
    offers.OFFERS,
    offers.OFFER_BY_ID,
    offers.CHANGE_OFFER,
    offers.CALL_OFF,
    bookings.BOOK,
    offers.ROSTER,
    bookings.OWN_BOOKINGS,
    bookings.BOOKING_BY_ID,
    bookings.CANCEL_BOOKING,
    series.CREATE_SERIES,
    series.OWN_SERIES,
    series.END_SERIES,
    workouts.OWN_WORKOUTS,
    workouts.WORKOUT_BY_ID,
    workouts.WORKOUT_SAMPLES,
    workouts.WORKOUT_GHOST,
    verdicts.WORKOUT_VERDICT,
    verdicts.APPEAL,
    verdicts.RULE,
    verdicts.CLASS_REVIEWS,
    verdicts.CHALLENGE_REVIEWS,
    tasks.START_TASK,
    tasks.OWN_TASKS,
    tasks.TASK_BY_ID,
    tasks.CANCEL_TASK,
    tasks.TASK_FILE,
    notifications.OWN_INBOX,
    notifications.UNREAD,
    notifications.NOTIFICATION_BY_ID,
    notifications.MARK_READ,
    preferences.OWN_PREFERENCES,
    preferences.SAVE_PREFERENCES,
    devices.ADD_DEVICE,
    devices.OWN_DEVICES,
    devices.FORGET_DEVICE,
    devices.WEB_PUSH_KEY,
    phones.OWN_PHONE,
    phones.GIVE_PHONE,
    phones.PROVE_PHONE,
    phones.TAKE_PHONE_BACK,
    safety.OWN_SAFETY,
    safety.CHOOSE_SAFETY,
    webhooks.CREATE_ENDPOINT,
    webhooks.OWN_ENDPOINTS,
    webhooks.ENDPOINT_BY_ID,
    webhooks.CHANGE_ENDPOINT,
    webhooks.DELETE_ENDPOINT,
    webhooks.ROTATE_SECRET,
    webhook_deliveries.TEST_ENDPOINT,
    webhooks.RESUME_ENDPOINT,
    webhook_deliveries.OWN_DELIVERIES,
    webhook_deliveries.DELIVERY_BY_ID,
    webhook_deliveries.REPLAY_DELIVERY,
    webhook_deliveries.REPLAY_SINCE,
    webhook_deliveries.WEBHOOK_SAMPLES,
    operations.SOCKETS,
    preview.PREVIEW,
    schedule.SCHEDULE,
    schedule.RUN_JOB,
)


@dataclass(frozen=True)
class Window:
    """An address for people and machines that know nothing of our shapes. `query`: its parameters; a POST is sent a form."""

    url: str
    name: str
    does: str
    media_type: str
    problems: tuple[type[Problem], ...] = ()
    method: Literal["GET", "POST"] = "GET"
    tag: str = "operation"
    query: tuple[str, ...] = ()
    more: str = ""


WINDOWS: Final = (
    Window("/livez", "livez", "Whether the event loop turns; asks nobody.", "application/json"),
    Window(
        "/readyz",
        "readyz",
        "Whether this node should get traffic, and if not, why.",
        "application/json",
        (Unavailable,),
    ),
    Window("/metrics", "prometheus", "Counts and gauges for Prometheus.", "text/plain"),
    Window("/openapi.json", "openapi", "This document.", "application/json"),
    Window(
        "/asyncapi.json", "asyncapi", "The same for the socket: every event in the namespace /live.", "application/json"
    ),
    Window("/docs", "docs", "Both documents as one readable page.", "text/html"),
    Window(
        "/unsubscribe",
        "unsubscribe_page",
        "The page behind the link at the end of a mail: says what it would stop, and has a button for it.",
        "text/html",
        (NotFound,),
        tag="notifications",
        query=("token",),
    ),
    Window(
        "/unsubscribe",
        "unsubscribe",
        "Stop the mail that the token is for: one click, no login, no redirect (RFC 8058).",
        "text/html",
        (NotFound, ChangedMeanwhile),
        method="POST",
        tag="notifications",
        query=("token",),
        more="Again is fine. What the form says does not matter: the token alone is the right to do this.",
    ),
    Window(
        "/v1/callbacks/sms",
        "sms_callback",
        "What the SMS provider says of a message that it had taken.",
        "text/plain",
        (BadShape, Forbidden, NotFound, TooLarge),
        method="POST",
        tag="notifications",
        more="Signed by the provider (`X-Twilio-Signature`) over the address by which it knows us and all fields of the form.",
    ),
)
