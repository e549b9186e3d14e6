"""Who runs a command on the server, as far as its operating system knows."""

import getpass

from services.audit.entry import Actor, command


def this_user() -> Actor:
    """The actor that the audit names for a command; without a name where the system has none for this user."""
    try:
        return command(getpass.getuser())
    except (KeyError, OSError):
        return command("")
