"""What a third-party app is, and where it may send people back to. Pure.

An app is *confidential* when it can keep a secret, which takes a server of its own, or *public*: what is installed on a phone
or a computer is read by whoever owns it (RFC 8252).

A redirect URI is compared as it is written (RFC 9700, 4.1): no pattern, no prefix, no normalising, which is where every trick
with them lives. The one exception is the port of a loopback address, which a native app gets from its system when it starts
to listen (RFC 8252, 7.3); and loopback is written as an address, as "localhost" may be made to lead elsewhere.

The origins of its redirect URIs are those of an app's own pages (origins.py). There a port counts, also on loopback: a page
is served from the one that its developer chose, and whatever else listens on that computer is not it.
"""

import re
import unicodedata
from typing import Final, Literal

import msgspec

from services.accounts.account import normal_name
from services.kernel.ids import AccountId, AppId
from services.kernel.problems import BadShape

AppKind = Literal["confidential", "public"]
MAX_REDIRECTS: Final = 10
MAX_REDIRECT: Final = 512
"""Characters of one."""
_URI_SIGNS: Final = r"[A-Za-z0-9\-._~:/?@!$&'()*+,;=%]"
_HTTPS: Final = re.compile(r"https://[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[1-9]\d{0,4})?(?:/" + _URI_SIGNS + "*)?")
_LOOPBACK: Final = re.compile(r"http://(127\.0\.0\.1|\[::1\])(?::[1-9]\d{0,4})?((?:/" + _URI_SIGNS + "*)?)")
_ORIGIN: Final = re.compile(r"(https?)://([a-z0-9.-]+|\[::1\])(?::([1-9]\d{0,4}))?")
_DEFAULT_PORTS: Final = {"https": "443", "http": "80"}
_OURS: Final = "paceline"


class App(msgspec.Struct, frozen=True):
    """A registered app. `id` is its `client_id`."""

    id: AppId
    owner_id: AccountId
    name: str
    kind: AppKind
    redirect_uris: tuple[str, ...]
    created_at_ms: int

    @property
    def proves_itself(self) -> bool:
        """Whether nobody else can receive what it is sent: it has a secret, or all of its addresses are its own on the web."""
        return self.kind == "confidential" or all(uri.startswith("https:") for uri in self.redirect_uris)


def app_name(text: str) -> str:
    """A name as people will read it beside the question whether they trust it. Raises BadShape at `$.name`."""
    name = normal_name(text)
    if _OURS in unicodedata.normalize("NFKC", name).casefold().replace(" ", ""):
        raise BadShape("an app may not be named as if it were ours", path="$.name")
    return name


def redirect_uris(uris: tuple[str, ...]) -> tuple[str, ...]:
    """The same without repetitions. Raises BadShape at the first that cannot be one."""
    for place, uri in enumerate(uris):
        if len(uri) > MAX_REDIRECT or not (_HTTPS.fullmatch(uri) or _LOOPBACK.fullmatch(uri)):
            raise BadShape(
                "a redirect URI is https with a host in lower case, or http on 127.0.0.1 or [::1];"
                f" without user name and fragment, in at most {MAX_REDIRECT} characters",
                path=f"$.redirect_uris[{place}]",
            )
    return tuple(dict.fromkeys(uris))


def origins_of(uris: tuple[str, ...]) -> tuple[str, ...]:
    """The origins of redirect URIs, as a browser writes them: without a port that goes without saying. Each once."""
    return tuple(dict.fromkeys(_origin_of(uri) for uri in uris))


def _origin_of(uri: str) -> str:
    found = _ORIGIN.match(uri)
    if found is None:
        raise ValueError("this is not the redirect URI of an app: see redirect_uris")
    scheme, host, port = found.groups()
    return f"{scheme}://{host}" if port in (None, _DEFAULT_PORTS[scheme]) else f"{scheme}://{host}:{port}"


def is_origin(text: str) -> bool:
    """Whether `text` can be the origin of an app's page at all."""
    return len(text) <= MAX_REDIRECT and _ORIGIN.fullmatch(text) is not None


def leads_to(app: App, uri: str) -> bool:
    """Whether `uri` is one of the app's: the very same characters, but for the port of a loopback address."""
    if uri in app.redirect_uris:
        return True
    asked = _LOOPBACK.fullmatch(uri) if len(uri) <= MAX_REDIRECT else None
    if asked is None:
        return False
    own = (_LOOPBACK.fullmatch(each) for each in app.redirect_uris)
    return any(each is not None and each.groups() == asked.groups() for each in own)
