"""The operator's preview of all words."""

from collections.abc import Awaitable, Callable

from gateway.admin_token import AdminToken
from services.notifications.local import LANGUAGES
from services.notifications.wording import TEMPLATES
from tests.gateway.http.conftest import Api

TOKEN = "kettle-moss-anchor-violet-2031"
URL = "/v1/operations/words"


async def test_every_example_is_shown_in_every_language(api: Api, with_deps: Callable[..., Awaitable[Api]]) -> None:
    server = await with_deps(admin_token=AdminToken(TOKEN, api.clock))
    shown = (await (await server.call("GET", f"{URL}?time_zone=Europe/Berlin", token=TOKEN)).json())["previews"]
    examples = sum(len(template.examples) for template in TEMPLATES) + 1
    assert len(shown) == examples * len(LANGUAGES)
    assert {each["language"] for each in shown} == set(LANGUAGES)
    [digest, _] = [each for each in shown if each["template"] == "digest"]
    assert (digest["sms"], digest["push"], digest["inbox"]) == (None, None, None)
    assert all(each["sms"]["segments"] <= 2 for each in shown if each["sms"])


async def test_the_preview_is_for_operators(api: Api, with_deps: Callable[..., Awaitable[Api]]) -> None:
    assert (await api.call("GET", URL)).status == 404
    server = await with_deps(admin_token=AdminToken(TOKEN, api.clock))
    assert (await server.call("GET", URL, token=await api.token())).status == 401
