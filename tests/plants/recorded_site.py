"""A facility whose records are written by one person and approved by another, with a clock that moves a second each time."""

from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

from aggregator.accounts.activities import laboratory
from aggregator.accounts.activities.record import Activities, read_activities
from aggregator.accounts.compile import Accounts
from aggregator.accounts.record_file import ACCOUNTS_NAME
from aggregator.accounts.statement import Statement
from aggregator.emissions.registry import Registry
from aggregator.facility import Facility, MeterSpec
from aggregator.ledger import Ledger
from aggregator.process import Process

SHANGHAI = ZoneInfo("Asia/Shanghai")
HEAD = "source,kind,subject,class,from,to,unit,quantity,variant,parameters,evidence,reason\n"


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).timestamp() * 1000)


NOW = ms("2026-06-01")
YEAR = (ms("2025-01-01"), ms("2026-01-01"))


class Site:
    """One data directory. `records` are approved as they come in."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.now_ms = directory, NOW
        self.ledger = Ledger(directory / "ledger.sqlite")
        self.activities = Activities(directory / ACCOUNTS_NAME)
        self.registry = Registry(directory / "factors.sqlite")
        self.meters: tuple[MeterSpec, ...] = ()
        self.place = "CN-JS"
        self.processes: tuple[Process, ...] = ()

    def records(self, *rows: str, approved: bool = True, span: str = "2025-01-01,2026-01-01") -> None:
        self.now_ms += 1000
        lines = [HEAD, *(row.replace("SPAN", span) + ",evidence,correction\n" for row in rows)]
        found = read_activities("".join(lines).encode(), "site.csv", "works")
        self.activities.add(
            found, "ann", self.now_ms, lambda fresh: laboratory.draft(self.registry, fresh, self.now_ms, SHANGHAI)
        )
        if approved:
            drafts = [
                standing.activity.no for standing in self.activities.standings("works") if standing.state == "draft"
            ]
            self.activities.decide("works", drafts, "approved", "bo", self.now_ms, "", lambda done: laboratory.approve(self.registry, done, "bo", self.now_ms, SHANGHAI))  # fmt: skip

    def statement(self, profile: str = "CBAM", span: tuple[int, int] = YEAR, as_of_ms: int | None = None) -> Statement:
        return self.accounts().statement("works", profile, *span, as_of_ms)

    def accounts(self) -> Accounts:
        facility = Facility("works", "Asia/Shanghai", place=self.place, meters=self.meters, processes=self.processes)
        return Accounts(self.ledger, [facility], self.directory, lambda: self.now_ms)

    def close(self) -> None:
        self.ledger.close()
        self.activities.close()
        self.registry.close()


def close(kg: Decimal | None, t: Fraction | str) -> bool:
    """To 1e-9 of a tonne, as the specification asks."""
    return kg is not None and abs(Fraction(kg) / 1000 - Fraction(t)) < Fraction(1, 10**9)
