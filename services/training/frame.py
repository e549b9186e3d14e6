"""Reading a Bluetooth characteristic byte by byte, and saying at which byte it stops making sense.

Values of GATT characteristics are little endian and have no length, no checksum and no type: flags at the front say
which fields follow. So the only proof that a frame was understood is that its fields end exactly where it ends.
`FrameReader` keeps the place; a frame that is too short or too long is refused with the offset of the byte that is to
blame, never read as far as it goes. A field cut in half would be a heart rate that nobody had.

Bits that the specification reserves are ignored, as it asks of every receiver. What
a later version puts behind the known fields goes with such a bit: only then may bytes be left over.
"""

from typing import Final

MAX_FRAME_BYTES: Final = 512
"""The longest value of any characteristic (Bluetooth Core, Vol 3 Part F 3.2.9)."""


class BadFrame(Exception):  # noqa: N818 - it says what the bytes are
    """Bytes that are no value of the characteristic `what`; `at` is the offset of the first that does not fit.

    `reason` says what is wrong there. The cure is with whoever copied the bytes: hand over each notification whole, as
    the sensor sent it, with the UUID of the characteristic that it came from.
    """

    def __init__(self, what: str, at: int, reason: str) -> None:
        super().__init__(f"{what}, byte {at}: {reason}; send each notification whole and with its own characteristic")
        self.what = what
        self.at = at
        self.reason = reason


class FrameReader:
    """One frame, read from front to back. `what` names its characteristic in refusals.

    Raises `BadFrame` for a frame that is longer than any may be.
    """

    __slots__ = ("_data", "_what", "at")

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._what = what
        self.at = 0
        if len(data) > MAX_FRAME_BYTES:
            raise self.bad(f"no characteristic has more than {MAX_FRAME_BYTES} bytes", at=MAX_FRAME_BYTES)

    @property
    def left(self) -> int:
        """Bytes that have not been read."""
        return len(self._data) - self.at

    def number(self, size: int, field: str, *, signed: bool = False) -> int:
        """The next `size` bytes as a number. Raises `BadFrame` when the frame ends before."""
        if self.left < size:
            raise self.bad(f"{field} needs {size} bytes, {self.left} are left")
        end = self.at + size
        value = int.from_bytes(self._data[self.at : end], "little", signed=signed)
        self.at = end
        return value

    def end(self) -> None:
        """Nothing may be left. Raises `BadFrame`."""
        if self.left:
            raise self.bad(f"{self.left} bytes more than its flags announce")

    def bad(self, reason: str, *, at: int | None = None) -> BadFrame:
        """The refusal of this frame, at the place where reading stands unless told otherwise."""
        return BadFrame(self._what, self.at if at is None else at, reason)
