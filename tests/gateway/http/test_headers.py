"""The protective headers of every kind of answer, word by word (OWASP API8, ASVS 3.4)."""

from dataclasses import replace
from ipaddress import ip_network
from typing import Final

import pytest
from aiohttp.test_utils import TestClient, TestServer

from gateway.app import build_app
from gateway.http.pages import PAGES
from gateway.http.ports import WEB_ROOT
from gateway.proxies import TrustedProxies
from tests.gateway.http.conftest import Api

PAGE_POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
DATA_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Server": "paceline",
}
PROTECTIVE: Final = {*ALWAYS, "Content-Security-Policy", "Strict-Transport-Security", "X-Powered-By", "X-Frame-Options"}
ANSWERS: Final = {
    "a page": ("/board", 200, PAGE_POLICY),
    "the page of mails": ("/operations/words", 200, PAGE_POLICY),
    "a script": ("/assets/board.js", 200, DATA_POLICY),
    "the documents": ("/docs", 200, PAGE_POLICY),
    "a document": ("/openapi.json", 200, DATA_POLICY),
    "a probe": ("/livez", 200, DATA_POLICY),
    "data": ("/v1/demo", 404, DATA_POLICY),
    "a refusal": ("/v1/me", 401, DATA_POLICY),
    "nothing": ("/nowhere", 404, DATA_POLICY),
}


@pytest.mark.parametrize("kind", ANSWERS)
async def test_an_answer_carries_these_and_no_others(api: Api, kind: str) -> None:
    url, status, policy = ANSWERS[kind]
    response = await api.call("GET", url)
    assert response.status == status
    carried = {name: value for name, value in response.headers.items() if name in PROTECTIVE}
    assert carried == {**ALWAYS, "Content-Security-Policy": policy}


async def test_no_page_allows_anything_inline(api: Api) -> None:
    """ASVS 3.4.3."""
    async with TestClient(TestServer(build_app(replace(api.deps, web_root=WEB_ROOT)))) as client:
        policies = {url: (await client.get(url)).headers["Content-Security-Policy"] for url in PAGES}
    for url, policy in policies.items():
        assert policy == PAGE_POLICY, url


@pytest.mark.parametrize(
    ("trusted", "said", "there"),
    [
        (True, "https", True),
        (True, "http", False),
        (True, None, False),
        (False, "https", False),
    ],
)
async def test_only_what_leaves_by_https_tells_browsers_to_stay_with_it(
    api: Api, trusted: bool, said: str | None, there: bool
) -> None:
    """ASVS 3.4.1; 4.1.3: who is no proxy of ours cannot make us say it."""
    proxies = TrustedProxies([ip_network("127.0.0.0/8")] if trusted else [])
    headers = {} if said is None else {"X-Forwarded-Proto": said}
    async with TestClient(TestServer(build_app(replace(api.deps, proxies=proxies)))) as client:
        for url in ("/board", "/v1/me", "/assets/board.js"):
            told = (await client.get(url, headers=headers)).headers.get("Strict-Transport-Security")
            assert told == ("max-age=31536000" if there else None)
