"""The use cases by which people get in, on a real database and with a mail server that keeps what it is given."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Final

from persistence.database import Database
from persistence.stores import Stores, Transactions
from services.accounts.account import SignupRole
from services.accounts.account_mail import MailTokens
from services.accounts.account_mails import AccountMails
from services.accounts.accounts import Accounts, Signup, identifier
from services.accounts.attempts import Attempts
from services.accounts.breached import Breached
from services.accounts.email_changes import EmailChanges
from services.accounts.keyring import load_key, make_key
from services.accounts.logins import Logins
from services.accounts.opening import LoggedIn, Opening
from services.accounts.passwords import Cost, Passwords
from services.accounts.registrations import RegistrationBegun, Registrations
from services.accounts.resets import Resets
from services.accounts.tokens import Tokens
from services.kernel.caller import Caller
from services.kernel.clock import Clock, ManualClock
from services.kernel.ids import AccountId, Ids, Uuid7Ids
from services.limits.limits import Limits
from tests.support.mailed import BASE_URL, Mailing, open_mailing, text_of

SECRET: Final = b"the secret of all nodes"
OLD: Final = "violet anchor moss kettle"
NEW: Final = "copper lantern orbit thistle"
ANNA: Final = "anna@example.org"
CHEAP: Final = Cost(rounds=1, memory_kib=8, lanes=1)


@dataclass
class Doors:
    """The house with all its ways in."""

    accounts: Accounts
    registrations: Registrations
    resets: Resets
    email_changes: EmailChanges
    logins: Logins
    passwords: Passwords
    transactions: Transactions
    clock: ManualClock
    ids: Ids
    tokens: Tokens
    mailing: Mailing

    def caller(self, logged_in: LoggedIn) -> Caller:
        return identifier(self.tokens, self.clock)(logged_in.access_token)

    async def account(self, email: str = ANNA, password: str = OLD, name: str = "Anna") -> LoggedIn:
        """Somebody with an account, made at once, whose address is not proved."""
        return await self.accounts.register(
            email=email, password=password, name=name, role="member", device="watch", address=None
        )

    async def log_in(self, password: str = OLD, email: str = ANNA) -> LoggedIn:
        return await self.accounts.log_in(email=email, password=password, device="phone", address=None)

    async def begin(self, email: str = ANNA, password: str = OLD, role: SignupRole = "member") -> RegistrationBegun:
        return await self.registrations.begin(email=email, password=password, name="Anna", role=role, address=None)

    async def finish(self, link: str, password: str = OLD) -> LoggedIn:
        return await self.registrations.finish(link, password=password, device="phone", address=None)

    async def reset(self, link: str, password: str = NEW) -> None:
        await self.resets.finish(link, password=password, address=None)

    async def newest(self) -> EmailMessage:
        """The mail that came last."""
        return (await self.mailing.mails())[-1]

    async def link(self, says: str) -> str:
        """The token of the newest mail, which must lead to this."""
        return token_in(await self.newest(), says)

    async def email_of(self, account_id: AccountId) -> str:
        async with self.transactions() as stores:
            account = await stores.accounts.by_id(account_id)
        assert account is not None
        return account.email


def token_in(mail: EmailMessage, says: str) -> str:
    """The token of the link in a mail, which must lead to this."""
    page = "reset" if says == "reset" else "verify"
    found = re.search(rf"{re.escape(BASE_URL)}/{page}#{says}=(\S+)", text_of(mail))
    assert found is not None, text_of(mail)
    return found[1]


class Overheard(Transactions):
    """Transactions whose statements are written down."""

    def __init__(self, database: Database, clock: Clock, ids: Ids, said: list[str]) -> None:
        super().__init__(database, clock, ids)
        self._said: Final = said

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Stores]:
        async with super()._open() as stores:
            with stores.tx.query_logger(lambda one: self._said.append(" ".join(one.query.split()))):
                yield stores


@asynccontextmanager
async def open_doors(
    database: Database,
    *,
    signup: Signup = "direct",
    offered: bool = True,
    breached: Breached | None = None,
    cost: Cost = CHEAP,
    said: list[str] | None = None,
) -> AsyncIterator[Doors]:
    """Real parts, with hashes at the lowest cost. `said` gets every statement that the use cases send to the database."""
    clock = ManualClock()
    ids = Uuid7Ids(clock)
    transactions = Transactions(database, clock, ids) if said is None else Overheard(database, clock, ids, said)
    passwords, tokens = Passwords(cost=cost), Tokens(load_key(make_key()))
    attempts, opening = Attempts(Limits(clock)), Opening(tokens, clock, ids)
    mails = AccountMails(clock, ids, MailTokens(SECRET), offered=offered)
    async with open_mailing(transactions, clock, SECRET) as mailing:
        yield Doors(
            Accounts(transactions, passwords, opening, clock, ids, attempts=attempts, signup=signup, breached=breached),
            Registrations(transactions, passwords, mails, opening, clock, ids, attempts, breached=breached),
            Resets(transactions, passwords, mails, clock, attempts, breached=breached),
            EmailChanges(transactions, passwords, mails, clock, attempts),
            Logins(transactions, passwords, clock, attempts, mails=mails, breached=breached),
            passwords,
            transactions,
            clock,
            ids,
            tokens,
            mailing,
        )
    passwords.close()
