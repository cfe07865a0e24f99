"""The settings file: what is read from it, and every fault in one message. Each file in tests/cases/aggregator_file is one fault."""

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from aggregator.facility import Role
from aggregator.settings import SettingsFaults, load
from wire.keys import SigningKey

CASES = Path(__file__).parent.parent / "cases" / "aggregator_file"
TOKEN = {"WATTLINE_TOKEN": "0123456789abcdef"}

GOOD = """
[aggregator]
store_id = "plant-1"
data_directory = "data"
http = { host = "0.0.0.0", port = 9000, allowed_hosts = ["energy.plant.example"] }
[mqtt]
host = "broker.plant.example"
username = "aggregator"
tls = { ca = "ca.pem" }
[store]
kind = "influxdb"
url = "http://127.0.0.1:8086"
dialect = "v1"
[[facility]]
id = "works"
name = "Riverside Works"
time_zone = "Asia/Shanghai"
place = "CN-JS"
connection_kw = 1000
[[facility.factor]]
kg_per_kwh = "0.45848"
source = "test data"
valid_from = 2018-01-01
valid_to = 2019-01-01T00:00:00+08:00
marks = ["test data"]
[[facility.meter]]
device = "incomer"
edge = "gw-01"
role = "main"
rated_power_kw = 1000
multiplier = [{ factor = "100" }, { factor = 120, valid_from = 2026-05-01, reason = "new transformer" }]
[[facility.meter]]
device = "roof"
edge = "gw-01"
rated_power_kw = 250.5
show = "pv"
[[edge]]
facility = "works"
edge = "gw-01"
public_key = "{key}"
"""


def written(directory: Path, text: str) -> Path:
    (directory / "ca.pem").write_text("not read here")
    path = directory / "aggregator.toml"
    path.write_text(text)
    return path


def faults_of(path: Path, environment: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsFaults) as caught:
        load(path, environment)
    return str(caught.value).splitlines()


def test_a_whole_file_becomes_settings(tmp_path: Path) -> None:
    key = SigningKey.generate().public
    path = written(tmp_path, GOOD.replace("{key}", key.to_text()))
    settings = load(path, {**TOKEN, "WATTLINE_MQTT_PASSWORD": "secret"})
    assert settings.store_id == "plant-1"
    assert settings.data_directory == tmp_path / "data"
    assert (settings.http.host, settings.http.port, settings.http.open_reads) == ("0.0.0.0", 9000, False)
    assert settings.http.allowed_hosts == ("energy.plant.example",)
    assert settings.mqtt is not None
    assert (settings.mqtt.port, settings.mqtt.username, settings.mqtt.password) == (8883, "aggregator", "secret")
    assert settings.mqtt.tls is not None
    assert settings.mqtt.tls.ca == tmp_path / "ca.pem"
    assert (settings.store.kind, settings.store.dialect) == ("influxdb", "v1")
    assert settings.edges[0].public_key == key


def test_a_facility_is_read_with_meters_multipliers_and_its_own_factor(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD.replace("{key}", SigningKey.generate().public.to_text()))
    works = load(path, TOKEN).facility("works")
    assert works is not None
    incomer, roof = works.meters
    assert (incomer.role, incomer.show, incomer.rated_power_kw) == (Role.MAIN, "grid", Decimal(1000))
    assert (roof.role, roof.show, roof.rated_power_kw) == (Role.SUB, "pv", Decimal("250.5"))
    may_ms = int(datetime(2026, 5, 1, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp() * 1000)
    assert (incomer.multiplier_at(may_ms - 1), incomer.multiplier_at(may_ms)) == (Decimal(100), Decimal(120))
    (own,) = works.overrides
    assert (own.kg_per_kwh, own.source, own.marks) == (Decimal("0.45848"), "test data", ("test data",))
    assert own.valid_to_ms == int(datetime(2019, 1, 1, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp() * 1000)
    assert own.valid_from_ms == int(datetime(2018, 1, 1, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp() * 1000)


def test_a_multiplier_that_was_wrong_is_corrected_by_one_more_entry(tmp_path: Path) -> None:
    """Domain rule 4: the list only grows; reason, evidence and approver stand with what corrects."""
    first = '{ factor = "100" }, { factor = 120, valid_from = 2026-05-01, reason = "new transformer" }'
    why = 'reason = "plate misread", evidence = "photo 7", approver = "Bo"'
    key = SigningKey.generate().public.to_text()

    def factors(more: str) -> list[Decimal]:
        path = written(tmp_path, GOOD.replace("{key}", key).replace(first, f"{first}, {more}"))
        works = load(path, TOKEN).facility("works")
        assert works is not None
        days = [datetime(2026, month, 15, tzinfo=ZoneInfo("Asia/Shanghai")) for month in (1, 4, 5)]
        return [works.meters[0].multiplier_at(int(day.timestamp() * 1000)) for day in days]

    assert factors(f"{{ factor = 60, {why} }}") == [60, 60, 60]  # wrong from ever
    assert factors(f"{{ factor = 60, valid_from = 2026-05-01, {why} }}") == [100, 100, 60]
    assert factors(f"{{ factor = 60, valid_from = 2026-04-01, {why} }}") == [100, 60, 60]
    with pytest.raises(SettingsFaults, match="expected its reason, evidence and approver"):
        factors("{ factor = 60, valid_from = 2026-04-01 }")


def test_the_shortest_file_has_defaults_that_are_safe(tmp_path: Path) -> None:
    path = written(tmp_path, '[aggregator]\n[[facility]]\nid = "works"\ntime_zone = "Asia/Shanghai"\n')
    settings = load(path, {})
    assert (settings.http.host, settings.http.port, settings.http.token) == ("127.0.0.1", 8080, None)
    assert settings.http.allowed_hosts == ("127.0.0.1", "localhost", "::1")
    assert settings.http.open_reads
    assert settings.store.kind == "duckdb"
    assert settings.mqtt is None
    assert settings.facilities[0].interval_s == 900


def test_one_factor_may_be_written_as_a_table(tmp_path: Path) -> None:
    text = '[aggregator]\n[[facility]]\nid = "works"\ntime_zone = "Asia/Shanghai"\n[facility.factor]\nkg_per_kwh = "0.5"\nsource = "contract"\n'
    assert load(written(tmp_path, text), {}).facilities[0].overrides[0].kg_per_kwh == Decimal("0.5")


def test_a_number_keeps_the_digits_that_it_was_written_with(tmp_path: Path) -> None:
    text = '[aggregator]\n[[facility]]\nid = "works"\ntime_zone = "Asia/Shanghai"\nfactor = { kg_per_kwh = 0.1, source = "contract" }\n'
    assert str(load(written(tmp_path, text), {}).facilities[0].overrides[0].kg_per_kwh) == "0.1"


def test_a_missing_file_is_one_clear_fault(tmp_path: Path) -> None:
    (fault,) = faults_of(tmp_path / "none.toml", {})
    assert fault == f"{tmp_path}/none.toml: (file): expected a readable file, got No such file or directory"


def test_a_file_without_an_end_is_not_read_to_its_end() -> None:
    with pytest.raises(SettingsFaults, match="expected at most 8 MiB of TOML"):
        load(Path("/dev/zero"), {})


def test_a_file_that_is_no_text_is_one_clear_fault(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b'[aggregator]\nstore_id = "\xff"\n')
    (fault,) = faults_of(tmp_path / "a.toml", {})
    assert "expected UTF-8 text, got byte 0xff" in fault


def test_a_short_token_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, '[aggregator]\n[[facility]]\nid = "works"\ntime_zone = "Asia/Shanghai"\n')
    assert "WATTLINE_TOKEN: expected at least 16 characters, got 5" in faults_of(path, {"WATTLINE_TOKEN": "short"})[0]


def test_a_secret_never_stands_in_a_message(tmp_path: Path) -> None:
    path = written(tmp_path, '[aggregator]\nport = 1\n[[facility]]\nid = "works"\ntime_zone = "x"\n')
    assert "0123456789abcdef" not in "\n".join(faults_of(path, TOKEN))


@pytest.mark.parametrize("path", sorted(CASES.glob("*.toml")), ids=lambda path: path.stem)
def test_each_fault_is_named_with_file_key_expected_and_seen(path: Path) -> None:
    expected = [
        line.removeprefix("# expect: ") for line in path.read_text().splitlines() if line.startswith("# expect: ")
    ]
    found = faults_of(path, {})
    for text in expected:
        assert any(f"{path}: {text}" in fault for fault in found), f"{text!r} is not in {found}"
    assert len(found) == len(expected), "no other fault is reported"


def test_there_are_enough_faults_as_files() -> None:
    assert len(list(CASES.glob("*.toml"))) >= 15
