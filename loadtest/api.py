"""The HTTP side of Paceline as a client uses it: accounts, logins, classes, workouts.

Every call either returns the documented shape or raises `Refusal` with the problem the server sent. A server
that is not there (starting, restarting) is waited for, as long as patience lasts; a request that may have been
carried out is only repeated where repeating is harmless.
"""

import random
from collections.abc import Callable
from typing import Any, Final, Literal, TypeVar

import aiohttp
import msgspec

from loadtest.patience import PATIENCE_S, Patience
from realtime.wire import ClassSummary, ClassView
from services.kernel.clock import Clock, SystemClock
from services.kernel.ids import AccountId, ClassId, WorkoutId
from services.kernel.problems import ProblemView
from services.training.sample import Sample
from services.training.summary import WorkoutSummary

T = TypeVar("T")
AccountRole = Literal["member", "coach"]

REQUEST_TIMEOUT: Final = aiohttp.ClientTimeout(total=30, sock_connect=5)
SAMPLES_PAGE: Final = 1_000


class Refusal(Exception):  # noqa: N818 - the word of the house
    """The server said no. `problem` says what and why, `status` is the HTTP status (0 over a socket)."""

    def __init__(self, problem: ProblemView, *, doing: str, status: int = 0) -> None:
        where = f" at {problem.path}" if problem.path else ""
        super().__init__(f"{doing}: {problem.message} ({problem.code}{where})")
        self.problem = problem
        self.status = status


class ServerAway(Exception):  # noqa: N818 - a state of the world, not a fault of ours
    """The connection broke in the middle of a request that must not blindly be repeated."""


class AccountSeen(msgspec.Struct, frozen=True):
    """What this client needs of an account."""

    id: AccountId
    name: str


class Grant(msgspec.Struct, frozen=True):
    """An access token and what came with it. A display has no account and no refresh token."""

    access_token: str
    expires_in_s: int
    refresh_token: str | None = None
    account: AccountSeen | None = None


class DisplayGrant(msgspec.Struct, frozen=True):
    """The token of a big screen, and the class it shows."""

    access_token: str
    expires_in_s: int
    room: ClassView = msgspec.field(name="class")


class WorkoutSeen(msgspec.Struct, frozen=True):
    """A workout as its owner sees it; `summary` is None until it was computed."""

    id: WorkoutId
    revision: int = 0
    summary: WorkoutSummary | None = None


class SamplePage(msgspec.Struct, frozen=True):
    """Some samples of a workout; `next_seq` is where the next page begins, None or unchanged when there is none."""

    samples: tuple[Sample, ...]
    next_seq: int | None = None


class _ProblemBody(msgspec.Struct, frozen=True):
    code: str = "unknown"
    message: str | None = None
    detail: str | None = None
    title: str | None = None
    path: str | None = None
    retry: bool = False
    retry_after_ms: int | None = None


class Api:
    """The calls. `tell` is told when the server has to be waited for."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        base_url: str,
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        patience_s: float = PATIENCE_S,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.http = http
        self.base_url = base_url.rstrip("/")
        self.clock = clock or SystemClock()
        self.rng = rng or random.Random()  # noqa: S311 - jitter, no secret
        self.patience_s = patience_s
        self.tell = tell

    async def register(self, email: str, password: str, name: str, role: AccountRole = "member") -> Grant:
        """Make an account and log in."""
        body = {"email": email, "password": password, "name": name, "role": role}
        return await self._call("POST", "/v1/accounts", Grant, body=body)

    async def log_in(self, email: str, password: str) -> Grant:
        """Start a login; this device calls itself the reference client."""
        body = {"email": email, "password": password, "device": "reference client"}
        return await self._call("POST", "/v1/logins", Grant, body=body, again=True)

    async def refresh(self, refresh_token: str) -> Grant:
        """A new access token and a new refresh token for an old refresh token."""
        return await self._call("POST", "/v1/logins/refresh", Grant, body={"refresh_token": refresh_token}, again=True)

    async def display(self, code: str) -> DisplayGrant:
        """A big screen for the class with this join code."""
        return await self._call("POST", "/v1/displays", DisplayGrant, body={"code": code}, again=True)

    async def update_me(self, token: str, **changes: str | float) -> AccountSeen:
        """Change the own profile: name, birth_date, sex, mass_kg, max_hr, rest_hr."""
        return await self._call("PATCH", "/v1/me", AccountSeen, token=token, body=changes, again=True)

    async def create_class(self, token: str, title: str) -> ClassView:
        """Create a live class (role coach)."""
        return await self._call("POST", "/v1/classes", ClassView, token=token, body={"title": title})

    async def end_class(self, token: str, class_id: ClassId) -> ClassView:
        """End a class (its coach). Ending it twice is harmless."""
        return await self._call("POST", f"/v1/classes/{class_id}/end", ClassView, token=token, body={}, again=True)

    async def class_summary(self, token: str, class_id: ClassId) -> ClassSummary | None:
        """The final table of a class; None while it is not ready."""
        return await self._or_none(f"/v1/classes/{class_id}/summary", ClassSummary, token)

    async def workout(self, token: str, workout_id: WorkoutId) -> WorkoutSeen:
        """One of the own workouts."""
        return await self._call("GET", f"/v1/workouts/{workout_id}", WorkoutSeen, token=token, again=True)

    async def samples(self, token: str, workout_id: WorkoutId) -> list[Sample]:
        """Every stored sample of one of the own workouts, page by page."""
        found: list[Sample] = []
        while True:
            path = f"/v1/workouts/{workout_id}/samples?from_seq={len(found)}&limit={SAMPLES_PAGE}"
            page = await self._call("GET", path, SamplePage, token=token, again=True)
            found += page.samples
            if not page.samples or page.next_seq is None:
                return found

    async def _or_none(self, path: str, shape: type[T], token: str) -> T | None:
        try:
            return await self._call("GET", path, shape, token=token, again=True)
        except Refusal as refusal:
            if refusal.status == 404:
                return None
            raise

    async def _call(
        self,
        method: str,
        path: str,
        shape: type[T],
        *,
        token: str | None = None,
        body: dict[str, Any] | None = None,
        again: bool = False,
    ) -> T:
        """One request; `again` says that carrying it out twice does no harm."""
        doing = f"{method} {path.partition('?')[0]}"
        patience = Patience(self.clock, self.rng, self.patience_s)
        while True:
            try:
                return await self._try(method, path, shape, doing, token, body)
            except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError) as error:
                why, hint_ms = reason_of(error), None  # the request never left us
            except aiohttp.InvalidURL:
                raise
            except (aiohttp.ClientError, TimeoutError) as error:
                if not again:
                    raise ServerAway(
                        f"{doing}: the connection broke before the answer ({reason_of(error)}); "
                        "look whether it was carried out, then try again"
                    ) from error
                why, hint_ms = reason_of(error), None
            except Refusal as refusal:
                if not refusal.problem.retry:
                    raise
                why, hint_ms = str(refusal), refusal.problem.retry_after_ms
            wait = patience.next_wait(why, hint_ms)
            self.tell(f"waiting for the server ({patience.waited_s:.0f} s): {why}")
            await self.clock.sleep(wait)

    async def _try(
        self, method: str, path: str, shape: type[T], doing: str, token: str | None, body: dict[str, Any] | None
    ) -> T:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = msgspec.json.encode(body)
        async with self.http.request(
            method, self.base_url + path, headers=headers, data=data, timeout=REQUEST_TIMEOUT
        ) as response:
            answer = await response.read()
            if response.status >= 400:
                raise Refusal(
                    _problem_of(answer, response.status, response.headers.get("Retry-After")),
                    doing=doing,
                    status=response.status,
                )
            try:
                return msgspec.json.decode(answer, type=shape)
            except msgspec.DecodeError as error:
                problem = ProblemView(
                    code="not_paceline", message=f"{self.base_url} does not speak this protocol: {error}"
                )
                raise Refusal(problem, doing=doing, status=response.status) from error


def reason_of(error: Exception) -> str:
    """Why a server could not be reached, in words for people."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"{error.host} port {error.port} does not answer: {error.os_error.strerror or error.os_error}"
    return str(error) or type(error).__name__


def _problem_of(answer: bytes, status: int, retry_after: str | None) -> ProblemView:
    try:
        body = msgspec.json.decode(answer, type=_ProblemBody)
    except msgspec.DecodeError:
        body = _ProblemBody(
            code="not_a_problem", message=f"HTTP {status} without a problem document", retry=status == 503
        )
    wait_ms = body.retry_after_ms
    if wait_ms is None and retry_after is not None and retry_after.isdigit():
        wait_ms = int(retry_after) * 1000
    return ProblemView(
        code=body.code,
        message=body.message or body.detail or body.title or f"HTTP {status}",
        retry=body.retry or status == 503,
        path=body.path,
        retry_after_ms=wait_ms,
    )
