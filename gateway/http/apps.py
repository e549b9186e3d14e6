"""Third-party apps: what a developer does with theirs, and what an account has lent to whichever.

How an app is let in and gets its tokens: gateway/http/authorization.py and oauth.py, docs/systems/apps.md.
"""

from typing import Annotated, Final

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.accounts.scope import FOR_SERVICES, SENTENCES
from services.apps.app import MAX_REDIRECT, MAX_REDIRECTS, App, AppKind
from services.apps.apps import LONGEST_OVERLAP_S, OVERLAP_S, Counted
from services.apps.grants import AppAtHome
from services.kernel.caller import Scope
from services.kernel.ids import AppId
from services.kernel.problems import Forbidden, NotFound, TooManyApps

AppName = Annotated[str, msgspec.Meta(min_length=1, max_length=240, description="what people are asked about")]
RedirectUris = Annotated[
    tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_REDIRECT)], ...],
    msgspec.Meta(
        max_length=MAX_REDIRECTS,
        description="https, or http on 127.0.0.1 or [::1] with any port; compared as they are written",
    ),
]


class AppRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new app. `confidential`: it runs on a server of yours and keeps a secret; `public`: people have it on their devices. One
    that only speaks for itself needs no redirect URI."""

    name: AppName
    kind: AppKind
    redirect_uris: RedirectUris = ()


class AppChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to change; what is left out stays."""

    name: AppName | msgspec.UnsetType = msgspec.UNSET
    redirect_uris: RedirectUris | msgspec.UnsetType = msgspec.UNSET


class AppView(msgspec.Struct, frozen=True):
    """An app of yours. `id` is its `client_id`."""

    id: AppId
    name: str
    kind: AppKind
    redirect_uris: tuple[str, ...]
    created_at_ms: int


class AppInUse(msgspec.Struct, frozen=True):
    """An app, and how many accounts it is at home in now."""

    app: AppView
    accounts: int


class AppRegistered(msgspec.Struct, frozen=True):
    """A new app; `client_secret` (`plas_…`) is shown this once, and null for a public one."""

    app: AppView
    client_secret: str | None


class AppList(msgspec.Struct, frozen=True):
    """Your apps, the oldest first."""

    apps: tuple[AppView, ...]


class RotateAppSecret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how many seconds the old secret is taken beside the new one; 0 when it has become known to others."""

    overlap_s: Annotated[int, msgspec.Meta(ge=0, le=LONGEST_OVERLAP_S)] = OVERLAP_S


class AppSecretRotated(msgspec.Struct, frozen=True):
    """The new secret, shown this once, and until when the old one is taken, too (ms since 1970)."""

    client_secret: str
    old_until_ms: int


class AppsAtHome(msgspec.Struct, frozen=True):
    """The apps that may do something in your account, the one used last first."""

    apps: tuple[AppAtHome, ...]


class ScopeView(msgspec.Struct, frozen=True):
    """What can be lent, and what it allows. One that is `for_services` an app gets for itself; nobody is asked."""

    scope: Scope
    allows: str
    for_services: bool


class ScopeList(msgspec.Struct, frozen=True):
    """All scopes there are."""

    scopes: tuple[ScopeView, ...]


class AppPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which app."""

    id: AppId


def view_of(app: App) -> AppView:
    """An app as its owner sees it."""
    return AppView(app.id, app.name, app.kind, app.redirect_uris, app.created_at_ms)


def _in_use(counted: Counted) -> AppInUse:
    return AppInUse(view_of(counted.app), counted.accounts)


async def register_app(deps: GatewayDeps, call: Call[AppRequest, Nothing, Nothing]) -> AppRegistered:
    body = call.body
    made = await deps.apps.register(call.caller, name=body.name, kind=body.kind, uris=body.redirect_uris)
    return AppRegistered(view_of(made.app), made.secret)


async def own_apps(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> AppList:
    return AppList(tuple(view_of(app) for app in await deps.apps.own(call.caller)))


async def app_by_id(deps: GatewayDeps, call: Call[Nothing, Nothing, AppPath]) -> AppInUse:
    return _in_use(await deps.apps.by_id(call.caller, call.path.id))


async def change_app(deps: GatewayDeps, call: Call[AppChange, Nothing, AppPath]) -> AppView:
    body = call.body
    changed = await deps.apps.change(
        call.caller,
        call.path.id,
        name=None if body.name is msgspec.UNSET else body.name,
        uris=None if body.redirect_uris is msgspec.UNSET else body.redirect_uris,
    )
    return view_of(changed)


async def rotate_app_secret(deps: GatewayDeps, call: Call[RotateAppSecret, Nothing, AppPath]) -> AppSecretRotated:
    rotated = await deps.apps.rotate(call.caller, call.path.id, call.body.overlap_s)
    return AppSecretRotated(rotated.secret, rotated.old_until_ms)


async def delete_app(deps: GatewayDeps, call: Call[Nothing, Nothing, AppPath]) -> None:
    await deps.apps.delete(call.caller, call.path.id)


async def apps_at_home(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> AppsAtHome:
    return AppsAtHome(await deps.app_grants.own(call.caller))


async def take_app_back(deps: GatewayDeps, call: Call[Nothing, Nothing, AppPath]) -> None:
    await deps.app_grants.take_back(call.caller, call.path.id)


SCOPE_LIST: Final = ScopeList(
    tuple(ScopeView(scope, allows, scope in FOR_SERVICES) for scope, allows in SENTENCES.items())
)


async def all_scopes(_: GatewayDeps, __: Call[Nothing, Nothing, Nothing]) -> ScopeList:
    return SCOPE_LIST


ALL_SCOPES = Route(
    "GET",
    "/v1/scopes",
    name="all_scopes",
    permission=may.PUBLIC,
    tag="apps",
    does="What apps and keys can be lent, in words.",
    handler=all_scopes,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=ScopeList,
    auth="none",
    kept_s=3_600,
)
REGISTER_APP = Route(
    "POST",
    "/v1/apps",
    name="register_app",
    permission=may.OWN_APPS,
    tag="apps",
    does="Register an app of yours.",
    more="The answer shows the secret of a confidential app, this once.",
    handler=register_app,
    body=AppRequest,
    query=Nothing,
    path=Nothing,
    reply=AppRegistered,
    status=201,
    problems=(TooManyApps,),
)
OWN_APPS = Route(
    "GET",
    "/v1/apps",
    name="own_apps",
    permission=may.OWN_APPS,
    tag="apps",
    does="The apps that you have registered.",
    handler=own_apps,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=AppList,
)
APP_BY_ID = Route(
    "GET",
    "/v1/apps/{id}",
    name="app_by_id",
    permission=may.READ_APP,
    tag="apps",
    does="One app of yours, and how many accounts it is at home in.",
    more="Also for the app itself, with a token of `grant_type=client_credentials` from /oauth/token.",
    handler=app_by_id,
    body=Nothing,
    query=Nothing,
    path=AppPath,
    reply=AppInUse,
    scope="app:read",
    problems=(NotFound,),
)
CHANGE_APP = Route(
    "PATCH",
    "/v1/apps/{id}",
    name="change_app",
    permission=may.OWN_APPS,
    tag="apps",
    does="Change an app's name or redirect URIs.",
    handler=change_app,
    body=AppChange,
    query=Nothing,
    path=AppPath,
    reply=AppView,
    problems=(NotFound,),
)
ROTATE_APP_SECRET = Route(
    "POST",
    "/v1/apps/{id}/rotate",
    name="rotate_app_secret",
    permission=may.OWN_APPS,
    tag="apps",
    does="A new secret; the old one is taken beside it for a while.",
    more="There are never more than two: a second rotation within that time ends the older one at once.",
    handler=rotate_app_secret,
    body=RotateAppSecret,
    query=Nothing,
    path=AppPath,
    reply=AppSecretRotated,
    problems=(NotFound, Forbidden),
)
DELETE_APP = Route(
    "DELETE",
    "/v1/apps/{id}",
    name="delete_app",
    permission=may.OWN_APPS,
    tag="apps",
    does="Forget an app, and end all that people have lent it.",
    handler=delete_app,
    body=Nothing,
    query=Nothing,
    path=AppPath,
    reply=None,
    status=204,
    problems=(NotFound,),
)
APPS_AT_HOME = Route(
    "GET",
    "/v1/me/apps",
    name="apps_at_home",
    permission=may.LEND_TO_APPS,
    tag="apps",
    does="The apps that may do something in your account, and what.",
    handler=apps_at_home,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=AppsAtHome,
)
TAKE_APP_BACK = Route(
    "DELETE",
    "/v1/me/apps/{id}",
    name="take_app_back",
    permission=may.LEND_TO_APPS,
    tag="apps",
    does="Take back all that you have lent an app.",
    more="Its refresh tokens die at once, its access tokens and sockets within five seconds.",
    handler=take_app_back,
    body=Nothing,
    query=Nothing,
    path=AppPath,
    reply=None,
    status=204,
    problems=(NotFound,),
)
