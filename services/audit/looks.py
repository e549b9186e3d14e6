"""Where somebody's body can be seen, and what the audit says of that: every route and every event whose answer has health in it.

It is closed: a test finds them by their shapes (`HEALTH`) and compares. What is not one's `own` is either shown to a whole room
as its owner has chosen to be shown there (`room`), where it is no secret that others look, or it tells the audit by the act named.

**A new route or event with such a field**: a row here. If it shows what its owner did not choose to show to whoever was there, it
adds an entry where it is shown.
"""

from collections.abc import Mapping
from typing import Final

HEALTH: Final[frozenset[str]] = frozenset(
    {
        "bpm",
        "max_hr",
        "rest_hr",
        "zone_ms",
        "effort",
        "percent",
        "mean_bpm",
        "max_bpm",
        "samples",
        "findings",
        "figure",
        "figures",
        "scores",
        "standings",
        "limit_bpm",
        "birth_date",
        "age_group",
        "sex",
        "mass_kg",
    }
)
"""Names of fields that say something of a body, wherever they stand in a shape."""

OWN: Final = "own"
"""One's own, or what one sends oneself."""
ROOM: Final = "room"
"""What each has chosen to show to everybody in the room, as they have chosen it (services/classes/showing.py)."""
PLAN: Final = "plan"
"""What a class asks for; nobody's body."""

ROUTES: Final[Mapping[str, str]] = {
    "me": OWN,
    "change_profile": OWN,
    "class_summary": ROOM,
    "class_script": PLAN,
    "save_script": PLAN,
    "check_script": PLAN,
    "keep_script": PLAN,
    "library_script": PLAN,
    "change_script": PLAN,
    "copy_script": PLAN,
    "class_replay": "replay.viewed",
    "class_ghost": "curve.viewed",
    "own_workouts": OWN,
    "workout_by_id": OWN,
    "workout_samples": OWN,
    "workout_ghost": OWN,
    "workout_verdict": "evidence.viewed",
    "appeal": OWN,
    "rule": "case.decided",
    "class_reviews": "evidence.viewed",
    "challenge_reviews": "evidence.viewed",
    "own_reviews": "evidence.viewed",
    "own_safety": OWN,
    "choose_safety": OWN,
    "safety_alerts": "incident.viewed",
    "webhook_samples": OWN,
}
"""By the name of the route; without those that let somebody in and tell them of their own account. An act: one entry per request
that shows somebody else's, and per person where there are several."""

EVENTS: Final[Mapping[str, str]] = {
    "stream.samples": OWN,
    "stream.finish": OWN,
    "room.join": ROOM,
    "board.get": ROOM,
    "board.snapshot": ROOM,
    "board.filter": ROOM,
    "board.filtered": ROOM,
    "board.changes": ROOM,
    "room.reset": ROOM,
    "room.recovered": ROOM,
    "class.summary": ROOM,
    "board.private": "heart_rate.watched",
    "cockpit.snapshot": "heart_rate.watched",
    "cockpit.changes": "heart_rate.watched",
    "timeline.get": PLAN,
    "replay.open": "replay.viewed",
    "workout.summary": OWN,
    "safety.cancel": OWN,
    "safety.prompt": OWN,
    "safety.alert": "incident.told",
    "safety.acknowledge": "incident.viewed",
}
"""By the name of the event. `heart_rate.watched` is told once per login, athlete and class on a node (rooms/looking.py)."""
