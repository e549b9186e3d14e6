"""An app of somebody else, as it would be written with httpx: it knows the addresses and what it was registered with, no more."""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.gateway.http.conftest import Api

CALLBACK = "https://pulse.example/callback"


def challenge_of(verifier: str) -> str:
    """S256."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@dataclass
class ThirdParty:
    """A registered app, and a person's browser for it."""

    api: Api
    http: httpx.AsyncClient
    client_id: str
    client_secret: str | None
    redirect_uri: str = CALLBACK
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    def request(self, scope: str = "profile:read", **changes: str) -> dict[str, str]:
        """The parameters that it sends a browser to /oauth/authorize with."""
        return {
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "response_type": "code",
            "scope": scope,
            "state": "xyz",
            "code_challenge": challenge_of(self.verifier),
            "code_challenge_method": "S256",
            **changes,
        }

    async def asked(self, person: str, scope: str = "profile:read", **changes: str) -> dict[str, Any]:
        """What our page asks somebody."""
        response = await self.api.call("POST", "/v1/oauth/requests", self.request(scope, **changes), token=person)
        reply: dict[str, Any] = await response.json()
        return reply

    async def answer(
        self, person: str, scope: str = "profile:read", *, allow: bool = True, **changes: str
    ) -> dict[str, str]:
        """What comes back to it once somebody has decided."""
        body = {**self.request(scope, **changes), "allow": allow}
        response = await self.api.call("POST", "/v1/oauth/decisions", body, token=person)
        assert response.status == 201, await response.text()
        where = urlsplit((await response.json())["redirect"])
        assert f"{where.scheme}://{where.netloc}{where.path}" == self.redirect_uri
        return {name: value for name, (value,) in parse_qs(where.query).items()}

    async def code(self, person: str, scope: str = "profile:read") -> str:
        """A code for what somebody has agreed to."""
        return (await self.answer(person, scope))["code"]

    async def post(self, path: str, /, **form: str) -> httpx.Response:
        """A form to one of the endpoints, with the secret in Basic if there is one."""
        if self.client_secret is None:
            return await self.http.post(path, data={"client_id": self.client_id, **form})
        return await self.http.post(path, data=form, auth=(self.client_id, self.client_secret))

    async def exchange(self, code: str, **changes: str) -> httpx.Response:
        """A code for tokens."""
        form = {"code": code, "redirect_uri": self.redirect_uri, "code_verifier": self.verifier, **changes}
        return await self.post("/oauth/token", grant_type="authorization_code", **form)

    async def refresh(self, token: str, **more: str) -> httpx.Response:
        """A refresh token for new tokens."""
        return await self.post("/oauth/token", grant_type="refresh_token", refresh_token=token, **more)

    async def tokens(self, person: str, scope: str = "profile:read") -> dict[str, Any]:
        """The whole way: tokens for what somebody has agreed to."""
        response = await self.exchange(await self.code(person, scope))
        assert response.status_code == 200, response.text
        reply: dict[str, Any] = response.json()
        return reply

    async def get(self, path: str, token: str) -> httpx.Response:
        """A call with a token."""
        return await self.http.get(path, headers={"Authorization": f"Bearer {token}"})


async def third_party(
    api: Api, http: httpx.AsyncClient, *, kind: str = "confidential", redirect_uri: str = CALLBACK
) -> ThirdParty:
    """An app registered by a developer of its own."""
    body = {"name": "Pulse Diary", "kind": kind, "redirect_uris": [redirect_uri]}
    response = await api.call("POST", "/v1/apps", body, token=await api.token())
    assert response.status == 201, await response.text()
    made = await response.json()
    return ThirdParty(api, http, made["app"]["id"], made["client_secret"], redirect_uri)
