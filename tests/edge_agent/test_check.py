"""`wattline edge check`: what can be said without a device, as text, as JSON and as an exit status."""

import io
import json
from pathlib import Path

import pytest

from edge_agent.check import check, not_admitted, run_check
from edge_agent.edge_file import load

TWO_BUSES = """
facility = "works"
edge = "gw"
mqtt = { host = "localhost", plain = true }
spool = { directory = "spool" }
[[bus]]
name = "switchroom"
protocol = "modbus_tcp"
host = "10.0.0.5"
[[bus.device]]
name = "incomer"
model = "schneider_pm5560"
period_s = 1
[[bus.device]]
name = "press"
model = "eastron_sdm120"
unit = 2
period_s = 10
[[bus]]
name = "roof"
protocol = "modbus_tcp"
host = "10.0.0.6"
[[bus.device]]
name = "pv"
model = "sunspec_103"
period_s = 2
"""


@pytest.fixture
def edge_file(tmp_path: Path) -> Path:
    path = tmp_path / "edge.toml"
    path.write_text(TWO_BUSES)
    return path


def test_the_share_of_a_bus_is_requests_times_answer_time_over_period(edge_file: Path) -> None:
    """At 20 ms per answer: 2 requests a second are 4 %, 2 in ten seconds 0.4 %, 1 in two seconds 1 %."""
    outcome = check(edge_file)
    assert outcome.faults == ()
    switchroom, roof = outcome.buses
    assert [device.requests for device in switchroom.devices] == [2, 2]
    assert [device.busy_percent for device in switchroom.devices] == [4.0, 0.4]
    assert switchroom.busy_percent == 4.4
    assert (roof.devices[0].requests, roof.busy_percent) == (1, 1.0)


def test_the_plan_names_registers_and_holes(edge_file: Path) -> None:
    """PM5560: 2999..3110 and 3203..3238 on the wire, 112 + 36 registers; 23 floats and 5 counters of 4 are wanted."""
    incomer = check(edge_file).buses[0].devices[0]
    assert incomer.lines == (
        "holding 2999..3110, 112 registers, 66 of them holes",  # 23 floats
        "holding 3203..3238, 36 registers, 16 of them holes",  # 5 counters of 4 registers
    )
    assert (incomer.rows, incomer.confirmed) == (28, 13)


def test_a_sound_file_exits_0_and_says_that_it_fits(edge_file: Path) -> None:
    out = io.StringIO()
    assert run_check(edge_file, False, out) == 0
    assert "bus switchroom (10.0.0.5:502): 4.4 % busy: fits" in out.getvalue()
    assert "pv: sunspec_103, 21 quantities (2 confirmed by a second source) every 2 s in 1 requests" in out.getvalue()


def test_a_bus_that_cannot_keep_its_periods_exits_1(edge_file: Path) -> None:
    edge_file.write_text(
        TWO_BUSES.replace("period_s = 1\n", "period_s = 0.1\n").replace("period_s = 10", "period_s = 0.1")
    )
    out = io.StringIO()
    assert check(edge_file).overloaded == ()  # 2 x 20 ms and 2 x 20 ms in 100 ms are 80 %
    edge_file.write_text(edge_file.read_text().replace("eastron_sdm120", "eastron_sdm630"))
    assert run_check(edge_file, False, out) == 0  # 5 requests are 100 %, which just fits
    edge_file.write_text(edge_file.read_text().replace("schneider_pm5560", "schneider_iem3155"))
    assert run_check(edge_file, False, out) == 1
    assert "120.0 % busy: the periods cannot be kept" in out.getvalue()


SERIAL = """
facility = "works"
edge = "gw"
mqtt = { host = "localhost", plain = true }
spool = { directory = "spool" }
[[bus]]
name = "cellar"
protocol = "modbus_rtu"
serial = "/dev/ttyUSB0"
baud = 2400
[[bus.device]]
name = "press"
model = "eastron_sdm120"
period_s = 1
"""


def test_a_serial_line_that_cannot_carry_its_periods_is_not_started(tmp_path: Path) -> None:
    """SDM120: registers 0 to 87 in two requests; 176 bytes of values alone are 0.73 s at 2400 baud with 10 bits, one meter a second fits, two do not."""
    path = tmp_path / "edge.toml"
    path.write_text(SERIAL)
    assert not_admitted(load(path)) == ""
    second = SERIAL[SERIAL.index("[[bus.device]]") :].replace('"press"', '"lathe"') + "unit = 2\n"
    path.write_text(SERIAL + second)
    assert "bus cellar (/dev/ttyUSB0): expected at most 100 % of the line's time, saw 1" in not_admitted(load(path))


def test_a_busy_network_bus_is_admitted(edge_file: Path) -> None:
    edge_file.write_text(
        TWO_BUSES.replace("period_s = 1\n", "period_s = 0.1\n").replace("schneider_pm5560", "schneider_iem3155")
    )
    assert not_admitted(load(edge_file)) == ""


def test_a_file_with_faults_exits_2_with_one_line_each(edge_file: Path) -> None:
    edge_file.write_text(TWO_BUSES.replace('"gw"', '"g w"').replace("unit = 2", "unit = 1"))
    out = io.StringIO()
    assert run_check(edge_file, False, out) == 2
    assert len(out.getvalue().splitlines()) == 2


def test_for_programs_there_is_json(edge_file: Path) -> None:
    out = io.StringIO()
    run_check(edge_file, True, out)
    answer = json.loads(out.getvalue())
    assert answer["faults"] == []
    assert [bus["bus"] for bus in answer["buses"]] == ["switchroom", "roof"]
    edge_file.write_text("facility = 1")
    faults = io.StringIO()
    run_check(edge_file, True, faults)
    assert {"file", "key", "expected", "seen"} == set(json.loads(faults.getvalue())["faults"][0])


def test_what_may_be_written_is_said_with_its_bounds_and_its_fallback(tmp_path: Path) -> None:
    (tmp_path / "edge.toml").write_text(
        'facility = "works"\nedge = "gw"\nmqtt = { host = "127.0.0.1", plain = true }\nspool = { directory = "s" }\n'
        '[[bus]]\nname = "b"\nprotocol = "modbus_tcp"\nhost = "10.0.0.5"\n[[bus.device]]\nname = "pv"\nmodel = "sunspec"\n'
        '[[bus.device.allow]]\npoint = "active_power_limit_percent"\nlow = 30\nlongest_s = 900\n'
    )
    out = io.StringIO()
    assert run_check(tmp_path / "edge.toml", False, out) == 0
    assert (
        "may be written: active_power_limit_percent, 30 to 100 % of the rated power, at most 900 s; fallback device_timer, "
        "safe state: let go of\n"
    ) in out.getvalue()
