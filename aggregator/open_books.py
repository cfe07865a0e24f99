"""Opens the books with the factors that are in force: those of the program, and those approved in the data directory's registry.

Not the registry (see `emissions.registry`) and not the books (see `books`). It is read at start; an approval counts from the next start on.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from aggregator.books import Books
from aggregator.emissions.intensity import GridIntensities
from aggregator.emissions.recorded import electricity_pack, own_factors
from aggregator.emissions.registry import Registry, RegistryRefused
from aggregator.ledger import Ledger, LedgerUnusable
from aggregator.settings import Settings

REGISTRY_NAME: Final = "factors.sqlite"


def open_books(settings: Settings, ledger: Ledger, clock: Callable[[], int]) -> Books:
    """The books of the settings' facilities. A facility's approved own factors go before those of the settings. Raises LedgerUnusable."""
    path = settings.data_directory / REGISTRY_NAME
    try:
        with Registry(path if path.exists() else ":memory:") as registry:
            entries = registry.entries()
        facilities = [
            replace(facility, overrides=(*own_factors(entries, facility.id), *facility.overrides))
            for facility in settings.facilities
        ]
        hours = GridIntensities(path) if path.exists() and any(facility.grid_zone for facility in facilities) else None
        return Books(ledger, facilities, clock, electricity_pack(entries), entries, None if hours is None else hours.at)
    except (RegistryRefused, sqlite3.Error, ValueError) as error:
        raise LedgerUnusable(f"{path}: {error}") from error
