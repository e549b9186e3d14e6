"""The body of a request: of which kind it says that it is, and reading it in time. Everything that takes one reads it here.

aiohttp has an attribute for the kind, `content_type`, and one for the charset. Behind both is the parser of mail headers of the
standard library, which takes time by the square of the header's length (8 KB of `;a` held the event loop for 0.39 s) and gives up
with a RecursionError on 4 KB of brackets. A kind is a word before the first `;`, and that is all that is asked here.
"""

import asyncio
from typing import Final

from aiohttp import hdrs, web

from services.kernel.problems import BadJson, TooLarge

MAX_BODY: Final = 64 * 1024
"""Bytes of a request body. The largest shape needs one; the rest is room for names."""
BODY_TIMEOUT_S: Final = 15.0
"""How long a body may take to arrive."""
JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
_LONGEST_KIND: Final = 256
"""Characters of a Content-Type. A form with its charset has 48; what is longer than this is no kind at all."""
_UTF8: Final = frozenset({"utf-8", "utf8"})


def media_type(request: web.BaseRequest) -> str:
    """The kind of body that a request says it has, in small letters and without parameters; "" where it says none."""
    return _kind(request).partition(";")[0].strip().lower()


def is_utf8(request: web.BaseRequest) -> bool:
    """Whether the body is in UTF-8 as far as the request says: it names no charset, or that one. One in quotes with a `;` in them
    is read as no word at all, and so is not it."""
    for parameter in _kind(request).split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in _UTF8:
            return False
    return True


async def read_body(request: web.Request) -> bytes:
    """The whole body. Raises TooLarge, and BadJson when it does not arrive in time; aiohttp then closes the line, because the rest
    would be read as the next request."""
    if request.content_length is not None and request.content_length > MAX_BODY:
        raise TooLarge(f"a body has at most {MAX_BODY} bytes", limit=MAX_BODY)
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await request.read()  # the application's client_max_size stops one without a length at MAX_BODY
    except TimeoutError as cause:
        raise BadJson(f"the body did not arrive within {BODY_TIMEOUT_S:g} s") from cause


def _kind(request: web.BaseRequest) -> str:
    said = request.headers.get(hdrs.CONTENT_TYPE, "")
    return said if len(said) <= _LONGEST_KIND else ""
