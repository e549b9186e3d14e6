"""Who is asking, as far as a token can tell.

Pure and small, so that HTTP routes, socket events and room joins judge by the same value. A display is a screen
without an account: it watches one class and can do nothing else.
"""

from typing import Literal

import msgspec

from services.kernel.ids import AccountId, AppId, ClassId, LoginId
from services.kernel.problems import Forbidden

AccountRole = Literal["member", "coach", "author", "support", "admin", "display"]
"""What each of them is: services/access/role.py."""
Scope = Literal[
    "profile:read",
    "profile:write",
    "workouts:read",
    "classes:read",
    "classes:book",
    "classes:join",
    "classes:chat",
    "classes:manage",
    "live:stream",
    "challenges:read",
    "notifications:read",
    "webhooks:manage",
    "app:read",
]
"""A part of what an account may, that it lends to an app or a script. What each allows, in words: services/accounts/scope.py."""


class Caller(msgspec.Struct, frozen=True):
    """An authenticated caller: account, login (device), roles; `class_id` only for displays.

    For a display `account_id` and `login_id` are ids of their own, with no row behind them. `expires_at_ms` is the end of
    the access token, ms since 1970. `fresh_at_ms`: when this login last proved itself anew, `second_factor_at_ms`: when it did so
    with a second factor, both None when that is long ago (services/accounts/step_up.py).

    `scopes`: None for a person with a login of their own, who may everything that their account may; otherwise an app, or a
    script with a key, which may of that only what these allow. `app_id`: which app, None for a key. A service, that is an app
    that speaks for itself and nobody else, has no roles, and its own id for `account_id` and `login_id`.
    """

    account_id: AccountId
    login_id: LoginId
    name: str
    roles: frozenset[AccountRole]
    expires_at_ms: int
    class_id: ClassId | None = None
    fresh_at_ms: int | None = None
    second_factor_at_ms: int | None = None
    scopes: frozenset[Scope] | None = None
    app_id: AppId | None = None

    def require(self, role: AccountRole) -> None:
        """Raise `Forbidden` unless the caller has `role`."""
        if role not in self.roles:
            raise Forbidden(f"this needs the role {role}")
