"""Where providers tell what became of a message. They send forms and sign them; nobody else may."""

from typing import Final
from urllib.parse import parse_qsl

from aiohttp import hdrs, web

from gateway.http.bodies import FORM, media_type, read_body
from gateway.http.ports import GatewayDeps
from services.kernel.problems import BadShape
from services.notifications.sms_callback import SIGNATURE_HEADER
from services.notifications.sms_reports import PATH

_MOST_FIELDS: Final = 100


def add_callbacks(app: web.Application, deps: GatewayDeps) -> None:
    """Make `app` answer providers."""

    async def sms(request: web.Request) -> web.Response:
        form = await _form(request)
        # As it was called, not as a library would write it: the signature is over these characters.
        await deps.sms_reports.reported(request.raw_path, form, request.headers.get(SIGNATURE_HEADER, ""))
        return web.Response(text="", headers={hdrs.CACHE_CONTROL: "no-store"})

    app.router.add_post(PATH, sms, name="sms_callback")


async def _form(request: web.Request) -> dict[str, str]:
    """The fields of a form. Raises BadShape for anything else; the application's limit stops a long one."""
    if media_type(request) != FORM:
        raise BadShape(f"a callback is sent as {FORM}")
    body = await read_body(request)
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=_MOST_FIELDS)
    except (UnicodeDecodeError, ValueError) as error:
        raise BadShape("the form cannot be read") from error
    return dict(fields)
