"""Who is asking, as far as a token can tell.

Pure and small, so that HTTP routes, socket events and room joins judge by the same value. A display is a screen
without an account: it watches one class and can do nothing else.
"""

from typing import Literal

import msgspec

from services.kernel.ids import AccountId, ClassId, LoginId
from services.kernel.problems import Forbidden

AccountRole = Literal["member", "coach", "display"]


class Caller(msgspec.Struct, frozen=True):
    """An authenticated caller: account, login (device), roles; `class_id` only for displays.

    For a display `account_id` and `login_id` are ids of their own, with no row behind them. `expires_at_ms` is the end of
    the access token, ms since 1970. `fresh_at_ms`: when this login last proved itself anew, `second_factor_at_ms`: when it did so
    with a second factor, both None when that is long ago (services/accounts/step_up.py).
    """

    account_id: AccountId
    login_id: LoginId
    name: str
    roles: frozenset[AccountRole]
    expires_at_ms: int
    class_id: ClassId | None = None
    fresh_at_ms: int | None = None
    second_factor_at_ms: int | None = None

    def require(self, role: AccountRole) -> None:
        """Raise `Forbidden` unless the caller has `role`."""
        if role not in self.roles:
            raise Forbidden(f"this needs the role {role}")
