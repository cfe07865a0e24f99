"""When a request is one that a dump holds, and how its recorded answer is made to fit: by protocol. It serves nothing.

What numbers a conversation and means nothing for its content is passed over in requests and put right in answers: the transaction of Modbus TCP,
the serial number of CJ/T 188, the frame count bit and the access number of M-Bus. Everything else goes back as it was recorded, checksum and all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from device_sim import cjt188
from device_sim.dlt645 import frames as dlt645_frames
from device_sim.mbus import frames as mbus_frames
from device_sim.modbus.rtu import Rtu, crc

Split = Callable[[bytes], tuple[bytes | None, int]]
_MBUS_FCB: Final = 0x20
_MBUS_REQUESTS: Final = (0x5B, 0x5A)
_MBUS_ACK: Final = b"\xe5"


@dataclass(frozen=True, slots=True)
class Matching:
    """One protocol. `split`: the first whole request in what has come, and how many bytes are done with; `key`: what makes two requests one.

    `fitted(answer, recorded request, present request, again)`: the answer's bytes for this request; `again` counts how often the last recorded
    answer has been given already. `unknown(request)`: what is said to a request that the dump lacks, None for nothing.
    `listed(request)`: the keys of an edge file's device that this request is addressed to.
    """

    split: Split
    key: Callable[[bytes], bytes]
    fitted: Callable[[bytes, bytes, bytes, int], bytes]
    unknown: Callable[[bytes], bytes | None]
    listed: Callable[[bytes], dict[str, Any]]


def _plain(answer: bytes, _recorded: bytes, _request: bytes, _again: int) -> bytes:
    return answer


def _silent(_request: bytes) -> bytes | None:
    return None


def _split_tcp(received: bytes) -> tuple[bytes | None, int]:
    """MODBUS Messaging on TCP/IP V1.0b, 3.1.3: transaction, protocol 0, length of what follows."""
    if len(received) < 6:
        return None, 0
    if received[2:4] != b"\0\0" or not 2 <= int.from_bytes(received[4:6], "big") <= 254:
        return None, len(received)
    end = 6 + int.from_bytes(received[4:6], "big")
    return (received[:end], end) if len(received) >= end else (None, 0)


def _fitted_tcp(answer: bytes, recorded: bytes, request: bytes, _again: int) -> bytes:
    """Frames of the recorded request's transaction carry the present one's; a foreign transaction stays foreign."""
    out, at = bytearray(answer), 0
    while len(out) >= at + 6:
        if out[at : at + 2] == recorded[:2]:
            out[at : at + 2] = request[:2]
        elif out[at : at + 2] == request[:2]:
            out[at] ^= 0x80  # it was foreign then and would fit by chance now
        at += 6 + int.from_bytes(out[at + 4 : at + 6], "big")
    return bytes(out)


def _split_cjt(received: bytes) -> tuple[bytes | None, int]:
    return cjt188.split(received)


def _fitted_cjt(answer: bytes, recorded: bytes, request: bytes, _again: int) -> bytes:
    """The serial number stands behind the data identifier, at 13 of a request and of its answer (CJ/T 188-2004, 6.4); the checksum follows it."""
    frame, used = cjt188.split(answer)
    if frame is None or len(frame) < 16 or frame[13] != recorded[13]:
        return answer
    body = frame[:13] + request[13:14] + frame[14:-2]
    return answer[: used - len(frame)] + body + bytes([sum(body) % 256, 0x16]) + answer[used:]


def _key_cjt(request: bytes) -> bytes:
    return request[:13] if len(request) >= 16 else request


def _key_mbus(request: bytes) -> bytes:
    """Without the frame count bit, and without the checksum that counts it."""
    if request[0] == 0x10:
        return bytes([request[1] & ~_MBUS_FCB, request[2]])
    return bytes([request[4] & ~_MBUS_FCB]) + request[5:-2]


def _fitted_mbus(answer: bytes, _recorded: bytes, _request: bytes, again: int) -> bytes:
    """EN 13757-3: CI 72 has the access number at the ninth byte of its header. It moves on where an answer is given more often than recorded."""
    if not again or len(answer) < 21 or answer[0] != 0x68 or answer[6] != 0x72 or len(answer) != answer[1] + 6:
        return answer
    body = answer[4:15] + bytes([(answer[15] + again) % 256]) + answer[16:-2]
    return answer[:4] + body + bytes([sum(body) % 256, 0x16])


def _unknown_mbus(request: bytes) -> bytes | None:
    """SND_NKE and selections stand before what the recorder kept: they are acknowledged. User data cannot be made up."""
    control = request[1] if request[0] == 0x10 else request[4]
    return None if control & ~_MBUS_FCB in _MBUS_REQUESTS else _MBUS_ACK


def _listed_mbus(request: bytes) -> dict[str, Any]:
    if request[0] == 0x68 and request[6] == 0x52 and len(request) >= 17:
        return {"secondary": bytes(reversed(request[7:11])).hex().upper()}
    address = request[2] if request[0] == 0x10 else request[5]
    return {} if address in (0xFD, 0xFE, 0xFF) else {"primary": address}


def _address(first: int, count: int) -> Callable[[bytes], dict[str, Any]]:
    return lambda request: {"address": bytes(reversed(request[first : first + count])).hex().upper()}


MATCHING: Final[dict[str, Matching]] = {
    "modbus_tcp": Matching(
        _split_tcp, lambda request: request[6:], _fitted_tcp, _silent, lambda request: {"unit": request[6]}
    ),
    "modbus_rtu": Matching(
        Rtu(()).split, lambda request: request, _plain, _silent, lambda request: {"unit": request[0]}
    ),
    "dlt645": Matching(dlt645_frames.split, lambda request: request, _plain, _silent, _address(1, 6)),
    "cjt188": Matching(_split_cjt, _key_cjt, _fitted_cjt, _silent, _address(2, 7)),
    "mbus": Matching(mbus_frames.split, _key_mbus, _fitted_mbus, _unknown_mbus, _listed_mbus),
}


def registers_read(protocol: str, request: bytes) -> tuple[int, int, int, int] | None:
    """Unit, function, first register and count of a Modbus read; None for anything else."""
    body = {"modbus_tcp": request[6:], "modbus_rtu": request[:-2]}.get(protocol, b"")
    if len(body) != 6 or body[1] not in (3, 4):
        return None
    return body[0], body[1], int.from_bytes(body[2:4], "big"), int.from_bytes(body[4:6], "big")


def registers_answered(protocol: str, answer: bytes) -> bytes | None:
    """The registers of a whole and sound answer to a read; None for anything else."""
    if protocol == "modbus_tcp":
        body = answer[6:] if len(answer) > 6 and len(answer) == 6 + int.from_bytes(answer[4:6], "big") else b""
    else:
        body = answer[:-2] if len(answer) > 4 and crc(answer[:-2]) == answer[-2:] else b""
    if len(body) < 3 or body[1] not in (3, 4) or body[2] != len(body) - 3:
        return None
    return body[3:]


def registers_said(protocol: str, request: bytes, words: bytes) -> bytes:
    """The answer to a read with these registers."""
    if protocol == "modbus_tcp":
        pdu = bytes([request[6], request[7], len(words)]) + words
        return request[:4] + len(pdu).to_bytes(2, "big") + pdu
    frame = bytes([request[0], request[1], len(words)]) + words
    return frame + crc(frame)
