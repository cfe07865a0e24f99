"""Writing a point of a Modbus device: where its registers stand, which numbers they get, and what they hold afterwards. Not framing, not who may write.

```
find its model -> read what is there -> write step by step -> read again -> delivered where value and fixed registers hold what was written
```
Whatever a device holds is believed, not what was sent: an inverter that keeps 50 % where 60 % was written has not been told.
"""

import asyncio
import logging
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from edge_agent.drivers.driver import DeviceMisanswered, DeviceRefused, NotWritable, Written
from edge_agent.drivers.modbus import sunspec
from edge_agent.drivers.modbus.declared import ModbusPlan
from edge_agent.drivers.modbus.points import Point, Rating, Step
from edge_agent.drivers.modbus.registers import MAX_SCALE, TYPES
from edge_agent.drivers.modbus.sunspec import Chain

log = logging.getLogger(__name__)

_ILLEGAL_FUNCTION: Final = 1
_LONGEST_TIMER_S: Final = {"uint16": 0xFFFE, "int16": 0x7FFF, "uint32": 0xFFFF_FFFE, "int32": 0x7FFF_FFFF}


class Link(Protocol):
    """What a writer needs of a way to the devices."""

    async def registers(self, device: str, unit: int, table: str, start: int, count: int) -> bytes: ...

    async def write(self, device: str, unit: int, start: int, words: bytes, *, many: bool = False) -> None: ...


class _Registers:
    """The registers of a point as they were read: words by address."""

    def __init__(self, words: Mapping[int, int], point: Point, base: int, what: str, low_first: bool) -> None:
        self._words, self._point, self._base, self._what, self._low_first = words, point, base, what, low_first

    def number(self, register: Step | Rating) -> int | float:
        """The number that a register holds."""
        kind, address = TYPES[register.type], place(register, self._base)
        words = [self._words[address + n] for n in range(kind.words)]
        raw = struct.pack(f">{kind.words}H", *(words[::-1] if self._low_first else words))
        number: int | float
        (number,) = struct.unpack(f">{kind.code}", raw)
        return number

    def exponent(self, register: Step | Rating) -> int:
        """The power of ten by which the register's number becomes the point's unit. Raises NotWritable where the device has no scale."""
        if register.scale_offset is None:
            return register.scale_exponent
        (scale,) = struct.unpack(">h", self._words[self._base + register.scale_offset].to_bytes(2, "big"))
        if not -MAX_SCALE <= scale <= MAX_SCALE:
            raise NotWritable(f"{self._what}: expected a scale factor from -10 to 10, saw {scale}")
        return register.scale_exponent + int(scale)

    def means_nothing(self, register: Step | Rating, number: int | float) -> bool:
        """Whether a SunSpec device says "not implemented" by this number."""
        return self._point.model_block is not None and number == TYPES[register.type].absent

    def hundred_percent(self, step: Step) -> float:
        """What the step's number is 100 % of, in the point's unit; 100 where it is no percentage. Raises NotWritable."""
        rating = step.percent_of
        if rating is None:
            return 100.0
        number = self.number(rating)
        if self.means_nothing(rating, number) or not number > 0:
            raise NotWritable(f"{self._what}: expected a rating of the device, saw {number}")
        return float(number) * 10.0 ** self.exponent(rating)

    def value(self) -> float | None:
        """What is in force, in the point's unit; None where nothing is."""
        for step in self._point.write:
            if step.what == "fixed" and step.release is not None and self.number(step) != step.fixed:
                return None
        step = next(step for step in self._point.write if step.what == "value")
        number = self.number(step)
        if self.means_nothing(step, number) or number != number:
            return None
        exponent, full = self.exponent(step), self.hundred_percent(step)
        scaled: float = number / 10**-exponent if exponent < 0 else number * 10.0**exponent
        return step.sign * scaled * (full / 100 if step.percent_of is not None else 1) + 0.0


class Writer:
    """Writes points over one link."""

    def __init__(self, link: Link, chains: dict[str, Chain]) -> None:
        """`chains`: where devices keep their models, as far as that is known already."""
        self._link = link
        self._chains = chains
        self._beats: dict[tuple[str, str], int] = {}

    async def write(self, device: ModbusPlan, name: str, value: float | None, hold_s: float) -> Written:
        """See `Controllable.write`. Raises DriverError."""
        what = f"{device.name}: point {name}"
        alternatives = [point for point in device.points if point.name == name]
        if not alternatives:
            raise NotWritable(f"{what}: expected one of {sorted({point.name for point in device.points})}")
        point = await self._there(device, alternatives)
        if value is None and not point.lets_go:
            if point.safe is None:
                raise NotWritable(f"{what}: expected a safe value, because the device cannot be left to itself")
            value, hold_s = point.safe, 0.0
        base = await self._base(device, point)
        before = await self._read(device, point, base, what)
        numbers = self._numbers(device, point, value, hold_s, before, what)
        for first, steps in _side_by_side(point, numbers, base):
            words = b"".join(_packed(step, numbers[step], device.low_word_first) for step in steps)
            await self._send(device, first, words, point)
        after = await self._read(device, point, base, what)
        wrong = _wrong(point, numbers, after)
        return Written(not wrong, before.value(), after.value(), wrong)

    async def _there(self, device: ModbusPlan, alternatives: Sequence[Point]) -> Point:
        """The first whose SunSpec model the device has; the last where it has none of them, for the error that follows."""
        if len(alternatives) == 1:
            return alternatives[0]
        models = (await self._chain_of(device)).models
        return next((point for point in alternatives if point.model_block in models), alternatives[-1])

    async def _chain_of(self, device: ModbusPlan) -> Chain:
        chain = self._chains.get(device.name)
        if chain is None:

            async def read(address: int, count: int) -> bytes:
                return await self._link.registers(device.name, device.unit, "holding", address, count)

            chain = self._chains[device.name] = await sunspec.walk(read, device.name)
        return chain

    async def _base(self, device: ModbusPlan, point: Point) -> int:
        """Where the point's addresses count from."""
        if point.model_block is None:
            return 0
        chain = await self._chain_of(device)
        model = chain.models.get(point.model_block)
        if model is None:
            self._chains.pop(device.name)
            raise NotWritable(
                f"{device.name}: point {point.name}: expected SunSpec model {point.model_block}, saw {sorted(chain.models)}"
            )
        return model.address

    async def _read(self, device: ModbusPlan, point: Point, base: int, what: str) -> _Registers:
        words: dict[int, int] = {}
        for start, end in _spans(point, base, device.limits.max_registers):
            await self._pause(device)
            raw = await self._link.registers(device.name, device.unit, "holding", start, end - start)
            words |= {start + n: int.from_bytes(raw[2 * n : 2 * n + 2], "big") for n in range(end - start)}
        if point.model_block is not None and words[base] != point.model_block:
            self._chains.pop(device.name, None)  # its models have moved: the next write walks the chain again
            raise DeviceMisanswered(f"{what}: expected model {point.model_block} at {base}, saw {words[base]}")
        return _Registers(words, point, base, what, device.low_word_first)

    def _numbers(
        self, device: ModbusPlan, point: Point, value: float | None, hold_s: float, there: _Registers, what: str
    ) -> dict[Step, int | float]:
        """What each register gets; registers that are left alone are missing."""
        numbers: dict[Step, int | float] = {}
        for step in point.write:
            if step.optional and there.means_nothing(step, there.number(step)):
                continue
            if value is None:
                if step.release is not None:
                    numbers[step] = step.release
            elif step.what == "value":
                numbers[step] = _number(step, value, there, what)
            elif step.what == "timer":
                numbers[step] = min(math.ceil(hold_s), _LONGEST_TIMER_S.get(step.type, 0xFFFF_FFFE))
            elif step.what == "fixed":
                assert step.fixed is not None
                numbers[step] = step.fixed
            else:
                beat = self._beats[device.name, point.name] = self._beats.get((device.name, point.name), 0) % 0x7FFF + 1
                numbers[step] = beat
        return numbers

    async def _send(self, device: ModbusPlan, start: int, words: bytes, point: Point) -> None:
        """SunSpec devices must know function 16 and need not know 6; others are asked for one register by 6, and by 16 where they do not know it."""
        await self._pause(device)
        many = point.model_block is not None or len(words) > 2
        try:
            await self._link.write(device.name, device.unit, start, words, many=many)
        except DeviceRefused as refusal:
            if many or refusal.code != _ILLEGAL_FUNCTION:
                raise
            await self._link.write(device.name, device.unit, start, words, many=True)

    @staticmethod
    async def _pause(device: ModbusPlan) -> None:
        if device.limits.pause_ms:
            await asyncio.sleep(device.limits.pause_ms / 1000)


def _packed(step: Step, number: int | float, low_first: bool) -> bytes:
    raw = struct.pack(f">{TYPES[step.type].code}", number)
    return b"".join(raw[at : at + 2] for at in range(len(raw) - 2, -2, -2)) if low_first else raw


def place(register: Step | Rating, base: int) -> int:
    """A register's address on the wire."""
    if register.address is not None:
        return register.address
    assert register.offset is not None
    return base + register.offset


def _number(step: Step, value: float, there: _Registers, what: str) -> int | float:
    """The register's number for a value in the point's unit. Raises NotWritable where it does not fit."""
    share = 100 * value / there.hundred_percent(step) if step.percent_of is not None else value
    exponent = there.exponent(step)
    scaled: float = step.sign * (share * 10**-exponent if exponent < 0 else share / 10.0**exponent)
    kind = TYPES[step.type]
    if step.type.startswith("float"):
        return scaled
    number = math.floor(abs(scaled) + 0.5) * (1 if scaled >= 0 else -1)
    bits = 16 * kind.words
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if step.type.startswith("int") else (0, 2**bits - 1)
    if not low <= number <= high or there.means_nothing(step, number):
        raise NotWritable(f"{what}: expected a value whose register number fits {step.type}, saw {value:g} as {number}")
    return number


def _wrong(point: Point, numbers: Mapping[Step, int | float], after: _Registers) -> str:
    """Which registers do not hold what was written; empty where all do. Timers run and heartbeats may be eaten."""
    parts = []
    for step in point.write:
        if step not in numbers or step.what in {"timer", "heartbeat"}:
            continue
        wanted, seen = numbers[step], after.number(step)
        near = math.isclose(wanted, seen, rel_tol=1e-6, abs_tol=1e-30) if isinstance(seen, float) else wanted == seen
        if not near:
            parts.append(
                f"register {step.offset if step.address is None else step.address}: wrote {wanted}, read back {seen}"
            )
    return "; ".join(parts)


def _side_by_side(point: Point, numbers: Mapping[Step, int | float], base: int) -> Iterable[tuple[int, Sequence[Step]]]:
    """The steps in their order, those whose registers follow each other together: (first address, steps)."""
    groups: list[tuple[int, list[Step]]] = []
    end = -1
    for step in point.write:
        if step not in numbers:
            continue
        address = place(step, base)
        if address == end and step.what != "fixed":
            groups[-1][1].append(step)
        else:
            groups.append((address, [step]))
        end = address + step.words
    return groups


def _spans(point: Point, base: int, most: int) -> list[tuple[int, int]]:
    """What must be read to know the point: [start, end) per request. Within a SunSpec model holes are read along."""
    wanted = {(base, base + 1)} if point.model_block is not None else set()
    for step in point.write:
        for register in (step, step.percent_of):
            if register is None:
                continue
            address = place(register, base)
            wanted.add((address, address + TYPES[register.type].words))
            if register.scale_offset is not None:
                wanted.add((base + register.scale_offset, base + register.scale_offset + 1))
    spans: list[tuple[int, int]] = []
    for start, end in sorted(wanted):
        if spans and end - spans[-1][0] <= most and (point.model_block is not None or start <= spans[-1][1]):
            spans[-1] = (spans[-1][0], max(spans[-1][1], end))
        else:
            spans.append((start, end))
    return spans
