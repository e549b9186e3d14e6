"""E-mail over SMTP, beyond what every provider promises (tests/contracts/test_providers.py)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from services.kernel.clock import ManualClock, SystemClock
from services.notifications.outgoing import CutShort, DeadAddress, Mail, NotTaken, Receipt, Refused, TryLater
from tests.support.providers import Fault, SmtpServer, authority, open_smtp
from tests.support.providers.build import SENDER, mail, smtp_provider
from workers.outbound.mail_server import Server, way_of
from workers.outbound.outcomes import Away
from workers.outbound.smtp import IDLE_S, MAILS_PER_LINE, SmtpProvider

CLOCK = ManualClock()


@contextlib.asynccontextmanager
async def mailing(server: SmtpServer, **words: object) -> AsyncIterator[SmtpProvider]:
    provider = smtp_provider(server, CLOCK, **words)  # type: ignore[arg-type]
    try:
        yield provider
    finally:
        await provider.close()


async def end_of(provider: SmtpProvider, message: Mail | None = None) -> Receipt | NotTaken:
    try:
        return await provider.send(message or mail())
    except NotTaken as end:
        return end


# -- security of the line


async def test_a_mail_goes_over_tls_from_the_first_byte() -> None:
    async with open_smtp(tls=True, login=True) as server, mailing(server, tls="always", login=True) as provider:
        await provider.send(mail())
        assert (server.logins, len(server.mails)) == (1, 1)


async def test_starttls_is_used_where_it_is_offered() -> None:
    async with open_smtp(starttls=True) as server, mailing(server, tls="offered") as provider:
        await provider.send(mail())
        assert server.secure == 1


async def test_nothing_is_sent_in_the_clear_where_starttls_is_wanted() -> None:
    async with open_smtp() as server, mailing(server, tls="starttls") as provider:
        end = await end_of(provider)
        assert isinstance(end, Away)
        assert "STARTTLS" in str(end)
        assert server.asked == 0


async def test_a_server_with_a_strangers_certificate_gets_nothing() -> None:
    async with open_smtp(starttls=True) as server:
        provider = SmtpProvider(Server("localhost", server.port, "starttls"), SENDER, CLOCK)
        end = await end_of(provider)
        assert isinstance(end, Away)
        assert "certificate" in str(end)
        assert server.asked == 0


async def test_a_wrong_password_is_the_settings_fault_and_no_mail_is_to_blame() -> None:
    async with open_smtp(starttls=True, login=True) as server:
        way = Server("localhost", server.port, "starttls", "paceline", "not it")
        provider = SmtpProvider(way, SENDER, CLOCK, tls=authority().client())
        end = await end_of(provider)
        assert isinstance(end, Away)
        assert "535" in str(end)
        assert "not it" not in str(end)


# -- what a refusal means


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("550 5.1.1", DeadAddress),
        ("550 5.1.2", DeadAddress),
        ("550 5.2.1", DeadAddress),
        ("556 5.1.10", DeadAddress),
        ("550", DeadAddress),
        ("553", DeadAddress),
        ("552 5.2.2", Refused),
        ("550 5.7.1", Refused),
        ("550 5.7.26", Refused),
        ("554", Refused),
        ("450 4.2.1", TryLater),
        ("451 4.7.1", TryLater),
        ("451 4.4.3", Away),
        ("421 4.7.0", Away),
    ],
)
async def test_a_refused_recipient_is_dead_only_when_the_server_says_so(code: str, kind: type[NotTaken]) -> None:
    async with open_smtp() as server, mailing(server) as provider:
        server.faults.next(Fault("dead", code=code))
        assert type(await end_of(provider)) is kind
        assert isinstance(await end_of(provider), Receipt)


async def test_a_greylisted_recipient_is_no_fault_of_the_server() -> None:
    async with open_smtp() as server, mailing(server) as provider:
        server.faults.next(Fault("busy_recipient"))
        assert type(await end_of(provider)) is TryLater


async def test_an_address_in_another_script_needs_a_server_that_knows_it() -> None:
    async with (
        open_smtp() as knows,
        open_smtp(utf8=False) as knows_not,
        mailing(knows) as first,
        mailing(knows_not) as second,
    ):
        assert isinstance(await end_of(first, mail("míra@example.org")), Receipt)
        assert knows.recipients == ["míra@example.org"]
        assert isinstance(await end_of(second, mail("míra@example.org")), Refused)
        assert isinstance(await end_of(second), Receipt), "the line is still good"


# -- lines


async def test_the_receipt_names_the_mail_as_the_server_does() -> None:
    async with open_smtp() as server, mailing(server) as provider:
        assert await provider.send(mail()) == Receipt("smtp", "Q000001")


async def test_lines_of_dots_arrive_as_they_are() -> None:
    async with open_smtp() as server, mailing(server) as provider:
        await provider.send(mail(text=".\n..\n.a\nend\n"))
        body = server.mails[0].get_body(("plain",))
        assert body is not None
        assert body.get_content().replace("\r\n", "\n") == ".\n..\n.a\nend\n"


async def test_a_refused_mail_does_not_cost_the_line() -> None:
    async with open_smtp() as server, mailing(server) as provider:
        for kind in ("dead", "slow_down", "broken", "refused"):
            server.faults.next(Fault(kind))
            await end_of(provider)
        assert isinstance(await end_of(provider), Receipt)
        assert server.connections == 1


async def test_a_line_that_the_server_closed_is_replaced_and_no_mail_is_in_doubt() -> None:
    async with open_smtp() as server, mailing(server) as provider:
        await provider.send(mail())
        server.faults.next(Fault("hang_up_early"))
        assert isinstance(await end_of(provider), Receipt)
        server.faults.next(Fault("away"))
        assert isinstance(await end_of(provider), Receipt)
        assert server.connections == 3
        assert sum(server.taken.values()) == 3


async def test_a_line_is_not_used_again_after_a_while_or_after_many_mails() -> None:
    async with open_smtp() as server, mailing(server) as provider:
        await provider.send(mail())
        await CLOCK.advance(IDLE_S)
        await provider.send(mail())
        assert server.connections == 2
        for _ in range(MAILS_PER_LINE):
            await provider.send(mail())
        assert server.connections == 3


# -- a stop


class Silent:
    """A server that says nothing from `verb` on: the greeting, a command, or the end of the content (".").
    `refuses`: it knows nobody."""

    def __init__(self, verb: str, *, refuses: bool = False) -> None:
        self.reached = asyncio.Event()
        self._verb = verb
        self._refuses = refuses

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[SmtpProvider]:
        server = await asyncio.start_server(self._speak, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            yield SmtpProvider(Server("127.0.0.1", port, "never"), SENDER, SystemClock())

    async def _speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        verb = "greeting"
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while verb and verb != self._verb:
                writer.write(self._answer(verb))
                if verb == "DATA":
                    await reader.readuntil(b"\r\n.\r\n")
                    verb = "."
                else:
                    verb = (await reader.readline())[:4].decode().strip()
            if verb:
                self.reached.set()
                await reader.read()
        writer.close()

    def _answer(self, verb: str) -> bytes:
        if verb == "RCPT" and self._refuses:
            return b"550 5.1.1 nobody\r\n"
        return {"greeting": b"220 here\r\n", "DATA": b"354 go on\r\n"}.get(verb, b"250 yes\r\n")


async def stopped_at(server: Silent) -> None:
    """Send a mail, and be cancelled when the server has fallen silent."""
    async with server.open() as provider:
        sending = asyncio.create_task(provider.send(mail()), name="a mail that is stopped")
        async with asyncio.timeout(10):
            await server.reached.wait()
        sending.cancel()
        await sending


@pytest.mark.parametrize("verb", ["greeting", "EHLO", "MAIL", "RCPT", "DATA"])
async def test_a_mail_that_is_stopped_before_its_content_has_not_left(verb: str) -> None:
    with pytest.raises(CutShort):
        await stopped_at(Silent(verb))


async def test_a_mail_that_is_stopped_after_its_content_may_be_on_its_way() -> None:
    with pytest.raises(asyncio.CancelledError):
        await stopped_at(Silent("."))


async def test_what_was_said_of_a_mail_is_known_to_who_is_stopped_while_the_line_is_made_ready_again() -> None:
    with pytest.raises(DeadAddress):
        await stopped_at(Silent("RSET", refuses=True))


# -- the URL


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtps://mx.example.org", Server("mx.example.org", 465, "always")),
        ("smtp://u:p%2Fw@mx.example.org", Server("mx.example.org", 587, "starttls", "u", "p/w")),
        ("smtp://mx.example.org:25?starttls=off", Server("mx.example.org", 25, "never")),
        ("smtp://localhost", Server("localhost", 25, "offered")),
        ("smtp://u:p@127.0.0.1:1025", Server("127.0.0.1", 1025, "offered", "u", "p")),
        ("smtp://u:p@[::1]?starttls=off", Server("::1", 587, "never", "u", "p")),
    ],
)
def test_a_url_says_where_mail_is_handed_in(url: str, server: Server) -> None:
    assert way_of(url) == server
    assert "p/w" not in repr(way_of(url))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://mx.example.org", "begin with"),
        ("smtp://", "names no host"),
        ("smtp://mx.example.org/inbox", "may stand behind"),
        ("smtp://mx.example.org?tls=no", "may stand behind"),
        ("smtps://mx.example.org?starttls=off", "no STARTTLS"),
        ("smtp://u:p@mx.example.org?starttls=off", "in the clear"),
        ("file://mail", "file:///"),
        ("file:///", "file:///"),
    ],
)
def test_a_url_that_cannot_serve_says_why(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        way_of(url)
