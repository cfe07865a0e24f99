"""The registry on disk: versions of factors that are only ever added, and who approved or withdrew each. Not which one applies (see `parameter`).

Two times: valid when (`valid_from_ms`, `data_year`) and known when. What comes with the program is known from its publication;
what is imported is known from the moment at which a second person approves it.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any, Final, NamedTuple

from aggregator.emissions.entry import Entry, Key, SourceDoc, Status
from aggregator.emissions.lint import lint
from aggregator.emissions.packfile import FactorPack, shipped_packs
from aggregator.emissions.second_person import same_person

PROGRAM: Final = "wattline"  # who entered and approved what comes with the program
LOCK_TIMEOUT_S: Final = 20.0
LAYOUT: Final = 1  # of the file's tables
_COLUMNS: Final = (
    "no", "id", "gas", "region", "facility", "variant", "data_year", "version", "kind", "value", "unit", "signal", "boundary", "valid_from_ms",
    "valid_to_ms", "known_from_ms", "source_doc", "table_ref", "table_sha256", "low", "high", "u95_percent", "mark", "supersedes", "reason",
    "evidence", "entered_by",
)  # fmt: skip


class RegistryRefused(Exception):
    """Nothing was changed; `faults` says why, one line each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class Aim(NamedTuple):
    """Which of the versions of an id are meant; None: whichever."""

    region: str | None = None
    data_year: int | None = None
    gas: str | None = None
    variant: str | None = None

    def hits(self, entry: Entry) -> bool:
        """Whether a version is meant."""
        has = (entry.region, entry.data_year, entry.gas, entry.variant)
        return all(wanted in (None, one) for wanted, one in zip(self, has, strict=True))


EVERY: Final = Aim()


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did: entries that stand already, new ones, and corrections of recorded ones."""

    unchanged: int
    new: int
    corrected: int


class Registry:
    """One registry file; it begins with the packs that come with the program."""

    def __init__(self, path: Path | str, packs: Sequence[FactorPack] | None = None) -> None:
        """`path` ":memory:" keeps nothing. `packs`: what the program ships, where not its own. Raises RegistryRefused where a shipped pack differs from the record, sqlite3.Error, OSError."""
        if isinstance(path, Path):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            self._db.execute("PRAGMA foreign_keys = ON")
            (layout,) = self._db.execute("PRAGMA user_version").fetchone()
            if layout > LAYOUT:
                raise RegistryRefused(
                    [f"{path}: expected a registry of layout {LAYOUT} or before, it is of {layout}, a later program's"]
                )
            if layout != LAYOUT:  # a file that nobody changes keeps its time
                self._db.execute(f"PRAGMA user_version = {LAYOUT}")
            self._db.executescript(
                resources.files("aggregator.emissions").joinpath("registry.sql").read_text(encoding="utf-8")
            )
            self._begin(shipped_packs() if packs is None else packs)
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Idempotent."""
        self._db.close()

    def __enter__(self) -> "Registry":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, packs: Sequence[FactorPack]) -> None:
        with _transaction(self._db):
            for pack in packs:
                if faults := lint(pack):
                    raise RegistryRefused([f"{pack.name}: {fault}" for fault in faults])
                self._ship(pack)

    def _ship(self, pack: FactorPack) -> None:
        kept: defaultdict[Key, list[Entry]] = defaultdict(list)
        for entry in self.entries():
            kept[entry.key].append(entry)
        for entry in pack.entries:
            versions = kept[entry.key]
            # A mark says how many sources agree and is no other value: what is on record keeps its own.
            if any(replace(version, mark=entry.mark).content == entry.content for version in versions):
                continue
            if versions and (not pack.reason or entry.known_from_ms <= versions[-1].known_from_ms):
                said = f"{entry.key}: the program ships {entry.value}, on record is {versions[-1].value}"
                raise RegistryRefused([f"{said}: a correction is a pack of its own with a reason and a later document"])
            before = versions[-1] if versions else None
            version = 1 if before is None else before.version + 1
            no = self._insert(
                replace(entry, version=version, reason=pack.reason, entered_by=PROGRAM), before, entry.known_from_ms
            )
            self._stand(no, entry.status, PROGRAM, pack.reason or "comes with the program", entry.known_from_ms)

    # -- reading --------------------------------------------------------------------------------------------------

    def entries(self, as_of_ms: int | None = None) -> list[Entry]:
        """Every version as it stands, or stood at `as_of_ms` (what was not on record then is absent); ordered by id, place, year, version."""
        rows = self._db.execute(
            f"SELECT {', '.join(_COLUMNS)} FROM factor ORDER BY facility, id, gas, region, variant, data_year, begins_ms, version"  # noqa: S608
        ).fetchall()
        documents = {
            row[0]: SourceDoc(row[0], row[1], row[2], row[3], date.fromisoformat(row[4]), *row[5:])
            for row in self._db.execute("SELECT * FROM source_doc")
        }
        standing: dict[int, tuple[Status, str, str, int]] = {}
        approved: dict[int, int] = {}
        for no, status, by, reason, at_ms in self._db.execute(
            "SELECT factor, status, by, reason, at_ms FROM standing ORDER BY factor, seq"
        ):
            if as_of_ms is None or at_ms <= as_of_ms:
                standing[no] = (status, by, reason, at_ms)
            if status == "approved":
                approved.setdefault(no, at_ms)
        return [
            _entry(dict(zip(_COLUMNS, row, strict=True)), documents, standing.get(row[0]), approved.get(row[0]))
            for row in rows
            if as_of_ms is None or row[0] in standing
        ]

    def _latest(self) -> dict[Key, Entry]:
        return {entry.key: entry for entry in self.entries()}

    # -- adding ---------------------------------------------------------------------------------------------------

    def add(self, pack: FactorPack, by: str, now_ms: int) -> Imported:
        """Puts a pack on record as drafts: all of it, or nothing. Raises RegistryRefused."""
        faults = lint(pack)
        if not by.strip():
            faults.append("expected the name of who imports it, got none")
        everything = self.entries()
        latest = {entry.key: entry for entry in everything}
        fresh = [entry for entry in pack.entries if entry.key not in latest]
        changed = [e for e in pack.entries if e.key in latest and latest[e.key].content != e.content]
        faults += _against_the_record(pack, fresh + changed, latest)
        faults += self._other_documents(pack)
        if faults:
            raise RegistryRefused(faults)
        with _transaction(self._db):
            for entry in fresh + changed:
                before = latest.get(entry.key)
                version = 1 if before is None else before.version + 1
                kept = replace(entry, version=version, reason=pack.reason, entered_by=by, known_from_ms=now_ms)
                no = self._insert(kept, before, now_ms)
                self._stand(no, "draft", by, pack.reason, now_ms)
        return Imported(len(pack.entries) - len(fresh) - len(changed), len(fresh), len(changed))

    def _other_documents(self, pack: FactorPack) -> list[str]:
        kept = {row[0]: row[1:] for row in self._db.execute("SELECT * FROM source_doc")}
        documents = {entry.source.id: entry.source for entry in pack.entries}
        return [
            f"source {name}: on record it is {' / '.join(filter(None, kept[name]))}, the file says otherwise: give it an id of its own"
            for name, doc in documents.items()
            if name in kept and kept[name] != doc.row[1:]
        ]

    def decide(
        self,
        pattern: str,
        status: Status,
        by: str,
        reason: str,
        now_ms: int,
        aim: Aim = EVERY,
        only: Key | None = None,
    ) -> list[Entry]:
        """Approves drafts, or withdraws the newest version that is not withdrawn: then the one before it is in force again.

        Of the ids that are `pattern` (or begin with it, where it ends in *), as far as `aim` goes; `only`: of this key alone. Whoever
        entered a version cannot approve it, and a withdrawal of an id without * is of one factor. Raises RegistryRefused.
        """
        named = [entry for entry in self.entries() if fits(entry, pattern, aim) and only in (None, entry.key)]
        if status == "withdrawn":
            wanted = list({entry.key: entry for entry in named if entry.status != "withdrawn"}.values())
        else:
            wanted = [entry for entry in named if entry.status == "draft"]
        faults = [] if wanted else [f"{pattern}: expected a version that can be {status}, there is none"]
        if not by.strip():
            faults.append("expected the name of who decides, got none")
        if status == "withdrawn":
            if not reason.strip():
                faults.append("expected the reason of the withdrawal, got none")
            if len(wanted) > 1 and not pattern.endswith("*"):
                faults.append(_several(pattern, wanted))
        if status == "approved":
            faults += [
                f"{entry.key} version {entry.version}: expected a second person, {entry.entered_by} entered it"
                for entry in wanted
                if same_person(entry.entered_by, by)
            ]
        if faults:
            raise RegistryRefused(faults)
        with _transaction(self._db):
            for entry in wanted:
                self._stand(self._number(entry), status, by, reason, now_ms)
        return [replace(entry, status=status) for entry in wanted]

    def _number(self, entry: Entry) -> int:
        found = self._db.execute(
            "SELECT no FROM factor WHERE id = ? AND gas = ? AND region = ? AND facility = ? AND variant = ? AND data_year = ?"
            " AND begins_ms = ? AND version = ?",
            (*entry.key, entry.version),
        ).fetchone()
        return int(found[0])

    def _insert(self, entry: Entry, before: Entry | None, now_ms: int) -> int:
        self._db.execute("INSERT OR IGNORE INTO source_doc VALUES (?,?,?,?,?,?,?,?,?)", entry.source.row)
        row: tuple[Any, ...] = (
            *entry.key, entry.version, entry.kind, str(entry.value), entry.unit, entry.signal, entry.boundary, entry.valid_from_ms,
            entry.valid_to_ms, entry.known_from_ms, entry.source.id, entry.table_ref, entry.table_sha256, _text(entry.low), _text(entry.high),
            _text(entry.u95_percent), entry.mark, None if before is None else self._number(before), entry.reason, entry.evidence,
            entry.entered_by, now_ms,
        )  # fmt: skip
        cursor = self._db.execute(
            "INSERT INTO factor (id, gas, region, facility, variant, data_year, begins_ms, version, kind, value, unit, signal, boundary,"
            " valid_from_ms, valid_to_ms, known_from_ms, source_doc, table_ref, table_sha256, low, high, u95_percent, mark, supersedes, reason,"
            " evidence, entered_by, recorded_at_ms) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            row,
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def _stand(self, no: int, status: Status, by: str, reason: str, at_ms: int) -> None:
        self._db.execute(
            "INSERT INTO standing SELECT ?, coalesce(max(seq), 0) + 1, ?, ?, ?, ? FROM standing WHERE factor = ?",
            (no, status, by, reason, at_ms, no),
        )


def fits(entry: Entry, pattern: str, aim: Aim) -> bool:
    """Whether an id is `pattern`, or begins with it where it ends in *, and the version is meant."""
    named = entry.id.startswith(pattern[:-1]) if pattern.endswith("*") else entry.id == pattern
    return named and aim.hits(entry)


def _several(pattern: str, wanted: Sequence[Entry]) -> str:
    """What to name so that one factor is meant."""
    differ = {
        name: found
        for name in ("region", "data_year", "gas", "variant", "facility", "valid_from_ms")
        if len(found := sorted({str(getattr(entry, name)) for entry in wanted})) > 1
    }
    shown = ", ".join(f"{name} {', '.join(found[:3])}{' ...' * (len(found) > 3)}" for name, found in differ.items())
    return f"{pattern}: expected one factor to withdraw, got {len(wanted)} ({shown}): say which, or end the id in * for all"


def _against_the_record(pack: FactorPack, entries: Iterable[Entry], latest: dict[Key, Entry]) -> list[str]:
    """Changes without a reason, and values that the record has for another year."""
    faults: list[str] = []
    if pack.reason:
        return faults
    for entry in entries:
        kept = latest.get(entry.key)
        if kept is not None:
            digits = " (the same digits in another order)" if _swapped(kept, entry) else ""
            faults.append(
                f"{entry.key}: on record {kept.value} (version {kept.version}), the file says {entry.value}{digits}:"
                " a correction needs `reason` at the head of the file"
            )
        faults += [
            f"{entry.key}: {entry.value} is on record for {other.data_year}: are the years swapped?"
            for other in latest.values()
            if entry.data_year
            and other.key[:5] == entry.key[:5]
            and other.data_year != entry.data_year
            and other.value == entry.value
        ]
    return faults


def _swapped(one: Entry, two: Entry) -> bool:
    return one.value != two.value and sorted(str(one.value)) == sorted(str(two.value))


def _entry(
    row: dict[str, Any],
    documents: dict[str, SourceDoc],
    standing: tuple[Status, str, str, int] | None,
    approved_ms: int | None,
) -> Entry:
    status, by, note, _ = standing or ("draft", "", "", 0)
    return Entry(
        id=row["id"], kind=row["kind"], value=Decimal(row["value"]), unit=row["unit"], source=documents[row["source_doc"]],
        table_ref=row["table_ref"], table_sha256=row["table_sha256"], gas=row["gas"], region=row["region"], facility=row["facility"],
        variant=row["variant"], data_year=row["data_year"], valid_from_ms=row["valid_from_ms"], valid_to_ms=row["valid_to_ms"],
        signal=row["signal"], boundary=row["boundary"], u95_percent=_decimal(row["u95_percent"]), mark=row["mark"], reason=row["reason"],
        evidence=row["evidence"], low=_decimal(row["low"]), high=_decimal(row["high"]), version=row["version"],
        known_from_ms=row["known_from_ms"] if approved_ms is None else approved_ms, status=status, entered_by=row["entered_by"],
        approved_by=by if status == "approved" else "", note=note,
    )  # fmt: skip


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Everything within is kept, or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
