"""The reports of a class over HTTP: for its coach, while it is live and afterwards."""

import msgspec

from gateway.http.classes import ClassPath
from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.kernel.ids import ClassId, ReportId
from services.kernel.problems import ChangedMeanwhile, ClassNotFound, Forbidden, NotFound
from services.social.reports import MAX_REPORTS, ReportView, Verdict, WaitingReport


class ReportPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which report of which class."""

    id: ClassId
    report: ReportId


class ReportQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`undecided`: only those that wait for a decision."""

    undecided: bool = True


class ReportList(msgspec.Struct, frozen=True):
    """Reports, those that wait longest first."""

    reports: tuple[ReportView, ...]


class WaitingReports(msgspec.Struct, frozen=True):
    """Reports that wait for you, with the class that they are from, those that wait longest first."""

    reports: tuple[WaitingReport, ...]


class Decided(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of the message: "remove" it, or "keep" it."""

    verdict: Verdict


async def class_reports(deps: GatewayDeps, call: Call[Nothing, ReportQuery, ClassPath]) -> ReportList:
    found = await deps.reports.of_class(call.caller, call.path.id, undecided=call.query.undecided)
    return ReportList(tuple(found))


async def own_reports(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> WaitingReports:
    return WaitingReports(tuple(await deps.reports.waiting(call.caller)))


async def decide_report(deps: GatewayDeps, call: Call[Decided, Nothing, ReportPath]) -> None:
    await deps.reports.decide(call.caller, call.path.id, call.path.report, call.body.verdict)


CLASS_REPORTS = Route(
    "GET",
    "/v1/classes/{id}/reports",
    name="class_reports",
    permission=may.MODERATE,
    tag="classes",
    does="Messages of the class's chat that members have reported (its coach).",
    more=(
        f"At most {MAX_REPORTS}, also when the class is over. The text is what was said; who has reported it is not told."
        " Members report with `chat.report` on the socket."
    ),
    handler=class_reports,
    body=Nothing,
    query=ReportQuery,
    path=ClassPath,
    reply=ReportList,
    problems=(ClassNotFound, Forbidden),
)
DECIDE_REPORT = Route(
    "PUT",
    "/v1/classes/{id}/reports/{report}/verdict",
    name="decide_report",
    permission=may.MODERATE,
    tag="classes",
    does="Decide about a message that was reported, for all its reports (the coach of the class).",
    more=(
        '"remove" takes it down as `chat.remove` does: everybody in the room is told, and nobody is given it any more. Who has'
        " decided is kept. The same verdict again is fine; another one is refused."
    ),
    handler=decide_report,
    body=Decided,
    query=Nothing,
    path=ReportPath,
    reply=None,
    status=204,
    problems=(ChangedMeanwhile, ClassNotFound, Forbidden, NotFound),
)
OWN_REPORTS = Route(
    "GET",
    "/v1/reports",
    name="own_reports",
    permission=may.REPORTS_OWN,
    tag="classes",
    does="Messages that were reported in the classes that you lead, and that nobody has decided about.",
    more=f"At most {MAX_REPORTS}; what you decide makes room for the next.",
    handler=own_reports,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=WaitingReports,
    problems=(Forbidden,),
)
