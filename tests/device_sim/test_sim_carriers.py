"""Streams of other carriers: exact integrals, heat that agrees with volume and temperatures, demands that repeat."""

import random
from zoneinfo import ZoneInfo

import pytest

from device_sim.carriers import Carrier, CoolingDemand, HeatDemand, Passing, Source, Stream, VolumeDemand

START_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
BERLIN = ZoneInfo("Europe/Berlin")


class Steady:
    """The same for ever, in steps of `step_ms`."""

    def __init__(self, passing: Passing, step_ms: int = 7) -> None:
        self._passing = passing
        self._step_ms = step_ms

    def passing(self, at_ms: int) -> tuple[Passing, int]:
        return self._passing, at_ms + self._step_ms


def demand(carrier: Carrier, seed: int = 3) -> Source:
    if carrier is Carrier.HEAT:
        return HeatDemand(100, 0.05, seed, BERLIN)
    if carrier is Carrier.COOLING:
        return CoolingDemand(100, 0.05, seed, BERLIN)
    return VolumeDemand(carrier, 5, 0.05, seed, BERLIN)


def test_a_cubic_metre_cooled_by_twenty_degrees_gives_22_949_kwh() -> None:
    """By hand: 1 m3 x 988 kg/m3 x 4181 J/(kg K) x 20 K = 82,616,560 J = 22.949 kWh."""
    stream = Stream(Carrier.HEAT, Steady(Passing(1_000_000, 70_000, 50_000)), 0)
    stream.advance(1_000_000)
    assert stream.volume_nl == 10**12
    assert stream.energy_uj == 82_616_560 * 10**6
    assert stream.power_mw == 82_616_560  # 82.6 kW: a litre a second


def test_chilled_water_that_comes_back_warmer_counts_positive() -> None:
    """By hand: 1 L/s x 1000 kg/m3 x 4195 J/(kg K) x 6 K = 25.17 kW."""
    stream = Stream(Carrier.COOLING, Steady(Passing(1_000_000, 6_000, 12_000)), 0)
    stream.advance(HOUR_MS)
    assert stream.power_mw == 25_170_000
    assert stream.energy_uj == 25_170_000 * HOUR_MS


def test_water_gas_and_oil_carry_no_heat() -> None:
    stream = Stream(Carrier.GAS, Steady(Passing(5, 15_000, 15_000)), 0)
    stream.advance(HOUR_MS)
    assert (stream.volume_nl, stream.energy_uj) == (5 * HOUR_MS, 0)


@pytest.mark.parametrize("carrier", list(Carrier))
def test_the_integral_does_not_depend_on_when_somebody_asks(carrier: Carrier) -> None:
    chance = random.Random(5)
    asked, at_once = Stream(carrier, demand(carrier), START_MS), Stream(carrier, demand(carrier), START_MS)
    for at_ms in sorted(START_MS + chance.randrange(6 * HOUR_MS) for _ in range(200)):
        asked.advance(at_ms)
    asked.advance(START_MS + 6 * HOUR_MS)
    at_once.advance(START_MS + 6 * HOUR_MS)
    assert asked.volume_nl == at_once.volume_nl > 0
    assert asked.energy_fj == at_once.energy_fj


@pytest.mark.parametrize("carrier", [Carrier.HEAT, Carrier.COOLING])
def test_heat_and_cooling_stay_near_their_peak_and_never_above_it_but_for_noise(carrier: Carrier) -> None:
    for season in range(4):
        begin_ms = START_MS + season * 2190 * HOUR_MS
        stream = Stream(carrier, demand(carrier), begin_ms)
        for hour in range(0, 240, 5):
            stream.advance(begin_ms + hour * HOUR_MS)
            assert 0 < stream.power_mw <= 105_100_000  # the peak of 100 kW, 5 % of noise and the rounding of the flow


def test_a_clock_that_steps_back_changes_nothing() -> None:
    stream = Stream(Carrier.HOT_WATER, demand(Carrier.HOT_WATER), START_MS)
    stream.advance(START_MS + HOUR_MS)
    volume_nl = stream.volume_nl
    stream.advance(START_MS)
    assert (stream.volume_nl, stream.now_ms) == (volume_nl, START_MS + HOUR_MS)


def test_another_seed_gives_another_day() -> None:
    one, other = (Stream(Carrier.OIL, demand(Carrier.OIL, seed), START_MS) for seed in (1, 2))
    one.advance(START_MS + HOUR_MS)
    other.advance(START_MS + HOUR_MS)
    assert one.volume_nl != other.volume_nl
