"""Logins and tokens over HTTP."""

import base64
import json

import pytest

from tests.gateway.http.conftest import PASSWORD, Api


async def test_logging_in_refreshing_and_logging_out(api: Api) -> None:
    await api.register()
    body = {"email": "person1@example.org", "password": PASSWORD, "device": "phone"}
    logged_in = await api.call("POST", "/v1/logins", body)
    assert logged_in.status == 201
    first = await logged_in.json()
    refreshed = await api.call("POST", "/v1/logins/refresh", {"refresh_token": first["refresh_token"]})
    assert refreshed.status == 200
    second = await refreshed.json()
    assert sorted(second) == sorted(first)
    gone = await api.call("DELETE", "/v1/logins/current", token=second["access_token"])
    assert (gone.status, await gone.read()) == (204, b"")
    refused = await api.call("POST", "/v1/logins/refresh", {"refresh_token": second["refresh_token"]})
    assert (refused.status, (await refused.json())["code"]) == (401, "refresh_refused")


async def test_unknown_address_and_wrong_password_have_the_same_answer_to_the_letter(api: Api) -> None:
    await api.register()
    bodies = []
    for email in ("person1@example.org", "nobody@example.org"):
        before = api.passwords.statistics().hashed
        response = await api.call(
            "POST",
            "/v1/logins",
            {"email": email, "password": "not the password"},
            headers={"X-Request-Id": "the-same-one"},
        )
        assert response.status == 401
        bodies.append((await response.text(), sorted(set(response.headers) - {"Date"})))
        assert api.passwords.statistics().hashed == before + 1
    assert bodies[0] == bodies[1]


async def test_guessing_is_slowed_down_and_says_until_when(api: Api) -> None:
    await api.register()
    statuses = []
    for _ in range(11):
        response = await api.call(
            "POST", "/v1/logins", {"email": "person1@example.org", "password": "not the password"}
        )
        statuses.append(response.status)
    assert statuses == [401] * 10 + [429]
    assert response.headers["Retry-After"] == "30"
    problem = await response.json()
    assert (problem["code"], problem["retry"], problem["retry_after_ms"]) == ("too_many_attempts", True, 30_000)


async def test_a_used_refresh_token_ends_the_login(api: Api) -> None:
    first = await api.register()
    body = {"refresh_token": first["refresh_token"]}
    second = await (await api.call("POST", "/v1/logins/refresh", body)).json()
    await api.clock.advance(11)
    assert (await api.call("POST", "/v1/logins/refresh", body)).status == 401
    body = {"refresh_token": second["refresh_token"]}
    assert (await api.call("POST", "/v1/logins/refresh", body)).status == 401


async def test_a_megabyte_of_password_costs_nothing(api: Api) -> None:
    response = await api.call("POST", "/v1/logins", {"email": "a@example.org", "password": "x" * 1_000_000})
    assert (response.status, (await response.json())["code"]) == (413, "too_large")
    response = await api.call("POST", "/v1/logins", {"email": "a@example.org", "password": "x" * 60_000})
    assert (response.status, (await response.json())["path"]) == (422, "$.password")
    assert api.passwords.statistics().hashed == 0


def forged(access_token: str) -> list[str]:
    """Headers that somebody might try instead of the right one."""
    header, payload, signature = access_token.split(".")
    none = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "at+jwt"}).encode()).rstrip(b"=").decode()
    return [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        access_token,
        f"Bearer {none}.{payload}.",
        f"Bearer {header}.{payload}.",
        f"Bearer {header}.{payload[:-2]}AA.{signature}",
        f"Bearer {access_token} {access_token}",
        f"Bearer {access_token}x",
        "Bearer " + "A" * 7_000,
    ]


async def test_a_token_that_is_not_ours_opens_nothing(api: Api) -> None:
    reply = await api.register()
    headers = [*forged(reply["access_token"]), f"Bearer {reply['refresh_token']}"]
    for authorization in headers:
        response = await api.call("GET", "/v1/me", headers={"Authorization": authorization})
        problem = await response.json()
        assert (response.status, problem["code"]) == (401, "not_authenticated"), authorization
        assert response.headers["WWW-Authenticate"].startswith("Bearer")


async def test_an_old_token_is_told_to_be_old(api: Api) -> None:
    token = await api.token()
    await api.clock.advance(901)
    response = await api.call("GET", "/v1/me", token=token)
    assert (response.status, (await response.json())["code"]) == (401, "token_expired")


@pytest.mark.parametrize("url", ["/v1/me", "/v1/classes", "/v1/workouts", "/v1/workouts/x", "/v1/classes/x/summary"])
async def test_without_a_token_nothing_else_is_even_looked_at(api: Api, url: str) -> None:
    response = await api.call("GET", url)
    assert (response.status, (await response.json())["code"]) == (401, "not_authenticated")


async def test_a_token_in_the_address_is_not_looked_at(api: Api) -> None:
    token = await api.token()
    assert (await api.call("GET", f"/v1/me?access_token={token}")).status == 401
