"""The shipped meter models: each loads, says where it is from, and gives the values that its manual gives for its words."""

import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from edge_agent import meter
from edge_agent.drivers.modbus.coalesce import TCP_COST, plan
from edge_agent.drivers.modbus.declared import fields
from edge_agent.meter import ModelFault
from wire.block import scaled
from wire.quantities import QUANTITIES

EVERY = meter.shipped()
SHIPPED = [name for name in EVERY if meter.load(name).protocol == "modbus"]


def words(start: int, *values: tuple[int, bytes]) -> bytes:
    """Registers from `start` as bytes, with zeros between the given (address, bytes)."""
    end = max(address + len(data) // 2 for address, data in values)
    image = bytearray(2 * (end - start))
    for address, data in values:
        image[2 * (address - start) : 2 * (address - start) + len(data)] = data
    return bytes(image)


def read(model_name: str, values: Sequence[tuple[int, bytes]]) -> dict[str, float | None]:
    """All quantities of a model whose registers hold `values` and zeros."""
    model = meter.load(model_name)
    seen: dict[str, float | None] = {}
    for request in plan(fields(model), model.limits(), TCP_COST):
        inside = [v for v in values if request.start <= v[0] < request.start + request.count]
        image = words(request.start, (request.start + request.count - 1, b"\0\0"), *inside)
        block = request.decoder.decode("meter", image, 1)
        for quantity, exponent, column in zip(
            block.shape.quantities, block.shape.exponents, block.columns, strict=True
        ):
            seen[quantity] = scaled(column[0], exponent)
    return seen


def f32(value: float) -> bytes:
    return struct.pack(">f", value)


@pytest.mark.parametrize("name", EVERY)
def test_a_shipped_model_loads_and_says_where_every_row_is_from(name: str) -> None:
    model = meter.load(name)
    assert model.manual.title
    assert model.manual.edition
    assert all(row.page or model.manual.url for row in model.row)
    assert model.manual.second_source or not any(row.confirmed for row in model.row)
    assert model.manual.second_source or model.note, "one source alone says so in its note"


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_measures_power_and_an_energy(name: str) -> None:
    quantities = {row.quantity for row in meter.load(name).row}
    assert "active_power_kw" in quantities
    assert quantities & {"energy_import_kwh", "energy_export_kwh"}


def test_the_makers_meters_and_the_sunspec_models_are_shipped() -> None:
    assert set(SHIPPED) == {
        "abb_b23",
        "acrel_adl400",
        "carlo_gavazzi_em21",
        "carlo_gavazzi_em340",
        "chint_dtsu666",
        "eastron_sdm120",
        "eastron_sdm230",
        "eastron_sdm630",
        "eastron_sdm72d_m",
        "eastron_sdm72d_m_2",
        "eltako_dsz15dzmod",
        "finder_7m38",
        "inepro_pro380",
        "janitza_umg96rm",
        "lovato_dmg610",
        "schneider_iem3155",
        "schneider_pm5560",
        "siemens_pac3200",
        "sunspec",
        "sunspec_103",
        "sunspec_203",
        "sunspec_802",
    }


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        # Addresses below are counted by hand from the manuals' register numbers.
        ("eastron_sdm120", [(0x0048, f32(1234.5)), (0x000C, f32(-2300.0))], {"energy_import_kwh": 1234.5, "active_power_kw": -2.3}),
        ("eastron_sdm630", [(0x0034, f32(4500.0)), (0x0046, f32(50.02))], {"active_power_kw": 4.5, "frequency_hz": 50.02}),
        ("schneider_pm5560", [(3060 - 1, f32(321.5)), (3204 - 1, struct.pack(">q", 123456789))], {"active_power_kw": 321.5, "energy_import_kwh": 123456.789}),
        ("schneider_pm5560", [(3208 - 1, struct.pack(">Q", 1 << 63))], {"energy_export_kwh": None}),
        ("schneider_iem3155", [(0x0BF3, f32(17.25)), (0x0C83, struct.pack(">q", 5001))], {"active_power_kw": 17.25, "energy_import_kwh": 5.001}),
        ("siemens_pac3200", [(65, f32(-1500.0)), (801, struct.pack(">d", 2_500_000.0))], {"active_power_kw": -1.5, "energy_import_kwh": 2500.0}),
        ("janitza_umg96rm", [(19026, f32(900.0)), (19068, f32(64000.0))], {"active_power_kw": 0.9, "energy_import_kwh": 64.0}),
        ("abb_b23", [(0x5B14, struct.pack(">i", -150000)), (0x5000, struct.pack(">Q", 98765))], {"active_power_kw": -1.5, "energy_import_kwh": 987.65}),
        ("abb_b23", [(0x5B16, b"\x7f\xff\xff\xff"), (0x5004, b"\xff" * 8)], {"active_power_l1_kw": None, "energy_export_kwh": None}),
        # Low word first: 12345 (Watt x 10) = 0x00003039.
        ("carlo_gavazzi_em340", [(0x0028, b"\x30\x39\x00\x00"), (0x004E, b"\x00\x0a\x00\x00")], {"active_power_kw": 1.2345, "energy_export_kwh": 1.0}),
        ("acrel_adl400", [(362, struct.pack(">i", 3680)), (0x000A, struct.pack(">I", 12345))], {"active_power_kw": 3.68, "energy_import_kwh": 123.45}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_models_registers_give_what_its_manual_says(
    name: str, values: list[tuple[int, bytes]], expected: dict[str, float | None]
) -> None:
    seen = read(name, values)
    assert {quantity: seen[quantity] for quantity in expected} == expected


def test_requests_keep_to_the_fifty_registers_of_the_em340() -> None:
    model = meter.load("carlo_gavazzi_em340")
    assert all(request.count <= 50 for request in plan(fields(model), model.limits(), TCP_COST))


def test_the_sign_of_sunspec_devices_is_turned_to_the_load_sign() -> None:
    for name in ("sunspec_103", "sunspec_802"):
        signs = {row.quantity: row.sign for row in meter.load(name).row}
        assert signs["active_power_kw"] == -1
    assert {row.sign for row in meter.load("sunspec_203").row} == {1}


def test_what_can_be_written_says_how_it_falls_back() -> None:
    for name in SHIPPED:
        for point in meter.load(name).point:
            assert point.fallback in {"device_timer", "watchdog"} or point.meaning, f"{name}.{point.name}"
    assert [point.fallback for point in meter.load("sunspec_103").point] == ["device_timer", "device_timer"]


def test_each_quantity_stands_in_the_closed_table() -> None:
    assert all(row.quantity in QUANTITIES for name in SHIPPED for row in meter.load(name).row)


def test_an_unknown_model_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(
        ModelFault, match=r"a shipped model .* \(did you mean 'schneider_pm5560'\?\), saw 'schneider_pm556'"
    ):
        meter.load("schneider_pm556")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("maker = ", "Invalid value"),
        ("maker = " + "[" * 5000, "expected a few levels"),
        ('maker = "x"\ncolour = "red"\n', r"unknown key 'colour'"),
        ('[[row]]\nquantity = "voltage_l1_v"\ntype = "uint16"\n', r"row\[0\]\.address: expected an address"),
        ('[[row]]\nquantity = "voltage_l1_v"\ntype = "uint16"\naddress = 1\n' * 2, r"row\[1\]\.quantity: expected each quantity once"),
        ('[[row]]\nquantity = "voltage_l1_v"\ntype = "uint16"\nmodel_block = 103\n', r"row\[0\]\.offset: expected an offset"),
        ('no_read = [[4, 5]]\n[[row]]\nquantity = "voltage_l1_v"\ntype = "uint16"\naddress = 5\n', r"row\[0\]\.address: expected registers that one"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_used_says_why(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "model.toml"
    head = 'maker = "x"\nmodel = "x"\nmanual = { title = "x", edition = "1" }\n' if not text.startswith("maker") else ""
    path.write_text(head + text)
    with pytest.raises(ModelFault, match=message):
        meter.load(str(path))


def test_all_wrong_keys_and_types_of_a_model_are_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "oven.toml"
    path.write_text(
        'maker = "x"\nmodel = "x"\nmanual = { title = "x", edition = 2.1 }\ntable = "holdin"\n'
        '[[row]]\nquantity = "active_power_kw"\nadress = 30\ntype = "int32"\n'
    )
    with pytest.raises(ModelFault) as caught:
        meter.load(str(path))
    edition, key, table = str(caught.value).split("; ")
    assert edition == f"{path}: manual.edition: expected str, saw 2.1"
    assert "row[0].adress: expected one of address, " in key
    assert "(did you mean 'address'?)" in key
    assert table == f"{path}: table: expected one of 'holding', 'input', saw 'holdin'"
