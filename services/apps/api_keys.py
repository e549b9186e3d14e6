"""Keys for one's own scripts: made with a name and scopes, shown once, rotated with an overlap, revoked.

A key is a bearer token without a login page: whoever has it may do what its scopes say, until it is revoked or ends. It is a login
of its account like any other, so that whatever ends logins (a changed password, a ban) ends it as well.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from services.accounts.account import normal_device, normal_name
from services.accounts.ports import Login
from services.accounts.scope import FOR_PEOPLE
from services.apps import secret
from services.apps.apps import Rotated
from services.apps.ending import end_login, require_going_on
from services.apps.ports import ApiKey, AppTransactions
from services.kernel.caller import Caller, Scope
from services.kernel.clock import Clock, to_wall_ms, utc
from services.kernel.ids import ApiKeyId, Ids, LoginId
from services.kernel.problems import BadShape, NotAuthenticated, NotFound, TooManyApiKeys

MAX_KEYS: Final = 50
"""Of one account."""
LONGEST_DAYS: Final = 3_650
KEY_REVOKED: Final = "the key was revoked"

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class MadeKey:
    """A new key, and what is sent as the bearer token, which is not shown again."""

    key: ApiKey
    secret: str


class ApiKeys:
    """The use cases."""

    def __init__(self, transactions: AppTransactions, clock: Clock, ids: Ids) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._ids: Final = ids

    async def make(self, caller: Caller, *, name: str, scopes: frozenset[Scope], days: int | None) -> MadeKey:
        """A new key that ends after `days`, or not by itself. Raises BadShape, TooManyApiKeys, Forbidden,
        NotAuthenticated."""
        caller.require("member")
        if not scopes or not scopes <= FOR_PEOPLE:
            raise BadShape("a key needs at least one scope, and none that is for services", path="$.scopes")
        now = utc(self._clock.wall_ms())
        key = ApiKey(
            id=ApiKeyId(self._ids.next()),
            account_id=caller.account_id,
            login_id=LoginId(self._ids.next()),
            name=normal_name(name),
            scopes=scopes,
            created_at=now,
            expires_at=None if days is None else now + timedelta(days=days),
        )
        made = secret.make(secret.API_KEY)
        async with self._transactions() as stores:
            # Of two requests at once, the second counts what the first has made.
            if await stores.accounts.locked(caller.account_id) is None:
                raise NotAuthenticated
            await require_going_on(stores, caller)
            if len(await stores.api_keys.of_account(caller.account_id)) >= MAX_KEYS:
                raise TooManyApiKeys(limit=MAX_KEYS)
            await stores.logins.add(Login(key.login_id, key.account_id, normal_device(key.name), created_at=now))
            await stores.api_keys.add(key)
            await stores.api_keys.add_secret(key.id, made.hash, now)
        log.info("api_key.made", key=str(key.id), account=str(key.account_id))
        return MadeKey(key, made.text)

    async def own(self, caller: Caller) -> list[ApiKey]:
        """The caller's keys, the oldest first. Raises Forbidden."""
        caller.require("member")
        async with self._transactions() as stores:
            return await stores.api_keys.of_account(caller.account_id)

    async def rotate(self, caller: Caller, key_id: ApiKeyId, overlap_s: int) -> Rotated:
        """A new secret; the old one is taken for `overlap_s` more. There are never more than two. Raises NotFound, Forbidden,
        NotAuthenticated."""
        caller.require("member")
        made, now = secret.make(secret.API_KEY), utc(self._clock.wall_ms())
        until = now + timedelta(seconds=overlap_s)
        async with self._transactions() as stores:
            _theirs(caller, await stores.api_keys.locked(key_id))
            await require_going_on(stores, caller)
            await stores.api_keys.retire_secrets(key_id, now, until)
            await stores.api_keys.add_secret(key_id, made.hash, now)
        log.info("api_key.rotated", key=str(key_id), overlap_s=overlap_s)
        return Rotated(made.text, to_wall_ms(until))

    async def revoke(self, caller: Caller, key_id: ApiKeyId) -> None:
        """End a key: nobody believes it any more within seconds, and its sockets close. Raises NotFound, Forbidden."""
        caller.require("member")
        async with self._transactions() as stores:
            key = _theirs(caller, await stores.api_keys.locked(key_id))
            await end_login(stores, key.account_id, key.login_id, utc(self._clock.wall_ms()), KEY_REVOKED)
            await stores.api_keys.remove(key_id)
        log.info("api_key.revoked", key=str(key_id), account=str(key.account_id))


def _theirs(caller: Caller, key: ApiKey | None) -> ApiKey:
    if key is None or key.account_id != caller.account_id:
        raise NotFound("you have no such key")
    return key
