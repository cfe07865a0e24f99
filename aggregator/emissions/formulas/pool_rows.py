"""Formulas of carbon pools: storage, vehicles, the mix that reaches a site's loads. The calculations stand in `pools`."""

from typing import Final

from aggregator.emissions.formulas import pools
from aggregator.emissions.formulas.declared import Formula, Input

_CHARGE: Final = Input("charge_kwh", "kWh", "AC energy of each charge", "numbers")
_FACTOR: Final = Input("factor_kg_per_kwh", "kg/kWh", "emission factor at each charge", "numbers")
_IN: Final = Input("charge_efficiency_ratio", "1", "DC stored per AC charged")
_OUT: Final = Input("discharge_efficiency_ratio", "1", "AC delivered per DC drawn")

POOLS: Final = (
    Formula(
        "storage-pool",
        "what a battery gives back carries, losses included",
        "delivered kg = pool kg x drawn / stored; drawn = delivered / discharge efficiency",
        "GHG Protocol Scope 2 Guidance: scope 2 stays grid meter x factor; EnergyTag storage records: the pool allocates below it",
        (_CHARGE, _FACTOR, _IN, _OUT, Input("delivered_kwh", "kWh", "AC energy discharged")),
        pools.storage_pool,
    ),
    Formula(
        "vehicle-to-grid",
        "a charging session that gives energy back, and what that avoids",
        "avoided = discharge x marginal - attributable charge x marginal; session = charged - exported",
        "GHG Protocol Guidelines for Grid-Connected Electricity Projects (avoided emissions are marginal and stand apart)",
        (
            _CHARGE,
            _FACTOR,
            _IN,
            _OUT,
            Input("discharge_kwh", "kWh", "AC energy given back"),
            Input("arrival_kwh", "kWh", "DC energy that the vehicle brought", optional=True),
            Input("marginal_charge_kg_per_kwh", "kg/kWh", "marginal factor at each charge", "numbers", optional=True),
            Input("marginal_discharge_kg_per_kwh", "kg/kWh", "marginal factor at the discharge", optional=True),
        ),
        pools.vehicle_to_grid,
    ),
    Formula(
        "site-mix",
        "what reaches a site's loads beside PV, interval by interval, and a charging session in it",
        "intensity = import x factor / load; session = sum of EV x intensity",
        "GHG Protocol Scope 2 Guidance: own generation used on site has no scope 2, and export is not netted",
        (
            Input("import_kwh", "kWh", "grid import of each interval", "numbers"),
            Input("pv_kwh", "kWh", "PV generation of each interval", "numbers"),
            Input("load_kwh", "kWh", "all loads of each interval, charging among them", "numbers"),
            Input("factor_kg_per_kwh", "kg/kWh", "emission factor of the grid in each interval", "numbers with holes"),
            Input("ev_kwh", "kWh", "charging in each interval", "numbers", optional=True),
        ),
        pools.site_mix,
    ),
)
