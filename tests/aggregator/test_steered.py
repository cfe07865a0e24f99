"""Circuit and tariff of a facility in the settings. What is wrong with them: tests/cases/aggregator_file."""

import shutil
from datetime import date
from pathlib import Path

from aggregator.flexibility.operation.loads import Comfort, Waiting
from aggregator.flexibility.operation.tariff import DemandRule, Limit, Period, When
from aggregator.settings import load

CASES = Path(__file__).parent.parent / "cases" / "aggregator_file"
TEXT = """
[aggregator]
data_directory = "data"
[[facility]]
id = "works"
time_zone = "Asia/Shanghai"
circuit = "circuits/works.toml"
[facility.tariff]
currency = "CNY"
export_price_per_kwh = 0.35
carbon_price_per_kg = 0.08
carbon_signal = "marginal"
holidays = [2026-10-01]
[[facility.tariff.period]]
name = "peak"
price_per_kwh = 1.2
hours = ["10:00-12:00", "16:00-24:00"]
months = [7, 8]
days = "workday"
[[facility.tariff.period]]
name = "flat"
price_per_kwh = 1
[[facility.tariff.demand]]
name = "month"
price_per_kw = 40
window = "sliding"
mode = "contract"
contract_kw = 400
[[facility.tariff.limit]]
name = "agreed"
limit_kw = 300
[[edge]]
facility = "works"
edge = "gw-01"
accept_unsigned = true
"""


def test_a_facility_with_circuit_and_tariff_is_steered(tmp_path: Path) -> None:
    shutil.copytree(CASES / "circuits", tmp_path / "circuits")
    (tmp_path / "aggregator.toml").write_text(TEXT)
    works = load(tmp_path / "aggregator.toml", {}).steered["works"]
    assert [asset.name for asset in works.circuit.asset] == ["battery"]
    tariff = works.tariff
    assert tariff.periods == (
        Period("peak", 1.2, When((7, 8), "workday", ((600, 720), (960, 1440)))),
        Period("flat", 1.0),
    )
    assert tariff.demand == (DemandRule("month", 40.0, "sliding", mode="contract", contract_kw=400.0),)
    assert tariff.limits == (Limit("agreed", 300.0),)
    assert (tariff.carbon_signal, tariff.holidays) == ("marginal", frozenset({date(2026, 10, 1)}))


def test_loads_and_what_vehicles_may_do_are_part_of_it(tmp_path: Path) -> None:
    shutil.copytree(CASES / "circuits", tmp_path / "circuits")
    meters = "".join(
        f'[[facility.meter]]\ndevice = "{one}"\nedge = "gw-01"\nrated_power_kw = 20\n' for one in ("pump", "chiller")
    )
    said = """
[[facility.shiftable]]
asset = "pump"
kwh = 30
window = "22:00-06:00"
days = "workday"
least_kw = 5
[[facility.comfort]]
asset = "chiller"
task = "heating"
low_degc = 19
high_degc = 23
kwh_per_k = 5
loss_kw_per_k = 0.5
thermometer = "hall"
"""
    text = TEXT.replace("works.toml", "loads.toml").replace("[[edge]]", meters + said + "[[edge]]")
    text = text.replace('time_zone = "Asia/Shanghai"', 'time_zone = "Asia/Shanghai"\ncharging_mode = "one_way"')
    (tmp_path / "aggregator.toml").write_text(text)
    works = load(tmp_path / "aggregator.toml", {}).steered["works"]
    assert works.waiting == (Waiting("pump", 30.0, 1320, 360, 10.0, When(days="workday"), 5.0),)
    assert works.comfort == (Comfort("chiller", "heating", 19.0, 23.0, 5.0, 0.5, 20.0, "hall", "chiller"),)
    assert works.charging == "one_way"


def test_a_facility_without_a_tariff_has_a_circuit_and_no_plans(tmp_path: Path) -> None:
    shutil.copytree(CASES / "circuits", tmp_path / "circuits")
    begin, end = TEXT.index("[facility.tariff]"), TEXT.index("[[edge]]")
    (tmp_path / "aggregator.toml").write_text(TEXT[:begin] + TEXT[end:])
    assert load(tmp_path / "aggregator.toml", {}).steered == {}
