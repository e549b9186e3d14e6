"""The documents about this server, which are made of the code alone: once in a process, and compressed once.

Two of them are nearly a megabyte and a tenth of that compressed. Whoever accepts gzip gets that, and whoever has the document
already gets 304: each form has an ETag of its own, as caches want it.
"""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from gateway.http import asyncapi, docs_page, openapi
from gateway.http.bodies import JSON

_LONGEST_ACCEPT: Final = 1_024
"""Characters of Accept-Encoding that are looked at; with more, nothing is compressed."""


@dataclass(frozen=True)
class Document:
    """One document in both its forms, and the names of these."""

    kind: str
    plain: bytes
    packed: bytes
    tag: str

    @property
    def packed_tag(self) -> str:
        return f"{self.tag}-gzip"


def add_documents(app: web.Application) -> None:
    """Make `app` answer with the documents."""
    for url, document in documents().items():
        app.router.add_get(url, _serving(document))


@cache
def documents() -> Mapping[str, Document]:
    """All of them by their addresses."""
    return {
        "/openapi.json": _made(JSON, msgspec.json.encode(openapi.document())),
        "/asyncapi.json": _made(JSON, msgspec.json.encode(asyncapi.document())),
        "/docs": _made("text/html", docs_page.page().encode()),
        "/docs.css": _made("text/css", docs_page.STYLE.read_bytes()),
    }


def accepts_gzip(said: str) -> bool:
    """Whether whoever sends this Accept-Encoding (RFC 9110, 12.5.3) takes gzip. It has to say so by name."""
    if len(said) > _LONGEST_ACCEPT:
        return False
    for each in said.split(","):
        coding, _, weight = each.partition(";")
        if coding.strip().lower() == "gzip":
            return weight.replace(" ", "").lower() not in {"q=0", "q=0.", "q=0.0", "q=0.00", "q=0.000"}
    return False


def _made(kind: str, plain: bytes) -> Document:
    return Document(kind, plain, gzip.compress(plain, 6, mtime=0), hashlib.sha256(plain).hexdigest()[:32])


def _serving(document: Document) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        packed = accepts_gzip(request.headers.get(hdrs.ACCEPT_ENCODING, ""))
        headers = {
            hdrs.CACHE_CONTROL: "no-cache",
            hdrs.VARY: hdrs.ACCEPT_ENCODING,
            hdrs.ETAG: f'"{document.packed_tag if packed else document.tag}"',
        }
        if any(tag.value in {document.tag, document.packed_tag, "*"} for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        if packed:
            headers[hdrs.CONTENT_ENCODING] = "gzip"
        body = document.packed if packed else document.plain
        return web.Response(body=body, content_type=document.kind, charset="utf-8", headers=headers)

    return answer
