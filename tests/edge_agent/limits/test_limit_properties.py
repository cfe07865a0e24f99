"""Random circuits, loads, vehicles, wishes and losses over the loop: what must hold in every state, by the physics of the test and not by the loop's own reckoning.

Held: no branch stays above a limit for longer than the slowest device's response + 2 s (rule 31) while giving way can help; orders stay within what a device can do; a charger is never between 0 and 6 A, nor
discharged without consent; a lost meter never leaves anything above its share; few orders while nothing happens.
"""

import random
from typing import Any

import pytest
from virtual_garage import Garage, battery, pile, tree

from edge_agent.limits.shares import safe_shares

SLOWEST_S = 4  # the piles of the garage


class Watch:
    """What is checked after each second."""

    def __init__(self, garage: Garage, chance: random.Random) -> None:
        self.garage, self.chance = garage, chance
        self.above_s: dict[str, int] = {}
        self.lost_s: dict[str, int] = {}
        self.gives_back: set[str] = set()

    def look(self) -> None:
        garage = self.garage
        self._orders()
        for branch in garage.circuit.branch:
            lost = branch.meter in garage.meters_off
            self.lost_s[branch.name] = self.lost_s.get(branch.name, 0) + 1 if lost else 0
            above = self._above(branch.name, 1.0) and not lost and self._could_help(branch.name)
            self.above_s[branch.name] = self.above_s.get(branch.name, 0) + 1 if above else 0
            assert self.above_s[branch.name] <= SLOWEST_S + 2, (branch.name, garage.currents(branch.name))
            if self.lost_s[branch.name] > 7:
                self._shares(branch.name)

    def _orders(self) -> None:
        for asset in self.garage.circuit.asset:
            machine = self.garage.machines[asset.device]
            if not machine.told:
                continue
            order = machine.told[-1][1]
            assert -asset.discharge_kw - 1e-6 <= order <= asset.charge_kw + 1e-6, (asset.name, order)
            if asset.kind == "charger":
                least_kw = 6 * 0.23 * (3 if len(asset.phases) == 6 else 1)
                assert order <= 0 or order >= least_kw - 1e-6, (asset.name, order)
                assert order >= 0 or asset.name in self.gives_back, (asset.name, order)
            if asset.kind == "battery" and self.garage.extra["battery"]["state_of_charge_percent"] <= 10:
                assert order >= 0

    def _shares(self, branch: str) -> None:
        shares = safe_shares(self.garage.circuit, self.garage.clock.at_ms)
        for asset in self.garage.circuit.below(branch):
            machine = self.garage.machines[asset.device]
            if machine.told and machine.online and asset.kind != "pv":
                assert machine.told[-1][1] <= shares[asset.name] + 1e-6, (branch, asset.name)

    def _above(self, branch: str, ratio: float) -> bool:
        described = self.garage.circuit.named(branch)
        currents = self.garage.currents(branch)
        found = described.limit_a is not None and max(map(abs, currents)) > described.limit_a * ratio
        found |= described.neutral_limit_a is not None and abs(sum(currents)) > described.neutral_limit_a * ratio
        power_kw = self.garage.power_kw(branch)
        found |= described.limit_kva is not None and abs(power_kw) > described.limit_kva * ratio
        return found or (described.export_limit_kw is not None and -power_kw > described.export_limit_kw + 0.01)

    def _could_help(self, branch: str) -> bool:
        """Whether the limit would hold, with a few per cent to spare, if everything that can be reached stood still."""
        garage = self.garage
        powers = {device: machine.power_kw for device, machine in garage.machines.items()}
        for machine in garage.machines.values():
            if machine.online:
                machine.power_kw = 0.0
        helped = not self._above(branch, 0.93)
        for device, power_kw in powers.items():
            garage.machines[device].power_kw = power_kw
        return helped


def made(chance: random.Random) -> Garage:
    assets: list[dict[str, Any]] = []
    for number in range(chance.randint(2, 8)):
        phases = chance.choice(["L1L2L3", "L1", "L2", "L3"])
        more: dict[str, Any] = {"branch": "works"} if chance.random() < 0.2 else {}
        if chance.random() < 0.2:
            more |= {"point": "active_power_setpoint_kw", "discharge_kw": 7.0}
        assets.append(pile(f"p{number}", phases, **more))
    if chance.random() < 0.7:
        assets.append(battery())
    if chance.random() < 0.4:
        assets.append(
            {"name": "pv", "kind": "pv", "branch": "works", "edge": "gw-01", "device": "pv", "point": "active_power_limit_kw", "discharge_kw": 80.0}
        )  # fmt: skip
    inner = {"limit_a": chance.choice([40.0, 63.0, 100.0])}
    if chance.random() < 0.4:
        inner["neutral_limit_a"] = 40.0
    outer: dict[str, Any] = {"limit_kva": chance.choice([100.0, 150.0, 200.0]), "uncontrolled_max_kva": 80.0}
    if chance.random() < 0.4:
        outer["export_limit_kw"] = chance.choice([0.0, 20.0])
    garage = Garage(tree(*assets, garage=inner, **outer))
    tells_s = chance.choice([1, 10, 60])  # piles tell what they take every 10 to 60 s, if at all
    for machine in garage.machines.values():
        if machine.kind == "charger":
            machine.tells_s = tells_s
    return garage


def lived(chance: random.Random, seconds: int) -> Garage:
    garage = made(chance)
    garage.extra["battery"] = {"state_of_charge_percent": 50.0}
    watch = Watch(garage, chance)
    number = 0
    names = [asset.name for asset in garage.circuit.asset]
    garage.load_kw = {"works": chance.uniform(0, 40), "garage": 0.0}
    for _ in range(seconds // 20):
        happens = chance.random()
        if happens < 0.35:
            garage.load_kw["works"] = chance.uniform(0, 70)
        elif happens < 0.5:
            for asset in garage.circuit.asset:
                if asset.kind == "charger":
                    garage.machines[asset.device].wants_kw = chance.choice([0.0, 3.0, 7.0, asset.charge_kw])
                if asset.kind == "pv":
                    garage.machines[asset.device].wants_kw = -chance.uniform(0, 80)
        elif happens < 0.75:
            number += 1
            stays = [
                garage.stay(asset.name, chance.uniform(0.1, 8), chance.uniform(0, 40), gives_back=chance.random() < 0.5)
                for asset in garage.circuit.asset
                if asset.kind == "charger" and chance.random() < 0.7
            ]
            watch.gives_back = {stay.asset for stay in stays if stay.gives_back}
            wishes = [
                garage.wish(name, chance.uniform(-60, 60), chance.randint(10, 300), cap=chance.random() < 0.3)
                for name in names
                if chance.random() < 0.7
            ]
            assert garage.schedule(number, wishes=wishes, stays=stays) == ""
        elif happens < 0.85:
            garage.meters_off = chance.choice([{"incomer"}, {"garage"}, {"incomer", "garage"}])
        else:
            garage.meters_off = set()
            garage.extra["battery"]["state_of_charge_percent"] = chance.choice([5.0, 50.0, 95.0])
        garage.run(20, watch.look)
    return garage


@pytest.mark.parametrize("seed", range(10))
def test_no_random_life_breaks_a_limit(seed: int) -> None:
    garage = lived(random.Random(seed), 240)
    assert sum(machine.writes for machine in garage.machines.values()) <= 240 * len(garage.machines)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1000, 1100))
def test_no_random_life_of_hundreds_breaks_a_limit(seed: int) -> None:
    lived(random.Random(seed), 600)
