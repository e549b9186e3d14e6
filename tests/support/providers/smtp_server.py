"""A mail server for tests: aiosmtpd, with STARTTLS, logins, and faults at every step of the dialogue.

The faults in SMTP: hang and hang_up come after the final dot, cut after half of an answer; slow_down is 452 at RCPT, broken 451 and
refused 554 after the content, away 421 at MAIL, dead 550 5.1.1 at RCPT; busy_recipient is 450 at RCPT, hang_up_early
closes the connection at MAIL.
"""

import asyncio
import email
import email.policy
import ssl
import warnings
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from email.message import EmailMessage
from typing import Any, Final, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.support.providers.authority import authority
from tests.support.providers.faults import Fault, Faults

USER: Final = "paceline"
PASSWORD: Final = "kelp lantern/7#"


class SmtpServer:
    """What it has taken, and what it is to do wrong."""

    def __init__(self, *, utf8: bool) -> None:
        self.faults: Final = Faults()
        self.mails: Final[list[EmailMessage]] = []
        self.raw: Final[list[bytes]] = []
        self.recipients: Final[list[str]] = []
        self.taken: Final[Counter[str]] = Counter()
        self.asked = 0
        self.connections = 0
        self.logins = 0
        self.secure = 0
        self.port = 0
        self.utf8: Final = utf8
        self.lines: Final[set[SMTP]] = set()
        self.over: Final = asyncio.Event()
        """Set when the server ends: what hangs lets go."""

    def hang_up(self) -> None:
        """End all connections, as a server does that has waited long enough."""
        for line in list(self.lines):
            if line.transport is not None:
                line.transport.close()

    # -- hooks of aiosmtpd: their names are its

    async def handle_EHLO(
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return responses

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        fault = _line(server).fault = self.faults.meet()
        self.asked += 1
        match fault:
            case Fault("away"):
                return "421 4.3.2 closing for now"
            case Fault("hang_up_early"):
                _abort(server)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        self.secure += session.ssl is not None
        return "250 OK"

    async def handle_RCPT(
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        fault = _line(server).fault
        if fault is not None and fault.code and fault.kind in {"dead", "refused"}:
            return f"{fault.code} <{address}> is not to be had"
        match fault:
            case Fault("dead"):
                return f"550 5.1.1 <{address}>: user unknown"
            case Fault("slow_down"):
                return "452 4.5.3 too many"
            case Fault("busy_recipient"):
                return f"450 4.2.0 <{address}>: greylisted"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:
        match _line(server).fault:
            case Fault("hang"):
                await self.over.wait()
            case Fault("hang_up"):
                _abort(server)
            case Fault("cut"):
                server._writer.write(b"250-2.0.0 Ok: que")  # half of an answer
                await server._writer.drain()
                _abort(server)
            case Fault("broken"):
                return "451 4.3.0 queue file write error"
            case Fault("refused"):
                return "554 5.7.1 message refused by policy"
        content = envelope.original_content or b""
        mail = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.raw.append(content)
        self.recipients.extend(envelope.rcpt_tos)
        self.taken[str(mail["Message-ID"]).strip("<>").partition("@")[0]] += 1
        return f"250 2.0.0 Ok: queued as Q{len(self.mails):06d}"

    def authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        """Whether this login is right."""
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        self.logins += right
        return AuthResult(success=right, handled=False)


class _Line(SMTP):
    """One connection; the server knows all of them, so as to end them. `fault`: what the mail that comes over it now meets."""

    def __init__(self, server: SmtpServer, **words: Any) -> None:
        super().__init__(server, **words)
        self._server: Final = server
        self.task: asyncio.Task[None] | None = None
        self.fault: Fault | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        first = self.transport is None
        super().connection_made(transport)
        if first:
            self._server.connections += 1
            self._server.lines.add(self)
            self.task = self._handler_coroutine

    def connection_lost(self, error: Exception | None) -> None:
        self._server.lines.discard(self)
        super().connection_lost(error)


@asynccontextmanager
async def open_smtp(
    *, port: int = 0, tls: bool = False, starttls: bool = False, login: bool = False, utf8: bool = True
) -> AsyncIterator[SmtpServer]:
    """A running server. `tls`: from the first byte; `starttls`: offered and insisted on; `login`: `USER` and `PASSWORD` are
    needed; `utf8`: it knows SMTPUTF8."""
    server, loop = SmtpServer(utf8=utf8), asyncio.get_running_loop()
    context: ssl.SSLContext | None = authority().server() if tls or starttls else None
    made: list[_Line] = []

    def line() -> _Line:
        with warnings.catch_warnings():
            # With TLS from the first byte it does not see that there is any, and finds logins careless.
            warnings.simplefilter("ignore", UserWarning)
            return new_line()

    def new_line() -> _Line:
        made.append(
            _Line(
                server,
                loop=loop,
                hostname="mx.test",
                enable_SMTPUTF8=utf8,
                tls_context=context if starttls else None,
                require_starttls=starttls,
                auth_required=login,
                auth_require_tls=starttls,
                authenticator=server.authenticate,
            )
        )
        return made[-1]

    listening = await loop.create_server(line, "127.0.0.1", port, ssl=context if tls else None)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        server.over.set()
        server.hang_up()
        for one in made:
            if one.task is not None:
                one.task.cancel()
                with suppress(asyncio.CancelledError, ConnectionError):
                    await one.task
        await listening.wait_closed()


def _line(server: SMTP) -> _Line:
    assert isinstance(server, _Line)
    return server


def _abort(server: SMTP) -> None:
    cast(asyncio.WriteTransport, server.transport).abort()  # uvloop's is none by its class
    raise ConnectionResetError
