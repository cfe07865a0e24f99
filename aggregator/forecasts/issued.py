"""Forecasts as they were issued, in a file of their own and each vintage for good. Not how they are made (see `day_ahead`)."""

import json
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any, Final, Self

FORECASTS_NAME: Final = "forecasts.sqlite"  # in the data directory; accounts have no key to it
LOCK_TIMEOUT_S: Final = 20.0


class ForecastsUnusable(Exception):
    """The file cannot be opened, read or written; nothing of the call was kept."""


@dataclass(frozen=True, slots=True)
class Hour:
    """[start_ms, end_ms) of a forecast day. None: too little is known. kg CO2e are of the average signal; the marginal one is for dispatch alone."""

    start_ms: int
    end_ms: int
    kwh: float | None
    low_kwh: float | None
    high_kwh: float | None
    naive_kwh: float | None
    kg: float | None
    low_kg: float | None
    high_kg: float | None
    kg_per_kwh: float | None
    marginal_kg_per_kwh: float | None


@dataclass(frozen=True, slots=True)
class Issued:
    """A facility's (device "") or a meter's import of one local day, said at `issued_at_ms` from what was known `lead_days` - 1 midnights before it.

    `low` and `high` bound the band of 80 %. `intensity` and `marginal` say where the grid's hours come from, with the provider's vintage.
    """

    facility: str
    device: str
    day: date
    lead_days: int
    issued_at_ms: int
    method: str
    hours: tuple[Hour, ...]
    day_kwh: float | None
    day_low_kwh: float | None
    day_high_kwh: float | None
    day_kg: float | None
    day_low_kg: float | None
    day_high_kg: float | None
    intensity: str = ""
    marginal: str = ""

    def body(self) -> str:
        """What is said, without when: the same data say the same."""
        return json.dumps(self.as_json() | {"issued_at_ms": 0}, sort_keys=True, ensure_ascii=False)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"day": self.day.isoformat(), "hours": [asdict(hour) for hour in self.hours]}


def _issued(issued_at_ms: int, body: str) -> Issued:
    said = json.loads(body)
    said |= {
        "day": date.fromisoformat(said["day"]),
        "hours": tuple(Hour(**hour) for hour in said["hours"]),
        "issued_at_ms": issued_at_ms,
    }
    return Issued(**said)


class IssuedForecasts:
    """One file. Any thread may call. `path` may be ":memory:"."""

    def __init__(self, path: Path | str) -> None:
        """Raises ForecastsUnusable."""
        self._lock = threading.Lock()
        try:
            if isinstance(path, Path):
                path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.executescript(
                resources.files("aggregator.forecasts").joinpath("issued.sql").read_text(encoding="utf-8")
            )
        except (OSError, sqlite3.Error) as error:
            raise ForecastsUnusable(f"{path}: expected a file of forecasts, got {error}") from error

    def close(self) -> None:
        """Idempotent."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, issued: Issued) -> bool:
        """Puts a forecast on record, unless the last one for the day says the same. Raises ForecastsUnusable."""
        body = issued.body()
        where = (issued.facility, issued.device, issued.day.isoformat(), issued.lead_days)
        last = self._rows(
            "SELECT body FROM issued_forecast WHERE facility = ? AND device = ? AND day = ? AND lead_days = ? ORDER BY no DESC LIMIT 1",
            where,
        )
        if last and last[0][0] == body:
            return False
        self._rows(
            "INSERT INTO issued_forecast (facility, device, day, lead_days, issued_at_ms, method, body) VALUES (?,?,?,?,?,?,?)",
            (*where, issued.issued_at_ms, issued.method, body),
        )
        return True

    def latest(self, facility: str, device: str, first: date, last: date) -> list[Issued]:
        """The last vintage of each day and lead from `first` to `last`, ordered by both. Raises ForecastsUnusable."""
        found = self._rows(
            "SELECT issued_at_ms, body FROM issued_forecast WHERE no IN (SELECT max(no) FROM issued_forecast"
            " WHERE facility = ? AND device = ? AND day BETWEEN ? AND ? GROUP BY day, lead_days) ORDER BY day, lead_days",
            (facility, device, first.isoformat(), last.isoformat()),
        )
        return [_issued(*row) for row in found]

    def first_said(self, facility: str, device: str, first: date, last: date) -> list[Issued]:
        """The first vintage of each day and lead: what was said before anything came late. Raises ForecastsUnusable."""
        found = self._rows(
            "SELECT issued_at_ms, body FROM issued_forecast WHERE no IN (SELECT min(no) FROM issued_forecast"
            " WHERE facility = ? AND device = ? AND day BETWEEN ? AND ? GROUP BY day, lead_days) ORDER BY day, lead_days",
            (facility, device, first.isoformat(), last.isoformat()),
        )
        return [_issued(*row) for row in found]

    def _rows(self, statement: str, parameters: Sequence[Any]) -> list[Any]:
        with self._lock:
            try:
                return self._db.execute(statement, parameters).fetchall()
            except sqlite3.Error as error:
                raise ForecastsUnusable(f"forecasts: expected an answer, SQLite says {error}") from error
