"""The report as one HTML page for people: totals, charts, tables, in English or Chinese, light, dark and printed. It loads nothing and runs no script."""

from collections.abc import Sequence
from decimal import Decimal
from html import escape
from importlib import resources
from typing import Final

from aggregator.accounts.cost import Costs
from aggregator.accounts.line import SCOPES
from aggregator.accounts.statement import Statement, total_kg
from aggregator.accounts.uncertainty import uncertainty_of
from aggregator.reports.chart import Bar, bars, lying_bars, shares
from aggregator.reports.report import Report
from aggregator.reports.rounding import Rounding
from aggregator.reports.table import Cell, Column, Shown, Table
from aggregator.reports.tables import day_of, grouped, month_of, quantity, source_kg, tables_of
from aggregator.reports.words import grouped_digits, in_tons, instant, shown, word

_MOST_DAYS: Final = 62  # a longer span is drawn by month, and its days are in the tables of the other forms
_MOST_SOURCES: Final = 16
_MOST_ROWS: Final = 400
_RIGHT: Final = (Shown.COUNT, Shown.NUMBER, Shown.KG, Shown.PERCENT, Shown.MONEY)
_HASHES: Final = ("table_sha256", "value")


def page_of(report: Report, language: str) -> str:
    """The page's HTML."""

    def say(key: str) -> str:
        return escape(word(key, language))

    style = resources.files("aggregator.reports").joinpath("page.css").read_text(encoding="utf-8")
    title = f"{say('report')}: {escape(report.name)}"
    tables = tables_of(report)
    days = sum(len(table.rows) for table in tables if table.name == "days")
    long = days > _MOST_DAYS * len(report.statements)
    body = [
        f"<h1>{title}</h1>",
        f"<dl><dt>{say('facility')}</dt><dd>{escape(report.facility)}</dd>",
        f"<dt>{say('span')}</dt><dd>{instant(report.from_ms, report.zone)} – {instant(report.to_ms, report.zone)}</dd>",
        f"<dt>{say('time_zone')}</dt><dd>{escape(report.time_zone)}</dd>",
        f"<dt>{say('known_at')}</dt><dd>{instant(report.as_of_ms, report.zone)}</dd></dl>",
        f'<p class="muted">{say("shown_rounded")}</p>',
        '<div class="totals">', *(_total(statement, _priced(statement, report, language), language) for statement in report.statements), "</div>",
        *_charts(report, language, long=long),
    ]  # fmt: skip
    for table in tables:
        if not (table.name == "days" and long):
            body += _section(table, report, language)
        if table.name == "rounding":
            body += [f"<p>{escape(text)}</p>" for each in report.roundings for text in rounding_said(each, language)]
    notes = [f"<li>{escape(s.profile)}: {escape(note)}</li>" for s in report.statements for note in s.notes]
    body += [f"<h2>{say('notes')}</h2><ul>", *notes, "</ul>"] if notes else []
    code = "zh-CN" if language == "zh" else "en"
    return (
        f'<!doctype html>\n<html lang="{code}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{title}</title><style>{style}</style></head><body><main>{chr(10).join(body)}</main></body></html>\n"
    )


def _priced(statement: Statement, report: Report, language: str) -> str:
    """What the total costs in each currency."""
    return " · ".join(_cost(of, language) for of in report.costs if of.profile == statement.profile)


def _cost(of: Costs, language: str) -> str:
    whole = of.rows[0]
    if whole.cost is None or whole.priced_kg is None:
        return f"{of.currency}: {word('no_cost', language)}"
    said = word("cost_at" if whole.priced_kg == whole.kg else "cost_of_part", language)
    return said.format(grouped_digits(whole.cost, 2), of.currency, in_tons(whole.priced_kg))


def _total(statement: Statement, priced: str, language: str) -> str:
    kg, c = statement.kg(), statement.coverage
    covered = (
        ""
        if c.percent is None
        else f"{word('covered', language)} {c.covered:,} / {c.expected:,} ({grouped_digits(c.percent, 2)} %)"
    )
    head = f"{escape(statement.profile)}<br>"
    if kg is None:
        return f'<div class="total none">{head}<b>{escape(word("no_figure", language))}</b><span class="muted">{escape(covered)}</span></div>'
    doubt = uncertainty_of(statement)
    width = "" if doubt is None or not doubt.kg or doubt.percent is None else f" ± {grouped_digits(doubt.percent, 1)} %"
    exact = word("exactly", language).format(f"{kg.scaleb(-3):f}")
    return f'<div class="total">{head}<b>{in_tons(kg)} t CO2e{width}</b><span class="muted">{escape(" · ".join(part for part in (exact, covered, priced) if part))}</span></div>'


# -- charts ---------------------------------------------------------------------------------------------------------------


def _charts(report: Report, language: str, *, long: bool) -> list[str]:
    made: list[str] = []
    used = [counts for counts in SCOPES if any(any(s.of(counts)) for s in report.statements)]
    scopes = [(counts.value, counts.value) for counts in used]
    for s in report.statements:
        over_time, energy = _over_time(report, s, language, long=long)
        made.append(
            _figure(f"{word('chart_time', language)}: {s.profile}", bars(s.profile, over_time), scopes, language)
        )
        if s is report.statements[0]:
            made.append(
                _figure(word("chart_energy", language), bars(word("chart_energy", language), energy), (), language)
            )
        ranked = source_kg(s)[:_MOST_SOURCES]
        first = {line.source: line.counts.value for line in s.of(*SCOPES)}
        rows = [(source, first[source], float(kg) / 1000, f"{in_tons(kg)} t") for source, kg in ranked]
        if len(rows) > 1:
            made.append(
                _figure(
                    f"{word('chart_sources', language)}: {s.profile}", lying_bars(s.profile, rows), scopes, language
                )
            )
    covered = [(s.profile, _shares(s)) for s in report.statements if s.coverage.expected]
    legend = (("good", "measured_well"), ("poor", "substituted_intervals"), ("none", "no_figures"))
    made.append(
        _figure(word("chart_coverage", language), shares(word("chart_coverage", language), covered), legend, language)
    )
    runs = [(f"{r.profile} {instant(r.at_ms, report.zone)[:16]} {r.run}", "said", float(r.kg) / 1000, f"{in_tons(r.kg)} t {word(r.state, language)}")
            for r in report.restatements if r.kg is not None]  # fmt: skip
    made.append(_figure(word("chart_runs", language), lying_bars(word("chart_runs", language), runs), (), language))
    return [each for each in made if each]


def _over_time(report: Report, statement: Statement, language: str, *, long: bool) -> tuple[list[Bar], list[Bar]]:
    """Scopes in t and electricity in MWh, by day or month."""
    emissions: list[Bar] = []
    energy: list[Bar] = []
    for (at,), lines in grouped(statement.of(*SCOPES), lambda line: ((month_of if long else day_of)(report, line),)):
        label = at[5:] if not long and len(at) == 10 else word(at, language)
        scopes = [(counts.value, total_kg(line for line in lines if line.counts is counts)) for counts in SCOPES]
        emissions.append((label, [(name, float(kg) / 1000) for name, kg in scopes if kg is not None]))
        kwh = quantity(line for line in lines if line.carrier == "electricity" and line.unit == "kWh")
        energy.append((label, [] if kwh is None else [("electricity", float(kwh) / 1000)]))
    return emissions, energy


def _shares(statement: Statement) -> list[tuple[str, float]]:
    c = statement.coverage
    poor = min(c.substituted, c.covered)
    return [(name, 100 * count / c.expected) for name, count in
            (("good", c.covered - poor), ("poor", poor), ("none", max(c.expected - c.covered, 0)))]  # fmt: skip


def _figure(caption: str, drawing: str, legend: Sequence[tuple[str, str]], language: str) -> str:
    if not drawing:
        return ""
    keys = "".join(f'<span><i class="{series}"></i>{escape(word(key, language))}</span>' for series, key in legend)
    return f'<figure><figcaption>{escape(caption)}</figcaption>{drawing}{f"""<div class="legend">{keys}</div>""" if keys else ""}</figure>'


# -- tables ---------------------------------------------------------------------------------------------------------------


def _section(table: Table, report: Report, language: str) -> list[str]:
    filled = [at for at in range(len(table.columns)) if any(row[at] not in (None, "") for row in table.rows)]
    columns = [table.columns[at] for at in filled]
    head = "".join(f"<th{_class(column)}>{escape(word(column.name, language))}</th>" for column in columns)
    rows = [
        "<tr>" + "".join(_cell(row[at], table.columns[at], report, language) for at in filled) + "</tr>"
        for row in table.rows[:_MOST_ROWS]
    ]
    more = f'<p class="muted">… +{len(table.rows) - _MOST_ROWS:,}</p>' if len(table.rows) > _MOST_ROWS else ""
    return [
        f"<h2>{escape(word(table.name, language))}</h2>",
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>',
        *rows,
        f"</tbody></table></div>{more}",
    ]


def _cell(cell: Cell, column: Column, report: Report, language: str) -> str:
    text = escape(shown(cell, column.shown, language, report.zone))
    exact = f' title="{cell:f}"' if isinstance(cell, Decimal) and column.shown is not Shown.NUMBER else ""
    return f"<td{_class(column)}{exact}>{text}</td>"


def _class(column: Column) -> str:
    if column.shown in _RIGHT:
        return ' class="n"'
    if column.shown is Shown.INSTANT:
        return ' class="at"'
    return ' class="hash"' if column.name in _HASHES else ""


# -- why rounding matters ---------------------------------------------------------------------------------------------------


def rounding_said(rounding: Rounding, language: str) -> list[str]:
    """In sentences: what rounding each interval would have done to the total, and what a column of rounded figures has lost."""

    def digits(value: Decimal | None, most: int | None = None) -> str:
        return word("no_figure", language) if value is None else grouped_digits(value, most)

    coarse = rounding.rounded[0]
    said = [
        word("rounding_said", language).format(
            f"{rounding.intervals:,}", digits(rounding.energy_kwh), digits(rounding.total_t), f"{coarse.grain_t:f}", digits(coarse.total_t),
            digits(coarse.error_percent, 2), f"{coarse.zeroed:,}", digits(coarse.zeroed_t, 3),
        )
    ]  # fmt: skip
    column = rounding.column
    if column is not None and column.implied is not None:
        said.append(
            word("column_said", language).format(
                column.name, digits(column.total_t), digits(column.low, 6), digits(column.high, 6), digits(column.implied),
                digits(column.implied_total_t, 3), digits(column.error_percent, 1), f"{column.rounded_to_zero:,}", digits(column.rounded_to_zero_t, 3),
                f"{sum(run.intervals for run in column.missing):,}", digits(column.missing_t, 3), digits(column.others_t, 3),
            )
        )  # fmt: skip
    return said
