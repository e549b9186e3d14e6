"""What a request counts for, and how the client is told what is left.

Whoever has a token is counted by account, whatever its devices, and for each key or app by itself; whoever has none, or a bad one,
by address. The headers are those of draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy` says what may be done in which window,
`RateLimit` what is left (`r`) and in how many seconds everything has come back (`t`), one item for each limit that was asked.
"""

import math
from typing import Final

from aiohttp import web

from services.accounts.attempts import network_of
from services.kernel.caller import Caller
from services.kernel.problems import Problem
from services.limits.limit import Limit, Standing
from services.limits.limits import Limits
from services.limits.table import API, KEY, LIMITS, OPEN

STANDING: Final = web.RequestKey("standing", Standing)
POLICY_HEADER: Final = "RateLimit-Policy"
HEADER: Final = "RateLimit"


async def count(request: web.Request, limits: Limits, caller: Caller | None, address: str | None) -> None:
    """Count a request. Raises RateLimited. One of an operator, or of nobody on this machine itself, is not counted."""
    if caller is not None and caller.scopes is not None:
        standing = await limits.take(KEY, str(caller.account_id), str(caller.app_id or caller.login_id))
    elif caller is not None:
        standing = await limits.take(API, str(caller.account_id))
    elif address is not None:
        standing = await limits.take(OPEN, network_of(address))
    else:
        return
    request[STANDING] = standing
    if not standing.passed:
        raise limits.refusal(standing)


def tell(request: web.Request, response: web.StreamResponse, refused: Problem | None = None) -> None:
    """Put the headers on a response. `refused` is the problem it says, if it says one: a limit of its own may be behind it."""
    policies, left = [], []
    standing = request.get(STANDING)
    if standing is not None:
        policies.append(_policy(standing.limit))
        left.append(f'"{standing.limit.name}";r={standing.left};t={math.ceil(standing.full_in_ms / 1_000)}')
    limit = None if refused is None else LIMITS.get(str(refused.data.get("policy")))
    if refused is not None and limit is not None and (standing is None or limit is not standing.limit):
        policies.append(_policy(limit))
        left.append(f'"{limit.name}";r=0;t={math.ceil((refused.retry_after_ms or 0) / 1_000)}')
    if policies:
        response.headers[POLICY_HEADER] = ", ".join(policies)
        response.headers[HEADER] = ", ".join(left)


def _policy(limit: Limit) -> str:
    return f'"{limit.name}";q={limit.burst};w={limit.window_s}'
