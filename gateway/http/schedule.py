"""What happens by the clock, for those who look after the server: the jobs, and doing one now.

Behind the admin token, as everything of the kind (operations.py). Any node answers: the state of the schedule is in the database.
"""

from typing import Annotated

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.audit.entry import operator
from services.kernel.problems import NotFound
from services.schedule.jobs import ScheduleNow

JobName = Annotated[str, msgspec.Meta(min_length=1, max_length=80, pattern="^[a-z0-9-]+$", description="a job's name")]


class JobPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which job."""

    job: JobName


async def schedule(deps: GatewayDeps, _: Call[Nothing, Nothing, Nothing]) -> ScheduleNow:
    return await deps.schedule.now()


async def run_job(deps: GatewayDeps, call: Call[Nothing, Nothing, JobPath]) -> None:
    await deps.schedule.ask(call.path.job, operator(call.address))


SCHEDULE = Route(
    "GET",
    "/v1/operations/schedule",
    name="schedule",
    permission=may.OPERATE,
    tag="operation",
    does="The jobs: when each was done last and is due next, how it went, and which node does them.",
    more="Needs the admin token (`PACELINE_ADMIN_TOKEN`) as the bearer token.",
    handler=schedule,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=ScheduleNow,
    auth="admin",
    problems=(NotFound,),
)
RUN_JOB = Route(
    "POST",
    "/v1/operations/schedule/{job}/run",
    name="run_job",
    permission=may.OPERATE,
    tag="operation",
    does="Have a job done now, also before its time; the node that leads does it within seconds.",
    more="Needs the admin token. Asked again before it has begun, it is done once. How it went is in the list.",
    handler=run_job,
    body=Nothing,
    query=Nothing,
    path=JobPath,
    reply=None,
    status=202,
    auth="admin",
    problems=(NotFound,),
)
