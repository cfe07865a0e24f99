"""What commissioning makes of values: each rule with numbers made by hand, right and wrong ones."""

from collections.abc import Iterable, Mapping, Sequence

import pytest

from edge_agent.commission.counting import counting
from edge_agent.commission.electrical import electrical
from edge_agent.commission.finding import Finding, Sample
from edge_agent.commission.report import RowSeen, line
from edge_agent.commission.still import patterns, standing_still
from edge_agent.commission.together import against_incomers, balances
from edge_agent.drivers.declared import Device

Series = dict[str, list[Sample]]
HOUR_MS = 3_600_000


def series(**quantities: Sequence[float] | float) -> Series:
    """Floats, a second apart."""
    return apart(1000, quantities)


def apart(step_ms: int, quantities: Mapping[str, Sequence[float] | float]) -> Series:
    return {
        quantity: [
            Sample(number * step_ms, value)
            for number, value in enumerate(values if isinstance(values, Sequence) else [values])
        ]
        for quantity, values in quantities.items()
    }


def phases(
    power_kw: tuple[float, float, float] = (4.14, 4.14, 4.14),
    factor: float | None = 0.9,
    **more: Sequence[float] | float,
) -> Series:
    """230 V, 20 A and pf 0.9 on each phase: 4.14 kW."""
    values = series(active_power_kw=sum(power_kw))
    for phase, power in zip(("l1", "l2", "l3"), power_kw, strict=True):
        values |= series(**{f"voltage_{phase}_v": 230.0, f"current_{phase}_a": 20.0, f"active_power_{phase}_kw": power})
        if factor is not None:
            values |= series(**{f"power_factor_{phase}_ratio": factor})
    return values | series(**more)


def kinds(findings: Iterable[Finding]) -> list[str]:
    return [f"{found.kind} {found.quantity}".strip() for found in findings]


def told(values: Series) -> list[Finding]:
    return list(electrical("incomer", values))


def test_values_that_fit_together_give_no_finding() -> None:
    assert told(phases()) == []
    assert told(phases((-4.14, -4.14, -4.14))) == []
    assert told(phases(voltage_l1_l2_v=398.4, frequency_hz=50.02)) == []
    assert told(series(voltage_v=230.0, current_a=10.0, active_power_kw=2.2, power_factor_ratio=0.96)) == []


def test_a_finding_says_what_was_seen_and_expected_why_and_how_to_correct_it() -> None:
    (finding, *_) = told(phases((4.14, -4.14, 4.14)))
    assert (finding.device, finding.quantity, finding.kind) == ("incomer", "active_power_l2_kw", "reversed_ct")
    assert finding.seen == "-4.140 kW"
    assert "4.140, 4.140 kW" in finding.expected
    assert "current transformer of l2 is turned round" in finding.cause
    assert "sign = -1" in finding.correction
    assert str(finding).startswith("active_power_l2_kw: saw -4.140 kW, expected the sign of the two other phases")


def test_one_phase_that_exports_alone_is_the_odd_one_whichever_the_sign() -> None:
    assert kinds(told(phases((-4.14, 4.14, -4.14)))) == ["reversed_ct active_power_l2_kw"]
    assert told(phases((4.14, -0.04, 4.14), factor=None)) == []  # nearly no load has no sign


@pytest.mark.parametrize(
    ("power_kw", "cause", "correction"),
    [
        (4140.0, "scale is off by 10^3", "by -3"),
        (0.00414, "off by 10^-3", "by +3"),
        (4.14 / 1.732, "phase to phase", "phase-to-neutral"),
        (82.8, "transformer ratio of 20", "transformer ratios"),
    ],
)
def test_power_that_is_not_volts_times_amperes_is_explained_by_its_ratio(
    power_kw: float, cause: str, correction: str
) -> None:
    values = series(voltage_v=230.0, current_a=2000.0, active_power_kw=power_kw * 100, power_factor_ratio=0.9)
    (finding,) = told(values)
    assert finding.kind == "power"
    assert cause in finding.cause
    assert correction in finding.correction


def test_without_a_power_factor_volts_times_amperes_bound_the_power() -> None:
    assert told(phases(factor=None)) == []
    (finding,) = told(phases((4.1, 9.0, 4.1), factor=None))
    assert (finding.quantity, finding.seen, finding.expected) == (
        "active_power_l2_kw",
        "9.000 kW",
        "at most V x I = 4.600 kW",
    )


def test_exchanged_currents_are_recognised_by_the_phase_that_they_fit() -> None:
    """230 V and pf 1: 10, 20 and 30 A are 2.3, 4.6 and 6.9 kW; the first two stand in each other's place."""
    values = phases((2.3, 4.6, 6.9), factor=1.0, current_l1_a=20.0, current_l2_a=10.0, current_l3_a=30.0)
    found = told(values)
    assert kinds(found) == ["power active_power_l1_kw", "power active_power_l2_kw"]
    assert {finding.cause for finding in found} == {"the currents of l1, l2 are exchanged"}


def test_a_mismatch_in_one_poll_of_several_is_a_load_that_changed() -> None:
    values = series(
        voltage_v=[230.0] * 3,
        current_a=[10.0, 20.0, 20.0],
        active_power_kw=[2.3, 2.3, 4.6],
        power_factor_ratio=[1.0] * 3,
    )
    assert told(values) == []


def test_a_total_that_is_not_the_sum_of_its_phases_is_named() -> None:
    values = phases() | series(active_power_kw=4.14)
    (finding,) = told(values)
    assert (finding.kind, finding.seen) == ("phase_sum", "4.140 kW")
    assert "12.420 kW" in finding.expected


@pytest.mark.parametrize("volts", [57.7, 63.5, 120.0, 127.0, 230.0, 277.0, 347.0, 400.0, 5774.0])
def test_usual_voltages_are_usual(volts: float) -> None:
    assert told(series(voltage_v=volts)) == []


@pytest.mark.parametrize(
    ("quantity", "value"), [("voltage_v", 2.3), ("voltage_v", 170.0), ("voltage_l1_v", 23.0), ("frequency_hz", 5.0), ("frequency_hz", 65.5)]
)  # fmt: skip
def test_a_voltage_or_frequency_out_of_band_is_named(quantity: str, value: float) -> None:
    (finding,) = told(series(**{quantity: value}))
    assert finding.quantity == quantity
    assert finding.kind in ("voltage", "frequency")


def test_a_missing_phase_and_a_line_voltage_that_does_not_fit_are_named() -> None:
    found = told(series(voltage_l1_v=231.0, voltage_l2_v=12.0, voltage_l3_v=230.0))
    assert kinds(found) == ["voltage voltage_l2_v"]
    assert "phase or the neutral is missing" in found[0].cause
    assert kinds(told(series(voltage_l1_v=230.0, voltage_l2_v=230.0, voltage_l1_l2_v=230.0))) == [
        "voltage voltage_l1_l2_v"
    ]


def test_a_power_above_the_rating_is_named() -> None:
    assert kinds(electrical("press", series(active_power_kw=60.0), 40.0)) == ["rating active_power_kw"]
    assert list(electrical("press", series(active_power_kw=47.0), 40.0)) == []


def test_a_counter_that_goes_back_is_named_with_both_readings() -> None:
    (finding,) = counting("press", series(energy_import_kwh=[100.0, 101.0, 7.0]))
    assert (finding.kind, finding.seen) == ("counter_back", "101 and then 7")


def test_a_counter_faster_than_the_rating_allows_is_named() -> None:
    """1.2 x 40 kW for an hour are 48 kWh."""
    assert kinds(counting("press", apart(HOUR_MS, {"energy_import_kwh": [100.0, 148.1]}), 40.0)) == [
        "counter_rate energy_import_kwh"
    ]
    assert list(counting("press", apart(HOUR_MS, {"energy_import_kwh": [100.0, 147.9]}), 40.0)) == []


def test_a_counter_that_does_not_run_as_the_power_says_is_named() -> None:
    """10 kW for an hour are 10 kWh, not 10,000."""
    right = apart(HOUR_MS, {"active_power_kw": [10.0, 10.0], "energy_import_kwh": [5000.0, 5010.0]})
    assert list(counting("press", right)) == []
    wrong = apart(HOUR_MS, {"active_power_kw": [10.0, 10.0], "energy_import_kwh": [5000.0, 15000.0]})
    (finding,) = counting("press", wrong)
    assert (finding.kind, finding.expected) == ("counter_rate", "10 kWh, as the power says")


@pytest.mark.parametrize(("power_kw", "counter"), [(5.0, "energy_export_kwh"), (-5.0, "energy_import_kwh")])
def test_the_wrong_counter_running_shows_a_direction_turned_round(power_kw: float, counter: str) -> None:
    wrong = series(active_power_kw=[power_kw, power_kw], **{counter: [10.0, 10.1]})
    assert kinds(counting("press", wrong)) == [f"direction {counter}"]


@pytest.mark.parametrize(
    ("quantity", "values", "leaps"),
    [
        ("frequency_hz", (50.0, 50.1), False),
        ("frequency_hz", (50.0, 57.0), True),
        ("voltage_l1_v", (230.0, 225.0), False),
        ("voltage_l1_v", (230.0, 23.0), True),
        ("heat_supply_temperature_degc", (60.0, 61.0), False),
        ("heat_supply_temperature_degc", (60.0, -20.0), True),
        ("state_of_charge_percent", (40.0, 90.0), True),
    ],
)
def test_a_change_that_cannot_be_is_named(quantity: str, values: tuple[float, float], leaps: bool) -> None:
    assert kinds(counting("press", series(**{quantity: values}))) == ([f"leap {quantity}"] if leaps else [])


@pytest.mark.parametrize(
    ("count", "exponent", "text"),
    [
        (0xFFFF, -1, "0xFFFF (6553.5 V)"),
        (0x7FFF, 0, "0x7FFF (32767 V)"),
        (-0x8000, 0, "0x8000 (-32768 V)"),
        (0xFFFFFFFF, -3, "0xFFFFFFFF (4.29497e+06 V)"),
        (0x7FFFFFFF, -3, "0x7FFFFFFF (2.14748e+06 V)"),
    ],
)
def test_numbers_that_mean_none_are_recognised_in_the_meters_own_integer(count: int, exponent: int, text: str) -> None:
    sample = Sample(0, count * 10.0**exponent, count, exponent)
    (finding,) = patterns("press", {"voltage_l1_v": [sample]}, {}, {})
    assert (finding.kind, finding.seen) == ("pattern", text)
    assert list(patterns("press", {"voltage_l1_v": [Sample(0, 230.1, 2301, -1)]}, {}, {})) == []


def test_rejected_rows_are_findings_and_absent_ones_only_worth_a_look() -> None:
    reasons = {"voltage_l1_v": "out-of-range", "current_l1_a": "not-implemented", "frequency_hz": ""}
    found = list(patterns("press", {}, reasons, {"voltage_l1_v": "2e+09 (0x77359400 in holding register 1)"}))
    assert [(finding.kind, finding.wrong) for finding in found] == [("rejected", True), ("absent", False)]
    assert found[0].seen == "2e+09 (0x77359400 in holding register 1)"
    assert "0 to 1e+06 V" in found[0].expected


def test_a_phase_that_stands_still_beside_two_that_move_is_named() -> None:
    values = series(voltage_l1_v=[231.0] * 3, voltage_l2_v=[230.1, 230.2, 230.1], voltage_l3_v=[229.9, 229.8, 229.7])
    (finding,) = standing_still("press", values)
    assert (finding.kind, finding.quantity, finding.seen) == ("constant", "voltage_l1_v", "231 V in all of 3 polls")


def test_a_device_of_which_nothing_moves_is_worth_a_look() -> None:
    values = series(voltage_l1_v=[231.0] * 3, current_l1_a=[5.0] * 3, active_power_kw=[1.1] * 3)
    (finding,) = standing_still("press", values)
    assert (finding.kind, finding.wrong) == ("frozen", False)
    assert list(standing_still("press", {name: samples[:2] for name, samples in values.items()})) == []


def plant(**incomer_of: str) -> list[Device]:
    return [Device(name=name, model="m", incomer=incomer or None) for name, incomer in incomer_of.items()]


def test_sub_meters_that_measure_more_than_their_incomer_are_named() -> None:
    devices = plant(main="", press="main", oven="main")
    right = {
        "main": series(active_power_kw=100.0),
        "press": series(active_power_kw=60.0),
        "oven": series(active_power_kw=38.0),
    }
    assert list(against_incomers(devices, right)) == []
    (balance,) = balances(devices, right)
    assert (balance.subs_kw, balance.rest_kw, balance.missing) == (98.0, 2.0, ())
    (finding,) = against_incomers(devices, right | {"oven": series(active_power_kw=380.0)})
    assert (finding.device, finding.kind, finding.seen) == ("main", "sub_meters", "100.000 kW")
    assert "440.000 kW (press, oven)" in finding.expected


def test_a_source_behind_the_incomer_counts_with_its_sign_and_a_moving_load_is_no_fault() -> None:
    devices = plant(main="", pv="main", oven="main")
    sunny = {
        "main": series(active_power_kw=-5.0),
        "pv": series(active_power_kw=-8.0),
        "oven": series(active_power_kw=3.0),
    }
    assert list(against_incomers(devices, sunny)) == []
    found = list(against_incomers(devices, sunny | {"pv": {}}))
    assert "direction is turned round, or a source behind the incomer" in found[0].cause
    (balance,) = balances(devices, sunny | {"pv": {}})
    assert balance.missing == ("pv",)
    moving = {"main": series(active_power_kw=[50.0, 70.0]), "oven": series(active_power_kw=[50.0, 90.0])}
    assert list(against_incomers(devices, moving)) == []


def test_a_counter_is_shown_with_all_the_digits_of_the_meters_display() -> None:
    assert line(RowSeen("energy_import_kwh", 184230.653, "kWh", "")).split() == [
        "energy_import_kwh",
        "184230.653",
        "kWh",
    ]
    assert line(RowSeen("active_power_kw", 4.280412345, "kW", "")).split() == ["active_power_kw", "4.28041", "kW"]
    assert line(RowSeen("power_factor_ratio", 0.9, "1", "")).split() == ["power_factor_ratio", "0.9"]
