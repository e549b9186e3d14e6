"""Envelopes: what is about somebody's body lies in the database under a key of their own.

Each account has a data key, made when it is first needed. It lies in the database too, wrapped with the keys of the installation
(`services/kernel/sealing.py`), which do not. So:

- a dump, a replica or a backup tells nothing without PACELINE_SEALING_KEYS;
- another key of the installation means wrapping one small key per account anew, and no field;
- destroying an account's data key makes everything sealed with it unreadable, in every backup that is not older.

AES-256-GCM with a random nonce. The seal is about the table, the column and the account, and about the version of the key, so that
a field put into another's row or another column does not open. A key seals far less than the 2^32 fields at which random nonces are
to be feared (NIST SP 800-38D, section 8.3): a lifetime of samples is some 2^27 blocks.

    sealed   1 byte version of the key, 12 bytes nonce, ciphertext, 16 bytes tag

Where SQL looks for equal values of all accounts (how often an address was asked), a blind index lies beside what is sealed: a keyed
hash (HMAC-SHA-256), for that column alone, under a key of the installation, whose number it begins with. It says which rows are
equal, and nothing else, to who does not have that key.

    index    4 bytes number of the key, 16 bytes of the hash
"""

import base64
import secrets
from collections import OrderedDict
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.kernel.ids import AccountId
from services.kernel.sealing import KEY_BYTES, CannotOpen, Seals

ABOUT_PROOF: Final = b"the keys of the installation"
_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12
_MOST_OPENED: Final = 10_000
"""Keys that a process keeps opened, some 5 MB: opening one took 30 µs, sealing with one 6. Full means: the one used longest ago
goes. One that was destroyed is not found by it, because its wrapping is what finds it."""


class Field(NamedTuple):
    """A sealed column."""

    table: str
    column: str


class DataKey:
    """The key of one account."""

    def __init__(self, key: bytes, account_id: AccountId) -> None:
        self._cipher: Final = AESGCM(key)
        self._account: Final = account_id.bytes

    def seal(self, field: Field, plain: bytes) -> bytes:
        """Sealed for this field of this account."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, plain, self._about(field))

    def open(self, field: Field, sealed: bytes) -> bytes:
        """What was sealed. Raises CannotOpen when that was for another field or account, or is damaged."""
        if sealed[:1] != _VERSION:
            raise CannotOpen(f"{field.table}.{field.column} is sealed in a way that this program does not know")
        nonce, rest = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, rest, self._about(field))
        except (InvalidTag, ValueError) as cause:
            raise CannotOpen(
                f"{field.table}.{field.column} does not open: it was moved here from another row or column, or is damaged"
            ) from cause

    def _about(self, field: Field) -> bytes:
        return b"|".join((b"paceline field", _VERSION, field.table.encode(), field.column.encode(), self._account))

    def __repr__(self) -> str:
        return "DataKey()"


class Vault:
    """Makes data keys and opens them. Not `seals`: it opens what is sealed and seals nothing new, while nodes of a program that
    knows no seals still run beside this one."""

    def __init__(self, keys: Seals, *, seals: bool = True) -> None:
        self._keys: Final = keys
        self._opened: Final[OrderedDict[tuple[AccountId, bytes], DataKey]] = OrderedDict()
        self.seals: Final = seals

    def make(self, account_id: AccountId) -> bytes:
        """A new data key, wrapped."""
        return self._keys.seal(base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode(), about_key(account_id))

    def open(self, account_id: AccountId, wrapped: bytes) -> DataKey:
        """Raises CannotOpen when this process does not have the key that it is wrapped with."""
        found = self._opened.pop((account_id, wrapped), None)
        if found is None:
            found = DataKey(base64.b64decode(self._keys.open(wrapped, about_key(account_id))), account_id)
        self._opened[account_id, wrapped] = found
        if len(self._opened) > _MOST_OPENED:
            self._opened.popitem(last=False)
        return found

    def proof(self) -> bytes:
        """Something sealed, by which another process finds out whether it has the same keys."""
        return self._keys.seal(secrets.token_urlsafe(16), ABOUT_PROOF)

    def require_proof(self, sealed: bytes) -> None:
        """Raises CannotOpen when this was sealed with keys that this process does not have."""
        try:
            self._keys.open(sealed, ABOUT_PROOF)
        except CannotOpen as cause:
            raise CannotOpen(
                "this database is sealed with other keys than this process has: give it the PACELINE_SEALING_KEYS of the other"
                " nodes (docs/howto/run-several-nodes.md)"
            ) from cause

    def wrap_anew(self, wrapped: bytes, about: bytes) -> bytes:
        """The same under the newest key of the installation. Raises CannotOpen."""
        return self._keys.seal(self._keys.open(wrapped, about), about)

    def index(self, field: Field, text: str) -> bytes:
        """What is stored so that equal texts of this column are found, under the newest key of the installation."""
        return self.indexes(field, text)[0]

    def indexes(self, field: Field, text: str) -> tuple[bytes, ...]:
        """What may be stored for this text: one under each key of the installation."""
        return self._keys.blind(text, b"|".join((b"paceline index", field.table.encode(), field.column.encode())))

    @property
    def newest(self) -> bytes:
        """What everything begins with that is wrapped with the newest key of the installation."""
        return self._keys.newest


def about_key(account_id: AccountId) -> bytes:
    """What the wrapping of an account's data key is about."""
    return b"data key" + account_id.bytes
