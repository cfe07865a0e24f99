"""DL/T 645 frames as a meter hears and says them, written from DL/T 645-2007 clause 5.2 a second time. Not what a meter knows."""

from dataclasses import dataclass
from typing import Final

_MARK: Final = 0x68
_LAST: Final = 0x16
_WAKE: Final = bytes.fromhex("FEFEFEFE")  # clause 5.2.7: sent in front, counted nowhere
_SHIFT: Final = 0x33


@dataclass(frozen=True, slots=True)
class Heard:
    """A request: the address bytes in the order of the wire (low first), the control code, the data with the 33H taken off."""

    address: bytes
    control: int
    data: bytes


def split(received: bytes) -> tuple[bytes | None, int]:
    """The first whole request in the bytes, from 68 to 16, and how many bytes are done with."""
    for start, byte in enumerate(received):
        if byte != _MARK:
            continue
        rest = received[start:]
        if len(rest) > 7 and rest[7] != _MARK:
            continue
        if len(rest) < 10 or len(rest) < 12 + rest[9]:
            return None, start
        whole = rest[: 12 + rest[9]]
        if whole[-1] == _LAST and sum(whole[:-2]) % 256 == whole[-2]:
            return whole, start + len(whole)
    return None, len(received)


def hear(request: bytes) -> Heard:
    """Takes a whole frame apart."""
    data = bytes((byte - _SHIFT) % 256 for byte in request[10:-2])
    return Heard(request[1:7], request[8], data)


def say(address: bytes, control: int, data: bytes) -> bytes:
    """A whole frame of a meter, with the four FE that most meters send in front."""
    shifted = bytes((byte + _SHIFT) % 256 for byte in data)
    frame = bytes([_MARK]) + address + bytes([_MARK, control, len(data)]) + shifted
    return _WAKE + frame + bytes([sum(frame) % 256, _LAST])


def wire_address(printed: str) -> bytes:
    """Twelve printed digits as six bytes, the last two digits first."""
    pairs = [printed[at : at + 2] for at in range(0, 12, 2)]
    return bytes(int(pair, 16) for pair in reversed(pairs))


def decimal(number: int, size: int, *, signed: bool = False) -> bytes:
    """A number as `size` bytes of two decimal digits each, the lowest pair first; a negative one has the top bit set.

    What does not fit is all FF, as where a meter has no value.
    """
    left = abs(number)
    if left >= (80 * 100 ** (size - 1) if signed else 100**size):
        return b"\xff" * size
    out = []
    for _ in range(size):
        left, pair = divmod(left, 100)
        out.append(pair // 10 * 16 + pair % 10)
    if signed and number < 0:
        out[-1] |= 0x80
    return bytes(out)
