"""Months that seal themselves: when, once, and again after a late change."""

from collections.abc import Iterator
from contextlib import closing
from datetime import date
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from aggregator.accounts.sealing.seals import Seals
from aggregator.facility import Facility
from aggregator.intervals.boundaries import GOOD
from aggregator.intervals.local_time import start_of_day_ms
from aggregator.ledger import IntervalRow, Ledger
from aggregator.sealing import BY, SealRounds

ZONE = ZoneInfo("Asia/Shanghai")
QUARTER_MS = 900_000
DAY_MS = 86_400_000
NOVEMBER, DECEMBER, JANUARY, FEBRUARY = (
    start_of_day_ms(date(*day), ZONE) for day in ((2025, 11, 1), (2025, 12, 1), (2026, 1, 1), (2026, 2, 1))
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path / "ledger.sqlite")) as opened:
        yield opened


def put(ledger: Ledger, start_ms: int, kwh: int, now_ms: int) -> None:
    row = IntervalRow(
        "works", "incomer", "energy_import_kwh", start_ms, start_ms + QUARTER_MS, Decimal(kwh), GOOD, True, "measured"
    )
    ledger.put_intervals([row], now_ms)


def test_a_month_is_sealed_three_days_after_its_end_and_again_a_day_after_a_late_change(
    ledger: Ledger, tmp_path: Path
) -> None:
    now_ms = JANUARY + 2 * DAY_MS
    rounds = SealRounds(ledger, [Facility("works", "Asia/Shanghai"), Facility("idle", "UTC")], tmp_path, lambda: now_ms)
    assert rounds.look() == []
    for start_ms in (NOVEMBER, JANUARY - QUARTER_MS, JANUARY):
        put(ledger, start_ms, 1, start_ms + QUARTER_MS)
    (november,) = rounds.look()
    assert ((november.from_ms, november.to_ms), november.rows, november.sealed_by) == ((NOVEMBER, DECEMBER), 1, BY)
    assert rounds.look() == []  # December is over for two days
    now_ms = JANUARY + 3 * DAY_MS
    (december,) = rounds.look()
    assert ((december.from_ms, december.to_ms), december.rows) == ((DECEMBER, JANUARY), 1)
    assert rounds.look() == []
    put(ledger, NOVEMBER, 2, now_ms + 5)
    now_ms += DAY_MS
    assert rounds.look() == []  # not quiet for a day
    now_ms += 10
    (again,) = rounds.look()
    assert ((again.from_ms, again.version), again.changed_ms) == ((NOVEMBER, 2), JANUARY + 3 * DAY_MS + 5)
    now_ms = FEBRUARY + 3 * DAY_MS
    assert [seal.from_ms for seal in rounds.look()] == [JANUARY]
    with Seals(tmp_path) as seals:
        assert len(seals.all("works")) == 4


def test_what_a_person_has_sealed_otherwise_is_left_alone_and_a_fault_is_tried_again(
    ledger: Ledger, tmp_path: Path
) -> None:
    put(ledger, DECEMBER, 1, DECEMBER + DAY_MS)
    with Seals(tmp_path) as seals:
        seals.seal(ledger, "works", DECEMBER, DECEMBER + DAY_MS, JANUARY, "Li Wei")
    rounds = SealRounds(ledger, [Facility("works", "Asia/Shanghai")], tmp_path, lambda: FEBRUARY)
    assert rounds.look() == []
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "sealed").write_text("in the way")
    elsewhere = SealRounds(ledger, [Facility("works", "Asia/Shanghai")], tmp_path / "other", lambda: FEBRUARY)
    assert elsewhere.look() == []
    (tmp_path / "other" / "sealed").unlink()
    assert len(elsewhere.look()) == 1
