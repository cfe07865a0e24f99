"""Sharing out over sealed columns against the intervals one by one: random sites with gaps, grades, contradictions, exports and changing factors, the same bytes."""

import random
from contextlib import closing
from datetime import date
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from aggregator.accounts.compile import Accounts
from aggregator.accounts.line import Counts
from aggregator.accounts.period import Period
from aggregator.accounts.sealing.seals import Seals
from aggregator.accounts.tree import shares
from aggregator.accounts.tree.tree import Division, Metered
from aggregator.emissions.place import FactorOverride
from aggregator.facility import Facility, MeterSpec, Role
from aggregator.intervals.boundaries import GOOD, Grade
from aggregator.intervals.local_time import start_of_day_ms
from aggregator.ledger import IntervalRow, Ledger
from wire.reading import Quality

D = Decimal
QUARTER_MS = 900_000
HOUR_MS = 3_600_000
BERLIN = ZoneInfo("Europe/Berlin")
FROM_MS, MIDDLE_MS, TO_MS = (
    start_of_day_ms(date(2026, 3, day), BERLIN) for day in (28, 29, 30)
)  # the 29th has 23 hours
NOW_MS = TO_MS + HOUR_MS
AT_ONCE = 16  # a seed with both
GRADES = (
    GOOD,
    Grade(Quality.UNCERTAIN, "quantum"),
    Grade(Quality.SUBSTITUTED, "counter-diff"),
    Grade(Quality.SUBSTITUTED, "estimated"),
)
# meter, the one around it, its role
TREE = (
    ("north", "", Role.MAIN), ("south", "", Role.MAIN), ("hall", "north", Role.SUB), ("press", "hall", Role.SUB), ("oven", "hall", Role.SUB),
    ("office", "south", Role.SUB), ("loose", "", Role.SUB),
)  # fmt: skip


def facility(draw: random.Random) -> Facility:
    meters = tuple(MeterSpec(device, "gw", D(10_000), role, parent=parent) for device, parent, role in TREE)
    changes_ms = FROM_MS + draw.choice([24 * HOUR_MS, 31 * HOUR_MS + 7 * 60_000, 40 * HOUR_MS])
    second = draw.choice(["0.5", "0", "0.61234"])
    overrides = (
        FactorOverride(D("0.5306"), "a supplier", valid_to_ms=changes_ms),
        *([FactorOverride(D(second), "a supplier", valid_from_ms=changes_ms)] if draw.random() < 0.8 else []),
    )
    return Facility("works", "Europe/Berlin", meters=meters, overrides=overrides)


def fill(ledger: Ledger, draw: random.Random) -> None:
    """Rows of every meter; now and then one is missing, doubtful, provisional, finer, of an hour, or more than the meter around it has."""
    gaps, odd = draw.choice([0, 0.003, 0.1]), draw.choice([0, 0.003, 0.02])
    exporting = draw.random() < 0.2
    for device, _, role in TREE:
        rows, at_ms = list[IntervalRow](), FROM_MS
        while at_ms < TO_MS:
            hourly = draw.random() < odd and device == "press" and draw.random() < 0.3
            end_ms = at_ms + (HOUR_MS if hourly and at_ms % HOUR_MS == 0 and at_ms + HOUR_MS <= TO_MS else QUARTER_MS)
            most = {"north": 200_000, "south": 90_000, "hall": 80_000}.get(device, 20_000)
            least = most // 2 if role is Role.MAIN or device == "hall" else 0
            kwh = D(draw.randrange(least, most) if draw.random() >= odd else most * 5).scaleb(-3)
            kwh = kwh.quantize(D(1).scaleb(-draw.choice([2, 3, 3, 3, 5])))
            grade = GOOD if draw.random() < 0.9 else draw.choice(GRADES)
            if draw.random() >= gaps:
                rows.append(
                    IntervalRow(
                        "works",
                        device,
                        "energy_import_kwh",
                        at_ms,
                        end_ms,
                        kwh,
                        grade,
                        draw.random() < 0.95,
                        "measured",
                    )
                )
            at_ms = end_ms
        ledger.put_intervals(rows, NOW_MS - 1)
        if exporting and device == "loose":
            sent = [
                IntervalRow(
                    "works", device, "energy_export_kwh", row.start_ms, row.end_ms, D("0.5"), GOOD, True, "measured"
                )
                for row in rows
            ]
            ledger.put_intervals(sent, NOW_MS - 1)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The starts of the intervals that are divided one by one from now on."""
    divided: list[int] = []
    plainly = shares._shared_out

    def noting(period: Period, metered: Metered, at_ms: int, division: Division) -> shares.SharedOut:
        divided.append(at_ms)
        return plainly(period, metered, at_ms, division)

    monkeypatch.setattr(shares, "_shared_out", noting)
    return divided


@pytest.mark.parametrize(
    "seed", [1, 5, 8, 16, 36, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(100, 160))]
)
def test_a_sealed_site_is_shared_out_to_the_same_bytes(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(seed)
    with closing(Ledger(tmp_path / "ledger.sqlite")) as ledger:
        fill(ledger, draw)
        accounts = Accounts(ledger, [facility(draw)], tmp_path, lambda: NOW_MS + 1)
        unsealed = accounts.statement("works", "OPS", FROM_MS, TO_MS)
        with Seals(tmp_path) as seals:
            seals.seal(ledger, "works", FROM_MS, MIDDLE_MS if seed % 2 else TO_MS, NOW_MS, "Li Wei")
        divided = counted(monkeypatch)
        sealed = accounts.statement("works", "OPS", FROM_MS, TO_MS)
    assert sealed.encoded() == unsealed.encoded()
    assert any(True for _ in sealed.of(Counts.ALLOCATED))
    if seed == AT_ONCE:
        assert 0 < len(divided) < (TO_MS - FROM_MS) // QUARTER_MS, "some at once, some by themselves"


def test_a_plain_site_is_shared_out_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: 1,000 kWh of which A takes 400 (A1 inside it 150) and B 350, in each of 188 quarter hours less one without A1's figure."""
    meters = tuple(
        MeterSpec(device, "gw", D(10_000), Role.SUB if parent else Role.MAIN, parent=parent)
        for device, parent in (("incomer", ""), ("A", "incomer"), ("A1", "A"), ("B", "incomer"))
    )
    works = Facility("works", "Europe/Berlin", meters=meters, overrides=(FactorOverride(D("0.5306"), "a supplier"),))
    with closing(Ledger(tmp_path / "ledger.sqlite")) as ledger:
        for device, kwh in (("incomer", 1000), ("A", 400), ("A1", 150), ("B", 350)):
            starts = [at_ms for at_ms in range(FROM_MS, TO_MS, QUARTER_MS) if (device, at_ms) != ("A1", FROM_MS)]
            ledger.put_intervals(
                [
                    IntervalRow(
                        "works", device, "energy_import_kwh", at_ms, at_ms + QUARTER_MS, D(kwh), GOOD, True, "measured"
                    )
                    for at_ms in starts
                ],
                NOW_MS - 1,
            )
        with Seals(tmp_path) as seals:
            seals.seal(ledger, "works", FROM_MS, TO_MS, NOW_MS, "Li Wei")
        divided = counted(monkeypatch)
        made = Accounts(ledger, [works], tmp_path, lambda: NOW_MS + 1).statement("works", "OPS", FROM_MS, TO_MS)
    assert divided == [FROM_MS]
    quarters = (TO_MS - FROM_MS) // QUARTER_MS
    taken = {
        source: sum(line.quantity or D(0) for line in made.of(Counts.ALLOCATED) if line.source == source)
        for source in ("part:A", "part:A1", "part:B", "unmetered", "undivided")
    }
    assert taken == {
        "part:A": 250 * (quarters - 1),
        "part:A1": 150 * (quarters - 1),
        "part:B": 350 * quarters,
        "unmetered": 250 * quarters,
        "undivided": 400,
    }
    assert made.kg(Counts.ALLOCATED) == made.kg() == 1000 * quarters * D("0.5306")
