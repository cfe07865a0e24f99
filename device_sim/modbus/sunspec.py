"""A chain of SunSpec models: where it lies, how it is encoded, and which registers may be written. Not the models' points, nor what they do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from device_sim.modbus.registers import Image
from device_sim.modbus.sunspec_layouts import MODELS, VENDOR_MODEL

BASE: Final = 40_000
Value = int | float | str
NOT_IMPLEMENTED: Final = {
    "uint16": 0xFFFF,
    "enum16": 0xFFFF,
    "bitfield16": 0xFFFF,
    "int16": 0x8000,
    "sunssf": 0x8000,
    "uint32": 0xFFFFFFFF,
    "bitfield32": 0xFFFFFFFF,
    "int32": 0x80000000,
    "float32": 0x7FC00000,  # not a number
    "uint64": 0xFFFFFFFF_FFFFFFFF,
    "acc32": 0,
    "pad": 0x8000,
}
_SIZES: Final = {"uint32": 2, "int32": 2, "bitfield32": 2, "acc32": 2, "float32": 2, "uint64": 4}


# Writable points that are simulated; other writable points of the model take a write and change nothing.
_WRITABLE: Final[dict[int, frozenset[str]]] = {
    123: frozenset(name for name, type_ in MODELS[123] if type_ != "sunssf"),
    704: frozenset(name for name, type_ in MODELS[704] if type_ != "sunssf" and not name.endswith("RvrtRem")),
    124: frozenset(
        [
            "WChaMax",
            "WChaGra",
            "WDisChaGra",
            "StorCtl_Mod",
            "VAChaMax",
            "MinRsvPct",
            "OutWRte",
            "InWRte",
            "InOutWRte_WinTms",
            "InOutWRte_RvrtTms",
            "InOutWRte_RmpTms",
            "ChaGriSet",
        ]
    ),
}


def size(type_: str) -> int:
    """Registers that a point of this type takes."""
    return int(type_.removeprefix("string")) if type_.startswith("string") else _SIZES.get(type_, 1)


@dataclass(frozen=True, slots=True)
class Placed:
    """One model in a chain: `points` gives each point's address and type."""

    model: int
    address: int
    length: int
    points: dict[str, tuple[int, str]]


class Chain:
    """A SunSpec map at `base`: 'SunS', the models in order, end marker 0xFFFF with length 0."""

    def __init__(self, *models: int, base: int = BASE) -> None:
        self.base = base
        self.models: list[Placed] = []
        address = base + 2
        for model in models:
            points, offset = {}, address + 2
            for name, type_ in MODELS[model]:
                points[name] = (offset, type_)
                offset += size(type_)
            self.models.append(Placed(model, address, offset - address - 2, points))
            address = offset
        self.end = address
        self.serial_addresses = tuple(
            placed.points["Serial"][0] for placed in self.models if placed.model == VENDOR_MODEL
        )
        self.writable = {
            address: name
            for placed in self.models
            for name, (address, _) in placed.points.items()
            if name in _WRITABLE.get(placed.model, frozenset())
        }
        self._sizes = {address: size(type_) for placed in self.models for address, type_ in placed.points.values()}
        self._blank = bytes(self._without_values().read(base, self.end + 2 - base))

    def named(self, values: Mapping[int, int]) -> dict[str, int]:
        """Written words as point names with their unsigned numbers. Raises LookupError when one is not writable or half of a point."""
        found: dict[str, int] = {}
        left = dict(values)
        while left:
            address = min(left)
            name = self.writable.get(address)
            words = [left.pop(address + n, None) for n in range(self._sizes.get(address, 1))]
            if name is None or None in words:
                raise LookupError(f"addresses from {address}")
            found[name] = int.from_bytes(b"".join((word or 0).to_bytes(2, "big") for word in words), "big")
        return found

    def image(self, values: Mapping[int, Mapping[str, Value]]) -> Image:
        """Encodes raw values per model and point; a point without a value reads as not implemented."""
        image = Image.filled(self.base, self._blank)
        for placed in self.models:
            for name, value in values.get(placed.model, {}).items():
                address, type_ = placed.points[name]
                _encode(image, address, type_, value)
        return image

    def _without_values(self) -> Image:
        """What is the same at every instant: the chain's headers, and points without a value."""
        image = Image(((self.base, self.end + 2 - self.base),))
        image.text(self.base, "SunS", 2)
        for placed in self.models:
            image.uint16(placed.address, placed.model)
            image.uint16(placed.address + 1, placed.length)
            for address, type_ in placed.points.values():
                _encode(image, address, type_, None)
        image.uint16(self.end, 0xFFFF)
        image.uint16(self.end + 1, 0)
        return image


def _encode(image: Image, address: int, type_: str, value: Value | None) -> None:
    words = size(type_)
    if type_.startswith("string"):
        image.text(address, str(value or ""), words)
    elif value is None:
        image.put(address, NOT_IMPLEMENTED[type_].to_bytes(2 * words, "big"))
    elif type_ == "float32":
        image.float32(address, float(value))
    elif type_ == "int16":
        image.int16(address, int(value))
    else:
        image.put(address, (int(value) % (1 << 16 * words)).to_bytes(2 * words, "big"))


def scale_exponent(largest: float, limit: int = 32_767) -> int:
    """The smallest power of ten >= 0 with which a value up to 1.2 x `largest` fits a register."""
    exponent = 0
    while 1.2 * largest > limit * 10**exponent:
        exponent += 1
    return exponent
