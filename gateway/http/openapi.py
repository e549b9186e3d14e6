"""The OpenAPI 3.1 document, made from the rows that are also the router.

The schemas are msgspec's own (JSON Schema 2020-12, the dialect of 3.1), so what the document promises is what the decoder
enforces. Print it with `python -m gateway.http.openapi`.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

import msgspec

from gateway.http import page_login
from gateway.http.bodies import MAX_BODY
from gateway.http.examples import example_of
from gateway.http.problems import CONTENT_TYPE, ProblemBody
from gateway.http.rate_limits import HEADER, POLICY_HEADER
from gateway.http.router import Auth, Nothing, Route
from gateway.http.routes import ROUTES, WINDOWS, Window
from services.integrations.events import EVENTS, EventKind
from services.integrations.signing import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER
from services.kernel.problems import Problem
from services.limits.table import API

API_VERSION: Final = "1.0.0"
"""Of everything under /v1: the middle number grows with each addition, nothing else is ever done to it."""

Json = dict[str, Any]
_REF: Final = "#/components/schemas/{name}"
_TAGS: Final = {
    "accounts": "Making an account and looking after it.",
    "sign-ins": "Signing in with others: Google, Apple, whoever the operator has written down.",
    "logins": "A login is one device: an access token for minutes, a refresh token for weeks.",
    "second factor": "What an account has besides its password: an authenticator app, passkeys, recovery codes.",
    "apps": "Apps of others and keys for scripts: what they may do, and taking it back; see docs/howto/write_an_app.md.",
    "displays": "Big screens, which watch a class without an account.",
    "classes": "Live classes, before and after. What happens inside is on the socket.",
    "fair play": "Whether a workout counts, the appeal, and those who look a second time.",
    "people": "Other people: whom you do not want to hear.",
    "challenges": "Who does most of something, over days or weeks, and the log that proves it.",
    "scripts": "The library of scripts: kept apart from classes, shared with other coaches, taken into classes as copies.",
    "bookings": "Classes that are offered beforehand: places, waitlists, and classes that come again.",
    "tasks": "Work that takes long, and how far it is. It is told on the socket, too (`task.progress`).",
    "workouts": "One's own workouts, their summaries and samples.",
    "notifications": "The inbox, what else one wants to be told and where; what mail programs and providers call.",
    "safety": "Being watched over, and who is told. What happens in the moment is on the socket (`safety.prompt`).",
    "organisations": "Several people under one name, on seats that the operator has given them.",
    "staff": "Accounts of others, for people with the role support or admin.",
    "webhooks": "Programs of third parties that are told what happens. What they are told is in the section `webhooks`.",
    "operation": "For those who look after the server.",
}


_SECURITY: Final[dict[Auth, list[Json]]] = {
    "none": [],
    "bearer": [{"access_token": []}],
    "admin": [{"admin_token": []}],
}


def document() -> Json:
    """The whole document as plain JSON values."""
    shapes: list[Any] = [
        shape for route in ROUTES for shape in (route.body, route.reply) if shape not in {Nothing, None}
    ]
    shapes += [kind.shape for kind in EVENTS]
    refs, components = msgspec.json.schema_components(_distinct([*shapes, ProblemBody]), ref_template=_REF)
    ref_of = dict(zip(_distinct([*shapes, ProblemBody]), refs, strict=True))
    paths: defaultdict[str, Json] = defaultdict(dict)
    for route in ROUTES:
        paths[route.url][route.method.lower()] = _operation(route, ref_of)
    for window in WINDOWS:
        paths[window.url][window.method.lower()] = _window(window, ref_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Paceline",
            "version": API_VERSION,
            "summary": "Realtime coaching: accounts, live classes, workouts.",
            "description": (
                "The side door. Heart rates, boards and everything else that moves travels over Socket.IO; its document is"
                " `/asyncapi.json`. Bodies are JSON in UTF-8, unknown fields are refused, times are integers in ms"
                " since 1970 UTC, ids are UUIDs. Every failure is `application/problem+json` (RFC 9457): decide by"
                f" `code`. A body has at most {MAX_BODY} bytes."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": dict(paths),
        "webhooks": {kind.name: {"post": _webhook(kind, ref_of)} for kind in EVENTS},
        "components": {
            "schemas": components,
            "headers": _RATE_LIMIT_HEADERS,
            "securitySchemes": {
                "access_token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "The `access_token` of a login, of an app, or of a display; a key for scripts; or an"
                    " access token (RFC 9068) of an issuer that the operator trusts.",
                },
                "admin_token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The admin token of this installation (`PACELINE_ADMIN_TOKEN`).",
                },
            },
        },
    }


_RATE_LIMIT_HEADERS: Final[Json] = {
    POLICY_HEADER: {
        "description": "The limits that this request counts for: how often (`q`) in how many seconds (`w`). Not told to callers"
        " that are not counted.",
        "schema": {"type": "string", "examples": [f'"{API.name}";q={API.burst};w={API.window_s}']},
    },
    HEADER: {
        "description": "What is left of each (`r`), and in how many seconds all of it has come back (`t`).",
        "schema": {"type": "string", "examples": [f'"{API.name}";r={API.burst - 1};t=1']},
    },
}


_PAGE_PARAMETER: Final[Json] = {
    "name": page_login.HEADER,
    "in": "header",
    "required": False,
    "description": "For the pages of this installation, and refused (`page_refused`) from anywhere else: the refresh token"
    " travels in the cookie of this side of the pages, which no script can read, in place of the body.",
    "schema": {"type": "string", "enum": sorted(page_login.SIDES)},
}


def _operation(route: Route[Any, Any, Any], ref_of: dict[type, Json]) -> Json:
    success: Json = {"description": route.reply.__doc__ if route.reply else "Done; there is no body."}
    if route.reply is not None:
        success["content"] = {"application/json": _content(route.reply, ref_of)}
    links = _links(route)
    if links:
        success["links"] = links
    if route.media_type:
        success = {
            "description": "The file; parts of it can be asked for (Range).",
            "content": {route.media_type: {"schema": {"type": "string", "contentMediaType": route.media_type}}},
        }
    if route.auth != "admin":
        success["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in _RATE_LIMIT_HEADERS}
    operation: Json = {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": route.does,
        "security": _SECURITY[route.auth],
        "responses": {str(route.status): success, **_failures(route.all_problems(), ref_of)},
    }
    if route.auth == "bearer":
        operation["x-scope"] = route.scope
    if route.more:
        operation["description"] = route.more
    parameters = [*_parameters(route.path, "path"), *_parameters(route.query, "query")]
    if route.cookie:
        parameters.append(_PAGE_PARAMETER)
    if parameters:
        operation["parameters"] = parameters
    if route.body is not Nothing:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": _content(route.body, ref_of)},
        }
    return operation


def _links(route: Route[Any, Any, Any]) -> Json:
    """Where one may go on with what a POST has made: every address that its id leads to."""
    if route.method != "POST" or route.reply is None or "id" not in route.reply.__struct_fields__:
        return {}
    return {
        other.name: {"operationId": other.name, "parameters": {"id": "$response.body#/id"}}
        for other in ROUTES
        if other.url.startswith(f"{route.url}/{{id}}") and other.url.count("{") == 1
    }


_WEBHOOK_HEADERS: Final = (
    (ID_HEADER, "The same on every attempt and every replay: do what the event asks for once per id.", "string"),
    (
        TIMESTAMP_HEADER,
        "When this attempt was signed, seconds since 1970: refuse what is older than five minutes.",
        "integer",
    ),
    (
        SIGNATURE_HEADER,
        "`v1,` and HMAC-SHA256 in base64 over `id.timestamp.body`; during a rotation two of them, with a space between.",
        "string",
    ),
)


def _webhook(kind: EventKind, ref_of: dict[type, Json]) -> Json:
    """An event as a request to somebody else (OpenAPI 3.1, `webhooks`)."""
    scopes = ", ".join(f"`{scope}`" for scope in kind.scopes)
    return {
        "operationId": f"webhook_{kind.name.replace('.', '_')}",
        "tags": ["webhooks"],
        "summary": " ".join((kind.shape.__doc__ or "").split()),
        "description": f"Scopes that add to it: {scopes}." if scopes else "No scope adds to it.",
        "security": [],
        "parameters": [
            {"name": name, "in": "header", "required": True, "description": text, "schema": {"type": of}}
            for name, text, of in _WEBHOOK_HEADERS
        ],
        "requestBody": {"required": True, "content": {"application/json": _content(kind.shape, ref_of)}},
        "responses": {
            "2XX": {"description": "Taken. Nothing of the body is looked at; answer within 15 seconds."},
            "410": {"description": "Never again: the endpoint is paused at once."},
            "429": {
                "description": "Later: Retry-After is heeded, up to an hour, and nothing is held against the endpoint."
            },
            "default": {
                "description": "Not taken, as are redirects and silence: it comes again, ten times over three days."
            },
        },
    }


def _window(window: Window, ref_of: dict[type, Json]) -> Json:
    schema: Json = {"type": window.answers if window.media_type == "application/json" else "string"}
    parameters = [
        {"name": name, "in": where, "required": True, "schema": {"type": "string"}}
        for where, names in (("path", window.path), ("query", window.query))
        for name in names
    ]
    answer: Json = {"description": window.does}
    if window.status == 200:
        answer["content"] = {window.media_type: {"schema": schema}}
    fields = {"type": "object", "additionalProperties": {"type": "string"}}
    form: Json = {"content": {"application/x-www-form-urlencoded": {"schema": fields}}}
    return {
        "operationId": window.name,
        "tags": [window.tag],
        "summary": window.does,
        **({"description": window.more} if window.more else {}),
        **({"parameters": parameters} if parameters else {}),
        **({"requestBody": form} if window.method == "POST" else {}),
        "security": [],
        "responses": {
            str(window.status): answer,
            **_failures(window.problems, ref_of),
        },
    }


def _content(shape: type, ref_of: dict[type, Json]) -> Json:
    return {"schema": ref_of[shape], "examples": {"example": {"value": example_of(shape)}}}


def _parameters(shape: type[msgspec.Struct], where: str) -> list[Json]:
    """The fields of a query or path shape, one parameter each."""
    if shape is Nothing:
        return []
    (_, components) = msgspec.json.schema_components([shape], ref_template=_REF)
    schema = components[shape.__name__]
    required = schema.get("required", [])
    return [
        {"name": name, "in": where, "required": where == "path" or name in required, "schema": inner}
        for name, inner in schema["properties"].items()
    ]


def _failures(problems: Iterable[type[Problem]], ref_of: dict[type, Json]) -> Json:
    """One response per status, naming every code it may carry."""
    by_status: defaultdict[int, list[type[Problem]]] = defaultdict(list)
    for kind in problems:
        by_status[kind.status].append(kind)
    responses: Json = {}
    for status, kinds in sorted(by_status.items()):
        lines = [f"- `{kind.code}`: {(kind.__doc__ or '').strip()}" for kind in kinds]
        response: Json = {
            "description": f"{HTTPStatus(status).phrase}.\n\n" + "\n".join(lines),
            "content": {CONTENT_TYPE: {"schema": ref_of[ProblemBody]}},
        }
        if status in {429, 503}:
            response["headers"] = {
                "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
            }
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            response["headers"] |= {name: {"$ref": f"#/components/headers/{name}"} for name in _RATE_LIMIT_HEADERS}
        responses[str(status)] = response
    return responses


def _distinct(shapes: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(shapes))


def text(of: Json) -> str:
    """A document as it is printed and kept in docs/reference."""
    return msgspec.json.format(msgspec.json.encode(of), indent=2).decode() + "\n"


if __name__ == "__main__":
    sys.stdout.write(text(document()))
