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

from gateway.http.card_page import card_page, first_language
from gateway.http.ports import GatewayDeps
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
        return card_page(language, words.ask, _what(stopping, language, done=False) + button, page="unsubscribe")

    async def stop(request: web.Request) -> web.Response:
        token = _token(request)
        stopping = await deps.notifications.stopping(token)
        await deps.notifications.unsubscribe(token)
        words, language = _language(request)
        link = f'<p><a href="/inbox#settings">{escape(words.change)}</a></p>'
        return card_page(language, words.done, _what(stopping, language, done=True) + link, page="unsubscribe")

    app.router.add_get(PATH, ask, name="unsubscribe_page")
    app.router.add_post(PATH, stop, name="unsubscribe")


def _token(request: web.Request) -> str:
    return request.query.get("token", "")


def _language(request: web.Request) -> tuple[_Page, str]:
    language = first_language(request.headers.get(hdrs.ACCEPT_LANGUAGE, ""), _WORDS)
    return _WORDS[language], language


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
