"""The whole HTTP surface on one screen.

`ROUTES` are the rows with shapes, which make both the router and most of the document. `WINDOWS` are the few addresses that
answer something other than a shape: documents and probes. The pages are in pages.py, the sockets in gateway/sockets/.
"""

from dataclasses import dataclass
from typing import Any, Final

from gateway.http import accounts, classes, displays, logins, operations, schedule, tasks, workouts
from gateway.http.router import Route
from services.kernel.problems import Problem, Unavailable

ROUTES: Final[tuple[Route[Any, Any, Any], ...]] = (
    accounts.REGISTER,
    accounts.ME,
    accounts.CHANGE_PROFILE,
    logins.LOG_IN,
    logins.REFRESH,
    logins.LOG_OUT,
    displays.OPEN_DISPLAY,
    displays.DEMO,
    classes.CREATE_CLASS,
    classes.OWN_CLASSES,
    classes.CLASS_BY_ID,
    classes.END_CLASS,
    classes.CLASS_SUMMARY,
    workouts.OWN_WORKOUTS,
    workouts.WORKOUT_BY_ID,
    workouts.WORKOUT_SAMPLES,
    tasks.START_TASK,
    tasks.OWN_TASKS,
    tasks.TASK_BY_ID,
    tasks.CANCEL_TASK,
    tasks.TASK_FILE,
    operations.SOCKETS,
    schedule.SCHEDULE,
    schedule.RUN_JOB,
)


@dataclass(frozen=True)
class Window:
    """An address for people and machines that look after the server."""

    url: str
    name: str
    does: str
    media_type: str
    problems: tuple[type[Problem], ...] = ()


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
)
