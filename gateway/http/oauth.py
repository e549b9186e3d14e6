"""The endpoints of OAuth that apps call themselves, as its RFCs have them: forms in, JSON out.

A refusal here says the same twice: as a problem, like everywhere (RFC 9457), and in `error` and `error_description`, where a
library for OAuth looks (RFC 6749, 5.2). It comes as `application/problem+json`, or as `application/json` to whoever asks for that.

Nothing secret may stand in an address, which ends up in logs and histories: a query is refused, whatever is in it (ASVS 14.2.1).
"""

import base64
from collections import Counter
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from aiohttp import hdrs, web

from gateway.http import rate_limits
from gateway.http.bodies import FORM, media_type, read_body
from gateway.http.ports import GatewayDeps
from gateway.http.router import address_of
from services.accounts.scope import SENTENCES
from services.apps.exchanging import Form, credentials_of
from services.kernel.problems import BadJson, InvalidClient, InvalidRequest

TOKEN, REVOKE, INTROSPECT = "/oauth/token", "/oauth/revoke", "/oauth/introspect"
METADATA: Final = "/.well-known/oauth-authorization-server"
ENDPOINTS: Final = frozenset({TOKEN, REVOKE, INTROSPECT})
_MOST_FIELDS: Final = 30


class ServerMetadata(msgspec.Struct, frozen=True):
    """What a library for OAuth asks first (RFC 8414)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    revocation_endpoint: str
    introspection_endpoint: str
    jwks_uri: str
    service_documentation: str
    scopes_supported: tuple[str, ...]
    response_types_supported: tuple[str, ...] = ("code",)
    response_modes_supported: tuple[str, ...] = ("query",)
    grant_types_supported: tuple[str, ...] = ("authorization_code", "refresh_token", "client_credentials")
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic", "client_secret_post", "none")
    revocation_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic", "client_secret_post", "none")
    introspection_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic", "client_secret_post")
    code_challenge_methods_supported: tuple[str, ...] = ("S256",)
    authorization_response_iss_parameter_supported: bool = True


def metadata_of(base: str) -> ServerMetadata:
    """The metadata of the installation at `base`."""
    return ServerMetadata(
        issuer=base,
        authorization_endpoint=f"{base}/oauth/authorize",
        token_endpoint=base + TOKEN,
        revocation_endpoint=base + REVOKE,
        introspection_endpoint=base + INTROSPECT,
        jwks_uri=f"{base}/.well-known/jwks.json",
        service_documentation=f"{base}/docs",
        scopes_supported=tuple(SENTENCES),
    )


def add_oauth(app: web.Application, deps: GatewayDeps) -> None:
    """Make `app` answer apps."""

    async def counted(request: web.Request) -> Form:
        await rate_limits.count(request, deps.limits, None, address_of(request, deps.proxies))
        return await _form(request)

    async def token(request: web.Request) -> web.Response:
        form = await counted(request)
        return _answer(request, await deps.exchanging.tokens(form, credentials_of(form, _basic(request))))

    async def revoke(request: web.Request) -> web.Response:
        form = await counted(request)
        await deps.exchanging.revoke(form, credentials_of(form, _basic(request)))
        return _answer(request, None)

    async def introspect(request: web.Request) -> web.Response:
        form = await counted(request)
        return _answer(request, await deps.exchanging.introspect(form, credentials_of(form, _basic(request))))

    async def metadata(request: web.Request) -> web.Response:
        return _answer(request, metadata_of(deps.issuer()))

    app.router.add_post(TOKEN, token, name="oauth_token")
    app.router.add_post(REVOKE, revoke, name="oauth_revoke")
    app.router.add_post(INTROSPECT, introspect, name="oauth_introspect")
    app.router.add_get(METADATA, metadata, name="oauth_metadata")


def _answer(request: web.Request, reply: msgspec.Struct | None) -> web.Response:
    body = b"{}" if reply is None else msgspec.json.encode(reply)
    headers = {hdrs.CACHE_CONTROL: "no-store", hdrs.PRAGMA: "no-cache"}
    response = web.Response(body=body, content_type="application/json", charset="utf-8", headers=headers)
    rate_limits.tell(request, response)
    return response


async def _form(request: web.Request) -> Form:
    """The fields of the form. Raises InvalidRequest for anything else; the application's limit stops a long one."""
    if request.query_string:
        raise InvalidRequest("send everything in the form: an address ends up in logs and histories")
    if media_type(request) != FORM:
        raise InvalidRequest(f"send a form, {FORM}")
    try:
        body = await read_body(request)
    except BadJson as late:
        raise InvalidRequest(late.message) from late
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=_MOST_FIELDS)
    except (UnicodeDecodeError, ValueError) as error:
        raise InvalidRequest("the form cannot be read") from error
    twice = [name for name, count in Counter(name for name, _ in fields).items() if count > 1]
    if twice:
        raise InvalidRequest(f"give each parameter once: {twice[0][:40]}")
    return dict(fields)


def _basic(request: web.Request) -> tuple[str, str] | None:
    """Name and secret of an Authorization header of the kind Basic; None without one. Raises InvalidClient, InvalidRequest."""
    values = request.headers.getall(hdrs.AUTHORIZATION, [])
    if len(values) > 1:
        raise InvalidRequest("give one Authorization header")
    scheme, _, given = (values[0] if values else "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, secret = base64.b64decode(given.strip(), validate=True).decode().partition(":")
    except ValueError as cause:  # no ASCII, no base64, or no UTF-8 in it
        raise InvalidClient("the Authorization header cannot be read") from cause
    if not colon:
        raise InvalidClient("the Authorization header cannot be read")
    return name, secret
