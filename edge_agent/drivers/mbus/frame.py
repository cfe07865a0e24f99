"""Frames of the M-Bus link layer (EN 13757-2) as bytes: built, found in what a line gave, and checked. Not what a long frame carries.

    E5                                    acknowledgement
    10 C A CS 16                          short frame
    68 L L 68 C A CI data.. CS 16         long frame; without data it is a control frame; L counts C, A, CI and data

CS is the sum of all bytes between the start (the second 68) and itself, modulo 256.
"""

from dataclasses import dataclass
from typing import Final, Literal

ACKNOWLEDGEMENT: Final = b"\xe5"
LONGEST_FRAME: Final = 261  # 255 counted bytes and 6 around them

# Control field, EN 13757-2: requests of the primary station. FCB is bit 5, FCV bit 4.
SND_NKE: Final = 0x40
SND_UD: Final = 0x53
REQ_UD2: Final = 0x5B
FCB: Final = 0x20
# Answers of a meter: RSP_UD; ACD (bit 5) and DFC (bit 4) may be set.
RSP_UD: Final = 0x08
_RSP_MASK: Final = 0xCF

EVERYBODY: Final = 0xFE  # all meters answer: of use with a single one on the bus
SELECTED: Final = 0xFD  # whoever is selected by its secondary address
LAST_PRIMARY: Final = 250

CI_APPLICATION_RESET: Final = 0x50
CI_SELECT: Final = 0x52

_SHORT_START: Final = 0x10
_LONG_START: Final = 0x68
_STOP: Final = 0x16
_SHORT_LENGTH: Final = 5
_LEAST_COUNTED: Final = 3


class FrameFault(ValueError):
    """These bytes are no M-Bus frame: what was expected and what was seen."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. Short frames and acknowledgements have no `ci` (None); an acknowledgement has control and address 0."""

    kind: Literal["acknowledgement", "short", "long"]
    control: int = 0
    address: int = 0
    ci: int | None = None
    data: bytes = b""

    @property
    def is_answer(self) -> bool:
        """Whether a meter sent it as its data (RSP_UD)."""
        return self.kind == "long" and self.control & _RSP_MASK == RSP_UD


def short(control: int, address: int) -> bytes:
    """A short frame."""
    return bytes((_SHORT_START, control, address, (control + address) & 0xFF, _STOP))


def long(control: int, address: int, ci: int, data: bytes = b"") -> bytes:
    """A long frame, or with no data a control frame. Raises FrameFault for more than 252 bytes of data."""
    counted = bytes((control, address, ci)) + data
    if len(counted) > 0xFF:
        raise FrameFault(f"expected at most {0xFF - _LEAST_COUNTED} bytes of data, saw {len(data)}")
    length = len(counted)
    return bytes((_LONG_START, length, length, _LONG_START)) + counted + bytes((sum(counted) & 0xFF, _STOP))


def parse(raw: bytes) -> Frame:
    """The one frame that `raw` is, with nothing before or behind it. Raises FrameFault."""
    if raw == ACKNOWLEDGEMENT:
        return Frame("acknowledgement")
    if not raw or raw[0] not in (_SHORT_START, _LONG_START):
        raise FrameFault(f"expected E5, 10 or 68 at the beginning, saw {raw[:1].hex() or 'nothing'}")
    length = _whole_length(raw, 0)
    if length is None or len(raw) < length:
        raise FrameFault(f"expected a whole frame, saw {len(raw)} bytes of it")
    if len(raw) > length:
        raise FrameFault(f"expected the end after {length} bytes, saw {len(raw) - length} more")
    return _checked(raw, 0, length)


def find_answer(received: bytes, *, acknowledgement: bool) -> tuple[int, int] | None:
    """Where the first whole answer lies in what came: (first byte, byte behind the last); None as long as one may still come.

    `acknowledgement`: an E5 is awaited, so that one ends the search; else a long frame is, and stray E5 are passed over. Bytes that
    begin no frame are passed over as noise. Raises FrameFault where a whole frame has come with a wrong checksum or end, and nothing else.
    """
    fault: FrameFault | None = None
    for at, byte in enumerate(received):
        if acknowledgement:
            if byte == ACKNOWLEDGEMENT[0]:
                return at, at + 1
            continue
        if byte != _LONG_START:
            continue
        try:
            length = _whole_length(received, at)
        except FrameFault:
            continue  # noise that looked like a beginning
        if length is None or at + length > len(received):
            return None
        try:
            _checked(received, at, length)
        except FrameFault as error:
            fault = fault or error
        else:
            return at, at + length
    if fault is not None:
        raise fault
    return None


def _whole_length(raw: bytes, at: int) -> int | None:
    """How long the frame that begins at `at` is; None as long as its length is not there. Raises FrameFault where none begins."""
    if raw[at] == _SHORT_START:
        return _SHORT_LENGTH
    head = raw[at : at + 4]
    if len(head) >= 3 and head[1] != head[2]:
        raise FrameFault(f"expected the same length twice, saw {head[1]} and {head[2]}")
    if len(head) >= 2 and head[1] < _LEAST_COUNTED:
        raise FrameFault(f"expected a length of at least {_LEAST_COUNTED}, saw {head[1]}")
    if len(head) == 4 and head[3] != _LONG_START:
        raise FrameFault(f"expected 68 behind the length, saw {head[3]:02x}")
    return head[1] + 6 if len(head) == 4 else None


def _checked(raw: bytes, at: int, length: int) -> Frame:
    """The frame of `length` bytes at `at`. Raises FrameFault for a wrong checksum or end."""
    counted = raw[at + 1 : at + 3] if length == _SHORT_LENGTH else raw[at + 4 : at + length - 2]
    checksum, stop = raw[at + length - 2], raw[at + length - 1]
    if checksum != sum(counted) & 0xFF:
        raise FrameFault(f"expected checksum {sum(counted) & 0xFF:02x}, saw {checksum:02x}")
    if stop != _STOP:
        raise FrameFault(f"expected 16 at the end, saw {stop:02x}")
    if length == _SHORT_LENGTH:
        return Frame("short", counted[0], counted[1])
    return Frame("long", counted[0], counted[1], counted[2], bytes(counted[3:]))
