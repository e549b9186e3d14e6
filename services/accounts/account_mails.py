"""Having a mail about an account written, in the transaction of what it is about. For the other use cases.

What is done here for an address is the same, statement for statement, whether it has an account or not: who reads the mail is
looked up when it leaves, by the worker that sends it (`services/notifications/account_letter.py`). So neither an answer nor its
time can tell.
"""

from typing import Final, Protocol

from services.accounts.account_mail import (
    DAY_MS,
    LIFE_MS,
    AccountMail,
    Link,
    MailTokens,
    Pending,
    Says,
    may_write,
    open_,
)
from services.accounts.ports import AccountMailStore
from services.kernel.clock import Clock, utc
from services.kernel.ids import AccountId, AccountMailId, Ids
from services.kernel.problems import NotFound


class MailingStores(Protocol):
    """What is needed of the stores of a transaction."""

    @property
    def account_mails(self) -> AccountMailStore: ...


class AccountMails:
    """`offered`: whether this installation sends mail at all."""

    def __init__(self, clock: Clock, ids: Ids, tokens: MailTokens, *, offered: bool) -> None:
        self._clock: Final = clock
        self._ids: Final = ids
        self._tokens: Final = tokens
        self._offered: Final = offered

    def require_offered(self) -> None:
        """Raises NotFound where no mail is sent: nothing that needs one can be begun."""
        if not self._offered:
            raise NotFound("this server sends no mail, so no address can be proved; ask the operator")

    async def write(
        self,
        stores: MailingStores,
        says: Says,
        email: str,
        *,
        account_id: AccountId | None = None,
        pending: Pending | None = None,
        mail_id: AccountMailId | None = None,
    ) -> bool:
        """Write to an address, unless it has been written to too often. Where no mail is sent, nothing. Whether it was written."""
        if not self._offered:
            return False
        now_ms = self._clock.wall_ms()
        await stores.account_mails.lock(email)
        asked = await stores.account_mails.asked_since(email, says, utc(now_ms - DAY_MS))
        if not may_write(asked, now_ms):
            return False
        mail = AccountMail(mail_id or self.next_id(), says, email, now_ms, account_id, pending)
        await stores.account_mails.add(mail, utc(now_ms), utc(now_ms + LIFE_MS[says]))
        return True

    async def found(self, stores: MailingStores, token: str, says: Link) -> AccountMail:
        """The mail whose link this is, if it is still good now. Raises LinkOver.

        Whoever uses the link locks first what it is about, then the mail (`opened`): in that order everybody does, so nobody waits
        in a circle.
        """
        mail = await stores.account_mails.by_id(self._tokens.read(token, says))
        return open_(mail, self._clock.wall_ms())

    async def opened(self, stores: MailingStores, token: str, says: Link) -> AccountMail:
        """The mail whose link this is, if it is still good; nobody else can use the link before this transaction ends.

        Raises LinkOver.
        """
        mail = await stores.account_mails.locked(self._tokens.read(token, says))
        return open_(mail, self._clock.wall_ms())

    def next_id(self) -> AccountMailId:
        """An id for a mail that may be written."""
        return AccountMailId(self._ids.next())
