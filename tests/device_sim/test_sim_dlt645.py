"""The simulated DL/T 645 and CJ/T 188 meters by their frames alone: who answers, what is refused, what is told to all. Frames are made by hand."""

from datetime import UTC, datetime
from typing import Any

import pytest

from device_sim import cjt188
from device_sim.device import Device
from device_sim.dlt645 import bus as dlt645
from device_sim.faults import Fault, FaultKind
from device_sim.site import load_site

NOON_MS = 1_520_175_600_000 + 12 * 3_600_000  # 2018-03-05T12:00 in Seoul, 11:00 in Shanghai
READ_ENERGY = "68 78 56 34 12 00 00 68 11 04 33 33 34 33 C6 16"


def meters(*kinds: tuple[str, str, dict[str, Any]]) -> list[Device]:
    """Meters at the grid, or at the carrier named second."""
    table = {
        "name": "works",
        "load": {"kind": "synthetic", "base_kw": 40, "peak_kw": 40, "noise_ratio": 0},
        "gas": {"peak_m3_per_h": 40},
        "device": [
            {"name": f"m{number}", "kind": kind, "measures": measures, "bus": "line", "unit": number, **options}
            for number, (kind, measures, options) in enumerate(kinds, 1)
        ],
    }
    plan = load_site({"plant": [table]}).plants[0]
    return [device for _, device in plan.build_devices(plan.build(NOON_MS))]


def summed(bare: str) -> bytes:
    frame = bytes.fromhex(bare)
    return frame + bytes((sum(frame) % 256, 0x16))


def said(line: dlt645.Meters | cjt188.Meters, request: bytes, now_ms: int = NOON_MS) -> str | None:
    answer = line.answer(request, now_ms)
    return None if answer is None else answer.frame.lstrip(b"\xfe").hex(" ").upper()


@pytest.fixture
def line() -> dlt645.Meters:
    return dlt645.Meters(meters(("dlt645_three_phase", "grid", {"address": "12345678", "start_import_kwh": 184230.57})))


def test_an_energy_is_answered_as_the_standard_has_it(line: dlt645.Meters) -> None:
    """184230.57 kWh: 57 30 42 18 low byte first, each + 33H."""
    assert said(line, bytes.fromhex(READ_ENERGY)) == "68 78 56 34 12 00 00 68 91 08 33 33 34 33 8A 63 75 4B F7 16"


def test_a_meter_that_is_not_meant_is_silent(line: dlt645.Meters) -> None:
    assert said(line, summed("68 79 56 34 12 00 00 68 11 04 33 33 34 33")) is None


def test_the_only_meter_tells_its_address(line: dlt645.Meters) -> None:
    asked = bytes.fromhex("68 AA AA AA AA AA AA 68 13 00 DF 16")
    assert said(line, asked) == summed("68 78 56 34 12 00 00 68 93 06 AB 89 67 45 33 33").hex(" ").upper()


def test_two_meters_do_not_both_answer_to_any_address() -> None:
    two = dlt645.Meters(meters(("dlt645_three_phase", "grid", {}), ("dlt645_single_phase", "load", {})))
    assert said(two, bytes.fromhex("68 AA AA AA AA AA AA 68 13 00 DF 16")) is None


def test_one_address_twice_on_a_line_is_refused() -> None:
    with pytest.raises(ValueError, match="each address once"):
        dlt645.Meters(
            meters(("dlt645_three_phase", "grid", {"address": "7"}), ("dlt645_1997", "load", {"address": "0007"}))
        )


@pytest.mark.parametrize("control", ["14", "15", "17", "18", "19", "1A", "1B", "1C"])
def test_whatever_would_change_the_meter_is_refused_as_not_authorised(line: dlt645.Meters, control: str) -> None:
    answer = said(line, summed(f"68 78 56 34 12 00 00 68 {control} 04 33 33 34 33"))
    refused = f"{int(control, 16) | 0xC0:02X}"
    assert answer is not None
    assert answer.split()[8:11] == [refused, "01", "37"]  # 04 + 33H


def test_an_unknown_identifier_is_no_such_data(line: dlt645.Meters) -> None:
    answer = said(line, summed("68 78 56 34 12 00 00 68 11 04 33 33 33 55"))
    assert answer is not None
    assert answer.split()[8:11] == ["D1", "01", "35"]


def test_the_time_that_is_told_to_all_is_taken_over_and_not_answered(line: dlt645.Meters) -> None:
    """2018-03-05T11:00:00: ss mm hh DD MM YY, each + 33H; a clock that had jumped is right again."""
    (device,) = (meter.device for meter in line._meters.values())
    device.begin(Fault(FaultKind.CLOCK_JUMP, clock_s=3600), NOON_MS)
    assert said(line, summed("68 99 99 99 99 99 99 68 08 06 33 33 44 38 36 4B")) is None
    assert line.told("m1") == datetime(2018, 3, 5, 11, 0, 0, tzinfo=UTC)
    assert FaultKind.CLOCK_JUMP not in device.faults.active(NOON_MS)


def test_a_1997_meter_has_identifiers_of_two_bytes() -> None:
    """B630: 40 kW are 40.0000, 00 00 40 low byte first."""
    old = dlt645.Meters(meters(("dlt645_1997", "grid", {"address": "3"})))
    answer = said(old, summed("68 03 00 00 00 00 00 68 01 02 63 E9"))
    assert answer == summed("68 03 00 00 00 00 00 68 81 05 63 E9 33 33 73").hex(" ").upper()


def test_a_power_that_the_display_cannot_hold_is_no_value() -> None:
    small = meters(("dlt645_three_phase", "grid", {"address": "1"}))
    small[0].plant.override_load(100, None)
    answer = said(dlt645.Meters(small), summed("68 01 00 00 00 00 00 68 11 04 33 33 36 35"))
    assert answer is not None
    assert answer.split()[14:17] == ["32", "32", "32"]  # FF + 33H: 79.9999 kW is the most


def test_a_gas_meter_answers_the_published_question() -> None:
    """T 30, identifier 1F 90, SER 07: volume and settlement volume in m3 (2C), clock of 2018-03-05T11:00:00, status 0, and the answer's number."""
    gas = cjt188.Meters(meters(("cjt188_gas", "gas", {"address": "30"})))
    answer = said(gas, summed("68 30 30 00 00 00 00 00 00 01 03 1F 90 07"))
    expected = (
        "68 30 30 00 00 00 00 00 00 81 1A 1F 90 07 00 00 00 00 2C 00 00 00 00 2C 00 00 11 05 03 18 20 00 00 01 00 00 00"
    )
    assert answer == summed(expected).hex(" ").upper()


def test_a_gas_meter_of_another_type_is_silent_and_a_valve_is_never_moved() -> None:
    gas = cjt188.Meters(meters(("cjt188_gas", "gas", {"address": "30"})))
    assert said(gas, summed("68 10 30 00 00 00 00 00 00 01 03 1F 90 07")) is None
    refused = said(gas, summed("68 30 30 00 00 00 00 00 00 04 04 17 A0 07 99"))
    assert refused is not None
    assert refused.split()[9:14] == ["C4", "03", "07", "00", "00"]
