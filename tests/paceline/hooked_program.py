"""`paceline run` whose web server has one hook more, which says that it ran: `python -m tests.paceline.hooked_program`."""

import sys

from aiohttp import web

from gateway.app import GatewayDeps, build_app
from paceline import wiring
from paceline.__main__ import main


def build_hooked_app(deps: GatewayDeps) -> web.Application:
    """The application, with the hook."""

    async def hook(_: web.Application) -> None:
        print("the cleanup hook ran", flush=True)

    app = build_app(deps)
    app.on_cleanup.append(hook)
    return app


if __name__ == "__main__":
    wiring.build_app = build_hooked_app  # type: ignore[attr-defined]
    sys.exit(main(["run"]))
