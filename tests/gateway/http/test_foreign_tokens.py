"""Access tokens of an issuer that is trusted, over HTTP: what they open, what they do not, and how that ends."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from services.accounts.accounts import identifier
from services.accounts.foreign_tokens import ForeignTokens
from services.apps.lent import BELIEVED_S, Callers
from services.kernel.ids import AccountId, Uuid7Ids
from tests.gateway.http.conftest import Api
from tests.support.foreign import ELSEWHERE, SET, Issuer


@dataclass
class House:
    """A server that trusts one issuer; `person` is how somebody registered there."""

    api: Api
    issuer: Issuer
    person: dict[str, Any]

    async def got(self, token: str, path: str = "/v1/me") -> tuple[int, dict[str, Any]]:
        response = await self.api.call("GET", path, token=token)
        return response.status, await response.json()

    async def link(self) -> None:
        account_id = AccountId(uuid.UUID(self.person["account"]["id"]))
        await self.issuer.link(self.api.transactions, Uuid7Ids(self.api.clock), account_id)


@pytest.fixture
async def house(api: Api, with_deps: Callable[..., Awaitable[Api]]) -> House:
    issuer = Issuer(api.clock)
    await issuer.publish(api.transactions)
    foreign = ForeignTokens(api.transactions, (issuer.provider(),), api.clock, Uuid7Ids(api.clock))
    callers = Callers(identifier(api.tokens, api.clock), api.transactions, api.clock, foreign)
    started = await with_deps(callers=callers)
    return House(started, issuer, await started.register())


async def test_it_opens_what_its_scopes_are_mapped_to_and_nothing_else(house: House) -> None:
    """ASVS 8.2.1, 10.3.2."""
    await house.link()
    status, me = await house.got(house.issuer.token())
    assert (status, me["id"]) == (200, house.person["account"]["id"])
    status, refused = await house.got(house.issuer.token(), "/v1/workouts")
    assert (status, refused["data"]) == (403, {"scope": "workouts:read"})
    for path in ("/v1/logins", "/v1/me/identities", "/v1/api-keys"):
        assert (await house.got(house.issuer.token(), path))[0] == 403
    status, refused = await house.got(house.issuer.token(scope="openid"))
    assert (status, refused["data"]) == (403, {"scope": "profile:read"})
    assert (await house.got(house.person["access_token"]))[0] == 200


async def test_somebody_unknown_is_told_with_whom_to_sign_in(house: House) -> None:
    status, refused = await house.got(house.issuer.token())
    assert (status, refused["code"]) == (401, "not_authenticated")
    assert refused["data"] == {"provider": "studio", "reason": "not_linked"}
    assert "sign in with the studio first" in refused["detail"]


async def test_http_refuses_the_whole_confusion_set(house: House) -> None:
    """OWASP API2, ASVS 9.1, 9.2."""
    await house.link()
    assert (await house.got(house.issuer.token()))[0] == 200
    forgeries = {name: forge for name, (forge, _) in SET.items()} | ELSEWHERE
    for name, forge in forgeries.items():
        token = forge(house.issuer)
        if len(token) > 8_000:
            continue  # longer than a header may be: refused before anybody looks
        await house.api.clock.advance(1)  # nobody is to be refused for asking too often
        status, refused = await house.got(forge(house.issuer))
        assert (status, refused["code"]) == (401, "not_authenticated"), name


async def test_it_ends_with_the_other_logins_within_five_seconds(house: House) -> None:
    """ASVS 7.4.3."""
    await house.link()
    token = house.issuer.token()
    assert (await house.got(token))[0] == 200
    ended = await house.api.call("POST", "/v1/logins/end-others", token=house.person["access_token"])
    assert ended.status < 300, await ended.text()
    await house.api.clock.advance(BELIEVED_S)
    assert BELIEVED_S < 5
    status, refused = await house.got(token)
    assert (status, refused["data"]["reason"]) == (401, "ended")


async def test_it_does_what_takes_the_person_themselves_no_more_than_an_app(house: House) -> None:
    """ASVS 8.2.1: no tickets, no logins, no keys that would outlive it."""
    await house.link()
    token = house.issuer.token(scope="studio.me studio.ride")
    for url in ("/v1/tickets", "/v1/api-keys", "/v1/logins/end-others", "/v1/me/erasure"):
        response = await house.api.call("POST", url, {}, token=token)
        assert (response.status, (await response.json())["code"]) == (403, "forbidden"), url
