"""`wattline gaps`: which intervals nobody has measured, what they are estimated at and by which rule, and which energies cannot be; `--fill` enters
the estimates. Not the rules (`aggregator.accounts`).
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from aggregator.accounts.compile import CannotCompile
from aggregator.accounts.gaps.doubtful import Doubtful, doubtful
from aggregator.accounts.gaps.gaps import Gap, fill, gaps
from aggregator.accounts.gaps.rules import HOUR_MS
from aggregator.facility import Facility
from aggregator.ledger import LedgerError
from aggregator.open_books import open_books
from aggregator.settings import SettingsFaults, load
from wattline.ledger_as_set import ledger_as_set
from wattline.statement import chosen, instant_ms
from wire.clock import Clock
from wire.quantities import QUANTITIES


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (an interval has no estimate, an energy cannot be, or the ledger cannot answer), 2 (bad use)."""
    try:
        settings = load(options.config, os.environ)
        facility = chosen(options.facility, settings)
        from_ms = instant_ms("--from", options.begin, facility.zone)
        to_ms = instant_ms("--to", options.end, facility.zone)
        if to_ms <= from_ms:
            raise CannotCompile(f"--to: expected a time after {options.begin}, got {options.end}")
        clock = Clock.from_environment()
        with ledger_as_set(settings) as ledger:
            found = list(gaps(ledger, facility, from_ms, to_ms, clock()))
            wrong = list(doubtful(ledger, facility, from_ms, to_ms))
            entered = fill(open_books(settings, ledger, clock), facility, found) if options.fill else []
    except (SettingsFaults, CannotCompile) as error:
        print(f"wattline gaps: {error}", file=sys.stderr)
        return 2
    except (LedgerError, OSError) as error:
        print(f"wattline gaps: {error}", file=sys.stderr)
        return 1
    written = sum(len(one.intervals) for one in entered)
    missing = sum(one.energy is None for gap in found for one in gap.estimates)
    if options.json:
        told = {"gaps": [_as_json(gap) for gap in found], "entered": written, "without_estimate": missing}
        print(json.dumps(told | {"doubtful": [_doubtful_json(one) for one in wrong]}))
    else:
        _tell(found, facility, written, missing, options.fill)
        for one in wrong:
            print(_doubtful(one, facility))
    return int(missing > 0 or bool(wrong))


def _tell(found: Sequence[Gap], facility: Facility, written: int, missing: int, filled: bool) -> None:
    for gap in found:
        unit = QUANTITIES[gap.quantity].unit
        hours = (gap.to_ms - gap.from_ms) / HOUR_MS
        energy = "no estimate" if gap.energy is None else f"{gap.energy:f} {unit}"
        still = ", nothing has come since" if gap.open else ""
        print(
            f"{gap.device} {gap.quantity} {_time(gap.from_ms, facility)} to {_time(gap.to_ms, facility)} ({hours:g} h{still}): {energy}, "
            f"{'; '.join(gap.rules)}"
        )
    intervals = sum(len(gap.estimates) for gap in found)
    print(
        f"{len(found)} gaps, {intervals} intervals, {missing} without an estimate"
        + (f"; {written} entered" if filled else "")
    )


def _doubtful(one: Doubtful, facility: Facility) -> str:
    row, unit = one.row, QUANTITIES[one.row.quantity].unit
    return (
        f"doubtful: {row.device} {row.quantity} {_time(row.start_ms, facility)} to {_time(row.end_ms, facility)} ({row.source}): "
        f"expected {one.least.normalize():f} to {one.most.normalize():f} {unit}{' by its counter' if one.counted else ''}, got {row.energy_kwh:f}"
    )


def _doubtful_json(one: Doubtful) -> dict[str, Any]:
    row = one.row
    return {
        "device": row.device,
        "quantity": row.quantity,
        "start_ms": row.start_ms,
        "end_ms": row.end_ms,
        "source": row.source,
        "energy": f"{row.energy_kwh:f}",
        "least": f"{one.least.normalize():f}",
        "most": f"{one.most.normalize():f}",
        "counted": one.counted,
    }


def _as_json(gap: Gap) -> dict[str, Any]:
    return {
        "device": gap.device,
        "quantity": gap.quantity,
        "from_ms": gap.from_ms,
        "to_ms": gap.to_ms,
        "open": gap.open,
        "energy": None if gap.energy is None else f"{gap.energy:f}",
        "rules": list(gap.rules),
        "estimates": [
            {"start_ms": one.start_ms, "energy": None if one.energy is None else f"{one.energy:f}", "rule": one.rule}
            for one in gap.estimates
        ],
    }


def _time(at_ms: int, facility: Facility) -> str:
    return datetime.fromtimestamp(at_ms / 1000, facility.zone).isoformat(timespec="minutes")
