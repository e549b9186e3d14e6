"""Where something stands in the log of a room.

A position is an epoch and an offset, written `0f3a9c41-000000000012`: always 21 characters, so that it can be put into bytes
that are ready without changing their length. The epoch is made by chance when a log begins and again whenever it begins anew;
offsets count from 1 without a hole. Two positions say something about each other only within one epoch.

A message that carries its position ends with it, twice: as the last field of its payload and as a second argument of the
Socket.IO event, which is where the JavaScript client looks for it. So whatever is in front, the last `TAIL_BYTES` are the
same, and whoever knows the position can finish a message of which only the head was made.
"""

from typing import Final

EPOCH_DIGITS: Final = 8
OFFSET_DIGITS: Final = 12
PATTERN: Final = rf"^[0-9a-f]{{{EPOCH_DIGITS}}}-[0-9]{{{OFFSET_DIGITS}}}$"
TEXT_BYTES: Final = EPOCH_DIGITS + 1 + OFFSET_DIGITS
NOWHERE: Final = f"{'0' * EPOCH_DIGITS}-{'0' * OFFSET_DIGITS}"
"""What stands in a message until the log has given it its position."""

_BETWEEN: Final = b'"},"'
_END: Final = b'"]'
TAIL_BYTES: Final = 2 * TEXT_BYTES + len(_BETWEEN) + len(_END)
_LAST: Final = TEXT_BYTES + len(_END)
"""Where the second of them begins, counted from the end."""
_DIGITS: Final = "0123456789"
_HEX: Final = "0123456789abcdef"


class Position:
    """A place in one room's log. Offset 0 is before the first event."""

    __slots__ = ("epoch", "offset")

    def __init__(self, epoch: str, offset: int) -> None:
        self.epoch: Final = epoch
        self.offset: Final = offset

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Position) and self.offset == other.offset and self.epoch == other.epoch

    def __hash__(self) -> int:
        return hash((self.epoch, self.offset))

    def __repr__(self) -> str:
        return f"Position({self})"

    def __str__(self) -> str:
        return f"{self.epoch}-{self.offset:0{OFFSET_DIGITS}d}"

    def after(self, other: "Position") -> bool:
        """Whether it is later in the same telling of the log."""
        return self.epoch == other.epoch and self.offset > other.offset

    def follows(self, other: "Position") -> bool:
        """Whether it is the very next one."""
        return self.epoch == other.epoch and self.offset == other.offset + 1

    def moved(self, by: int) -> "Position":
        """The position `by` events later."""
        return Position(self.epoch, self.offset + by)


def position_of(text: str) -> Position:
    """A position from its text. Raises `ValueError`."""
    epoch, digits = text[:EPOCH_DIGITS], text[EPOCH_DIGITS + 1 :]
    if len(text) != TEXT_BYTES or text[EPOCH_DIGITS] != "-" or epoch.strip(_HEX) or digits.strip(_DIGITS):
        raise ValueError(f"{text[:80]!r} is no position: 8 hexadecimal digits, a hyphen, 12 digits")
    return Position(epoch, int(digits))


def tail(position: Position) -> bytes:
    """How a message ends that stands at `position`."""
    text = str(position).encode()
    return text + _BETWEEN + text + _END


def head(message: bytes) -> bytes:
    """A message that ends with a position, without it. Raises `ValueError` when it does not end so."""
    _look_at_the_end(message)
    return message[:-TAIL_BYTES]


def position_in(message: bytes) -> Position:
    """The position that a message ends with. Raises `ValueError` when it ends otherwise."""
    _look_at_the_end(message)
    try:
        return position_of(message[-_LAST : -len(_END)].decode("ascii"))
    except UnicodeDecodeError as fault:
        raise ValueError("a message of a room's log ends with its position") from fault


def _look_at_the_end(message: bytes) -> None:
    if message[-_LAST - len(_BETWEEN) : -_LAST] != _BETWEEN or not message.endswith(_END):
        raise ValueError("a message of a room's log ends with its position, as last field and as second argument")
