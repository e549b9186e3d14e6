"""Accounts over HTTP."""

from tests.gateway.http.conftest import PASSWORD, Api

GOOD = {"email": "anna@example.org", "password": PASSWORD, "name": "Anna"}


async def test_registering_answers_with_the_account_and_a_pair_of_tokens(api: Api) -> None:
    response = await api.call("POST", "/v1/accounts", GOOD)
    assert response.status == 201
    assert response.headers["Cache-Control"] == "no-store"
    reply = await response.json()
    assert sorted(reply) == ["access_token", "account", "expires_in_s", "refresh_token"]
    assert reply["account"]["roles"] == ["member"]
    assert reply["expires_in_s"] == 900
    me = await api.call("GET", "/v1/me", token=reply["access_token"])
    assert await me.json() == reply["account"]


async def test_a_field_that_is_not_in_the_shape_is_refused_with_its_path(api: Api) -> None:
    response = await api.call("POST", "/v1/accounts", {**GOOD, "roles": ["coach"]})
    assert response.status == 422
    problem = await response.json()
    assert problem["code"] == "bad_shape"
    assert "roles" in problem["detail"]


async def test_each_refusal_says_where(api: Api) -> None:
    for change, status, code, path in (
        ({"email": "anna"}, 422, "bad_shape", "$.email"),
        ({"email": 7}, 422, "bad_shape", "$.email"),
        ({"name": "\u202e"}, 422, "bad_shape", "$.name"),
        ({"role": "admin"}, 422, "bad_shape", "$.role"),
        ({"role": "display"}, 422, "bad_shape", "$.role"),
        ({"password": "password1234"}, 422, "weak_password", "$.password"),
        ({"password": "x" * 513}, 422, "bad_shape", "$.password"),
    ):
        response = await api.call("POST", "/v1/accounts", {**GOOD, **change})
        problem = await response.json()
        assert (response.status, problem["code"], problem["path"]) == (status, code, path)
        assert str(change.get("password", "never")) not in await response.text()


async def test_an_address_that_is_taken_is_told(api: Api) -> None:
    await api.call("POST", "/v1/accounts", GOOD)
    response = await api.call("POST", "/v1/accounts", {**GOOD, "email": "ANNA@example.org"})
    assert (response.status, (await response.json())["code"]) == (409, "email_taken")


async def test_a_profile_is_changed_field_by_field(api: Api) -> None:
    token = await api.token()
    await api.call("PATCH", "/v1/me", {"max_hr": 185, "birth_date": "1990-05-17", "sex": "female"}, token=token)
    response = await api.call("PATCH", "/v1/me", {"rest_hr": 52, "sex": None}, token=token)
    me = await response.json()
    assert response.status == 200
    assert (me["max_hr"], me["rest_hr"], me["sex"], me["birth_date"]) == (185, 52, None, "1990-05-17")


async def test_a_profile_that_cannot_be_is_refused_with_the_path(api: Api) -> None:
    token = await api.token()
    for change, path in (
        ({"max_hr": 251}, "$.max_hr"),
        ({"max_hr": 180.5}, "$.max_hr"),
        ({"max_hr": True}, "$.max_hr"),
        ({"mass_kg": "70"}, "$.mass_kg"),
        ({"birth_date": "1990-13-01"}, "$.birth_date"),
        ({"birth_date": "2090-01-01"}, "$.birth_date"),
        ({"max_hr": 104, "rest_hr": 104}, "$.rest_hr"),
    ):
        response = await api.call("PATCH", "/v1/me", change, token=token)
        assert (response.status, (await response.json())["path"]) == (422, path)
    huge = await api.call("PATCH", "/v1/me", b'{"mass_kg": 1e999}', token=token)
    nan = await api.call("PATCH", "/v1/me", b'{"mass_kg": NaN}', token=token)
    assert (huge.status, nan.status) in {(422, 400), (400, 400)}
    me = await (await api.call("GET", "/v1/me", token=token)).json()
    assert me["mass_kg"] is None
    assert me["max_hr"] is None


async def test_one_s_units_are_metric_until_one_says_otherwise(api: Api) -> None:
    person = await api.register()
    assert person["account"]["units"] == "metric"
    token = person["access_token"]
    changed = await (await api.call("PATCH", "/v1/me", {"units": "imperial"}, token=token)).json()
    assert changed["units"] == "imperial"
    assert (await (await api.call("GET", "/v1/me", token=token)).json())["units"] == "imperial"
    assert (await (await api.call("PATCH", "/v1/me", {"name": "Ann B"}, token=token)).json())["units"] == "imperial"
    assert (await api.call("PATCH", "/v1/me", {"units": "furlongs"}, token=token)).status == 422
