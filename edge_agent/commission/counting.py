"""Whether counters and other values move as they can: backwards, too fast, against the power, or in leaps. Nothing is corrected."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from edge_agent.commission.finding import Finding, Sample, Values
from edge_agent.counter_watch import HEADROOM, SPARE_COUNTS
from wire.quantities import QUANTITIES, Kind

_MS_PER_H: Final = 3_600_000
_TELLING_COUNTS: Final = 20  # fewer steps of the display say nothing about a power
_FLOAT_DIGITS: Final = 1e-6  # what a 32-bit float resolves of its value
_AGREE: Final = 0.25
_RENEWED_S: Final = 2.0  # meters renew what they show once a second or so: at both ends of the observed time
_ENERGIES: Final = ("energy_import_kwh", "energy_export_kwh")
# The fastest change that is believed, in the unit per second or as a share of the value before per second.
_LEAPS: Final = (
    ("frequency_hz", 2.0, 0.0),
    ("state_of_charge_percent", 5.0, 0.0),
    ("temperature", 20.0, 0.0),
    ("voltage", 0.0, 0.3),
)


def counting(device: str, values: Values, rated_kw: float | None = None) -> Iterator[Finding]:
    """What cannot be in how the values of one device move."""
    for quantity, samples in values.items():
        row = QUANTITIES[quantity]
        if row.kind is Kind.COUNTER and not quantity.startswith("answer_serial_"):
            yield from _back(device, quantity, samples)
            yield from _too_fast(device, quantity, samples, rated_kw)
        elif row.kind is Kind.GAUGE:
            yield from _leap(device, quantity, samples)
    yield from _against_power(device, values)


def _back(device: str, quantity: str, samples: Sequence[Sample]) -> Iterator[Finding]:
    for before, after in pairwise(samples):
        if after.value < before.value:
            yield Finding(
                device,
                quantity,
                "counter_back",
                f"{before.value:.10g} and then {after.value:.10g}",
                "a counter that only grows",
                "a rollover or reset just now, the register of a power or of a balance, or exchanged words",
                "read again; if it goes on, compare address, type and word_order of the row with the manual",
            )
            return


def _too_fast(device: str, quantity: str, samples: Sequence[Sample], rated_kw: float | None) -> Iterator[Finding]:
    if rated_kw is None or not quantity.endswith(("_kwh", "_kvarh", "_kvah")) or len(samples) < 2:
        return
    first, newest = samples[0], samples[-1]
    gained, hours = newest.value - first.value, (newest.at_ms - first.at_ms) / _MS_PER_H
    most = float(HEADROOM) * rated_kw * hours + SPARE_COUNTS * _quantum(newest)
    if gained > most:
        unit = QUANTITIES[quantity].unit
        yield Finding(
            device,
            quantity,
            "counter_rate",
            f"{gained:.6g} {unit} more in {hours * 3600:.0f} s",
            f"at most {most:.6g} {unit} at 1.2 x rated power ({rated_kw:g} kW)",
            "a wrong scale of the counter (Wh taken for kWh), or the rating is wrong",
            "change scale_exponent of the row in a copy of the model, or rated_power_kw of the device",
        )


def _quantum(sample: Sample) -> float:
    """What the last digit of a counter stands for."""
    if sample.exponent is not None:
        return float(10.0**sample.exponent)
    return max(abs(sample.value) * _FLOAT_DIGITS, 1e-9)


def _against_power(device: str, values: Values) -> Iterator[Finding]:
    """The direction that runs must be that of the power, and as fast as the power says."""
    powers = [sample.value for sample in values.get("active_power_kw", ())]
    if len(powers) < 2 or min(powers) * max(powers) <= 0:
        return
    running, resting = _ENERGIES if powers[0] > 0 else _ENERGIES[::-1]
    if _gained(values, resting) > 0:
        yield Finding(
            device,
            resting,
            "direction",
            f"it runs although power is {'positive' if powers[0] > 0 else 'negative'}",
            f"{running} to run",
            "the direction of the whole meter, or of its power register, is turned round",
            "turn the meter's direction (or all three transformers) round, or give the power rows of a copy of the model sign = -1",
        )
        return
    samples = values.get(running, ())
    if len(samples) < 2:
        return
    gained, hours = _gained(values, running), (samples[-1].at_ms - samples[0].at_ms) / _MS_PER_H
    expected = abs(sum(powers)) / len(powers) * hours
    if expected < _TELLING_COUNTS * _quantum(samples[-1]) and gained < _TELLING_COUNTS * _quantum(samples[-1]):
        return
    blurred = abs(sum(powers)) / len(powers) * _RENEWED_S / 3600
    if abs(gained - expected) > _AGREE * expected + blurred + 2 * _quantum(samples[-1]):
        yield Finding(
            device,
            running,
            "counter_rate",
            f"{gained:.6g} kWh more in {hours * 3600:.0f} s",
            f"{expected:.6g} kWh, as the power says",
            "power and counter have different scales, or only one of them has the transformer ratio in it",
            "compare scale_exponent of both rows with the manual, and what the meter's display shows",
        )


def _gained(values: Values, quantity: str) -> float:
    samples = values.get(quantity, ())
    return samples[-1].value - samples[0].value if len(samples) > 1 else 0.0


def _leap(device: str, quantity: str, samples: Sequence[Sample]) -> Iterator[Finding]:
    limit = next(((most, share) for part, most, share in _LEAPS if part in quantity and "thd" not in quantity), None)
    if limit is None:
        return
    for before, after in pairwise(samples):
        seconds = max(1.0, (after.at_ms - before.at_ms) / 1000)
        most = (limit[0] or limit[1] * abs(before.value)) * seconds
        if abs(after.value - before.value) > most > 0:
            unit = QUANTITIES[quantity].unit
            yield Finding(
                device,
                quantity,
                "leap",
                f"{before.value:g} {unit} and {after.value:g} {unit} {seconds:g} s later",
                f"a change of at most {most:.3g} {unit}",
                "two registers of different meaning, half an answer, or a loose terminal",
                "read again; compare address and type of the row with the manual",
            )
            return
