"""`wattline catalogue`: whose each series is, who answers for it, what kind of data it is. Not what it is made of (`aggregator.catalogue`)."""

import argparse
import json
import os
import sys
from dataclasses import asdict

from aggregator.accounts.compile import CannotCompile
from aggregator.run import store_of
from aggregator.settings import SettingsFaults, load
from aggregator.settle import COUNTERS
from aggregator.stores.store import StoreError
from wattline.statement import chosen


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (the store cannot be read), 2 (bad use)."""
    try:
        settings = load(options.config, os.environ)
        facility = chosen(options.facility, settings)
        store = store_of(settings)
        try:
            entries = list(settings.catalogue.entries(facility, store.latest(facility.id), COUNTERS))
        finally:
            store.close()
    except (SettingsFaults, CannotCompile) as error:
        print(f"wattline catalogue: {error}", file=sys.stderr)
        return 2
    except (StoreError, OSError) as error:
        print(f"wattline catalogue: {error}", file=sys.stderr)
        return 1
    for entry in entries:
        if options.json:
            print(
                json.dumps(
                    asdict(entry) | {"series": entry.series._asdict(), "sorts": dict(entry.sorts)}, ensure_ascii=False
                )
            )
        else:
            said = ", ".join(value for _, value in entry.sorts)
            kept = entry.retention
            print(
                f"{entry.series.edge}/{entry.series.device} {entry.series.quantity}: owner {entry.owner or 'not named'}, device"
                f" {entry.device_entity or 'not named'}, signer {entry.signer_entity or 'not named'} {entry.signer_key or 'unsigned'}; {said};"
                f" kept {kept.raw_days}/{kept.interval_days}/{kept.hourly_days} days"
            )
    return 0
