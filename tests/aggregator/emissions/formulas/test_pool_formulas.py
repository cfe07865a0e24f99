"""Carbon pools on a few figures: worked examples 24, 25, 25b, 26 and 39 of the emissions specification and domain rule 17, with the values they print."""

from fractions import Fraction

import pytest

from aggregator.emissions.formulas.guards import Impossible
from aggregator.emissions.formulas.pools import site_mix, storage_pool, vehicle_to_grid
from aggregator.emissions.formulas.worked import Worked

F = Fraction
CHARGES = ([F(100), F(50)], [F("0.6"), F("0.2")])


def fs(*texts: str) -> list[Fraction]:
    return [F(text) for text in texts]


def near(value: Fraction, text: str, within: str = "1e-9") -> bool:
    return abs(value - F(text)) <= F(within)


def test_example_24_a_battery_emptied_again() -> None:
    worked = storage_pool(*CHARGES, F(1), F("0.9"), F(135))
    assert worked["pool_kg"] == 70
    assert near(worked["input_basis_kg_per_kwh"], "0.466666667")
    assert near(worked["delivered_basis_kg_per_kwh"], "0.518518519")
    assert (worked["loss_share_kg"], worked["left_kwh"], worked["left_kg"]) == (F(7), F(0), F(0))


def test_rule_17_half_of_the_content_is_half_of_the_carbon() -> None:
    worked = storage_pool(*CHARGES, F("0.95"), F("0.947368421"), F("67.5"))
    assert worked["stored_kwh"] == F("142.5")
    # 35 kg; the efficiency is printed with nine digits
    assert near(worked["delivered_kg"], "35", "1e-8")
    assert near(worked["left_kg"], "35", "1e-8")
    assert worked["delivered_kg"] + worked["left_kg"] == 70


def session(*marginal: str | None, arrival_kwh: str = "0") -> Worked:
    on_charge, on_discharge = (None if text is None else F(text) for text in marginal)
    return vehicle_to_grid(
        [F(40)], [F("0.3")], F("0.92"), F("0.92"), F("9.2"), F(arrival_kwh), None if on_charge is None else [on_charge], on_discharge
    )  # fmt: skip


def test_example_25_a_vehicle_gives_energy_to_the_grid() -> None:
    worked = session(None, "0.8")
    assert (worked["battery_kwh"], worked["drawn_kwh"]) == (F("36.8"), F(10))
    assert near(worked["battery_kg_per_kwh"], "0.326086957")
    assert near(worked["exported_kg"], "3.260869565")
    assert near(worked["exported_kg_per_kwh"], "0.354442344")
    assert near(worked["session_kg"], "8.739130435")
    assert worked["displaced_kg"] == F("7.36")
    assert worked.figure("avoided_kg").value is None  # the charge's marginal is missing


@pytest.mark.parametrize(("on_charge", "avoided"), [("0.4", "3.012173913"), ("0.8", "-1.335652174")])
def test_example_25b_what_the_charge_has_caused_is_taken_off(on_charge: str, avoided: str) -> None:
    assert near(session(on_charge, "0.8")["avoided_kg"], avoided)


def test_what_a_vehicle_brought_leaves_with_its_share_and_without_a_figure() -> None:
    worked = session("0.4", "0.8", arrival_kwh="36.8")
    # half of 10 kWh is from the charge: by hand, 12 kg x 5 / 36.8 and 4.6 kWh AC of it
    assert near(worked["exported_kg"], "1.630434783")
    assert near(worked["exported_kg_per_kwh"], "0.354442344")
    assert worked["displaced_kg"] == F("3.68")
    assert worked.notes == ("4.6 of 9.2 kWh were brought by the vehicle",)


def test_example_26_a_session_beside_pv() -> None:
    worked = site_mix(
        fs("20", "8", "0"), fs("0", "12", "30"), fs("20", "20", "20"), [*fs("0.5", "0.45", "0.4")], fs("5", "5", "5")
    )
    assert [worked[f"intensity_{at}_kg_per_kwh"] for at in (1, 2, 3)] == [F("0.5"), F("0.18"), 0]
    assert (worked["session_kg"], worked["export_kwh"]) == (F("3.4"), F(10))
    assert near(worked["session_kg_per_kwh"], "0.226666667")


def test_example_39_half_of_a_session_without_a_factor() -> None:
    worked = site_mix(fs("10", "10"), fs("0", "0"), fs("10", "10"), [F("0.3"), None], fs("10", "10"))
    assert (worked["session_kg_per_kwh"], worked["coverage_percent"]) == (F("0.3"), F(50))
    assert worked.figure("intensity_2_kg_per_kwh").value is None


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: storage_pool(*CHARGES, F(1), F("0.9"), F(136)), "delivered energy: expected at most 135 kWh AC, saw 136"),
        (lambda: storage_pool(*CHARGES, F(2), F("0.9"), F(1)), "charge_efficiency_ratio: expected above 0 and at most 1, saw 2"),
        (lambda: site_mix(fs("1"), fs("1"), fs("3"), fs("1")), "interval 1: expected a load of 1 to 2 kWh"),
        (lambda: site_mix(fs("1"), fs("1"), fs("2"), fs("1"), fs("3")), "ev_kwh, interval 1: expected at most the load of 2"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(call: object, said: str) -> None:
    assert callable(call)
    with pytest.raises(Impossible, match=said):
        call()
