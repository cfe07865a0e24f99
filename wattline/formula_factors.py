"""Factors of the registry as inputs of a formula: `@fuel.diesel.ncv` for a number. Asked for by name, never filled in. Not the formulas.

@ID, @ID/GAS, @ID/VARIANT, @ID/GAS/VARIANT or @electricity. What was found is said with version, document and table.
"""

import argparse
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfoNotFoundError

from aggregator.emissions.entry import Entry, published_text
from aggregator.emissions.factors import FactorTable
from aggregator.emissions.formulas.guards import Impossible
from aggregator.emissions.parameter import Asked, resolve_parameter
from aggregator.emissions.place import Place
from aggregator.emissions.profiles import profile
from aggregator.emissions.recorded import electricity_pack, own_factors
from aggregator.emissions.registry import Registry, RegistryRefused
from aggregator.emissions.resolution import resolve
from wattline.factor_choice import instant_ms
from wire.clock import Clock

MARK: Final = "@"
ELECTRICITY: Final = "electricity"
_PROFILE: Final = "OPS"


@dataclass(frozen=True, slots=True)
class LookedUp:
    """Inputs with every name replaced by its number and unit, and what stands behind each, one line a factor."""

    texts: Mapping[str, str]
    factors: tuple[str, ...]


def looked_up(texts: Mapping[str, str], options: argparse.Namespace) -> LookedUp:
    """`texts`: with a name in one of them at least. Raises Impossible where a name has no value that may be used, OSError and sqlite3.Error with the registry."""
    if options.region is None:
        raise Impossible(f"--region: expected beside {MARK}, e.g. --region CN; it is missing and there is no default")
    try:
        now_ms = Clock.from_environment()()
        at_ms = instant_ms("--at", options.at, now_ms)
        as_of_ms = instant_ms("--as-of", options.as_of, now_ms)
        with Registry(":memory:" if options.registry is None else _existing(options.registry)) as registry:
            entries = registry.entries(as_of_ms)
    except (RegistryRefused, ValueError) as error:
        raise Impossible(str(error)) from error
    except sqlite3.DatabaseError as error:
        raise Impossible(f"--registry {options.registry}: expected a registry of factors, {error}") from error
    place = Asked("", at_ms, as_of_ms, region=options.region, facility=options.facility)
    changed, said = {}, []
    for name, text in texts.items():
        for found in _names(text):
            number, behind = _value(found, entries, place, options.time_zone)
            text = text.replace(MARK + found, number, 1)
            said.append(f"{name}: {behind}")
        changed[name] = text
    return LookedUp(changed, tuple(said))


def _names(text: str) -> list[str]:
    parts = [part.strip() for part in re.split("[,;]", text)]
    return [part.removeprefix(MARK) for part in parts if part.startswith(MARK)]


def _existing(path: Path) -> Path:
    if not path.exists():
        raise Impossible(f"--registry: expected a registry of factors, {path} is not there")
    return path


def _value(name: str, entries: list[Entry], place: Asked, time_zone: str) -> tuple[str, str]:
    if name == ELECTRICITY:
        return _electricity(entries, place, time_zone)
    of_id, *words = name.split("/")
    gases = {entry.gas for entry in entries if entry.id == of_id and entry.gas}
    gas = next((word for word in words if word in gases), "")
    variant = next((word for word in words if word != gas), "")
    if len(words) > bool(gas) + bool(variant):
        raise Impossible(f"{MARK}{name}: expected {MARK}ID/GAS/VARIANT, saw {len(words)} words after the id")
    asked = Asked(of_id, place.at_ms, place.as_of_ms, place.region, place.facility, gas, variant)
    found = resolve_parameter(entries, asked)
    entry = found.entry
    if entry is None:
        raise Impossible(f"{MARK}{name}: expected a factor that may be used, there is none: {found.reason}")
    behind = entry.evidence or f"{published_text(entry.source)}, {entry.table_ref}"
    number = f"{entry.value:f}{'' if entry.unit == '1' else ' ' + entry.unit}"
    return number, f"{entry.key} version {entry.version}, {number}, {behind}"


def _electricity(entries: list[Entry], asked: Asked, time_zone: str) -> tuple[str, str]:
    place = Place(asked.facility, asked.region, time_zone, own_factors(entries, asked.facility))
    table = FactorTable.from_pack(electricity_pack(entries))
    try:
        found = resolve(table, place, asked.at_ms, asked.as_of_ms, profile(_PROFILE))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise Impossible(f"--time-zone: expected a zone such as Asia/Shanghai, saw {time_zone!r}") from error
    if found.kg_per_kwh is None:
        raise Impossible(f"{MARK}{ELECTRICITY}: expected a factor that may be used, there is none: {found.reason}")
    marks = f" ({', '.join(found.marks)})" if found.marks else ""
    year = f" {found.data_year}" if found.data_year else ""
    return (
        f"{found.kg_per_kwh:f} kg/kWh",
        f"{found.factor_id} {found.region}{year}, {found.kg_per_kwh:f} kg/kWh, {found.source}{marks}",
    )
