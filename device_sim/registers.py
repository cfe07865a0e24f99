"""Register images as bytes: where a value lies and how it is encoded. It knows neither what the values mean nor who asks."""

import struct


class Image:
    """Stretches of readable 16-bit addresses with the bytes they hold now; big-endian, high word first (every device here does so)."""

    __slots__ = ("_spans",)

    def __init__(self, spans: tuple[tuple[int, int], ...], unused_word: int = 0) -> None:
        """`spans`: (first address, number of addresses), in rising order, not touching. Unused words inside hold `unused_word`."""
        self._spans = [(first, bytearray(unused_word.to_bytes(2, "big") * count)) for first, count in spans]

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
        self.put(address, struct.pack(">I", value & 0xFFFFFFFF))

    def int64(self, address: int, value: int) -> None:
        """Four registers, signed."""
        self.put(address, struct.pack(">q", value))

    def float32(self, address: int, *values: float) -> None:
        """IEEE 754 single precision, two registers each, one after the other."""
        self.put(address, struct.pack(f">{len(values)}f", *values))

    def float64(self, address: int, *values: float) -> None:
        """IEEE 754 double precision, four registers each, one after the other."""
        self.put(address, struct.pack(f">{len(values)}d", *values))

    def text(self, address: int, text: str, count: int) -> None:
        """A string in `count` registers, padded with zero bytes."""
        self.put(address, text.encode("ascii")[: 2 * count].ljust(2 * count, b"\0"))
