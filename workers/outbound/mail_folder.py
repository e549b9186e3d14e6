"""E-mail for a machine without a mail server: each mail a file in a folder, to be opened with any mail program.

The file is named after the message's id: ids are in the order of time, so a listing is too, and a mail that is sent again takes
its own place. Only the owner can read the files; they hold what was meant for somebody else.
"""

import asyncio
import os
from email.headerregistry import Address
from pathlib import Path
from typing import Final

from services.kernel.clock import Clock
from services.notifications.outgoing import Mail, Outgoing, Receipt, Refused
from workers.outbound.mime import letter
from workers.outbound.outcomes import Away

NAME: Final = "folder"


class MailFolder:
    """Writes mails from `sender` into `folder`, which is made when the first one comes."""

    name: Final = NAME

    def __init__(self, folder: Path, sender: Address, clock: Clock) -> None:
        self._folder: Final = folder
        self._sender: Final = sender
        self._clock: Final = clock

    async def send(self, message: Outgoing) -> Receipt:
        """See `Provider.send`."""
        if not isinstance(message, Mail):
            raise Refused("this provider keeps mail only", provider=NAME)
        ready = letter(message, self._sender, self._clock.wall_ms(), provider=NAME)
        path = self._folder / f"{message.message_id}.eml"
        try:
            await asyncio.to_thread(_write, path, ready.content)
        except OSError as fault:
            raise Away(f"the mail folder cannot be written: {fault.strerror}", provider=NAME) from fault
        return Receipt(NAME, path.name)


def _write(path: Path, content: bytes) -> None:
    """The file appears whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    fresh.replace(path)
