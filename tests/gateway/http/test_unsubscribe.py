"""The link at the end of a mail: seen by scanners, clicked by people, called by mail programs."""

import re
from typing import Any

import pytest

from services.notifications.topics import TOPICS
from services.notifications.unsubscribe import Stopping, Unsubscribe
from tests.gateway.http.conftest import SECRET, Api
from tests.gateway.http.notified import account_of

ONE_CLICK = {"Content-Type": "application/x-www-form-urlencoded"}


def link(person: dict[str, Any], topic: str = "announcement", *, digest: bool = False) -> str:
    """The address at the end of somebody's mail."""
    token = Unsubscribe(SECRET).token(Stopping(account_of(person), topic, digest=digest))
    return f"/unsubscribe?token={token}"


async def ways(api: Api, person: dict[str, Any]) -> dict[str, str]:
    """How each topic leaves by mail now."""
    view = await (await api.call("GET", "/v1/notification-preferences", token=person["access_token"])).json()
    return {topic["topic"]: topic["channels"]["email"]["way"] for topic in view["topics"]}


async def test_one_click_stops_exactly_that_topic(api: Api) -> None:
    jonas = await api.register()
    before = await ways(api, jonas)
    response = await api.call("POST", link(jonas), b"List-Unsubscribe=One-Click", headers=ONE_CLICK)
    assert response.status == 200
    assert not response.history, "no redirect"
    assert "Set-Cookie" not in response.headers
    assert await ways(api, jonas) == {**before, "announcement": "off"}


@pytest.mark.parametrize("body", [b"", b"List-Unsubscribe=One-Click"])
async def test_one_click_works_as_multipart_without_a_body_and_again(api: Api, body: bytes) -> None:
    jonas = await api.register()
    form = b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'
    multipart = {"Content-Type": "multipart/form-data; boundary=x"}
    assert (await api.call("POST", link(jonas), form, headers=multipart)).status == 200
    assert (await api.call("POST", link(jonas), body, headers=ONE_CLICK)).status == 200
    assert (await ways(api, jonas))["announcement"] == "off"


async def test_looking_at_the_link_stops_nothing(api: Api) -> None:
    jonas = await api.register()
    before = await ways(api, jonas)
    for method in ("GET", "HEAD"):
        assert (await api.call(method, link(jonas))).status == 200
    assert await ways(api, jonas) == before


async def test_the_page_says_what_it_would_stop_and_then_what_it_has(api: Api) -> None:
    jonas = await api.register()
    asked = await api.call("GET", link(jonas))
    page = await asked.text()
    assert asked.content_type == "text/html"
    assert TOPICS["announcement"].about in page
    [action] = re.findall(r'<form method="post" action="([^"]+)"', page)
    done = await api.call("POST", action, b"", headers=ONE_CLICK)
    text = await done.text()
    assert "<h1>Stopped</h1>" in text
    assert 'href="/inbox#settings"' in text
    assert (await ways(api, jonas))["announcement"] == "off"


async def test_the_page_speaks_the_language_of_the_browser(api: Api) -> None:
    jonas = await api.register()
    for accepts, title in {
        "de-AT,de;q=0.9,en;q=0.5": "Diese Mail abbestellen?",
        "fr,de;q=0.8": "Diese Mail abbestellen?",
        "fr": "Stop this mail?",
        "": "Stop this mail?",
    }.items():
        page = await (await api.call("GET", link(jonas), headers={"Accept-Language": accepts})).text()
        assert f"<h1>{title}</h1>" in page


async def test_the_digests_link_stops_what_is_gathered(api: Api) -> None:
    jonas = await api.register()
    before = await ways(api, jonas)
    assert before["class.summarised"] == "digest"
    await api.call("POST", link(jonas, "", digest=True), b"", headers=ONE_CLICK)
    assert await ways(api, jonas) == {**before, "class.summarised": "off"}


async def test_the_link_for_all_leaves_what_is_about_safety(api: Api) -> None:
    jonas = await api.register()
    await api.call("POST", link(jonas, ""), b"", headers=ONE_CLICK)
    after = await ways(api, jonas)
    essential = ("security.login_ended", "security.second_factor", "security.erasure_asked")
    assert [after.pop(topic) for topic in essential] == ["now"] * 3
    assert set(after.values()) == {"off"}


@pytest.mark.parametrize("token", ["", "x", "a" * 500, "ää", "AAAA" * 20])
async def test_a_link_that_is_not_ours_is_a_page_that_says_so(api: Api, token: str) -> None:
    for method in ("GET", "POST"):
        response = await api.call(method, f"/unsubscribe?token={token}", headers={"Accept": "text/html"})
        assert (response.status, response.content_type) == (404, "text/html")


async def test_nobody_can_stop_somebody_elses_mail_with_a_changed_token(api: Api) -> None:
    jonas = await api.register()
    address = link(jonas)
    spoiled = address[:-4] + ("AAAA" if not address.endswith("AAAA") else "BBBB")
    assert (await api.call("POST", spoiled, b"", headers=ONE_CLICK)).status == 404
    assert (await ways(api, jonas))["announcement"] == "now"


async def test_the_page_obeys_the_policy_of_pages(api: Api) -> None:
    response = await api.call("GET", link(await api.register()))
    assert "form-action 'self'" in response.headers["Content-Security-Policy"]
    assert response.headers["Cache-Control"] == "no-store"
    page = await response.text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\bsrc=)", page)
