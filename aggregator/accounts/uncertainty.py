"""How uncertain a statement's total is, at 95 %: what is independent, what a meter keeps wrong, what lines share by their factor. Not Monte Carlo.

independent   the display's last digit, interval by interval                    in quadrature over intervals
meter         class and transformers: wrong the same way all the time           linear within a meter, in quadrature between meters
factor        wrong for everybody who uses that version                         linear over all lines that share it
The three and the groups of each are independent of each other (IPCC 2006, volume 1, chapter 3). What nobody stated is not taken for 0: it is named.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from aggregator.accounts.line import SCOPES, Applied, Counts, Line
from aggregator.accounts.period import Period
from aggregator.accounts.statement import Statement, total_kg
from aggregator.emissions.entry import Entry

ZERO: Final = Decimal(0)
_FIFTY: Final = Context(prec=50)
COUNT: Final = "count_kwh"
# Both ends of an interval are cut to a count: their difference is triangular over one count on either side, 95 % of it within 1 - sqrt(0.05).
OF_A_COUNT: Final = Decimal("0.776393")


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """Half width at 95 %, in kg CO2e and in % of the total. `unstated` names what nobody stated: then it is at least that much."""

    total_kg: Decimal
    independent_kg: Decimal
    meter_kg: Decimal
    factor_kg: Decimal
    unstated: tuple[str, ...]

    @property
    def kg(self) -> Decimal:
        return _root(self.independent_kg**2 + self.meter_kg**2 + self.factor_kg**2)

    @property
    def percent(self) -> Decimal | None:
        """None of a total of 0."""
        return None if not self.total_kg else _FIFTY.divide(self.kg * 100, abs(self.total_kg))

    def __str__(self) -> str:
        share = "" if self.percent is None else f" ({_shown(self.percent, '0.001')} %)"
        parts = f"independent {_shown(self.independent_kg)}, meters {_shown(self.meter_kg)}, factors {_shown(self.factor_kg)}"
        least = f"; at least, for these state none: {', '.join(self.unstated)}" if self.unstated else ""
        return f"± {_shown(self.kg)} kg{share} at 95 %: {parts}{least}"


def uncertainty_of(statement: Statement, *counts: Counts) -> Uncertainty | None:
    """Of the lines that count there (default: of all scopes). None where there is no figure."""
    lines = [line for line in statement.of(*(counts or SCOPES)) if line.kg is not None]
    total = total_kg(lines)
    return None if total is None else _uncertainty(total, lines)


def _uncertainty(total: Decimal, lines: Iterable[Line]) -> Uncertainty:
    squares, meters, factors, unstated = ZERO, dict[str, Decimal](), dict[Applied, Decimal](), set[str]()
    for line in lines:
        kg = line.kg or ZERO
        if line.meter_u95_percent is not None:
            meters[line.source] = meters.get(line.source, ZERO) + kg * line.meter_u95_percent / 100
        elif kg:
            unstated.add(line.source)
        if line.factor is None:
            continue
        if line.factor.u95_percent is not None:
            factors[line.factor] = factors.get(line.factor, ZERO) + kg * line.factor.u95_percent / 100
        elif kg:
            unstated.add(str(line.factor))
        count = dict(line.figures).get(COUNT)
        if count is not None:
            squares += line.intervals * (OF_A_COUNT * count * line.factor.kg_per_unit) ** 2
    return Uncertainty(
        total, _root(squares), _quadrature(meters.values()), _quadrature(factors.values()), tuple(sorted(unstated))
    )


def _quadrature(parts: Iterable[Decimal]) -> Decimal:
    return _root(sum((part * part for part in parts), ZERO))


def _root(value: Decimal) -> Decimal:
    return _FIFTY.sqrt(value)


def _shown(value: Decimal, grain: str = "0.001") -> str:
    return f"{value.quantize(Decimal(grain), ROUND_HALF_EVEN):f}"


def stating(period: Period) -> Callable[[Line], Line]:
    """Writes into each line what is stated of its meter and its factor: class, last digit, the version's uncertainty or the facility's assumption."""
    meters = {f"meter:{meter.device}": meter for meter in period.facility.meters}
    usual = period.facility.factor_u95_percent
    known = {_named(entry): entry.u95_percent for entry in period.entries if entry.u95_percent is not None}
    own = {
        (entry.version, entry.value): entry.u95_percent
        for entry in period.entries
        if entry.facility == period.facility.id and entry.u95_percent is not None
    }
    seen: dict[Applied, Applied] = {}

    def factor_of(factor: Applied) -> Applied:
        if factor not in seen:
            u95 = known.get((factor.id, factor.region, factor.data_year or 0, factor.version), usual)
            if factor.tier == "override":
                u95 = own.get((factor.version, factor.kg_per_unit), usual)
            seen[factor] = factor if u95 is None else replace(factor, u95_percent=u95)
        return seen[factor]

    def stated(line: Line) -> Line:
        if line.factor is not None and line.factor.u95_percent is None:
            factor = factor_of(line.factor)
            line = line if factor.u95_percent is None else replace(line, factor=factor)
        meter = meters.get(line.source)
        if meter is None:
            return line
        if meter.accuracy_percent is not None and line.meter_u95_percent is None:
            line = replace(line, meter_u95_percent=meter.accuracy_percent)
        if meter.quantum_kwh is not None and line.unit == "kWh" and line.intervals:
            line = replace(line, figures=(*line.figures, (COUNT, meter.quantum_kwh)))
        return line

    return stated


def _named(entry: Entry) -> tuple[str, str, int, int]:
    return entry.id, entry.region, entry.data_year, entry.version
