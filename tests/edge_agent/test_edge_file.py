"""The edge file: each kind of fault has a file, all faults come at once, and what is sound is loaded with its defaults."""

from pathlib import Path

import pytest

from edge_agent.edge_file import EdgeFileFaults, load

CASES = Path(__file__).parent.parent / "cases" / "edge_file"
EXAMPLE = Path(__file__).parent.parent.parent / "docs" / "examples" / "edge.toml"

SOUND = """
facility = "works"
edge = "gw-01"
mqtt = { host = "localhost", port = 1883, plain = true }
spool = { directory = "spool" }
[[bus]]
name = "tcp1"
protocol = "modbus_tcp"
host = "10.0.0.5"
[[bus.device]]
name = "incomer"
model = "schneider_pm5560"
"""


def write(directory: Path, text: str) -> Path:
    path = directory / "edge.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("case", sorted(CASES.glob("*.toml")), ids=lambda path: path.stem)
def test_a_fault_is_named_with_its_file_and_key_and_what_was_expected_and_seen(case: Path) -> None:
    expected = case.read_text().splitlines()[0].removeprefix("# expect: ")
    with pytest.raises(EdgeFileFaults) as caught:
        load(case)
    text = str(caught.value)
    assert expected in text
    assert text.startswith(f"{case}: ")


@pytest.mark.parametrize("case", sorted(CASES.glob("*.toml")), ids=lambda path: path.stem)
def test_a_case_has_one_fault_and_gives_one_message(case: Path) -> None:
    with pytest.raises(EdgeFileFaults) as caught:
        load(case)
    assert len(caught.value.faults) == 1


def test_there_are_at_least_twenty_kinds_of_fault() -> None:
    assert len(list(CASES.glob("*.toml"))) >= 20


def test_all_faults_of_a_file_come_in_one_message(tmp_path: Path) -> None:
    text = SOUND.replace('"works"', '"w rks"').replace("1883", "70000").replace("schneider_pm5560", "pm1")
    text += 'unit = 400\nperoid_s = 3\n[[bus.device]]\nname = "incomer"\nmodel = "abb_b23"\nunit = "x"\n'
    with pytest.raises(EdgeFileFaults) as caught:
        load(write(tmp_path, text))
    assert [fault.key for fault in caught.value.faults] == [
        "facility",
        "mqtt.port",
        "bus[0].device[0].peroid_s",
        "bus[0].device[0].unit",
        "bus[0].device[1].unit",
        "bus[0].device[0].model",
        "bus[0].device[1].name",
    ]


def test_a_sound_file_is_loaded_with_the_defaults_of_what_it_leaves_out(tmp_path: Path) -> None:
    edge = load(write(tmp_path, SOUND))
    assert (edge.facility, edge.edge, edge.flush.period_s, edge.signing, edge.aggregator.store_id) == (
        "works",
        "gw-01",
        1.0,
        None,
        "",
    )
    (bus,) = edge.bus
    (device,) = bus.device
    assert (bus.port, bus.timeout_s) == (502, 1.0)
    assert (device.unit, device.period_s, device.boundary_poll, device.boundary_s) == (1, 1.0, True, 900)


def test_file_names_count_from_the_edge_file(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("x")
    (tmp_path / "key.sign").write_text("x")
    text = SOUND.replace("port = 1883, plain = true", 'tls = { ca = "ca.pem" }').replace(
        "[[bus]]", 'signing = { key = "key.sign" }\n[[bus]]'
    )
    edge = load(write(tmp_path, text))
    assert edge.mqtt.tls is not None
    assert edge.mqtt.tls.ca == str(tmp_path / "ca.pem")
    assert edge.spool.directory == str(tmp_path / "spool")
    assert edge.signing is not None
    assert edge.signing.key == str(tmp_path / "key.sign")


def test_a_meter_of_ones_own_is_a_file_beside_the_edge_file(tmp_path: Path) -> None:
    (tmp_path / "oven.toml").write_text(
        'maker = "x"\nmodel = "oven"\nmanual = { title = "x", edition = "1" }\n'
        '[[row]]\nquantity = "temperature_degc"\naddress = 4\ntype = "int16"\nscale_exponent = -1\n'
    )
    edge = load(write(tmp_path, SOUND.replace("schneider_pm5560", "oven.toml")))
    assert edge.bus[0].device[0].model == str(tmp_path / "oven.toml")


def test_a_fault_in_a_meter_of_ones_own_names_its_file_and_row(tmp_path: Path) -> None:
    (tmp_path / "oven.toml").write_text(
        'maker = "x"\nmodel = "oven"\nmanual = { title = "x", edition = "1" }\n[[row]]\nquantity = "heat"\naddress = 4\ntype = "int16"\n'
    )
    with pytest.raises(EdgeFileFaults, match=r"oven\.toml: row\[0\]\.quantity: expected a quantity"):
        load(write(tmp_path, SOUND.replace("schneider_pm5560", "oven.toml")))


def test_a_file_without_an_end_is_not_read_to_its_end() -> None:
    with pytest.raises(EdgeFileFaults, match="/dev/zero: file: expected at most 8 MiB of TOML, saw more"):
        load("/dev/zero")


def test_a_file_that_is_not_there_is_a_fault_like_any_other(tmp_path: Path) -> None:
    with pytest.raises(EdgeFileFaults, match="expected a readable edge file, saw No such file"):
        load(tmp_path / "none.toml")


def test_bytes_that_are_not_utf_8_are_named_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_bytes(b'facility = "works"\nedge = "g\xff"\n')
    with pytest.raises(EdgeFileFaults, match=r"line 2: expected UTF-8, saw b'\\xff'"):
        load(path)


def test_arrays_without_end_are_a_fault_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_text("facility = " + "[" * 5000)
    with pytest.raises(EdgeFileFaults, match="file: expected a few levels of tables and arrays, saw hundreds"):
        load(path)


def test_the_example_of_the_documentation_is_sound(tmp_path: Path) -> None:
    text = EXAMPLE.read_text()
    for name in ("ca.pem", "gw-01.pem", "gw-01.key", "gw-01.sign"):
        (tmp_path / name).write_text("x")
    edge = load(write(tmp_path, text))
    assert {device.model for bus in edge.bus for device in bus.device} >= {
        "schneider_pm5560",
        "sunspec_103",
        "sunspec_802",
    }
