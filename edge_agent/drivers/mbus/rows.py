"""Which record of a meter's telegrams a quantity is, and its value in the quantity's unit. Not how telegrams are asked for.

Unit and power of ten come with every telegram and are heeded every time: a meter that was set from kWh to GJ changes them without notice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge_agent.drivers.mbus import telegram
from edge_agent.drivers.mbus.meanings import Meaning
from edge_agent.drivers.mbus.telegram import Record
from wire.block import Block, Shape, Value
from wire.reading import REASON_CODES, Quality

STATUS: Final = "status"  # what a row names for the status byte of the header

_GOOD: Final = (int(Quality.GOOD), 0)
_ABSENT: Final = (int(Quality.BAD), REASON_CODES["not-implemented"])
_OUT_OF_RANGE: Final = (int(Quality.BAD), REASON_CODES["out-of-range"])
_FAULT: Final = (int(Quality.BAD), REASON_CODES["device-fault"])
_DOUBTFUL: Final = (int(Quality.UNCERTAIN), REASON_CODES["device-fault"])
_TROUBLED: Final = telegram.APPLICATION_ERROR | telegram.POWER_LOW | telegram.PERMANENT_ERROR | telegram.TEMPORARY_ERROR


@dataclass(frozen=True, slots=True)
class _Conversion:
    """Count in the record's unit x `times` / `by` x 10^`exponent` = value in the quantity's unit; exact where `by` is 1."""

    exponent: int = 0
    times: int = 1
    by: int = 1


# (unit of the record, unit of the quantity); 1 kWh = 3.6e6 J, and 1 cal = 4.1868 J (international table) = 1163e-9 kWh.
CONVERSIONS: Final[dict[tuple[str, str], _Conversion]] = {
    ("Wh", "kWh"): _Conversion(-3),
    ("J", "kWh"): _Conversion(-5, 1, 36),
    ("cal", "kWh"): _Conversion(-9, 1163),
    ("varh", "kvarh"): _Conversion(-3),
    ("VAh", "kVAh"): _Conversion(-3),
    ("W", "kW"): _Conversion(-3),
    ("J/h", "kW"): _Conversion(-5, 1, 36),
    ("var", "kvar"): _Conversion(-3),
    ("VA", "kVA"): _Conversion(-3),
    ("m3", "m3"): _Conversion(),
    ("m3", "Nm3"): _Conversion(),
    ("m3", "L"): _Conversion(3),
    ("m3/h", "m3/h"): _Conversion(),
    ("m3/h", "L/h"): _Conversion(3),
    ("m3/min", "m3/h"): _Conversion(0, 60),
    ("m3/min", "L/h"): _Conversion(3, 60),
    ("m3/s", "m3/h"): _Conversion(0, 3600),
    ("m3/s", "L/h"): _Conversion(3, 3600),
    ("degC", "degC"): _Conversion(),
    ("bar", "kPa"): _Conversion(2),
    ("bar", "hPa"): _Conversion(3),
    ("V", "V"): _Conversion(),
    ("A", "A"): _Conversion(),
    ("Hz", "Hz"): _Conversion(),
    ("percent", "%"): _Conversion(),
}
_AS_SENT: Final = _Conversion()


@dataclass(frozen=True, slots=True)
class Wanted:
    """One row of a meter model: which record, and what its value may be.

    `what`: the meaning of the VIF; "" where `vib` (VIF and VIFEs as sent) names it instead. `vife`: the VIFEs behind the meaning, None for
    any. `nth`: the how many-th of the records that fit, counted from 1 over all telegrams.
    """

    quantity: str
    unit: str  # of the quantity
    what: str = ""
    vib: bytes = b""
    vife: bytes | None = b""
    storage: int = 0
    tariff: int = 0
    subunit: int = 0
    function: str = "instantaneous"
    nth: int = 1
    sign: int = 1
    exponent: int = 0
    low: float = float("-inf")
    high: float = float("inf")
    counter: bool = False

    def fits(self, record: Record, function: str) -> bool:
        """Whether a record with this function is one of those meant."""
        if (record.storage, record.tariff, record.subunit) != (self.storage, self.tariff, self.subunit):
            return False
        if record.function != function:
            return False
        if self.vib:
            return record.vif == self.vib
        return record.meaning.what == self.what and (self.vife is None or qualifiers(record.vif) == self.vife)


def qualifiers(vif: bytes) -> bytes:
    """The VIFEs that say more than a scale: without the code of an extension table and without corrections of the power of ten.

    Extension bits are left out, so that each VIFE is the number that the standard's tables print.
    """
    rest = vif[2:] if vif[0] in (0xFB, 0xFD) else vif[1:]
    kept = bytearray()
    for index, vife in enumerate(rest):
        code = vife & 0x7F
        if code == 0x7F:  # the maker's own, up to the end
            return bytes(kept) + bytes(byte & 0x7F for byte in rest[index:])
        if not 0x70 <= code <= 0x77 and code != 0x7D and code != 0:
            kept.append(code)
    return bytes(kept)


def found(wanted: Wanted, records: Sequence[Record]) -> Record | None:
    """The record of a row among the records of one reading; None where it is not there (yet).

    A meter that cannot measure sends the record with the function "error": it is taken where there is no other.
    """
    for function in (wanted.function, "error"):
        fitting = [record for record in records if wanted.fits(record, function)]
        if len(fitting) >= wanted.nth:
            return fitting[wanted.nth - 1]
    return None


def block(device: str, rows: Sequence[tuple[Wanted, Record | None]], status: int, at_ms: int) -> Block:
    """The values of rows with their records, at one instant. Trouble that the status byte tells makes all of them uncertain."""
    columns: list[tuple[Value, ...]] = []
    exponents: list[int | None] = []
    quality: list[tuple[int, int]] = []
    for wanted, record in rows:
        value, exponent, verdict = (status, 0, _GOOD) if wanted.what == STATUS else _read(wanted, record)
        if wanted.what != STATUS and verdict == _GOOD and status & _TROUBLED:
            verdict = _DOUBTFUL
        columns.append((value,))
        exponents.append(exponent)
        quality.append(verdict)
    shape = Shape(tuple(wanted.quantity for wanted, _ in rows), tuple(exponents))
    told = tuple(quality) if any(verdict != _GOOD for verdict in quality) else ()
    return Block(device, shape, (at_ms,), tuple(columns), told)


def _read(wanted: Wanted, record: Record | None) -> tuple[Value, int | None, tuple[int, int]]:
    """The value, its power of ten (None: a plain float) and its (quality, reason)."""
    if record is None:
        return None, None, _ABSENT
    conversion = _AS_SENT if wanted.vib else conversion_of(record.meaning, wanted.unit)
    number = record.value
    if conversion is None or record.function == "error" or not isinstance(number, int | float):
        return None, None, _FAULT
    exponent = record.meaning.exponent + conversion.exponent + wanted.exponent
    counted = wanted.sign * number * conversion.times
    scaled = _scaled(counted / conversion.by, exponent)
    if not wanted.low <= scaled <= wanted.high:
        return None, None, _OUT_OF_RANGE
    exact = isinstance(counted, int) and conversion.by == 1
    return (counted, exponent, _GOOD) if exact else (scaled, None, _GOOD)


def _scaled(number: float, exponent: int) -> float:
    return number / 10.0**-exponent if exponent < 0 else number * 10.0**exponent


def conversion_of(meaning: Meaning, unit: str) -> _Conversion | None:
    """How a value of this meaning becomes one in the unit of a quantity; None where it cannot."""
    if not meaning.unit:
        return _AS_SENT if unit == "1" else None
    return CONVERSIONS.get((meaning.unit, unit))
