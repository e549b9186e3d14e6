"""What an installation makes for itself at its first start: the key that signs access tokens, the admin token, the key by
which browsers' push services know it, and the key that seals secrets in the database.

Each lies in the data folder, readable by its owner alone, and is used whenever the environment does not name another. Nodes
on several machines do not share a data folder: give all of them the same by PACELINE_TOKEN_KEY, PACELINE_ADMIN_TOKEN,
PACELINE_VAPID_KEY and PACELINE_SEALING_KEYS. Commands make none (`known_…`): they work with what the nodes have, or
not at all.
"""

import base64
import contextlib
import errno
import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from paceline.settings import Settings
from services.accounts.keyring import make_key
from services.accounts.tokens import DISPLAY_TTL_S
from services.kernel.sealing import Seals
from services.kernel.sealing import make_key as make_sealing_key
from services.notifications.vapid import make_vapid_key
from services.privacy.vault import Vault

KEY_FILE: Final = "token.key.pem"
VAPID_KEY_FILE: Final = "vapid.key.pem"
ADMIN_TOKEN_FILE: Final = "admin.token"  # noqa: S105 - its name
SEALING_KEY_FILE: Final = "sealing.key"
_ADMIN_TOKEN_BYTES: Final = 32
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS})
"""What file systems say that have no hard links."""


class KeyMissing(Exception):  # noqa: N818 - said to people as it is
    """A command needs a key of the nodes, and neither the environment nor the data folder has it. One of its own would
    open nothing of theirs, and none of them would believe it. The message says what to do."""


def signing_key(settings: Settings) -> str:
    """The key that signs access tokens, PEM; made when there is none. Raises OSError when the folder cannot be used."""
    return settings.token_key or _kept(settings.data_dir / KEY_FILE, make_key)


def longest_token_ms(settings: Settings) -> int:
    """The longest life of an access token: so long a key is believed after it has stopped signing."""
    return max(settings.access_token_minutes * 60, DISPLAY_TTL_S) * 1_000


def admin_token(settings: Settings) -> str:
    """The admin token; made when there is none. Raises OSError when the folder cannot be used."""
    return settings.admin_token or _kept(settings.data_dir / ADMIN_TOKEN_FILE, _make_admin_token).strip()


def vapid_key(settings: Settings) -> str:
    """The key by which browsers' push services know us, PEM; made when there is none. Raises OSError when the folder cannot be
    used."""
    return settings.vapid_key or _kept(settings.data_dir / VAPID_KEY_FILE, make_vapid_key)


def sealing_keys(settings: Settings) -> tuple[bytes, ...]:
    """The keys that seal and open secrets in the database; one is made when there are none. Raises OSError when the folder
    cannot be used."""
    if settings.sealing_keys:
        return settings.sealing_keys
    return (base64.b64decode(_kept(settings.data_dir / SEALING_KEY_FILE, lambda: f"{make_sealing_key()}\n".encode())),)


def vault(settings: Settings) -> Vault:
    """What opens and seals the fields that are about somebody's body. Raises OSError when the folder cannot be used."""
    return Vault(Seals(sealing_keys(settings)), seals=settings.seal_fields == "on")


def known_admin_token(settings: Settings) -> str | None:
    """The admin token of the environment or the data folder, None when neither has one: for commands, which make nothing.
    Raises OSError when there is one that this user may not read."""
    return settings.admin_token or (_there(settings.data_dir / ADMIN_TOKEN_FILE) or "").strip() or None


def known_vapid_key(settings: Settings) -> str | None:
    """The key by which browsers' push services know us, likewise."""
    return settings.vapid_key or _there(settings.data_dir / VAPID_KEY_FILE)


def known_signing_key(settings: Settings) -> str:
    """The key that signs access tokens, PEM, of the environment or the data folder: for commands, which make nothing.
    Raises KeyMissing when neither has one, OSError when there is one that this user may not read."""
    return settings.token_key or _known(settings.data_dir / KEY_FILE, "PACELINE_TOKEN_KEY")


def known_sealing_keys(settings: Settings) -> tuple[bytes, ...]:
    """The same of the keys that seal."""
    if settings.sealing_keys:
        return settings.sealing_keys
    return (base64.b64decode(_known(settings.data_dir / SEALING_KEY_FILE, "PACELINE_SEALING_KEYS")),)


def known_vault(settings: Settings) -> Vault:
    """`vault` for commands. Raises as `known_sealing_keys` does."""
    return Vault(Seals(known_sealing_keys(settings)), seals=settings.seal_fields == "on")


def _make_admin_token() -> bytes:
    return f"{secrets.token_urlsafe(_ADMIN_TOKEN_BYTES)}\n".encode()


def _known(path: Path, variable: str) -> str:
    found = _there(path)
    if found is None:
        raise KeyMissing(
            f"{variable} is not set, and {path} does not exist. Give this command the {variable} of the nodes; on one"
            " machine `paceline run` makes it at its first start."
        )
    return found


def _there(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii")
    except (FileNotFoundError, NotADirectoryError):
        return None


def _kept(path: Path, make: Callable[[], bytes]) -> str:
    """What the file holds. A new one appears whole or not at all, and nobody else can read it at any moment. When several
    processes make one at the same time, the first stays, and all of them use it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, fresh = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(make())
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                _name(path, fresh)
        finally:
            os.unlink(fresh)
    return path.read_text(encoding="ascii")


def _name(path: Path, fresh: str) -> None:
    """Give the file this name as well. Raises OSError, with the cure where no file can have two."""
    try:
        path.hardlink_to(fresh)
    except OSError as problem:
        if problem.errno not in _NO_LINKS:
            raise
        raise OSError(
            f"{path} cannot be made: its volume has no hard links ({problem.strerror}). Choose a folder elsewhere with"
            " PACELINE_DATA_DIR, or give all keys in the environment (docs/howto/run-several-nodes.md)"
        ) from problem
