"""What a demo run has shown, as JSON and in a few lines: the verdict, energies against the profile, emissions, latency, memory."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from aggregator.books import Books
from aggregator.ledger import IntervalRow, Ledger
from aggregator.open_books import open_books
from aggregator.run import store_of
from aggregator.settings import load
from aggregator.stores.store import SeriesKey, Store
from device_sim.profile import UJ_PER_KWH, read_intervals
from wattline.demo_files import Gateway
from wattline.holdings import holdings, told
from wattline.judge import Verdict, judge, power_balance_error_ratio
from wattline.system import System
from wire.clock import Clock

IMPORT: Final = "energy_import_kwh"
POWER: Final = "active_power_kw"
SHOWN_ERRORS: Final = 12
SHOWN_LOST: Final = 20


@dataclass(frozen=True, slots=True)
class Measured:
    """What was seen while the system ran: ages at the viewer, latency at the store, emissions on the page, exit statuses, the profile's span (UTC ms)."""

    viewer: Mapping[str, Any]
    stored: Mapping[str, Any]
    live: Mapping[str, Mapping[str, Any]]
    statuses: Mapping[str, int]
    span: tuple[int, int] | None


def report(system: System, measured: Measured) -> dict[str, Any]:
    """The report of a system whose aggregator has ended. Raises StoreError, LedgerError."""
    settings = load(system.directory / "aggregator.toml", {})
    store = store_of(settings)
    ledger = Ledger(settings.data_directory / "ledger.sqlite")
    books = open_books(settings, ledger, Clock())
    try:
        verdict = judge(system.answer_log, store)
        outcome: dict[str, Any] = {
            "speed": system.wanted.clock.speed,
            "readings": _readings(verdict),
            "gaps": _gaps(system, store),
            "agents": dict(measured.statuses),
            "facilities": [
                _facility(books, store, gateway, measured.span)
                | _live(measured.live.get(gateway.facility, {}))
                | {"holdings": holdings(store, gateway)}
                for gateway in system.gateways
            ],
            "latency_ms": {"answer_to_stored": dict(measured.stored), "answer_to_live_feed": dict(measured.viewer)},
            "peak_memory_mib": {part.name: round(part.peak_mib, 1) for part in system.parts()},
            "cpu_s": {part.name: round(part.cpu_s, 2) for part in system.parts()},
        }
        balances = [
            f["power_balance_error_percent"]
            for f in outcome["facilities"]
            if f["power_balance_error_percent"] is not None
        ]
        outcome["power_balance_error_percent"] = max(balances) if balances else None
        if measured.span is not None and system.wanted.profile is not None:
            outcome["profile"] = _against_profile(books, system.gateways[0], system.wanted.profile, measured.span)
        return outcome
    finally:
        store.close()
        ledger.close()


def _readings(verdict: Verdict) -> dict[str, Any]:
    return {
        "answers": verdict.answers,
        "stored": verdict.readings,
        "produced": verdict.readings + verdict.readings_short,
        "missing": len(verdict.lost) + verdict.readings_short,
        "missing_answers": [asdict(lost) for lost in verdict.lost[:SHOWN_LOST]],
        "duplicates": verdict.duplicates,
        "unknown": verdict.unknown,
    }


def _gaps(system: System, store: Store) -> int:
    """Gap records but those with which a new, empty spool introduces itself."""
    found = [event for gateway in system.gateways for event in store.events(gateway.facility, 0, 2**53, "gap")]
    return sum(1 for stored in found if stored.event.body.get("kind") != "new_spool")


def _facility(books: Books, store: Store, gateway: Gateway, span: tuple[int, int] | None) -> dict[str, Any]:
    facility = gateway.facility
    from_ms, to_ms = span or (0, 2**53)
    emissions = books.emissions(facility, from_ms, to_ms)
    kilograms = [row.emission.kg for row in emissions if row.emission.kg is not None]
    factors = {
        (r.factor_id, r.version, r.region, r.data_year, str(r.kg_per_kwh), r.source, r.marks)
        for r in (row.emission.resolution for row in emissions)
    }
    keys = ("id", "version", "region", "data_year", "kg_per_kwh", "source", "marks")
    grid = [d for d in gateway.devices if d["measures"] == "grid"]
    parts = [d for d in gateway.devices if d["measures"] != "grid"]
    error = None
    if grid and any(d["measures"] == "load" for d in parts):
        error = power_balance_error_ratio(
            store, _key(gateway, grid[0], POWER), [_key(gateway, part, POWER) for part in parts]
        )
    return {
        "facility": facility,
        "emissions_kg": None if not kilograms else str(sum(kilograms, Decimal(0))),
        "intervals": len(emissions),
        "intervals_without_figure": len(emissions) - len(kilograms),
        "factors": [dict(zip(keys, factor, strict=True)) for factor in sorted(factors, key=str)],
        "power_balance_error_percent": None if error is None else round(100 * error, 3),
    }


def _live(em: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of the page when the run ended."""
    return {
        "emissions_now_kg_per_h": em.get("kgph"),
        "emissions_today_kg": em.get("kg_today"),
        "factor_now": {
            "id": em.get("f_id"),
            "version": em.get("f_ver"),
            "kg_per_kwh": em.get("f"),
            "marks": em.get("f_marks", []),
        },
    }


def _key(gateway: Gateway, device: Mapping[str, Any], quantity: str) -> SeriesKey:
    return SeriesKey(gateway.facility, gateway.edge, device["device"], quantity)


def _against_profile(books: Books, gateway: Gateway, profile: Path, span: tuple[int, int]) -> dict[str, Any]:
    """Interval energies of the grid meter beside those of the CSV, and the sums that must agree exactly."""
    zone = books.facilities[gateway.facility].zone
    device = next(d["device"] for d in gateway.devices if d["measures"] == "grid")
    rows = [row for row in books.ledger.intervals(gateway.facility, device, IMPORT, *span) if row.final]
    wanted = profile_kwh(profile, zone, span)
    errors = [(row, row.energy_kwh - wanted[row.start_ms]) for row in rows if row.start_ms in wanted]
    series = SeriesKey(gateway.facility, gateway.edge, device, IMPORT)
    boundaries = {b.boundary.at_ms: b.boundary.value for b in books.ledger.boundaries(series, span[0], span[1] + 1)}
    total, csv_total = sum((row.energy_kwh for row in rows), Decimal(0)), sum(wanted.values(), Decimal(0))
    difference = boundaries[span[1]] - boundaries[span[0]] if {*span} <= set(boundaries) else None
    return {
        "intervals": len(rows),
        "intervals_expected": len(wanted),
        "contiguous": all(a.end_ms == b.start_ms for a, b in pairwise(rows)),
        "total_kwh": str(total),
        "csv_total_kwh": str(csv_total),
        "total_error_percent": None if not csv_total else float(100 * (total - csv_total) / csv_total),
        "counter_difference_kwh": None if difference is None else str(difference),
        "sum_is_counter_difference": difference is not None and difference == total,
        "emissions_are_sum_of_products": _products_agree(books, gateway.facility, rows, span),
        "interval_errors_kwh": _errors(errors),
    }


def profile_kwh(profile: Path, zone: ZoneInfo, span: tuple[int, int]) -> dict[int, Decimal]:
    """Start (UTC ms) -> kWh of the CSV's intervals within a span; its times are local without daylight saving."""
    intervals = read_intervals(profile)
    first = datetime.fromtimestamp(intervals.start_wall_ms / 1000, UTC).replace(tzinfo=None)
    offset = zone.utcoffset(first)
    assert offset is not None
    offset_ms = int(offset.total_seconds() * 1000)
    energies = {}
    for number, energy_uj in enumerate(intervals.energies_uj):
        start_ms = intervals.start_wall_ms + number * intervals.length_ms - offset_ms
        if span[0] <= start_ms < span[1]:
            energies[start_ms] = Decimal(energy_uj) / UJ_PER_KWH
    return energies


def _products_agree(books: Books, facility: str, rows: list[IntervalRow], span: tuple[int, int]) -> bool:
    emissions = [row.emission for row in books.emissions(facility, *span) if row.emission.final]
    factors = {emission.start_ms: emission.resolution.kg_per_kwh for emission in emissions}
    by_hand = sum((row.energy_kwh * (factors.get(row.start_ms) or Decimal(0)) for row in rows), Decimal(0))
    return bool(rows) and sum((e.kg for e in emissions if e.kg is not None), Decimal(0)) == by_hand


def _errors(errors: list[tuple[IntervalRow, Decimal]]) -> dict[str, Any]:
    if not errors:
        return {}
    worst = sorted(errors, key=lambda pair: -abs(pair[1]))
    beyond = [
        1 for row, error in errors if abs(error) > max(Decimal("0.3"), (row.energy_kwh - error) * Decimal("0.02"))
    ]
    return {
        "max": float(abs(worst[0][1])),
        "mean": float(sum(abs(error) for _, error in errors) / len(errors)),
        "beyond_2_percent_or_0.3_kwh": len(beyond),
        "worst": [
            {"start_ms": row.start_ms, "kwh": str(row.energy_kwh), "error_kwh": str(error)}
            for row, error in worst[:SHOWN_ERRORS]
        ],
    }


def summary(outcome: Mapping[str, Any]) -> str:
    """The report for a person, in a few lines."""
    readings, latency = outcome["readings"], outcome["latency_ms"]
    line = f"readings: {readings['stored']} stored of {readings['produced']} from {readings['answers']} answers"
    lines = [f"{line}, {readings['missing']} missing, {readings['duplicates']} twice, {outcome['gaps']} gaps"]
    lines += [
        "missing: " + ", ".join(f"{name} {value}" for name, value in lost.items())
        for lost in readings["missing_answers"]
    ]
    for facility in outcome["facilities"]:
        factors = ", ".join(
            f"{f['id']} {f['region']} {f['data_year'] or ''} {f['kg_per_kwh']} kg/kWh" for f in facility["factors"]
        )
        kg = "no figure" if facility["emissions_kg"] is None else f"{Decimal(facility['emissions_kg']):.3f} kg CO2e"
        now = facility["emissions_now_kg_per_h"]
        lines.append(
            f"{facility['facility']}: now {'no figure' if now is None else f'{now} kg/h'} with {facility['factor_now']['kg_per_kwh']} kg/kWh; "
            f"booked {kg} ({facility['intervals']} intervals; {factors or 'none yet'})"
        )
        lines += told(facility["holdings"])
    if outcome["power_balance_error_percent"] is not None:
        lines.append(f"power balance: {outcome['power_balance_error_percent']} % of load")
    stored, feed = latency["answer_to_stored"], latency["answer_to_live_feed"]
    seen = [
        f"{where} p50 {times['p50_ms']} ms p95 {times['p95_ms']} ms"
        for where, times in (("stored", stored), ("on the feed", feed))
        if times.get("p50_ms") is not None
    ]
    lines.append("latency: " + (", ".join(seen) or "no reading came through"))
    lines.append("peak memory: " + ", ".join(f"{name} {mib} MiB" for name, mib in outcome["peak_memory_mib"].items()))
    if "profile" in outcome:
        profile = outcome["profile"]
        lines.append(
            f"against the profile: {profile['total_kwh']} kWh in {profile['intervals']} of {profile['intervals_expected']} intervals, "
            f"the CSV has {profile['csv_total_kwh']}; interval errors {profile['interval_errors_kwh']}"
        )
    return "\n".join(lines)
