"""All words, shown to those who write them: every example of every template, in each language, on each channel."""

from typing import Final

import msgspec

from services.notifications.local import LANGUAGES
from services.notifications.ports import Links, MailWords, Reader, Words
from services.notifications.segments import segments
from services.notifications.topics import TOPICS
from services.notifications.wording import DIGEST, DIGEST_VERSION, TEMPLATES, Template, example, example_digest

LINKS: Final = Links(
    open="https://example.org/athlete",
    preferences="https://example.org/inbox#settings",
    unsubscribe="https://example.org/unsubscribe?token=example",
)


class MailPreview(msgspec.Struct, frozen=True):
    """A mail; `html` is a whole page."""

    subject: str
    text: str
    html: str


class ShortPreview(msgspec.Struct, frozen=True):
    """A line of the inbox, or a push."""

    title: str
    body: str


class SmsPreview(msgspec.Struct, frozen=True):
    """A text message, and how many segments it takes."""

    text: str
    segments: int


class Preview(msgspec.Struct, frozen=True):
    """One example of one template in one language. The digest has a mail only."""

    template: str
    version: int
    language: str
    example: int
    mail: MailPreview
    inbox: ShortPreview | None = None
    push: ShortPreview | None = None
    sms: SmsPreview | None = None


class Previews(msgspec.Struct, frozen=True):
    """All of them, by template, then example, then language."""

    previews: tuple[Preview, ...]


def previews(words: Words, time_zone: str) -> Previews:
    """Everything there is to show, as somebody in this time zone reads it."""
    readers = {language: Reader("Jonas", language, time_zone) for language in LANGUAGES}
    shown = [
        _preview(words, template, number, language, reader)
        for template in TEMPLATES
        for number in range(len(template.examples))
        for language, reader in readers.items()
    ]
    shown += [
        Preview(DIGEST, DIGEST_VERSION, language, 0, _mail(words.digest(example_digest(), reader, LINKS)))
        for language, reader in readers.items()
    ]
    return Previews(tuple(shown))


def _preview(words: Words, template: Template, number: int, language: str, reader: Reader) -> Preview:
    notification = example(template, template.examples[number])
    essential = TOPICS[template.name].essential
    links = Links(LINKS.open, LINKS.preferences, None) if essential else LINKS
    inbox, push = words.inbox(notification, reader), words.push(notification, reader)
    sms = words.sms(notification, reader)
    return Preview(
        template.name,
        template.version,
        language,
        number,
        mail=_mail(words.mail(notification, reader, links)),
        inbox=ShortPreview(inbox.title, inbox.body),
        push=ShortPreview(push.title, push.body),
        sms=SmsPreview(sms, segments(sms)),
    )


def _mail(mail: MailWords) -> MailPreview:
    return MailPreview(mail.subject, mail.text, mail.html)
