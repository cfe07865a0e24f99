"""What a wrongly installed meter shows, register by register, and which options it refuses."""

import struct
from typing import Any

import pytest

from device_sim.miswiring import Miswiring
from device_sim.site import load_site


def registers(**options: Any) -> Any:
    """The registers of a Siemens PAC3200 at a plant of 60 kW, an hour after its start."""
    device = {"name": "process", "kind": "siemens_pac3200", "measures": "load", "start_import_kwh": 500, **options}
    load = {"kind": "synthetic", "base_kw": 60, "peak_kw": 60, "noise_ratio": 0, "power_factor": 1.0}
    site = load_site({"plant": [{"name": "works", "load": load, "device": [device]}]})
    plan = site.plants[0]
    ((_, meter),) = plan.build_devices(plan.build(0))
    return meter.image(3_600_000)


def floats(image: Any, address: int, count: int = 3) -> tuple[float, ...]:
    return struct.unpack(f">{count}f", image.read(address, 2 * count))


def energy_wh(image: Any) -> float:
    return float(struct.unpack(">d", image.read(801, 4))[0])


def test_a_right_installation_shows_the_plant() -> None:
    """60 kW split 34, 33, 33; 500 kWh and one hour of 60 kW."""
    image = registers()
    assert floats(image, 25) == (20_400.0, 19_800.0, 19_800.0)
    assert energy_wh(image) == 560_000.0


def test_a_turned_transformer_counts_its_phase_the_other_way() -> None:
    image = registers(reversed_ct=[2])
    assert floats(image, 25) == (20_400.0, -19_800.0, 19_800.0)
    assert floats(image, 65, 1) == (20_400.0,)


def test_exchanged_currents_and_ratios_show_in_their_registers() -> None:
    true = floats(registers(), 13)
    assert floats(registers(swapped_currents=True), 13) == (true[1], true[0], true[2])
    assert floats(registers(current_ratio=10.0), 13) == pytest.approx([10 * value for value in true], rel=1e-6)
    assert floats(registers(power_ratio=10.0), 25) == (204_000.0, 198_000.0, 198_000.0)
    assert energy_wh(registers(energy_ratio=10.0)) == 5_600_000.0


def test_a_counter_that_goes_backwards_does() -> None:
    assert energy_wh(registers(counts_backwards=True)) == pytest.approx(1e18 / 3.6e9 - 560_000.0)


def test_fixed_values_and_raw_words_stand_where_they_were_put() -> None:
    image = registers(frequency_hz=5.0, frozen_voltage_v=231.0, registers={"13": [0x7FC0, 0]})
    assert floats(image, 55, 1) == (5.0,)
    assert floats(image, 1, 1) == (231.0,)
    assert image.read(13, 2) == bytes.fromhex("7FC00000")


def test_swapped_words_turn_each_value_round_and_nothing_else() -> None:
    right, wrong = registers(), registers(swap_words=True)
    high, low = right.read(25, 1), right.read(26, 1)
    assert wrong.read(25, 2) == low + high
    one, two, three, four = (right.read(801 + at, 1) for at in range(4))
    assert wrong.read(801, 4) == four + three + two + one


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"reversed_ct": [4]}, "expected phases of 1, 2, 3"),
        ({"reversed_ct": 2}, "expected phases of 1, 2, 3"),
        ({"swap_words": "yes"}, "expected true or false"),
        ({"power_ratio": "ten"}, "expected a number"),
        ({"registers": {"x": [1]}}, "expected words of 0 to 65535 at an address"),
        ({"registers": {"7": [70000]}}, "expected words of 0 to 65535 at an address"),
    ],
)
def test_options_that_cannot_be_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"process.{next(iter(options))}: {words}"):
        Miswiring.of("process", options)


def test_a_device_without_such_options_is_untouched() -> None:
    assert Miswiring.of("process", {"address": "1"}) is None
