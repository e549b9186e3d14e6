"""Log lines carry no secrets, take one form, and do not drown anybody."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from paceline.logs import RateLimit, clean_text, configure_logs, only_warnings


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = (root.handlers, root.level)
    stream = io.StringIO()
    configure_logs("json", "info", stream=stream)
    yield stream
    structlog.reset_defaults()
    root.handlers, root.level = before[0], before[1]


def lines(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_our_lines_and_those_of_libraries_have_the_same_form(out: io.StringIO) -> None:
    structlog.get_logger("gateway.app").info("listening", port=8080)
    logging.getLogger("aiohttp.server").warning("lost %s", "peer")
    ours, theirs = lines(out)
    assert (ours["event"], ours["level"], ours["logger"], ours["port"]) == ("listening", "info", "gateway.app", 8080)
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("lost peer", "warning", "aiohttp.server")
    assert str(ours["timestamp"]).endswith("Z")


def test_lines_below_the_level_are_not_written(out: io.StringIO) -> None:
    structlog.get_logger("x").debug("fine detail")
    logging.getLogger("asyncio").debug("fine detail")
    assert out.getvalue() == ""


def test_secrets_are_masked_by_key_at_any_depth(out: io.StringIO) -> None:
    structlog.get_logger("x").info(
        "in",
        password="p1",
        refresh_token="p2",
        headers={"Authorization": "Bearer p3", "Cookie": "p4", "Accept": "*/*"},
        items=[{"api_key": "p5"}],
        token_seconds=900,
    )
    (line,) = lines(out)
    assert not any(secret in out.getvalue() for secret in ("p1", "p2", "p3", "p4", "p5"))
    assert line["headers"] == {"Authorization": "***", "Cookie": "***", "Accept": "*/*"}
    assert line["token_seconds"] == 900


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("connect postgresql://app:hunter2@db/x failed", "connect postgresql://app:***@db/x failed"),
        ("Authorization: Bearer abcdefgh.ijk", "Authorization: Bearer ***"),
        ("got eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.c2ln here", "got *** here"),
        ("v1.eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.c2ln.x of a.b.c", "v1.***.x of a.b.c"),
        (
            "unsigned eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0. here, x-eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.c",
            "unsigned *** here, ***",
        ),
        ("GET /x?token=abc&y=1", "GET /x?token=***&y=1"),
        ("-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY----- ok", "*** ok"),
        ("nothing to hide: http://host:8080/a@b", "nothing to hide: http://host:8080/a@b"),
    ],
)
def test_secrets_inside_texts_are_masked(text: str, clean: str) -> None:
    assert clean_text(text) == clean


@pytest.mark.parametrize(
    "part", ["a.", "a", " ", "://", "a://", "token=", "Bearer ", "eyJ-", "eyJaaaaaaaa-", "eyJaaaaaaaa."]
)
def test_a_long_text_is_looked_through_once(part: str) -> None:
    assert len(clean_text(part * 200_000)) > 0  # minutes, if it were looked through once from each of its beginnings


def test_secrets_in_tracebacks_and_library_lines_are_masked(out: io.StringIO) -> None:
    def fail() -> None:
        raise ConnectionError("redis://:hunter2@cache is gone")

    try:
        fail()
    except ConnectionError:
        structlog.get_logger("x").exception("lost")
        logging.getLogger("redis").exception("lost redis://:hunter2@cache")
    first, second = lines(out)
    assert "hunter2" not in out.getvalue()
    assert "ConnectionError: redis://:***@cache is gone" in str(first["exception"])
    assert "Traceback" in str(second["exception"])


def test_one_cause_writes_a_bounded_number_of_lines_and_counts_the_rest() -> None:
    now = [100.0]
    limit = RateLimit(5, clock=lambda: now[0])
    key = ("error", "x", "no answer")
    assert [limit.take(key) for _ in range(8)] == [0, 0, 0, 0, 0, None, None, None]
    assert limit.take(("error", "x", "another cause")) == 0
    now[0] += 0.2
    assert limit.take(key) == 3
    assert limit.take(key) is None


def test_causes_that_fell_silent_are_forgotten_before_memory_grows() -> None:
    limit = RateLimit(1, clock=lambda: 0.0)
    assert limit.take(("info", "x", "first")) == 0
    for number in range(5000):
        limit.take(("info", "x", f"cause {number}"))
    assert limit.take(("info", "x", "first")) == 0


def test_held_back_lines_are_reported_for_our_lines_and_for_those_of_libraries() -> None:
    root = logging.getLogger()
    before = (root.handlers, root.level)
    stream = io.StringIO()
    limit = configure_logs("json", stream=stream)
    try:
        for number in range(100):
            structlog.get_logger("x").error("no answer", number=number)
            logging.getLogger("asyncpg").error("no answer from %d", number)
        limit.report()
    finally:
        structlog.reset_defaults()
        root.handlers, root.level = before[0], before[1]
    written = lines(stream)
    reports = {str(line["of"]): line["suppressed"] for line in written if line["event"] == "lines were held back"}
    for text in ("no answer", "no answer from %d"):
        held = reports[text]
        assert isinstance(held, int)
        assert 0 < held <= 80
    assert len(written) < 200


def test_a_command_whose_output_is_read_says_its_warnings_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    logger = structlog.get_logger("workers.amqp")
    with only_warnings():
        logger.info("bus.stopping")
        logger.warning("bus.broker_away", url="amqp://guest:p1@127.0.0.1/")
    said = capsys.readouterr()
    assert said.out == ""
    assert "bus.stopping" not in said.err
    assert "bus.broker_away" in said.err
    assert "p1" not in said.err
