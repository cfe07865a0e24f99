"""What a reader of the document would stumble over in a factor pack: slips of unit and digit, copied rows, swapped years, no source.

Not the shape of the file (see `packfile`). Each check stands for an error that was found in published factor tables.
"""

import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from typing import Final, NamedTuple

from aggregator.emissions.entry import SIGNALS, Entry
from aggregator.emissions.packfile import FactorPack

MARKS: Final = ("A", "B")
_CARBON_PER_CO2: Final = Decimal(12) / 44
_SLIPS: Final = (
    (Decimal(1000), "1,000 times too small, as if kJ stood for MJ or t for kg"),
    (Decimal("0.001"), "1,000 times too large, as if MJ stood for kJ or kg for t"),
    (1 / _CARBON_PER_CO2, "carbon in place of CO2 (12/44)"),
    (_CARBON_PER_CO2, "CO2 in place of carbon (44/12)"),
)


class Range(NamedTuple):
    """What is plausible, in its unit; both ends are."""

    unit: str
    low: Decimal
    high: Decimal


@cache
def _ranges() -> dict[str, Range]:
    text = resources.files("aggregator.emissions").joinpath("packs/plausible.toml").read_text(encoding="utf-8")
    return {
        pattern: Range(unit, Decimal(low), Decimal(high)) for pattern, (unit, low, high) in tomllib.loads(text).items()
    }


def plausible_range(*names: str) -> Range | None:
    """The narrowest row of packs/plausible.toml that names one of them."""
    fitting = [pattern for pattern in _ranges() if any(fnmatchcase(name, pattern) for name in names)]
    return _ranges()[max(fitting, key=lambda pattern: len(pattern.replace("*", "")))] if fitting else None


def plausible(entry: Entry) -> Range | None:
    """The range of a factor: the narrowest row of packs/plausible.toml that names it, else the entry's own."""
    found = plausible_range(f"{entry.id} {entry.gas}", entry.id)
    if found is not None:
        return found
    if entry.low is not None and entry.high is not None:
        return Range(entry.unit, entry.low, entry.high)
    return None


def lint(pack: FactorPack) -> list[str]:
    """Every fault of a pack, in words: what, expected, seen."""
    faults = [fault for entry in pack.entries for fault in _of_one(entry)]
    faults += _doubles(pack.entries)
    faults += _copied_years(pack.entries)
    faults += _copied_fuels(pack.entries)
    faults += _digits(pack.entries)
    faults += _unreviewed(pack)
    return faults


def _of_one(entry: Entry) -> Iterator[str]:
    name = str(entry.key)
    bounds = plausible(entry)
    if bounds is None:
        yield f"{name}: expected a plausible range (columns low and high), there is none for this id"
    elif entry.unit != bounds.unit:
        yield f"{name}: expected the unit {bounds.unit}, got {entry.unit}"
    elif not bounds.low <= entry.value <= bounds.high:
        slip = next((said for by, said in _SLIPS if bounds.low <= entry.value * by <= bounds.high), "")
        yield f"{name}: expected {bounds.low} to {bounds.high} {bounds.unit}, got {entry.value}" + (
            f"; it looks {slip}" if slip.startswith("1,000") else f"; it looks like {slip}" if slip else ""
        )
    if entry.kind == "electricity" and (entry.gas != "CO2" or (entry.data_year and entry.variant)):
        seen = f"gas {entry.gas!r}" if entry.gas != "CO2" else f"variant {entry.variant!r}"
        yield f"{name}: expected gas CO2 and no variant for a year's electricity factor, got {seen}"
    if entry.signal not in SIGNALS:
        yield f"{name}: expected the signal to be one of {', '.join(SIGNALS)}, got {entry.signal!r}"
    if not entry.source.title or not entry.source.number or not entry.table_ref:
        yield f"{name}: expected a source with title and number, and the table in it; one of them is empty"
    if entry.data_year and entry.source.published_on.year <= entry.data_year:
        yield f"{name}: expected a document from after its data year, {entry.source.id} is of {entry.source.published_on}"
    if entry.facility and not entry.evidence:
        yield f"{name}: expected evidence for a value of a facility's own, there is none"
    if entry.facility and entry.data_year:
        yield f"{name}: expected valid_from and valid_to for a value of a facility's own, got the data year {entry.data_year}"
    if not entry.facility and entry.mark not in MARKS and entry.status == "approved":
        yield f"{name}: expected mark A (two public sources agree) or B (one), got {entry.mark!r}; without it only a draft"
    if entry.valid_from_ms is not None and entry.valid_to_ms is not None and entry.valid_from_ms >= entry.valid_to_ms:
        yield f"{name}: expected valid_to after valid_from"


def _doubles(entries: Sequence[Entry]) -> Iterator[str]:
    for key, n in Counter(entry.key for entry in entries).items():
        if n > 1:
            yield f"{key}: expected once, stands {n} times"


def _copied_years(entries: Sequence[Entry]) -> Iterator[str]:
    series: defaultdict[tuple[str, ...], list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.data_year:
            series[entry.id, entry.gas, entry.region, entry.variant].append(entry)
    for (identity, _, region, _), column in series.items():
        for value, n in Counter(entry.value for entry in column).items():
            if n > 1:
                yield f"{identity} {region}: expected each year its own value, {value} stands for {n} years, which looks copied"


def _copied_fuels(entries: Sequence[Entry]) -> Iterator[str]:
    """Two fuels may share one parameter (gasoline and kerosene do); that they share heat and carbon is a copied block."""
    of_fuel: defaultdict[str, dict[str, Decimal]] = defaultdict(dict)
    for entry in entries:
        if entry.kind in ("ncv", "carbon_content") and not entry.facility:
            of_fuel[entry.id.rsplit(".", 1)[0]][entry.kind] = entry.value
    seen: dict[tuple[Decimal, Decimal], str] = {}
    for fuel, has in of_fuel.items():
        if len(has) == 2:
            pair = (has["ncv"], has["carbon_content"])
            if pair in seen:
                yield f"{fuel}: expected values of its own, heat {pair[0]} and carbon {pair[1]} are those of {seen[pair]}"
            seen.setdefault(pair, fuel)


def _digits(entries: Sequence[Entry]) -> Iterator[str]:
    """An annual table has one number of decimals; one more is a page number that was glued on."""
    tables: defaultdict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.data_year:
            tables[entry.source.id, entry.table_ref].append(entry)
    for column in tables.values():
        places = Counter(_decimals(entry) for entry in column)
        usual, n = places.most_common(1)[0]
        if n * 2 <= len(column):
            continue
        for entry in column:
            if _decimals(entry) != usual:
                yield f"{entry.key}: expected {usual} decimals like the rest of its table, got {entry.value}"


def _decimals(entry: Entry) -> int:
    exponent = entry.value.as_tuple().exponent
    assert isinstance(exponent, int)
    return -exponent


def _unreviewed(pack: FactorPack) -> Iterator[str]:
    for table, digest in pack.tables.items():
        reviewed = pack.reviewed.get(table)
        if reviewed is None:
            yield f'table {table!r}: expected its hash under [reviewed] once it was read against the document: "{table}" = "{digest}"'
        elif reviewed != digest:
            yield f"table {table!r}: expected {digest} under [reviewed], got {reviewed}: its rows have changed since they were read"
