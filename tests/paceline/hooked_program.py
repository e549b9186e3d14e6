"""A gateway whose web server has one hook more, which says that it ran.

`python -m tests.paceline.hooked_program` is `paceline run` with it, `tests.paceline.hooked_program:application` is for gunicorn.
"""

import sys

from aiohttp import web

from gateway.app import GatewayDeps, build_app
from paceline import wiring
from paceline.__main__ import main
from paceline.gunicorn_app import application

__all__ = ["application"]


def build_hooked_app(deps: GatewayDeps) -> web.Application:
    """The application, with the hook."""

    async def hook(_: web.Application) -> None:
        print("the cleanup hook ran", flush=True)

    app = build_app(deps)
    app.on_cleanup.append(hook)
    return app


wiring.build_app = build_hooked_app  # type: ignore[attr-defined]

if __name__ == "__main__":
    sys.exit(main(["run"]))
