"""Being watched over, over HTTP: off at first, turned on, with a limit of one's own or one that is made."""

from services.kernel.ids import StreamId
from services.safety.safety import Safety
from services.safety.watching import Finding
from tests.gateway.http.conftest import Api
from tests.gateway.http.notified import account_of

URL = "/v1/safety"


async def test_nobody_is_watched_over_who_has_not_asked_for_it(api: Api) -> None:
    token = (await api.register())["access_token"]
    response = await api.call("GET", URL, token=token)
    assert await response.json() == {
        "on": False,
        "limit_bpm": 210,
        "limit_source": "guessed_maximum",
        "incident": None,
    }


async def test_a_limit_of_ones_own_goes_before_and_can_be_taken_back(api: Api) -> None:
    token = (await api.register())["access_token"]
    response = await api.call("PUT", URL, {"on": True, "limit_bpm": 165}, token=token)
    assert (response.status, (await response.json())["limit_source"]) == (200, "own")
    await api.call("PUT", URL, {"on": True}, token=token)
    now = await (await api.call("GET", URL, token=token)).json()
    assert (now["on"], now["limit_bpm"], now["limit_source"]) == (True, 210, "guessed_maximum")


async def test_a_limit_that_no_heart_has_is_refused_with_its_place(api: Api) -> None:
    token = (await api.register())["access_token"]
    for bpm in (89, 231, "high"):
        response = await api.call("PUT", URL, {"on": True, "limit_bpm": bpm}, token=token)
        problem = await response.json()
        assert (response.status, problem["code"], problem["path"]) == (422, "bad_shape", "$.limit_bpm")


async def test_whoever_comes_back_finds_the_question_that_is_open(api: Api) -> None:
    reply = await api.register()
    token, account_id = reply["access_token"], account_of(reply)
    await api.call("PUT", URL, {"on": True}, token=token)
    assert isinstance(api.deps.safety, Safety)
    finding = Finding("over_limit", api.clock.wall_ms(), 215)
    stream_id = StreamId(account_id)
    await api.deps.safety.found(account_id, None, stream_id, finding)
    incident = (await (await api.call("GET", URL, token=token)).json())["incident"]
    assert (incident["kind"], incident["state"], incident["bpm"]) == ("over_limit", "prompted", 215)
    assert incident["next_ms"] == api.clock.wall_ms() + 15_000


async def test_without_a_login_there_is_nothing_to_see(api: Api) -> None:
    assert (await api.call("GET", URL)).status == 401
