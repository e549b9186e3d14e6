"""`paceline tasks` as a person meets it, on each bus: what it prints, what it changes, and how it ends."""

import asyncio
import contextlib
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from paceline.__main__ import main
from paceline.commands.tasks import open_tools
from paceline.settings import load_settings
from persistence.database import open_database
from services.kernel.facts import ClassSummarised, Envelope
from services.kernel.ids import ClassId, FactId
from tests.support.postgres import PostgresServer
from tests.support.rabbitmq import RabbitMQ
from tests.support.task_buses import (
    IDS,
    AmqpBench,
    PostgresBench,
    Seen,
    an_envelope,
    consuming,
    eventually,
    foreign_body,
)
from tests.support.world import SEALING_KEYS
from workers.amqp_link import close, connect
from workers.amqp_topology import arguments_of
from workers.bus import BusUnavailable, OperatedBus
from workers.handlers import PUSHES, QUEUES
from workers.retry import Ladder, Unprocessable

pytest_plugins = ["tests.support.rabbitmq", "tests.support.postgres"]


@dataclass
class Ended:
    """A command that has ended: its exit code, and what it said."""

    code: int
    out: str
    err: str

    def json(self) -> object:
        return json.loads(self.out)


Tasks = Callable[..., Ended]


@pytest.fixture(params=["postgres", "rabbitmq"])
def environ(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The settings of each bus in turn, with nothing on it."""
    server: PostgresServer = request.getfixturevalue("postgres")
    dsn = asyncio.run(server.fresh())
    given = {"DATABASE_URL": dsn, "PACELINE_SEALING_KEYS": SEALING_KEYS}
    if request.param == "rabbitmq":
        broker: RabbitMQ = request.getfixturevalue("rabbitmq")
        given["AMQP_URL"] = broker.url
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    yield given
    if request.param == "rabbitmq":
        asyncio.run(_remove(broker.url))
    asyncio.run(server.drop(dsn))


async def _remove(url: str) -> None:
    link = await connect(url, "test")
    for queue in QUEUES:
        for name in arguments_of(queue, Ladder()):
            await link.channel.queue_delete(name)
    await close(link)


@pytest.fixture
def tasks(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Tasks:
    """The command, in this process."""

    def run(*words: str) -> Ended:
        capsys.readouterr()
        try:
            code = main(["tasks", *words])
        except SystemExit as left:
            code = int(left.code or 0)
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return run


def some(count: int) -> list[Envelope]:
    """Facts that pushes are made of."""
    return [an_envelope(ClassSummarised(class_id=ClassId(IDS.next()))) for _ in range(count)]


def on_the_bus(environ: dict[str, str], act: Callable[[OperatedBus], object]) -> None:
    """Do something to the bus that these settings name."""

    async def run() -> None:
        async with open_tools(load_settings(environ)) as tools:
            await act(tools.bus)  # type: ignore[misc]

    asyncio.run(run())


def parked(environ: dict[str, str], count: int) -> list[str]:
    """Have some messages given up; their keys."""
    envelopes = some(count)

    async def give_up(bus: OperatedBus) -> None:
        async with consuming(bus, PUSHES, Seen(lambda _: Unprocessable("it is upside down"))):
            await bus.publish(*envelopes)
            await eventually(lambda: bus.statistics().of(PUSHES).parked == count)

            async def all_there() -> bool:
                # A broker that is busy with other things may let a newcomer wait for longer than anybody has patience.
                with contextlib.suppress(BusUnavailable):
                    return len(await bus.parked(PUSHES)) == count
                return False

            await eventually(all_there)

    on_the_bus(environ, give_up)
    return [str(envelope.id) for envelope in envelopes]


def waiting(tasks: Tasks) -> dict[str, int]:
    """How many wait and how many are parked in pushes."""
    listed = tasks("list", "--json").json()
    assert isinstance(listed, list)
    (pushes,) = (queue for queue in listed if queue["queue"] == PUSHES.name)
    return {"waiting": pushes["waiting"], "parked": pushes["parked"]}


def test_a_bus_on_which_nothing_has_happened_is_shown_as_that(tasks: Tasks) -> None:
    ended = tasks("list")
    assert ended.code == 0
    assert [line.split()[:2] for line in ended.out.splitlines() if line.split()[:1] == ["pushes"]] == [["pushes", "0"]]
    for queue in QUEUES:
        assert queue.name in ended.out
        assert "Nothing is parked" in tasks("list", queue.name).out


def test_every_queue_is_listed_with_what_waits_and_what_is_parked(tasks: Tasks, environ: dict[str, str]) -> None:
    parked(environ, 2)
    on_the_bus(environ, lambda bus: bus.publish(*some(3)))
    listed = tasks("list", "--json").json()
    assert isinstance(listed, list)
    assert [queue["queue"] for queue in listed] == [queue.name for queue in QUEUES]
    assert waiting(tasks) == {"waiting": 3, "parked": 2}
    (pushes,) = (queue for queue in listed if queue["queue"] == PUSHES.name)
    assert (pushes["concurrency"], pushes["ordered"], pushes["retrying"]) == (PUSHES.concurrency, False, 0)
    assert pushes["running"] == (None if "AMQP_URL" in environ else 0)
    assert pushes["consumers"] == (0 if "AMQP_URL" in environ else None)


def test_looking_again_and_again_neither_loses_nor_reorders_what_is_parked(
    tasks: Tasks, environ: dict[str, str]
) -> None:
    keys = parked(environ, 30)

    def listed(limit: int) -> list[str]:
        told = tasks("list", PUSHES.name, "--limit", str(limit), "--json").json()
        assert isinstance(told, list)
        return [message["key"] for message in told]

    first = listed(100)
    assert sorted(first) == sorted(keys)
    for limit in (7, 30, 1, 29, 100):
        assert listed(limit) == first[:limit]
    assert "There are more" in tasks("list", PUSHES.name, "--limit", "3").out


def test_one_is_shown_in_full_with_its_reason_and_its_times(tasks: Tasks, environ: dict[str, str]) -> None:
    (key,) = parked(environ, 1)
    shown = tasks("show", PUSHES.name, key)
    assert shown.code == 0
    assert "Unprocessable: it is upside down" in shown.out
    assert re.search(r"attempts +1\n", shown.out)
    assert len(re.findall(r"(?:happened|parked) at +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\n", shown.out)) == 2
    assert '"type": "class.summarised"' in shown.out
    told = tasks("show", PUSHES.name, key, "--json").json()
    assert isinstance(told, dict)
    assert (told["key"], told["type"], told["attempts"]) == (key, "class.summarised", 1)
    assert told["fact"]["type"] == "class.summarised"


def test_a_message_that_nobody_can_read_is_shown_as_it_is_and_can_be_dropped(
    tasks: Tasks, environ: dict[str, str]
) -> None:
    fact_id = FactId(IDS.next())

    async def put(bus: OperatedBus) -> None:
        async with consuming(bus, PUSHES, Seen()):
            await bus.publish(*some(1))
            if "AMQP_URL" in environ:
                await AmqpBench(environ["AMQP_URL"]).put(PUSHES, fact_id, foreign_body(fact_id))
            else:
                async with open_database(environ["DATABASE_URL"], size=1) as database:
                    await PostgresBench(database).put(PUSHES, fact_id, foreign_body(fact_id))
            await eventually(lambda: bus.parked(PUSHES))

    on_the_bus(environ, put)
    shown = tasks("show", PUSHES.name, str(fact_id))
    assert "nobody here can read it" in shown.out
    assert "moon.eclipsed" in shown.out
    assert tasks("drop", PUSHES.name, str(fact_id), "--yes").code == 0
    assert waiting(tasks)["parked"] == 0


def test_one_is_replayed_and_the_others_stay(tasks: Tasks, environ: dict[str, str]) -> None:
    keys = parked(environ, 3)
    ended = tasks("replay", PUSHES.name, keys[1])
    assert (ended.code, ended.out) == (0, f"1 replayed in {PUSHES.name}.\n")
    assert waiting(tasks) == {"waiting": 1, "parked": 2}
    assert tasks("replay", PUSHES.name, keys[1]).code == 1


def test_all_of_a_queue_are_replayed_with_their_number_told_on_the_way(
    tasks: Tasks, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paceline.commands.tasks.TOLD_EVERY", 5)
    parked(environ, 12)
    ended = tasks("replay", PUSHES.name, "--all", "--json")
    assert ended.json() == {"queue": PUSHES.name, "replayed": 12}
    assert ended.err.splitlines() == ["5 replayed …", "10 replayed …"]
    assert waiting(tasks) == {"waiting": 12, "parked": 0}
    assert tasks("replay", PUSHES.name, "--all").out == f"0 replayed in {PUSHES.name}.\n"


def test_nothing_is_dropped_that_nobody_has_confirmed(
    tasks: Tasks, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (key,) = parked(environ, 1)
    ended = tasks("drop", PUSHES.name, key)
    assert (ended.code, "--yes" in ended.err) == (2, True)

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal("yes\n"))
    assert tasks("drop", PUSHES.name, key).code == 2
    assert waiting(tasks)["parked"] == 1
    monkeypatch.setattr("sys.stdin", Terminal("drop\n"))
    ended = tasks("drop", PUSHES.name, key)
    assert (ended.code, ended.out.endswith(f"1 dropped in {PUSHES.name}.\n")) == (0, True)
    assert waiting(tasks)["parked"] == 0


def test_what_is_not_parked_is_said_so(tasks: Tasks) -> None:
    for words in (("show",), ("replay",), ("drop", "--yes")):
        ended = tasks(words[0], PUSHES.name, str(IDS.next()), *words[1:])
        assert (ended.code, "is not parked in pushes" in ended.err) == (1, True)
        assert tasks(words[0], PUSHES.name, "seventeen", *words[1:]).code == 1


def test_a_wrong_call_says_what_is_right(tasks: Tasks) -> None:
    assert "workout-summaries" in tasks("list", "bushes").err
    assert tasks("list", "bushes").code == 2
    assert tasks("replay", PUSHES.name).code == 2
    assert tasks("replay", PUSHES.name, "x", "--all").code == 2
    assert tasks("list", "--limit", "0").code == 2


@pytest.mark.parametrize(
    "where", [{"AMQP_URL": "amqp://guest:guest@127.0.0.1:1/"}, {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}]
)
def test_a_bus_that_does_not_answer_is_another_ending(
    where: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in where.items():
        monkeypatch.setenv(name, value)
    assert main(["tasks", "list"]) == 3
    assert capsys.readouterr().err


def test_a_database_without_its_tables_names_the_cure(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres.dsn)
    assert main(["tasks", "list"]) == 3
    assert "paceline migrate" in capsys.readouterr().err


def test_settings_that_are_wrong_are_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PACELINE_PORT", "seven")
    assert main(["tasks", "list"]) == 2
    assert "PACELINE_PORT" in capsys.readouterr().err
