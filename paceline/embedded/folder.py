"""The data folder: who may use it, what lies where, and how deep its sockets may lie.

    .data/
      lock          held (flock) by the one Paceline that uses this folder; its process id is inside
      postgres/     the cluster, owned by the account PostgreSQL runs as
      log/          postgres.log, redis.log; the run before this one is kept as .log.1
      run/          private folders for the sockets: run/pg, run/redis
      sockets       link to the folder that they are in

A socket's path may have 107 bytes and no more, which a checkout a few folders deep easily exceeds; and a `run/`
that is there already is somebody else's. Then the sockets go to a private folder under the system's temporary
one. The link says where, and lets the next start sweep away what a killed run left behind: what it does not name
is not ours.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from paceline.embedded.errors import DataDirInUse, NoAccount, SocketDirTooLong, from_os_error
from paceline.embedded.processes import Account

SOCKET_PATH_BYTES = 107
"""Longest path of a unix socket (sockaddr_un holds 108 bytes with the closing zero)."""

_LONGEST_INSIDE = len("/pg/.s.PGSQL.5432")
_FULL_BYTES = 2**20
_TEMP_PREFIX = "paceline-"


class DataDir:
    """Paths inside one data folder. Making the object touches nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.cluster = self.path / "postgres"
        self.logs = self.path / "log"
        self.run = self.path / "run"
        self.lock = self.path / "lock"
        self.sockets_link = self.path / "sockets"

    def is_full(self) -> bool:
        """Whether next to nothing can be written here any more."""
        return shutil.disk_usage(self.path).free < _FULL_BYTES

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Make the folder and keep every other Paceline out of it.

        Raises DataDirInUse, NotWritable, DiskFull.
        """
        try:
            # As root the database runs under another account, which must be able to pass through.
            self.path.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
            self.logs.mkdir(mode=0o700, exist_ok=True)
            lock = os.open(self.lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise from_os_error(error, self.path) from error
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                written = os.pread(lock, 20, 0).strip()
                raise DataDirInUse(self.path, int(written) if written.isdigit() else None) from error
            try:
                os.ftruncate(lock, 0)
                os.pwrite(lock, str(os.getpid()).encode(), 0)
            except OSError as error:
                raise from_os_error(error, self.path) from error
            yield
        finally:
            os.close(lock)  # and with it the lock, even when this process is killed

    @contextlib.contextmanager
    def sockets(self, account: Account | None) -> Iterator[tuple[Path, Path]]:
        """Private folders for the sockets of PostgreSQL and of Redis, gone afterwards.

        Raises SocketDirTooLong, NotWritable, DiskFull.
        """
        try:
            self._sweep_sockets()
            base = self._socket_base()
            postgres, redis = base / "pg", base / "redis"
            for folder in (postgres, redis):
                folder.mkdir(mode=0o700)
            if account is not None:
                own(postgres, account)
        except OSError as error:
            raise from_os_error(error, self.run) from error
        try:
            yield postgres, redis
        finally:
            self._sweep_sockets()

    def _socket_base(self) -> Path:
        # A comma separates hosts in a database URL, so it cannot be part of a socket's folder.
        fits = len(os.fsencode(self.run)) + _LONGEST_INSIDE <= SOCKET_PATH_BYTES and "," not in str(self.run)
        if fits and not os.path.lexists(self.run):
            self.sockets_link.symlink_to(self.run.name)
            self.run.mkdir(mode=0o711)
            return self.run
        for parent in dict.fromkeys((tempfile.gettempdir(), "/tmp")):  # noqa: S108 - mkdtemp makes it private
            if len(os.fsencode(parent)) + len(f"/{_TEMP_PREFIX}12345678") + _LONGEST_INSIDE > SOCKET_PATH_BYTES:
                continue
            base = Path(tempfile.mkdtemp(prefix=_TEMP_PREFIX, dir=parent))
            if os.geteuid() == 0:
                base.chmod(0o711)
            self.sockets_link.symlink_to(base)
            return base
        raise SocketDirTooLong(Path(tempfile.gettempdir()))

    def _sweep_sockets(self) -> None:
        """Remove the socket folders of this run, or of one that was killed."""
        if not self.sockets_link.is_symlink():
            return
        base = self.path / self.sockets_link.readlink()
        if base == self.run:
            for folder in (self.run / "pg", self.run / "redis"):
                with contextlib.suppress(FileNotFoundError):
                    shutil.rmtree(folder)
            with contextlib.suppress(OSError):  # somebody has put something beside them
                self.run.rmdir()
        self.sockets_link.unlink()
        with contextlib.suppress(FileNotFoundError):
            state = base.lstat()
            ours = base.name.startswith(_TEMP_PREFIX) and state.st_uid == os.geteuid()
            if ours and stat.S_ISDIR(state.st_mode):
                shutil.rmtree(base)


def choose_account(cluster: Path, must_reach: list[Path]) -> Account | None:
    """Who PostgreSQL runs as: this user (None), or for root the cluster's owner, or `nobody`.

    `must_reach` are the folders and programs that account has to get at. Raises NoAccount.
    """
    if os.geteuid() != 0:
        return None
    owner = cluster.stat() if cluster.exists() else None
    if owner is not None and owner.st_uid != 0:
        uid, gid = owner.st_uid, owner.st_gid
    else:
        uid, gid = _unprivileged()
    try:
        pwd.getpwuid(uid)  # initdb asks the system for its own name
    except KeyError as error:
        raise NoAccount(f"its files belong to user id {uid}, which has no account here") from error
    reach = not all(_reachable(path, uid, gid) for path in must_reach)
    return Account(uid, gid, reach)


def own(path: Path, account: Account) -> None:
    """Hand a folder and all in it to the account, following no links. Raises NoAccount when root may not do
    that here.
    """
    try:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                os.chown(os.path.join(folder, name), account.uid, account.gid, follow_symlinks=False)
    except OSError as error:
        raise NoAccount(f"this root may not give files to another account ({error.strerror})") from error


def _unprivileged() -> tuple[int, int]:
    for name in ("nobody", "daemon"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    raise NoAccount("this machine has neither an account `nobody` nor `daemon`")


def _reachable(path: Path, uid: int, gid: int) -> bool:
    """Whether the account may, by the permission bits, enter every folder down to `path`, and it too."""
    resolved = path.resolve()
    return all(_may_enter(step.stat(), uid, gid) for step in (resolved, *resolved.parents) if step.exists())


def _may_enter(state: os.stat_result, uid: int, gid: int) -> bool:
    if state.st_uid == uid:
        return bool(state.st_mode & stat.S_IXUSR)
    if state.st_gid == gid:
        return bool(state.st_mode & stat.S_IXGRP)
    return bool(state.st_mode & stat.S_IXOTH)
