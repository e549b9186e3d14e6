"""What this domain says to phones about our own apps, so that they have its passkeys (services/accounts/native_apps.py).

Both are always there: where there are no apps they name none, which is what a phone wants to hear. Nobody is sent on from
here, and the type is JSON, though one of the names has no ending: the makers of phones insist on both.
"""

from typing import Final

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.http.ports import GatewayDeps
from services.accounts.native_apps import apple_association, asset_links

ANDROID: Final = "/.well-known/assetlinks.json"
APPLE: Final = "/.well-known/apple-app-site-association"
KEPT_S: Final = 3_600
"""How long whoever stands between may keep it."""


def add_native_apps(app: web.Application, deps: GatewayDeps) -> None:
    """Make `app` answer phones."""
    app.router.add_get(ANDROID, _constant(msgspec.json.encode(asset_links(deps.android_apps))), name="android_apps")
    app.router.add_get(APPLE, _constant(msgspec.json.encode(apple_association(deps.apple_apps))), name="apple_apps")


def _constant(body: bytes) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        headers = {"Cache-Control": f"public, max-age={KEPT_S}"}
        return web.Response(body=body, content_type="application/json", headers=headers)

    return answer
