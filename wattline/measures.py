"""`wattline measures`: what a facility's measured span came to: sun used on site, hours without import, steps, cycles. Not how it is worked out."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict

from aggregator.accounts.compile import CannotCompile
from aggregator.flexibility.measures import LIFE_CYCLES, LIFE_YEARS, cycles_allowed
from aggregator.ledger import LedgerError
from aggregator.measured_figures import MeasuredFigures, measured_figures
from aggregator.settings import SettingsFaults, load
from wattline.ledger_as_set import ledger_as_set
from wattline.statement import chosen, instant_ms


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (the ledger cannot be read), 2 (bad use)."""
    try:
        settings = load(options.config, os.environ)
        facility = chosen(options.facility, settings)
        from_ms, to_ms = (
            instant_ms(name, text, facility.zone) for name, text in (("--from", options.begin), ("--to", options.end))
        )
        if from_ms >= to_ms:
            raise CannotCompile(f"--to: expected later than --from, got {options.begin} to {options.end}")
        with ledger_as_set(settings) as ledger:
            found = measured_figures(ledger, facility, from_ms, to_ms)
    except (SettingsFaults, CannotCompile) as error:
        print(f"wattline measures: {error}", file=sys.stderr)
        return 2
    except (LedgerError, OSError) as error:
        print(f"wattline measures: {error}", file=sys.stderr)
        return 1
    print(json.dumps(asdict(found)) if options.json else "\n".join(_told(found)))
    return 0


def _told(found: MeasuredFigures) -> Iterator[str]:
    yield f"{found.facility}: {found.covered_h:g} of {found.expected_h:g} h in which every grid connection was measured"
    yield f"  peak           {_at(found.peak_kw, 'kW')}, largest step {_at(found.largest_step_kw, 'kW')}"
    yield f"  zero-carbon    {_at(found.zero_carbon_h, 'h')} without import"
    yield f"  sun            {_at(found.pv_kwh, 'kWh')}, {_at(found.pv_self_use_percent, '%')} of it used on site"
    yield f"  vehicles       {_at(found.vehicle_kwh, 'kWh')}, {_at(found.pv_hours_percent, '%')} of it in PV hours"
    yield f"  storage        {_at(found.cycles_per_day, 'cycles a day', 2)}, {_at(found.life_years, 'years')} at that rate"
    if found.cycles_per_day is not None and found.cycles_per_day > cycles_allowed():
        yield f"                 {LIFE_CYCLES} cycles in {LIFE_YEARS} years allow {cycles_allowed():.2f} a day: it will not last that long"


def _at(value: float | None, unit: str, digits: int = 1) -> str:
    return f"no figure ({unit})" if value is None else f"{value:.{digits}f} {unit}"
