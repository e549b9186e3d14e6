"""Every template, in every language, on every channel: with its examples, and with the worst that people can type."""

import html
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from uuid import uuid4

import jinja2
import jinja2.meta
import jinja2.nodes
import msgspec
import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from services.kernel.ids import LoginId
from services.notifications import rendering, wording
from services.notifications.contact_letter import ContactLetter
from services.notifications.content import AnnouncementContent, LoginEndedContent, topic_of
from services.notifications.local import LANGUAGES
from services.notifications.notification import Notification
from services.notifications.ports import Links, MailWords, Reader
from services.notifications.rendering import (
    FOLDER,
    PARTS,
    UnknownTemplate,
    Words,
    environment,
    tamed,
)
from services.notifications.segments import MOST_SEGMENTS, segments
from services.notifications.topics import TOPICS
from services.notifications.wording import TEMPLATES, Template, example, example_digest

WORDS = Words()
LINKS = Links(
    open="https://run.example/open?a=1&b=2",
    preferences="https://run.example/inbox#settings",
    unsubscribe="https://run.example/unsubscribe?token=x-Y_z",
)
READERS = [Reader("Jo", locale, zone) for locale, zone in (("en", "America/New_York"), ("de-AT", "Europe/Vienna"))]
EXAMPLES = [
    pytest.param(example(template, content), reader, id=f"{template.name}-{n}-{reader.locale}")
    for template in TEMPLATES
    for n, content in enumerate(template.examples)
    for reader in READERS
]
HOSTILE = {
    "html": "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;",
    "newline": "Subject\r\nBcc: everybody@example.org\n\nHello",
    "rtl": "\u202eمحمد abc",
    "long": "name " * 2_000,
    "template": "{{ 7 * 7 }}{% for x in ().__class__.__base__.__subclasses__() %}{% endfor %}",
    "control": "a\x00b\x1b[31mc\ud800d",
    "emoji": "🚴" * 400,
}


def spoiled(content: Any, typed: str) -> Any:
    """The content with every string in it replaced."""

    def spoil(value: object) -> object:
        match value:
            case str():
                return typed
            case msgspec.Struct():
                return spoiled(value, typed)
            case tuple():
                return tuple(map(spoil, value))
            case _:
                return value

    return msgspec.structs.replace(
        content, **{name: spoil(getattr(content, name)) for name in content.__struct_fields__}
    )


def mails(reader: Reader) -> Iterator[MailWords]:
    """Every mail there is, to one reader."""
    for template in TEMPLATES:
        for content in template.examples:
            yield WORDS.mail(example(template, content), reader, LINKS)
    yield WORDS.digest(example_digest(), reader, LINKS)


class Seen(HTMLParser):
    """What a mail program would make of a mail: its tags, where they lead, and its text."""

    VOID = frozenset({"meta", "br", "img", "link"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.sources: list[str] = []
        self.handlers: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        assert self.open == []

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        self.links += [link for link in (given.get("href"),) if link]
        self.sources += [link for link in (given.get("src"), given.get("background")) if link]
        self.handlers += [name for name in given if name.startswith("on")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if not {"style", "title"} & set(self.open):
            self.words.append(data)


class TestExamples:
    @pytest.mark.parametrize(("notification", "reader"), EXAMPLES)
    def test_an_example_has_words_on_every_channel(self, notification: Notification, reader: Reader) -> None:
        short, push = WORDS.inbox(notification, reader), WORDS.push(notification, reader)
        sms, mail = WORDS.sms(notification, reader), WORDS.mail(notification, reader, LINKS)
        parts = (short.title, short.body, push.title, push.body, sms, mail.subject, mail.text, mail.html)
        for part in parts:
            assert part.strip() == part.rstrip("\n"), "white space around it"
            assert part, "it says nothing"
            assert "None" not in part
        for line in (short.title, push.title, push.body, sms, mail.subject):
            assert "\n" not in line
            assert "  " not in line
        assert segments(sms) <= MOST_SEGMENTS
        assert LINKS.open in mail.text
        assert str(LINKS.unsubscribe) in mail.text
        assert LINKS.preferences in mail.text

    @pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.locale)
    def test_a_mail_is_whole_html_that_loads_nothing(self, reader: Reader) -> None:
        for mail in mails(reader):
            seen = Seen(mail.html)
            assert not seen.tags & {"script", "img", "iframe", "link", "form", "object", "video"}
            assert seen.sources + seen.handlers == []
            assert not re.search(r"url\(|@import", mail.html)
            assert seen.links == [LINKS.open, LINKS.unsubscribe, LINKS.preferences]
            assert f'<html lang="{reader.locale[:2]}"' in mail.html
            assert "prefers-color-scheme: dark" in mail.html
            assert len(mail.html.encode()) < 100_000, "longer mails are cut by some mail programs"

    @pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.locale)
    def test_the_text_says_every_fact_that_the_html_says(self, reader: Reader) -> None:
        for mail in mails(reader):
            facts = set(re.findall(r"\d[\d.,:]*\d|\d", Seen(mail.html).text))
            assert facts
            for fact in facts:
                assert fact in mail.text, f"{fact} is missing from the text of {mail.subject!r}"

    def test_languages_differ(self) -> None:
        english, german = ({mail.subject for mail in mails(reader)} for reader in READERS)
        assert len(english & german) <= 2, "only what people wrote themselves is the same"

    def test_a_reader_of_another_language_gets_english(self) -> None:
        first = example(TEMPLATES[0])
        assert WORDS.inbox(first, Reader("Zoé", "fr-CA", "UTC")) == WORDS.inbox(first, Reader("Jo", "en", "UTC"))

    def test_rendering_twice_gives_the_same_bytes(self) -> None:
        for reader in READERS:
            assert list(mails(reader)) == list(mails(reader))

    def test_what_cannot_be_refused_offers_no_refusal(self) -> None:
        for reader in READERS:
            mail = WORDS.mail(example(TEMPLATES[0]), reader, Links(LINKS.open, LINKS.preferences, None))
            assert "unsubscribe" not in (mail.html + mail.text).lower()
            assert Seen(mail.html).links == [LINKS.open]


def hostile() -> list[Any]:
    return [
        pytest.param(
            example(template, spoiled(content, typed)), typed, reader, id=f"{template.name}-{n}-{kind}-{reader.locale}"
        )
        for template in TEMPLATES
        for n, content in enumerate(template.examples)
        for kind, typed in HOSTILE.items()
        for reader in READERS
    ]


class TestHostileData:
    @pytest.mark.parametrize(("notification", "typed", "reader"), hostile())
    def test_what_people_type_stays_in_its_place(self, notification: Notification, typed: str, reader: Reader) -> None:
        short, push = WORDS.inbox(notification, reader), WORDS.push(notification, reader)
        sms, mail = WORDS.sms(notification, reader), WORDS.mail(notification, reader, LINKS)
        for line in (short.title, push.title, push.body, sms, mail.subject):
            assert len(line.splitlines()) == 1
            assert not re.search(r"[\x00-\x1f\x7f\u202a-\u202e]", line)
            line.encode()  # no half of a surrogate pair
        for text in (short.body, mail.text, mail.html):
            assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e]", text)
            text.encode()
        assert len(short.title) <= 160
        assert len(mail.subject) <= 180
        assert len((push.title + push.body).encode()) <= 1_600
        assert segments(sms) <= MOST_SEGMENTS
        seen = Seen(mail.html)
        assert not seen.tags & {"script", "img"}
        assert seen.handlers == []
        assert seen.links == [LINKS.open, LINKS.unsubscribe, LINKS.preferences]
        assert len(mail.html.encode()) < 100_000
        assert "49" not in short.title + push.title, "a name is no template"

    def test_a_long_name_leaves_the_sentence_around_it_whole(self) -> None:
        content = LoginEndedContent(login_id=LoginId(uuid4()), device="x" * 10_000, ended_at_ms=0)
        words = WORDS.sms(example(TEMPLATES[0], content), READERS[0])
        assert words.startswith("Paceline: A login on xxx")
        assert words.endswith("Log in again where you need it.")

    def test_markup_is_shown_as_it_was_typed(self) -> None:
        content = AnnouncementContent(title="a <b>bold</b> & 'new' word", body="1 < 2\n\n<p>", sender="")
        mail = WORDS.mail(example(TEMPLATES[3], content), READERS[0], LINKS)
        assert "a <b>bold</b> & 'new' word" in Seen(mail.html).text
        assert html.escape("<p>") in mail.html
        assert mail.subject == "a <b>bold</b> & 'new' word"

    def test_a_link_is_no_address_unless_it_looks_like_one(self) -> None:
        for link, leads in {
            "": "/inbox",
            "javascript:alert(1)": "/inbox",
            "//evil.example": "/inbox",
            "/board?code=K7WQ2M": "/board?code=K7WQ2M",
            "https://example.org/": "https://example.org/",
        }.items():
            assert wording.leads_to(AnnouncementContent(title="", body="", sender="", link=link)) == leads


class TestDigest:
    def test_names_what_it_gathers_and_counts_the_rest(self) -> None:
        many = example_digest() * 40
        mail = WORDS.digest(many, READERS[0], LINKS)
        assert mail.subject == "120 pieces of news from Paceline"
        assert "70 more in your inbox." in mail.text
        assert "70 more in your inbox." in mail.html
        assert mail.text.count("Thursday hills is over") == 17

    def test_of_one_day_names_the_day_once(self) -> None:
        mail = WORDS.digest(example_digest()[:1], READERS[1], LINKS)
        assert mail.subject == "1 Neuigkeit von Paceline"
        assert " bis " not in mail.text


class TestTable:
    def test_every_topic_has_a_template_of_its_shape(self) -> None:
        assert {template.name for template in TEMPLATES} == set(TOPICS)
        for template in TEMPLATES:
            for content in template.examples:
                assert type(content) is template.shape
                assert topic_of(content) == template.name

    @pytest.mark.parametrize("language", LANGUAGES[1:])
    def test_every_topic_says_what_it_is_about_in_every_language(self, language: str) -> None:
        for topic in TOPICS.values():
            assert wording.about(topic, "en-GB") == topic.about
            assert wording.about(topic, language) != topic.about

    @pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: f"{template.name}/{template.version}")
    def test_a_template_names_nothing_but_its_content(self, template: Template) -> None:
        jinja = environment()
        known = {*template.shape.__struct_fields__, "links", "local", "words", "frame", "parts"}
        for file in sorted((FOLDER / template.name / str(template.version)).iterdir()):
            named = jinja2.meta.find_undeclared_variables(jinja.parse(file.read_text()))
            assert named <= known, f"{file.name} names {', '.join(sorted(named - known))}"

    def test_the_layout_names_nothing_but_what_all_mails_have(self) -> None:
        jinja = environment()
        for file in sorted((FOLDER / "mail" / "1").iterdir()):
            named = jinja2.meta.find_undeclared_variables(jinja.parse(file.read_text()))
            assert named <= {"links", "local", "words", "frame"}, file.name

    def test_the_examples_walk_through_every_turn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        taken: dict[str, set[bool]] = {}
        monkeypatch.setattr(rendering, "environment", lambda folder: noting(environment(folder), taken))
        words = Words()
        for template in TEMPLATES:
            for notification in (example(template, content) for content in template.examples):
                for reader in READERS:
                    for say in (words.inbox, words.push, words.sms):
                        say(notification, reader)
                    words.mail(notification, reader, LINKS)
                    words.mail(notification, reader, Links(LINKS.open, LINKS.preferences, None))
        for reader in READERS:
            for notifications in (example_digest(), example_digest()[:1], example_digest() * 20):
                words.digest(notifications, reader, LINKS)
            for told in (True, False):
                words.contact(ContactLetter("alarm", "Ben", "Ada", "over_limit", 1, coach_told=told), reader, LINKS)
        assert len(taken) > 20
        assert [turn for turn, came_out in taken.items() if len(came_out) < 2] == []


def _ifs(tree: jinja2.nodes.Template) -> Iterator[jinja2.nodes.If | jinja2.nodes.CondExpr]:
    yield from tree.find_all(jinja2.nodes.If)
    yield from tree.find_all(jinja2.nodes.CondExpr)


def noting(jinja: ImmutableSandboxedEnvironment, taken: dict[str, set[bool]]) -> ImmutableSandboxedEnvironment:
    """The environment, with every `if` noting how its test came out."""
    parse = jinja._parse

    def parsed(source: str, name: str | None, filename: str | None) -> jinja2.nodes.Template:
        tree = parse(source, name, filename)
        if name is None:
            return tree  # only looked at
        for number, node in enumerate(_ifs(tree)):
            turn = f"{name} line {node.lineno}, test {number}"
            taken[turn] = set()
            node.test = jinja2.nodes.Filter(node.test, "noted", [jinja2.nodes.Const(turn)], [], None, None)
            node.test.set_lineno(node.lineno).set_environment(jinja)
        return tree

    def noted(value: object, turn: str) -> object:
        taken[turn].add(bool(value))
        return value

    jinja.filters["noted"] = noted
    monkey: Any = jinja
    monkey._parse = parsed
    return jinja


def test_every_template_is_whole() -> None:
    Words().check()


class TestVersions:
    def test_an_old_notification_says_what_it_said(self, tmp_path: Path) -> None:
        copy_of(FOLDER, tmp_path)
        newer = tmp_path / "announcement" / "2"
        newer.mkdir()
        for file in (tmp_path / "announcement" / "1").iterdir():
            (newer / file.name).write_text(file.read_text().replace("{{ title }}", "New: {{ title }}"))
        second = msgspec.structs.replace(TEMPLATES[3], version=2)
        words = Words((*TEMPLATES, second), tmp_path)
        assert words.version("announcement") == 2
        assert words.inbox(example(TEMPLATES[3]), READERS[0]).title == "New bikes in hall 2"
        assert words.inbox(example(second), READERS[0]).title == "New: New bikes in hall 2"

    def test_a_version_that_was_removed_is_named(self) -> None:
        gone = msgspec.structs.replace(example(TEMPLATES[0]), version=9)
        with pytest.raises(UnknownTemplate, match=r"security\.login_ended' in version 9"):
            WORDS.inbox(gone, READERS[0])
        with pytest.raises(UnknownTemplate, match="birthday"):
            WORDS.version("birthday")

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_a_template_without_a_language_is_refused(self, language: str, tmp_path: Path) -> None:
        copy_of(FOLDER, tmp_path)
        (tmp_path / "announcement" / "1" / f"{language}.j2").unlink()
        with pytest.raises(ValueError, match=f"no announcement/1/{language}.j2"):
            Words(folder=tmp_path).check()

    @pytest.mark.parametrize("part", PARTS)
    def test_a_template_without_a_part_is_refused(self, part: str, tmp_path: Path) -> None:
        copy_of(FOLDER, tmp_path)
        file = tmp_path / "announcement" / "1" / "de.j2"
        file.write_text(file.read_text().replace(f"macro {part}(", "macro other("))
        with pytest.raises(ValueError, match=f"no macro for {part}"):
            Words(folder=tmp_path).check()


def test_a_name_that_is_not_declared_is_an_error_and_no_hole(tmp_path: Path) -> None:
    copy_of(FOLDER, tmp_path)
    file = tmp_path / "announcement" / "1" / "en.j2"
    file.write_text(file.read_text().replace("{{ title }}", "{{ titel }}"))
    with pytest.raises(jinja2.UndefinedError, match="titel"):
        Words(folder=tmp_path).inbox(example(TEMPLATES[3]), READERS[0])


def test_taming_reaches_what_is_inside() -> None:
    content = TEMPLATES[2].examples[0]
    place = tamed(spoiled(content, "a\nb" * 100), line=10, prose=10).top[0]
    assert place.name == "a ba ba b…"


def copy_of(folder: Path, to: Path) -> None:
    """The templates, to be spoiled."""
    for file in folder.rglob("*.j2"):
        copy = to / file.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(file.read_text())
