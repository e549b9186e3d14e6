"""What schemathesis must know of this server: who asks, and what every refusal looks like. Loaded by it (test_schemathesis.py).

Each operation is asked by an account of its own, a coach, so that what one does to its account does not stand in another's way.
Where one goes on with what another has made, both are asked by the same: one for all that is below the same address.
"""

import os
import secrets
from typing import Any, Final

import requests
import schemathesis
from schemathesis import AuthContext, Case, CheckContext, HookContext, Response

BASE_URL: Final = os.environ["PACELINE_TESTED_URL"]
ADMIN_TOKEN: Final = os.environ["PACELINE_TESTED_ADMIN_TOKEN"]
PROBLEM: Final = "application/problem+json"


@schemathesis.hook
def before_load_schema(context: HookContext, raw_schema: dict[str, Any]) -> None:
    """The one place where the server takes more than it says: where nothing but a step can stand, in the rounds of a script, a
    step may leave out that it is one."""
    raw_schema["components"]["schemas"]["Step"]["required"].remove("type")


def _whose(case: Case[Any], context: AuthContext) -> str:
    if case.meta is not None and case.meta.phase.name == "stateful":
        return "/".join(case.operation.path.split("/")[:3])
    return str(case.operation.label)


@schemathesis.auth(cache_by_key=_whose)
class Tokens:
    """An access token of a new account, the operators' token, or none, as the operation wants it."""

    def get(self, case: Case[Any], context: AuthContext) -> str | None:
        wanted = {name for way in case.operation.definition.raw.get("security", ()) for name in way}
        if "admin_token" in wanted:
            return ADMIN_TOKEN
        if not wanted:
            return None
        body = {
            "email": f"{secrets.token_hex(8)}@example.org",
            "password": "violet anchor moss kettle",
            "name": "Ann",
            "role": "coach",
        }
        answer = requests.post(f"{BASE_URL}/v1/accounts", json=body, timeout=60)
        answer.raise_for_status()
        return str(answer.json()["access_token"])

    def set(self, case: Case[Any], data: str | None, context: AuthContext) -> None:
        if data is not None:
            case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Where the header of our pages is tried, what a browser adds to it: without that nothing but refusals would be seen."""
    if "X-Paceline-Page" in case.headers:
        case.headers["Origin"] = BASE_URL


@schemathesis.check
def every_refusal_is_a_problem(context: CheckContext, response: Response, case: Case[Any]) -> None:
    """RFC 9457, whatever went wrong."""
    if response.status_code >= 400 and case.method != "HEAD":
        kind = response.headers.get("content-type", [""])[0]
        assert kind == PROBLEM, f"{response.status_code} came as {kind or 'nothing'}"
