"""The closed table of quantities: what can be measured, in which unit, and how its values behave. Not where it is read.

One unit per quantity in the whole tree, and the unit is in the name. The sign is the load sign everywhere: import and
charging positive, generation and discharging negative; counters of either direction are never negative.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """How values of a quantity behave over time."""

    GAUGE = "gauge"  # true at an instant; may be averaged
    COUNTER = "counter"  # cumulative; only differences mean anything
    STATE = "state"  # a code or a set value; never averaged


class Carrier(StrEnum):
    """What flows, or where the quantity belongs when nothing flows."""

    ELECTRICITY = "electricity"
    GAS = "gas"
    WATER = "water"
    HEAT = "heat"
    COOLING = "cooling"
    OIL = "oil"
    FLUE_GAS = "flue_gas"
    WEATHER = "weather"
    DEVICE = "device"


@dataclass(frozen=True, slots=True)
class Quantity:
    """One row of the table. `low` and `high` bound what is physically possible anywhere, in `unit`."""

    name: str
    unit: str
    kind: Kind
    carrier: Carrier
    low: float
    high: float


_POWER_KW: Final = 2e6  # the largest single plant connections are below 2 GW
_ENERGY_KWH: Final = 1e13  # beyond a 64-bit Wh counter's useful range


def _phases(template: str) -> tuple[str, ...]:
    return tuple(template.format(phase) for phase in ("l1", "l2", "l3"))


def _rows() -> list[Quantity]:
    electricity, device = Carrier.ELECTRICITY, Carrier.DEVICE
    rows: list[Quantity] = []

    def add(names: tuple[str, ...], unit: str, kind: Kind, carrier: Carrier, low: float, high: float) -> None:
        rows.extend(Quantity(name, unit, kind, carrier, low, high) for name in names)

    gauge, counter, state = Kind.GAUGE, Kind.COUNTER, Kind.STATE
    add(("active_power_kw", *_phases("active_power_{}_kw")), "kW", gauge, electricity, -_POWER_KW, _POWER_KW)
    add(("reactive_power_kvar", *_phases("reactive_power_{}_kvar")), "kvar", gauge, electricity, -_POWER_KW, _POWER_KW)
    add(("apparent_power_kva", *_phases("apparent_power_{}_kva")), "kVA", gauge, electricity, 0, _POWER_KW)
    add(("power_factor_ratio", *_phases("power_factor_{}_ratio")), "1", gauge, electricity, -1, 1)
    add(
        ("voltage_v", *_phases("voltage_{}_v"), "voltage_l1_l2_v", "voltage_l2_l3_v", "voltage_l3_l1_v"),
        "V",
        gauge,
        electricity,
        0,
        1e6,
    )
    add(("current_a", *_phases("current_{}_a"), "current_neutral_a"), "A", gauge, electricity, -1e5, 1e5)
    add(("frequency_hz",), "Hz", gauge, electricity, 0, 500)
    add((*_phases("voltage_thd_{}_percent"), *_phases("current_thd_{}_percent")), "%", gauge, electricity, 0, 1000)
    add(("demand_kw", "demand_max_kw"), "kW", gauge, electricity, -_POWER_KW, _POWER_KW)
    add(("dc_power_kw",), "kW", gauge, electricity, -_POWER_KW, _POWER_KW)
    add(("dc_voltage_v",), "V", gauge, electricity, -1e5, 1e5)
    add(("dc_current_a",), "A", gauge, electricity, -1e5, 1e5)
    for n in (1, 2, 3, 4):  # the trackers of a PV inverter
        add((f"dc_input_{n}_power_kw",), "kW", gauge, electricity, -_POWER_KW, _POWER_KW)
        add((f"dc_input_{n}_voltage_v",), "V", gauge, electricity, -1e5, 1e5)
        add((f"dc_input_{n}_current_a",), "A", gauge, electricity, -1e5, 1e5)
    add(
        (
            "energy_import_kwh",
            "energy_export_kwh",
            *_phases("energy_import_{}_kwh"),
            *_phases("energy_export_{}_kwh"),
            *(f"energy_import_tariff_{n}_kwh" for n in (1, 2, 3, 4)),
        ),
        "kWh",
        counter,
        electricity,
        0,
        _ENERGY_KWH,
    )
    add(("reactive_energy_import_kvarh", "reactive_energy_export_kvarh"), "kvarh", counter, electricity, 0, _ENERGY_KWH)
    add(("apparent_energy_kvah",), "kVAh", counter, electricity, 0, _ENERGY_KWH)

    add(("gas_volume_m3",), "m3", counter, Carrier.GAS, 0, 1e12)
    add(("gas_volume_normal_m3",), "Nm3", counter, Carrier.GAS, 0, 1e12)
    add(("gas_flow_m3_per_h",), "m3/h", gauge, Carrier.GAS, -1e7, 1e7)
    add(("gas_pressure_kpa",), "kPa", gauge, Carrier.GAS, 0, 1e5)
    add(("gas_temperature_degc",), "degC", gauge, Carrier.GAS, -100, 500)
    add(("water_volume_m3",), "m3", counter, Carrier.WATER, 0, 1e12)
    add(("water_flow_m3_per_h",), "m3/h", gauge, Carrier.WATER, -1e6, 1e6)
    add(("water_temperature_degc",), "degC", gauge, Carrier.WATER, -50, 300)
    for carrier in (Carrier.HEAT, Carrier.COOLING):
        add((f"{carrier}_energy_kwh",), "kWh", counter, carrier, 0, _ENERGY_KWH)
        add((f"{carrier}_volume_m3",), "m3", counter, carrier, 0, 1e12)
        add((f"{carrier}_power_kw",), "kW", gauge, carrier, -_POWER_KW, _POWER_KW)
        add((f"{carrier}_flow_m3_per_h",), "m3/h", gauge, carrier, -1e6, 1e6)
        add(
            (f"{carrier}_supply_temperature_degc", f"{carrier}_return_temperature_degc"),
            "degC",
            gauge,
            carrier,
            -100,
            600,
        )
    add(("flue_gas_co2_kg",), "kg", counter, Carrier.FLUE_GAS, 0, 1e13)  # CO2 that a stack let off
    add(("oil_volume_l",), "L", counter, Carrier.OIL, 0, 1e13)
    add(("oil_flow_l_per_h",), "L/h", gauge, Carrier.OIL, -1e7, 1e7)
    add(("oil_temperature_degc",), "degC", gauge, Carrier.OIL, -100, 500)

    add(("outdoor_temperature_degc", "module_temperature_degc"), "degC", gauge, Carrier.WEATHER, -100, 150)
    add(("irradiance_w_per_m2",), "W/m2", gauge, Carrier.WEATHER, 0, 2000)
    add(("wind_speed_m_per_s",), "m/s", gauge, Carrier.WEATHER, 0, 150)
    add(("wind_direction_deg",), "deg", gauge, Carrier.WEATHER, 0, 360)
    add(("humidity_percent",), "%", gauge, Carrier.WEATHER, 0, 100)
    add(("air_pressure_hpa",), "hPa", gauge, Carrier.WEATHER, 300, 1200)

    # A building's plant: air handling, chillers, lighting, rooms.
    add(
        ("supply_air_temperature_degc", "return_air_temperature_degc", "room_temperature_degc"),
        "degC",
        gauge,
        device,
        -100,
        300,
    )
    add(("temperature_setpoint_degc",), "degC", state, device, -100, 300)
    add(
        ("fan_speed_percent", "valve_position_percent", "damper_position_percent", "light_level_percent"),
        "%",
        gauge,
        device,
        0,
        100,
    )
    add(("capacity_percent",), "%", gauge, device, 0, 200)
    add(("capacity_setpoint_percent",), "%", state, device, 0, 200)
    add(("air_flow_m3_per_h",), "m3/h", gauge, device, -1e7, 1e7)
    add(("duct_pressure_pa",), "Pa", gauge, device, -1e5, 1e5)
    add(("illuminance_lx",), "lx", gauge, device, 0, 2e5)
    add(("co2_ppm",), "ppm", gauge, device, 0, 1e6)

    add(("state_of_charge_percent", "state_of_health_percent"), "%", gauge, device, 0, 100)
    add(("state_of_energy_kwh",), "kWh", gauge, device, 0, 1e9)
    add(("charge_limit_kw", "discharge_limit_kw"), "kW", gauge, device, 0, _POWER_KW)
    add(("current_offered_a",), "A", gauge, device, 0, 1e5)
    add(("profile_writes",), "1", counter, device, 0, 2**53)  # charging profiles written: they wear a pile's flash
    add(
        ("temperature_degc", "cell_temperature_max_degc", "cell_temperature_min_degc"),
        "degC",
        gauge,
        device,
        -100,
        1000,
    )
    add(("cell_voltage_max_v", "cell_voltage_min_v"), "V", gauge, device, 0, 1000)
    add(("cycle_count",), "1", state, device, 0, 1e9)
    add(("operating_state", "alarm_code", "vendor_event_code"), "1", state, device, 0, 2**53)
    add(("active_power_setpoint_kw",), "kW", state, device, -_POWER_KW, _POWER_KW)
    add(("active_power_limit_percent",), "%", state, device, 0, 100)
    add(("part_count",), "1", counter, device, 0, 2**53)  # what a machine has made, for energy per part
    # The judge of "nothing is lost": a simulator numbers its answers and each block that reads the register carries the number.
    add(tuple(f"answer_serial_{n}" for n in (1, 2, 3, 4)), "1", counter, device, 0, 2**53)

    # The gateway as a meter: the machine (host_*), the agent on it (agent_*), its spool and its traffic.
    add(("host_cpu_percent", "host_disk_used_percent"), "%", gauge, device, 0, 100)
    add(("agent_cpu_percent",), "%", gauge, device, 0, 1e6)  # of one core
    add(("host_memory_mib", "agent_memory_mib"), "MiB", gauge, device, 0, 1e7)
    add(("host_temperature_degc",), "degC", gauge, device, -100, 200)
    add(("host_disk_free_bytes",), "B", gauge, device, 0, 1e18)
    add(("spool_batches", "spool_bytes"), "1", gauge, device, 0, 1e15)
    add(("spool_oldest_s",), "s", gauge, device, 0, 1e10)
    add(("sent_bytes", "flash_written_bytes", "agent_written_bytes"), "B", counter, device, 0, 1e18)
    add(("sealed_readings",), "1", counter, device, 0, 2**53)
    add(
        ("emitted_kg_co2e",), "kg", counter, device, 0, 1e12
    )  # of the gateway's own electricity, where its intensity is declared
    return rows


QUANTITIES: Final[dict[str, Quantity]] = {row.name: row for row in _rows()}
