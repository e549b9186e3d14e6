"""A line to a real Redis: introduced as the URL says, and cut when what is behind it is no Redis."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from realtime.redis_address import Address, RedisRefusedError, address_of
from realtime.redis_line import MOST_BYTES, RedisLine, open_line, packed
from tests.support.redis_server import open_redis
from tests.support.server import free_port
from tests.support.system_parts import require

PATIENCE_S = 5.0


async def closed(line: RedisLine) -> Exception:
    """Cut a line; what it ended with."""
    line.cut(ConnectionAbortedError("the test is over"))
    return await asyncio.wait_for(line.lost, PATIENCE_S)


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[Address]:
    """A server that says one thing to whatever it hears, and no more."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield Address(host="127.0.0.1", port=server.sockets[0].getsockname()[1])


async def test_a_line_introduces_itself_as_the_url_says() -> None:
    async with open_redis() as server:
        await server.command("ACL", "SETUSER", "kim", "on", ">pa%ss", "~*", "&*", "+@all")
        line = await open_line(address_of(f"unix://kim:pa%25ss@{server.socket}?db=3"), PATIENCE_S)
        told = (await line.ask(b"CLIENT", b"LIST")).decode()
        assert all(part in told for part in (" name=paceline ", " db=3 ", " user=kim "))
        await closed(line)


async def test_a_wrong_password_is_refused_with_redis_own_words() -> None:
    async with open_redis() as server:
        with pytest.raises(RedisRefusedError, match=r"AUTH: WRONGPASS"):
            await open_line(address_of(f"unix://kim:wrong@{server.socket}"), PATIENCE_S)


async def test_many_commands_are_written_at_once_and_their_answers_come_in_order() -> None:
    async with open_redis() as server:
        line = await open_line(address_of(server.url), PATIENCE_S)
        answers: list[object] = []
        done = asyncio.Event()

        def heard(replies: list[object]) -> None:
            answers.extend(replies)
            line.answered(len(replies))
            if len(answers) == 1_000:
                done.set()

        line.heard = heard
        line.send(b"".join(packed(b"ECHO", b"%d" % n) for n in range(1_000)), 1_000)
        await asyncio.wait_for(done.wait(), PATIENCE_S)
        assert answers == [b"%d" % n for n in range(1_000)]
        assert line.owed == 0
        await closed(line)


async def test_a_line_with_tls_trusts_only_the_authority_that_the_url_names(tmp_path: Path) -> None:
    program = require("redis")
    certificate, key, socket = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "redis.sock"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        str(program),
        *("--port", "0", "--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key)),
        *(
            "--tls-ca-cert-file",
            str(certificate),
            "--tls-auth-clients",
            "no",
            "--unixsocket",
            str(socket),
            "--save",
            "",
        ),
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not socket.exists():
                await asyncio.sleep(0.01)
        line = await open_line(address_of(f"rediss://localhost:{port}/0?ssl_ca_certs={certificate}"), PATIENCE_S)
        assert await line.ask(b"PING") == b"PONG"
        await closed(line)
        with pytest.raises(OSError, match="certificate verify failed"):
            await open_line(address_of(f"rediss://localhost:{port}/0"), PATIENCE_S)
    finally:
        process.kill()
        await process.wait()


async def test_a_server_that_accepts_and_says_nothing_is_given_up() -> None:
    async with answering(b"") as address:
        with pytest.raises(TimeoutError):
            await open_line(address, 0.1)


async def test_what_does_not_speak_as_redis_does_is_cut() -> None:
    async with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        with pytest.raises(ConnectionError, match="not how Redis speaks"):
            await open_line(address, PATIENCE_S)


async def test_a_message_that_never_ends_is_cut() -> None:
    async with answering(b"$500000000\r\n" + bytes(MOST_BYTES)) as address:
        with pytest.raises(ConnectionError, match=f"more than {MOST_BYTES} bytes"):
            await open_line(address, PATIENCE_S)


async def test_an_answer_that_is_owed_too_long_cuts_the_line() -> None:
    async with open_redis() as server:
        line = await open_line(address_of(server.url), 0.2)
        server.freeze()
        try:
            line.send(packed(b"PING"), 1)
            assert isinstance(await asyncio.wait_for(line.lost, PATIENCE_S), TimeoutError)
        finally:
            server.thaw()


async def test_a_line_that_is_owed_nothing_stays_open_however_long_nothing_is_said() -> None:
    async with open_redis() as server:
        line = await open_line(address_of(server.url), 0.05)
        await line.ask(b"PING")
        _, still_open = await asyncio.wait([line.lost], timeout=0.2)
        assert still_open
        assert isinstance(await closed(line), ConnectionAbortedError)


def test_an_address_shows_no_password() -> None:
    address = address_of("redis://kim:secret@cache:7000/2")
    assert "secret" not in repr(address)
    assert address.name == "cache:7000/2"
