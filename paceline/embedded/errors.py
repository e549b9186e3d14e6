"""What can go wrong with the local servers, and what to do about each.

Somebody who typed one command and got a failure from a database they never installed deserves two things:
what happened, in their words, and the exact command that mends it. So every class here is one situation and
carries both, and nothing in this package lets an OSError or a server's own message reach the terminal on its
own.
"""

# ruff: noqa: N818 - a class is named for its situation: DiskFull, not DiskFullError

from __future__ import annotations

import errno
import os
import shlex
from pathlib import Path

GIVE_A_URL = "or use a server of your own: set DATABASE_URL (PostgreSQL 16 or newer) and REDIS_URL"


class EmbeddedError(Exception):
    """A local server cannot start or go on; `what` says why and `cure` what to do."""

    def __init__(self, what: str, cure: str) -> None:
        super().__init__(f"{what}\n  {cure}")
        self.what = what
        self.cure = cure


class DataDirInUse(EmbeddedError):
    """Another Paceline runs on this data folder. `pid` is None when it did not leave its number."""

    def __init__(self, data_dir: Path, pid: int | None) -> None:
        who = f"process {pid}" if pid else "another process"
        stop = f"stop it (kill {pid})" if pid else "stop it"
        super().__init__(
            f"{data_dir} is in use by {who}, which is a running Paceline.",
            f"Use that one, {stop}, or give this one a folder of its own: PACELINE_DATA_DIR=.data2",
        )
        self.pid = pid


class DiskFull(EmbeddedError):
    """The file system under the data folder has no room left."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(
            f"The disk that holds {data_dir} is full.",
            "Free some space (about 200 MB; `df -h` shows what there is) and start again: what was "
            "acknowledged is kept. Or move the data: PACELINE_DATA_DIR=/a/bigger/disk",
        )


class NotWritable(EmbeddedError):
    """The data folder, or a file in it, may not be made or written by this user."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path} cannot be written: {why}.",
            f"Give it to this user (sudo chown -R {os.geteuid()} {shlex.quote(str(path))}), or keep the data "
            "elsewhere: PACELINE_DATA_DIR=/a/folder/of/yours",
        )


class WrongOwner(EmbeddedError):
    """The cluster belongs to another account, and PostgreSQL insists on owning its files."""

    def __init__(self, cluster: Path, owner: str) -> None:
        super().__init__(
            f"{cluster} belongs to {owner}, not to you, and PostgreSQL only opens files of its own.",
            f"Start as {owner}, or take the files over: "
            f"sudo chown -R {os.geteuid()} {shlex.quote(str(cluster.parent))}",
        )


class DamagedData(EmbeddedError):
    """The cluster's files are not what PostgreSQL left there."""

    def __init__(self, cluster: Path, detail: str) -> None:
        super().__init__(f"The local database in {cluster} is damaged: {detail}", _start_over(cluster))


class OtherVersion(EmbeddedError):
    """The cluster was made by another major version of PostgreSQL."""

    def __init__(self, cluster: Path, found: str, wanted: str) -> None:
        super().__init__(
            f"The local database in {cluster} was made by PostgreSQL {found}; this Paceline brings {wanted}.",
            f"Go back to the Paceline that made it, or: {_start_over(cluster)}",
        )


class NoBinary(EmbeddedError):
    """The wheel that should bring the server has none for this platform."""

    def __init__(self, server: str, wheel: str, path: Path | None, variable: str) -> None:
        where = f"{path} is missing" if path else f"the package {wheel} is not installed"
        super().__init__(
            f"There is no {server} for this machine: {where}.",
            f"Build the environment again (rm -r .venv; make run), or give {variable} for a server of yours.",
        )


class NoAccount(EmbeddedError):
    """Started as root, and there is no other account PostgreSQL could run under."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"PostgreSQL refuses to run as root, and {why}.",
            f"Start Paceline as an ordinary user, {GIVE_A_URL}.",
        )


class ClosedFolder(EmbeddedError):
    """Started as root, but the account PostgreSQL runs as cannot get to the files, and may not be given the
    means.
    """

    def __init__(self, data_dir: Path, why: str) -> None:
        super().__init__(
            "PostgreSQL refuses to run as root, and the account it runs as cannot enter the folders above "
            f"{data_dir} or its programs ({why}).",
            "Move the checkout to a folder that every account may enter (for example below /srv), open those "
            f"folders (chmod o+x), start Paceline as an ordinary user, {GIVE_A_URL}.",
        )


class SocketDirTooLong(EmbeddedError):
    """Not even the folder for temporary files gives a socket path short enough."""

    def __init__(self, tried: Path) -> None:
        super().__init__(
            f"No folder with a name short enough for a socket could be made (tried {tried}).",
            "Set TMPDIR to a writable folder with a short name, for example TMPDIR=/tmp",
        )


class ServerFailed(EmbeddedError):
    """A server did not start, or ended while Paceline was running. `tail` holds the last lines it wrote."""

    def __init__(self, server: str, what: str, log: Path, tail: str) -> None:
        lines = "".join(f"\n    {line}" for line in tail.splitlines()) or "\n    (it wrote nothing)"
        super().__init__(
            f"{server} {what}. Its last lines:{lines}",
            f"The whole log is in {log}. Start again, {GIVE_A_URL}.",
        )
        self.server = server
        self.tail = tail


def from_os_error(error: OSError, path: Path) -> EmbeddedError:
    """The situation behind an OSError met while preparing `path`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(path)
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return NotWritable(path, "it, or something on the way to it, is a file and not a folder")
    return NotWritable(path, error.strerror or str(error))


def _start_over(cluster: Path) -> str:
    data_dir = shlex.quote(str(cluster.parent))
    return (
        "Bring back a copy if you have one. To start empty and keep the old files: "
        f"mv {data_dir} {data_dir}.broken ; "
        f"to start empty and lose the local data: rm -r {data_dir}"
    )
