"""What a mail about an account becomes when it leaves: which words, and whether it leaves at all. Pure.

Only here it matters whether the address has an account. Whoever asked has had their answer long ago, and it is the reader of the
mailbox who learns: that they can finish registering, or that they have an account already; somebody who has none and whose
password somebody wants to reset is not bothered.

It is no notification: it may go to somebody without an account, and no preference can hold it back. It greets nobody by name: a
name is what a stranger may have typed, to have us mail it to somebody who never heard of us.
"""

from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from services.accounts.account_mail import AccountMail
from services.notifications.deciding import Stop

Letter = Literal["register", "known", "confirm", "reset", "change", "taken", "undo", "moving", "password", "invite"]
"""As mails about accounts say, and two more: `known` for somebody who has an account when it is registered with their address,
`taken` when somebody else's account was to move to it."""


@dataclass(frozen=True)
class Standing:
    """How an address stands at the moment in which its mail is to leave. `is_owner`: the account that it has is the one that the
    mail is about; `ended`: the link is good no more."""

    has_account: bool
    is_owner: bool
    ended: bool
    mailable: bool


class AccountLetter(msgspec.Struct, frozen=True):
    """What a letter says. `until_ms` is when its link ends; 0 where there is none."""

    says: Letter
    email: str
    until_ms: int = 0


HAVE_LINKS: Final[frozenset[Letter]] = frozenset({"register", "confirm", "reset", "change", "undo", "invite"})
"""Letters whose button leads to what the link in them is for; that of the others leads to the account."""


def still(mail: AccountMail, now: Standing, now_ms: int) -> Stop | None:
    """Whether a mail that is due now may leave: None for yes."""
    if not now.mailable:
        return Stop("suppressed", "there is no address any more")
    if now_ms >= mail.until_ms:
        return Stop("expired", "nobody wants it any more")
    if now.ended:
        return Stop("suppressed", "its link is over")
    if mail.says == "reset" and not now.has_account:
        return Stop("suppressed", "the address has no account")
    return None


def letter_of(mail: AccountMail, now: Standing) -> AccountLetter:
    """What a mail says that leaves now."""
    says: Letter = mail.says
    if mail.says == "register" and now.has_account:
        says = "known"
    elif mail.says == "change" and now.has_account and not now.is_owner:
        says = "taken"
    return AccountLetter(says, mail.email, mail.until_ms if says in HAVE_LINKS else 0)
