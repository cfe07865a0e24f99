"""The tables on rounding: what rounded intervals add up to, and another column of figures step by step. Not what is computed (see `rounding`)."""

from decimal import Context, Decimal
from typing import Final

from aggregator.reports.report import Report
from aggregator.reports.table import Cell, Column, Shown, Table, table

DIGITS: Final = Context(prec=9)  # of a quotient, which has no end
_PROFILE: Final = Column("profile")
_KG: Final = Column("kg", Shown.KG)


def rounded(report: Report) -> Table:
    """The exact total beside what rounded intervals would have added up to."""
    columns = (
        _PROFILE, Column("rounded_to", Shown.WORD), Column("total_t", Shown.NUMBER), Column("error_percent", Shown.PERCENT),
        Column("zeroed", Shown.COUNT), Column("zeroed_t", Shown.NUMBER), Column("intervals", Shown.COUNT),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for r in report.roundings:
        rows.append((r.profile, "not_rounded", r.total_t, Decimal(0), 0, Decimal(0), r.intervals))
        rows += [
            (
                r.profile,
                f"{each.grain_t:f} t",
                each.total_t,
                each.error_percent,
                each.zeroed,
                each.zeroed_t,
                r.intervals,
            )
            for each in r.rounded
        ]
    return table("rounding", columns, rows)


def column(report: Report) -> Table:
    """From another column's sum to energy times the factor that it implies, step by step."""
    columns = (
        _PROFILE,
        Column("column"),
        Column("step", Shown.WORD),
        Column("value", Shown.NUMBER),
        Column("unit"),
        Column("intervals", Shown.COUNT),
    )
    rows: list[tuple[Cell, ...]] = []
    for r in report.roundings:
        c = r.column
        if c is None:
            continue
        off_t = c.total_t - r.total_t
        rows += [
            (r.profile, c.name, "report_says", r.total_t, "t", r.intervals),
            (r.profile, c.name, "column_says", c.total_t, "t", None),
            (r.profile, c.name, "difference", off_t, "t", None),
            (
                r.profile,
                c.name,
                "difference_percent",
                None if not r.total_t else DIGITS.divide(off_t * 100, r.total_t),
                "%",
                None,
            ),
            (r.profile, c.name, "its_last_digit", c.grain_t, "t", None),
        ]
        if c.implied is None:
            rows.append((r.profile, c.name, "no_factor_fits", None, "", None))
            continue
        rows += [
            (r.profile, c.name, "implied_at_least", DIGITS.plus(c.low), "kg/kWh", None),
            (r.profile, c.name, "implied_at_most", DIGITS.plus(c.high), "kg/kWh", None),
            (r.profile, c.name, "implied", c.implied, "kg/kWh", None),
            (r.profile, c.name, "rounded_to_zero", c.rounded_to_zero_t, "t", c.rounded_to_zero),
            (r.profile, c.name, "stored_as_zero_rows", c.missing_t, "t", sum(run.intervals for run in c.missing)),
            (r.profile, c.name, "other_rounding", c.others_t, "t", None),
            (r.profile, c.name, "implied_total", c.implied_total_t, "t", None),
            (
                r.profile,
                c.name,
                "column_is_off_by",
                None if c.error_percent is None else DIGITS.plus(c.error_percent),
                "%",
                None,
            ),
        ]
    return table("another_column", columns, rows)


def stored_as_zero(report: Report) -> Table:
    columns = (
        Column("column"), Column("from", Shown.INSTANT), Column("to", Shown.INSTANT), Column("intervals", Shown.COUNT),
        Column("energy_kwh", Shown.NUMBER), _KG,
    )  # fmt: skip
    found = {r.column.name: r.column for r in report.roundings if r.column is not None}
    rows = [
        (c.name, run.start_ms, run.end_ms, run.intervals, run.energy_kwh, run.kg)
        for c in found.values()
        for run in c.missing
    ]
    return table("stored_as_zero", columns, rows)
