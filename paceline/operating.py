"""Asking a running gateway what only its operator may know: which gateway, with which token, and its answer or why there is none.

For commands that look at a server while it runs (`paceline sockets`, `paceline schedule`). They ask over HTTP, as the page
/operations does, with the admin token: the one in PACELINE_ADMIN_TOKEN, or the one that `paceline run` made in the data folder of
this machine. So they work beside a local PostgreSQL, too, which serves one process only.
"""

import os
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Literal, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec

from gateway.http.problems import ProblemBody
from paceline.keys import ADMIN_TOKEN_FILE, known_admin_token
from paceline.settings import Settings, SettingsError, load_settings

CLIENT_VARIABLES: Final = frozenset({"PACELINE_URL", "PACELINE_PASSWORD"})
"""What commands that are clients read; to a server they would be misspelt options."""
ASK_TIMEOUT: Final = aiohttp.ClientTimeout(total=10, sock_connect=3)

T = TypeVar("T")


class CannotAsk(Exception):  # noqa: N818 - said to people as it is
    """The call or the settings are wrong, or there is no token to show; the message says what to do."""


class Refused(Exception):  # noqa: N818 - said to people as it is
    """The gateway said no; the message says why and what to do."""


class NoAnswer(Exception):  # noqa: N818 - a state of the world, not a fault of ours
    """No gateway answers at this address."""


@dataclass(frozen=True)
class Operated:
    """A gateway and what opens its operations."""

    url: str
    token: str

    async def ask(
        self,
        client: aiohttp.ClientSession,
        path: str,
        shape: type[T],
        *,
        method: Literal["GET", "POST"] = "GET",
        asked: dict[str, str] | None = None,
    ) -> T:
        """One answer. Raises `Refused` and `NoAnswer`."""
        body = await self._asked(client, method, path, asked or {})
        try:
            return msgspec.json.decode(body, type=shape)
        except msgspec.DecodeError as strange:
            raise self._strange(HTTPStatus.OK) from strange

    async def tell(self, client: aiohttp.ClientSession, path: str) -> None:
        """Ask for something whose answer is that it was heard. Raises `Refused` and `NoAnswer`."""
        await self._asked(client, "POST", path, {})

    async def _asked(self, client: aiohttp.ClientSession, method: str, path: str, asked: dict[str, str]) -> bytes:
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            async with client.request(method, f"{self.url}{path}", params=asked, headers=headers) as answer:
                status, body = answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            cause = problem.os_error if isinstance(problem, aiohttp.ClientConnectorError) else problem
            why = os.strerror(cause.errno) if isinstance(cause, OSError) and cause.errno else ""
            raise NoAnswer(
                f"No gateway answers at {self.url} ({why or type(cause).__name__}). Start one with `paceline run`, or name "
                "another with --url."
            ) from problem
        if status < HTTPStatus.BAD_REQUEST:
            return body
        if status == HTTPStatus.UNAUTHORIZED:
            raise Refused(
                f"{self.url} does not know this admin token. It was started with another PACELINE_ADMIN_TOKEN or another data "
                "folder; set PACELINE_ADMIN_TOKEN to the one it uses."
            )
        try:
            problem_body = msgspec.json.decode(body, type=ProblemBody)
        except msgspec.DecodeError as strange:
            raise self._strange(status) from strange
        raise Refused(f"{self.url} refuses: {problem_body.detail} ({problem_body.code})")

    def _strange(self, status: int) -> Refused:
        return Refused(
            f"{self.url} answered {int(status)} with something that is not Paceline's: is this the address of a gateway?"
        )


def operated(url: str | None) -> Operated:
    """The gateway at `url`, at PACELINE_URL or of this machine, and its token. Raises `CannotAsk`."""
    try:
        settings = load_settings({name: value for name, value in os.environ.items() if name not in CLIENT_VARIABLES})
        token = known_admin_token(settings)
    except SettingsError as wrong:
        raise CannotAsk(f"{len(wrong.faults)} of the settings are wrong:\n{wrong}") from wrong
    except OSError as problem:
        raise CannotAsk(
            f"The admin token cannot be read: {problem}. Run this as the user that runs the gateway, or set "
            "PACELINE_ADMIN_TOKEN."
        ) from problem
    if token is None:
        raise CannotAsk(
            f"There is no admin token: PACELINE_ADMIN_TOKEN is not set, and {settings.data_dir / ADMIN_TOKEN_FILE} does not "
            "exist. `paceline run` makes it at its first start; for a gateway elsewhere, set PACELINE_ADMIN_TOKEN to its token."
        )
    found = (url or os.environ.get("PACELINE_URL") or _own_url(settings)).rstrip("/")
    parts = urlsplit(found)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise CannotAsk(f"{found!r} is not the address of a gateway: give one such as http://127.0.0.1:8080")
    return Operated(found, token)


def _own_url(settings: Settings) -> str:
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port or 8080}"
