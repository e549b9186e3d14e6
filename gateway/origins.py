"""Whose web pages are ours: those of a list, or, without one, those that came from the very address that was called.

Sockets ask it before a page gets one (ASVS 4.4.2), and HTTP before it looks at a cookie (gateway/http/page_login.py). A
socket is also for the pages of apps (`of_apps`); a cookie never is.
"""

from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import urlsplit


def nobodys(_: str) -> bool:
    """Where no app has pages."""
    return False


def origin_rule(
    allowed: Collection[str], of_apps: Callable[[str], bool] = nobodys
) -> Callable[[str | None, dict[str, Any]], bool]:
    """Whether a page of `origin` may connect: one of `allowed`, or our own address when that is empty, or one of `of_apps`.
    "*" allows all.

    Native apps send no Origin; nothing can be told from that, and the token is what counts.
    """
    listed = frozenset(origin.rstrip("/").lower() for origin in allowed)

    def may_connect(origin: str | None, environ: dict[str, Any]) -> bool:
        if origin is None:
            return True
        if listed:
            is_ours = "*" in listed or origin.lower() in listed
        else:
            is_ours = same_address(origin, str(environ.get("HTTP_HOST", "")))
        return is_ours or of_apps(origin)

    return may_connect


def same_address(origin: str, host: str) -> bool:
    """Whether a page of `origin` was served from `host`. A port that is not named is that of the page's scheme: behind a
    proxy that ends TLS, our own scheme says nothing."""
    try:
        page, here = urlsplit(origin.lower()), urlsplit(f"//{host.lower()}")
        default = {"https": 443, "http": 80}[page.scheme]
        pages, ours = (page.hostname, page.port or default), (here.hostname, here.port or default)
    except (ValueError, KeyError):
        return False
    return page.hostname is not None and pages == ours
