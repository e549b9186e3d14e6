"""Logins of our own pages: the refresh token lies in a cookie that no script can read and no other page can use.

A page says with `X-Paceline-Page` which of its two sides is asking, the coach's or the athlete's. Then the refresh token of the
login that an answer carries goes into the cookie of that side in place of the body, and `POST /v1/logins/refresh` finds it
there. That is all a cookie opens; everything else wants the access token, which the page has in memory only. Apps do not send
the header, and nothing changes for them.

Three things keep the pages of strangers out, each enough by itself (ASVS 3.5.1, 3.5.2): the cookie is `SameSite=Strict`; the
header cannot be sent by a form, and a script elsewhere has to ask for it first, which nobody answers; and `Origin` and
`Sec-Fetch-Site`, which a browser writes and no page can change, must say that it is a page of ours.

What the browser takes for the address of the page is in `Origin`, whatever proxies stand between. Over https the cookie is
`__Host-paceline-<side>`, `Secure`: nobody else's host and no plain http can set or get it. Browsers do not keep such a cookie
over plain http; on loopback, where nobody listens in between, it is `paceline-<side>-<port>` without `Secure` (ports share
their cookies). Plain http from another machine has no cookies at all, and is told so.
"""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec
from aiohttp import hdrs, web

from services.accounts.opening import LOGIN_TTL, LoggedIn
from services.accounts.sign_ins import SignInNow
from services.kernel.problems import PageRefused

HEADER: Final = "X-Paceline-Page"
FETCH_SITE: Final = "Sec-Fetch-Site"
Side = Literal["athlete", "coach"]
SIDES: Final[dict[str, Side]] = {"athlete": "athlete", "coach": "coach"}
MAX_AGE_S: Final = int(LOGIN_TTL.total_seconds())
"""How long a browser keeps the cookie: as long as a login can last. Whether its token is still good is known to the database."""

OriginRule = Callable[[str | None, dict[str, Any]], bool]


@dataclass
class Page:
    """A page of ours that asks: its cookie's name, whether that is for https, the refresh token in it, and what shall be in it from
    now on ("" for nothing; None leaves it as it is)."""

    cookie: str
    secure: bool
    brought: str | None
    becomes: str | None = None

    def forget(self) -> None:
        """Have the browser forget the cookie: its login is over."""
        self.becomes = ""


PAGE: Final = web.RequestKey("page", Page)
R = TypeVar("R")


def page_of(request: web.Request, ours: OriginRule) -> Page | None:
    """The page that asks; None when it is no page. Raises PageRefused when it says that it is one of ours and cannot be."""
    said = request.headers.getall(HEADER, [])
    if not said:
        return None
    side = SIDES.get(said[0])
    if side is None or len(said) > 1:
        raise PageRefused(f"{HEADER} is athlete or coach, once")
    origins = request.headers.getall(hdrs.ORIGIN, [])
    if len(origins) != 1 or not ours(origins[0], {"HTTP_HOST": request.host}):
        raise PageRefused
    if request.headers.getall(FETCH_SITE, ["same-origin"]) != ["same-origin"]:
        raise PageRefused
    origin = _split(origins[0])
    secure = origin.scheme == "https"
    if not secure and not _is_loopback(origin.hostname or ""):
        raise PageRefused(
            "over plain http from another machine no cookie is safe: come by https, or leave out"
            f" {HEADER} and keep the refresh token"
        )
    cookie = f"__Host-paceline-{side}" if secure else f"paceline-{side}-{origin.port or 80}"
    page = request[PAGE] = Page(cookie, secure, request.cookies.get(cookie))
    return page


def take_off(reply: R, page: Page | None) -> R:
    """What is left for the body when the refresh token of the login in `reply` goes into the cookie of `page`."""
    if page is None:
        return reply
    if isinstance(reply, SignInNow) and reply.login is not None:
        return msgspec.structs.replace(reply, login=take_off(reply.login, page))
    if isinstance(reply, LoggedIn):
        page.becomes = reply.refresh_token
        return msgspec.structs.replace(reply, refresh_token="")
    return reply


def tell(request: web.Request, response: web.StreamResponse) -> None:
    """Put the cookie on the response to a page, or take it off the browser."""
    page = request.get(PAGE)
    if page is None or page.becomes is None:
        return
    response.set_cookie(
        page.cookie,
        page.becomes,
        path="/",
        max_age=MAX_AGE_S if page.becomes else 0,
        secure=page.secure,
        httponly=True,
        samesite="Strict",
    )


def _split(origin: str) -> SplitResult:
    try:
        split = urlsplit(origin.lower())
        split.port  # noqa: B018 - raises for what is no port
    except ValueError as cause:
        raise PageRefused from cause
    return split


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
