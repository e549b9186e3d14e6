"""A cluster's files: made once, looked over before every start, diagnosed when PostgreSQL will not have them.

A cluster is made in `postgres.new-…` and renamed when it is complete, so a start that was interrupted leaves
nothing half-made. Logging in needs no password: the only way in is a socket in a folder that only this user
(and root) may enter. The application's role owns its database and is no superuser, so a hole in our SQL stays
a hole in our tables.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import re
import shutil
import signal
import tempfile
from pathlib import Path

from paceline.embedded.errors import (
    ClosedFolder,
    DamagedData,
    DiskFull,
    EmbeddedError,
    OtherVersion,
    ServerFailed,
    WrongOwner,
)
from paceline.embedded.folder import DataDir, own
from paceline.embedded.processes import Account, launcher, tail_of

NAME = "PostgreSQL"
MAJOR = "18"
ROLE = DATABASE = "paceline"
SUPERUSER = "postgres"
ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}
"""For every program of PostgreSQL; its own variables (PGPORT, PGOPTIONS, …) must not leak in."""

_FREE_BYTES_FOR_A_NEW_CLUSTER = 100 * 2**20  # measured: 39 MB after initdb, 16 MB of log segments soon after
_BROKEN = (
    "control file",
    "pg_control",
    "pg_wal",
    "checkpoint record",
    "configuration file",
    "No such file",
    "invalid page",
    "valid data",
    "contains errors",
    "could not load",
    "incompatible with server",  # PG_VERSION was right, so it is the control file
)
_HOW = (
    f"--username={SUPERUSER}",
    "--auth=trust",
    "--no-instructions",
    "--encoding=UTF8",
    "--locale=C.UTF-8",
    "--locale-provider=builtin",  # sorts the same on every machine and for ever
    "--builtin-locale=C.UTF-8",
)
_CREATE = f"CREATE ROLE {ROLE} LOGIN CREATEDB;\nCREATE DATABASE {DATABASE} OWNER {ROLE};\n"


async def make(binaries: Path, data: DataDir, account: Account | None, log: Path, *, durable: bool) -> None:
    """Make the cluster of `data`, with the application's role and database.

    Raises DiskFull, ClosedFolder, ServerFailed, OSError.
    """
    if shutil.disk_usage(data.path).free < _FREE_BYTES_FOR_A_NEW_CLUSTER:
        raise DiskFull(data.path)
    for interrupted in data.path.glob("postgres.new-*"):
        shutil.rmtree(interrupted, ignore_errors=True)  # only room: the next start tries again
    new = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=data.path))
    if account is not None:
        own(new, account)
    initdb = [str(binaries / "initdb"), "-D", str(new), *_HOW, *([] if durable else ["--no-sync"])]
    await _run_once(initdb, "", data, account, log)
    single = [str(binaries / "postgres"), "--single", "-D", str(new), "-c", "exit_on_error=on"]
    await _run_once([*single, *([] if durable else ["-F"]), "template1"], _CREATE, data, account, log)
    _put_in_place(new, data.cluster)


def _put_in_place(new: Path, cluster: Path) -> None:
    new.rename(cluster)
    folder = os.open(cluster.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # or the name could be lost with the power
    finally:
        os.close(folder)


async def _run_once(words: list[str], text: str, data: DataDir, account: Account | None, log: Path) -> None:
    """Run one program to its end, `text` on its stdin, its output in the log.

    Raises what `known_cause` knows, or ServerFailed.
    """
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = await asyncio.create_subprocess_exec(
            *launcher(signal.SIGKILL, account),
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=output,
            stderr=output,
            cwd="/",
            env=ENVIRONMENT,
            start_new_session=True,
        )
    finally:
        os.close(output)
    try:
        await process.communicate(text.encode())
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode != 0:
        tail = tail_of(log)
        what = f"could not be set up ({Path(words[0]).name} ended with code {process.returncode})"
        raise known_cause(data, tail) or ServerFailed(NAME, what, log, tail)


def look_over(cluster: Path, account: Account | None) -> None:
    """Refuse what PostgreSQL would refuse in words nobody understands.

    Raises WrongOwner, DamagedData, OtherVersion.
    """
    state = cluster.stat()
    if account is not None and state.st_uid == 0:
        own(cluster, account)  # a copy made by root
    elif account is None and state.st_uid != os.geteuid():
        raise WrongOwner(cluster, _owner(cluster))
    cluster.chmod(0o700)
    try:
        version = (cluster / "PG_VERSION").read_text("ascii", "replace").strip()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DamagedData(cluster, "its file PG_VERSION is missing.") from error
    if version != MAJOR:
        if version.replace(".", "", 1).isdigit():
            raise OtherVersion(cluster, version, MAJOR)
        raise DamagedData(cluster, f"its file PG_VERSION says {version[:20]!r}.")
    if not (cluster / "global" / "pg_control").is_file():
        raise DamagedData(cluster, "its file global/pg_control is missing.")


def known_cause(data: DataDir, tail: str) -> EmbeddedError | None:
    """The situation behind the last lines of a log, where it is one of those with a cure of its own."""
    if refused := [line for line in tail.splitlines() if line.startswith("launch: ")]:
        return ClosedFolder(data.path, refused[-1].removeprefix("launch: "))
    if "No space left on device" in tail or "Disk quota exceeded" in tail:
        return DiskFull(data.path)
    if "wrong ownership" in tail:
        return WrongOwner(data.cluster, _owner(data.cluster))
    for last_words in re.findall(r"(?:FATAL|PANIC|postgres): +(.*)", tail):
        if any(words in last_words for words in _BROKEN):
            return DamagedData(data.cluster, last_words)
    # A disk may be too full even for the line that says so.
    return DiskFull(data.path) if data.is_full() else None


def _owner(path: Path) -> str:
    uid = path.stat().st_uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user id {uid}"
