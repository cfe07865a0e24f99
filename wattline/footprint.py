"""`wattline footprint`: what the program itself emits, per million readings and facility, beside what it has saved. Not how it is reckoned (`aggregator.footprint.own_footprint`)."""

import argparse
import contextlib
import os
import sqlite3
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final

from aggregator.accounts.compile import Accounts
from aggregator.accounts.record_file import ACCOUNTS_NAME, RecordsBusy, RecordsUnusable
from aggregator.emissions.registry import RegistryRefused
from aggregator.footprint.own_footprint import NO_SAVINGS, FacilityShare, OwnFootprint, own_footprint
from aggregator.footprint.own_use import OwnRecords
from aggregator.ledger import LedgerError
from aggregator.routes.footprint import DEFAULT_MS, answer_of
from aggregator.settings import SettingsFaults, load
from wattline.ledger_as_set import ledger_as_set
from wire.clock import Clock

FAILED: Final = 1
BAD_USE: Final = 2


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (records cannot be read), 2 (bad use)."""
    try:
        settings = load(options.config, os.environ)
        clock = Clock.from_environment()
        to_ms = clock() if options.end is None else _day_ms("--to", options.end)
        from_ms = to_ms - DEFAULT_MS if options.begin is None else _day_ms("--from", options.begin)
        if from_ms >= to_ms:
            raise ValueError(f"--to: expected a day after --from, got {options.begin} to {options.end}")
        with (
            ledger_as_set(settings) as ledger,
            contextlib.closing(OwnRecords(settings.data_directory / ACCOUNTS_NAME)) as records,
        ):
            accounts = Accounts(ledger, settings.facilities, settings.data_directory, clock)
            found = own_footprint(accounts, records, from_ms, to_ms)
    except (SettingsFaults, ValueError) as error:
        print(f"wattline footprint: {error}", file=sys.stderr)
        return BAD_USE
    except (LedgerError, RecordsBusy, RecordsUnusable, RegistryRefused, sqlite3.Error, OSError) as error:
        print(f"wattline footprint: {error}", file=sys.stderr)
        return FAILED
    print(answer_of(found).model_dump_json() if options.json else "\n".join(_told(found)))
    return 0


def _day_ms(option: str, text: str) -> int:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{option}: expected a day such as 2026-11-01, got {text!r}") from error
    return round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)


def _told(found: OwnFootprint) -> Iterator[str]:
    """For people."""
    begin, end = (
        datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="minutes") for at in (found.from_ms, found.to_ms)
    )
    yield f"{begin} to {end}: {found.readings} readings stored, {found.spans} spans on record, {_at(found.real_s / 3600, 2)} h"
    yield f"processor {_at(found.cpu_s, 1)} s ({_at(found.cpu_s_per_million, 2)} s per 10^6 readings)"
    yield f"received {found.received_bytes} bytes ({_at(found.received_bytes_per_reading, 1)} per reading), stored {found.store_bytes} bytes"
    if found.why:
        yield f"no figure for all of it: {found.why}"
    if found.hardware:
        yield f"hardware: {found.hardware}; power: {found.power_source}"
    for factor in found.factors:
        yield f"factor: {factor}"
    yield f"aggregator {_at(found.energy_kwh, 6)} kWh, {_grams(found.running_kg)} running, {_grams(found.embodied_kg)} of its making"
    yield f"gateways {_at(found.gateway_kwh, 6)} kWh, {_grams(found.gateway_kg)}"
    yield f"own footprint {_grams(found.own_kg)} CO2e: {_at(found.g_per_million, 4)} g per 10^6 readings"
    for figure in found.worked.figures if found.worked is not None else ():
        if figure.name == "embodied_g" and found.embodied_kg is None:
            continue  # nothing is said of the machine's making
        yield f"  {figure.name} = {figure.made_of} = {float(figure.value or 0):.6g} {figure.unit}"
    for one in found.work:
        yield (
            f"{one.work}: {one.times} times, {one.waited} waited for a cleaner hour, {_at(one.cpu_s, 1)} s of processor,"
            f" {_at(one.g, 6)} g as it ran, {_at(one.g_when_due, 6)} g had it run when due"
        )
    yield f"{'facility':24}{'readings':>12}{'own g':>14}{'of gateways':>14}{'saved g':>16}{'net saved g':>16}"
    for share in found.facilities:
        yield _row(share)


def _row(share: FacilityShare) -> str:
    saved = NO_SAVINGS if share.saved_kg is None else _at(share.saved_kg * 1000, 3)
    net = _at(None if share.net_kg is None else share.net_kg * 1000, 3)
    own, gateways = (_at(None if kg is None else kg * 1000, 3) for kg in (share.own_kg, share.gateway_kg))
    return f"{share.facility:24}{share.readings:>12}{own:>14}{gateways:>14}{saved:>16}{net:>16}"


def _grams(kg: Decimal | None) -> str:
    return "no figure" if kg is None else f"{_at(kg * 1000, 4)} g"


def _at(value: Decimal | None, decimals: int) -> str:
    return "-" if value is None else f"{value:.{decimals}f}"
