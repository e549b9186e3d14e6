"""Sealed columns inside one transaction: the key of an account, got or made.

A store reads the wrapped key in the query that reads what it opens (`data_key_of`), so sealing costs no round trip more. Without a
vault nothing is sealed, and what is sealed cannot be read.
"""

from typing import Final

from persistence.database import Tx
from services.kernel.ids import AccountId
from services.kernel.sealing import CannotOpen
from services.privacy.vault import DataKey, Field, Vault


def data_key_of(account: str) -> str:
    """SQL: the wrapped key of the account in this column, `table.column`. Raises ValueError without the table: the column would be
    that of the keys, and every key be found."""
    if "." not in account:
        raise ValueError(f"say of which table {account} is")
    return f"(SELECT wrapped FROM data_keys WHERE data_keys.account_id = {account})"  # noqa: S608 - names of columns


class Sealing:
    """The sealed columns of one transaction."""

    def __init__(self, tx: Tx, vault: Vault | None = None) -> None:
        self._tx: Final = tx
        self._vault: Final = vault

    @property
    def seals(self) -> bool:
        """Whether what is written now is written sealed."""
        return self._vault is not None and self._vault.seals

    async def seal(self, account_id: AccountId, field: Field, plain: bytes) -> bytes | None:
        """Sealed with the key of the account, which is made if there is none; None: it is to be written plain."""
        return (await self.key(account_id)).seal(field, plain) if self.seals else None

    def index(self, field: Field, text: str) -> bytes | None:
        """The blind index of what is written sealed; None: it is to be written plain."""
        return self._vault.index(field, text) if self._vault is not None and self._vault.seals else None

    def indexes(self, field: Field, text: str) -> tuple[bytes, ...]:
        """The blind indexes that equal texts may have been written with. None without a vault: then nothing sealed is found."""
        return () if self._vault is None else self._vault.indexes(field, text)

    def open(self, account_id: AccountId, wrapped: bytes | None, field: Field, sealed: bytes) -> bytes:
        """What was sealed. Raises CannotOpen."""
        return self.opened(account_id, wrapped).open(field, sealed)

    def text(
        self, account_id: AccountId, wrapped: bytes | None, field: Field, plain: str | None, sealed: bytes | None
    ) -> str:
        """A text that lies sealed, or plain. Raises CannotOpen."""
        return (plain or "") if sealed is None else self.open(account_id, wrapped, field, sealed).decode()

    def opened(self, account_id: AccountId, wrapped: bytes | None) -> DataKey:
        """The key as it was read. Raises CannotOpen."""
        if wrapped is None:
            raise CannotOpen(
                f"the key of account {account_id} was destroyed, and what was sealed with it is lost with it"
            )
        return self._known().open(account_id, wrapped)

    async def key(self, account_id: AccountId) -> DataKey:
        """The key of the account, made if there is none: of two who make one at once the first stays. Raises CannotOpen."""
        vault = self._known()
        found: bytes | None = await self._tx.fetchval("SELECT wrapped FROM data_keys WHERE account_id = $1", account_id)
        if found is not None:
            return vault.open(account_id, found)
        made: bytes = await self._tx.fetchval(
            """
            INSERT INTO data_keys (account_id, wrapped, made_at) VALUES ($1, $2, now())
            ON CONFLICT (account_id) DO UPDATE SET wrapped = data_keys.wrapped
            RETURNING wrapped
            """,
            account_id,
            vault.make(account_id),
        )
        return vault.open(account_id, made)

    def _known(self) -> Vault:
        if self._vault is None:
            raise CannotOpen("this process was given no PACELINE_SEALING_KEYS")
        return self._vault
