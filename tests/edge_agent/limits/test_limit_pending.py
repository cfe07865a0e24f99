"""Piles that tell their power only now and then, as over OCPP, behind a meter that shows it at once: nothing is counted twice, and a limit is kept all the same."""

from typing import Any

import pytest
from virtual_garage import VOLTS, Garage, pile, tree

from wire.reading import Event


class SeldomTold(Garage):
    """Piles tell every 20 s, and nothing while they draw nothing."""

    every_s = 20

    def block(self, device: str, values: dict[str, float]) -> None:
        machine = self.machines.get(device)
        if machine is not None and machine.kind == "charger" and self.clock.at_ms // 1000 % self.every_s:
            return
        super().block(device, values)


def slow(*piles: dict[str, Any]) -> SeldomTold:
    return SeldomTold(tree(*piles))


def test_a_pile_that_has_followed_and_not_told_yet_is_not_cut_off() -> None:
    """85 kW of others are 123 A of the works' 289 A (200 kVA), and the garage's own 100 A take 20 kW (29 A): there is room from the first second on."""
    garage = slow(pile("p0", phases="L1L2L3", charge_kw=22.0), pile("p1", phases="L1L2L3", charge_kw=22.0))
    garage.load_kw = {"works": 85.0}
    for machine in garage.machines.values():
        machine.delay_s, machine.wants_kw = 7.0, 0.0
    assert garage.schedule(wishes=[garage.wish("p0", 0.0, cap=True), garage.wish("p1", 0.0, cap=True)]) == ""
    garage.run(400)
    for machine in garage.machines.values():
        machine.wants_kw = 22.0
        machine.told.clear()
    wishes = [garage.wish("p0", 20.0, cap=True), garage.wish("p1", 20.0, cap=True)]
    assert garage.schedule(2, wishes=wishes) == ""
    garage.run(120)
    for name in ("p0", "p1"):
        values = [value for _, value in garage.machines[name].told]
        assert values == sorted(values), name
        assert garage.machines[name].power_kw == pytest.approx(20.0, abs=0.7)


@pytest.mark.parametrize("delay_s", [1.0, 4.0, 7.9])
def test_the_limit_is_kept_all_the_same_within_what_a_pile_takes_to_follow(delay_s: float) -> None:
    garage = slow(*(pile(f"p{number}", phases="L1L2L3", charge_kw=22.0) for number in range(4)))
    for machine in garage.machines.values():
        machine.delay_s = delay_s
    wishes = [garage.wish(f"p{number}", 22.0, cap=True) for number in range(4)]  # 127 A behind 100 A
    assert garage.schedule(wishes=wishes) == ""
    above_s = longest_s = 0
    most_a = 0.0

    def look() -> None:
        nonlocal above_s, longest_s, most_a
        over_a = max(abs(current) for current in garage.currents("garage"))
        most_a = max(most_a, over_a)
        above_s = above_s + 1 if over_a > 100.0 else 0
        longest_s = max(longest_s, above_s)

    garage.run(300, look)
    assert longest_s <= delay_s + 2  # domain rule 31
    assert sum(machine.power_kw for machine in garage.machines.values()) > 0.8 * 3 * VOLTS * 100 / 1000


def test_what_a_vehicle_drew_that_has_left_is_forgotten() -> None:
    """A pile without a vehicle tells nothing: its last word would stay for ever."""
    garage = slow(pile("p0", phases="L1L2L3", charge_kw=22.0))
    assert garage.schedule(wishes=[garage.wish("p0", 20.0, cap=True)]) == ""
    garage.run(61)
    assert garage.loop.state.assets[0].drawn_kw == pytest.approx(20.0, abs=0.7)
    garage.machines["p0"].wants_kw = 0.0
    body: dict[str, Any] = {"phase": "ended", "transaction_id": "1"}
    garage.loop.heard(Event("e", garage.clock.at_ms, "p0", "transaction", body))
    garage.run(1)
    assert garage.loop.state.assets[0].drawn_kw == 0.0
