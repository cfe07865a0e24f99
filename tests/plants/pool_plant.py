"""A site with PV, storage and charging in a ledger that is filled by hand, and its statements."""

from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

from aggregator.accounts.compile import Accounts, Span, compile_statement
from aggregator.accounts.line import Counts, Line
from aggregator.accounts.statement import Statement
from aggregator.emissions.instruments import Instruments
from aggregator.emissions.intensity import GridIntensities, HourlyFactor
from aggregator.emissions.profiles import Profile, profile
from aggregator.emissions.registry import Registry
from aggregator.facility import Cell, Facility, MeterSpec, Role
from aggregator.intervals.boundaries import GOOD, Grade
from aggregator.ledger import IntervalRow, Ledger

D = Decimal
QUARTER = 900_000
SHANGHAI = ZoneInfo("Asia/Shanghai")
G = D("0.001")


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).timestamp() * 1000)


NOW = ms("2026-06-01")
START = ms("2023-05-02")
METERS = (
    MeterSpec("incomer", "gw", D(10_000), Role.MAIN, show="grid"),
    MeterSpec("roof", "gw", D(1000), show="pv"),
    MeterSpec("battery", "gw", D(1000), show="storage"),
    MeterSpec("charger", "gw", D(1000), show="ev"),
)


@cache
def new_registry() -> bytes:
    """A registry file with what comes with the program."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "factors.sqlite"
        for kind in (Registry, GridIntensities, Instruments):
            kind(path).close()
        return path.read_bytes()


class Plant:
    """A ledger filled by hand. Energies are quarter hours from the start of 2023-05-02."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        if not (directory / "factors.sqlite").exists():
            (directory / "factors.sqlite").write_bytes(new_registry())
        self.ledger = Ledger(directory / "ledger.sqlite")
        self.clock_ms = NOW
        self.facility = Facility(
            "works", "Asia/Shanghai", place="CN", grid_zone="TEST", meters=METERS,
            cells=(("battery", Cell(D("0.95"), D("0.947368421"))),),
        )  # fmt: skip

    def measured(
        self,
        device: str,
        imported: str = "",
        exported: str = "",
        start_ms: int = START,
        grade: Grade = GOOD,
        *,
        final: bool = True,
    ) -> None:
        for quantity, text in (("energy_import_kwh", imported), ("energy_export_kwh", exported)):
            rows = [
                IntervalRow("works", device, quantity, start_ms + n * QUARTER, start_ms + (n + 1) * QUARTER, D(kwh), grade, final, "measured")
                for n, kwh in enumerate(text.split()) if kwh != "-"
            ]  # fmt: skip
            self.ledger.put_intervals(rows, self.clock_ms)

    def grid(self, g_per_kwh: str, signal: str = "average", start_ms: int = START) -> None:
        """The zone's intensity of each quarter hour."""
        with GridIntensities(self.directory / "factors.sqlite") as hours:
            hours.add(
                [
                    HourlyFactor("TEST", signal, start_ms + n * QUARTER, start_ms + (n + 1) * QUARTER, D(g) * G, "by hand", NOW - 1)
                    for n, g in enumerate(g_per_kwh.split()) if g != "-"
                ],
                "tester", NOW - 1,
            )  # fmt: skip

    def statement(
        self, rules: str | Profile = "OPS", from_ms: int = START, to_ms: int = START + 96 * QUARTER
    ) -> Statement:
        accounts = Accounts(self.ledger, [self.facility], self.directory, lambda: self.clock_ms)
        rules = profile(rules) if isinstance(rules, str) else rules
        with accounts.opened(self.facility, rules, Span(from_ms, to_ms, self.clock_ms)) as (period, makers):
            return compile_statement(period, makers)


def line(made: Statement, source: str, counts: Counts) -> Line:
    (found,) = [one for one in made.lines if (one.source, one.counts) == (source, counts)]
    return found
