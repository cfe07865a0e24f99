"""Which registers to read together: the cheapest set of requests for a device's fields. Pure; nobody is asked anything here.

A hole between two fields is read along with them where that costs less bus time than another request:

    request A      hole        request B            one request
    |#####|........|.......|#####|          ->      |#####|.......|#####|
           t_fixed > hole_registers x 2 x t_char

`t_fixed` = (8 characters of request + 5 of frame around the answer + about 7 of silence) x t_char + the device's turnaround.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from edge_agent.drivers.modbus.registers import Decoder, Field

MODBUS_MAX_REGISTERS: Final = 125  # Modbus Application Protocol Specification V1.1b3, 6.3 and 6.4
_FRAME_CHARS: Final = 8 + 5  # RTU: read request, answer without its registers
_SILENT_CHARS: Final = 3.5
_BITS_PER_CHAR: Final = 11  # RTU: start, 8 data, parity or second stop, stop


@dataclass(frozen=True, slots=True)
class Cost:
    """Bus time in ms of a request: `fixed_ms` + registers x `register_ms`."""

    fixed_ms: float
    register_ms: float

    def of(self, registers: int) -> float:
        """Bus time of one request for so many registers, ms."""
        return self.fixed_ms + registers * self.register_ms

    def break_even_hole(self) -> int:
        """The longest hole, in registers, that is still cheaper to read than to step over."""
        hole = int(self.fixed_ms / self.register_ms)
        return hole if hole * self.register_ms < self.fixed_ms else hole - 1


def line_cost(char_s: float, silence_s: float, turnaround_ms: float = 20.0) -> Cost:
    """Bus time on a serial line with characters of `char_s` and, around request and answer, silences of `silence_s`; 20 ms of turnaround
    is what simple meters take."""
    return Cost(1000 * (_FRAME_CHARS * char_s + 2 * silence_s) + turnaround_ms, 2000 * char_s)


def serial_cost(baud: int, turnaround_ms: float = 20.0) -> Cost:
    """Bus time at `baud` with characters of 11 bits and silences of 3.5 characters."""
    char_s = _BITS_PER_CHAR / baud
    return line_cost(char_s, _SILENT_CHARS * char_s, turnaround_ms)


# On TCP a register costs next to nothing beside the meter's own answer time: fill up to the device's limit, the fewest registers
# where several plans have as many requests.
TCP_COST: Final = Cost(20.0, 0.001)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a device allows: registers in one request, ranges (first, last) that must not be read, and one field at a time."""

    max_registers: int = MODBUS_MAX_REGISTERS
    no_read: tuple[tuple[int, int], ...] = ()
    one_request_per_field: bool = False
    pause_ms: float = 0.0


NO_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Request:
    """One read of `count` registers of `table` from `start`, and how to take its answer apart."""

    table: str
    start: int
    count: int
    fields: tuple[Field, ...]
    decoder: Decoder

    @property
    def holes(self) -> int:
        """Registers that are read and thrown away."""
        wanted = {
            address
            for field in self.fields
            for address in (*range(field.address, field.address + field.words), *_scale_registers(field))
        }
        return self.count - len(wanted)


def plan(fields: Iterable[Field], limits: Limits, cost: Cost) -> tuple[Request, ...]:
    """The cheapest requests that read all `fields`, in the order of their addresses. Equal devices are given the same requests.

    Raises ValueError where a field alone breaks the limits; `impossible` names them beforehand.
    """
    return _plan(tuple(fields), limits, cost)


@lru_cache(maxsize=256)  # 34 equal meters with requests of their own took 1 MiB more
def _plan(fields: tuple[Field, ...], limits: Limits, cost: Cost) -> tuple[Request, ...]:
    by_table: dict[str, list[Field]] = {}
    for field in fields:
        by_table.setdefault(field.table, []).append(field)
    return tuple(
        _request(table, group)
        for table, members in sorted(by_table.items())
        for group in _partition(sorted(members, key=lambda field: (field.start, field.end)), limits, cost)
    )


def impossible(fields: Iterable[Field], limits: Limits) -> list[Field]:
    """The fields that no request can read within the limits."""
    return [field for field in fields if not _allowed(field.start, field.end, limits)]


def split(request: Request) -> tuple[Request, ...]:
    """Two requests for the fields of one, cut at its longest hole (in the middle where there is none); () for a single field.

    For a device that refuses the whole: what it refuses lies most likely in a hole.
    """
    fields = sorted(request.fields, key=lambda field: (field.start, field.end))
    ends: list[int] = []
    end = 0
    for field in fields:
        end = max(end, field.end)
        ends.append(end)
    cuts = [index for index in range(1, len(fields)) if fields[index].start >= ends[index - 1]]
    if not cuts:
        return ()
    middle = len(fields) / 2
    cut = max(cuts, key=lambda index: (fields[index].start - ends[index - 1], -abs(index - middle)))
    return _request(request.table, fields[:cut]), _request(request.table, fields[cut:])


def moved(field: Field, base: int) -> Field:
    """`field` with addresses counted from 0 instead of from `base`."""
    scale_address = None if field.scale_address is None else field.scale_address + base
    return replace(field, address=field.address + base, scale_address=scale_address, model_block=None)


def _partition(fields: Sequence[Field], limits: Limits, cost: Cost) -> list[Sequence[Field]]:
    """Cheapest cut of `fields` (ordered by start) into consecutive groups: best[i] is the cheapest reading of the first i."""
    if limits.one_request_per_field:
        for field in fields:
            if not _allowed(field.start, field.end, limits):
                raise ValueError(_too_long(field, limits))
        return [[field] for field in fields]
    best: list[tuple[float, int]] = [(0.0, 0)]
    for last in range(1, len(fields) + 1):
        choice: tuple[float, int] | None = None
        end = 0
        for first in range(last - 1, -1, -1):
            end = max(end, fields[first].end)
            start = fields[first].start
            if not _allowed(start, end, limits):
                break  # a longer group is not allowed either
            total = best[first][0] + cost.of(end - start)
            if choice is None or total < choice[0]:
                choice = (total, first)
        if choice is None:
            raise ValueError(_too_long(fields[last - 1], limits))
        best.append(choice)
    groups: list[Sequence[Field]] = []
    last = len(fields)
    while last:
        first = best[last][1]
        groups.append(fields[first:last])
        last = first
    return groups[::-1]


def _allowed(start: int, end: int, limits: Limits) -> bool:
    return end - start <= limits.max_registers and not any(
        start <= last and first < end for first, last in limits.no_read
    )


def _too_long(field: Field, limits: Limits) -> str:
    return (
        f"{field.quantity}: expected registers that one request may read (at most {limits.max_registers}, "
        f"none of {list(limits.no_read)}), saw {field.start}..{field.end - 1}"
    )


def _request(table: str, fields: Sequence[Field]) -> Request:
    start, end = min(field.start for field in fields), max(field.end for field in fields)
    return Request(table, start, end - start, tuple(fields), Decoder(fields, start, end - start))


def _scale_registers(field: Field) -> tuple[int, ...]:
    return () if field.scale_address is None else (field.scale_address,)
