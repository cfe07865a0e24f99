"""Whether the electrical values of one meter fit together: powers, phases, voltages, frequency. Not its counters."""

from collections.abc import Iterator
from itertools import permutations
from math import isclose, log10, sqrt
from typing import Final

from edge_agent.commission.finding import Finding, Values, in_step, last

PHASES: Final = ("l1", "l2", "l3")
_POWER_TOLERANCE: Final = 0.10  # V, I, pf and P are not measured in the same instant
POWER_FLOOR_KW: Final = 0.05
_NEAR: Final = 0.15  # how near a ratio must be to a round one to be taken for it
# Phase to neutral, as meters show it: secondary of voltage transformers (57.7 = 100/sqrt(3), 63.5, 69.3), 110 to 127, 220 to 240, 277, 347, and
# 400 (690 V networks), each with the 10 % of IEC 60038 and EN 50160.
_VOLTAGE_BANDS: Final = ((51.9, 76.3), (99.0, 140.0), (198.0, 264.0), (249.0, 305.0), (312.0, 382.0), (358.0, 440.0))
_LOW_VOLTAGE_V: Final = 600.0  # above, the meter shows primary values of a network that only its owner knows
_PHASES_APART: Final = 0.10
_FREQUENCY_BANDS: Final = ((47.0, 52.0), (57.0, 62.0))  # EN 50160: 50 Hz +4/-6 %; the same around 60 Hz
_TURN: Final = "turn the transformer round; or copy the model beside the edge file, give the row the other sign (sign = -1) and name the copy as model"


def electrical(device: str, values: Values, rated_kw: float | None = None) -> Iterator[Finding]:
    """What does not fit together in the values of one device."""
    yield from _powers(device, values)
    yield from _sum_of_phases(device, values)
    yield from _signs(device, values)
    yield from _voltages(device, values)
    yield from _frequency(device, values)
    power = last(values, "active_power_kw")
    if rated_kw is not None and power is not None and abs(power) > 1.2 * rated_kw:
        yield Finding(
            device,
            "active_power_kw",
            "rating",
            f"{power:.3f} kW",
            f"at most 1.2 x rated power ({rated_kw:g} kW)",
            "a wrong transformer ratio, or the rating is wrong",
            "set the ratio in the meter, or rated_power_kw of the device",
        )


def _powers(device: str, values: Values) -> Iterator[Finding]:
    """V x I x pf against P, phase by phase; without a power factor V x I bounds P. Told where it is so in every poll."""
    exchanged = _exchanged(values)
    for phase in _measured_phases(values):
        voltage, current, power, factor = _names(values, phase)
        with_factor = [] if factor is None else in_step(values, (voltage, current, power, factor))
        if with_factor:
            wrong = [_against(u * abs(i) * abs(pf) / 1000, p) for u, i, p, pf in with_factor]
            text = "V x I x pf"
        else:
            polls = in_step(values, (voltage, current, power))
            wrong = [_beyond(u * abs(i) / 1000, p) for u, i, p in polls]
            text = "at most V x I"
        if not wrong or not all(wrong):
            continue
        expected_kw, seen_kw = wrong[-1] or (0.0, 0.0)
        cause, correction = exchanged or _ratio(seen_kw, expected_kw)
        yield Finding(device, power, "power", f"{seen_kw:.3f} kW", f"{text} = {expected_kw:.3f} kW", cause, correction)


def _measured_phases(values: Values) -> tuple[str, ...]:
    return PHASES if any("_l2_" in quantity for quantity in values) else ("",)


def _names(values: Values, phase: str) -> tuple[str, str, str, str | None]:
    """Voltage, current, power and power factor of a phase; of a single-phase meter, whichever names its model uses."""

    def name(what: str, unit: str) -> str:
        own = f"{what}_{phase}_{unit}" if phase else f"{what}_{unit}"
        return own if phase or own in values else f"{what}_l1_{unit}"

    factor = name("power_factor", "ratio")
    return (
        name("voltage", "v"),
        name("current", "a"),
        name("active_power", "kw"),
        factor if factor in values else None,
    )


def _against(expected_kw: float, power_kw: float) -> tuple[float, float] | None:
    off_kw = abs(abs(power_kw) - expected_kw)
    return (expected_kw, power_kw) if off_kw > max(POWER_FLOOR_KW, _POWER_TOLERANCE * expected_kw) else None


def _beyond(apparent_kva: float, power_kw: float) -> tuple[float, float] | None:
    most = apparent_kva * (1 + _POWER_TOLERANCE) + POWER_FLOOR_KW
    return (apparent_kva, power_kw) if abs(power_kw) > most else None


def _exchanged(values: Values) -> tuple[str, str] | None:
    """Where each phase's power fits another phase's current: which currents are exchanged."""
    wanted = [last(values, f"active_power_{phase}_kw") for phase in PHASES]
    seen = [[last(values, f"{what}_{phase}_{unit}") for phase in PHASES] for what, unit in _FACTORS]
    if None in wanted or any(None in column for column in seen):
        return None
    powers, (volts, amperes, factors) = (
        [value or 0.0 for value in wanted],
        [[value or 0.0 for value in column] for column in seen],
    )

    def fits(order: tuple[int, ...]) -> bool:
        return all(
            _against(volts[at] * abs(amperes[place]) * abs(factors[at]) / 1000, powers[at]) is None
            for at, place in enumerate(order)
        )

    if fits((0, 1, 2)):
        return None
    for order in permutations(range(3)):
        if fits(order):
            moved = [PHASES[at] for at, place in enumerate(order) if at != place]
            return (
                f"the currents of {', '.join(moved)} are exchanged",
                "exchange the current terminals, or the current rows in a copy of the model",
            )
    return None


_FACTORS: Final = (("voltage", "v"), ("current", "a"), ("power_factor", "ratio"))


def _ratio(seen_kw: float, expected_kw: float) -> tuple[str, str]:
    """Cause and correction, from how far two powers are apart."""
    if expected_kw <= 0 or seen_kw == 0:
        return "current or voltage is read from another phase or another register", "compare the rows with the manual"
    ratio = abs(seen_kw) / expected_kw
    power_of_ten = round(log10(ratio))
    if power_of_ten and isclose(ratio, 10.0**power_of_ten, rel_tol=_NEAR):
        change = f"{-power_of_ten:+d}"
        return (
            f"the power's scale is off by 10^{power_of_ten}",
            f"change scale_exponent of the power's row by {change} in a copy of the model (or the current's by {power_of_ten:+d})",
        )
    if isclose(ratio, 1 / sqrt(3), rel_tol=0.03):
        return "the voltage is phase to phase, not phase to neutral", "read the phase-to-neutral registers"
    return (
        f"phases are exchanged, or a transformer ratio of {max(ratio, 1 / ratio):.3g} is on one side only",
        "set the current and voltage transformer ratios in the meter (the aggregator's multiplier counts for energies only)",
    )


def _sum_of_phases(device: str, values: Values) -> Iterator[Finding]:
    polls = in_step(values, ("active_power_kw", *(f"active_power_{phase}_kw" for phase in PHASES)))
    if polls and all(
        abs(total - sum(parts)) > max(POWER_FLOOR_KW, _POWER_TOLERANCE * abs(total)) for total, *parts in polls
    ):
        total, *parts = polls[-1]
        yield Finding(
            device,
            "active_power_kw",
            "phase_sum",
            f"{total:.3f} kW",
            f"the sum of its phases, {sum(parts):.3f} kW",
            "the total or a phase is read from another register, or counts with another sign",
            "compare these rows with the manual",
        )


def _signs(device: str, values: Values) -> Iterator[Finding]:
    """One phase against the two others: a transformer turned round, or a single-phase source behind the meter."""
    polls = in_step(values, [f"active_power_{phase}_kw" for phase in PHASES])
    odd = {_odd(powers) for powers in polls}
    if len(odd) != 1 or (at := odd.pop()) is None:
        return
    yield Finding(
        device,
        f"active_power_{PHASES[at]}_kw",
        "reversed_ct",
        f"{polls[-1][at]:.3f} kW",
        f"the sign of the two other phases ({', '.join(f'{p:.3f}' for n, p in enumerate(polls[-1]) if n != at)} kW)",
        f"the current transformer of {PHASES[at]} is turned round (or a source feeds in on one phase)",
        _TURN,
    )


def _odd(powers: tuple[float, ...]) -> int | None:
    """The one phase with another sign than the two others, where all three carry something."""
    if any(abs(power) <= POWER_FLOOR_KW for power in powers):
        return None
    negative = [at for at, power in enumerate(powers) if power < 0]
    if len(negative) == 1:
        return negative[0]
    return next(at for at in range(3) if at not in negative) if len(negative) == 2 else None


def _voltages(device: str, values: Values) -> Iterator[Finding]:
    names = [f"voltage_{phase}_v" for phase in PHASES]
    seen = {name: volts for name in (*names, "voltage_v") if (volts := last(values, name)) is not None}
    if "voltage_l2_v" in seen:
        seen.pop("voltage_v", None)
    highest = max(seen.values(), default=0.0)
    for name, volts in seen.items():
        if highest and volts < (1 - _PHASES_APART) * highest:
            yield _off(
                device,
                name,
                volts,
                f"about the {highest:.1f} V of the highest phase",
                "a phase or the neutral is missing",
            )
        elif highest and volts < _LOW_VOLTAGE_V and not any(low <= volts <= high for low, high in _VOLTAGE_BANDS):
            bands = ", ".join(f"{low:g}..{high:g}" for low, high in _VOLTAGE_BANDS)
            yield _off(
                device, name, volts, f"a usual voltage ({bands} V)", "a wrong scale or register, or a missing neutral"
            )
    polls = in_step(values, ("voltage_l1_l2_v", "voltage_l1_v", "voltage_l2_v"))
    if polls and all(u2 > 0 and not isclose(line, _between(u1, u2), rel_tol=_PHASES_APART) for line, u1, u2 in polls):
        line, u1, u2 = polls[-1]
        yield _off(
            device,
            "voltage_l1_l2_v",
            line,
            f"sqrt(3) x phase voltage, {_between(u1, u2):.1f} V",
            "a wrong register or phase order",
        )


def _between(one_v: float, two_v: float) -> float:
    """Between two phases at 120 degrees."""
    return sqrt(one_v**2 + two_v**2 + one_v * two_v)


def _off(device: str, name: str, volts_v: float, expected: str, cause: str) -> Finding:
    return Finding(
        device,
        name,
        "voltage",
        f"{volts_v:.1f} V",
        expected,
        cause,
        "check the voltage terminals, then address and scale_exponent of the row",
    )


def _frequency(device: str, values: Values) -> Iterator[Finding]:
    hertz = last(values, "frequency_hz")
    if hertz is not None and hertz and not any(low <= hertz <= high for low, high in _FREQUENCY_BANDS):
        yield Finding(
            device,
            "frequency_hz",
            "frequency",
            f"{hertz:g} Hz",
            " or ".join(f"{low:g}..{high:g}" for low, high in _FREQUENCY_BANDS) + " Hz",
            "a wrong scale or register",
            "check address and scale_exponent of the row",
        )
