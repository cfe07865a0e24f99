"""The table [plant.hvac] of a site file. Not the building itself (`hvac`)."""

from dataclasses import dataclass

from device_sim.hvac import Hvac, Task
from device_sim.site_table import Table


@dataclass(frozen=True, slots=True)
class HvacPlan:
    """A building with what heats or cools it, in the order of `Hvac.build`."""

    power_kw: float
    cop_ratio: float
    capacity_kwh_per_k: float
    loss_kw_per_k: float
    gains_kw: float
    low_degc: float
    high_degc: float
    outdoor_degc: float
    swing_k: float
    task: Task

    def build(self) -> Hvac:
        """The building in the middle of its comfort band."""
        return Hvac.build(
            self.power_kw, self.cop_ratio, self.capacity_kwh_per_k, self.loss_kw_per_k, self.gains_kw, self.low_degc, self.high_degc, self.outdoor_degc,
            self.swing_k, self.task,
        )  # fmt: skip


def hvac_plan(plant: Table) -> HvacPlan | None:
    """The building that a plant's table names."""
    table = plant.table("hvac")
    if table is None:
        return None
    task = Task(table.text("task", Task.COOLING.value, choices=tuple(Task)))
    cooling = task is Task.COOLING
    plan = HvacPlan(
        table.number("power_kw", None, 0.1, 1e5),
        table.number("cop_ratio", 3.5, 0.5, 10),
        table.number("capacity_kwh_per_k", None, 0.01, 1e6),
        table.number("loss_kw_per_k", None, 0.001, 1e5),
        table.number("gains_kw", 0.0, 0, 1e5),
        table.number("low_degc", 22.0 if cooling else 19.0, -40, 60),
        table.number("high_degc", 26.0 if cooling else 23.0, -40, 60),
        table.number("outdoor_degc", 30.0 if cooling else 2.0, -60, 60),
        table.number("swing_k", 5.0, 0, 30),
        task,
    )
    if plan.high_degc < plan.low_degc + 1:
        table.fault("high_degc", f"at least 1 above low_degc ({plan.low_degc:g})", f"{plan.high_degc:g}")
    table.finish()
    return plan
