"""The bytes of an e-mail: a text and an HTML part, and the headers that keep a machine's mail welcome. Pure.

Message-ID is made of our id, so a repetition can be told by it. Auto-Submitted (RFC 3834) keeps other machines from answering.
List-Unsubscribe and its -Post (RFC 8058) are the button that mail programs show.

The headers that hold only our own ASCII are written here and not by the library: it would fold a long link into encoded words,
which no mail program turns back into a link. No word of anybody's can become a header: control characters turn into spaces in
the subject, and an address or a link that has any is refused.
"""

import re
from dataclasses import dataclass
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final
from unicodedata import category

from services.kernel.clock import utc
from services.notifications.outgoing import DeadAddress, Mail, Refused

MOST_BYTES: Final = 1_000_000
"""By feeling: ours have about 20 kB, and many servers take no more than 10 MB."""
_LINK: Final = re.compile(r"https?://[!-;=?-~]{1,900}")
_DOMAIN: Final = re.compile(
    r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
_BREAKS: Final = frozenset({"Cc", "Zl", "Zp"})
"""Categories of characters that end a line or control a terminal. Joiners and marks of direction stay: words are made of them."""
_MOST_SUBJECT: Final = 250


@dataclass(frozen=True)
class Letter:
    """What goes through SMTP: envelope and content (CRLF line ends). `utf8`: an address needs SMTPUTF8 (RFC 6531)."""

    sender: str
    recipient: str
    message_id: str
    content: bytes
    utf8: bool


def letter(mail: Mail, sender: Address, now_ms: int, *, provider: str) -> Letter:
    """The mail as it leaves at `now_ms` from `sender`. Raises `DeadAddress` when `mail.to` is no address, and `Refused` when
    there is no way to write the rest."""
    to = _recipient(mail.to, provider)
    utf8 = not (to.addr_spec.isascii() and sender.addr_spec.isascii())
    message_id = f"<{mail.message_id}@{sender.domain}>"
    lines = [
        f"Message-ID: {message_id}",
        f"Date: {format_datetime(utc(now_ms))}",
        "Auto-Submitted: auto-generated",
    ]
    if mail.unsubscribe_url is not None:
        if not _LINK.fullmatch(mail.unsubscribe_url):
            raise Refused("the link to unsubscribe is no URL", provider=provider)
        lines += [f"List-Unsubscribe: <{mail.unsubscribe_url}>", "List-Unsubscribe-Post: List-Unsubscribe=One-Click"]
    body = EmailMessage(policy=policy.SMTPUTF8 if utf8 else policy.SMTP)
    body["From"] = sender
    body["To"] = to
    body["Subject"] = _subject(mail.subject)
    body.set_content(_sound(mail.text), charset="utf-8", cte="quoted-printable")
    body.add_alternative(_sound(mail.html), subtype="html", charset="utf-8", cte="quoted-printable")
    # A boundary made of the id: the same mail is the same bytes on every attempt.
    body.set_boundary(f"=_{mail.message_id.hex}")
    content = "".join(f"{line}\r\n" for line in lines).encode() + body.as_bytes()
    if len(content) > MOST_BYTES:
        raise Refused(f"the mail has {len(content)} bytes, more than {MOST_BYTES}", provider=provider)
    return Letter(sender.addr_spec, to.addr_spec, message_id, content, utf8)


def mailbox(text: str) -> Address:
    """`Name <user@host>` or `user@host`, with the host in its ASCII form. Raises ValueError."""
    found = re.fullmatch(r"\s*(?:\"?([^\"<>\r\n]*?)\"?\s*<([^<>\s]+)>|([^<>\s\"]+))\s*", text)
    if found is None:
        raise ValueError("it has another form")
    return _address(found[2] or found[3], found[1] or "")


def _address(spec: str, name: str = "") -> Address:
    local, _, domain = spec.rpartition("@")
    if len(spec) > 254 or not 0 < len(local) <= 64 or not all(c.isprintable() and not c.isspace() for c in spec):
        raise ValueError("no mail address")
    ascii_domain = domain.encode("idna").decode()  # raises UnicodeError, a ValueError
    if not _DOMAIN.fullmatch(ascii_domain):
        raise ValueError("no mail address")
    made = Address(display_name=name, username=local, domain=ascii_domain)
    if (
        made.addr_spec != f"{local}@{ascii_domain}"
    ):  # a name that has to stand in quotes is nobody's, and a way to smuggle
        raise ValueError("no mail address")
    return made


def _recipient(to: str, provider: str) -> Address:
    try:
        return _address(to)
    except ValueError:
        raise DeadAddress("this is no mail address", provider=provider) from None


def _subject(subject: str) -> str:
    line = " ".join("".join(" " if category(c) in _BREAKS else c for c in _sound(subject)).split())
    return line if len(line) <= _MOST_SUBJECT else f"{line[: _MOST_SUBJECT - 1]}…"


def _sound(text: str) -> str:
    """The text without halves of surrogate pairs, which have no UTF-8, and without zero bytes."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "")
