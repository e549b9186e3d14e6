"""All words that people can be told, for those who write them: every template on every channel, in each language."""

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.notifications.previewing import Previews, previews


class PreviewQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For whom: IANA time zone."""

    time_zone: str = "UTC"


async def preview(deps: GatewayDeps, call: Call[Nothing, PreviewQuery, Nothing]) -> Previews:
    return previews(deps.words, call.query.time_zone)


PREVIEW = Route(
    "GET",
    "/v1/operations/words",
    name="preview",
    permission=may.OPERATE,
    tag="operation",
    does="Every template in every language, on every channel, with its examples.",
    more="Needs the admin token (`PACELINE_ADMIN_TOKEN`) as the bearer token. The page /operations/words shows it.",
    handler=preview,
    body=Nothing,
    query=PreviewQuery,
    path=Nothing,
    reply=Previews,
    auth="admin",
)
