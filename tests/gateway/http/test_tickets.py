"""Tickets over HTTP, and the confusion set over HTTP."""

from tests.gateway.http.conftest import Api
from tests.support.confusion import SET, Forger, bearer


async def test_whoever_has_a_token_gets_a_ticket_that_says_who_they_are(api: Api) -> None:
    anna = await api.register()
    response = await api.call("POST", "/v1/tickets", token=anna["access_token"])
    assert response.status == 201
    assert response.headers["Cache-Control"] == "no-store"
    told = await response.json()
    assert told["expires_in_s"] == 30
    caller = await api.deps.tickets.redeem(told["ticket"])  # type: ignore[attr-defined]
    assert caller == api.tokens.identify(anna["access_token"], api.clock.wall_ms())


async def test_nobody_gets_one_without_a_token(api: Api) -> None:
    response = await api.call("POST", "/v1/tickets")
    assert (response.status, (await response.json())["code"]) == (401, "not_authenticated")


async def test_a_ticket_opens_no_route_not_even_that_of_tickets(api: Api) -> None:
    """ASVS 9.2.2."""
    told = await (await api.call("POST", "/v1/tickets", token=await api.token())).json()
    for method, url in (("GET", "/v1/me"), ("POST", "/v1/tickets")):
        response = await api.call(method, url, token=told["ticket"])
        assert (response.status, (await response.json())["code"]) == (401, "not_authenticated")


async def test_http_refuses_the_whole_confusion_set(api: Api) -> None:
    """OWASP API2, ASVS 9.1, 9.2."""
    forger = Forger(api.key, api.clock.wall_ms())
    assert (await api.call("POST", "/v1/tickets", headers=bearer(forger.signed()))).status == 201
    for name, forge in SET.items():
        token = forge(forger)
        if len(token) > 8_000:
            continue  # longer than a header may be: refused before anybody looks
        response = await api.call("GET", "/v1/me", headers=bearer(token))
        assert (response.status, (await response.json())["code"]) == (401, "not_authenticated"), name


async def test_a_token_is_taken_from_the_header_alone(api: Api) -> None:
    """ASVS 14.2.1, RFC 6750 2: not from the address, a cookie or the body; and not from two headers."""
    token = await api.token()
    for url, headers in (
        (f"/v1/me?access_token={token}", {}),
        ("/v1/me", {"Cookie": f"token={token}; access_token={token}"}),
        ("/v1/me", {"X-Authorization": f"Bearer {token}"}),
        ("/v1/me", {"Authorization": f"Basic {token}"}),
    ):
        response = await api.call("GET", url, headers=headers)
        assert response.status in {401, 422}, (url, headers)
