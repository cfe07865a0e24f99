"""One recorded activity: fuel, material, production, a laboratory value - what no meter counts. Not where it is kept (see `activities`)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from aggregator.accounts.activities.kinds import IN_CHINESE, Kind, kind_of
from aggregator.emissions.amounts import EXACT
from aggregator.emissions.csv_table import decimal_cell
from aggregator.emissions.formulas.given import number
from aggregator.emissions.formulas.guards import Impossible
from aggregator.emissions.formulas.units import converted
from aggregator.intervals.local_time import start_of_day_ms

COLUMNS: Final = ("source", "kind", "subject", "class", "from", "to", "unit", "evidence")
STOCK: Final = ("opening", "purchases", "closing", "resale")
OPTIONAL: Final = ("quantity", *STOCK, "variant", "sub_class", "process", "parameters", "reason")
TEXT_MAX: Final = 200
LONGEST_DAYS: Final = 366
FIRST_YEAR, LAST_YEAR = 1990, 2099
LABORATORY: Final = "laboratory"
SHARE: Final = Decimal("1e-9")  # of a unit: parts of a record that is cut sum to it exactly
_KEPT_DECIMALS: Final = Decimal("1e-12")


class Key(NamedTuple):
    """What versions of one record share."""

    facility: str
    source: str
    kind: str
    subject: str
    variant: str
    from_day: date

    def __str__(self) -> str:
        return f"{self.source} {self.kind} {self.subject}{self.variant and f' ({self.variant})'} {self.from_day}"


@dataclass(frozen=True, slots=True)
class Activity:
    """`amount` in `unit` of the local days [from_day, to_day): as given, or opening + purchases - closing - resale.

    `activity_class` is one of line.CLASSES, `sub_class` the facility's own word for it (catalyst coke burn). `process`: the step of
    production that it belongs to, "" for all. `parameters` are what the kind needs besides, as written (cao_ratio -> 0.645).
    `no`, `version` and `by` are the record's, 0 and "" before it is on record.
    """

    facility: str
    source: str
    kind: str
    subject: str
    activity_class: str
    from_day: date
    to_day: date
    unit: str
    evidence: str
    quantity: Decimal | None = None
    stock: tuple[Decimal, Decimal, Decimal, Decimal] | None = None  # in the order of STOCK
    variant: str = ""
    sub_class: str = ""
    process: str = ""
    parameters: tuple[tuple[str, str], ...] = ()
    reason: str = ""
    by: str = ""
    no: int = 0
    version: int = 0

    @property
    def key(self) -> Key:
        return Key(self.facility, self.source, self.kind, self.subject, self.variant, self.from_day)

    @property
    def strand(self) -> tuple[str, ...]:
        """What may be recorded once for a day. Of a laboratory value the fuel's parameter, wherever it was sampled."""
        source = "" if self.kind == LABORATORY else self.source
        return (self.facility, source, self.kind, self.subject, self.variant)

    @property
    def content(self) -> tuple[object, ...]:
        """What makes a version: if any of it differs, it is another version."""
        return (
            self.to_day, self.activity_class, self.sub_class, self.process, self.unit, self.quantity, self.stock, self.parameters, self.evidence,
        )  # fmt: skip

    @property
    def amount(self) -> Decimal:
        """In `unit`, exact."""
        if self.stock is None:
            assert self.quantity is not None
            return self.quantity
        opening, purchases, closing, resale = self.stock
        return EXACT.subtract(EXACT.subtract(EXACT.add(opening, purchases), closing), resale)

    @property
    def of_kind(self) -> Kind:
        return kind_of(self.kind, self.subject)

    def counted(self) -> tuple[Decimal, str]:
        """The amount in the first unit of its kind that measures the same thing; as written where the kind takes any."""
        for unit in self.of_kind.units:
            try:
                value = converted(Fraction(self.amount), self.unit, unit)
            except Impossible:
                continue
            return exact_or_rounded(value), unit
        return self.amount, self.unit

    def numbers(self, name: str) -> list[Fraction]:
        """The values of a parameter; [] where it is not given. Raises Impossible."""
        kind = self.of_kind
        unit = {**kind.needs, **kind.may}[name]
        text = dict(self.parameters).get(name, "")
        return [number(part.strip(), unit.removesuffix(",")) for part in text.split(",")] if text else []

    def until(self, at_ms: int, from_ms: int, to_ms: int) -> Decimal:
        """What of the counted amount lies before an instant of [from_ms, to_ms), its days: by time, cut to 1e-9 of the unit, and at the end all of it."""
        amount, _ = self.counted()
        if at_ms == to_ms:
            return amount
        return exact_or_rounded(Fraction(amount) * Fraction(at_ms - from_ms, to_ms - from_ms), SHARE)

    def span_ms(self, zone: ZoneInfo) -> tuple[int, int]:
        return start_of_day_ms(self.from_day, zone), start_of_day_ms(self.to_day, zone)


def exact_or_rounded(value: Fraction, step: Decimal = _KEPT_DECIMALS) -> Decimal:
    """A fraction as a decimal; one that has no end is rounded half-even to `step`."""
    digits = -int(step.as_tuple().exponent)
    return Decimal(round(value * 10**digits)).scaleb(-digits).normalize(EXACT)


def activity_of(row: Mapping[str, str], facility: str, by: str = "") -> Activity:
    """A record from the texts of a row of COLUMNS and OPTIONAL. Raises ValueError."""
    stocked = [name for name in STOCK if row[name]]
    if bool(row["quantity"]) == bool(stocked):
        raise ValueError(f"quantity: expected it, or all of {', '.join(STOCK)}; got {'both' if stocked else 'neither'}")
    if stocked and len(stocked) < len(STOCK):
        raise ValueError(f"expected all of {', '.join(STOCK)} (0 where there was none), got {', '.join(stocked)} alone")
    opening, purchases, closing, resale = (decimal_cell(row, name) if stocked else Decimal(0) for name in STOCK)
    return Activity(
        facility=facility, source=row["source"], kind=row["kind"], subject=row["subject"],
        activity_class=IN_CHINESE.get(row["class"], row["class"]), from_day=_day(row, "from"), to_day=_day(row, "to"), unit=row["unit"],
        evidence=row["evidence"], quantity=None if stocked else decimal_cell(row, "quantity"),
        stock=(opening, purchases, closing, resale) if stocked else None,
        variant=row["variant"], sub_class=row["sub_class"], process=row["process"], parameters=_parameters(row["parameters"]),
        reason=row["reason"], by=by,
    )  # fmt: skip


def _day(row: Mapping[str, str], name: str) -> date:
    try:
        return date.fromisoformat(row[name])
    except ValueError as error:
        raise ValueError(f"{name}: expected a local day such as 2026-01-01, got {row[name]!r}") from error


def _parameters(text: str) -> tuple[tuple[str, str], ...]:
    """`cao_ratio=0.645; mgo_ratio=0.015`, in the order of their names."""
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not name or not value or name in found:
            raise ValueError(f"parameters: expected name=value; name=value, each name once, got {part!r}")
        found[name] = value
    return tuple(sorted(found.items()))


def faults(record: Activity) -> Iterator[str]:
    """What is wrong with one record, in words."""
    name = str(record.key)
    try:
        kind = record.of_kind
    except ValueError as error:
        yield f"{name}: {error}"
        return
    for what in ("source", "subject", "unit", "evidence"):
        if not getattr(record, what).strip():
            yield f"{name}: expected {what}, got none"
    texts = (
        record.source,
        record.subject,
        record.variant,
        record.sub_class,
        record.process,
        record.evidence,
        record.unit,
    )
    if max(map(len, texts)) > TEXT_MAX:
        yield f"{name}: expected texts of at most {TEXT_MAX} characters, got {max(map(len, texts))}"
    if record.activity_class not in kind.classes:
        yield f"{name}: class: expected {' or '.join(kind.classes)} for {kind.text}, got {record.activity_class!r}"
    if not FIRST_YEAR <= record.from_day.year <= record.to_day.year <= LAST_YEAR:
        yield f"{name}: expected days of the years {FIRST_YEAR} to {LAST_YEAR}, got {record.from_day} to {record.to_day}"
    if not 0 < (record.to_day - record.from_day).days <= LONGEST_DAYS:
        yield f"{name}: expected `to` after `from` and within {LONGEST_DAYS} days, got {record.from_day} to {record.to_day}"
    yield from (f"{name}: {said}" for said in _amount_faults(record, kind))
    yield from (f"{name}: {said}" for said in _parameter_faults(record, kind))


def _amount_faults(record: Activity, kind: Kind) -> Iterator[str]:
    if record.amount < 0:
        made_of = "" if record.stock is None else " (opening + purchases - closing - resale)"
        yield f"expected 0 {record.unit} or more{made_of}, got {record.amount}"
    if kind.units and record.counted()[1] not in kind.units:
        yield f"unit: expected one like {' or '.join(kind.units)}, got {record.unit!r}"
    if record.kind == "fuel" and record.unit == "m3" and "measured_at_degc" not in dict(record.parameters):
        yield "unit: expected Nm3, or m3 with the parameter measured_at_degc, got m3 alone"


def _parameter_faults(record: Activity, kind: Kind) -> Iterator[str]:
    given = dict(record.parameters)
    for missing in [name for name in kind.needs if name not in given]:
        yield f"parameters: expected {missing} for {kind.text}, it is missing; there is no default"
    for name in given:
        if name not in kind.needs and name not in kind.may:
            known = ", ".join((*kind.needs, *kind.may)) or "none"
            yield f"parameters: expected {known} for {kind.text}, got {name}"
            continue
        unit = kind.needs.get(name) or kind.may.get(name, "")
        try:
            values = record.numbers(name)
        except Impossible as error:
            yield f"parameters: {name}: {error}"
            continue
        if len(values) > 1 and not unit.endswith(","):
            yield f"parameters: {name}: expected one value, got {len(values)}"
        if unit.startswith("1") and not all(0 <= value <= 1 for value in values):
            yield f"parameters: {name}: expected 0 to 1, got {given[name]}"
