"""The three meter maps: addresses and units by the manuals, values by what a balanced three-phase system must satisfy."""

import math
import struct

import pytest

from device_sim.electrical import Counters, measure
from device_sim.modbus.meters import METER_KINDS
from device_sim.modbus.registers import Image
from device_sim.plant import Flow
from device_sim.profile import UJ_PER_KWH

INSTANT_MS = 1_520_175_600_000
# 30 kW and 40 kvar are 50 kVA; 12.345678 kWh in, 2 kWh out, 5 and 1 kvarh, 16 kVAh.
MEASURED = measure(Flow(30_000_000, 40_000_000), INSTANT_MS)
COUNTERS = Counters(12_345_678 * UJ_PER_KWH // 10**6, 2 * UJ_PER_KWH, 5 * UJ_PER_KWH, UJ_PER_KWH, 16 * UJ_PER_KWH)


def image(kind: str) -> Image:
    return METER_KINDS[kind].draw(MEASURED, COUNTERS)


def floats(shown: Image, address: int, count: int) -> tuple[float, ...]:
    return struct.unpack(f">{count}f", shown.read(address, 2 * count))


def test_the_phases_of_a_measurement_add_up() -> None:
    for phases, total in (
        (MEASURED.active_w, 30_000),
        (MEASURED.reactive_var, 40_000),
        (MEASURED.apparent_va, 50_000),
    ):
        assert sum(phases) == pytest.approx(total, rel=1e-12)
    for voltage, current, apparent in zip(MEASURED.voltage_v, MEASURED.current_a, MEASURED.apparent_va, strict=True):
        assert voltage * current == pytest.approx(apparent, rel=1e-12)
    assert MEASURED.total_power_factor == pytest.approx(0.6)
    assert all(factor == pytest.approx(0.6) for factor in MEASURED.power_factor)
    assert all(math.sqrt(3) * 226 < voltage < math.sqrt(3) * 234 for voltage in MEASURED.line_voltage_v)
    assert 49.9 < MEASURED.frequency_hz < 50.1


def test_without_load_the_power_factor_is_one() -> None:
    idle = measure(Flow(), INSTANT_MS)
    assert idle.total_power_factor == 1.0
    assert idle.current_a == (0.0, 0.0, 0.0)
    assert idle.neutral_current_a == 0.0


def test_an_uneven_load_returns_through_the_neutral() -> None:
    one, two, three = MEASURED.current_a
    # The phasor sum of three currents at 120 degrees.
    real = one - two / 2 - three / 2
    imaginary = (two - three) * math.sqrt(3) / 2
    assert MEASURED.neutral_current_a == pytest.approx(math.hypot(real, imaginary), rel=1e-9)


def test_the_pm5560_shows_kilowatts_one_address_below_its_register_numbers() -> None:
    shown = image("schneider_pm5560")
    assert floats(shown, 3054 - 1, 4) == pytest.approx((10.2, 9.9, 9.9, 30.0))
    assert floats(shown, 3062 - 1, 4) == pytest.approx((13.6, 13.2, 13.2, 40.0))
    assert floats(shown, 3070 - 1, 4) == pytest.approx((17.0, 16.5, 16.5, 50.0))
    assert floats(shown, 3000 - 1, 3) == pytest.approx(MEASURED.current_a)
    assert floats(shown, 3020 - 1, 3) == pytest.approx(MEASURED.line_voltage_v)
    assert floats(shown, 3028 - 1, 3) == pytest.approx(MEASURED.voltage_v)
    assert floats(shown, 3084 - 1, 1) == pytest.approx((0.6,))
    assert floats(shown, 3110 - 1, 1) == pytest.approx((MEASURED.frequency_hz,))
    energies = struct.unpack(">10q", shown.read(3204 - 1, 40))
    # Wh: delivered, received, sum, difference; varh likewise; VAh delivered, received.
    assert energies == (12_345, 2000, 14_345, 10_345, 5000, 1000, 6000, 4000, 16_000, 0)


@pytest.mark.parametrize(
    ("active_mw", "reactive_mvar", "expected"),
    [(60, 80, 0.6), (-60, 80, -1.4), (-60, -80, -0.6), (60, -80, 1.4)],  # EAV15107-EN10: quadrants 1 to 4 at |PF| 0.6
)
def test_the_pm5560_codes_the_quadrant_into_its_power_factor(
    active_mw: int, reactive_mvar: int, expected: float
) -> None:
    shown = METER_KINDS["schneider_pm5560"].draw(measure(Flow(active_mw, reactive_mvar), INSTANT_MS), COUNTERS)
    assert floats(shown, 3084 - 1, 1) == pytest.approx((expected,))


def test_the_sdm630_shows_watts_and_float_kilowatt_hours() -> None:
    shown = image("eastron_sdm630")
    assert floats(shown, 0, 3) == pytest.approx(MEASURED.voltage_v)
    assert floats(shown, 6, 3) == pytest.approx(MEASURED.current_a)
    assert floats(shown, 12, 3) == pytest.approx((10_200, 9900, 9900))
    assert floats(shown, 18, 3) == pytest.approx((17_000, 16_500, 16_500))
    assert floats(shown, 24, 3) == pytest.approx((13_600, 13_200, 13_200))
    assert floats(shown, 48, 1) == pytest.approx((sum(MEASURED.current_a),))
    assert [floats(shown, address, 1)[0] for address in (52, 56, 60)] == pytest.approx([30_000, 50_000, 40_000])
    assert floats(shown, 70, 1) == pytest.approx((MEASURED.frequency_hz,))
    assert floats(shown, 72, 5) == pytest.approx((12.345678, 2, 5, 1, 16), rel=1e-7)
    assert floats(shown, 342, 2) == pytest.approx((14.345678, 6), rel=1e-7)
    assert sum(floats(shown, 346, 3)) == pytest.approx(12.345678, rel=1e-6)
    assert floats(shown, 200, 3) == pytest.approx(MEASURED.line_voltage_v)


def test_the_pac3200_shows_watts_and_double_watt_hours() -> None:
    shown = image("siemens_pac3200")
    assert floats(shown, 1, 3) == pytest.approx(MEASURED.voltage_v)
    assert floats(shown, 13, 3) == pytest.approx(MEASURED.current_a)
    assert floats(shown, 19, 9) == pytest.approx((17_000, 16_500, 16_500, 10_200, 9900, 9900, 13_600, 13_200, 13_200))
    assert floats(shown, 55, 1) == pytest.approx((MEASURED.frequency_hz,))
    assert floats(shown, 63, 4) == pytest.approx((50_000, 30_000, 40_000, 0.6))
    energies = struct.unpack(">10d", shown.read(801, 40))
    assert energies == (12_345.678, 0, 2000, 0, 5000, 0, 1000, 0, 16_000, 0)


@pytest.mark.parametrize("kind", sorted(METER_KINDS))
def test_serial_pairs_lie_on_nothing_that_the_map_shows(kind: str) -> None:
    shown = image(kind)
    for address in METER_KINDS[kind].serial_addresses:
        assert shown.read(address, 2) == b"\xff\xff\xff\xff"


def test_what_is_not_simulated_is_no_plausible_number() -> None:
    assert math.isnan(floats(image("eastron_sdm630"), 84, 1)[0])  # total system power demand
    assert math.isnan(floats(image("schneider_pm5560"), 3008 - 1 + 124, 1)[0])


def test_an_image_reads_nothing_outside_its_spans() -> None:
    shown = Image(((10, 2), (20, 2)))
    assert shown.read(10, 2) == b"\0\0\0\0"
    for address, count in ((9, 1), (11, 2), (12, 1), (19, 2), (10, 12)):
        with pytest.raises(LookupError):
            shown.read(address, count)
