"""Sampled values of OCPP as samples, and samples of one instant as a block of quantities. Not which transaction they belong to.

Values stay decimal from the message's text to the block's integers: "163630" Wh is 163630 x 10^-3 kWh. A quantity's exponent only
moves down (finer), so that a pile that says "10" after "9.7" does not make a new shape of block.

Several contexts of one measurand may stand in one message: some piles repeat the value of Transaction.Begin in each (evcc issue 33256).
The present value is then the one of another context.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from edge_agent.drivers.ocpp import frames
from edge_agent.drivers.ocpp.declared import Column, PilePlan
from edge_agent.drivers.ocpp.frames import Payload
from wire.block import Block, Shape, Value
from wire.reading import REASON_CODES, Quality

IMPORT: Final = "Energy.Active.Import.Register"
EXPORT: Final = "Energy.Active.Export.Register"
BEGIN: Final = "Transaction.Begin"
END: Final = "Transaction.End"
PERIODIC: Final = "Sample.Periodic"

MAX_ENTRIES: Final = 500  # of one message: a day of quarter-hours of several connectors
MAX_SAMPLES: Final = 200  # of one instant
MAX_SIGNED: Final = 40 << 10  # characters of a signed meter value; OCPP 2.1 allows 32,768, and an event 64 KiB
MAX_KEY: Final = 4 << 10  # characters of its key; OCPP 2.0.1 allows 2,500
_MAX_TEXT: Final = 40  # characters of a number
_FINEST: Final = -6  # powers of ten in the quantity's unit that are kept
_LARGEST: Final = 2**63

_GOOD: Final = (int(Quality.GOOD), 0)
ABSENT: Final = (int(Quality.BAD), REASON_CODES["not-implemented"])
OUTSIDE: Final = (int(Quality.BAD), REASON_CODES["out-of-range"])
DOUBTFUL_CLOCK: Final = (int(Quality.UNCERTAIN), REASON_CODES["clock"])

# Power of ten from a message's unit to ours. OCPP 1.6, section 7.45 UnitOfMeasure (with its misspelt Celsius); OCPP 2.0.1 Part 2, appendix 3.
_UNITS: Final[Mapping[str, tuple[str, int]]] = {
    "Wh": ("energy", -3),
    "kWh": ("energy", 0),
    "varh": ("reactive_energy", -3),
    "kvarh": ("reactive_energy", 0),
    "VAh": ("apparent_energy", -3),
    "kVAh": ("apparent_energy", 0),
    "W": ("power", -3),
    "kW": ("power", 0),
    "var": ("reactive_power", -3),
    "kvar": ("reactive_power", 0),
    "VA": ("apparent_power", -3),
    "kVA": ("apparent_power", 0),
    "A": ("current", 0),
    "V": ("voltage", 0),
    "Percent": ("ratio", 0),
    "Celsius": ("temperature", 0),
    "Celcius": ("temperature", 0),
    "K": ("kelvin", 0),
    "Fahrenheit": ("fahrenheit", 0),
    "Hertz": ("frequency", 0),
}
# What a measurand is in, by its first words, and the unit that it has when it names none.
_MEASURANDS: Final[Sequence[tuple[str, str, str]]] = (
    ("Energy.Active", "energy", "Wh"),
    ("Energy.Reactive", "reactive_energy", "varh"),
    ("Energy.Apparent", "apparent_energy", "VAh"),
    ("Power.Active", "power", "W"),
    ("Power.Offered", "power", "W"),
    ("Power.Import", "power", "W"),
    ("Power.Export", "power", "W"),
    ("Power.Reactive", "reactive_power", "var"),
    ("Power.Factor", "number", ""),
    ("Current", "current", "A"),
    ("Voltage", "voltage", "V"),
    ("Frequency", "frequency", "Hertz"),
    ("SoC", "ratio", "Percent"),
    ("Temperature", "temperature", "Celsius"),
)
_SIGNED_FACTS: Final = {  # our word for what OCPP 2.x calls so
    "signing_method": "signingMethod",
    "encoding_method": "encodingMethod",
    "public_key": "publicKey",
}
_SUMMED: Final = ("Energy.", "Power.")  # a sum over phases means something


@dataclass(frozen=True, slots=True)
class Signed:
    """A meter's own signed reading, untouched; `facts` is what the pile says about it (method, encoding, key)."""

    text: str
    facts: Mapping[str, str]
    context: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One sampled value. `value` is in our unit (kWh, kW, A, V, %, degC), None where the text is no number or its unit does not fit."""

    measurand: str
    phase: str
    location: str
    context: str
    value: Decimal | None


@dataclass(frozen=True, slots=True)
class Entry:
    """What a pile measured at one instant. `at_ms` is the pile's own, None where it gives none."""

    at_ms: int | None
    samples: tuple[Sample, ...]
    signed: tuple[Signed, ...]

    def energy(self, measurand: str, contexts: Iterable[str] = ()) -> Decimal | None:
        """The whole connector's energy (kWh): of the first of `contexts` that has it, or without any the present one."""
        found = _at("Outlet", [s for s in self.samples if s.measurand == measurand and s.value is not None])
        for context in contexts:
            total = _total([sample for sample in found if sample.context == context])
            if total is not None:
                return total
        return None if contexts else _total(_present(found))


def entries(meter_values: object, default_energy_unit: str = "Wh") -> list[Entry]:
    """The entries of a `meterValue` list (1.6 or 2.x) in their order; what is no entry is left out."""
    if not isinstance(meter_values, list):
        return []
    return [_entry(tree, default_energy_unit) for tree in meter_values[:MAX_ENTRIES] if isinstance(tree, dict)]


def _entry(tree: Payload, default_energy_unit: str) -> Entry:
    sampled = tree.get("sampledValue")
    samples: list[Sample] = []
    signed: list[Signed] = []
    for value in sampled[:MAX_SAMPLES] if isinstance(sampled, list) else ():
        if not isinstance(value, dict):
            continue
        context = _text(value.get("context")) or PERIODIC
        own = _signed(value, context)
        if own is not None:
            signed.append(own)
        if value.get("format") != "SignedData":
            samples.append(_sample(value, context, default_energy_unit))
    return Entry(frames.instant(tree.get("timestamp")), tuple(samples), tuple(signed))


def _text(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= 64 else ""


def _signed(value: Payload, context: str) -> Signed | None:
    """1.6: format SignedData, the text is the value. 2.x: signedMeterValue beside the value."""
    if value.get("format") == "SignedData":
        text = value.get("value")
        if isinstance(text, str) and 0 < len(text) <= MAX_SIGNED:
            return Signed(text, {}, context)
        return None
    tree = value.get("signedMeterValue")
    if not isinstance(tree, dict):
        return None
    text = tree.get("signedMeterData")
    if not isinstance(text, str) or not 0 < len(text) <= MAX_SIGNED:
        return None
    facts = {
        ours: tree[theirs]
        for ours, theirs in _SIGNED_FACTS.items()
        if isinstance(tree.get(theirs), str) and len(tree[theirs]) <= MAX_KEY
    }
    return Signed(text, facts, context)


def _sample(value: Payload, context: str, default_energy_unit: str) -> Sample:
    measurand = _text(value.get("measurand")) or IMPORT
    phase = _text(value.get("phase")).removesuffix("-N")
    location = _text(value.get("location")) or "Outlet"
    number = _number(value.get("value"))
    unit, multiplier = value.get("unit"), 0
    of_measure = value.get("unitOfMeasure")
    if isinstance(of_measure, dict):
        unit, multiplier = of_measure.get("unit"), of_measure.get("multiplier", 0)
    if number is not None:
        number = _in_our_unit(number, measurand, _text(unit), multiplier, default_energy_unit)
    return Sample(measurand, phase, location, context, number)


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, Decimal)):
        return Decimal(value)
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_TEXT:
        return None
    try:
        number = Decimal(value.strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and (not number or abs(number.adjusted()) <= _MAX_TEXT) else None


def _in_our_unit(
    number: Decimal, measurand: str, unit: str, multiplier: object, default_energy_unit: str
) -> Decimal | None:
    kind, default = next(
        ((kind, unit) for start, kind, unit in _MEASURANDS if measurand.startswith(start)), ("number", "")
    )
    if not unit:
        unit = default_energy_unit if kind == "energy" else default
    if kind == "number" or (kind == "ratio" and unit not in _UNITS):
        unit_kind, exponent = kind, 0
    else:
        unit_kind, exponent = _UNITS.get(unit, ("", 0))
    if isinstance(multiplier, (int, Decimal)) and not isinstance(multiplier, bool) and -18 <= multiplier <= 18:
        exponent += int(multiplier)
    number = number.scaleb(exponent)
    if unit_kind == kind:
        return number
    if kind == "temperature" and unit_kind == "kelvin":
        return number - Decimal("273.15")
    if kind == "temperature" and unit_kind == "fahrenheit":
        return ((number - 32) * 5 / 9).quantize(Decimal("0.01"))
    return None


def _at(place: str, found: Sequence[Sample]) -> list[Sample]:
    """Those of a place. Some piles say that they measure in their body what leaves by the outlet (evcc issue 16966), and nothing else."""
    there = [sample for sample in found if place in (sample.location, "any")]
    return there or [sample for sample in found if (place, sample.location) == ("Outlet", "Body")]


def _present(found: Sequence[Sample]) -> list[Sample]:
    """Without the values of a transaction's begin, where others say what is now."""
    now = [sample for sample in found if sample.context != BEGIN]
    clock = [sample for sample in now if sample.context == "Sample.Clock"]
    return clock or now or list(found)


def _total(found: Sequence[Sample]) -> Decimal | None:
    """The value for all phases: the one that names none, else the sum of those of single phases."""
    whole = [sample.value for sample in found if not sample.phase and sample.value is not None]
    if whole:
        return whole[-1]
    phases = {
        sample.phase: sample.value
        for sample in found
        if sample.phase in ("L1", "L2", "L3") and sample.value is not None
    }
    return sum(phases.values(), Decimal(0)) if phases else None


class Columns:
    """The quantities of one connector: makes blocks of entries, one shape for as long as the digits allow."""

    def __init__(self, plan: PilePlan) -> None:
        self._name = plan.name
        self._columns = tuple(column for column in plan.columns if column.measurand)
        self._exponents: dict[str, int] = {}
        self._shapes: dict[tuple[tuple[str, int], ...], Shape] = {}

    def block(
        self, entry: Entry, at_ms: int, lift_kwh: Decimal = Decimal(0), doubt: tuple[int, int] = _GOOD
    ) -> Block | None:
        """The entry's quantities at `at_ms`; None where it has none of ours.

        `lift_kwh` is added to imported energy: where the meter stood when a pile that counts from 0 began. `doubt` marks all values.
        """
        names: list[tuple[str, int]] = []
        values: list[tuple[Value, ...]] = []
        quality: list[tuple[int, int]] = []
        for column in self._columns:
            found, value = self._value(column, entry)
            if not found:
                continue
            if value is not None and column.measurand == IMPORT:
                value += lift_kwh
            pair = doubt if value is not None else ABSENT
            if value is not None and not column.low <= value <= column.high:
                value, pair = None, OUTSIDE
            exponent = self._exponent(column.quantity, value)
            whole = None if value is None else int(value.scaleb(-exponent).to_integral_value())
            if whole is not None and abs(whole) >= _LARGEST:
                whole, pair = None, OUTSIDE
            names.append((column.quantity, exponent))
            values.append((whole,))
            quality.append(pair)
        if not names:
            return None
        marks = tuple(quality) if any(pair != _GOOD for pair in quality) else ()
        return Block(self._name, self._shape(tuple(names)), (at_ms,), tuple(values), marks)

    def _shape(self, names: tuple[tuple[str, int], ...]) -> Shape:
        if names not in self._shapes:
            if len(self._shapes) >= 64:  # piles send few sets of measurands; a strange one may not fill the memory
                self._shapes.clear()
            self._shapes[names] = Shape(tuple(name for name, _ in names), tuple(exponent for _, exponent in names))
        return self._shapes[names]

    def _exponent(self, quantity: str, value: Decimal | None) -> int:
        own = 0 if value is None else min(0, max(_FINEST, int(value.as_tuple().exponent)))  # finite: an int
        exponent = min(self._exponents.get(quantity, 0), own)
        self._exponents[quantity] = exponent
        return exponent

    @staticmethod
    def _value(column: Column, entry: Entry) -> tuple[bool, Decimal | None]:
        """Whether the entry says anything of this quantity, and the value."""
        plus = _of(entry, column.measurand, column)
        minus = _of(entry, column.minus, column) if column.minus else []
        if not plus and not minus:
            return False, None
        values = [_whole(part, column) for part in (plus, minus) if part]
        if any(value is None for value in values):
            return True, None
        total = (_whole(plus, column) or Decimal(0)) - (_whole(minus, column) or Decimal(0))
        return True, total


def _of(entry: Entry, measurand: str, column: Column) -> list[Sample]:
    found = _at(column.location, [s for s in entry.samples if s.measurand == measurand])
    if column.phase:
        found = [sample for sample in found if sample.phase == column.phase]
    elif not measurand.startswith(_SUMMED):
        found = [sample for sample in found if not sample.phase]
    return _present(found)


def _whole(found: Sequence[Sample], column: Column) -> Decimal | None:
    if not found:
        return None
    return found[-1].value if column.phase else _total(found)


def json_text(tree: Mapping[str, Any], limit: int = 4000) -> dict[str, Any]:
    """A stranger's JSON as an event's body: numbers of Python, nothing longer than `limit` characters."""
    kept = _plain(tree, 0)
    return kept if isinstance(kept, dict) and len(str(kept)) <= limit else {"cut": str(kept)[:limit]}


def _plain(value: object, depth: int) -> Any:
    if depth > 12:
        return None
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {str(key)[:64]: _plain(inner, depth + 1) for key, inner in list(value.items())[:100]}
    if isinstance(value, list):
        return [_plain(inner, depth + 1) for inner in value[:200]]
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)
    return value if isinstance(value, (str, int, bool)) or value is None else str(value)
