"""Addresses, units, statuses and stamps of OPC UA as text and numbers: no connection is made here."""

import contextlib
import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent import meter
from edge_agent.drivers.arrivals import Arrival, Arrivals, Window, instant
from edge_agent.drivers.opcua import address, declared, units, values
from edge_agent.drivers.opcua.address import OPC_UA, AddressFault, NodeAddress, PathAddress
from wire.reading import REASON_CODES, Quality

PLANT = {"": "urn:plant", "m": "urn:machine"}
GOOD, UNCERTAIN, BAD = int(Quality.GOOD), int(Quality.UNCERTAIN), int(Quality.BAD)


def test_a_node_id_carries_the_uri_of_its_namespace() -> None:
    found = address.node("nsu=urn:plant:line;s=Press1.Power;x", {})
    assert found == NodeAddress("urn:plant:line", "Press1.Power;x")
    assert address.node(str(found), {}) == found


@pytest.mark.parametrize(
    ("text", "identifier"),
    [
        ("i=2258", 2258),
        ("s=a=b", "a=b"),
        ("g=72962b91-fa75-4ae6-8d28-b404dc7daf63", None),
        ("b=M/RbKBsRVkePCePcx24oRA==", None),
    ],
)
def test_the_four_kinds_of_identifiers_are_read_and_written(text: str, identifier: object) -> None:
    found = address.node(text, PLANT)
    assert found.namespace == "urn:plant"
    assert identifier is None or found.identifier == identifier
    assert address.node(str(found), {}) == found


@pytest.mark.parametrize(
    "text",
    ["ns=2;s=a", "nsu=;s=a", "nsu=urn:x", "i=-1", "i=4294967296", "s=", "g=1", "b=!", "x=1", "", "i=" + "9" * 5000],
)
def test_what_is_no_node_id_is_said_in_one_sentence(text: str) -> None:
    with pytest.raises(AddressFault, match=r"expected .*, saw "):
        address.node(text, PLANT)


def test_a_path_is_names_with_prefixes_and_quotes() -> None:
    assert address.path("Machines/m:Press 1/a&/b&:c", PLANT) == (
        ("urn:plant", "Machines"),
        ("urn:machine", "Press 1"),
        ("urn:plant", "a/b:c"),
    )
    assert address.path("Server", {}) == ((OPC_UA, "Server"),)


@pytest.mark.parametrize("text", ["", "a//b", "x:a", "/a", "a/" * 65 + "a"])
def test_what_is_no_path_is_said_in_one_sentence(text: str) -> None:
    with pytest.raises(AddressFault, match=r"expected .*, saw "):
        address.path(text, PLANT)


def test_a_row_stands_behind_the_root_of_its_device() -> None:
    assert address.located(None, "Power", "Line/Press1", PLANT) == PathAddress(
        None, (("urn:plant", "Line"), ("urn:plant", "Press1"), ("urn:plant", "Power"))
    )
    assert address.located(None, "Power", "nsu=urn:other;i=7", PLANT) == PathAddress(
        NodeAddress("urn:other", 7), (("urn:plant", "Power"),)
    )
    assert address.located("s={root}.Power", None, "Press1", PLANT) == NodeAddress("urn:plant", "Press1.Power")


@given(st.text(max_size=80), st.dictionaries(st.text(max_size=4), st.text(max_size=8), max_size=3))
def test_any_text_is_an_address_or_a_fault(text: str, namespaces: Mapping[str, str]) -> None:
    for parse in (address.node, address.path):
        with contextlib.suppress(AddressFault):
            parse(text, namespaces)


def test_unit_ids_are_the_unece_code_as_a_number() -> None:
    # OPC 34100, table 25: 5723220 is W, 5720146 is W.h
    assert (units.code_of(5723220), units.code_of(5720146)) == ("WTT", "WHR")
    assert units.exponent("active_power_kw", 5723220, "W") == -3
    assert units.exponent("energy_import_kwh", 5720146, "W·h") == -3
    assert units.exponent("energy_import_kwh", None, "MWh") == 3
    assert units.exponent("active_power_kw", None, "MW") == 3
    assert units.exponent("gas_pressure_kpa", None, "bar") == 2  # 1 bar is 100 kPa


def test_units_that_do_not_fit_are_not_converted() -> None:
    assert units.exponent("active_power_kw", 5720146, "W·h") is None
    assert units.exponent("active_power_kw", None, "horse") is None
    assert units.exponent("active_power_kw", 2**31, "") is None


# The codes are those of OPC 10000-6, annex A.2 (StatusCode.csv).
@pytest.mark.parametrize(
    ("code", "quality", "reason"),
    [
        (0x00000000, GOOD, ""),
        (0x002F0000, GOOD, ""),  # GoodOverload
        (0x00960000, UNCERTAIN, "manual"),  # GoodLocalOverride
        (0x40900000, UNCERTAIN, "frozen"),  # UncertainLastUsableValue
        (0x40940000, UNCERTAIN, "out-of-range"),  # UncertainEngineeringUnitsExceeded
        (0x40930000, UNCERTAIN, "device-fault"),  # UncertainSensorNotAccurate
        (0x808B0000, BAD, "device-fault"),  # BadDeviceFailure
        (0x808C0000, BAD, "device-fault"),  # BadSensorFailure
        (0x80340000, BAD, "not-implemented"),  # BadNodeIdUnknown
        (0x803C0000, BAD, "out-of-range"),  # BadOutOfRange
        (0x80310000, BAD, "device-fault"),  # BadNoCommunication
        (0xC0000000, BAD, "device-fault"),
    ],
)
def test_a_status_code_is_a_quality_with_a_reason(code: int, quality: int, reason: str) -> None:
    assert values.quality_of(code) == (quality, REASON_CODES[reason])


def test_the_overflow_bit_tells_of_values_that_the_server_lost() -> None:
    assert values.overflowed(0x00000480)
    assert not values.overflowed(0x00000080)  # the bit means nothing without the info type
    assert values.quality_of(0x00000480) == (GOOD, 0)


def item(**keys: Any) -> declared.Item:
    base: dict[str, Any] = {
        "quantity": "active_power_kw",
        "address": NodeAddress("urn:x", 1),
        "exponent": 0,
        "sign": 1,
        "low": -2e6,
        "high": 2e6,
        "counter": False,
    }
    return declared.Item(**{**base, **keys})


def test_integers_keep_all_their_digits() -> None:
    counter = item(low=0, high=1e13)
    assert values.value_of(counter, 9007199254740993, False, -3) == (9007199254740993, -3, (GOOD, 0))


def test_a_32_bit_float_has_the_digits_that_its_maker_meant() -> None:
    (single,) = struct.unpack("<f", struct.pack("<f", 233.4))
    assert values.value_of(item(), single, True, 0)[0] == 233.4
    assert values.value_of(item(), single, True, -3)[0] == 0.2334


def test_a_64_bit_float_is_scaled_without_invented_digits() -> None:
    assert values.value_of(item(), 70416.1, False, -3)[0] == 70.4161
    assert values.value_of(item(sign=-1), 5.0, False, 0)[0] == -5.0


@pytest.mark.parametrize(
    "raw", [None, "12", b"12", [1.0], {"a": 1}, float("nan"), float("inf"), datetime.now(UTC), object(), "x" * 100_000]
)
def test_what_cannot_be_measured_is_no_value(raw: object) -> None:
    value, _, (quality, reason) = values.value_of(item(), raw, False, 0)
    assert (value, quality, reason) == (None, BAD, REASON_CODES["not-implemented"])


def test_a_value_beyond_the_plausible_is_no_value() -> None:
    assert values.value_of(item(high=10.0), 11.0, False, 0) == (None, None, (BAD, REASON_CODES["out-of-range"]))
    assert values.value_of(item(high=10.0), 11_000, False, -3) == (None, -3, (BAD, REASON_CODES["out-of-range"]))
    assert values.value_of(item(), 2**63, False, 0)[0] is None


def test_a_phase_is_taken_from_an_array_or_from_a_structure() -> None:
    assert values.value_of(item(element=1), [1.0, 2.5, 3.0], False, 0)[0] == 2.5
    assert values.value_of(item(element=3), [1.0, 2.5, 3.0], False, 0)[0] is None
    body = struct.pack("<3f", 230.1, 231.2, 232.3)
    assert values.value_of(item(offset=4), body, False, 0)[0] == 231.2
    assert values.value_of(item(offset=12), body, False, 0)[0] is None


def test_a_boolean_is_one_or_zero() -> None:
    assert values.value_of(item(), True, False, 0) == (1, 0, (GOOD, 0))


def test_stamps_are_utc_milliseconds_and_the_null_stamp_is_none() -> None:
    assert values.milliseconds(datetime(2024, 3, 5, 12, 0, 0, 123_999, tzinfo=UTC)) == 1_709_640_000_123
    assert values.milliseconds(datetime(2024, 3, 5, 12)) == 1_709_640_000_000  # noqa: DTZ001 the library's older stamps
    assert values.milliseconds(datetime(2024, 3, 5, 13, tzinfo=timezone(timedelta(hours=1)))) == 1_709_640_000_000
    assert values.milliseconds(datetime(1601, 1, 1, tzinfo=UTC)) is None
    assert values.milliseconds(None) is None


def test_the_first_stamp_that_can_be_true_is_the_instant() -> None:
    window = Window(before_ms=60_000, ahead_ms=5_000)
    now = 1_000_000_000
    assert instant(window, now, now - 300, now - 100) == (now - 300, True)
    assert instant(window, now, now + 3_600_000, now - 100) == (now - 100, False)
    assert instant(window, now, now + 3_600_000, now + 3_600_000) == (now, False)
    assert instant(window, now, None, now - 100) == (now - 100, True)
    assert instant(window, now, None, None) == (now, True)


def test_the_instants_of_a_quantity_only_rise() -> None:
    arrivals = Arrivals("d")
    arrivals.add([Arrival("voltage_v", 9000, 1.0), Arrival("frequency_hz", 9000, 50.0)])
    arrivals.add([Arrival("voltage_v", 7000, 2.0), Arrival("frequency_hz", 9010, 51.0)])
    arrivals.add([Arrival("frequency_hz", 9010, 52.0)])
    blocks, lost = arrivals.take()
    assert lost == 0
    seen = [(q, b.at_ms[0], c[0]) for b in blocks for q, c in zip(b.shape.quantities, b.columns, strict=True)]
    assert seen == [
        ("voltage_v", 9000, 1.0),
        ("frequency_hz", 9000, 50.0),
        ("voltage_v", 9001, 2.0),
        ("frequency_hz", 9010, 51.0),
        ("frequency_hz", 9011, 52.0),
    ]
    assert blocks[1].quality == ((UNCERTAIN, REASON_CODES["clock"]),)
    assert blocks[3].quality == ()  # a stamp that repeats within a second is one of whole seconds


def test_a_buffer_that_nobody_reads_forgets_the_oldest_and_says_how_many() -> None:
    arrivals = Arrivals("d", max_readings=10)
    for at in range(1000):
        arrivals.add([Arrival("voltage_v", at + 1, float(at))])
    blocks, lost = arrivals.take()
    assert (len(blocks), lost) == (10, 990)
    assert blocks[0].columns == ((990.0,),)
    assert arrivals.take() == ([], 0)


OPCUA_MODELS = [path.stem for path in meter.DIRECTORY.glob("*.toml") if 'protocol = "opcua"' in path.read_text("utf-8")]


@pytest.mark.parametrize("name", OPCUA_MODELS)
def test_a_shipped_model_can_be_planned_at_any_root(name: str) -> None:
    model = meter.load(name)
    assert isinstance(model, declared.Model)
    for root in ("Line/Press1", "nsu=urn:plant;s=Press1"):
        device = declared.Device(name="d", model=name, root=root)
        planned = declared.plan(None, device, model)
        assert len(planned.items) == len(model.row)
        assert planned.has_counters


def test_there_are_models_of_opc_ua() -> None:
    assert {"opc34100_energy_e2", "opc34100_energy_e3", "opc30141_profienergy_e3", "euromap83_energy"} <= set(
        OPCUA_MODELS
    )


def bus(**keys: Any) -> declared.Bus:
    base: dict[str, Any] = {"name": "b", "protocol": "opcua", "url": "opc.tcp://127.0.0.1:4840", "device": []}
    return msgspec.convert({**base, **keys}, declared.Bus)


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({"url": "http://10.0.0.1"}, "url"),
        ({"url": "opc.tcp://user:secret@10.0.0.1:4840"}, "url"),
        ({"url": "opc.tcp://:4840"}, "url"),
        ({"url": "opc.tcp://h:99999999"}, "url"),
        ({"security": "Basic256Sha256", "trust_first_use": True}, "certificate"),
        ({"security": "Basic256Sha256", "certificate": "a", "key": "b"}, "server_certificate"),
        (
            {"security": "Basic256Sha256", "certificate": "a", "key": "b", "server_ca": "c", "trust_first_use": True},
            "server_certificate",
        ),
        ({"url": "opc.tcp://10.0.0.1", "username": "me"}, "username"),
        ({"device": [{"name": "d", "model": "m", "root": "ns=2;s=x"}]}, "device[0].root"),
    ],
)
def test_keys_of_a_bus_that_do_not_go_together_are_named(keys: dict[str, Any], key: str) -> None:
    assert [fault[0] for fault in declared.faults(bus(**keys))] == [key]


def test_a_bus_without_fault_has_none_and_its_place_is_the_server() -> None:
    plain = bus(url="opc.tcp://Plant-PLC/line/", username=None)
    assert list(declared.faults(plain)) == []
    assert declared.place(plain) == "plant-plc:4840/line"
    assert list(declared.faults(bus(username="me"))) == []  # to this machine
    secured = bus(security="Basic256Sha256", certificate="a", key="b", server_certificate="c", username="me")
    assert list(declared.faults(secured)) == []


@pytest.mark.parametrize(
    ("row", "key"),
    [
        ({"quantity": "voltage_v"}, "path"),
        ({"quantity": "voltage_v", "node": "s=a", "path": "a"}, "node"),
        ({"quantity": "voltage_v", "node": "ns=3;s=a"}, "node"),
        ({"quantity": "voltage_v", "path": "q:a"}, "path"),
        ({"quantity": "volts", "path": "a"}, "quantity"),
        ({"quantity": "voltage_v", "path": "a", "element": 1, "offset": 0}, "element"),
    ],
)
def test_rows_that_cannot_be_are_named(row: dict[str, Any], key: str) -> None:
    model = meter.load("opcua_machine")
    assert isinstance(model, declared.Model)
    assert [fault[1] for fault in declared.row_faults(model, [msgspec.convert(row, declared.Row)])] == [key]
