"""The tables of a report, made from its statements: totals, sources, carriers, months, days, coverage, grades, factors, restatements, proofs.

Every figure is an exact sum of lines; what has no figure is None and is listed with its reason. Not how they are shown (see `forms`, `page`).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from aggregator.accounts.line import SCOPES, Counts, Line
from aggregator.accounts.statement import Statement, total_kg
from aggregator.accounts.uncertainty import uncertainty_of
from aggregator.emissions.amounts import EXACT
from aggregator.emissions.entry import Entry, published_text
from aggregator.intervals.local_time import day_span_ms, local_day
from aggregator.reports.report import Report
from aggregator.reports.rounding_tables import DIGITS, column, rounded, stored_as_zero
from aggregator.reports.table import Cell, Column, Shown, Table, table

_PROFILE = Column("profile")
_KG = Column("kg", Shown.KG)
_LONGER = "longer_than_a_day"


def tables_of(report: Report) -> tuple[Table, ...]:
    """All tables in their order; those that would be empty are left out, save the totals."""
    made = (
        _totals(report), _costs(report), _carbon_prices(report), _sources(report), _carriers(report), _months(report), _days(report), _coverage(report), _uncertainty(report), _grades(report),
        _without_figure(report), _factors(report), _restatements(report), _proofs(report), rounded(report), column(report), stored_as_zero(report),
    )  # fmt: skip
    return tuple(each for each in made if each.rows or each.name == "totals")


def _totals(report: Report) -> Table:
    """Of each profile the total of all scopes, each scope, and what is shown apart."""
    rows: list[tuple[Cell, ...]] = []
    for s in report.statements:
        rows.append((s.profile, "all_scopes", s.kg(), sum(1 for _ in s.of(*SCOPES))))
        for counts in Counts:
            lines = list(s.of(counts))
            if lines:
                rows.append((s.profile, counts.value, total_kg(lines), len(lines)))
    return table("totals", (_PROFILE, Column("counts", Shown.WORD), _KG, Column("lines", Shown.COUNT)), rows)


def _costs(report: Report) -> Table:
    """What scopes cost at carbon prices, beside their kg."""
    columns = (
        _PROFILE, Column("counts", Shown.WORD), _KG, Column("priced_kg", Shown.KG), Column("cost", Shown.MONEY), Column("currency"),
        Column("complete", Shown.WORD), Column("provisional_intervals", Shown.COUNT),
    )  # fmt: skip
    rows = [
        (
            of.profile,
            cost.counts,
            cost.kg,
            cost.priced_kg,
            cost.cost,
            of.currency,
            "yes" if cost.complete else "no",
            cost.provisional,
        )
        for of in report.costs
        for cost in of.rows
    ]
    return table("costs", columns, rows)


def _carbon_prices(report: Report) -> Table:
    columns = (
        _PROFILE, Column("price_per_t", Shown.NUMBER), Column("currency"), Column("from", Shown.INSTANT), Column("to", Shown.INSTANT),
        Column("priced_kg", Shown.KG), Column("cost", Shown.MONEY), Column("source"),
    )  # fmt: skip
    rows = [
        (
            of.profile,
            used.price.price_per_t,
            of.currency,
            used.price.valid_from_ms,
            used.price.valid_to_ms,
            used.priced_kg,
            used.cost,
            used.price.source,
        )
        for of in report.costs
        for used in of.prices
    ]
    return table("carbon_prices", columns, rows)


def _sources(report: Report) -> Table:
    columns = (
        _PROFILE, Column("counts", Shown.WORD), Column("source"), Column("carrier", Shown.WORD), Column("quantity", Shown.NUMBER), Column("unit"),
        _KG, Column("share", Shown.PERCENT), Column("intervals", Shown.COUNT),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for s in report.statements:
        whole = s.kg()
        for (counts, source, carrier, unit), lines in grouped(
            s.lines, lambda line: (line.counts, line.source, line.carrier, line.unit)
        ):
            kg = total_kg(lines)
            share = kg / whole * 100 if kg is not None and whole and counts in SCOPES else None
            rows.append(
                (
                    s.profile,
                    counts.value,
                    source,
                    carrier,
                    quantity(lines),
                    unit,
                    kg,
                    share,
                    sum(line.intervals for line in lines),
                )
            )
    return table("sources", columns, rows)


def _carriers(report: Report) -> Table:
    columns = (
        _PROFILE,
        Column("counts", Shown.WORD),
        Column("carrier", Shown.WORD),
        Column("quantity", Shown.NUMBER),
        Column("unit"),
        _KG,
    )
    rows = [
        (s.profile, counts.value, carrier, quantity(lines), unit, total_kg(lines))
        for s in report.statements
        for (counts, carrier, unit), lines in grouped(s.lines, lambda line: (line.counts, line.carrier, line.unit))
    ]
    return table("carriers", columns, rows)


def _months(report: Report) -> Table:
    return _by_time("months", report, lambda line: month_of(report, line))


def _days(report: Report) -> Table:
    return _by_time("days", report, lambda line: day_of(report, line))


def _by_time(name: str, report: Report, when: Callable[[Line], str]) -> Table:
    """Scopes by month or day; electricity (kWh of scope lines) beside them."""
    columns = (
        _PROFILE, Column("when", Shown.WORD), Column("electricity_kwh", Shown.NUMBER), *(Column(f"{counts.value}_kg", Shown.KG) for counts in SCOPES),
        _KG, Column("intervals", Shown.COUNT), Column("substituted_intervals", Shown.COUNT), Column("provisional_intervals", Shown.COUNT),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for s in report.statements:
        for (at,), lines in grouped(s.of(*SCOPES), lambda line: (when(line),)):
            electricity = [line for line in lines if line.carrier == "electricity" and line.unit == "kWh"]
            scopes = [total_kg(line for line in lines if line.counts is counts) for counts in SCOPES]
            metered = [line for line in lines if line.intervals]
            rows.append((
                s.profile, at, quantity(electricity), *scopes, total_kg(lines), sum(line.intervals for line in metered),
                sum(line.intervals for line in metered if line.quality != "good"), sum(line.provisional for line in metered),
            ))  # fmt: skip
    return table(name, columns, rows)


def _coverage(report: Report) -> Table:
    columns = (
        _PROFILE, Column("expected", Shown.COUNT), Column("covered", Shown.COUNT), Column("covered_percent", Shown.PERCENT),
        Column("substituted_intervals", Shown.COUNT), Column("substituted_percent", Shown.PERCENT), Column("provisional_intervals", Shown.COUNT),
        Column("complete", Shown.WORD),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for s in report.statements:
        c = s.coverage
        complete = "yes" if s.complete else "no"
        rows.append(
            (s.profile, c.expected, c.covered, c.percent, c.substituted, c.substituted_percent, c.provisional, complete)
        )
    return table("coverage", columns, rows)


def _uncertainty(report: Report) -> Table:
    """Half widths at 95 %, where meters or factors state one."""
    columns = (
        _PROFILE, Column("half_width_kg", Shown.KG), Column("half_width_percent", Shown.PERCENT), Column("independent_kg", Shown.KG),
        Column("meters_kg", Shown.KG), Column("factors_kg", Shown.KG), Column("unstated"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for s in report.statements:
        found = uncertainty_of(s)
        if found is not None and found.kg:
            parts = (
                _cut(part) for part in (found.kg, found.percent, found.independent_kg, found.meter_kg, found.factor_kg)
            )
            rows.append((s.profile, *parts, ", ".join(found.unstated)))
    return table("uncertainty", columns, rows)


def _cut(root: Decimal | None) -> Decimal | None:
    """A root has no end: its first digits."""
    return None if root is None else DIGITS.plus(root)


def _grades(report: Report) -> Table:
    columns = (
        _PROFILE, Column("source"), Column("quality", Shown.WORD), Column("reason", Shown.WORD), Column("marks"), Column("intervals", Shown.COUNT),
        Column("quantity", Shown.NUMBER), Column("unit"), _KG,
    )  # fmt: skip
    rows = [
        (
            s.profile,
            source,
            quality,
            reason,
            ", ".join(marks),
            sum(line.intervals for line in lines),
            quantity(lines),
            unit,
            total_kg(lines),
        )
        for s in report.statements
        for (source, quality, reason, marks, unit), lines in grouped(
            s.of(*SCOPES), lambda line: (line.source, line.quality, line.reason, line.marks, line.unit)
        )
    ]
    return table("grades", columns, rows)


def _without_figure(report: Report) -> Table:
    columns = (
        _PROFILE, Column("counts", Shown.WORD), Column("source"), Column("carrier", Shown.WORD), Column("from", Shown.INSTANT),
        Column("to", Shown.INSTANT), Column("quantity", Shown.NUMBER), Column("unit"), Column("why"),
    )  # fmt: skip
    rows = [
        (
            s.profile,
            counts.value,
            source,
            carrier,
            min(line.start_ms for line in lines),
            max(line.end_ms for line in lines),
            quantity(lines),
            unit,
            why,
        )
        for s in report.statements
        for (counts, source, carrier, unit, why), lines in grouped(
            (line for line in s.lines if line.kg is None),
            lambda line: (line.counts, line.source, line.carrier, line.unit, line.why),
        )
    ]
    return table("without_figure", columns, rows)


def _factors(report: Report) -> Table:
    names = ("factor", "region", "data_year", "version", "kg_per_unit", "unit", "tier", "u95_percent", "document", "url", "table", "table_sha256",
             "approved_by")  # fmt: skip
    shown = {
        "data_year": Shown.TEXT,
        "version": Shown.COUNT,
        "kg_per_unit": Shown.NUMBER,
        "u95_percent": Shown.PERCENT,
        "tier": Shown.WORD,
    }
    columns = (*(Column(name, shown.get(name, Shown.TEXT)) for name in names), Column("lines", Shown.COUNT))
    rows: list[tuple[Cell, ...]] = []
    for seen in report.factors:
        f, e = seen.applied, seen.entry
        units = sorted({line.unit for s in report.statements for line in s.lines if line.factor == f})
        uses = sum(line.factor == f for s in report.statements for line in s.lines)
        documents = _documents(e) if e is not None else (f.source, "", "", "", "")
        unit = "/".join(["kg", *units[:1]])
        rows.append(
            (
                f.id,
                f.region,
                str(f.data_year or ""),
                f.version,
                f.kg_per_unit,
                unit,
                f.tier,
                f.u95_percent,
                *documents,
                uses,
            )
        )
        for part in seen.parts:
            year = str(part.data_year or "")
            rows.append(
                (
                    f"{f.id}: {part.id}",
                    part.region,
                    year,
                    part.version,
                    part.value,
                    part.unit,
                    "",
                    part.u95_percent,
                    *_documents(part),
                    uses,
                )
            )
    return table("factors", columns, rows)


def _documents(entry: Entry) -> tuple[str, ...]:
    """Document, address, table, hash of the table, approver."""
    return published_text(entry.source), entry.source.url, entry.table_ref, entry.table_sha256, entry.approved_by


def _restatements(report: Report) -> Table:
    columns = (
        _PROFILE, Column("run"), Column("state", Shown.WORD), Column("at", Shown.INSTANT), _KG, Column("change_kg", Shown.KG), Column("causes"),
        Column("reason"), Column("by"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    before: dict[str, Decimal] = {}
    for r in report.restatements:
        change = EXACT.subtract(r.kg, before[r.profile]) if r.kg is not None and r.profile in before else None
        if r.kg is not None:
            before[r.profile] = r.kg
        rows.append((r.profile, r.run, r.state, r.at_ms, r.kg, change, r.causes, r.reason, r.by))
    return table("restatements", columns, rows)


def _proofs(report: Report) -> Table:
    columns = (_PROFILE, Column("what", Shown.WORD), Column("value"))
    return table("proofs", columns, ((p.profile, p.what, p.value) for p in report.proofs))


# -- what the tables group by ---------------------------------------------------------------------------------------------


def grouped(
    lines: Iterable[Line], key: Callable[[Line], tuple[Any, ...]]
) -> Iterator[tuple[tuple[Any, ...], list[Line]]]:
    """Lines of one key together, in the order of the keys' text."""
    found: dict[tuple[Any, ...], list[Line]] = defaultdict(list)
    for line in lines:
        found[key(line)].append(line)
    return iter(sorted(found.items(), key=lambda item: [str(part) for part in item[0]]))


def quantity(lines: Iterable[Line]) -> Decimal | None:
    """The exact sum of what is known of the quantity (one unit); None where nothing is."""
    total: Decimal | None = None
    for line in lines:
        if line.quantity is not None:
            total = line.quantity if total is None else EXACT.add(total, line.quantity)
    return total


def day_of(report: Report, line: Line) -> str:
    """The local day in which a line lies, 2026-03-01; a word where it is longer."""
    day = local_day(line.start_ms, report.zone)
    return day.isoformat() if line.end_ms <= day_span_ms(day, report.zone)[1] else _LONGER


def month_of(report: Report, line: Line) -> str:
    """The local month in which a line lies, 2026-03; a word where it is longer."""
    first, last = (
        datetime.fromtimestamp(at_ms / 1000, report.zone)
        for at_ms in (line.start_ms, max(line.end_ms - 1, line.start_ms))
    )
    return f"{first:%Y-%m}" if (first.year, first.month) == (last.year, last.month) else "longer_than_a_month"


def source_kg(statement: Statement) -> list[tuple[str, Decimal]]:
    """Scope emissions of each source, the largest first; sources without a figure are left out."""
    sums = (
        (source, total_kg(lines)) for (source,), lines in grouped(statement.of(*SCOPES), lambda line: (line.source,))
    )
    return sorted(((source, kg) for source, kg in sums if kg is not None), key=lambda pair: (-pair[1], pair[0]))
