"""E-mail through a submission server (SMTP: RFC 5321, 6409; TLS from the start or by STARTTLS).

The moment that matters is the end of the content. Before it nothing was taken, whatever happens; after the server's 250 it has
the mail; in between nobody knows, and the answer is `InDoubt`. The library's own `data()` does not say on which side of that
moment the line broke, so the dialogue of DATA is held here.

What a refusal of the recipient means is read from the enhanced code (RFC 3463) where there is one: an unknown mailbox is a dead
address, a full one or a policy is not. Of what is to be tried later, trouble of the server's own system or network (4.3, 4.4)
counts against it, a greylisted or full mailbox does not.

Lines are used again, by one mail after the other, for a while: a TLS handshake and a login cost more than a mail. A line that
its server has closed meanwhile shows at MAIL FROM, when nothing has been sent yet, and the mail goes over a new one.
"""

import asyncio
import os
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from email.headerregistry import Address
from typing import Final, NoReturn

import aiosmtplib
from aiosmtplib.protocol import normalize_message_line_endings

from services.kernel.clock import Clock
from services.notifications.outgoing import (
    CutShort,
    DeadAddress,
    InDoubt,
    Mail,
    NotTaken,
    Outgoing,
    Receipt,
    Refused,
    TryLater,
)
from workers.outbound.mail_server import Server
from workers.outbound.mime import Letter, letter
from workers.outbound.outcomes import Away, shown

NAME: Final = "smtp"
ANSWER_S: Final = 20.0
TAKE_S: Final = 60.0
"""How long a server may think about a mail it has got. RFC 5321 grants ten minutes; a worker has no such time, and what takes
longer than this is in doubt."""
IDLE_S: Final = 30.0
"""How long a line is kept unused: shorter than servers keep it (Postfix: 300 s, some relays 60 s)."""
MAILS_PER_LINE: Final = 100
LINES_KEPT: Final = 4
QUIT_S: Final = 1.0

_NOBODY_THERE: Final = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
"""RFC 3463, 3886, 7505: bad mailbox, bad system, bad syntax, moved away, null MX, mailbox disabled."""
_BARE_NOBODY: Final = frozenset({550, 551, 553})
_QUEUED: Final = re.compile(r"(?:queued as\s+|id=|\bok:?\s+)<?(?!queued\b)([A-Za-z0-9._+-]{6,80})", re.IGNORECASE)


@dataclass
class _Line:
    """An open, logged-in dialogue with the server."""

    client: aiosmtplib.SMTP
    mails: int = 0
    idle_since: float = 0.0


class SmtpProvider:
    """Hands mails to `server`, from `sender`. `tls` says whose certificates are believed; the system's by default."""

    name: Final = NAME

    def __init__(
        self,
        server: Server,
        sender: Address,
        clock: Clock,
        *,
        tls: ssl.SSLContext | None = None,
        answer_s: float = ANSWER_S,
        take_s: float = TAKE_S,
    ) -> None:
        self._server: Final = server
        self._sender: Final = sender
        self._clock: Final = clock
        self._tls: Final = tls or ssl.create_default_context()
        self._answer_s: Final = answer_s
        self._take_s: Final = take_s
        self._kept: Final[list[_Line]] = []  # full: a line that comes back is closed

    async def send(self, message: Outgoing) -> Receipt:
        """See `Provider.send`."""
        if not isinstance(message, Mail):
            raise Refused("this provider sends mail only", provider=NAME)
        ready = letter(message, self._sender, self._clock.wall_ms(), provider=NAME)
        line = self._again()
        if line is not None:
            try:
                return await self._over(line, ready)
            except _LineWasGone:
                pass  # nothing had been sent
        try:
            return await self._over(await self._connect(), ready)
        except _LineWasGone:
            raise Away("the mail server hung up at the first command", provider=NAME) from None

    async def close(self) -> None:
        """Say goodbye on the lines that are kept, without waiting long."""
        kept, self._kept[:] = list(self._kept), []
        try:
            async with asyncio.timeout(QUIT_S):
                for line in kept:
                    with suppress(
                        aiosmtplib.SMTPException, OSError
                    ):  # it is being closed; there is nobody left to tell
                        await line.client.quit()
        except TimeoutError:
            pass
        finally:
            for line in kept:
                line.client.close()

    def _again(self) -> _Line | None:
        """A line that was kept and may still be good; the others are closed."""
        now = self._clock.monotonic()
        while self._kept:
            line = self._kept.pop()
            if line.client.is_connected and now - line.idle_since < IDLE_S:
                return line
            line.client.close()
        return None

    async def _connect(self) -> _Line:
        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.tls == "always",
            start_tls={"always": False, "starttls": True, "offered": None, "never": False}[server.tls],
            tls_context=self._tls,
            username=server.user or None,
            password=server.password or None,
            timeout=None,  # by the library's own, Python 3.11 may lose a cancellation that comes with an answer
            # Without a name the library asks DNS for ours.
            local_hostname=self._sender.domain,
        )
        async with _faults(client, _Progress(), server.password), asyncio.timeout(self._answer_s):
            await client.connect()
        return _Line(client)

    async def _over(self, line: _Line, ready: Letter) -> Receipt:
        """One mail over one line, which is kept afterwards if it is still good. Raises `_LineWasGone` as well."""
        progress = _Progress()
        client = line.client
        try:
            async with _faults(client, progress, ready.recipient, ready.recipient.rpartition("@")[0]):
                async with asyncio.timeout(self._answer_s):
                    await self._envelope(client, ready, progress)
                async with asyncio.timeout(self._take_s):
                    reply = await _hand_over(client, ready.content, progress)
        except NotTaken:
            if client.is_connected:
                await self._keep(line, reset=True)
            raise
        await self._keep(line, reset=False)
        queued = _QUEUED.search(reply.message)
        return Receipt(NAME, queued[1] if queued else ready.message_id)

    async def _envelope(self, client: aiosmtplib.SMTP, ready: Letter, progress: "_Progress") -> None:
        """All that comes before the content, up to the server's word to go on."""
        if ready.utf8 and not client.supports_extension("smtputf8"):
            raise Refused("the mail server takes only addresses in ASCII", provider=NAME)
        encoding, options = ("utf-8", ["SMTPUTF8"]) if ready.utf8 else ("ascii", [])
        try:
            await client.mail(ready.sender, options=options, encoding=encoding)
        except aiosmtplib.SMTPServerDisconnected:
            raise _LineWasGone from None
        except aiosmtplib.SMTPSenderRefused as refusal:
            if refusal.code == 421:
                raise _LineWasGone from None
            raise
        progress.step = "recipient"
        await client.rcpt(ready.recipient, encoding=encoding)
        progress.step = "content"
        go_on = await client.execute_command(b"DATA")
        if go_on.code != 354:
            raise aiosmtplib.SMTPDataError(go_on.code, go_on.message)

    async def _keep(self, line: _Line, *, reset: bool) -> None:
        line.mails += 1
        if len(self._kept) >= LINES_KEPT or line.mails >= MAILS_PER_LINE or not line.client.is_connected:
            line.client.close()
            return
        if reset:
            try:
                async with asyncio.timeout(self._answer_s):
                    await line.client.rset()
            except (aiosmtplib.SMTPException, OSError, TimeoutError, asyncio.CancelledError):
                line.client.close()  # what became of the mail is known, also to who is cancelled
                return
        line.idle_since = self._clock.monotonic()
        self._kept.append(line)


async def _hand_over(client: aiosmtplib.SMTP, content: bytes, progress: "_Progress") -> aiosmtplib.SMTPResponse:
    """The content with its final dot, and the server's answer to it."""
    protocol = client.protocol
    if protocol is None:
        raise aiosmtplib.SMTPServerDisconnected("Connection lost")
    protocol.write(re.sub(rb"(?m)^\.", b"..", normalize_message_line_endings(content)) + b".\r\n")
    progress.handed_over = True
    reply = await protocol.read_response()
    if not 200 <= reply.code < 300:
        raise aiosmtplib.SMTPDataError(reply.code, reply.message)
    return reply


class _LineWasGone(Exception):  # noqa: N818 - it says what happened
    """The server had closed the line before the first command of a mail."""


@dataclass
class _Progress:
    """How far a mail has come: which step, and whether all of it was sent and no answer has come yet."""

    step: str = "sender"
    handed_over: bool = False


@asynccontextmanager
async def _faults(client: aiosmtplib.SMTP, progress: _Progress, *private: str) -> AsyncIterator[None]:
    """Everything that can go wrong in a dialogue, as what it means for the mail. The line is closed unless the server has
    answered properly."""
    try:
        yield
    except aiosmtplib.SMTPRecipientRefused as refusal:
        _refused(refusal, "recipient", *private)
    except aiosmtplib.SMTPResponseException as refusal:
        if isinstance(refusal, aiosmtplib.SMTPConnectResponseError | aiosmtplib.SMTPAuthenticationError):
            client.close()
            raise Away(_said(refusal, *private), provider=NAME) from None
        if refusal.code < 400 or refusal.code == 421:
            client.close()
        if refusal.code < 400 and progress.handed_over:
            raise InDoubt("what the mail server said after the mail was sent is no SMTP", provider=NAME) from None
        _refused(refusal, progress.step, *private)
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as fault:
        client.close()
        if progress.handed_over:
            raise InDoubt(f"after the mail was sent, {_in_words(fault)}", provider=NAME) from None
        raise Away(_in_words(fault), provider=NAME) from None
    except NotTaken:
        raise
    except asyncio.CancelledError:
        client.close()
        if progress.handed_over:
            raise
        raise CutShort("stopped before the mail was handed over", provider=NAME) from None
    except BaseException:  # the line was gone
        client.close()
        raise


def _refused(refusal: aiosmtplib.SMTPResponseException, step: str, *private: str) -> NoReturn:
    """What a proper answer of the server means."""
    said = _said(refusal, *private)
    if refusal.code == 421 or refusal.code < 400 or re.match(r"\s*4\.[34]\.", refusal.message):
        raise Away(said, provider=NAME) from None
    if refusal.code < 500:
        raise TryLater(said, provider=NAME) from None
    enhanced = re.match(r"\s*(5\.\d{1,3}\.\d{1,3})\b", refusal.message)
    gone = enhanced[1] in _NOBODY_THERE if enhanced else step == "recipient" and refusal.code in _BARE_NOBODY
    if gone and step != "sender":
        raise DeadAddress(said, provider=NAME) from None
    raise Refused(said, provider=NAME) from None


def _in_words(fault: Exception) -> str:
    """What happened to the connection; there is nobody's address in it."""
    cause = fault.__cause__ or fault
    if isinstance(fault, TimeoutError):
        return "the mail server took too long"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the certificate of the mail server is not good: {cause.verify_message}"
    if isinstance(fault, aiosmtplib.SMTPServerDisconnected | ConnectionResetError):
        return "the mail server hung up"
    if type(fault) is aiosmtplib.SMTPException:  # what the library itself misses: STARTTLS, a way to log in
        return shown(str(fault))
    number = cause.errno if isinstance(cause, OSError) else None
    return f"the mail server cannot be reached: {os.strerror(number) if number else type(cause).__name__}"


def _said(refusal: aiosmtplib.SMTPResponseException, *private: str) -> str:
    return f"the mail server said {refusal.code} {shown(refusal.message, *private)}".rstrip()
