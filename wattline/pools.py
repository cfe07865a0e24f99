"""`wattline pools`: where a period's kg went, and what people know of batteries and vehicles. Not how pools are kept (`aggregator.accounts`)."""

import argparse
import json
import os
import sqlite3
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from aggregator.accounts.compile import CannotCompile
from aggregator.accounts.line import Counts, Line
from aggregator.accounts.pools.book import PoolBook
from aggregator.accounts.pools.site_days import Anchor, PlugIn
from aggregator.accounts.record_file import ACCOUNTS_NAME, RecordsBusy, RecordsRefused, RecordsUnusable
from aggregator.accounts.statement import Statement
from aggregator.emissions.amounts import EXACT
from aggregator.emissions.entry import decimal_of
from aggregator.emissions.registry import RegistryRefused
from aggregator.facility import Facility
from aggregator.ledger import LedgerError
from aggregator.settings import SettingsFaults, load
from wattline.statement import chosen, instant_ms, opened
from wire.clock import Clock

METHODS: Final = ("GHGP-LB", "GHGP-MB")
OF_POOLS: Final = ("pv:", "pool:", "ev:", "loads:", "part:", "export:", "avoided:")
_RATIOS: Final = ("charged", "delivered", "reached")
_GRAM: Final = Decimal("0.001")
_STATES: Final = ("opening_kwh", "opening_kg", "closing_kwh", "closing_kg", "closing_uncovered_kwh")


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (it could not be read, or was refused), 2 (bad use)."""
    try:
        return {"show": _show, "content": _content, "withdraw": _withdraw, "plug-in": _plug_in}[options.verb](options)
    except RecordsRefused as error:
        for fault in error.faults:
            print(f"wattline pools: {fault}", file=sys.stderr)
        return 1
    except (SettingsFaults, CannotCompile, ValueError) as error:
        print(f"wattline pools: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        raise  # whoever reads this has seen enough
    except (LedgerError, RegistryRefused, RecordsBusy, RecordsUnusable, sqlite3.Error, OSError) as error:
        print(f"wattline pools: {error}", file=sys.stderr)
        return 1


def _content(options: argparse.Namespace) -> int:
    facility, path = _place(options)
    _known(facility, options.device, "storage")
    anchor = Anchor(options.device, instant_ms("--at", options.at, facility.zone), _kwh("--kwh", options.kwh))
    cell = dict(facility.cells).get(options.device)
    with PoolBook(path) as book:
        new = book.state_content(
            facility.id,
            anchor,
            options.evidence,
            options.by,
            Clock.from_environment()(),
            None if cell is None else cell.capacity_kwh,
        )
    print(f"{options.device}: {anchor.kwh} kWh at {options.at}" + ("" if new else ", on record already"))
    return 0


def _withdraw(options: argparse.Namespace) -> int:
    facility, path = _place(options)
    at_ms = instant_ms("--at", options.at, facility.zone)
    with PoolBook(path) as book:
        kwh = book.withdraw_content(
            facility.id, options.device, at_ms, options.reason, options.by, Clock.from_environment()()
        )
    print(f"{options.device}: {kwh} kWh at {options.at} withdrawn")
    return 0


def _plug_in(options: argparse.Namespace) -> int:
    facility, path = _place(options)
    _known(facility, options.device, "ev")
    plug_in = PlugIn(
        options.device,
        options.id,
        instant_ms("--start", options.start, facility.zone),
        None if options.end is None else instant_ms("--end", options.end, facility.zone),
        None if options.arrival_kwh is None else _kwh("--arrival-kwh", options.arrival_kwh),
    )
    with PoolBook(path) as book:
        new = book.plug_in(facility.id, plug_in, options.evidence, options.by, Clock.from_environment()())
    print(
        f"{options.device}: {options.id} from {options.start} to {options.end or 'now'}"
        + ("" if new else ", on record already")
    )
    return 0


def _place(options: argparse.Namespace) -> tuple[Facility, Any]:
    settings = load(options.config, os.environ)
    return chosen(options.facility, settings), settings.data_directory / ACCOUNTS_NAME


def _known(facility: Facility, device: str, part: str) -> None:
    names = [meter.device for meter in facility.shown_as(part)]
    if device not in names:
        raise ValueError(
            f'--device: expected a meter shown as "{part}" ({", ".join(names) or "there is none"}), got {device!r}'
        )


def _kwh(name: str, text: str) -> Decimal:
    try:
        return decimal_of(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _show(options: argparse.Namespace) -> int:
    settings = load(options.config, os.environ)
    facility = chosen(options.facility, settings)
    span = [instant_ms(name, text, facility.zone) for name, text in (("--from", options.begin), ("--to", options.end))]
    as_of_ms = None if options.as_of is None else instant_ms("--as-of", options.as_of, facility.zone)
    with opened(settings) as accounts:
        made = {
            name: accounts.statement(facility.id, name, span[0], span[1], as_of_ms)
            for name in options.profiles or METHODS
        }
    sums = {name: summed(statement) for name, statement in made.items()}
    if options.json:
        print(json.dumps({name: _plain(found) for name, found in sums.items()}, ensure_ascii=False))
    else:
        print("\n".join(_told(facility, options, made, sums)))
    return 0


Sums = dict[tuple[Counts, str], dict[str, Decimal | None]]


def summed(made: Statement) -> Sums:
    """By source: kWh, kg and every figure of its lines; of a pool's states the first and the last."""
    found: Sums = {}
    of: defaultdict[tuple[Counts, str], list[Line]] = defaultdict(list)
    for line in made.lines:
        if line.source.startswith(OF_POOLS):
            of[line.counts, line.source].append(line)
    for key, lines in of.items():
        sums: dict[str, Decimal | None] = {
            "kwh": _sum([line.quantity for line in lines]),
            "kg": _sum([line.kg for line in lines]),
        }
        in_time = sorted(lines, key=lambda line: line.start_ms)
        for name in sorted({name for line in lines for name, _ in line.figures}):
            values = [dict(line.figures).get(name, Decimal(0)) for line in in_time]
            sums[name] = values[0 if name.startswith("opening") else -1] if name in _STATES else _sum(values)
        found[key] = sums
    return found


def _sum(values: Sequence[Decimal | None]) -> Decimal | None:
    """Of what has a figure; None where nothing has."""
    total: Decimal | None = None
    for value in values:
        if value is not None:
            total = value if total is None else EXACT.add(total, value)
    return total


def _told(
    facility: Facility, options: argparse.Namespace, made: Mapping[str, Statement], sums: Mapping[str, Sums]
) -> Iterator[str]:
    width = max(24, *(len(source) + 2 for of in sums.values() for _, source in of)) if any(sums.values()) else 24
    yield f"{facility.id}, {options.begin} to {options.end}"
    yield f"{'':{width}}" + "".join(f"{name:>18}" for name in made)
    yield f"{'scope 2':{width}}" + "".join(f"{_shown(one.kg(Counts.SCOPE_2), 'kg'):>18}" for one in made.values())
    for counts, source in sorted(
        {key for of in sums.values() for key in of}, key=lambda key: (list(Counts).index(key[0]), key[1])
    ):
        yield f"{source} ({counts})"
        found = [of.get((counts, source), {}) for of in sums.values()]
        for name in dict.fromkeys(name for of in found for name in of):
            unit = name.rpartition("_")[2]
            label = name.rpartition("_")[0] or {"kwh": "energy", "kg": "emissions"}[name]
            shown = ["-" if name not in of else _shown(of[name], "kWh" if unit == "kwh" else unit) for of in found]
            yield _row(label.replace("_", " "), width, shown)
        for label in _RATIOS:
            ratios = [_g_per_kwh(of, label) for of in found]
            if any(ratio is not None for ratio in ratios):
                yield _row(f"{label} per kWh", width, [_shown(ratio, "g") for ratio in ratios])
    if not any(sums.values()):
        yield "no line of PV, storage, charging or export: expected a meter with show = pv, storage or ev"


def _row(label: str, width: int, shown: Sequence[str]) -> str:
    return f"  {label:{width - 2}}" + "".join(f"{text:>18}" for text in shown)


def _g_per_kwh(of: Mapping[str, Decimal | None], label: str) -> Decimal | None:
    """Of the energy that has a figure."""
    kg, kwh, uncovered_kwh = (of.get(f"{label}_{unit}") or Decimal(0) for unit in ("kg", "kwh", "uncovered_kwh"))
    if kwh <= uncovered_kwh:
        return None
    return kg * 1000 / (kwh - uncovered_kwh)


def _shown(value: Decimal | None, unit: str) -> str:
    return "no figure" if value is None else f"{value.quantize(_GRAM, ROUND_HALF_EVEN):f} {unit}"


def _plain(found: Sums) -> list[dict[str, Any]]:
    return [
        {
            "counts": counts,
            "source": source,
            **{name: None if value is None else format(value, "f") for name, value in sums.items()},
        }
        for (counts, source), sums in sorted(found.items())
    ]
