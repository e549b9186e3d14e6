"""What phones ask a domain about apps."""

from collections.abc import Awaitable, Callable

from services.accounts.native_apps import AndroidApp
from tests.gateway.http.conftest import Api

APP = AndroidApp("org.example.paceline", ":".join(["A7"] * 32))


async def test_a_phone_is_told_which_apps_are_ours(with_deps: Callable[..., Awaitable[Api]]) -> None:
    api = await with_deps(android_apps=(APP,), apple_apps=("ABCDE12345.org.example.paceline",))
    android = await api.call("GET", "/.well-known/assetlinks.json")
    (told,) = await android.json()
    assert told["target"]["sha256_cert_fingerprints"] == [APP.fingerprint]
    apple = await api.call("GET", "/.well-known/apple-app-site-association")
    assert await apple.json() == {"webcredentials": {"apps": ["ABCDE12345.org.example.paceline"]}}
    for answer in (android, apple):
        assert (answer.status, answer.content_type) == (200, "application/json")
        assert answer.headers["Cache-Control"] == "public, max-age=3600"


async def test_without_any_it_is_told_that_there_are_none(api: Api) -> None:
    assert await (await api.call("GET", "/.well-known/assetlinks.json")).json() == []
    apple = await api.call("GET", "/.well-known/apple-app-site-association")
    assert await apple.json() == {"webcredentials": {"apps": []}}
