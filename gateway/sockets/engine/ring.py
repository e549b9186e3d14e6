"""Many lines written to with one system call: a ring of Linux's io_uring.

A room's event is the same few bytes for hundreds of lines, and one `send` each. What such a call does is the kernel's and
cannot be saved; the way in and out of it, and the transport's steps before it, can. So what a turn of the loop says to many
lines at once (realtime/turn.py) is written down as a list of sends, and the kernel is asked once to do them all. In a room of
five hundred that is a sixth of what a delivery costs (docs/performance/sockets.md).

Nothing here waits, and nothing is under way when `send` returns: each send is told not to wait, so the kernel does it in the
call or says how far it came. Bytes lie in memory of the ring for so long. What was not sent whole is told to the caller, who
gives the rest to the line's transport; whether a peer reads slowly, is gone, or has sent a reset is found out and handled
there, as ever.

A line is known to the kernel by its slot in a table of the ring, not by its descriptor. A descriptor that was closed may be
somebody else's a moment later; a slot is the same socket until it is let go, so bytes cannot reach a stranger, whatever
closes when. The other side of it: a socket is not closed before its slot is let go too.

Not every machine has it: it needs Linux 6.1, and containers often forbid it (Docker's and Kubernetes' default profiles do). Then
`open_ring` says so and lines are written to one by one. What is used of the kernel is checked at every start on a pair of
sockets, a send that does not fit among it, and that a socket closes when it is let go. A kernel that does it in another way
is not used.

The layouts and numbers are those of linux/io_uring.h, as io_uring_setup(2) and io_uring_enter(2) describe them.
"""

import ctypes
import mmap
import os
import resource
import socket
import sys
from array import array
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Final

import structlog

from realtime.turn import NO_SLOT

log = structlog.get_logger(__name__)

ENTRIES: Final = 256
"""Sends per system call. More saves nothing: a call among 256 sends of some microseconds is little."""
BYTES: Final = 1024 * 1024
"""Memory for the bytes of one system call. What is longer is left to the transports."""
RUN: Final = 4
"""So many neighbours get the same, on average, for it to be copied once for all of them."""
SLOTS: Final = 128 * 1024
"""Lines that a ring can know, if the process may have so many descriptors."""

_SETUP, _ENTER, _REGISTER = 425, 426, 427
_SUBMIT_ALL, _SINGLE_ISSUER, _DEFER_TASKRUN = 1 << 7, 1 << 12, 1 << 13
_OFFSET_OF_SENDS: Final = 0x10000000
_REGISTER_FILES2, _FILES_UPDATE, _SPARSE = 13, 6, 1 << 0
_SEND: Final = 26
_FIXED_FILE, _SILENT_SUCCESS = 1 << 0, 1 << 6
_UINT32: Final = 0xFFFFFFFF


class _SendOffsets(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("head", "tail", "mask", "entries", "flags", "dropped", "array", "_")),
        ("_user", ctypes.c_uint64),
    )


class _DoneOffsets(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("head", "tail", "mask", "entries", "overflow", "done", "flags", "_")),
        ("_user", ctypes.c_uint64),
    )


class _Parameters(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("sends", "done", "flags", "cpu", "idle", "features", "wq")),
        ("_", ctypes.c_uint32 * 3),
        ("send_at", _SendOffsets),
        ("done_at", _DoneOffsets),
    )


class _Send(ctypes.Structure):
    """One send. The address and the length of its bytes, and its slot, are what changes."""

    _fields_ = (
        ("what", ctypes.c_uint8),
        ("how", ctypes.c_uint8),
        ("_priority", ctypes.c_uint16),
        ("slot", ctypes.c_int32),
        ("_offset", ctypes.c_uint64),
        ("address", ctypes.c_uint64),
        ("length", ctypes.c_uint32),
        ("flags", ctypes.c_int32),
        ("number", ctypes.c_uint64),
        ("_rest", ctypes.c_uint64 * 3),
    )


class _Done(ctypes.Structure):
    """What became of a send: bytes sent, or below zero the number of an error."""

    _fields_ = (("number", ctypes.c_uint64), ("result", ctypes.c_int32), ("flags", ctypes.c_uint32))


class _Slots(ctypes.Structure):
    _fields_ = (
        ("count", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("_", ctypes.c_uint64),
        ("descriptors", ctypes.c_uint64),
        ("tags", ctypes.c_uint64),
    )


class _Update(ctypes.Structure):
    _fields_ = (("first", ctypes.c_uint32), ("_", ctypes.c_uint32), ("descriptors", ctypes.c_uint64))


SystemCall = Callable[..., int]
"""A system call by its number, with its words, small integers or `ctypes.c_long`: its result, or -1 with the error in
`ctypes.get_errno()`."""


def system_call() -> SystemCall:
    """The C library's way in. It keeps the interpreter's lock: another thread that took it would keep it for milliseconds. What its
    words are it is not told beforehand: looking at that took longer than the way in and out of the kernel."""
    call = ctypes.PyDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    return call


class Ring:
    """See the module. Belongs to the thread that made it."""

    def __init__(self, system_call: SystemCall) -> None:
        """Raises `OSError` when the kernel does not let us have one."""
        self._call: Final = system_call
        asked = _Parameters(flags=_SUBMIT_ALL | _SINGLE_ISSUER | _DEFER_TASKRUN)
        self._descriptor = self._ask(_SETUP, ENTRIES, ctypes.addressof(asked))
        self._open = True
        try:
            self._map(asked)
            descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            self._slots = SLOTS if descriptors == resource.RLIM_INFINITY else min(descriptors, SLOTS)
            table = _Slots(count=self._slots, flags=_SPARSE)
            self._register(_REGISTER_FILES2, ctypes.addressof(table), ctypes.sizeof(table))
        except BaseException:
            self.close()
            raise
        self._free: list[int] = []
        self._given = 0

    def _map(self, asked: _Parameters) -> None:
        sends, done, at, done_at = asked.sends, asked.done, asked.send_at, asked.done_at
        size = max(at.array + sends * 4, done_at.done + done * ctypes.sizeof(_Done))
        how = mmap.MAP_SHARED | mmap.MAP_POPULATE
        self._maps = [
            mmap.mmap(self._descriptor, size, how),
            mmap.mmap(self._descriptor, sends * ctypes.sizeof(_Send), how, offset=_OFFSET_OF_SENDS),
            mmap.mmap(-1, BYTES),
        ]
        ring, entries, memory = (memoryview(part) for part in self._maps)
        for number, send in enumerate((_Send * sends).from_buffer(entries)):
            send.what, send.number = _SEND, number
            send.how = _FIXED_FILE | _SILENT_SUCCESS
            # MSG_WAITALL without waiting: anything less than the whole is a failure, of which we are told.
            send.flags = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL | socket.MSG_WAITALL
        self._words = ring.cast("I")
        self._head, self._tail = at.head // 4, at.tail // 4
        self._done_head, self._done_tail = done_at.head // 4, done_at.tail // 4
        self._order = self._words[at.array // 4 : at.array // 4 + sends]
        self._entries, self._done_entries = sends, done
        self._done = (_Done * done).from_buffer(ring, done_at.done)
        self._slot = entries.cast("i")[_Send.slot.offset // 4 :: ctypes.sizeof(_Send) // 4]
        self._length = entries.cast("I")[_Send.length.offset // 4 :: ctypes.sizeof(_Send) // 4]
        self._address = entries.cast("Q")[_Send.address.offset // 8 :: ctypes.sizeof(_Send) // 8]
        self._memory = memory
        self._base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        self._numbers = memoryview(array("I", range(sends)))
        self._same = (0, 0)

    @property
    def held(self) -> int:
        """Sockets that it knows now."""
        return self._given - len(self._free)

    # -- lines --------------------------------------------------------------------------------------------------------

    def hold(self, descriptor: int) -> int:
        """Know a socket; its slot, NO_SLOT when there is none left."""
        if descriptor < 0 or not self._open or not (self._free or self._given < self._slots):
            return NO_SLOT
        slot = self._free.pop() if self._free else self._given
        if not self._put(slot, descriptor):
            self._free += [slot] if slot < self._given else []
            return NO_SLOT
        self._given = max(self._given, slot + 1)
        return slot

    def let_go(self, slot: int) -> None:
        """Forget a socket. It is closed by then, or when its descriptor is. Harmless after the end of the ring."""
        if self._open and slot != NO_SLOT and self._put(slot, -1):
            self._free.append(slot)

    def _put(self, slot: int, descriptor: int) -> bool:
        one = ctypes.c_int32(descriptor)
        update = _Update(first=slot, descriptors=ctypes.addressof(one))
        try:
            return self._register(_FILES_UPDATE, ctypes.addressof(update), 1) == 1
        except OSError:
            return False

    def _register(self, what: int, address: int, count: int) -> int:
        return self._ask(_REGISTER, self._descriptor, what, address, count)

    def _ask(self, number: int, a: int, b: int, c: int = 0, d: int = 0) -> int:
        """Raises `OSError`."""
        result = self._call(number, *map(ctypes.c_long, (a, b, c, d, 0, 0)))
        if result < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
        return result

    # -- sending ------------------------------------------------------------------------------------------------------

    def send(self, slots: Sequence[int], pieces: Sequence[bytes]) -> list[tuple[int, int]]:
        """Send each piece to the socket at its slot. Which were not sent whole, and how many bytes of them were: the index in
        `pieces`, bytes. Never waits, never raises for what a peer or the kernel does."""
        if not self._open:
            return [(index, 0) for index in range(len(pieces))]
        left: list[tuple[int, int]] = []
        for begin in range(0, len(pieces), self._entries):
            end = begin + self._entries
            self._send(begin, array("i", slots[begin:end]), pieces[begin:end], left)
        return left

    def send_to_all(self, slots: "array[int]", piece: bytes) -> list[tuple[int, int]]:
        """Send the same to the sockets at these slots. The answer is that of `send`."""
        count = len(slots)
        if not self._open or len(piece) > BYTES:
            return [(index, 0) for index in range(count)]
        left: list[tuple[int, int]] = []
        if count <= self._entries:
            self._send_same(0, slots, piece, left)
        else:
            for begin in range(0, count, self._entries):
                self._send_same(begin, slots[begin : begin + self._entries], piece, left)
        return left

    def _send(self, begin: int, slots: "array[int]", pieces: Sequence[bytes], left: list[tuple[int, int]]) -> None:
        """As many as one call takes."""
        piece, count = pieces[0], len(pieces)
        if pieces.count(piece) == count and len(piece) <= BYTES:
            self._send_same(begin, slots, piece, left)
            return
        starts: list[int] = []
        last: bytes | None = None
        for index, piece in enumerate(pieces):
            if piece is not last:
                starts.append(index)
                last = piece
        if len(starts) * RUN <= count:
            # Events or boards of some rooms, each for all its members: copied once.
            each = [pieces[start] for start in starts]
            addresses, lengths, address = array("Q"), array("I"), self._base
            for start, end in pairwise((*starts, count)):
                size = len(pieces[start])
                addresses += array("Q", [address]) * (end - start)
                lengths += array("I", [size]) * (end - start)
                address += size
        else:
            each = list(pieces)
            lengths = array("I", map(len, pieces))
            addresses = array("Q", accumulate(lengths, initial=self._base))
            address = addresses.pop()
        size = address - self._base
        if size <= BYTES:
            self._memory[:size] = b"".join(each)
            self._address[:count] = addresses
            self._length[:count] = lengths
            self._same = (0, 0)
            self._submit(begin, slots, left)
        elif count > 1:
            half = count // 2
            self._send(begin, slots[:half], pieces[:half], left)
            self._send(begin + half, slots[half:], pieces[half:], left)
        else:
            left.append((begin, 0))

    def _send_same(self, begin: int, slots: "array[int]", piece: bytes, left: list[tuple[int, int]]) -> None:
        """The same for everybody, which is what a room's event is: one copy, one address, one length."""
        count, size = len(slots), len(piece)
        self._memory[:size] = piece
        if self._same != (count, size):
            self._address[:count] = array("Q", [self._base]) * count
            self._length[:count] = array("I", [size]) * count
            self._same = (count, size)
        self._submit(begin, slots, left)

    def _submit(self, begin: int, slots: "array[int]", left: list[tuple[int, int]]) -> None:
        """Have the first entries sent, to these slots, and see what became of them."""
        words, count = self._words, len(slots)
        self._slot[:count] = slots
        tail = words[self._tail]
        at = tail & (self._entries - 1)
        fits = min(count, self._entries - at)
        self._order[at : at + fits] = self._numbers[:fits]
        if fits < count:
            self._order[: count - fits] = self._numbers[fits:count]
        words[self._tail] = tail + count & _UINT32
        self._call(_ENTER, self._descriptor, count, 0, 0)
        taken = words[self._head] - tail & _UINT32
        if taken != count:
            # The kernel is short of something and has left some of them: take those back.
            words[self._tail] = words[self._head]
            left += [(begin + number, 0) for number in range(taken, count)]
        head, done = words[self._done_head], words[self._done_tail]
        if head != done:
            while head != done:
                one = self._done[head & (self._done_entries - 1)]
                left.append((begin + one.number, max(one.result, 0)))
                head = head + 1 & _UINT32
            words[self._done_head] = head

    # -- the end ------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Forget every line and give everything back. Harmless when it was done before."""
        if not self._open:
            return
        self._open = False
        os.close(self._descriptor)
        # The views go before the memory that they are of.
        for name in ("_words", "_order", "_done", "_slot", "_length", "_address", "_memory"):
            self.__dict__.pop(name, None)
        for part in self.__dict__.pop("_maps", ()):
            part.close()


def open_ring(call: SystemCall | None = None) -> Ring | None:
    """A ring that has shown that it does what is needed; None, with the reason in the log, where there is none to be had."""
    if not sys.platform.startswith("linux"):
        log.info("ring.none", reason="there is io_uring on Linux only")
        return None
    try:
        ring = Ring(system_call() if call is None else call)
    except OSError as refused:
        log.info("ring.none", reason=str(refused))
        return None
    try:
        works = _proven(ring)
    except OSError as fault:
        works = False
        log.warning("ring.unproven", reason=str(fault))
    if not works:
        log.warning("ring.none", reason="the kernel's io_uring does not do what is needed")
        ring.close()
        return None
    return ring


def _proven(ring: Ring) -> bool:
    """Whether a send arrives; one that does not fit is told with what was sent of it, and one that finds no room at all is told;
    and a socket is closed as soon as it is let go, which some kernels put off for a second."""
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        there.setblocking(False)
        slot = ring.hold(here.fileno())
        long = bytes(range(256)) * (BYTES // 256)
        sent = 0
        works = slot != NO_SLOT and ring.send([slot], [b"whole"]) == [] and there.recv(64) == b"whole"
        if works:
            match ring.send([slot], [long]):
                case [(0, sent)] if 0 < sent < len(long):
                    works = ring.send([slot], [long]) == [(0, 0)]
                case _:
                    works = False
        here.close()
        ring.let_go(slot)
        return works and _read_to_the_end(there) == long[:sent]


def _read_to_the_end(there: socket.socket) -> bytes | None:
    """All that has come, if the other end is closed."""
    came = bytearray()
    try:
        while piece := there.recv(BYTES):
            came += piece
    except BlockingIOError:
        return None
    return bytes(came)
