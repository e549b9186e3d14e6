"""Stopping a mail by the link at its end: for mail programs in one click (RFC 8058), for people on a page that asks first.

Looking at the link changes nothing, because scanners of mail look at every link. The POST needs no login, sets no cookie and leads
nowhere else; the token alone is the right to stop this mail, and to nothing more. The page is in the language that the browser
asks for.
"""

from dataclasses import dataclass
from html import escape
from typing import Final
from urllib.parse import quote

from aiohttp import hdrs, web

from gateway.http.ports import GatewayDeps
from services.notifications.local import LANGUAGES
from services.notifications.topics import TOPICS
from services.notifications.unsubscribe import Stopping
from services.notifications.wording import about

PATH: Final = "/unsubscribe"


@dataclass(frozen=True)
class _Page:
    """What the page says in one language. `{about}` is a topic in words."""

    ask: str
    topic: str
    digest: str
    all: str
    stays: str
    button: str
    done: str
    done_topic: str
    done_digest: str
    done_all: str
    change: str


_WORDS: Final = {
    "en": _Page(
        ask="Stop this mail?",
        topic="You would get no more mail of this kind:",
        digest="You would get no more mail that gathers what happened.",
        all="You would get no more mail but what is about the safety of your account.",
        stays="Everything stays in your inbox, and on the other channels that you have chosen.",
        button="Stop this mail",
        done="Stopped",
        done_topic="You get no more mail of this kind:",
        done_digest="You get no more mail that gathers what happened.",
        done_all="You get no more mail but what is about the safety of your account.",
        change="Choose what you are told",
    ),
    "de": _Page(
        ask="Diese Mail abbestellen?",
        topic="Du bekämst keine Mails dieser Art mehr:",
        digest="Du bekämst keine Mails mehr, die sammeln, was geschehen ist.",
        all="Du bekämst keine Mails mehr außer denen zur Sicherheit deines Kontos.",
        stays="In deinem Posteingang bleibt alles, ebenso auf den anderen Wegen, die du gewählt hast.",
        button="Abbestellen",
        done="Abbestellt",
        done_topic="Du bekommst keine Mails dieser Art mehr:",
        done_digest="Du bekommst keine Mails mehr, die sammeln, was geschehen ist.",
        done_all="Du bekommst keine Mails mehr außer denen zur Sicherheit deines Kontos.",
        change="Einstellungen für Benachrichtigungen",
    ),
}


def add_unsubscribe(app: web.Application, deps: GatewayDeps) -> None:
    """Make `app` answer the links of mails."""

    async def ask(request: web.Request) -> web.Response:
        token = _token(request)
        stopping = await deps.notifications.stopping(token)
        words, language = _language(request)
        button = (
            f'<form method="post" action="{PATH}?token={quote(token)}">'
            f'<button class="button button-primary button-wide" type="submit">{escape(words.button)}</button></form>'
        )
        return _answer(language, words.ask, _what(stopping, language, done=False), button)

    async def stop(request: web.Request) -> web.Response:
        token = _token(request)
        stopping = await deps.notifications.stopping(token)
        await deps.notifications.unsubscribe(token)
        words, language = _language(request)
        link = f'<p><a href="/inbox#settings">{escape(words.change)}</a></p>'
        return _answer(language, words.done, _what(stopping, language, done=True), link)

    app.router.add_get(PATH, ask, name="unsubscribe_page")
    app.router.add_post(PATH, stop, name="unsubscribe")


def _token(request: web.Request) -> str:
    return request.query.get("token", "")


def _language(request: web.Request) -> tuple[_Page, str]:
    """The first of our languages in Accept-Language, in the order it is written in: browsers write the best first."""
    for one in request.headers.get(hdrs.ACCEPT_LANGUAGE, "").lower().split(","):
        language = one.strip().partition(";")[0].partition("-")[0]
        if language in _WORDS:
            return _WORDS[language], language
    return _WORDS[LANGUAGES[0]], LANGUAGES[0]


def _what(stopping: Stopping, language: str, *, done: bool) -> str:
    words = _WORDS[language]
    if stopping.digest:
        what = escape(words.done_digest if done else words.digest)
    elif stopping.topic:
        kind = escape(about(TOPICS[stopping.topic], language))
        what = f"{escape(words.done_topic if done else words.topic)} <strong>{kind}</strong>."
    else:
        what = escape(words.done_all if done else words.all)
    return f'<p>{what}</p><p class="muted">{escape(words.stays)}</p>'


def _answer(language: str, title: str, body: str, foot: str) -> web.Response:
    return web.Response(
        content_type="text/html",
        charset="utf-8",
        headers={hdrs.CACHE_CONTROL: "no-store"},
        text=(
            f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta name="color-scheme" content="dark light"><meta name="robots" content="noindex">'
            f"<title>{escape(title)} · Paceline</title>"
            '<link rel="icon" href="/assets/icon.svg" type="image/svg+xml">'
            '<link rel="stylesheet" href="/assets/css/base.css"><script src="/assets/js/theme.js"></script></head>'
            '<body class="page-unsubscribe"><header class="top"><a class="brand" href="/">Paceline</a></header>'
            f'<main id="main"><section class="narrow"><div class="card form"><h1>{escape(title)}</h1>{body}{foot}</div>'
            "</section></main></body></html>"
        ),
    )
