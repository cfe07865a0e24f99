"""Register images as bytes: where a value lies and how it is encoded. It knows neither what the values mean nor who asks."""

import struct


class Image:
    """Stretches of readable 16-bit addresses with the bytes they hold now; big-endian, high word first (as every device here does that is set up rightly)."""

    __slots__ = ("_spans", "_wide")

    def __init__(self, spans: tuple[tuple[int, int], ...], unused_word: int = 0) -> None:
        """`spans`: (first address, number of addresses), in rising order, not touching. Unused words inside hold `unused_word`."""
        self._wide: list[tuple[int, int]] = []  # address and length of each value of several registers
        self._spans = [(first, bytearray(unused_word.to_bytes(2, "big") * count)) for first, count in spans]

    @classmethod
    def filled(cls, first: int, content: bytes) -> "Image":
        """One stretch from an address on that holds `content` already."""
        image = cls(())
        image._spans.append((first, bytearray(content)))
        return image

    def _place(self, address: int, count: int) -> tuple[bytearray, int] | None:
        for first, content in self._spans:
            offset = 2 * (address - first)
            if offset >= 0 and offset + 2 * count <= len(content):
                return content, offset
        return None

    def read(self, address: int, count: int) -> bytes:
        """The bytes of `count` registers. Raises LookupError outside the readable addresses."""
        place = self._place(address, count)
        if place is None:
            raise LookupError(f"addresses {address}..{address + count - 1}")
        content, offset = place
        return bytes(content[offset : offset + 2 * count])

    def put(self, address: int, content: bytes) -> None:
        """Lays encoded bytes (an even number) at an address."""
        place = self._place(address, len(content) // 2)
        assert place is not None, f"address {address} lies outside the map"
        place[0][place[1] : place[1] + len(content)] = content

    def uint16(self, address: int, value: int) -> None:
        """One register, unsigned."""
        self.put(address, struct.pack(">H", value & 0xFFFF))

    def int16(self, address: int, value: int) -> None:
        """One register, signed; what does not fit saturates, as in a real device."""
        self.put(address, struct.pack(">h", max(-32767, min(32767, value))))

    def uint32(self, address: int, value: int) -> None:
        """Two registers, unsigned, modulo 2^32."""
        self._wide.append((address, 2))
        self.put(address, struct.pack(">I", value & 0xFFFFFFFF))

    def int64(self, address: int, value: int) -> None:
        """Four registers, signed."""
        self._wide.append((address, 4))
        self.put(address, struct.pack(">q", value))

    def float32(self, address: int, *values: float) -> None:
        """IEEE 754 single precision, two registers each, one after the other."""
        self._wide += [(address + 2 * number, 2) for number in range(len(values))]
        self.put(address, struct.pack(f">{len(values)}f", *values))

    def float64(self, address: int, *values: float) -> None:
        """IEEE 754 double precision, four registers each, one after the other."""
        self._wide += [(address + 4 * number, 4) for number in range(len(values))]
        self.put(address, struct.pack(f">{len(values)}d", *values))

    def text(self, address: int, text: str, count: int) -> None:
        """A string in `count` registers, padded with zero bytes."""
        self.put(address, text.encode("ascii")[: 2 * count].ljust(2 * count, b"\0"))

    def swap_words(self) -> None:
        """Puts the low word first in every value of several registers that has been laid so far."""
        for address, count in self._wide:
            content = self.read(address, count)
            self.put(address, b"".join(content[at : at + 2] for at in range(2 * count - 2, -2, -2)))
