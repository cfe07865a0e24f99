"""The meter tree: example 23 of the emissions specification, conservation at every roll-up over random trees, and what is refused."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.accounts.tree.slots import ROLL_UPS, spans
from aggregator.accounts.tree.tree import Metered, TreeSums
from aggregator.facility import Facility, MeterSpec, Role, VirtualMeter
from aggregator.intervals.boundaries import GOOD, Grade
from aggregator.ledger import IntervalRow
from wire.reading import Quality

D = Decimal
IMPORT, EXPORT = "energy_import_kwh", "energy_export_kwh"
QUARTER_MS = 900_000
BERLIN = ZoneInfo("Europe/Berlin")
# Three hours around the end of a month: 31 May, 22:30 UTC is 1 June, 00:30 in Berlin.
FROM_MS = int(datetime(2026, 5, 31, 21, 0, tzinfo=ZoneInfo("UTC")).timestamp() * 1000)


def meter(device: str, parent: str = "", role: Role = Role.SUB, accuracy: str | None = None) -> MeterSpec:
    accuracy_percent = None if accuracy is None else D(accuracy)
    return MeterSpec(device, "gw", D(1000), role, parent=parent, accuracy_percent=accuracy_percent)


def works(*meters: MeterSpec, virtual: Sequence[VirtualMeter] = (), zone: str = "Europe/Berlin") -> Facility:
    return Facility("works", zone, meters=meters, virtual_meters=tuple(virtual))


class Rows:
    """Interval rows by device and quantity."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], list[IntervalRow]] = {}

    def put(
        self, device: str, n: int, kwh: str | Decimal, quantity: str = IMPORT, grade: Grade = GOOD, of: int = 1
    ) -> None:
        start_ms = FROM_MS + n * QUARTER_MS
        row = IntervalRow(
            "works", device, quantity, start_ms, start_ms + of * QUARTER_MS, D(kwh), grade, True, "measured"
        )
        self.rows.setdefault((device, quantity), []).append(row)

    def __call__(self, device: str, quantity: str) -> list[IntervalRow]:
        return sorted(self.rows.get((device, quantity), []), key=lambda row: row.start_ms)


def sums(facility: Facility, rows: Rows, n: int = 1, carrier: str = "electricity") -> TreeSums:
    (found,) = Metered(facility, carrier, rows, FROM_MS, FROM_MS + n * QUARTER_MS).roll_up("total")
    return found


TREE = (meter("incomer", role=Role.MAIN), meter("A", "incomer"), meter("A1", "A"), meter("B"))


def test_example_23_the_total_is_the_main_and_every_own_part_is_seen() -> None:
    rows = Rows()
    for device, kwh in (("incomer", "1000"), ("A", "400"), ("A1", "150"), ("B", "350")):
        rows.put(device, 0, kwh)
    found = sums(works(*TREE), rows)
    assert (found.total, found.unmetered, found.undivided) == (1000, 250, 0)
    assert {name: node.own for name, node in found.nodes.items()} == {"incomer": 250, "A": 250, "A1": 150, "B": 350}
    naive = sum(node.energy for node in found.nodes.values() if node.energy is not None)
    assert naive == 1900 != found.total


def test_solar_power_behind_the_main_feeds_what_the_main_did_not_see() -> None:
    facility = works(meter("incomer", role=Role.MAIN), meter("roof"), meter("press"))
    rows = Rows()
    for device, taken, given_back in (("incomer", "300", "20"), ("roof", "0", "200"), ("press", "450", "0")):
        rows.put(device, 0, taken)
        rows.put(device, 0, given_back, EXPORT)
    found = sums(facility, rows)
    assert (found.total, found.unmetered) == (280, 30)  # 300 + 200 = 450 + 20 + 30
    assert found.nodes["incomer"].exported == 20
    assert (found.nodes["roof"].own, found.nodes["roof"].too_small, found.faulty) == (-200, False, False)


def test_a_hall_that_sends_power_back_is_no_fault_as_long_as_the_meters_inside_agree() -> None:
    # 200 from the hall's roof, 150 to its press: 50 leave it. Were the roof's 150, the hall would be 50 below what is inside.
    rows = Rows()
    for device, taken, given_back in (("incomer", "250", "0"), ("hall", "0", "50"), ("press", "150", "0")):
        rows.put(device, 0, taken)
        rows.put(device, 0, given_back, EXPORT)
    rows.put("roof", 0, "200", EXPORT)
    inside = (meter("hall", "incomer"), meter("roof", "hall"), meter("press", "hall"))
    found = sums(works(meter("incomer", role=Role.MAIN), *inside), rows)
    assert (found.nodes["hall"].own, found.faulty) == (0, False)
    rows.rows[("roof", EXPORT)].clear()
    rows.put("roof", 0, "150", EXPORT)
    found = sums(works(meter("incomer", role=Role.MAIN), *inside), rows)
    assert (found.nodes["hall"].own, found.nodes["hall"].too_small, found.nodes["roof"].too_small) == (-50, True, False)


def test_a_missing_meter_leaves_its_interval_undivided_and_is_not_taken_for_zero() -> None:
    rows = Rows()
    for n in (0, 1):
        rows.put("incomer", n, "1000")
        rows.put("A1", n, "150")
        rows.put("B", n, "350")
    rows.put("A", 0, "400")
    found = sums(works(*TREE), rows, 2)
    assert (found.total, found.unmetered, found.undivided) == (2000, 250, 500)
    assert (found.nodes["A"].energy, found.nodes["A"].intervals, found.nodes["A"].own) == (400, 1, 250)
    assert (found.nodes["A1"].own, found.nodes["incomer"].divided) == (300, 1)


def test_meters_inside_that_measure_more_than_accuracy_explains_are_named() -> None:
    # 1 % of 1,000 and 1 % of 1,015 together explain 20.15 kWh and not 25.
    rows = Rows()
    for n, kwh in ((0, "1015"), (1, "1025")):
        rows.put("incomer", n, "1000")
        rows.put("A", n, kwh)
    facility = works(meter("incomer", role=Role.MAIN, accuracy="1"), meter("A", "incomer", accuracy="1"))
    first, second = Metered(facility, "electricity", rows, FROM_MS, FROM_MS + 2 * QUARTER_MS).roll_up("interval")
    assert (first.nodes["incomer"].own, first.nodes["incomer"].too_small) == (-15, False)
    assert (second.nodes["incomer"].own, second.nodes["incomer"].too_small) == (-25, True)
    assert second.unmetered == -25  # shown, not hidden


def test_a_check_meter_is_compared_and_never_added() -> None:
    rows = Rows()
    rows.put("incomer", 0, "1000")
    rows.put("second", 0, "1012")
    rows.put("second", 1, "500")  # the incomer has nothing to compare here
    facility = works(
        meter("incomer", role=Role.MAIN, accuracy="0.5"), meter("second", "incomer", Role.CHECK, accuracy="0.5")
    )
    found = sums(facility, rows, 2)
    (check,) = found.checks
    assert found.total == 1000
    assert (check.apart_percent, check.limit_percent, check.too_far, check.intervals) == (D("1.2"), 1, True, 1)


def test_a_virtual_meter_is_a_signed_sum_and_may_be_part_of_the_tree_or_apart() -> None:
    rows = Rows()
    for device, kwh in (("incomer", "1000"), ("A", "400"), ("A1", "150"), ("B", "350")):
        rows.put(device, 0, kwh)
    hall = VirtualMeter("hall", (("A", 1), ("A1", -1)), parent="A")
    rest = VirtualMeter("rest", (("incomer", 1), ("A", -1), ("B", -1)))
    found = sums(works(*TREE, virtual=(hall, rest)), rows)
    assert (found.nodes["hall"].energy, found.nodes["A"].own) == (250, 0)
    assert (found.apart["rest"].energy, found.unmetered) == (250, 250)


def test_hourly_rows_are_shared_out_over_the_quarters_to_the_last_digit() -> None:
    rows = Rows()
    for n in range(4):
        rows.put("incomer", n, "1")
    rows.put("A", 0, "1.0000000001", of=4)
    made = Metered(
        works(meter("incomer", role=Role.MAIN), meter("A")), "electricity", rows, FROM_MS, FROM_MS + 4 * QUARTER_MS
    )
    parts = [found.nodes["A"].energy for found in made.roll_up("interval")]
    assert parts == [D("0.25"), D("0.25"), D("0.25"), D("0.2500000001")]


def test_days_and_months_are_the_facility_s_own() -> None:
    facility = works(meter("incomer", role=Role.MAIN))
    to_ms = FROM_MS + 3 * 3_600_000
    midnight_ms = int(datetime(2026, 6, 1, tzinfo=BERLIN).timestamp() * 1000)
    for roll_up in ("day", "month"):
        assert list(spans(roll_up, FROM_MS, to_ms, facility)) == [(FROM_MS, midnight_ms), (midnight_ms, to_ms)]
    autumn_ms = int(datetime(2026, 10, 25, tzinfo=BERLIN).timestamp() * 1000)
    ((from_ms, day_end_ms), _) = spans("day", autumn_ms, autumn_ms + 25 * 3_600_000 + 1, facility)
    assert day_end_ms - from_ms == 25 * 3_600_000


@st.composite
def trees(draw: st.DrawFn) -> tuple[Facility, Rows]:
    """Up to 2 mains and 7 other meters anywhere inside each other, some of them virtual; a day change, holes, exports."""
    mains = [meter(f"m{n}", role=Role.MAIN) for n in range(draw(st.integers(1, 2)))]
    subs: list[MeterSpec] = []
    virtual: list[VirtualMeter] = []
    for n in range(draw(st.integers(0, 7))):
        parent = draw(st.sampled_from(["", *(m.device for m in mains), *(s.device for s in subs)]))
        if n > 2 and draw(st.booleans()):
            terms = draw(st.lists(st.sampled_from(subs), min_size=1, max_size=3, unique=True))
            virtual.append(
                VirtualMeter(
                    f"v{n}", tuple((term.device, draw(st.sampled_from([1, -1]))) for term in terms), parent=parent
                )
            )
        else:
            subs.append(meter(f"s{n}", parent))
    check = meter("c", mains[0].device, Role.CHECK)
    rows = Rows()
    kwh = st.decimals(0, 10_000, places=draw(st.integers(0, 6)))
    for entry in (*mains, *subs, check):
        for n in range(8):
            if draw(st.integers(0, 5)):
                rows.put(entry.device, n, draw(kwh))
                if entry.device in ("m0", "s0"):
                    rows.put(entry.device, n, draw(kwh), EXPORT)
    return works(*mains, *subs, check, virtual=virtual), rows


@settings(max_examples=150, deadline=None)
@given(trees())
def test_at_every_roll_up_the_parts_add_up_to_the_mains_and_nothing_counts_twice(made: tuple[Facility, Rows]) -> None:
    facility, rows = made
    metered = Metered(facility, "electricity", rows, FROM_MS, FROM_MS + 8 * QUARTER_MS)
    truth = sum((row.energy_kwh for main in facility.main_meters() for row in rows(main.device, IMPORT)), D(0)) - sum(
        (row.energy_kwh for main in facility.main_meters() for row in rows(main.device, EXPORT)), D(0)
    )
    if any(main.device == "m0" for main in facility.main_meters()) and not rows("m0", IMPORT):
        return  # nothing counted inwards: it is a meter of the other direction alone
    for roll_up in ROLL_UPS:
        found = list(metered.roll_up(roll_up))
        assert all(one.to_ms == other.from_ms for one, other in pairwise(found))
        for sums_of_span in found:
            parts = sum(
                (node.own or D(0) for name, node in sums_of_span.nodes.items() if name not in metered.tree.mains), D(0)
            )
            divided = parts + (sums_of_span.unmetered or D(0)) + sums_of_span.undivided
            assert divided == (sums_of_span.total or D(0))
        assert sum((one.total or D(0) for one in found), D(0)) == truth


def test_meters_that_lie_inside_each_other_are_refused() -> None:
    facility = works(meter("incomer", role=Role.MAIN), meter("A", "B"), meter("B", "A"))
    with pytest.raises(
        ValueError, match=r"meter\[1\].parent: expected a meter that does not lie inside this one, got 'B'"
    ):
        Metered(facility, "electricity", Rows(), FROM_MS, FROM_MS + QUARTER_MS)


def test_substituted_and_provisional_intervals_are_counted_with_their_meter() -> None:
    rows = Rows()
    rows.put("incomer", 0, "1000", grade=Grade(Quality.SUBSTITUTED, "counter-diff"))
    rows.put("incomer", 1, "1000")
    found = sums(works(meter("incomer", role=Role.MAIN)), rows, 2)
    assert (found.nodes["incomer"].substituted, found.nodes["incomer"].intervals, found.expected) == (1, 2, 2)
