"""Factor packs: reviewed data files with their documents and the hash of every table. Not whether the values make sense (see `lint`).

Two layouts of one thing: an annual table (a row of values per region, one for each data year) and a plain table
(`columns` and `rows`). `[reviewed]` holds the hash of each table as somebody has read it against its document.
"""

import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any, Final

from aggregator.emissions.entry import (
    AVERAGE,
    INTERNATIONAL,
    KINDS,
    STATUSES,
    Entry,
    SourceDoc,
    decimal_of,
    table_sha256,
)

SHIPPED: Final = ("cn_electricity", "cn_fuels", "process_heat", "gwp")
ROWS_MAX: Final = 100_000
TEXT_MAX: Final = 200
_YEAR: Final = re.compile(r"0|199[0-9]|20[0-9]{2}")
BEIJING: Final = timezone(timedelta(hours=8))
_NEEDED: Final = ("id", "value", "unit", "mark")
_COLUMNS: Final = (*_NEEDED, "gas", "region", "facility", "variant", "data_year", "valid_from", "valid_to", "u95_percent",
                   "low", "high", "signal", "boundary", "evidence")  # fmt: skip


class PackFaults(Exception):
    """A pack that cannot be used; `faults` says for each fault where it is, what was expected and what was seen."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class FactorPack:
    """The entries of one file, the reason that it gives for corrections, and for each table its hash as reviewed and as it is.

    `grid_of`: which grid a province draws from, where the file says so.
    """

    name: str
    entries: tuple[Entry, ...]
    reason: str
    reviewed: Mapping[str, str]
    tables: Mapping[str, str]
    grid_of: Mapping[str, str] = field(default_factory=dict)


def shipped_packs() -> list[FactorPack]:
    """The packs that come with the program."""
    return [shipped_pack(name) for name in SHIPPED]


def shipped_pack(name: str) -> FactorPack:
    """One of SHIPPED."""
    text = resources.files("aggregator.emissions").joinpath(f"packs/{name}.toml").read_text(encoding="utf-8")
    return parse(name, tomllib.loads(text))


def read(path: Path) -> FactorPack:
    """A pack file. Raises PackFaults, OSError."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PackFaults([f"{path.name}: expected TOML in UTF-8, {error}"]) from error
    return parse(path.stem, content)


def parse(name: str, content: Mapping[str, Any]) -> FactorPack:
    """A pack from its TOML. Raises PackFaults."""
    faults: list[str] = []
    entries: list[Entry] = []
    try:
        rows = list(_annual(content) if "years" in content else _plain(content, faults))
    except (KeyError, TypeError, AttributeError) as error:
        raise PackFaults([f"{name}: expected {error}, which the file lacks or spells otherwise"]) from error
    if len(rows) > ROWS_MAX:
        raise PackFaults([f"{name}: expected at most {ROWS_MAX} rows, got {len(rows)}"])
    for where, row, source in rows:
        try:
            entries.append(_entry(row, source))
        except (KeyError, ValueError, TypeError) as error:
            faults.append(f"{where}: {_said(error)}")
    if faults:
        raise PackFaults([f"{name}: {fault}" for fault in faults])
    hashes = _hashes(entries)
    hashed = tuple(replace(entry, table_sha256=hashes[_table(entry)]) for entry in entries)
    reason, reviewed, grids = content.get("reason", ""), content.get("reviewed", {}), content.get("grids", {})
    if not isinstance(reason, str):
        raise PackFaults([f"{name}: reason: expected text, got {reason!r}"])
    if not isinstance(reviewed, dict) or not all(isinstance(digest, str) for digest in reviewed.values()):
        raise PackFaults([f"{name}: reviewed: expected the hash of each table as text, got {reviewed!r}"])
    if not isinstance(grids, dict) or not all(_are_texts(members) for members in grids.values()):
        raise PackFaults([f"{name}: grids: expected a list of provinces for each grid, got {grids!r}"])
    grid_of = {province: grid for grid, members in grids.items() for province in members}
    return FactorPack(name, hashed, reason, reviewed, hashes, grid_of)


def _are_texts(given: object) -> bool:
    return isinstance(given, list) and all(isinstance(one, str) for one in given)


def _said(error: Exception) -> str:
    return f"expected {error}, which the row lacks" if isinstance(error, KeyError) else str(error)


def _table(entry: Entry) -> str:
    return entry.table_ref if entry.data_year else f"{entry.source.id}: {entry.table_ref}"


def _hashes(entries: list[Entry]) -> dict[str, str]:
    tables: defaultdict[str, list[tuple[str, ...]]] = defaultdict(list)
    for entry in entries:
        tables[_table(entry)].append((*map(str, entry.key), str(entry.value), entry.unit, entry.source.id))
    return {table: table_sha256(rows) for table, rows in tables.items()}


def _annual(content: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], SourceDoc]]:
    documents = {row["data_year"]: _document(row["id"], row) for row in content["source"]}
    for factor in content["factor"]:
        agreed = {(region, year) for region, years in factor.get("agreed", {}).items() for year in years}
        for region, values in factor["values"].items():
            if len(values) != len(content["years"]):
                raise PackFaults(
                    [
                        f"{factor['id']} {region}: expected {len(content['years'])} values, one per year, got {len(values)}"
                    ]
                )
            for year, value in zip(content["years"], values, strict=True):
                if year not in documents:
                    raise PackFaults(
                        [f"{factor['id']} {region} {year}: expected a [[source]] for {year}, there is none"]
                    )
                row = {
                    "id": factor["id"], "kind": "electricity", "region": region, "data_year": year, "value": value, "gas": "CO2",
                    "unit": content["unit"], "signal": factor["signal"], "table": factor["table"], "mark": "A" if (region, year) in agreed else "B",
                    "status": factor.get("status", "approved"),
                }  # fmt: skip
                yield f"{factor['id']} {region} {year}", row, documents[year]


def _plain(content: Mapping[str, Any], faults: list[str]) -> Iterator[tuple[str, dict[str, Any], SourceDoc]]:
    documents = {name: _document(name, row) for name, row in content.get("source", {}).items()}
    for table in content["table"]:
        where = f"table {table.get('table', '')!r}"
        source = documents.get(table.get("source", ""))
        if source is None:
            faults.append(f"{where}: expected source to name one of {sorted(documents)}, got {table.get('source')!r}")
            continue
        columns = table["columns"]
        faults += [
            f"{where}: expected columns of {', '.join(_COLUMNS)}, got {strange!r}"
            for strange in sorted(set(columns) - set(_COLUMNS))
        ]
        faults += [
            f"{where}: expected {name!r} once, it stands {n} times" for name, n in Counter(columns).items() if n > 1
        ]
        shared = {
            key: table[key] for key in ("kind", "table", "region", "status", "boundary", "signal") if key in table
        }
        shared.setdefault("region", content.get("region", INTERNATIONAL))
        for number, values in enumerate(table["rows"], start=1):
            if len(values) != len(columns):
                faults.append(f"{where} row {number}: expected {len(columns)} values, got {len(values)}")
                continue
            row = shared | dict(zip(columns, values, strict=True))
            yield f"{where} row {number} ({row.get('id', 'no id')})", row, source


def _document(name: object, row: Mapping[str, Any]) -> SourceDoc:
    if not isinstance(name, str):
        raise PackFaults([f"source: expected its id to be text, got {name!r}"])
    said = {
        key: row.get(key, "") for key in ("title", "issuer", "number", "url", "sha256", "transcribed_by", "checked_by")
    }
    for key, text in said.items():
        if not isinstance(text, str):
            raise PackFaults([f"source {name}: expected {key} to be text, got {text!r}"])
    if said["sha256"] and not re.fullmatch("[0-9a-f]{64}", said["sha256"]):
        raise PackFaults([f"source {name}: expected sha256 to be 64 hexadecimal digits, got {said['sha256']!r}"])
    return SourceDoc(id=name, published_on=_published(row), **said)


def _published(row: Mapping[str, Any]) -> date:
    """A day; of a year alone its last day, so that nothing counts as known too early."""
    given = row.get("published_on", row.get("published"))
    if isinstance(given, date):
        return given
    if isinstance(given, str) and len(given) == 4 and given.isdigit():
        return date(int(given), 12, 31)
    raise PackFaults(
        [f"source {row.get('number', '')!r}: expected published_on as a day or published as a year, got {given!r}"]
    )


def _entry(row: Mapping[str, Any], source: SourceDoc) -> Entry:
    value = row["value"]
    if not isinstance(value, str):
        raise ValueError(f'value: expected text such as "0.5306", so that no digit is lost, got {value!r}')
    kind, status = row["kind"], row.get("status", "approved")
    if kind not in KINDS:
        raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    if status not in STATUSES[:2]:
        raise ValueError(f"status: expected draft or approved, got {status!r}")
    number = _number(row, "value")
    assert number is not None
    return Entry(
        id=_text(row, "id"), kind=kind, value=number, unit=_text(row, "unit"), source=source, table_ref=_text(row, "table"), table_sha256="",
        gas=_text(row, "gas", "") or ("CO2" if kind == "electricity" else ""), region=_text(row, "region", INTERNATIONAL), facility=_text(row, "facility", ""),
        variant=_text(row, "variant", ""), data_year=_year(row), valid_from_ms=_instant(row, "valid_from"), valid_to_ms=_instant(row, "valid_to"),
        signal=_text(row, "signal", AVERAGE), boundary=_text(row, "boundary", "direct"), u95_percent=_number(row, "u95_percent"),
        mark=_text(row, "mark"), evidence=_text(row, "evidence", ""), low=_number(row, "low"), high=_number(row, "high"), status=status,
        known_from_ms=round(datetime.combine(source.published_on, time(), BEIJING).timestamp() * 1000),
    )  # fmt: skip


def _text(row: Mapping[str, Any], name: str, otherwise: str | None = None) -> str:
    given = row[name] if otherwise is None else row.get(name, otherwise)
    if not isinstance(given, str) or len(given) > TEXT_MAX:
        raise ValueError(f"{name}: expected text of at most {TEXT_MAX} characters, got {str(given)[:TEXT_MAX]!r}")
    return given


def _number(row: Mapping[str, Any], name: str) -> Decimal | None:
    """A decimal as text; empty, where the column may be, is None."""
    given = row.get(name, "")
    if given == "" and name != "value":
        return None
    try:
        return decimal_of(str(given))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _year(row: Mapping[str, Any]) -> int:
    given = str(row.get("data_year", "") or "0")
    if not _YEAR.fullmatch(given):
        raise ValueError(f"data_year: expected a year from 1990 to 2099, got {given[:TEXT_MAX]!r}")
    return int(given)


def _instant(row: Mapping[str, Any], name: str) -> int | None:
    """A day begins at 00:00 UTC; a time has its offset."""
    given = row.get(name) or None
    if given is None:
        return None
    try:
        instant = given if isinstance(given, datetime) else datetime.fromisoformat(str(given))
    except ValueError as error:
        raise ValueError(f"{name}: expected a day or a time with its offset, got {given!r}") from error
    return round((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp() * 1000)
