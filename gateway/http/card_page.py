"""A page that is one card, for whoever comes by a link from a mail without an account: no program, no cookie, nothing stored."""

from collections.abc import Container
from html import escape

from aiohttp import hdrs, web

from services.notifications.local import LANGUAGES


def first_language(accepted: str, known: Container[str]) -> str:
    """The first of our languages in Accept-Language, in the order it is written in: browsers write the best first."""
    for one in accepted.lower().split(","):
        language = one.strip().partition(";")[0].partition("-")[0]
        if language in known:
            return language
    return LANGUAGES[0]


def card_page(language: str, title: str, body: str, *, page: str) -> web.Response:
    """The page. `title` is text, `body` HTML; `page` names its class."""
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
            f'<body class="page-{page}"><header class="top"><a class="brand" href="/">Paceline</a></header>'
            f'<main id="main"><section class="narrow"><div class="card form"><h1>{escape(title)}</h1>{body}</div>'
            "</section></main></body></html>"
        ),
    )
