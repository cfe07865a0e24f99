"""Circuit and tariff of a facility in the settings. What is wrong with them: tests/cases/aggregator_file."""

import shutil
from datetime import date
from pathlib import Path

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


def test_a_facility_without_a_tariff_has_a_circuit_and_no_plans(tmp_path: Path) -> None:
    shutil.copytree(CASES / "circuits", tmp_path / "circuits")
    begin, end = TEXT.index("[facility.tariff]"), TEXT.index("[[edge]]")
    (tmp_path / "aggregator.toml").write_text(TEXT[:begin] + TEXT[end:])
    assert load(tmp_path / "aggregator.toml", {}).steered == {}
