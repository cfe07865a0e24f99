"""Opens the books with the factors that are in force, and has them take up what is approved later. Not the registry (see `emissions.registry`).

In force are the factors of the program and those approved in the data directory's registry; a facility's own go before those of the settings.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from aggregator.books import Books
from aggregator.emissions.entry import Entry
from aggregator.emissions.intensity import GridIntensities, HourlyFactor
from aggregator.emissions.recorded import electricity_pack, own_factors
from aggregator.emissions.registry import Registry, RegistryRefused
from aggregator.emissions.resolution import HourlyLookup
from aggregator.facility import Facility
from aggregator.ledger import Ledger, LedgerError, LedgerUnusable
from aggregator.settings import Settings

log = logging.getLogger(__name__)

REGISTRY_NAME: Final = "factors.sqlite"
LOOK_PERIOD_S: Final = 5.0


def open_books(settings: Settings, ledger: Ledger, clock: Callable[[], int]) -> Books:
    """The books of the settings' facilities. Raises LedgerUnusable."""
    path = settings.data_directory / REGISTRY_NAME
    try:
        entries = _entries(path)
        return Books(ledger, _facilities(settings, entries), clock, electricity_pack(entries), entries, hourly_of(path))
    except (RegistryRefused, sqlite3.Error, ValueError) as error:
        raise LedgerUnusable(f"{path}: {error}") from error


class RegistryWatch:
    """Has the books take up what the registry has approved or withdrawn since they were opened."""

    def __init__(self, settings: Settings, books: Books) -> None:
        self._settings = settings
        self._books = books
        self._path = settings.data_directory / REGISTRY_NAME
        self._seen = _stamp(self._path)

    def look(self) -> bool:
        """Whether the registry has changed; then the books go by it. What was booked stays: it takes a restatement to move it."""
        stamp = _stamp(self._path)
        if stamp == self._seen:
            return False
        try:
            entries = _entries(self._path)
            self._books.go_by(_facilities(self._settings, entries), electricity_pack(entries), entries)
        except (RegistryRefused, LedgerError, sqlite3.Error, ValueError) as error:
            log.error("registry not taken up file=%s reason=%s", self._path, error)
        self._seen = stamp
        return True

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(LOOK_PERIOD_S)


def hourly_of(path: Path) -> HourlyLookup:
    """The hourly intensities of a registry file, also of one that is made later."""

    def at(zone: str, signal: str, at_ms: int, as_of_ms: int) -> HourlyFactor | None:
        if not path.exists():
            return None
        with GridIntensities(path) as series:
            return series.at(zone, signal, at_ms, as_of_ms)

    return at


def _entries(path: Path) -> list[Entry]:
    with Registry(path if path.exists() else ":memory:") as registry:
        return registry.entries()


def _facilities(settings: Settings, entries: list[Entry]) -> list[Facility]:
    return [
        replace(facility, overrides=(*own_factors(entries, facility.id), *facility.overrides))
        for facility in settings.facilities
    ]


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes when the file does, journal included."""
    found: list[int] = []
    for name in (path, path.with_name(path.name + "-wal")):
        try:
            stat = name.stat()
            found += [stat.st_mtime_ns, stat.st_size]
        except OSError:
            found += [0, 0]
    return tuple(found)
