"""Logins seen and ended from elsewhere, and the password, over HTTP."""

import uuid

import jwt

from tests.gateway.http.conftest import PASSWORD, Api

ANNA = {"email": "anna@example.org", "password": PASSWORD, "name": "Anna"}
NEW = "copper lantern orbit thistle"


async def devices(api: Api, *names: str) -> list[str]:
    """The access tokens of the same account on so many devices, the first of which made it."""
    made = await (await api.call("POST", "/v1/accounts", {**ANNA, "device": names[0]})).json()
    credentials = {"email": ANNA["email"], "password": PASSWORD}
    others = [
        await (await api.call("POST", "/v1/logins", {**credentials, "device": name})).json() for name in names[1:]
    ]
    return [str(one["access_token"]) for one in (made, *others)]


async def listed(api: Api, token: str) -> dict[str, dict[str, object]]:
    """Their logins by device."""
    answer = await (await api.call("GET", "/v1/logins", token=token)).json()
    return {one["device"]: one for one in answer["logins"]}


async def test_a_device_is_logged_out_from_another_one(api: Api) -> None:
    watch, _phone = await devices(api, "watch", "phone")
    seen = await listed(api, watch)
    assert (seen["watch"]["current"], seen["phone"]["current"]) == (True, False)
    response = await api.call("DELETE", f"/v1/logins/{seen['phone']['id']}", token=watch)
    assert response.status == 204
    assert list(await listed(api, watch)) == ["watch"]
    response = await api.call("DELETE", f"/v1/logins/{uuid.uuid4()}", token=watch)
    assert (response.status, (await response.json())["code"]) == (404, "not_found")


async def test_all_others_are_logged_out_at_once(api: Api) -> None:
    watch, *_ = await devices(api, "watch", "phone", "tablet")
    response = await api.call("POST", "/v1/logins/end-others", token=watch)
    assert await response.json() == {"ended": 2}
    assert list(await listed(api, watch)) == ["watch"]


async def test_the_password_is_changed_by_whoever_knows_it(api: Api) -> None:
    watch, _phone = await devices(api, "watch", "phone")
    for body, status, code, path in (
        ({"old": "no idea at all", "new": NEW}, 403, "wrong_password", None),
        ({"old": PASSWORD, "new": "password1234"}, 422, "weak_password", "$.new"),
        ({"old": PASSWORD, "new": NEW, "email": "eve@example.org"}, 422, "bad_shape", "$"),
        ({"old": PASSWORD}, 422, "bad_shape", "$"),
    ):
        response = await api.call("PUT", "/v1/me/password", body, token=watch)
        problem = await response.json()
        assert (response.status, problem["code"], problem.get("path")) == (status, code, path)
        assert NEW not in await response.text()
    response = await api.call("PUT", "/v1/me/password", {"old": PASSWORD, "new": NEW}, token=watch)
    assert await response.json() == {"ended": 1}
    again = await api.call("POST", "/v1/logins", {"email": ANNA["email"], "password": PASSWORD})
    assert again.status == 401
    assert (await api.call("POST", "/v1/logins", {"email": ANNA["email"], "password": NEW})).status == 201


async def test_anybody_reads_the_public_keys_and_checks_a_token_with_them(api: Api) -> None:
    token = await api.token()
    response = await api.call("GET", "/.well-known/jwks.json")
    assert response.headers["Cache-Control"] == "public, max-age=300"
    read = await response.json()
    keys = jwt.PyJWKSet.from_dict(read)
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key.key, algorithms=["EdDSA"], audience="paceline", options={"verify_exp": False})
    assert claims["name"]
    assert all(set(one) == {"kid", "x", "kty", "crv", "alg", "use"} for one in read["keys"]), "nothing private"
