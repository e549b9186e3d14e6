"""Whose web pages are ours: those of a list, or, without one, those that came from the very address that was called.

Sockets ask it before a page gets one (ASVS 4.4.2), and HTTP before it looks at a cookie (gateway/http/page_login.py).
"""

from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import urlsplit


def origin_rule(allowed: Collection[str]) -> Callable[[str | None, dict[str, Any]], bool]:
    """Whether a page of `origin` may connect: one of `allowed`, or our own address when that is empty. "*" allows all.

    Native apps send no Origin; nothing can be told from that, and the token is what counts.
    """
    listed = frozenset(origin.rstrip("/").lower() for origin in allowed)

    def may_connect(origin: str | None, environ: dict[str, Any]) -> bool:
        if origin is None:
            return True
        if listed:
            return "*" in listed or origin.lower() in listed
        return same_address(origin, str(environ.get("HTTP_HOST", "")))

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
