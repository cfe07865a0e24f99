"""What the notice of a reporting year fixes for a regime: whose factor, of which year, and whether exports are deducted. Not the factors.

A regime that needs one (CN-GBT) gives no figure for electricity until a second person has approved the year's notice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Final, Literal
from zoneinfo import ZoneInfo

from aggregator.accounts.period import Period
from aggregator.accounts.record_file import ACCOUNTS_NAME, RecordFile, RecordsRefused
from aggregator.emissions.profiles import LEVELS, Profile, profiles
from aggregator.emissions.resolution import Resolution
from aggregator.emissions.second_person import same_person
from aggregator.intervals.local_time import local_year, start_of_day_ms

YearRule = Literal["latest_at_submission", "data_year"]
YEAR_RULES: Final[tuple[YearRule, ...]] = ("latest_at_submission", "data_year")
_COLUMNS: Final = (
    "no, regime, year, facility, version, place_level, factor_year_rule, submitted_by, restate_on_new_factor, deducts_exports, document,"
    " reason, by, recorded_at_ms"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Notice:
    """`facility` "" for all of them, or the one whose sector part says otherwise. `submitted_by`: the last day of submission; factors that
    became known later do not count unless `restate_on_new_factor`. `deducts_exports`: exported electricity is taken off. `document` names
    the notice, and the sector part where exports are deducted."""

    regime: str
    year: int
    place_level: str
    factor_year_rule: YearRule
    submitted_by: date
    document: str
    restate_on_new_factor: bool = False
    deducts_exports: bool = False
    facility: str = ""
    reason: str = ""
    by: str = ""
    no: int = 0
    version: int = 0
    approved_by: str = ""
    approved_at_ms: int | None = None

    @property
    def rules(self) -> Profile:
        """The regime's profile as the notice fixes it."""
        fixed = profiles()[self.regime].noticed(self.place_level, self.document)
        years = ("same",) if self.factor_year_rule == "data_year" else fixed.years
        return replace(fixed, years=years, restated_by_factors=self.restate_on_new_factor)

    def known_ms(self, as_of_ms: int, zone: ZoneInfo) -> int:
        """When its factors must have been known: by then, and where it is not restated by the last day of submission."""
        if self.restate_on_new_factor:
            return as_of_ms
        return min(as_of_ms, start_of_day_ms(self.submitted_by + timedelta(days=1), zone) - 1)


class Notices:
    """The notices of one file."""

    def __init__(self, path: Path | str) -> None:
        """Raises RecordsUnusable."""
        self._file = RecordFile(path, "notices.sql")

    def close(self) -> None:
        """Idempotent."""
        self._file.close()

    def __enter__(self) -> "Notices":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, notice: Notice, by: str, now_ms: int) -> Notice:
        """Puts a notice on record, to be approved by a second person; another one of its year needs a reason. Raises RecordsRefused, RecordsBusy."""
        wrong = _faults(notice, by)
        with self._file.transaction() as db:
            before = [
                kept
                for kept in self.all()
                if (kept.regime, kept.year, kept.facility) == (notice.regime, notice.year, notice.facility)
            ]
            if before and not notice.reason.strip():
                wrong.append(
                    f"{notice.regime} {notice.year}: on record as {before[-1].document}: a correction needs a reason"
                )
            if wrong:
                raise RecordsRefused(wrong)
            cursor = db.execute(
                f"INSERT INTO notice ({_COLUMNS.removeprefix('no, ')}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",  # noqa: S608 our own column names
                (notice.regime, notice.year, notice.facility, len(before) + 1, notice.place_level, notice.factor_year_rule,
                 notice.submitted_by.isoformat(), notice.restate_on_new_factor, notice.deducts_exports, notice.document, notice.reason, by, now_ms),
            )  # fmt: skip
            assert cursor.lastrowid is not None
        return replace(notice, by=by, no=cursor.lastrowid, version=len(before) + 1)

    def approve(self, number: int, by: str, now_ms: int) -> Notice:
        """Lets a notice count from now on. Raises RecordsRefused, RecordsBusy."""
        with self._file.transaction() as db:
            found = next((kept for kept in self.all() if kept.no == number), None)
            if found is None:
                raise RecordsRefused([f"notice {number}: expected one on record, there is none"])
            if found.approved_at_ms is not None:
                raise RecordsRefused([f"notice {number}: was approved by {found.approved_by} already"])
            if not by.strip() or same_person(by, found.by):
                raise RecordsRefused([f"notice {number}: expected a second person, {found.by} entered it"])
            db.execute("INSERT INTO notice_approval VALUES (?,?,?)", (number, by, now_ms))
        return replace(found, approved_by=by, approved_at_ms=now_ms)

    def all(self) -> list[Notice]:
        """Every notice, ordered by regime, year, facility and version."""
        approvals = {
            row[0]: (row[1], row[2]) for row in self._file.rows("SELECT notice, by, at_ms FROM notice_approval")
        }
        rows = self._file.rows(f"SELECT {_COLUMNS} FROM notice ORDER BY regime, year, facility, version")  # noqa: S608 our own column names
        return [
            Notice(
                regime=row[1], year=row[2], facility=row[3], version=row[4], place_level=row[5], factor_year_rule=row[6],
                submitted_by=date.fromisoformat(row[7]), restate_on_new_factor=bool(row[8]), deducts_exports=bool(row[9]), document=row[10],
                reason=row[11], by=row[12], no=row[0], approved_by=approvals.get(row[0], ("", None))[0],
                approved_at_ms=approvals.get(row[0], ("", None))[1],
            )
            for row in rows
        ]  # fmt: skip

    def in_force(self, regime: str, facility: str, as_of_ms: int) -> dict[int, Notice]:
        """By reporting year the newest notice that was approved then; the facility's own goes before that for all."""
        found: dict[int, Notice] = {}
        for notice in sorted(self.all(), key=lambda one: (one.facility != "", one.version)):
            known = notice.approved_at_ms is not None and notice.approved_at_ms <= as_of_ms
            if notice.regime == regime and notice.facility in ("", facility) and known:
                found[notice.year] = notice
        return found


def _faults(notice: Notice, by: str) -> list[str]:
    name = f"{notice.regime} {notice.year}"
    checks = (
        (notice.regime in profiles() and profiles()[notice.regime].needs_notice, f"{name}: expected a regime that needs a notice, got {notice.regime!r}"),
        (1990 <= notice.year <= 2099, f"{name}: expected a year from 1990 to 2099, got {notice.year}"),
        (notice.place_level in LEVELS, f"{name}: place level: expected one of {', '.join(LEVELS)}, got {notice.place_level!r}"),
        (notice.factor_year_rule in YEAR_RULES, f"{name}: expected one of {', '.join(YEAR_RULES)}, got {notice.factor_year_rule!r}"),
        (bool(notice.document.strip()), f"{name}: expected the document that says so, got none"),
        (notice.submitted_by.year >= notice.year, f"{name}: expected the last day of submission after the year has begun, got {notice.submitted_by}"),
        (bool(by.strip()), "expected the name of who enters it, got none"),
    )  # fmt: skip
    return [said for holds, said in checks if not holds]


def notices_in_force(directory: Path, regime: str, facility: str, as_of_ms: int) -> dict[int, Notice]:
    """`Notices.in_force` of a data directory; none where nothing was ever recorded. Raises RecordsUnusable, RecordsBusy."""
    path = directory / ACCOUNTS_NAME
    if not path.exists():
        return {}
    with Notices(path) as notices:
        return notices.in_force(regime, facility, as_of_ms)


def noticed(
    period: Period,
    found: Mapping[int, Notice],
    resolver: Callable[[Profile, int], Callable[[int], Resolution]],
    factors_ms: int,
) -> Period:
    """The period with each year's electricity factor under its notice; years without one stay as they are.

    `resolver(rules, known_ms)` resolves under a profile as factors were known then.
    """
    zone, otherwise = period.facility.zone, period.resolve
    of_year = {year: resolver(notice.rules, notice.known_ms(factors_ms, zone)) for year, notice in found.items()}

    def resolved(at_ms: int) -> Resolution:
        return of_year.get(local_year(at_ms, zone), otherwise)(at_ms)

    return replace(period, resolve=resolved) if found else period


def told(notices: Sequence[Notice]) -> list[str]:
    """One line each, for people."""
    return [
        f"{one.no}: {one.regime} {one.year}{one.facility and f' of {one.facility}'} version {one.version}: {one.place_level} factor,"
        f" {one.factor_year_rule} (submitted by {one.submitted_by}), {'restated' if one.restate_on_new_factor else 'not restated'} on a new factor,"
        f" exports {'deducted' if one.deducts_exports else 'not deducted'}; {one.document}; "
        + (f"approved by {one.approved_by}" if one.approved_at_ms is not None else f"DRAFT by {one.by}")
        for one in notices
    ]
