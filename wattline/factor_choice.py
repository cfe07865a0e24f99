"""`wattline factors which` and `market`: the factor that applies, or the market-based figure, each with its reasons. Not the rules."""

import argparse
import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from aggregator.emissions.amounts import MarginalKg
from aggregator.emissions.entry import decimal_of, published_text
from aggregator.emissions.factors import FactorTable
from aggregator.emissions.instruments import Instruments, read_instruments
from aggregator.emissions.intensity import GridIntensities
from aggregator.emissions.market import Use, market_based
from aggregator.emissions.parameter import Asked, resolve_parameter
from aggregator.emissions.place import Place
from aggregator.emissions.profiles import profile
from aggregator.emissions.recorded import electricity_pack, own_factors
from aggregator.emissions.registry import Registry
from aggregator.emissions.resolution import Skipped, resolve
from aggregator.settings import load

ELECTRICITY: Final = "electricity"


def which(options: argparse.Namespace, registry: Registry, series: GridIntensities, now_ms: int) -> int:
    """Exit status 0, or 1 where no factor is allowed."""
    at_ms, as_of_ms = instant_ms("--at", options.at, now_ms), instant_ms("--as-of", options.as_of, now_ms)
    if options.id == ELECTRICITY:
        said = _electricity(options, registry, series, at_ms, as_of_ms)
    else:
        said = _parameter(options, registry, at_ms, as_of_ms)
    if options.json:
        print(json.dumps(said, ensure_ascii=False))
    else:
        value = said["value"]
        print(
            f"{options.id}: no value: {said['reason']}"
            if value is None
            else f"{said['id']} version {said['version']}: {value} {said['unit']}"
        )
        for name in ("tier", "region", "data_year", "source", "marks", "amount"):
            if said.get(name):
                print(f"  {name}: {', '.join(said[name]) if isinstance(said[name], list) else said[name]}")
        for passed in said["skipped"]:
            print(f"  passed over: {passed}")
    return 1 if said["value"] is None else 0


def _electricity(
    options: argparse.Namespace, registry: Registry, series: GridIntensities, at_ms: int, as_of_ms: int
) -> dict[str, Any]:
    entries = registry.entries(as_of_ms)
    rules = profile(options.profile)
    if options.place_level:
        rules = rules.noticed(options.place_level, options.notice or "")
    if rules.method == "market":
        raise ValueError(
            "--profile: expected a location-based profile, GHGP-MB takes certificates: wattline factors market"
        )
    place = _place(options)
    place = replace(
        place, overrides=(*own_factors(entries, options.facility), *place.overrides), grid_zone=options.zone
    )
    found = resolve(FactorTable.from_pack(electricity_pack(entries)), place, at_ms, as_of_ms, rules, series.at)
    said: dict[str, Any] = {
        "id": found.factor_id, "value": None if found.kg_per_kwh is None else f"{found.kg_per_kwh:f}", "unit": "kg/kWh", "tier": found.tier,
        "region": found.region, "version": found.version, "data_year": found.data_year, "source": found.source, "marks": list(found.marks),
        "skipped": _texts(found.skipped), "reason": found.reason, "profile": rules.name,
    }  # fmt: skip
    if options.kwh is not None:
        amount = found.amount(_decimal("--kwh", options.kwh))
        kind = "marginal" if isinstance(amount, MarginalKg) else "average"
        said["amount"] = None if amount is None else f"{amount.kg:f} kg ({kind})"
    return said


def _place(options: argparse.Namespace) -> Place:
    """Where the facility is: as asked, else as the aggregator file has it, else China."""
    known = load(options.config, os.environ).facility(options.facility) if options.config and options.facility else None
    if options.config and options.facility and known is None:
        raise ValueError(f"--facility: expected one of the aggregator file, got {options.facility!r}")
    place = Place(options.facility, "CN", "Asia/Shanghai") if known is None else known.factor_place()
    return replace(place, region=options.region or place.region, time_zone=options.time_zone or place.time_zone)


def _parameter(options: argparse.Namespace, registry: Registry, at_ms: int, as_of_ms: int) -> dict[str, Any]:
    asked = Asked(
        options.id,
        at_ms,
        as_of_ms,
        region=_place(options).region,
        facility=options.facility,
        gas=options.gas,
        variant=options.variant,
    )
    found = resolve_parameter(registry.entries(as_of_ms), asked)
    entry = found.entry
    said: dict[str, Any] = {
        "id": options.id,
        "value": None,
        "tier": found.tier,
        "skipped": _texts(found.skipped),
        "reason": found.reason,
    }
    if entry is not None:
        said |= {"value": f"{entry.value:f}", "unit": entry.unit, "version": entry.version, "region": entry.facility or entry.region,
                 "source": entry.evidence or f"{published_text(entry.source)}, {entry.table_ref}"}  # fmt: skip
    return said


def market(options: argparse.Namespace, registry: Registry, instruments: Instruments, now_ms: int) -> int:
    """The market-based figure of a consumption; 1 where part of it has none."""
    as_of_ms = instant_ms("--as-of", options.as_of, now_ms)
    use = Use(
        instant_ms("--from", options.begin, 0), instant_ms("--to", options.end, 0), _decimal("--kwh", options.kwh)
    )
    if use.start_ms >= use.end_ms or use.kwh < 0:
        raise ValueError("expected --to after --from, and --kwh of 0 or above")
    entries = registry.entries(as_of_ms)
    table = FactorTable.from_pack(electricity_pack(entries))
    place = _place(options)
    place = replace(place, overrides=(*own_factors(entries, options.facility), *place.overrides))
    figure = market_based(table, place, [use], instruments.retired(options.facility), as_of_ms)
    total = figure.total
    if options.json:
        parts = [
            {"tier": part.tier, "source": part.source, "kwh": f"{part.kwh:f}", "kg_per_kwh": None if part.kg_per_kwh is None else f"{part.kg_per_kwh:f}",
             "kg": None if part.amount is None else f"{part.amount.kg:f}", "marks": list(part.marks), "skipped": _texts(part.skipped)}
            for part in figure.parts
        ]  # fmt: skip
        print(json.dumps({"profile": figure.profile, "kg": None if total.amount is None else f"{total.amount.kg:f}", "parts": parts,
                          "coverage_percent": f"{total.coverage_percent:f}", "surplus_kwh": f"{figure.surplus_kwh:f}",
                          "not_used": [{"id": one.instrument.id, "why": one.why} for one in figure.unused]}, ensure_ascii=False))  # fmt: skip
    else:
        kg = "no figure" if total.amount is None else f"{total.amount.kg:f} kg"
        print(f"{figure.profile}: {kg}, {total.coverage_percent:f} % covered, surplus {figure.surplus_kwh:f} kWh")
        for part in figure.parts:
            factor = "no factor" if part.kg_per_kwh is None else f"{part.kg_per_kwh:f} kg/kWh"
            print(f"  {part.kwh:f} kWh at {factor}: {part.tier}, {part.source} {' '.join(part.marks)}".rstrip())
            for passed in _texts(part.skipped):
                print(f"    passed over: {passed}")
        for one in figure.unused:
            print(f"  not used: {one.instrument.type} {one.instrument.id} {one.why}")
    return 0 if total.covered_kwh == total.whole_kwh else 1


def decide_instruments(options: argparse.Namespace, instruments: Instruments, now_ms: int) -> int:
    """instruments import, retire, show."""
    if options.deed == "import":
        path: Path = options.file
        print(f"{instruments.add(read_instruments(path), options.by, now_ms)} new instruments")
    elif options.deed == "retire":
        instruments.retire(options.instrument, options.facility, options.by, now_ms)
        print(f"{options.instrument}: retired for {options.facility}")
    else:
        retired = {r.instrument.id: r for r in instruments.retired()}
        for held in instruments.held():
            used = retired.get(held.id)
            state = f"retired for {used.facility} by {used.by}" if used else "held"
            print(
                f"{held.id}: {held.type} {held.mwh} MWh, {_day(held.from_ms)} to {_day(held.to_ms)}, {held.zone}, {held.registry_ref}: {state}"
            )
    return 0


def _texts(skipped: tuple[Skipped, ...]) -> list[str]:
    return [f"{passed.candidate}: {passed.reason}" for passed in skipped]


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()


def _decimal(name: str, text: str) -> Decimal:
    try:
        return decimal_of(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def instant_ms(name: str, text: str | None, otherwise_ms: int) -> int:
    """UTC ms of a day (00:00 UTC) or of a time. Raises ValueError."""
    if text is None:
        return otherwise_ms
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{name}: expected a day or a time such as 2025-01-01, got {text!r}") from error
    if not 1970 <= instant.year <= 2100:
        raise ValueError(f"{name}: expected a year from 1970 to 2100, got {text!r}")
    return round((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp() * 1000)
