"""Real PostgreSQL and real Redis from Python wheels, on private sockets, for as long as one program runs.

`make run` must need nothing but Python, and must not behave differently from the machines where the servers
are given by URL. So these are the real servers, started and watched here:

- servers.py    `open_embedded`: both together; `embedded_for_tests`: the same for a pytest fixture
- postgres.py, redis.py    one server each: its options, when it is ready, why it is gone
- cluster.py    the database's files: making them, looking them over
- folder.py     the data folder: its lock, its sockets, and the account PostgreSQL runs as when we are root
- leftovers.py  processes and pid files of a run that was killed
- processes.py  one child process; launch.py the script between us and its program
- errors.py     everything that can go wrong, with its cure

Invariants: no server outlives the program, however the program ends (Linux); two programs never share a data
folder; nothing listens on the network; a failure is one EmbeddedError, whose text can go to the terminal as
it is.
"""

from paceline.embedded.errors import (
    ClosedFolder,
    DamagedData,
    DataDirInUse,
    DiskFull,
    EmbeddedError,
    NoAccount,
    NoBinary,
    NotWritable,
    OtherVersion,
    ServerFailed,
    SocketDirTooLong,
    WrongOwner,
)
from paceline.embedded.servers import Embedded, embedded_for_tests, open_embedded

__all__ = [
    "ClosedFolder",
    "DamagedData",
    "DataDirInUse",
    "DiskFull",
    "Embedded",
    "EmbeddedError",
    "NoAccount",
    "NoBinary",
    "NotWritable",
    "OtherVersion",
    "ServerFailed",
    "SocketDirTooLong",
    "WrongOwner",
    "embedded_for_tests",
    "open_embedded",
]
