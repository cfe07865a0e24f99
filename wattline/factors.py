"""`wattline factors`: the registry of emission factors, which one applies, and market instruments. Not what makes a factor plausible or known."""

import argparse
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfoNotFoundError

from aggregator.accounts.record_file import ACCOUNTS_NAME, RecordsBusy, RecordsRefused, RecordsUnusable
from aggregator.emissions.entry import AVERAGE, Entry, Status, as_json, published_text
from aggregator.emissions.factors import FactorTable, known_on
from aggregator.emissions.formulas.worked import shown
from aggregator.emissions.instruments import Instruments, InstrumentsRefused
from aggregator.emissions.intensity import GridIntensities, IntensityRefused, read_intensities
from aggregator.emissions.lint import lint
from aggregator.emissions.packfile import PackFaults, read, shipped_packs
from aggregator.emissions.place import Place
from aggregator.emissions.profiles import profile
from aggregator.emissions.recorded import electricity_pack
from aggregator.emissions.registry import Aim, Registry, RegistryRefused, fits
from aggregator.emissions.resolution import resolve
from aggregator.emissions.sink_record import Sinks, SinksRefused, net, read_sinks
from aggregator.open_books import REGISTRY_NAME
from aggregator.settings import SettingsFaults, load
from wattline.factor_choice import decide_instruments, instant_ms, market, which
from wattline.notices import decide_notices
from wattline.plurals import counted
from wire.clock import Clock

_MAKING: Final = ("import", "intensity", "add")


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (a fault in a pack, or refused), 2 (bad use)."""
    words: dict[str, Callable[[argparse.Namespace], int]] = {
        "lint": _lint, "import": _import, "approve": _decide, "withdraw": _decide, "show": _show,
        "which": _which, "market": _market, "instruments": _instruments, "intensity": _intensity,
        "sinks": _sinks, "notice": _notice,
    }  # fmt: skip
    try:
        return words[options.verb](options)
    except (PackFaults, RegistryRefused, InstrumentsRefused, IntensityRefused, SinksRefused, RecordsRefused) as error:
        for fault in error.faults:
            print(f"wattline factors: {fault}", file=sys.stderr)
        return 1
    except (SettingsFaults, ZoneInfoNotFoundError, ValueError) as error:
        print(f"wattline factors: {error}", file=sys.stderr)
        return 2
    except (OSError, sqlite3.Error, RecordsBusy, RecordsUnusable) as error:
        print(f"wattline factors: {error}", file=sys.stderr)
        return 1


def _place(options: argparse.Namespace) -> Path | str:
    if options.registry is not None:
        return Path(options.registry)
    if options.config is not None:
        return _kept(options) / REGISTRY_NAME
    return ":memory:"


def _kept(options: argparse.Namespace) -> Path:
    """The data directory. Only an import, the first thing that is ever put there, may make it. Raises SettingsFaults."""
    settings = load(options.config, os.environ)
    imports = options.verb in _MAKING or getattr(options, "deed", "") in _MAKING
    return settings.data_directory if imports else settings.kept()


def _registry(options: argparse.Namespace) -> Registry:
    return Registry(_place(options))


def _lint(options: argparse.Namespace) -> int:
    found: dict[str, dict[str, Any]] = {}
    files: list[Path] = options.files
    for pack in (read(path) for path in files) if files else shipped_packs():
        found[pack.name] = {"entries": len(pack.entries), "faults": lint(pack)}
    if options.json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        for name, said in found.items():
            print(f"{name}: {counted(said['entries'], 'value')}, {counted(len(said['faults']), 'fault')}")
            for fault in said["faults"]:
                print(f"  {fault}")
    return 1 if any(said["faults"] for said in found.values()) else 0


def _import(options: argparse.Namespace) -> int:
    pack = read(options.file)
    with _registry(options) as registry:
        done = registry.add(pack, options.by, Clock.from_environment()())
    print(f"{pack.name}: {done.new} new, {done.corrected} corrected, {done.unchanged} on record already")
    if done.new or done.corrected:
        print("They are drafts: wattline factors approve ID --by ANOTHER lets them be used.")
    return 0


def _decide(options: argparse.Namespace) -> int:
    status: Status = "approved" if options.verb == "approve" else "withdrawn"
    with _registry(options) as registry:
        now_ms = Clock.from_environment()()
        decided = registry.decide(options.id, status, options.by, options.reason, now_ms, _aim(options))
        entries = registry.entries() if status == "withdrawn" else []
    for entry in decided:
        print(f"{entry.key} version {entry.version}: {entry.value} {entry.unit}, {status} by {options.by}")
        if status == "withdrawn":
            print(f"    {_what_is_left(entry, entries, now_ms)}")
    return 0


def _aim(options: argparse.Namespace) -> Aim:
    return Aim(options.region, options.data_year, options.gas, options.variant)


def _what_is_left(withdrawn: Entry, entries: Sequence[Entry], now_ms: int) -> str:
    """What stands in the place of a withdrawn version from now on."""
    before = [entry for entry in entries if entry.key == withdrawn.key and entry.status == "approved"]
    if before:
        return f"in its place: version {before[-1].version}, {before[-1].value} {before[-1].unit}"
    if withdrawn.kind != "electricity" or withdrawn.signal != AVERAGE or not withdrawn.data_year:
        return "no version of it is in force"
    table, place = FactorTable.from_pack(electricity_pack(entries)), Place("", withdrawn.region, "UTC")
    midyear_ms = round(datetime(withdrawn.data_year, 7, 1, tzinfo=UTC).timestamp() * 1000)
    found = resolve(table, place, midyear_ms, now_ms, profile("GHGP-LB"))
    if found.kg_per_kwh is None:
        return f"no factor of {withdrawn.region} or a wider place is in force for {withdrawn.data_year}"
    return (
        f"in its place: {found.factor_id} {found.region} {found.data_year} version {found.version}, {found.kg_per_kwh} kg/kWh,"
        f" marked {', '.join(found.marks)}"
    )


def _show(options: argparse.Namespace) -> int:
    with _registry(options) as registry:
        entries = registry.entries(None if options.as_of is None else instant_ms("--as-of", options.as_of, 0))
    shown = [entry for entry in entries if fits(entry, options.id, _aim(options))]
    if options.json:
        print(json.dumps([as_json(entry) for entry in shown], ensure_ascii=False))
    else:
        for entry in shown:
            print(
                f"{entry.key}: {entry.value} {entry.unit}  [{entry.mark or '-'}] version {entry.version}, {_standing(entry)}"
            )
            print(f"    {published_text(entry.source)}, {entry.table_ref}; table sha256 {entry.table_sha256[:16]}")
            for label, text in (("reason", entry.reason), ("evidence", entry.evidence)):
                if text:
                    print(f"    {label}: {text}")
    if not shown:
        print(f"wattline factors: {options.id}: no such factor on record", file=sys.stderr)
        return 1
    return 0


def _standing(entry: Entry) -> str:
    if entry.status == "draft":
        return f"draft by {entry.entered_by}"
    if entry.status == "withdrawn":
        return f"withdrawn: {entry.note}"
    return f"approved by {entry.approved_by}, known from {known_on(entry.known_from_ms)}"


def _which(options: argparse.Namespace) -> int:
    with _registry(options) as registry, GridIntensities(_place(options)) as series:
        return which(options, registry, series, Clock.from_environment()())


def _intensity(options: argparse.Namespace) -> int:
    with GridIntensities(_place(options)) as series:
        print(f"{series.add(read_intensities(options.file), options.by, Clock.from_environment()())} new hours")
    return 0


def _market(options: argparse.Namespace) -> int:
    with _registry(options) as registry, Instruments(_place(options)) as instruments:
        return market(options, registry, instruments, Clock.from_environment()())


def _instruments(options: argparse.Namespace) -> int:
    with Instruments(_place(options)) as instruments:
        return decide_instruments(options, instruments, Clock.from_environment()())


def _notice(options: argparse.Namespace) -> int:
    return decide_notices(options, _kept(options) / ACCOUNTS_NAME, Clock.from_environment())


def _sinks(options: argparse.Namespace) -> int:
    with Sinks(_place(options)) as sinks:
        if options.deed == "import":
            print(
                f"{sinks.add(read_sinks(options.file), options.by, Clock.from_environment()())} new or corrected sinks"
            )
            return 0
        standing = sinks.standing(None if options.as_of is None else instant_ms("--as-of", options.as_of, 0))
    if not standing:
        print("wattline factors: no sinks on record", file=sys.stderr)
        return 1
    worked = net(standing)
    for one, figure in zip(standing, worked.figures, strict=False):
        assert figure.value is not None
        print(
            f"{one.project} {one.vintage} version {one.version}: {shown(figure.value)} t CO2 = {figure.made_of}; {one.evidence}"
        )
    print(f"all: {shown(worked['sink_t'])} t CO2")
    for note in worked.notes:
        print(f"  {note}")
    return 0
