"""Where the models of a SunSpec device stand: a walk along its chain of headers. Not what the models mean (see `meters/`).

base      base+2            base+4+L
'SunS' | id  L  L words | id  L  L words | ... | 0xFFFF 0
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, NamedTuple

from edge_agent.drivers.driver import BusUnreachable, DeviceMisanswered, DeviceRefused, DeviceUnreachable
from edge_agent.drivers.modbus.coalesce import moved
from edge_agent.drivers.modbus.registers import Field

# SunSpec Device Information Model Specification 1.1, section 3: the three places where the mark may stand, and the end of the chain.
BASES: Final = (40000, 50000, 0)
MARK: Final = b"SunS"
END: Final = 0xFFFF
COMMON: Final = 1
IDENTITY_WORDS: Final = 64  # maker 16, model 16, options 8, version 8, serial number 16
# What measures the grid at the device, and what measures it elsewhere and is read through it (a meter behind an inverter).
INVERTERS: Final = frozenset({101, 102, 103, 111, 112, 113, 701})
METERS: Final = frozenset({201, 202, 203, 204, 211, 212, 213, 214})
_MAX_MODELS: Final = 64  # the longest chains seen have about 20; a broken device may not keep us walking

ReadRegisters = Callable[[int, int], Awaitable[bytes]]


class Placed(NamedTuple):
    """A model in a chain: the address of its id register, and its length in registers as its header states it."""

    address: int
    length: int

    @property
    def end(self) -> int:
        """One past its last register, counted from its id register."""
        return 2 + self.length


class Chain(NamedTuple):
    """Where the mark stands, and where each model (the first where one comes twice)."""

    base: int
    models: dict[int, Placed]


class Identity(NamedTuple):
    """What the common model says of a device."""

    maker: str
    model: str
    version: str
    serial: str


def identity(raw: bytes) -> Identity:
    """The points Mn, Md, Vr and SN of the common model from its registers behind the header, at least IDENTITY_WORDS of them."""

    def text(first: int, words: int) -> str:
        return raw[2 * first : 2 * (first + words)].split(b"\0")[0].decode("ascii", "replace").strip()

    return Identity(text(0, 16), text(16, 16), text(40, 8), text(48, 16))


async def walk(read: ReadRegisters, device: str, bases: Sequence[int] = BASES) -> Chain:
    """The chain of a device. `read(address, count)` gives the registers' bytes or raises DriverError.

    Some devices say nothing where they have no register: after a silence the next base is asked. Raises DeviceUnreachable where all are
    silent, DeviceMisanswered where one answers and none holds the mark, or the chain does not end.
    """
    seen: list[str] = []
    silence: DeviceUnreachable | None = None
    for base in bases:
        try:
            mark = await read(base, 2)
        except BusUnreachable:
            raise
        except DeviceUnreachable as error:
            silence = silence or error
            continue
        except DeviceRefused as refusal:
            if refusal.retry:
                raise
            seen.append(f"{base}: exception {refusal.code}")
            continue
        if mark == MARK:
            return Chain(base, await _models(read, device, base + 2))
        seen.append(f"{base}: {mark.hex()}")
    if silence is not None and not seen:
        raise silence
    raise DeviceMisanswered(f"{device}: expected the mark 'SunS' at one of {tuple(bases)}, saw {'; '.join(seen)}")


def placed(fields: Iterable[Field], chain: Chain) -> tuple[tuple[Field, ...], frozenset[int]]:
    """`fields` at their addresses in this device, with a check on each model's id register; and the models that it lacks.

    Of several fields of one quantity the first counts whose model is there; a field beyond its model's length is not there. Where fields
    are such alternatives and the chain holds an inverter, its meters measure another point of the grid: none of their fields is taken.
    """
    fields = tuple(fields)
    named = [field.quantity for field in fields if field.model_block is not None]
    elsewhere: frozenset[int] = frozenset()
    if len(set(named)) < len(named) and any(f.model_block in INVERTERS & chain.models.keys() for f in fields):
        elsewhere = METERS
    taken: set[str] = set()
    found: list[Field] = []
    missing: set[int] = set()
    checked: set[int] = set()
    for field in fields:
        model = field.model_block
        if model is None:
            found.append(field)
            continue
        there = chain.models.get(model)
        if there is None:
            missing.add(model)
            continue
        if model in elsewhere:
            continue
        if field.end > there.end or field.quantity in taken:
            continue
        taken.add(field.quantity)
        address = there.address
        if model not in checked:
            checked.add(model)
            found.append(Field("", field.table, address, "uint16", expect=model))
        found.append(moved(field, address))
    return tuple(found), frozenset(missing)


def nominal(fields: Iterable[Field]) -> Chain:
    """A chain for planning without the device: the models that `fields` name, one behind the other from the first base."""
    ends: dict[int, int] = {}
    for field in fields:
        if field.model_block is not None:
            ends[field.model_block] = max(ends.get(field.model_block, 2), field.end)
    models: dict[int, Placed] = {}
    address = BASES[0] + 2
    for model, end in ends.items():
        models[model] = Placed(address, end - 2)
        address += end
    return Chain(BASES[0], models)


async def _models(read: ReadRegisters, device: str, address: int) -> dict[int, Placed]:
    models: dict[int, Placed] = {}
    for _ in range(_MAX_MODELS):
        header = await read(address, 2)
        model, length = int.from_bytes(header[:2], "big"), int.from_bytes(header[2:], "big")
        if model == END:
            return models
        models.setdefault(model, Placed(address, length))
        address += 2 + length
        if address > 0xFFFE:
            break
    raise DeviceMisanswered(
        f"{device}: expected the chain of SunSpec models to end with 0xFFFF, saw {sorted(models)} up to {address}"
    )
