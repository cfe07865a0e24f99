"""Energies that stand by a multiplier which the settings have corrected: they are found, not used, and settled anew.

By hand (rule 4): 0.1 kWh a second on the display are 90 kWh a quarter hour; times 2 they are 180 kWh, times 3 270 kWh, and at 0.5 kg/kWh
an hour is 360 kg and 540 kg.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from counter_room import COUNTER, FACILITY, METER, D, Room, T, steady

from aggregator.accounts.compile import Accounts
from aggregator.facility import Facility, Multiplier
from aggregator.intervals.decision import Decision, Said
from aggregator.ledger import LedgerBusy
from aggregator.settled_otherwise import SettledOtherwise, settled_otherwise
from aggregator.stores.store import Rows

HOUR_MS = 3_600_000


def times(*entries: Multiplier) -> Facility:
    return replace(FACILITY, meters=(replace(METER, multipliers=entries),))


TWICE = times(Multiplier(D(2)))
THRICE_LATER = times(Multiplier(D(2)), Multiplier(D(3), T + HOUR_MS))


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    """Two hours and a minute by a multiplier of 2."""
    made = Room(tmp_path / "room")
    made.restart(TWICE)
    made.commit(steady(0, 7260))
    made.settle()
    assert made.kwh() == [D(180)] * 8
    yield made
    made.close()


def kg(room: Room, facility: Facility, from_h: int = 0, to_h: int = 2) -> object:
    accounts = Accounts(room.ledger, [facility], room.directory, lambda: room.now_ms)
    made = accounts.statement("works", "OPS", T + from_h * HOUR_MS, T + to_h * HOUR_MS)
    return None if (figure := made.kg()) is None else D(str(figure))


def test_accounts_refuse_energies_that_stand_by_another_multiplier_until_they_are_settled_anew(room: Room) -> None:
    assert kg(room, TWICE) == 720
    with pytest.raises(SettledOtherwise) as refused:
        kg(room, THRICE_LATER)
    assert str(refused.value) == (
        "facility works, meter incomer: multiplier: expected energy_import_kwh times 3 from 2026-05-01T09:00+08:00 on, as the settings have it,"
        " got what was settled times 2; it is settled anew by an aggregator that starts, ask again when that is done"
    )
    assert isinstance(refused.value, LedgerBusy)  # routes answer 503, ask again
    assert kg(room, THRICE_LATER, 0, 1) == 360  # the correction does not concern it
    room.restart(THRICE_LATER)
    room.settler.settle()  # at once, although late readings wait for more of their kind
    assert (room.kwh(), kg(room, THRICE_LATER)) == ([D(180)] * 4 + [D(270)] * 4, 900)
    assert settled_otherwise(room.ledger, [THRICE_LATER]) == []
    room.restart(THRICE_LATER)
    assert not room.settler.settle()


def test_what_is_half_settled_anew_is_settled_to_its_end_by_the_next_start(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the whole line begins anew, and no state is kept of before."""
    thrice = times(Multiplier(D(3)))
    room.restart(thrice)

    def ends(*_: object) -> None:
        raise LedgerBusy("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(room.settler, "_keep", ends)
        with pytest.raises(LedgerBusy):
            room.settler.settle(patient=False)
    assert [one.settled for one in settled_otherwise(room.ledger, [thrice])] == [2]
    room.restart(thrice)
    room.settle()
    assert (room.kwh(), settled_otherwise(room.ledger, [thrice])) == ([D(270)] * 8, [])


def test_a_decision_before_the_settling_leaves_nothing_by_the_multiplier_of_before(room: Room) -> None:
    room.restart(THRICE_LATER)
    room.settler.decide(COUNTER, Decision(T + 7_000_000, Said.GLITCH, until_ms=T + 7_000_000), "b", "ann")
    room.settle()
    assert room.kwh() == [D(180)] * 4 + [D(270)] * 4


def test_a_multiplier_that_begins_after_every_energy_stands_in_nobodys_way(room: Room) -> None:
    later = times(Multiplier(D(2)), Multiplier(D(3), T + 3 * HOUR_MS))
    assert (kg(room, later), settled_otherwise(room.ledger, [later])) == (720, [])
    room.restart(later)
    room.commit(steady(7260, 14_460))
    room.settle()
    assert room.kwh() == [D(180)] * 12 + [D(270)] * 4


@pytest.mark.parametrize(("before_s", "after_s"), [(900, 300), (300, 900)])
def test_another_length_of_intervals_counts_nothing_twice(tmp_path: Path, before_s: int, after_s: int) -> None:
    """0.1 kWh a second to second 2990 and on to 3050 and 7250, by the display: what was begun with the old length does not stay beside the new."""
    room = Room(tmp_path / "room")
    room.restart(replace(FACILITY, interval_s=before_s))
    room.commit(steady(0, 3000))
    room.settle()
    room.restart(replace(FACILITY, interval_s=after_s))
    for from_s, to_s in ((3000, 3060), (3060, 7260)):
        room.commit(steady(from_s, to_s))
        room.settle()
        rows = room.ledger.intervals("works", "incomer", COUNTER.quantity, 0, 2**60)
        assert sum(row.energy_kwh or 0 for row in rows) == D(to_s - 10) / 10
        assert all(one.end_ms <= other.start_ms for one, other in pairwise(rows))
    room.close()


def test_a_meter_whose_power_counts_from_now_on_goes_on_without_the_counters_state(room: Room) -> None:
    room.restart(replace(FACILITY, meters=(replace(METER, counted=False),)))
    room.commit(steady(7260, 8000))
    power = COUNTER._replace(quantity="active_power_kw")
    at_ms = np.arange(T + 7_200_000, T + 9_060_000, 10_000)
    n, zero = len(at_ms), np.zeros(len(at_ms), np.uint8)
    room.store.commit(Rows(np.repeat(room.store.ids([power]), n), at_ms, np.full(n, 720.0), zero, zero), [])
    room.settler.note(power, int(at_ms[0]), int(at_ms[-1]))
    room.settle()
    assert room.kwh() == [D(180)] * 10  # 720 kW are 180 kWh a quarter hour
