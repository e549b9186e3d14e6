"""What an app may be called, and where it may send people back to."""

import uuid

import pytest

from services.apps.app import App, AppKind, app_name, is_origin, leads_to, origins_of, redirect_uris
from services.kernel.ids import AccountId, AppId
from services.kernel.problems import BadShape

NUMBER = uuid.UUID(int=1)


def app(*uris: str, kind: AppKind = "public") -> App:
    return App(AppId(NUMBER), AccountId(NUMBER), "Pulse", kind, uris, 0)


@pytest.mark.parametrize(
    "uri",
    [
        "https://pulse.example/callback",
        "https://pulse.example",
        "https://pulse.example:8443/cb?tenant=1",
        "http://127.0.0.1/cb",
        "http://127.0.0.1:4000/",
        "http://[::1]:4000/cb",
    ],
)
def test_these_can_be_redirect_uris(uri: str) -> None:
    assert redirect_uris((uri, uri)) == (uri,)


@pytest.mark.parametrize(
    "uri",
    [
        "http://pulse.example/callback",
        "http://localhost/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://127.0.0.2/cb",
        "http://2130706433/cb",
        "https://user@pulse.example/cb",
        "https://pulse.example/cb#fragment",
        "https://pulse.example\\@evil.example/",
        "https://*.pulse.example/cb",
        "https://pulse.example/cb ",
        "https://pulse.example/\u0440",
        "https://pul\u0455e.example/cb",
        "https://PULSE.example/cb",
        "pulse://callback",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://",
        "https:///cb",
        "https://pulse.example:99999999/cb",
        "https://pulse.example/" + "a" * 500,
        "https://pulse.example/cb\n",
    ],
)
def test_these_cannot(uri: str) -> None:
    """ASVS 10.4.1: nothing in them that two readers could read differently."""
    with pytest.raises(BadShape) as refused:
        redirect_uris(("https://pulse.example/ok", uri))
    assert refused.value.path == "$.redirect_uris[1]"


def test_a_loopback_address_leads_to_the_app_on_any_port_and_nothing_else_does() -> None:
    """RFC 8252, 7.3."""
    native = app("http://127.0.0.1/cb")
    assert leads_to(native, "http://127.0.0.1:51234/cb")
    for other in (
        "http://127.0.0.1:51234/other",
        "http://127.0.0.1:51234/cb?x=1",
        "http://127.0.0.1:51234",
        "http://127.0.0.1:0/cb",
        "http://127.0.0.1:51234/cb#x",
        "http://[::1]:51234/cb",
        "http://localhost:51234/cb",
        "https://127.0.0.1:51234/cb",
        "http://127.0.0.1:51234@evil.example/cb",
    ):
        assert not leads_to(native, other), other
    assert not leads_to(app("https://pulse.example/cb"), "https://pulse.example:444/cb")


def test_only_what_nobody_else_can_receive_proves_itself() -> None:
    assert app("http://127.0.0.1/cb", kind="confidential").proves_itself
    assert app("https://pulse.example/cb").proves_itself
    assert not app("https://pulse.example/cb", "http://127.0.0.1/cb").proves_itself


@pytest.mark.parametrize(
    "name", ["Paceline", "the PACELINE team", "Pace line", "\uff30aceline", "", "\u202ePulse", "a" * 500]
)
def test_an_app_may_not_be_named_as_if_it_were_ours(name: str) -> None:
    """ASVS 10.7.2: look-alikes on the page that asks."""
    with pytest.raises(BadShape):
        app_name(name)


def test_a_name_is_written_as_people_read_it() -> None:
    assert app_name("  Pulse   Diary ") == "Pulse Diary"


def test_the_origins_of_an_app_are_as_a_browser_writes_them() -> None:
    uris = (
        "https://pulse.example/callback",
        "https://pulse.example/other?a=b",
        "https://pulse.example:443/third",
        "https://pulse.example:8443/cb",
        "http://127.0.0.1/cb",
        "http://127.0.0.1:80/cb",
        "http://127.0.0.1:5173",
        "http://[::1]:4000/cb",
    )
    assert redirect_uris(uris) == uris
    origins = ("https://pulse.example", "https://pulse.example:8443", "http://127.0.0.1", "http://127.0.0.1:5173")
    assert origins_of(uris) == (*origins, "http://[::1]:4000")
    assert all(map(is_origin, origins_of(uris)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "*",
        "https://",
        "https://pulse.example/",
        "https://PULSE.example",
        "ftp://pulse.example",
        "a" * 9_000,
    ],
)
def test_what_no_browser_sends_for_an_app_is_no_origin(text: str) -> None:
    """ASVS 3.4.2: it is not even looked up."""
    assert not is_origin(text)
