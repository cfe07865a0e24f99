"""`wattline bill check`: bills against the ledger, each difference as a sum of causes. Not how it is found (`aggregator.accounts.checks.bill_check`)."""

import argparse
import json
import os
import sqlite3
import sys
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from aggregator.accounts.checks.bill import read_bills, tariff_period
from aggregator.accounts.checks.bill_check import Checked, NotChecked, check
from aggregator.accounts.compile import CannotCompile
from aggregator.accounts.record_file import RecordsBusy, RecordsUnusable
from aggregator.emissions.csv_table import TableRefused
from aggregator.emissions.formulas.worked import shown
from aggregator.ledger import LedgerError
from aggregator.settings import SettingsFaults, load
from aggregator.stores.store import StoreError
from wattline.file_errors import told
from wattline.readings import opened
from wattline.statement import chosen

_DECIMALS = 6


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (a bill is not explained, or cannot be read), 2 (bad use)."""
    try:
        tolerance = Decimal(options.tolerance_percent)
        settings = load(options.config, os.environ)
        facility = chosen(options.facility, settings)
        periods = [tariff_period(text) for text in options.period]
        with options.file.open(encoding="utf-8-sig", newline="") as lines:
            bills = read_bills(lines, options.file.name, facility.zone)
        with opened(settings, settle=False) as (settler, _):
            found = [check(bill, facility, settler, periods) for bill in bills]
    except TableRefused as error:
        for fault in error.faults:
            print(f"wattline bill: {fault}", file=sys.stderr)
        return 1
    except (SettingsFaults, CannotCompile, NotChecked, InvalidOperation, ValueError) as error:
        print(f"wattline bill: {error}", file=sys.stderr)
        return 2
    except (LedgerError, StoreError, RecordsBusy, RecordsUnusable, sqlite3.Error, OSError) as error:
        print(f"wattline bill: {told(error)}", file=sys.stderr)
        return 1
    for checked in found:
        print(json.dumps(_plain(checked), ensure_ascii=False) if options.json else "\n".join(_told(checked)))
    return 0 if all(_explained(checked, tolerance) for checked in found) else 1


def _explained(checked: Checked, tolerance_percent: Decimal) -> bool:
    return abs(checked.cause("remainder")) * 100 <= Fraction(tolerance_percent) * abs(Fraction(checked.bill.kwh))


def _told(checked: Checked) -> Iterator[str]:
    bill = checked.bill
    number = f" {bill.number}" if bill.number else ""
    paid = f", {bill.amount} {bill.currency}".rstrip() if bill.amount is not None else ""
    yield f"bill{number} {bill.device}: {bill.kwh} kWh{paid}; ledger {_text(checked.ledger_kwh)} kWh; difference {_text(checked.difference_kwh)} kWh"
    for cause in checked.causes:
        if cause.kwh or cause.name == "remainder":
            yield f"  {cause.name:<11}{_text(cause.kwh):>18} kWh  {cause.why}"
    for name, billed, ledger in checked.periods:
        yield f"  {name:<11}{billed} kWh billed, {_text(ledger)} in the ledger, difference {_text(Fraction(billed) - ledger)}"
    if checked.demand is not None and bill.demand is not None:
        demand = checked.demand
        yield f"  demand     {bill.demand.kw} kW billed, highest interval {_text(demand.ledger_kw)} kW"
        yield (
            f"             window ({bill.demand.window_ms // 60_000} min, {bill.demand.kind}) {_text(demand.window_kw)}, multiplier"
            f" {_text(demand.multiplier_kw)}, remainder {_text(demand.remainder_kw)} kW"
        )


def _plain(checked: Checked) -> dict[str, Any]:
    bill, demand = checked.bill, checked.demand
    return {
        "meter": bill.device, "quantity": bill.quantity, "number": bill.number, "from_ms": bill.from_ms, "to_ms": bill.to_ms, "kwh": str(bill.kwh),
        "ledger_kwh": _text(checked.ledger_kwh), "difference_kwh": str(checked.difference_kwh),
        "causes": [{"cause": cause.name, "kwh": str(cause.kwh), "shown_kwh": _text(cause.kwh), "why": cause.why} for cause in checked.causes],
        "missing_ms": checked.missing_ms, "estimated": checked.estimated,
        "periods": [{"period": name, "billed_kwh": str(billed), "ledger_kwh": _text(ledger)} for name, billed, ledger in checked.periods],
        "demand": None if demand is None or bill.demand is None else {
            "billed_kw": str(bill.demand.kw), "ledger_kw": _text(demand.ledger_kw), "window_kw": _text(demand.window_kw),
            "multiplier_kw": _text(demand.multiplier_kw), "remainder_kw": _text(demand.remainder_kw), "at_ms": demand.at_ms,
        },
    }  # fmt: skip


def _text(value: Fraction) -> str:
    return shown(value, _DECIMALS)
