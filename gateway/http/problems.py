"""Problems as HTTP sees them: RFC 9457, one shape for every failure there is.

Use cases raise a `Problem`; the framework raises its own exceptions (no such address, wrong method, body too large); our own
faults raise anything. All of them leave through `problem_response`, so a client needs one reader for failures.
"""

import html
import math
from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web

from services.kernel.problems import (
    BadShape,
    InternalFault,
    MethodNotAllowed,
    NotFound,
    Problem,
    TooLarge,
    Unavailable,
    UnsupportedMediaType,
)

CONTENT_TYPE: Final = "application/problem+json"
_DEFAULT_RETRY_MS: Final = 1_000
_OF_STATUS: Final[dict[int, type[Problem]]] = {
    404: NotFound,
    405: MethodNotAllowed,
    413: TooLarge,
    415: UnsupportedMediaType,
    503: Unavailable,
}


class ProblemBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """Every failure (RFC 9457). Decide by `code`; show `detail` to people.

    `retry` whether the same request may succeed later, `retry_after_ms` when (also in the Retry-After header); `path` where
    in the request the fault is ("$.email", "query.limit"); `data` what a program needs to go on; `trace_id` finds the
    request in our log (also in the X-Request-Id header); `checks` only from /readyz; `error` and `error_description` only from
    /oauth, where they are what RFC 6749 calls code and detail.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    trace_id: str
    retry: bool = False
    retry_after_ms: int | None = None
    path: str | None = None
    data: dict[str, str | int | None] | None = None
    checks: dict[str, str] | None = None
    error: str | None = None
    error_description: str | None = None


def title_of(code: str) -> str:
    """The heading of a problem: "bad_shape" is "Bad shape"."""
    return code.replace("_", " ").capitalize()


def type_of(code: str) -> str:
    """The address (on this server) where the problem is explained."""
    return f"/docs#problem-{code}"


def problem_response(
    problem: Problem,
    *,
    instance: str,
    trace_id: str,
    status: int | None = None,
    checks: dict[str, str] | None = None,
    oauth: bool = False,
) -> web.Response:
    """The answer to a request that ended in `problem`. `instance` is the path that was asked for; `oauth`: say it in the words of
    RFC 6749, too."""
    status = status or problem.status
    view = problem.view()
    body = ProblemBody(
        type=type_of(view.code),
        title=title_of(view.code),
        status=status,
        detail=view.message,
        instance=instance,
        code=view.code,
        trace_id=trace_id,
        retry=view.retry,
        retry_after_ms=view.retry_after_ms,
        path=view.path,
        data=view.data,
        checks=checks,
        error=view.code if oauth else None,
        error_description=view.message if oauth else None,
    )
    response = web.Response(status=status, body=msgspec.json.encode(body), content_type=CONTENT_TYPE)
    if view.retry_after_ms is not None or status in {429, 503}:
        wait_ms = _DEFAULT_RETRY_MS if view.retry_after_ms is None else view.retry_after_ms
        response.headers["Retry-After"] = str(max(1, math.ceil(wait_ms / 1_000)))
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = f'{"Basic" if oauth else "Bearer"} realm="paceline"'
    return response


def from_framework(error: web.HTTPException) -> Problem:
    """The problem that says what aiohttp's own refusal says."""
    kind = _OF_STATUS.get(error.status)
    if kind is not None:
        return kind()
    if error.status >= 500:
        return InternalFault()
    return BadShape(f"the request was refused: {error.reason}")


def bad_shape(error: msgspec.ValidationError, where: str) -> BadShape:
    """The problem with a part of the request that has the wrong shape.

    `where` is "$" for the body, "query" or "path" for those. The library's messages name types and limits, never values, so
    nothing secret is repeated.
    """
    message, _, place = str(error).partition(" - at `")
    path = place.removesuffix("`") or "$"
    return BadShape(message[:1].lower() + message[1:], path=where + path.removeprefix("$"))


def problem_page(status: int, detail: str) -> web.Response:
    """The same for people who typed an address into a browser."""
    phrase = HTTPStatus(status).phrase
    return web.Response(
        status=status,
        content_type="text/html",
        charset="utf-8",
        text=(
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{status} {html.escape(phrase)} · Paceline</title>"
            '<link rel="stylesheet" href="/docs.css"></head>'
            f'<body class="lost"><main><p class="status">{status}</p><h1>{html.escape(phrase)}</h1>'
            f'<p>{html.escape(detail)}</p><p><a href="/">To the start page</a></p></main></body></html>'
        ),
    )
