"""Sampled values of OCPP as blocks: digits, units, phases, contexts. The messages are those of the standard's examples and of users' logs."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ocpp_station import ENERGY, T0_MS, energy, energy_2, stamp

from edge_agent import meter
from edge_agent.drivers.ocpp.declared import DECLARED, Bus, Model, PilePlan
from edge_agent.drivers.ocpp.meter_values import Columns, entries
from wire.block import Block


def plan(model: str = "ocpp_ac_pile", **device: Any) -> PilePlan:
    one = {"name": "cp1", "model": model, "identity": "CP-1", **device}
    bus = msgspec.convert({"name": "b", "protocol": "ocpp", "host": "127.0.0.1", "device": [one]}, Bus)
    loaded = meter.load(model)
    assert isinstance(loaded, Model)
    made = DECLARED.plan(bus, bus.device[0], loaded)
    assert isinstance(made, PilePlan)
    return made


def sampled(*values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"timestamp": stamp(T0_MS), "sampledValue": list(values)}]


def block(meter_value: Any, model: str = "ocpp_ac_pile", unit: str = "Wh") -> Block | None:
    (entry,) = entries(meter_value, unit)
    return Columns(plan(model)).block(entry, T0_MS)


def columns(block: Block | None) -> dict[str, tuple[int | float | None, int | None]]:
    """Value and exponent by quantity."""
    if block is None:
        return {}
    return {
        quantity: (column[0], exponent)
        for quantity, exponent, column in zip(block.shape.quantities, block.shape.exponents, block.columns, strict=True)
    }


def test_a_value_keeps_the_digits_of_its_text() -> None:
    assert columns(block([energy(T0_MS, 163630)])) == {"energy_import_kwh": (163630, -3)}
    assert columns(block([energy(T0_MS, "163630.25")])) == {"energy_import_kwh": (16363025, -5)}


def test_a_value_without_anything_beside_it_is_imported_energy_in_wh() -> None:
    assert columns(block([{"timestamp": stamp(T0_MS), "sampledValue": [{"value": "100"}]}])) == {
        "energy_import_kwh": (100, -3)
    }


@pytest.mark.parametrize(("unit", "exponent"), [("Wh", -3), ("kWh", 0)])
def test_a_model_says_what_energies_without_a_unit_are_in(unit: str, exponent: int) -> None:
    assert columns(block(sampled({"value": "12", "measurand": ENERGY}), unit=unit)) == {
        "energy_import_kwh": (12, exponent)
    }


def test_a_multiplier_of_2x_is_a_power_of_ten() -> None:
    value = {
        "value": Decimal("1.5"),
        "measurand": "Power.Active.Import",
        "unitOfMeasure": {"unit": "W", "multiplier": 3},
    }
    assert columns(block(sampled(value))) == {"active_power_kw": (15, -1)}
    assert columns(block([energy_2(T0_MS, 12)])) == {"energy_import_kwh": (12, -3)}


def test_a_unit_that_does_not_fit_gives_no_value() -> None:
    made = block(sampled({"value": "12", "measurand": ENERGY, "unit": "A"}))
    assert columns(made) == {"energy_import_kwh": (None, 0)}
    assert made is not None
    assert made.quality[0][0] == 2


def test_the_phases_of_a_power_are_added_where_there_is_no_total() -> None:
    phases = [
        {"value": value, "measurand": "Power.Active.Import", "unit": "W", "phase": phase}
        for phase, value in (("L1", "3144"), ("L2", "3150"), ("L3", "3148.5"))
    ]
    assert columns(block(sampled(*phases)))["active_power_kw"] == (94425, -4)
    total = {"value": "9400", "measurand": "Power.Active.Import", "unit": "W"}
    assert columns(block(sampled(*phases, total)))["active_power_kw"] == (9400, -3)


def test_a_voltage_against_neutral_is_that_of_its_phase() -> None:
    values = sampled(
        {"value": "222.30", "measurand": "Voltage", "phase": "L1-N", "unit": "V"},
        {"value": "228.70", "measurand": "Voltage", "phase": "L2-N", "unit": "V"},
    )
    assert columns(block(values)) == {"voltage_l1_v": (22230, -2), "voltage_l2_v": (22870, -2)}


def test_a_repeated_begin_is_not_the_present_value() -> None:
    """Growatt THOR (lbbrhzn/ocpp issue 1838): both stand in each message, the old one behind."""
    now = {"value": "163630", "context": "Sample.Periodic", "format": "Raw", "measurand": ENERGY, "unit": "Wh"}
    then = {"value": "157440", "context": "Transaction.Begin", "format": "Raw", "measurand": ENERGY, "unit": "Wh"}
    assert columns(block(sampled(now, then), "ocpp_growatt_thor")) == {"energy_import_kwh": (163630, -3)}
    assert columns(block(sampled(then), "ocpp_growatt_thor")) == {"energy_import_kwh": (157440, -3)}


def test_what_is_not_measured_at_the_outlet_is_not_its_reading() -> None:
    inlet = {"value": "99", "measurand": ENERGY, "unit": "Wh", "location": "Inlet"}
    assert block(sampled(inlet)) is None
    vehicle = {"value": "63", "measurand": "SoC", "unit": "Percent", "location": "EV"}
    assert columns(block(sampled(vehicle), "ocpp_dc_pile")) == {"state_of_charge_percent": (63, 0)}


def test_what_is_measured_in_the_body_counts_only_where_nothing_is_at_the_outlet() -> None:
    """A pile that says "Body" of all its values (evcc issue 16966) has no others; beside an outlet's it is something else."""
    body = {"value": "700", "measurand": ENERGY, "unit": "Wh", "location": "Body"}
    assert columns(block(sampled(body))) == {"energy_import_kwh": (700, -3)}
    (entry,) = entries(sampled(body))
    assert entry.energy(ENERGY) == Decimal("0.7")
    outlet = {"value": "600", "measurand": ENERGY, "unit": "Wh", "location": "Outlet"}
    assert columns(block(sampled(outlet, body))) == {"energy_import_kwh": (600, -3)}


def test_giving_back_is_negative_power_and_a_counter_of_its_own() -> None:
    values = sampled(
        {"value": 0, "measurand": "Power.Active.Import"},
        {"value": Decimal("4950.5"), "measurand": "Power.Active.Export"},
        {"value": 2500, "measurand": "Energy.Active.Export.Register"},
    )
    got = columns(block(values, "ocpp_v2g_pile"))
    assert got["active_power_kw"] == (-49505, -4)
    assert got["energy_export_kwh"] == (2500, -3)


def test_finer_digits_make_one_new_shape_and_coarser_ones_none() -> None:
    made = Columns(plan())
    blocks = [made.block(entries([energy(T0_MS, wh)])[0], T0_MS) for wh in ("10", "9.7", "11", "12.5")]
    shapes = [b.shape for b in blocks if b is not None]
    assert shapes[0] != shapes[1]
    assert shapes[1] is shapes[2] is shapes[3]
    assert [b.columns[0][0] for b in blocks if b is not None] == [10, 97, 110, 125]


def test_a_value_beyond_its_range_is_bad_and_not_zero() -> None:
    made = block(sampled({"value": "170", "measurand": "SoC", "unit": "Percent"}), "ocpp_dc_pile")
    assert columns(made) == {"state_of_charge_percent": (None, 0)}
    assert made is not None
    assert made.quality == ((2, 2),)


def test_temperatures_come_in_degrees_celsius() -> None:
    for value, unit, expected in (
        ("20.5", "Celcius", (205, -1)),
        ("293.65", "K", (2050, -2)),
        ("68.9", "Fahrenheit", (2050, -2)),
    ):
        got = block(
            sampled({"value": value, "measurand": "Temperature", "unit": unit, "location": "Body"}), "ocpp_dc_pile"
        )
        assert columns(got)["temperature_degc"] == expected


def test_signed_data_is_no_sample() -> None:
    (entry,) = entries(sampled({"value": "OCMF|{}|{}", "format": "SignedData", "context": "Transaction.End"}))
    assert entry.samples == ()
    assert [(s.text, s.context) for s in entry.signed] == [("OCMF|{}|{}", "Transaction.End")]


def test_a_signed_value_of_2x_stands_beside_its_number() -> None:
    signed = {"signedMeterData": "QUJD", "signingMethod": "ECDSA", "encodingMethod": "OCMF", "publicKey": "S0VZ"}
    (entry,) = entries(sampled({"value": 5, "measurand": ENERGY, "signedMeterValue": signed}))
    assert entry.energy(ENERGY) == Decimal("0.005")
    assert entry.signed[0].text == "QUJD"
    assert entry.signed[0].facts == {"signing_method": "ECDSA", "encoding_method": "OCMF", "public_key": "S0VZ"}


def test_an_energy_is_found_by_its_context() -> None:
    both = energy(T0_MS, 200)
    both["sampledValue"].append({"value": "100", "context": "Transaction.Begin", "measurand": ENERGY})
    (entry,) = entries([both])
    assert entry.energy(ENERGY) == Decimal("0.2")
    assert entry.energy(ENERGY, ("Transaction.Begin",)) == Decimal("0.1")
    assert entry.energy(ENERGY, ("Transaction.End",)) is None


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
keys = st.sampled_from(
    ["timestamp", "sampledValue", "value", "measurand", "unit", "unitOfMeasure", "multiplier", "phase"]
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.dictionaries(keys, json_values | st.lists(st.dictionaries(keys, json_values))), max_size=3)
    | json_values
)
def test_whatever_stands_in_meter_values_makes_a_block_or_none(meter_value: Any) -> None:
    made = Columns(plan("ocpp_v2g_pile"))
    for entry in entries(meter_value):
        got = made.block(entry, T0_MS)
        assert got is None or all(isinstance(column[0], int | None) for column in got.columns)
