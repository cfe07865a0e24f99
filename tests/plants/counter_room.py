"""One meter whose counter a gateway, files and people read: store, ledger, record of readings by hand and settler."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np

from aggregator.accounts.by_hand.readings import Entry, HandReadings
from aggregator.facility import Facility, FactorOverride, MeterSpec, Role
from aggregator.ledger import IntervalRow, Ledger
from aggregator.settle import Settler
from aggregator.stores.duckdb_store import DuckDBStore
from aggregator.stores.store import Rows, SeriesKey, Store
from wire.reading import REASON_CODES

D = Decimal
T = 1_777_593_600_000  # 2026-05-01T00:00Z
COUNTER = SeriesKey("works", "gw", "incomer", "energy_import_kwh")
METER = MeterSpec("incomer", "gw", D(1000), Role.MAIN, quantum_kwh=D("0.001"))
FACILITY = Facility(
    "works", "Asia/Shanghai", place="CN", meters=(METER,), overrides=(FactorOverride(D("0.5"), "test"),)
)
BY_LI = Entry("photo 17", "Li Na")


class Room:
    """Store, ledger, record and settler; seconds are counted from T."""

    def __init__(self, directory: Path, store: Store | None = None) -> None:
        """With a DuckDB store of its own where none is given; it is closed with the room."""
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.now_ms = T
        self.store: Store = DuckDBStore(directory / "store.duckdb") if store is None else store
        self.ledger = Ledger(directory / "ledger.sqlite")
        self.book = HandReadings(directory / "accounts.sqlite")
        self.settler = Settler(self.store, self.ledger, [FACILITY], lambda: self.now_ms, hand=self.book)

    def close(self) -> None:
        self.store.close()
        self.ledger.close()
        self.book.close()

    def restart(self, facility: Facility = FACILITY) -> None:
        self.book.close()
        self.book = HandReadings(self.directory / "accounts.sqlite")
        self.settler = Settler(self.store, self.ledger, [facility], lambda: self.now_ms, hand=self.book)

    def commit(self, readings: Sequence[tuple[int, float]], edge: str = "gw") -> None:
        """From the gateway, or (edge "import") from a file of displays."""
        series = COUNTER._replace(edge=edge)
        at_ms = np.array([T + at_s * 1000 for at_s, _ in readings], np.int64)
        n = len(readings)
        ids, value = np.repeat(self.store.ids([series]), n), np.array([value for _, value in readings])
        reason = np.full(n, REASON_CODES["imported"] if edge == "import" else 0, np.uint8)
        self.store.commit(Rows(ids, at_ms, value, np.zeros(n, np.uint8), reason), [])
        self.settler.note(series, int(at_ms.min()), int(at_ms.max()))
        self.now_ms = max(self.now_ms, int(at_ms.max()))

    def read_off(self, at_s: int, kwh: str | None, entry: Entry = BY_LI, *, note: bool = True) -> None:
        at_ms = T + at_s * 1000
        self.now_ms = max(self.now_ms, at_ms)
        self.book.enter(COUNTER, at_ms, None if kwh is None else D(kwh), entry, self.now_ms)
        if note:
            self.settler.note(COUNTER, at_ms, at_ms)

    def settle(self) -> None:
        self.now_ms += 1000
        self.settler.settle(patient=False)

    def rows(self) -> list[IntervalRow]:
        return [row for row in self.ledger.intervals("works", "incomer", COUNTER.quantity, 0, 2**60) if row.final]

    def kwh(self) -> list[Decimal]:
        return [row.energy_kwh for row in self.rows()]

    def place(self, at_s: int, kwh: str) -> str:
        assert self.settler.hand is not None
        return self.settler.hand.place(METER, COUNTER, T + at_s * 1000, D(kwh))


def steady(from_s: int, to_s: int, every_s: int = 10) -> list[tuple[int, float]]:
    return [(at_s, round(1000 + 0.1 * at_s, 3)) for at_s in range(from_s, to_s, every_s)]


def replace_version(row: IntervalRow) -> IntervalRow:
    """How often a figure changed on its way is another matter."""
    return IntervalRow(*(getattr(row, name) for name in IntervalRow.__slots__[:-1]))
