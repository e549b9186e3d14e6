"""The bytes of an e-mail."""

import email
import email.policy
import uuid
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifications.outgoing import DeadAddress, Mail, NotTaken, Refused
from tests.support.providers.build import SENDER, mail
from workers.outbound.mime import Letter, letter, mailbox

NOW_MS = 1_790_000_000_000


def made(message: Mail) -> Letter:
    return letter(message, SENDER, NOW_MS, provider="smtp")


def read(message: Mail) -> EmailMessage:
    parsed = email.message_from_bytes(made(message).content, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def part(message: Mail, kind: str) -> str:
    body = read(message).get_body((kind,))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def test_a_mail_has_a_text_and_an_html_part_and_the_headers_of_a_machines_mail() -> None:
    message = mail(message_id=uuid.UUID(int=7))
    parsed = read(message)
    assert parsed.get_content_type() == "multipart/alternative"
    assert [one.get_content_type() for one in parsed.iter_parts()] == ["text/plain", "text/html"]
    assert parsed["From"] == "Paceline <coach@paceline.example>"
    assert parsed["To"] == message.to
    assert parsed["Subject"] == "Your class"
    assert parsed["Message-ID"] == f"<{uuid.UUID(int=7)}@paceline.example>"
    assert parsed["Date"] == "Mon, 21 Sep 2026 14:13:20 +0000"
    assert parsed["Auto-Submitted"] == "auto-generated"
    assert parsed["List-Unsubscribe"] == f"<{message.unsubscribe_url}>"
    assert parsed["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert part(message, "plain") == message.text
    assert part(message, "html").strip() == message.html


def test_a_long_link_to_unsubscribe_stays_one_link() -> None:
    url = f"https://paceline.example/unsubscribe?token={'a1-_' * 120}"
    assert f"List-Unsubscribe: <{url}>\r\n".encode() in made(mail(unsubscribe_url=url)).content


def test_mail_that_nobody_can_refuse_has_no_link_to_do_so() -> None:
    parsed = read(mail(unsubscribe_url=None))
    assert parsed["List-Unsubscribe"] is None
    assert parsed["List-Unsubscribe-Post"] is None


@pytest.mark.parametrize(
    "url", ["https://a.example/\r\nBcc: x@y.example", "javascript:alert(1)", "https://a/ b", "<x>"]
)
def test_a_link_that_could_be_a_header_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        made(mail(unsubscribe_url=url))


def test_words_of_any_script_arrive_as_they_are() -> None:
    message = mail(subject="Schöne Übung, Ольга 🏃🏽‍♀️", text="42 Punkte – großartig\n.\n..\n", html="<p>日本語</p>")
    assert read(message)["Subject"] == message.subject
    assert part(message, "plain") == message.text
    assert part(message, "html").strip() == message.html
    assert made(message).content.isascii(), "and need no 8-bit line"


def test_a_name_with_another_script_in_its_domain_is_written_in_its_ascii_form() -> None:
    assert made(mail("mira@bücher.example")).recipient == "mira@xn--bcher-kva.example"
    assert not made(mail("mira@bücher.example")).utf8
    assert made(mail("míra@example.org")).utf8


@pytest.mark.parametrize(
    "to",
    [
        "", "mira", "mira@", "@example.org", "mira @example.org", "mira@example.org\r\nBcc: b@example.org", "a@b@c.example",
        "a@b.example, c@d.example", "Mira <mira@example.org>", "<mira@example.org>", "mira@example..org", "mira@exa mple.org",
        "mi\0ra@example.org", f"{'m' * 65}@example.org", f"m@{'e' * 250}.org",
    ],
)  # fmt: skip
def test_what_is_no_address_is_a_dead_address(to: str) -> None:
    with pytest.raises(DeadAddress):
        made(mail(to))


def test_a_subject_with_line_breaks_is_one_line() -> None:
    parsed = read(mail(subject="Hello\r\nBcc: everybody@example.org\u2028\x00\x1b[31m!"))
    assert parsed["Subject"] == "Hello Bcc: everybody@example.org [31m!"
    assert parsed["Bcc"] is None


def test_the_same_mail_is_the_same_bytes_on_every_attempt() -> None:
    message = mail()
    assert made(message) == made(message)


def test_a_mail_of_many_megabytes_is_refused() -> None:
    with pytest.raises(Refused, match="more than 1000000"):
        made(mail(html="x" * 1_000_001))


@given(st.text(), st.text(), st.text(), st.text())
def test_nobodys_words_become_a_header(subject: str, text: str, html: str, to: str) -> None:
    expected = ["From", "To", "Subject", "MIME-Version", "Content-Type"]
    own = ["Message-ID", "Date", "Auto-Submitted", "List-Unsubscribe", "List-Unsubscribe-Post"]
    for message in (mail(subject=subject, text=text, html=html), mail(to)):
        try:
            parsed = read(message)
        except NotTaken:
            continue
        assert sorted(parsed.keys()) == sorted(own + expected)
        assert [one.get_content_type() for one in parsed.iter_parts()] == ["text/plain", "text/html"]


def test_a_mailbox_is_a_name_and_an_address_or_an_address_alone() -> None:
    assert str(mailbox("Paceline <no-reply@example.org>")) == "Paceline <no-reply@example.org>"
    assert mailbox("no-reply@bücher.example").addr_spec == "no-reply@xn--bcher-kva.example"
    assert mailbox('"Coach, Paceline" <a@b.example>').display_name == "Coach, Paceline"
    for wrong in ("", "Paceline", "Paceline <>", "a@b.example\r\nBcc: c@d.example", "A <a@b.example> <c@d.example>"):
        with pytest.raises(ValueError):
            mailbox(wrong)
