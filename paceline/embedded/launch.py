"""The last few steps before a server's own program: become the right user, and agree to die with the parent.

This file is run as a script of its own between Paceline and the server, because none of it can be done
elsewhere. A new user must be taken on after the fork; the promise "kill me when my parent dies" is forgotten
whenever a process changes its user, so it comes after that; and doing both in a callback between fork and
exec would run Python in the copy of a process whose other threads are gone. Started as `python -I -S`, it
costs twenty milliseconds and imports almost nothing.

Arguments: PARENT-PID DEATH-SIGNAL UID GID REACH PROGRAM ARGUMENT…; UID -1 keeps the user; REACH 1 asks for
the one capability that lets an unprivileged user walk through folders closed to it (a checkout under root's
own 0700 home). It exits with REFUSED and one line on stderr when the system does not allow what was asked.
"""

from __future__ import annotations

import ctypes
import os
import sys

REFUSED = 126

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION_3 = 0x20080522


def main(arguments: list[str]) -> None:
    """Do as the arguments say and become PROGRAM; returns only by raising."""
    parent, death_signal, uid, gid, reach = (int(word) for word in arguments[:5])
    command = arguments[5:]
    os.umask(0o077)
    libc = ctypes.CDLL(None, use_errno=True)
    linux = sys.platform == "linux"
    if uid >= 0:
        if reach:
            _check(libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0), "keep capabilities")
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        if reach:
            _keep_only_reach(libc)
    if linux:
        _check(libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0), "follow the parent's end")
        if os.getppid() != parent:  # it died before the promise was made
            sys.exit(REFUSED)
    os.execv(command[0], command)  # noqa: S606 - becoming this program is the whole point


def _keep_only_reach(libc: ctypes.CDLL) -> None:
    """Drop every capability but DAC_OVERRIDE, and let that one survive exec.

    Nothing else may stay: a program that gains or loses capabilities at exec is "secure" to the kernel, which
    then forgets the death signal.
    """
    bit = 1 << _CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # Two rows of effective, permitted, inheritable: capabilities 0-31, then 32-63.
    rows = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    _check(libc.capset(header, rows), "take on CAP_DAC_OVERRIDE")
    _check(
        libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0),
        "pass on CAP_DAC_OVERRIDE",
    )


def _check(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"the system did not let it {what}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as error:
        sys.stderr.write(f"launch: {error.strerror or error}\n")
        sys.exit(REFUSED)
