"""The pages and what they load."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from yarl import URL

from gateway.http.pages import PAGES
from gateway.http.ports import WEB_ROOT
from tests.gateway.http.conftest import Api


@pytest.mark.parametrize(
    ("url", "title"),
    [
        ("/", "index"),
        ("/board", "board"),
        ("/board?code=K7WQ2M", "board"),
        ("/display", "display"),
        ("/coach", "coach"),
        ("/athlete", "athlete"),
        ("/operations", "operations"),
    ],
)
async def test_each_page_has_its_address(api: Api, url: str, title: str) -> None:
    response = await api.call("GET", url)
    assert (response.status, response.content_type, response.charset) == (200, "text/html", "utf-8")
    assert f"<title>{title}</title>" in await response.text()


async def test_a_file_that_has_not_changed_is_not_sent_again(api: Api) -> None:
    first = await api.call("GET", "/assets/board.js")
    assert (first.content_type, first.headers["Cache-Control"]) == ("text/javascript", "no-cache")
    tag = first.headers["ETag"]
    for asked in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        again = await api.call("GET", "/assets/board.js", headers={"If-None-Match": asked})
        assert (again.status, await again.read()) == (304, b"")
    other = await api.call("GET", "/assets/board.js", headers={"If-None-Match": '"other"'})
    assert other.status == 200


@pytest.mark.parametrize("url", ["/", "/board?code=K7WQ2M", "/coach", "/athlete", "/assets/board.js"])
async def test_an_answer_that_nothing_has_changed_keeps_the_policy(api: Api, url: str) -> None:
    first = await api.call("GET", url)
    again = await api.call("GET", url, headers={"If-None-Match": first.headers["ETag"]})

    assert (first.status, again.status) == (200, 304)
    assert again.headers["Content-Security-Policy"] == first.headers["Content-Security-Policy"]


async def test_a_file_that_has_changed_is_sent_with_another_tag(api: Api, web_root: Path) -> None:
    tag = (await api.call("GET", "/assets/board.js")).headers["ETag"]
    (web_root / "assets" / "board.js").write_text("export const version = 22;")
    response = await api.call("GET", "/assets/board.js", headers={"If-None-Match": tag})
    assert (response.status, await response.text()) == (200, "export const version = 22;")


async def test_a_page_has_the_parts_that_it_names_and_another_tag_when_one_of_them_changes(
    api: Api, web_root: Path
) -> None:
    (web_root / "parts").mkdir()
    part = web_root / "parts" / "brand.html"
    part.write_text("<b>Paceline</b>\n")
    (web_root / "board.html").write_text("<p><!--#include brand--></p>")
    first = await api.call("GET", "/board")
    assert await first.text() == "<p><b>Paceline</b></p>"
    part.write_text("<b>Paceline 2</b>\n")
    second = await api.call("GET", "/board", headers={"If-None-Match": first.headers["ETag"]})
    assert (second.status, await second.text()) == (200, "<p><b>Paceline 2</b></p>")
    assert (await api.call("GET", "/parts/brand.html")).status == 404


@pytest.mark.parametrize("url", PAGES)
async def test_every_part_that_a_page_of_ours_names_is_there(
    with_deps: Callable[..., Awaitable[Api]], url: str
) -> None:
    api = await with_deps(web_root=WEB_ROOT)
    page = await (await api.call("GET", url)).text()
    assert "#include" not in page
    assert page.count('<meta charset="utf-8">') == page.count('href="#main"') == page.count("data-theme-toggle") == 1


async def test_only_a_name_with_a_version_or_a_hash_is_kept_for_a_year(api: Api, web_root: Path) -> None:
    (web_root / "assets" / "app.3f2a9c01.css").write_text("a{}")
    for name, kept in (("vendor/socket.io-4.8.1.esm.min.js", True), ("app.3f2a9c01.css", True), ("board.js", False)):
        response = await api.call("GET", f"/assets/{name}")
        assert response.status == 200
        assert ("immutable" in response.headers["Cache-Control"]) == kept
    assert "immutable" not in (await api.call("GET", "/board")).headers["Cache-Control"]


@pytest.mark.parametrize(
    "url",
    [
        "/assets/../outside.js",
        "/assets/..%2f..%2foutside.js",
        "/assets/%2e%2e/%2e%2e/outside.js",
        "/assets/%2fetc/passwd.txt",
        "/assets//etc/passwd",
        "/assets/.secret.js",
        "/assets/vendor",
        "/assets/",
        "/assets/board.py",
        "/assets/board.js%00.css",
        "/assets/" + "a" * 300 + ".js",
        "/assets/link.js",
        "/favicon.ico",
        "/index.html",
    ],
)
async def test_nothing_else_is_served(api: Api, web_root: Path, url: str) -> None:
    (web_root / "assets" / "link.js").symlink_to(web_root.parent / "outside.js")
    (web_root / "assets" / "board.py").write_text("no")
    response = await api.client.get(URL(url, encoded=True))
    assert response.status == 404
    assert await response.text() != "no"


async def test_no_page_allows_inline_styles(api: Api) -> None:
    policies = {url: (await api.call("GET", url)).headers["Content-Security-Policy"] for url in PAGES}
    assert not [url for url, policy in policies.items() if "unsafe-inline" in policy]
    assert not any("unsafe-eval" in policy or "script-src" in policy for policy in policies.values())
