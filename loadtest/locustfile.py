"""Locust: people with heart-rate straps in one live class.

    make load                                                           a short mix against a running gateway
    locust -f loadtest/locustfile.py --host http://127.0.0.1:8080       with Locust's own page to watch it

A coach makes one class when the test starts and ends it when the test stops. Each user registers, joins, and
streams what a simulated athlete's strap says, once a second; some lose their connection on the way and come
back, as phones do. The table shows registering, joining, samples until they are stored, and how old boards are
when they arrive.

Locust is imported first of all: it replaces the socket library by one that works with greenlets, which only
works while nobody has imported it.
"""

# isort: off
from locust import HttpUser, constant_pacing, events, task
from locust.clients import HttpSession

# isort: on
import random
import secrets
import time
import uuid
from argparse import ArgumentParser
from typing import Any, Final
from urllib.parse import urlsplit

from loadtest.device import Athlete
from loadtest.locust_socket import LiveSocket
from loadtest.plan import Plan, class_script, easy_ride, intervals
from services.kernel.ids import StreamId

MOST_USERS: Final = 500
"""Beyond this the measuring process is what is measured; use `python -m loadtest.scenarios.class_load`."""
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
DROPS_PER_HOUR: Final = 20
"""Connections a user loses on purpose; far more than a phone, so that a short run has some."""
PLANS: Final[tuple[Plan, ...]] = (class_script(again=True), intervals(), easy_ride())
MAIL_DOMAIN: Final = "locust.invalid"


class Gathering:
    """The class of this test: made once, before the first user."""

    def __init__(self) -> None:
        self.code = ""
        self._class_id = ""
        self._token = ""

    def begin(self, http: HttpSession) -> None:
        """A coach registers and makes the class. Raises RuntimeError with what the server said."""
        account = _account("Locust coach", "coach")
        made = http.post("/v1/accounts", json=account, name="POST /v1/accounts")
        self._token = _field(made, "access_token")
        room = http.post("/v1/classes", json={"title": "Locust"}, headers=self._headers, name="POST /v1/classes")
        self.code, self._class_id = _field(room, "code"), _field(room, "id")

    def end(self, http: HttpSession) -> None:
        """The class is over."""
        if self._class_id:
            path = f"/v1/classes/{self._class_id}/end"
            http.post(path, json={}, headers=self._headers, name="POST /v1/classes/{id}/end")

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}


gathering = Gathering()


def _options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--allow-remote",
        action="store_true",
        default=False,
        help="load a server that is not on this machine; it must be yours",
    )


def _check(environment: Any, **_: Any) -> None:
    """Refuse what would be an attack or a meaningless number, before anything is sent."""
    options = environment.parsed_options
    host = urlsplit(environment.host or "").hostname
    if host is None:
        raise SystemExit("say which gateway to load: --host http://127.0.0.1:8080")
    if host not in LOOPBACK and not options.allow_remote:
        raise SystemExit(f"{environment.host} is not on this machine; if you may put load on it, say --allow-remote")
    if (options.num_users or 0) > MOST_USERS:
        raise SystemExit(
            f"{options.num_users} users are more than {MOST_USERS}: measure that many with "
            "`python -m loadtest.scenarios.class_load --athletes N`"
        )


def _begin(environment: Any, **_: Any) -> None:
    try:
        gathering.begin(_http(environment))
    except (RuntimeError, OSError) as problem:
        raise SystemExit(f"no class could be made at {environment.host}: {problem}") from problem


def _end(environment: Any, **_: Any) -> None:
    gathering.end(_http(environment))


for _hook, _listener in (
    (events.init_command_line_parser, _options),
    (events.init, _check),
    (events.test_start, _begin),
    (events.test_stop, _end),
):
    _hook.add_listener(_listener)  # type: ignore[no-untyped-call]


class DeviceInClass(HttpUser):
    """Somebody with a strap in the class, one sample a second."""

    wait_time = constant_pacing(1)
    _socket: LiveSocket | None = None

    def on_start(self) -> None:
        """Register, connect, join, open the stream."""
        chance = random.Random()  # noqa: S311 - a simulated person, no secret
        self._chance = chance
        name = f"Athlete {chance.randrange(10_000)}"
        seed = chance.getrandbits(32)
        self._athlete = Athlete(seed, name, chance.randint(172, 202), chance.randint(46, 70), chance.choice(PLANS))
        answer = self.client.post("/v1/accounts", json=_account(name, "member"), name="POST /v1/accounts")
        device = LiveSocket(
            self.environment.events.request.fire,
            self.host or "",
            _field(answer, "access_token"),
            gathering.code,
            StreamId(uuid.uuid4()),
        )
        device.connect()
        self._socket = device
        self._began = time.monotonic()
        self._second = 0

    @task
    def reading(self) -> None:
        """What the strap says this second."""
        if self._socket is None:
            return
        self._socket.send(self._athlete.sample_at(1_000 * self._second))
        self._second += 1
        if self._chance.random() < DROPS_PER_HOUR / 3600:
            self._socket.drop()

    def on_stop(self) -> None:
        """Finish what was streamed."""
        if self._socket is not None:  # the test may end while somebody is still registering
            self._socket.finish()
            self._socket.close()


def _http(environment: Any) -> HttpSession:
    return HttpSession(environment.host, environment.events.request, user=None)


def _account(name: str, role: str) -> dict[str, str]:
    email = f"{secrets.token_hex(8)}@{MAIL_DOMAIN}"
    return {"email": email, "password": secrets.token_urlsafe(24), "name": name, "role": role}


def _field(answer: Any, field: str) -> str:
    """A field of a JSON answer. Raises RuntimeError with the problem when it is a refusal."""
    if not answer.ok:
        raise RuntimeError(f"{answer.status_code or 'no answer'} {answer.text or answer.error}")
    value: str = answer.json()[field]
    return value
