"""Organisations over HTTP: the whole way of an invitation, and what is refused with which code."""

import uuid

from services.accounts.account_mail import MailTokens
from services.kernel.ids import AccountMailId
from tests.gateway.http.conftest import SECRET, Api


async def made(api: Api, token: str) -> str:
    answer = await api.call("POST", "/v1/organisations", {"name": "Harbour Gym"}, token=token)
    assert answer.status == 201
    return str((await answer.json())["organisation"]["id"])


async def test_somebody_is_invited_looks_comes_in_and_is_put_out(api: Api) -> None:
    mira, ana = await api.token(), await api.token()
    account = await (await api.call("GET", "/v1/me", token=ana)).json()
    organisation = f"/v1/organisations/{await made(api, mira)}"
    asked = await api.call(
        "POST", f"{organisation}/invitations", {"email": account["email"], "role": "coach"}, token=mira
    )
    assert asked.status == 201
    link = {"token": MailTokens(SECRET).token(AccountMailId(uuid.UUID((await asked.json())["id"])), "invite")}
    seen = await (await api.call("POST", "/v1/organisation-invitations/look", link)).json()
    assert (seen["organisation"], seen["role"]) == ("Harbour Gym", "coach")
    assert (await api.call("GET", organisation, token=ana)).status == 404
    assert (await api.call("POST", "/v1/organisation-invitations/accept", link, token=ana)).status == 200
    details = await (await api.call("GET", organisation, token=ana)).json()
    assert [member["role"] for member in details["members"]] == ["owner", "coach"]
    assert "email" not in details["members"][0]
    refused = await api.call("POST", "/v1/organisation-invitations/accept", link, token=ana)
    assert (refused.status, (await refused.json())["code"]) == (410, "link_over")
    assert (await api.call("DELETE", f"{organisation}/members/{account['id']}", token=mira)).status == 204
    assert (await api.call("GET", organisation, token=ana)).status == 404


async def test_nothing_of_an_organisation_is_set_by_the_way(api: Api) -> None:
    """OWASP API3:2023, mass assignment: seats are the operator's, owners are made of members."""
    mira = await api.token()
    organisation = f"/v1/organisations/{await made(api, mira)}"
    for method, url, body in (
        ("POST", "/v1/organisations", {"name": "Gym", "seats": 500}),
        ("PATCH", organisation, {"name": "Gym", "seats": 500}),
        ("POST", f"{organisation}/invitations", {"email": "ana@example.org", "role": "owner"}),
        ("PUT", f"{organisation}/members/{uuid.uuid4()}", {"role": "admin", "joined_at_ms": 0}),
    ):
        refused = await api.call(method, url, body, token=mira)
        assert (refused.status, (await refused.json())["code"]) == (422, "bad_shape"), url
    assert (await (await api.call("GET", organisation, token=mira)).json())["organisation"]["seats"] == 10


async def test_the_last_owner_is_told_what_to_do(api: Api) -> None:
    mira = await api.token()
    refused = await api.call("POST", f"/v1/organisations/{await made(api, mira)}/leave", token=mira)
    assert (refused.status, (await refused.json())["code"]) == (409, "last_owner")
