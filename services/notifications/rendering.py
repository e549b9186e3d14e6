"""From a notification to the words on each channel: fulfils `ports.Words`.

`Words` compiles a template when it is first said, and once; all of them take a third of a second, which no program that starts and
no test has to wait for. That each is whole is what `Words.check` says, to the tests. Rendering is pure: the same notification,
reader and links give the same bytes, so a message that is sent again says the same.

A template has one file of words for each language, `<language>.j2`, with a macro for each part, and `mail.html.j2`, which is how
its mail looks in any language: it takes the words from there. In the HTML everything is escaped. In plain text there is
nothing to escape, because each part becomes what taming leaves of it: one line where one line is meant.

The parts are bounded, in characters: what people typed is cut first, so that the sentence around it stays whole, and the whole
part is cut at last, for a template that is longer than it should be.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import jinja2
import msgspec
from jinja2.runtime import Context, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import pass_context

from services.notifications import segments, taming, wording
from services.notifications.account_letter import AccountLetter
from services.notifications.contact_letter import ContactLetter
from services.notifications.local import LANGUAGES, Local
from services.notifications.notification import Notification
from services.notifications.phone import LIFE_MS
from services.notifications.ports import Links, MailWords, Reader, Short
from services.notifications.wording import (
    ACCOUNT,
    ACCOUNT_VERSION,
    CODE,
    CODE_VERSION,
    CONTACT,
    CONTACT_VERSION,
    DIGEST,
    DIGEST_VERSION,
    PROSE,
    TEMPLATES,
    Template,
)

FOLDER: Final = Path(__file__).parent / "templates"
MAIL_PARTS: Final = ("mail_subject", "mail_preheader", "mail_button", "mail_text")
CODE_PARTS: Final = ("sms_text",)
CONTACT_PARTS: Final = (*MAIL_PARTS, "footer", "sms_text")
ACCOUNT_PARTS: Final = (*MAIL_PARTS, "why")
PARTS: Final = ("inbox_title", "inbox_body", *MAIL_PARTS, "push_title", "push_body", "sms_text")
"""What a file of words has macros for; that of the digest for `MAIL_PARTS`, that of a code for `CODE_PARTS`, those to a
contact for `CONTACT_PARTS`, of which `mail_button` may be empty: there is none then; those about an account for `ACCOUNT_PARTS`.
`inbox_body` and `mail_text` may have several lines, the others are one."""

_FRAME: Final = "mail/1"
"""Where the layout of mails is. A new look is a new version, so that an old mail that is sent again looks as it did."""
_NAME: Final = 80
"""Characters that are left of a name or title in the inbox and in mail: as many as the API takes."""
_PUSH_NAME: Final = 48
_SMS_NAMES: Final = (40, 24, 12, 6)
"""Tried from the left until the message fits its segments."""
_CONTACT_SEGMENTS: Final = 3
"""What a text message to an emergency contact takes in the GSM alphabet: it has a link of 95 characters and says what to do.
One with other characters takes more, with the name as short as it can be: the link and what to do are never cut."""
_PROSE: Final = 4_000
_INBOX_PROSE: Final = 1_000
_PUSH_PROSE: Final = 200
_SMS_PROSE: Final = 60
_TITLE: Final = 160
_INBOX_BODY: Final = 1_200
_SUBJECT: Final = 180
"""A subject stays below the 998 octets of a line of RFC 5322 even if every character takes four of them."""
_MAIL_TEXT: Final = 20_000
_PUSH_TITLE: Final = 100
_PUSH_BODY: Final = 300
"""With the title at most 1,600 octets of UTF-8, of the 4,096 that Apple's and the browsers' push services take in all."""
_SMS_TEXT: Final = 1_000
_IN_A_DIGEST: Final = 50
"""Entries of one digest; the others are counted."""


class UnknownTemplate(LookupError):  # noqa: N818 - it says what is unknown
    """There is no template of this name and version, though a notification names it: it was removed while some were stored."""


class Words:
    """All templates of a folder."""

    def __init__(self, templates: Iterable[Template] = TEMPLATES, folder: Path = FOLDER) -> None:
        self._jinja: Final = environment(folder)
        self._templates: Final = tuple(templates)
        self._newest: Final = wording.newest(self._templates) | {DIGEST: DIGEST_VERSION}
        self._places: Final = frozenset(f"{template.name}/{template.version}" for template in self._templates)

    def check(self) -> None:
        """Compile them all. Raises ValueError for one that lacks a language or a part."""
        for name in self._names(self._templates):
            self._file(name)

    def version(self, template: str) -> int:
        """See `ports.Words.version`."""
        if template not in self._newest:
            raise UnknownTemplate(f"there is no template {template!r}")
        return self._newest[template]

    def inbox(self, notification: Notification, reader: Reader) -> Short:
        """As the inbox shows it. All of these raise UnknownTemplate."""
        said = self._say(notification, reader, line=_NAME, prose=_INBOX_PROSE)
        return Short(said.line("inbox_title", _TITLE), said.prose("inbox_body", _INBOX_BODY))

    def push(self, notification: Notification, reader: Reader) -> Short:
        """As a device shows it."""
        said = self._say(notification, reader, line=_PUSH_NAME, prose=_PUSH_PROSE)
        return Short(said.line("push_title", _PUSH_TITLE), said.line("push_body", _PUSH_BODY))

    def sms(self, notification: Notification, reader: Reader) -> str:
        """As a text message of at most `segments.MOST_SEGMENTS`."""
        text = ""
        for most in _SMS_NAMES:
            said = self._say(notification, reader, line=most, prose=max(most, _SMS_PROSE))
            text = segments.plain(said.line("sms_text", _SMS_TEXT))
            if segments.segments(text) <= segments.MOST_SEGMENTS:
                break
        return segments.fitted(text)

    def code(self, code: str, reader: Reader) -> str:
        """The text message that a telephone number is proved with."""
        local = Local(reader.locale, reader.time_zone)
        file = self._file(f"{CODE}/{CODE_VERSION}/{local.language}.j2")
        said = _Said(file, {"code": code, "life_ms": LIFE_MS, "local": local}, local.language)
        return segments.fitted(segments.plain(said.line("sms_text", _SMS_TEXT)))

    def contact(self, letter: ContactLetter, reader: Reader, links: Links) -> MailWords:
        """A letter to an emergency contact."""
        local = Local(reader.locale, reader.time_zone)
        fit = tamed(letter, line=_NAME, prose=_PROSE)
        values = {name: getattr(fit, name) for name in fit.__struct_fields__}
        place = f"{CONTACT[letter.says]}/{CONTACT_VERSION}"
        file = self._file(f"{place}/{local.language}.j2")
        said = _Said(file, {**values, "local": local, "links": links}, local.language)
        mail = self._framed(place, said, links)
        button = said.line("mail_button", _SUBJECT)
        parts = [said.prose("mail_text", _MAIL_TEXT), *([f"{button}:\n{links.open}"] if button else [])]
        return MailWords(mail.subject, "\n\n".join(parts) + f"\n\n-- \n{said.prose('footer', _MAIL_TEXT)}\n", mail.html)

    def account(self, letter: AccountLetter, reader: Reader, links: Links) -> MailWords:
        """A mail about an account."""
        local = Local(reader.locale, reader.time_zone)
        fit = tamed(letter, line=_NAME, prose=_PROSE)
        values = {**{name: getattr(fit, name) for name in fit.__struct_fields__}, "email": letter.email}
        place = f"{ACCOUNT[letter.says]}/{ACCOUNT_VERSION}"
        said = _Said(
            self._file(f"{place}/{local.language}.j2"), {**values, "local": local, "links": links}, local.language
        )
        mail = self._framed(place, said, links)
        parts = [said.prose("mail_text", _MAIL_TEXT), f"{said.line('mail_button', _SUBJECT)}:\n{links.open}"]
        return MailWords(mail.subject, "\n\n".join(parts) + f"\n\n-- \n{said.line('why', _MAIL_TEXT)}\n", mail.html)

    def contact_sms(self, letter: ContactLetter, reader: Reader, link: str) -> str:
        """A letter to an emergency contact as a text message; the link is always whole."""
        local = Local(reader.locale, reader.time_zone)
        file = self._file(f"{CONTACT[letter.says]}/{CONTACT_VERSION}/{local.language}.j2")
        text = ""
        for most in _SMS_NAMES:
            fit = tamed(letter, line=most, prose=most)
            values = {name: getattr(fit, name) for name in fit.__struct_fields__}
            said = _Said(file, {**values, "local": local, "links": Links(link, link, None)}, local.language)
            text = segments.plain(f"{said.line('sms_text', _SMS_TEXT)} {link}")
            if segments.segments(text) <= _CONTACT_SEGMENTS:
                break
        return text

    def mail(self, notification: Notification, reader: Reader, links: Links) -> MailWords:
        """As an e-mail."""
        said = self._say(notification, reader, line=_NAME, prose=_PROSE, links=links)
        return self._framed(f"{notification.template}/{notification.version}", said, links)

    def digest(self, notifications: Sequence[Notification], reader: Reader, links: Links) -> MailWords:
        """Several in one e-mail, oldest first, each as the inbox shows it."""
        local = Local(reader.locale, reader.time_zone)
        entries = [
            {"at_ms": notification.told_at_ms, "title": short.title, "body": short.body}
            for notification in notifications[:_IN_A_DIGEST]
            for short in (self.inbox(notification, reader),)
        ]
        values = {
            "entries": entries,
            "left_out": len(notifications) - len(entries),
            "local": local,
            "links": links,
        }
        place = f"{DIGEST}/{DIGEST_VERSION}"
        return self._framed(place, _Said(self._file(f"{place}/{local.language}.j2"), values, local.language), links)

    def _say(
        self, notification: Notification, reader: Reader, *, line: int, prose: int, links: Links | None = None
    ) -> "_Said":
        local = Local(reader.locale, reader.time_zone)
        place = f"{notification.template}/{notification.version}"
        if place not in self._places:
            raise UnknownTemplate(f"there is no template {notification.template!r} in version {notification.version}")
        content = tamed(notification.content, line=line, prose=prose)
        values = {name: getattr(content, name) for name in content.__struct_fields__}
        file = self._file(f"{place}/{local.language}.j2")
        return _Said(file, {**values, "local": local, "links": links}, local.language)

    def _framed(self, place: str, said: "_Said", links: Links) -> MailWords:
        frame = _Parts(self._file(f"{_FRAME}/{said.language}.j2"), said.values)
        lines = {part: said.line(part, _SUBJECT) for part in ("mail_subject", "mail_preheader", "mail_button")}
        words = _Parts(said.file, said.values, **lines)
        html = self._file(f"{place}/mail.html.j2").render(said.values, words=words, frame=frame)
        text = (
            f"{said.prose('mail_text', _MAIL_TEXT)}\n\n"
            f"{lines['mail_button']}:\n{links.open}\n\n"
            f"-- \n{frame['footer']}\n"
        )
        return MailWords(lines["mail_subject"], text, html)

    def _file(self, name: str) -> jinja2.Template:
        return self._jinja.get_template(name)  # keeps all that it has compiled

    def _names(self, templates: Iterable[Template]) -> Iterable[str]:
        """The files that are rendered. Raises ValueError when one is missing, or a part in it."""
        kept = set(self._jinja.list_templates())
        places = {f"{template.name}/{template.version}": PARTS for template in templates}
        special = {_FRAME: (), f"{CODE}/{CODE_VERSION}": CODE_PARTS, f"{DIGEST}/{DIGEST_VERSION}": MAIL_PARTS}
        letters = {f"{name}/{CONTACT_VERSION}": CONTACT_PARTS for name in CONTACT.values()}
        accounts = {f"{name}/{ACCOUNT_VERSION}": ACCOUNT_PARTS for name in ACCOUNT.values()}
        for place, parts in {**special, **letters, **accounts, **places}.items():
            for file in (f"{place}/{language}.j2" for language in LANGUAGES):
                if file not in kept:
                    raise ValueError(f"there is no {file}: every template is written in {' and '.join(LANGUAGES)}")
                if lacking := set(parts) - self._macros(file):
                    raise ValueError(f"{file} has no macro for {', '.join(sorted(lacking))}")
                yield file
            if "mail_text" in parts:
                yield f"{place}/mail.html.j2"

    def _macros(self, file: str) -> set[str]:
        source, _, _ = cast(jinja2.BaseLoader, self._jinja.loader).get_source(self._jinja, file)
        return {macro.name for macro in self._jinja.parse(source).find_all(jinja2.nodes.Macro)}


class _Parts:
    """What a file of words says, by the names of its macros and lists. The parts are made when they are asked for, because no
    channel wants all; and they are made here and handed on as plain text, because a macro that is called from a file of HTML
    would take its own result for HTML."""

    def __init__(self, file: jinja2.Template, values: Mapping[str, object], **ready: str) -> None:
        self._module: Final = file.make_module(dict(values))
        self._ready: Final = ready

    def __getitem__(self, name: str) -> object:
        if name in self._ready:
            return self._ready[name]
        try:
            found = getattr(self._module, name)
        except AttributeError as missing:
            raise KeyError(name) from missing
        return str(found()).strip() if isinstance(found, Macro) else found


class _Said:
    """A template that is about to be said to somebody."""

    def __init__(self, file: jinja2.Template, values: Mapping[str, object], language: str) -> None:
        self.file: Final = file
        self.values: Final = values
        self.language: Final = language
        self._parts: Final = _Parts(file, values)

    def line(self, name: str, most: int) -> str:
        """A part that is one line of at most `most` characters."""
        return taming.shortened(" ".join(str(self._parts[name]).split()), most)

    def prose(self, name: str, most: int) -> str:
        """A part that may have several lines."""
        return taming.shortened(str(self._parts[name]), most)


def environment(folder: Path = FOLDER) -> ImmutableSandboxedEnvironment:
    """What the templates are compiled in: strict about names, deaf to anything that is not data."""
    jinja = ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
    )
    writers = ("number", "span", "time", "date", "moment", "count")
    jinja.filters.update({name: _writer(name) for name in writers})
    return jinja


def _writer(name: str) -> Callable[..., str]:
    """A filter that writes as the reader does: `{{ duration_ms|span }}`."""

    @pass_context
    def write(context: Context, *arguments: Any) -> str:
        return cast(str, getattr(context["local"], name)(*arguments))

    return write


S = TypeVar("S", bound=msgspec.Struct)


def tamed(content: S, *, line: int, prose: int) -> S:
    """The same content with its strings made fit to be read: of a line `line` characters are left, of prose `prose`."""
    several = PROSE.get(type(content), frozenset())

    def fit(name: str, value: object) -> object:
        match value:
            case str():
                return taming.prose(value, prose) if name in several else taming.line(value, line)
            case msgspec.Struct():
                return tamed(value, line=line, prose=prose)
            case tuple():
                return tuple(fit(name, each) for each in value)
            case _:
                return value

    values = {name: fit(name, getattr(content, name)) for name in content.__struct_fields__}
    return msgspec.structs.replace(content, **values)
