"""The whole way of a third-party app, with a real client over a real port; and whoever tries it in somebody else's place."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest

from services.accounts.suspension import Suspension
from services.apps.authorization import CODE_TTL_S
from services.apps.exchanging import MAX_GRANTS
from services.apps.lent import BELIEVED_S
from services.kernel.facts import LoginEnded
from services.kernel.ids import AccountId, SuspensionId
from tests.gateway.http.apps_client import CALLBACK, ThirdParty, challenge_of, third_party
from tests.gateway.http.conftest import PASSWORD, PUBLIC_URL, Api

ISS = PUBLIC_URL


@pytest.fixture
async def http(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """The app's own client."""
    async with httpx.AsyncClient(base_url=str(api.client.make_url("/")), timeout=60.0) as client:
        yield client


@pytest.fixture
async def pulse(api: Api, http: httpx.AsyncClient) -> ThirdParty:
    """An app with a secret."""
    return await third_party(api, http)


async def ended(api: Api) -> list[LoginEnded]:
    """The logins that ended, as told."""
    async with api.transactions() as stores:
        facts = [envelope.fact for envelope in await stores.outbox.peek(1_000)]
    return [fact for fact in facts if isinstance(fact, LoginEnded)]


def error(response: httpx.Response) -> tuple[int, str]:
    """Status and `error` of a refusal, which must say the same as a problem."""
    body = response.json()
    assert (body["error"], body["error_description"]) == (body["code"], body["detail"])
    return response.status_code, body["error"]


# -- the way as it should be ------------------------------------------------------------------------------------------


async def test_an_app_is_let_in_does_what_it_was_granted_and_nothing_else(api: Api, pulse: ThirdParty) -> None:
    """ASVS 10.3.2, 10.4.4."""
    person = await api.register()
    question = await pulse.asked(person["access_token"], "profile:read workouts:read")
    assert (question["name"], question["place"], question["redirect"]) == ("Pulse Diary", "pulse.example", None)
    assert [each["scope"] for each in question["scopes"]] == ["profile:read", "workouts:read"]
    assert question["remembered"] is False
    answer = await pulse.answer(person["access_token"], "profile:read workouts:read")
    assert (answer["state"], answer["iss"]) == ("xyz", ISS)
    response = await pulse.exchange(answer["code"])
    tokens = response.json()
    assert (response.headers["Cache-Control"], tokens["token_type"]) == ("no-store", "Bearer")
    assert tokens["scope"] == "profile:read workouts:read"
    me = await pulse.get("/v1/me", tokens["access_token"])
    assert me.json()["id"] == person["account"]["id"]
    assert (await pulse.get("/v1/workouts", tokens["access_token"])).status_code == 200
    refused = await pulse.get("/v1/notifications", tokens["access_token"])
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert refused.json()["data"] == {"scope": "notifications:read"}
    for path in ("/v1/logins", "/v1/api-keys", "/v1/me/apps", "/v1/apps"):
        assert (await pulse.get(path, tokens["access_token"])).status_code == 403, path


async def test_a_no_goes_back_to_the_app(api: Api, pulse: ThirdParty) -> None:
    answer = await pulse.answer(await api.token(), allow=False)
    assert answer == {"error": "access_denied", "error_description": "the person said no", "state": "xyz", "iss": ISS}


async def test_who_has_agreed_is_not_asked_again_until_it_is_more(api: Api, pulse: ThirdParty) -> None:
    person = await api.token()
    await pulse.tokens(person, "profile:read workouts:read")
    assert (await pulse.asked(person, "workouts:read"))["remembered"] is True
    assert (await pulse.asked(person, "workouts:read live:stream"))["remembered"] is False
    assert (await pulse.asked(await api.token(), "workouts:read"))["remembered"] is False


async def test_who_may_be_another_program_of_the_computer_is_always_asked_about(
    api: Api, http: httpx.AsyncClient
) -> None:
    """RFC 8252, 8.6."""
    person = await api.token()
    native = await third_party(api, http, kind="public", redirect_uri="http://127.0.0.1:4000/cb")
    await native.tokens(person)
    assert (await native.asked(person))["remembered"] is False
    site = await third_party(api, http, kind="public")
    await site.tokens(person)
    assert (await site.asked(person))["remembered"] is True


async def test_a_native_app_listens_on_the_port_that_its_system_gives_it(api: Api, http: httpx.AsyncClient) -> None:
    """RFC 8252, 7.3."""
    native = await third_party(api, http, kind="public", redirect_uri="http://127.0.0.1/cb")
    native.redirect_uri = "http://127.0.0.1:51234/cb"
    assert (await native.tokens(await api.token()))["scope"] == "profile:read"


async def test_a_library_finds_the_way_by_itself(http: httpx.AsyncClient, api: Api) -> None:
    """RFC 8414; what it says is where we answer."""
    said = (await http.get("/.well-known/oauth-authorization-server")).json()
    assert said["issuer"] == ISS
    assert said["code_challenge_methods_supported"] == ["S256"]
    assert said["authorization_response_iss_parameter_supported"] is True
    for name in ("token_endpoint", "revocation_endpoint", "introspection_endpoint"):
        form = {"grant_type": "client_credentials", "token": "x", "client_id": "x"}
        assert error(await http.post(urlsplit(said[name]).path, data=form)) == (401, "invalid_client"), name


# -- codes ------------------------------------------------------------------------------------------------------------


async def test_a_code_works_once_and_its_second_use_ends_what_came_of_the_first(api: Api, pulse: ThirdParty) -> None:
    """ASVS 10.4.2: code replay."""
    person = await api.token()
    code = await pulse.code(person)
    tokens = (await pulse.exchange(code)).json()
    assert (await pulse.get("/v1/me", tokens["access_token"])).status_code == 200
    assert error(await pulse.exchange(code)) == (400, "invalid_grant")
    assert error(await pulse.refresh(tokens["refresh_token"])) == (400, "invalid_grant")
    assert [fact.stolen for fact in await ended(api)] == [True]
    await api.clock.advance(BELIEVED_S)
    assert (await pulse.get("/v1/me", tokens["access_token"])).status_code == 401


async def test_of_two_uses_at_once_one_is_the_second(api: Api, pulse: ThirdParty) -> None:
    """ASVS 10.4.2, 2.3.4."""
    code = await pulse.code(await api.token())
    answers = await asyncio.gather(*(pulse.exchange(code) for _ in range(4)))
    assert sorted(each.status_code for each in answers) == [200, 400, 400, 400]
    (good,) = [each for each in answers if each.status_code == 200]
    assert error(await pulse.refresh(good.json()["refresh_token"])) == (400, "invalid_grant")


async def test_a_code_is_good_for_a_minute(api: Api, pulse: ThirdParty) -> None:
    """ASVS 10.4.3."""
    code = await pulse.code(await api.token())
    await api.clock.advance(CODE_TTL_S)
    assert error(await pulse.exchange(code)) == (400, "invalid_grant")


async def test_a_code_of_an_account_that_was_suspended_meanwhile_opens_nothing(api: Api, pulse: ThirdParty) -> None:
    """ASVS 7.4.2."""
    person = await api.register()
    code = await pulse.code(person["access_token"])
    account_id = AccountId(uuid.UUID(person["account"]["id"]))
    async with api.transactions() as stores:
        await stores.suspensions.add(Suspension(SuspensionId(uuid.uuid4()), account_id, "spam", api.clock.wall_ms()))
    assert error(await pulse.exchange(code)) == (400, "invalid_grant")


@pytest.mark.parametrize("how", ["log-out", "password"])
async def test_a_code_of_a_login_that_has_ended_meanwhile_opens_nothing(api: Api, pulse: ThirdParty, how: str) -> None:
    """ASVS 7.4.3, 10.4.2: a thief who has agreed to an app of their own is put out with it, also in the minute of its code."""
    thief = await api.register()
    code = await pulse.code(thief["access_token"])
    if how == "log-out":
        assert (await api.call("DELETE", "/v1/logins/current", token=thief["access_token"])).status == 204
    else:
        body = {"email": thief["account"]["email"], "password": PASSWORD, "device": "phone"}
        owner = (await (await api.call("POST", "/v1/logins", body)).json())["access_token"]
        change = {"old": PASSWORD, "new": "quarry lantern birch soda"}
        response = await api.call("PUT", "/v1/me/password", change, token=owner)
        assert response.status < 300, await response.text()
    refused = await pulse.exchange(code)
    assert error(refused) == (400, "invalid_grant")
    assert "the login in which the person agreed has ended" in refused.json()["error_description"]


async def test_a_login_that_has_ended_lends_nothing(api: Api, pulse: ThirdParty) -> None:
    """ASVS 7.4.1: its access token is believed for some seconds more, and a grant would outlive them."""
    person = await api.token()
    assert (await api.call("DELETE", "/v1/logins/current", token=person)).status == 204
    response = await api.call("POST", "/v1/oauth/decisions", {**pulse.request(), "allow": True}, token=person)
    assert (response.status, (await response.json())["code"]) == (401, "not_authenticated")


async def test_a_code_of_one_app_is_nothing_to_another(api: Api, http: httpx.AsyncClient, pulse: ThirdParty) -> None:
    """ASVS 10.4.4 and RFC 9700, 4.4: mixed-up clients, and a code that was injected."""
    other = await third_party(api, http)
    other.verifier = pulse.verifier
    code = await pulse.code(await api.token())
    assert error(await other.exchange(code)) == (400, "invalid_grant")
    assert (await pulse.exchange(code)).status_code == 200, "and it has not been spent by that"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"code_verifier": "v" * 43}, "invalid_grant"),
        ({"code_verifier": "short"}, "invalid_grant"),
        ({"code_verifier": ""}, "invalid_request"),
        ({"redirect_uri": "https://pulse.example/other"}, "invalid_grant"),
        ({"redirect_uri": ""}, "invalid_request"),
        ({"code": "plc_" + "A" * 43}, "invalid_grant"),
        ({"code": "plc_short"}, "invalid_grant"),
        ({"code": "plc_ü" + "A" * 42}, "invalid_grant"),
    ],
)
async def test_a_code_is_nothing_without_its_verifier_and_its_address(
    api: Api, pulse: ThirdParty, changes: dict[str, str], expected: str
) -> None:
    """ASVS 10.4.6, 10.4.4: PKCE, and redirect_uri bound to the code."""
    code = await pulse.code(await api.token())
    assert error(await pulse.exchange(**{"code": code, **changes})) == (400, expected)
    assert (await pulse.exchange(code)).status_code == 200


async def test_the_challenge_itself_is_no_verifier(api: Api, pulse: ThirdParty) -> None:
    """ASVS 10.4.6: PKCE downgrade to plain."""
    code = await pulse.code(await api.token())
    stolen = challenge_of(pulse.verifier)
    assert error(await pulse.exchange(code, code_verifier=stolen)) == (400, "invalid_grant")


# -- requests that are out of order -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge_method": ""}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "x" * 42}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"scope": ""}, "invalid_scope"),
        ({"scope": "everything"}, "invalid_scope"),
        ({"scope": "profile:read app:read"}, "invalid_scope"),
    ],
)
async def test_what_is_out_of_order_is_told_to_the_app_and_never_asked(
    api: Api, pulse: ThirdParty, changes: dict[str, str], expected: str
) -> None:
    """ASVS 10.4.6 (PKCE missing or downgraded), 10.4.9 (no implicit grant), 10.4.11 (scopes that are not people's to lend)."""
    person = await api.token()
    question = await pulse.asked(person, **changes)
    assert question["scopes"] == []
    assert question["redirect"].startswith(f"{CALLBACK}?error={expected}&")
    body = {**pulse.request(**changes), "allow": True}
    past_the_page = await (await api.call("POST", "/v1/oauth/decisions", body, token=person)).json()
    assert past_the_page["redirect"].startswith(f"{CALLBACK}?error={expected}&")


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/callback",
        "https://pulse.example/callback/",
        "https://pulse.example/callback?x=1",
        "https://pulse.example/callback#x",
        "https://pulse.example/callback/../evil",
        "https://pulse.example/callback%2f..%2fevil",
        "https://pulse.example./callback",
        "https://PULSE.example/callback",
        "https://pulse.example:443/callback",
        "https://pulse.example@evil.example/callback",
        "https://evil.example\\@pulse.example/callback",
        "https://pulse.example.evil.example/callback",
        "http://pulse.example/callback",
        "https://pulse.example/callback ",
        "https://pulse.example/callback\r\nLocation: https://evil.example",
        "javascript:alert(1)//pulse.example/callback",
        "//pulse.example/callback",
        "http://127.0.0.1:9/callback",
        "",
    ],
)
async def test_nobody_is_sent_where_the_app_has_not_said(api: Api, pulse: ThirdParty, uri: str) -> None:
    """ASVS 10.4.1: exact match of redirect URIs; no open redirect."""
    person = await api.token()
    for url, more in (
        ("/v1/oauth/requests", {}),
        ("/v1/oauth/decisions", {"allow": True}),
        ("/v1/oauth/decisions", {"allow": False}),
    ):
        body = {**pulse.request(redirect_uri=uri), **more}
        response = await api.call("POST", url, body, token=person)
        assert (response.status, (await response.json())["code"]) == (422, "redirect_mismatch")
        assert "redirect" not in await response.json()


@pytest.mark.parametrize("client_id", ["", "nobody", "00000000-0000-7000-8000-000000000000"])
async def test_nobody_is_sent_back_to_an_app_that_is_not_known(api: Api, pulse: ThirdParty, client_id: str) -> None:
    """ASVS 10.4.1: no open redirect."""
    response = await api.call("POST", "/v1/oauth/requests", pulse.request(client_id=client_id), token=await api.token())
    assert (response.status, (await response.json())["code"]) == (404, "app_unknown")


async def test_the_page_itself_redirects_nobody(http: httpx.AsyncClient, pulse: ThirdParty) -> None:
    """ASVS 10.4.1: whatever stands in its address."""
    for uri in (CALLBACK, "https://evil.example/"):
        response = await http.get("/oauth/authorize", params=pulse.request(redirect_uri=uri))
        assert (response.status_code, response.headers.get("Location")) == (200, None)
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]


async def test_an_app_cannot_agree_to_more_for_itself(api: Api, pulse: ThirdParty) -> None:
    """ASVS 10.4.7, 10.7.1: consent takes the person."""
    tokens = await pulse.tokens(await api.token())
    body = {**pulse.request("workouts:read"), "allow": True}
    response = await api.call("POST", "/v1/oauth/decisions", body, token=tokens["access_token"])
    assert (response.status, (await response.json())["code"]) == (403, "forbidden")


# -- refreshing -------------------------------------------------------------------------------------------------------


async def test_a_refresh_token_is_replaced_and_its_second_use_ends_the_grant(api: Api, pulse: ThirdParty) -> None:
    """ASVS 10.4.5: rotation and reuse detection."""
    first = await pulse.tokens(await api.token())
    second = (await pulse.refresh(first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    await api.clock.advance(11)
    assert error(await pulse.refresh(first["refresh_token"])) == (400, "invalid_grant")
    assert error(await pulse.refresh(second["refresh_token"])) == (400, "invalid_grant")
    assert [fact.stolen for fact in await ended(api)] == [True]


async def test_a_refresh_never_adds_a_scope(api: Api, pulse: ThirdParty) -> None:
    """ASVS 10.4.11: scope escalation at refresh."""
    person = await api.token()
    tokens = await pulse.tokens(person, "profile:read workouts:read")
    for more in ("profile:read live:stream", "app:read", "everything", ""):
        assert error(await pulse.refresh(tokens["refresh_token"], scope=more)) == (400, "invalid_scope")
    fewer = (await pulse.refresh(tokens["refresh_token"], scope="workouts:read")).json()
    assert fewer["scope"] == "workouts:read"
    assert (await pulse.get("/v1/me", fewer["access_token"])).status_code == 403
    assert (await pulse.refresh(fewer["refresh_token"])).json()["scope"] == "profile:read workouts:read"


async def test_a_persons_refresh_token_and_an_apps_are_not_each_others(api: Api, pulse: ThirdParty) -> None:
    """ASVS 9.2.4: tokens of one use are nothing to another."""
    person = await api.register()
    tokens = await pulse.tokens(person["access_token"])
    assert error(await pulse.refresh(person["refresh_token"])) == (400, "invalid_grant")
    response = await api.call("POST", "/v1/logins/refresh", {"refresh_token": tokens["refresh_token"]})
    assert (response.status, (await response.json())["code"]) == (401, "refresh_refused")


async def test_a_grant_that_is_not_used_ends(api: Api, pulse: ThirdParty) -> None:
    """ASVS 10.4.8."""
    person = await api.token()
    tokens = await pulse.tokens(person)
    await api.clock.advance(31 * 86_400)
    assert error(await pulse.refresh(tokens["refresh_token"])) == (400, "invalid_grant")


async def test_an_app_that_asks_again_and_again_keeps_its_newest_logins(api: Api, pulse: ThirdParty) -> None:
    person = await api.token()
    made = []
    for _ in range(MAX_GRANTS + 1):
        made.append(await pulse.tokens(person))
        await api.clock.advance(1)
    assert error(await pulse.refresh(made[0]["refresh_token"])) == (400, "invalid_grant")
    assert (await pulse.refresh(made[1]["refresh_token"])).status_code == 200


# -- taking back ------------------------------------------------------------------------------------------------------


async def test_what_was_lent_is_listed_and_taken_back(api: Api, pulse: ThirdParty) -> None:
    """ASVS 10.7.3, 7.4.1: refresh dies at once, access within five seconds."""
    person = await api.register()
    token = person["access_token"]
    tokens = await pulse.tokens(token, "profile:read")
    await pulse.tokens(token, "workouts:read")
    listed = await (await api.call("GET", "/v1/me/apps", token=token)).json()
    (home,) = listed["apps"]
    assert (home["name"], home["scopes"]) == ("Pulse Diary", ["profile:read", "workouts:read"])
    assert (await pulse.get("/v1/me", tokens["access_token"])).status_code == 200
    assert (await api.call("DELETE", f"/v1/me/apps/{pulse.client_id}", token=token)).status == 204
    assert error(await pulse.refresh(tokens["refresh_token"])) == (400, "invalid_grant")
    await api.clock.advance(BELIEVED_S)
    assert (await pulse.get("/v1/me", tokens["access_token"])).status_code == 401
    assert len(await ended(api)) == 2
    assert await (await api.call("GET", "/v1/me/apps", token=token)).json() == {"apps": []}
    assert (await pulse.asked(token, "profile:read"))["remembered"] is False
    assert (await api.call("DELETE", f"/v1/me/apps/{pulse.client_id}", token=token)).status == 404


async def test_a_changed_password_takes_back_what_was_lent(api: Api, pulse: ThirdParty) -> None:
    """ASVS 7.4.3: whoever knew the old one may have lent it."""
    person = await api.token()
    tokens = await pulse.tokens(person)
    body = {"old": "violet anchor moss kettle", "new": "copper lantern orbit thistle"}
    assert (await api.call("PUT", "/v1/me/password", body, token=person)).status < 300
    assert error(await pulse.refresh(tokens["refresh_token"])) == (400, "invalid_grant")


async def test_an_app_gives_back_what_it_was_lent(api: Api, http: httpx.AsyncClient, pulse: ThirdParty) -> None:
    """RFC 7009; and nobody gives back what is another's."""
    person = await api.token()
    other = await third_party(api, http)
    for kind in ("refresh_token", "access_token"):
        tokens = await pulse.tokens(person)
        assert (await other.post("/oauth/revoke", token=tokens[kind])).status_code == 200
        (again,) = [await pulse.refresh(tokens["refresh_token"])]
        assert again.status_code == 200
        assert (await pulse.post("/oauth/revoke", token=tokens[kind])).status_code == 200
        assert error(await pulse.refresh(again.json()["refresh_token"])) == (400, "invalid_grant")
    assert (await pulse.post("/oauth/revoke", token="anything")).status_code == 200
    assert (await pulse.post("/oauth/revoke", token=person)).status_code == 200
    assert (await api.call("GET", "/v1/me", token=person)).status == 200


async def test_an_app_looks_up_its_own_tokens_and_no_others(
    api: Api, http: httpx.AsyncClient, pulse: ThirdParty
) -> None:
    """RFC 7662, 4."""
    person = await api.register()
    tokens = await pulse.tokens(person["access_token"], "profile:read")
    other = await third_party(api, http)
    for kind in ("access_token", "refresh_token"):
        found = (await pulse.post("/oauth/introspect", token=tokens[kind])).json()
        assert (found["active"], found["scope"], found["sub"]) == (True, "profile:read", person["account"]["id"])
        assert (found["client_id"], found["iss"]) == (pulse.client_id, ISS)
        assert (await other.post("/oauth/introspect", token=tokens[kind])).json() == {"active": False}
    for token in (person["access_token"], person["refresh_token"], "x", "ü" * 3_000):
        assert (await pulse.post("/oauth/introspect", token=token)).json() == {"active": False}
    await api.call("DELETE", f"/v1/me/apps/{pulse.client_id}", token=person["access_token"])
    for kind in ("access_token", "refresh_token"):
        assert (await pulse.post("/oauth/introspect", token=tokens[kind])).json() == {"active": False}
    public = await third_party(api, http, kind="public")
    assert error(await public.post("/oauth/introspect", token="x")) == (400, "unauthorized_client")


# -- who the client is ------------------------------------------------------------------------------------------------


async def test_a_client_proves_itself_in_one_way(api: Api, http: httpx.AsyncClient, pulse: ThirdParty) -> None:
    """ASVS 10.4.10."""
    form = {"grant_type": "client_credentials", "scope": "app:read"}
    assert pulse.client_secret is not None
    own = {"client_id": pulse.client_id, "client_secret": pulse.client_secret}
    basic = (pulse.client_id, pulse.client_secret)
    assert (await http.post("/oauth/token", data=form, auth=basic)).status_code == 200
    assert (await http.post("/oauth/token", data={**form, **own})).status_code == 200
    both = await http.post("/oauth/token", data={**form, **own}, auth=basic)
    assert error(both) == (400, "invalid_request")
    other_name = await http.post("/oauth/token", data={**form, "client_id": "x"}, auth=basic)
    assert error(other_name) == (400, "invalid_request")
    for auth in ((pulse.client_id, "plas_" + "A" * 43), (pulse.client_id, ""), ("x", "y")):
        refused = await http.post("/oauth/token", data=form, auth=auth)
        assert error(refused) == (401, "invalid_client")
        assert refused.headers["WWW-Authenticate"].startswith("Basic")
    assert error(await http.post("/oauth/token", data={**form, "client_id": pulse.client_id})) == (
        401,
        "invalid_client",
    )
    broken = await http.post("/oauth/token", data=form, headers={"Authorization": "Basic !!!"})
    assert error(broken) == (401, "invalid_client")


async def test_a_secret_in_an_address_is_refused(api: Api, http: httpx.AsyncClient, pulse: ThirdParty) -> None:
    """ASVS 14.2.1: it would stand in logs and histories by now."""
    query = {"client_id": pulse.client_id, "client_secret": str(pulse.client_secret)}
    form = {"grant_type": "client_credentials", "scope": "app:read"}
    for path in ("/oauth/token", "/oauth/revoke", "/oauth/introspect"):
        assert error(await http.post(path, params=query, data=form)) == (400, "invalid_request")
    assert (await http.get("/oauth/token", params=query | form)).status_code == 405
    tokens = await pulse.tokens(await api.token())
    assert (await http.get("/v1/me", params={"access_token": tokens["access_token"]})).status_code == 401


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("grant_type=password&username=a&password=b", "unsupported_grant_type"),
        ("grant_type=urn:ietf:params:oauth:grant-type:device_code", "unsupported_grant_type"),
        ("grant_type=implicit", "unsupported_grant_type"),
        ("grant_type=client_credentials&grant_type=client_credentials&scope=app:read", "invalid_request"),
        ("grant_type=client_credentials", "invalid_scope"),
        ("grant_type=client_credentials&scope=profile:read", "invalid_scope"),
        ("scope=app:read", "invalid_request"),
        ("grant_type=authorization_code", "invalid_request"),
        ("grant_type=refresh_token", "invalid_request"),
        ("%ff=%ff&grant_type=x", "unsupported_grant_type"),
        ("", "invalid_request"),
    ],
)
async def test_a_form_that_is_no_request_is_refused(
    http: httpx.AsyncClient, pulse: ThirdParty, form: str, expected: str
) -> None:
    """ASVS 10.4.9 (no password and no implicit grant), 10.4.11 (a service is not a person)."""
    response = await http.post(
        "/oauth/token",
        content=form,
        auth=(pulse.client_id, str(pulse.client_secret)),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert error(response) == (400, expected)
    assert response.headers["Content-Type"] == "application/problem+json"


async def test_a_library_that_asks_for_json_gets_it(http: httpx.AsyncClient) -> None:
    form = {"grant_type": "client_credentials", "client_id": "x"}
    response = await http.post("/oauth/token", data=form, headers={"Accept": "application/json"})
    assert error(response) == (401, "invalid_client")
    assert response.headers["Content-Type"].startswith("application/json")
    sent = await http.post("/oauth/token", json={"grant_type": "client_credentials"})
    assert error(sent) == (400, "invalid_request")


async def test_an_app_speaks_for_itself_and_for_nobody_else(
    api: Api, http: httpx.AsyncClient, pulse: ThirdParty
) -> None:
    """ASVS 10.3.2, OWASP API5: a service token opens its own scope, whatever every account may."""
    await pulse.tokens(await api.token())
    response = await pulse.post("/oauth/token", grant_type="client_credentials", scope="app:read")
    reply = response.json()
    assert "refresh_token" not in reply
    itself = (await pulse.get(f"/v1/apps/{pulse.client_id}", reply["access_token"])).json()
    assert (itself["app"]["id"], itself["accounts"]) == (pulse.client_id, 1)
    other = await third_party(api, http)
    assert (await pulse.get(f"/v1/apps/{other.client_id}", reply["access_token"])).status_code == 404
    for path in ("/v1/me", "/v1/workouts", "/v1/offers", "/v1/apps", "/v1/logins", "/v1/notifications"):
        assert (await pulse.get(path, reply["access_token"])).status_code == 403, path
    public = await third_party(api, http, kind="public")
    refused = await public.post("/oauth/token", grant_type="client_credentials", scope="app:read")
    assert error(refused) == (400, "unauthorized_client")


# -- the developer's side ---------------------------------------------------------------------------------------------


async def test_a_rotated_secret_is_taken_beside_the_new_one_for_a_while(api: Api, http: httpx.AsyncClient) -> None:
    owner = await api.token()
    made = await (await api.call("POST", "/v1/apps", {"name": "Pulse", "kind": "confidential"}, token=owner)).json()
    url = f"/v1/apps/{made['app']['id']}"

    async def works(secret: str) -> bool:
        form = {"grant_type": "client_credentials", "scope": "app:read"}
        return (await http.post("/oauth/token", data=form, auth=(made["app"]["id"], secret))).status_code == 200

    async def rotate(overlap_s: int) -> str:
        response = await api.call("POST", f"{url}/rotate", {"overlap_s": overlap_s}, token=owner)
        return str((await response.json())["client_secret"])

    first, second = made["client_secret"], await rotate(600)
    assert await works(first)
    third = await rotate(600)
    assert [await works(each) for each in (first, second, third)] == [False, True, True]
    await api.clock.advance(600)
    assert [await works(each) for each in (second, third)] == [False, True]
    fourth = await rotate(0)
    assert [await works(each) for each in (third, fourth)] == [False, True]


async def test_a_deleted_app_is_out_of_every_account(api: Api, http: httpx.AsyncClient) -> None:
    """ASVS 7.4.2."""
    owner = await api.token()
    body = {"name": "Pulse", "kind": "confidential", "redirect_uris": [CALLBACK]}
    made = await (await api.call("POST", "/v1/apps", body, token=owner)).json()
    app = ThirdParty(api, http, made["app"]["id"], made["client_secret"])
    tokens = await app.tokens(await api.token())
    service = (await app.post("/oauth/token", grant_type="client_credentials", scope="app:read")).json()
    assert (await app.get(f"/v1/apps/{app.client_id}", service["access_token"])).status_code == 200
    assert (await app.get("/v1/me", tokens["access_token"])).status_code == 200
    assert (await api.call("DELETE", f"/v1/apps/{app.client_id}", token=owner)).status == 204
    await api.clock.advance(BELIEVED_S)
    assert (await app.get("/v1/me", tokens["access_token"])).status_code == 401
    assert (await app.get(f"/v1/apps/{app.client_id}", service["access_token"])).status_code == 401
    assert error(await app.refresh(tokens["refresh_token"])) == (401, "invalid_client")
    assert len(await ended(api)) == 1


async def test_an_app_is_its_owners_alone(api: Api, pulse: ThirdParty) -> None:
    """OWASP API1."""
    stranger = await api.token()
    url = f"/v1/apps/{pulse.client_id}"
    for method, where, body in (
        ("GET", url, None),
        ("PATCH", url, {"name": "Mine"}),
        ("POST", f"{url}/rotate", {}),
        ("DELETE", url, None),
    ):
        response = await api.call(method, where, body, token=stranger)
        assert (response.status, (await response.json())["code"]) == (404, "not_found"), method


async def test_an_app_is_changed_by_its_owner_and_its_old_addresses_are_forgotten(
    api: Api, http: httpx.AsyncClient
) -> None:
    owner = await api.token()
    body = {"name": "Pulse", "kind": "public", "redirect_uris": [CALLBACK]}
    made = await (await api.call("POST", "/v1/apps", body, token=owner)).json()
    assert made["client_secret"] is None
    url = f"/v1/apps/{made['app']['id']}"
    new = "https://pulse.example/new"
    changed = await (await api.call("PATCH", url, {"name": "Pulse 2", "redirect_uris": [new]}, token=owner)).json()
    assert (changed["name"], changed["redirect_uris"]) == ("Pulse 2", [new])
    assert (await (await api.call("GET", "/v1/apps", token=owner)).json())["apps"] == [changed]
    response = await api.call("POST", f"{url}/rotate", {}, token=owner)
    assert (response.status, (await response.json())["code"]) == (403, "forbidden")
    app = ThirdParty(api, http, made["app"]["id"], None)
    response = await api.call("POST", "/v1/oauth/requests", app.request(), token=owner)
    assert (await response.json())["code"] == "redirect_mismatch"


async def test_nothing_secret_lies_open_in_the_database(api: Api, pulse: ThirdParty) -> None:
    """ASVS 6.5.2, 13.3.1: codes, secrets and tokens are hashed at rest."""
    person = await api.token()
    code = await pulse.code(person)
    tokens = (await pulse.exchange(code)).json()
    key = await (
        await api.call("POST", "/v1/api-keys", {"name": "cron", "scopes": ["profile:read"]}, token=person)
    ).json()
    async with api.transactions() as stores:
        tables = ("apps", "app_secrets", "app_codes", "app_grants", "app_refresh_tokens", "api_keys", "api_key_secrets")
        dump = "".join([str(await stores.tx.fetch(f"SELECT {table}::text FROM {table}")) for table in tables])
    for secret in (code, tokens["refresh_token"], tokens["access_token"], str(pulse.client_secret), key["secret"]):
        assert secret not in dump
        assert secret.encode().hex() not in dump
