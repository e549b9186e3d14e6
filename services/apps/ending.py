"""Ending what was lent: the logins of grants and keys, as any login ends.

A fact per login closes its sockets on every node; the refresh tokens of a login that has ended are not taken any more, and what
stands behind an access token is looked at every few seconds (`lent.py`).
"""

from collections.abc import Iterable
from datetime import datetime

from services.accounts.ports import AccountStores
from services.apps.ports import Grant
from services.kernel.caller import Caller
from services.kernel.facts import LoginEnded
from services.kernel.ids import AccountId, LoginId
from services.kernel.problems import NotAuthenticated


async def end_grants(stores: AccountStores, grants: Iterable[Grant], now: datetime, reason: str) -> int:
    """End these; how many went on until now. In the order of their ids, so that two who end the same do not wait for each other."""
    ended = 0
    for grant in sorted(grants, key=lambda one: one.login_id):
        ended += await end_login(stores, grant.account_id, grant.login_id, now, reason)
    return ended


async def require_going_on(stores: AccountStores, caller: Caller) -> None:
    """Raise NotAuthenticated when the caller's login has ended. Its access token is believed for some seconds more, which must not
    be enough to have a key or an app in the account that outlives it."""
    login = await stores.logins.by_id(caller.login_id)
    if login is None or login.ended_at is not None:
        raise NotAuthenticated("you were logged out meanwhile; log in and try again")


async def end_login(
    stores: AccountStores,
    account_id: AccountId,
    login_id: LoginId,
    now: datetime,
    reason: str,
    *,
    stolen: bool = False,
) -> bool:
    """End one; whether it went on until now."""
    if not await stores.logins.end(login_id, now, reason):
        return False
    await stores.outbox.add(LoginEnded(account_id, login_id, reason, stolen=stolen), login_id)
    return True
