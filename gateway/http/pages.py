"""The pages and what they load, from one folder, as strictly as they deserve.

Every file has a strong ETag, so a browser asks again and gets 304. Only names that carry a version or a hash
(`vendor/socket.io-4.8.1.esm.min.js`, `board.3f2a9c01.css`) may be kept for a year without asking. Files are held in memory
and looked at again when they change on disk. Nothing outside the folder is served, no hidden file, and no type that is not
in the table.

What every page has (its beginning, the brand, the switch of colours, the head of a member's pages) stands once, in `parts/`; a
page, or another part, names it as `<!--#include head-->`.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from services.kernel.problems import NotFound

PAGES: Final = {
    "/": "index.html",
    "/board": "board.html",
    "/display": "display.html",
    "/coach": "coach.html",
    "/script": "script.html",
    "/athlete": "athlete.html",
    "/inbox": "inbox.html",
    "/account": "account.html",
    "/friends": "friends.html",
    "/sign-in": "sign-in.html",
    "/admin": "admin.html",
    "/developer": "developer.html",
    "/organisation": "organisation.html",
    "/oauth/authorize": "authorize.html",
    "/verify": "verify.html",
    "/reset": "reset.html",
    "/cases": "cases.html",
    "/challenges": "challenges.html",
    "/challenge": "challenge.html",
    "/schedule": "schedule.html",
    "/replay": "replay.html",
    "/operations": "operations.html",
    "/operations/words": "words.html",
}
_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain",
    ".md": "text/plain",
}
_TEXT: Final = {"text/html", "text/css", "text/javascript", "text/plain"}
_NAMES_ITS_VERSION: Final = re.compile(r"\d+\.\d+\.\d+|\.[0-9a-f]{8,64}\.")
_INCLUDE: Final = re.compile(rb"<!--#include ([a-z]+)-->")
_A_YEAR: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class _File:
    body: bytes
    etag: str
    seen: list[tuple[int, int]]


class Pages:
    """The files under one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._files: dict[Path, _File] = {}

    def add_to(self, app: web.Application) -> None:
        """Serve the pages at their addresses and everything in `assets/` under /assets/."""
        for url, name in PAGES.items():
            app.router.add_get(url, self._page(name))
        app.router.add_get("/assets/{name:.+}", self._asset)
        app.router.add_get("/favicon.ico", self._icon)

    def _page(self, name: str) -> Handler:
        async def page(request: web.Request) -> web.StreamResponse:
            return self._answer(request, self._root / name)

        return page

    async def _asset(self, request: web.Request) -> web.StreamResponse:
        name = PurePosixPath(request.match_info["name"])
        if any(part.startswith(".") or "\\" in part or "\0" in part for part in name.parts) or name.is_absolute():
            raise NotFound
        return self._answer(request, self._root / "assets" / name)

    async def _icon(self, request: web.Request) -> web.StreamResponse:
        for name in ("favicon.ico", "favicon.svg", "icon.svg"):
            if (self._root / "assets" / name).is_file():
                return self._answer(request, self._root / "assets" / name)
        raise NotFound

    def _answer(self, request: web.Request, path: Path) -> web.StreamResponse:
        kind = _TYPES.get(path.suffix)
        file = self._file(path) if kind is not None else None
        if kind is None or file is None:
            raise NotFound
        headers = {
            hdrs.ETAG: f'"{file.etag}"',
            hdrs.CACHE_CONTROL: _A_YEAR if _NAMES_ITS_VERSION.search(path.name) else "no-cache",
        }
        if any(tag.value in {file.etag, "*"} for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        charset = "utf-8" if kind in _TEXT else None
        return web.Response(body=file.body, content_type=kind, charset=charset, headers=headers)

    def _file(self, path: Path) -> _File | None:
        """The file as it is now, or None. Small files on a local disk: reading one does not hold up the loop."""
        try:
            if not path.resolve().is_relative_to(self._root) or not path.is_file():
                return None
            seen = [(state.st_mtime_ns, state.st_size) for state in (each.stat() for each in self._sources(path))]
            file = self._files.get(path)
            if file is None or file.seen != seen:
                body = _INCLUDE.sub(self._part, path.read_bytes()) if path.suffix == ".html" else path.read_bytes()
                file = self._files[path] = _File(body, hashlib.sha256(body).hexdigest()[:32], seen)
        except (OSError, ValueError):
            self._files.pop(path, None)
            return None
        return file

    def _sources(self, path: Path) -> list[Path]:
        """What a file is made of: itself, and for a page the parts that it may include."""
        return [path, *sorted((self._root / "parts").glob("*.html"))] if path.suffix == ".html" else [path]

    def _part(self, included: re.Match[bytes]) -> bytes:
        part = (self._root / "parts" / f"{included[1].decode()}.html").read_bytes().rstrip()
        return _INCLUDE.sub(self._part, part)
