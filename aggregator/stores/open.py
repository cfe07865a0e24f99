"""The table of stores: which settings open which implementation. Not the stores."""

from pathlib import Path
from typing import Literal

from aggregator.stores.store import Store


def open_store(
    kind: Literal["duckdb", "influxdb"],
    directory: Path,
    *,
    url: str = "",
    database: str = "wattline",
    dialect: Literal["v1", "v2"] = "v2",
    org: str = "",
    user: str = "",
    token: str = "",
) -> Store:
    """The store of this kind; only its own libraries are loaded. Raises StoreUnavailable, StoreRefused."""
    if kind == "duckdb":
        from aggregator.stores.duckdb_store import DuckDBStore

        return DuckDBStore(directory / "readings.duckdb")
    from aggregator.stores.influx_http import Server
    from aggregator.stores.influx_store import InfluxStore

    return InfluxStore(Server(url, database, dialect, token, user, org), directory / "batches.sqlite")
