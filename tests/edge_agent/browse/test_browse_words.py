"""What `wattline edge browse` makes of its words: buses from the command line and from edge files, refusals, tables and snippets."""

import io
import json
import struct
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from edge_agent.browse.listing import Listing, identifier, print_listings, toml
from edge_agent.browse.modbus import word_order
from edge_agent.browse.run import from_words, run_browse, snippet
from edge_agent.drivers.table import PROTOCOLS
from edge_agent.edge_file import EdgeFileFaults
from wire.clock import Clock

EDGE = """
facility = "works"
edge = "gw"
mqtt = { host = "localhost", plain = true }
spool = { directory = "spool" }
[[bus]]
name = "one"
protocol = "modbus_tcp"
host = "10.0.0.5"
[[bus.device]]
name = "a"
model = "siemens_pac3200"
[[bus]]
name = "piles"
protocol = "cjt188"
host = "127.0.0.1"
port = 9
[[bus.device]]
name = "b"
model = "cjt188_cold_water"
address = "1"
"""


async def said(place: str, *words: str, **keys: Any) -> tuple[int, str]:
    out = io.StringIO()
    bus = keys.pop("bus", None)
    status = await run_browse(place, words, bus, keys.pop("as_json", False), out, Clock(), **keys)
    return status, out.getvalue()


def test_words_are_read_as_toml_and_host_names_need_no_quotes() -> None:
    bus: Any = from_words("modbus_tcp", ["host=10.0.0.5", "port=1502", "timeout_s=0.5", "device.unit=3"])
    assert (bus.host, bus.port, bus.timeout_s, bus.device[0].unit) == ("10.0.0.5", 1502, 0.5, 3)
    bus = from_words("dlt645", ["serial=/dev/ttyUSB0", "baud=9600"])
    assert (bus.serial, bus.baud, bus.parity, bus.device) == ("/dev/ttyUSB0", 9600, "even", [])


@pytest.mark.parametrize(
    ("protocol", "words", "fault"),
    [
        ("modbus_tcp", ["10.0.0.5"], "command line: 10.0.0.5: expected key=value"),
        ("modbus_tcp", [], "command line: host: expected a value (required), saw nothing"),
        ("modbus_tcp", ["host=a", "prot=5"], "unknown key 'prot'"),
        ("modbus_tcp", ["host=a", "port=x"], "command line: port: expected int, saw 'x'"),
        ("modbus_tcp", ["host=a", "device.unit=900"], "command line: device[0].unit: expected int <= 255, saw 900"),
        ("mbus", ["baud=9600"], "either serial, or host and port"),
    ],
)
def test_words_that_describe_no_bus_are_named(protocol: str, words: list[str], fault: str) -> None:
    with pytest.raises(EdgeFileFaults) as caught:
        from_words(protocol, words)
    assert fault in str(caught.value)


@pytest.mark.parametrize(("protocol", "words"), [("ocpp", "charging piles call"), ("mqtt", "mosquitto_sub"), ("cjt188", "printed")])  # fmt: skip
async def test_a_protocol_without_a_browse_is_refused_with_what_to_do_instead(protocol: str, words: str) -> None:
    status, text = await said(protocol, "host=127.0.0.1")
    assert status == 2
    assert f"{protocol} cannot be browsed: " in text
    assert words in text


async def test_every_protocol_is_browsed_or_refused() -> None:
    """Nothing listens there: what comes back is a word, never a traceback."""
    words = {"opcua": ["url=opc.tcp://127.0.0.1:9", "timeout_s=0.3"], "bacnet_ip": ["interface=127.0.0.1", "port=0"]}
    for protocol in PROTOCOLS:
        status, text = await said(protocol, *words.get(protocol, ["host=127.0.0.1", "port=9", "timeout_s=0.3"]))
        assert status in (1, 2), (protocol, text)
        assert text


@pytest.mark.parametrize(
    ("protocol", "words", "package"),
    [("opcua", "url=opc.tcp://127.0.0.1:9", "asyncua"), ("bacnet_ip", "interface=127.0.0.1", "bacpypes3")],
)
def test_a_library_that_is_not_installed_is_named_with_what_brings_it(protocol: str, words: str, package: str) -> None:
    start = (
        f"import sys; sys.modules[{package!r}] = None; from wattline.command import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", start, "edge", "browse", protocol, words], capture_output=True, text=True, timeout=60
    )
    extra = {"opcua": "opcua", "bacnet_ip": "bacnet"}[protocol]
    expected = f"bus {protocol}: protocol {protocol} needs the package {package}: pip install 'wattline[{extra}]'\n"
    assert (done.returncode, done.stdout) == (2, expected), done.stderr


async def test_a_serial_port_that_is_not_there_is_nothing_found(tmp_path: Path) -> None:
    status, text = await said("modbus_rtu", f"serial={tmp_path / 'ttyUSB9'}", "timeout_s=0.2")
    assert status == 1
    assert "ttyUSB9" in text
    assert "[[bus.device]]" not in text


async def test_an_edge_file_with_several_buses_wants_to_know_which(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(EDGE)
    assert await said(str(path)) == (2, "--bus: expected one of one, piles, saw nothing\n")
    assert await said(str(path), bus="two") == (2, "--bus: expected one of one, piles, saw 'two'\n")
    status, text = await said(str(path), bus="piles")
    assert (status, "cjt188 cannot be browsed" in text) == (2, True)
    status, text = await said("nowhere")
    assert status == 2
    assert "expected an edge file or one of bacnet_ip, " in text


def floats(first: int, *values: float, low_first: bool = False) -> dict[int, int]:
    halves = [struct.unpack(">2H", struct.pack(">f", value))[:: -1 if low_first else 1] for value in values]
    return dict(enumerate((word for pair in halves for word in pair), first))


MEASURED = (230.17, 229.93, 231.41, 12.417, 11.931, 13.073, 2811.43, 2702.17)


@pytest.mark.parametrize("first", [0, 1, 40])
@pytest.mark.parametrize("low_first", [False, True])
def test_the_word_order_is_guessed_from_where_the_map_begins(first: int, low_first: bool) -> None:
    words = floats(first, *MEASURED, low_first=low_first)
    assert word_order(words) == f"floats with the {'low' if low_first else 'high'} word first, it seems (8 values)"


def test_integers_and_empty_maps_tell_no_word_order() -> None:
    assert "no floats" in word_order(dict.fromkeys(range(40), 0))
    assert "no floats" in word_order(dict(enumerate([2301, 2299, 2314, 124, 119, 131, 5000])))


def listing() -> Listing:
    device = toml("bus.device", {"name": "pump", "unit": 3, "host": None}, "sunspec")
    return Listing("unit 3", ("what", "value"), (("a", "1"), ("b" * 60, "22")), ("a note",), device, "[[row]]")


def test_people_get_aligned_tables_and_a_snippet_that_is_toml() -> None:
    out = io.StringIO()
    bus = snippet(from_words("modbus_tcp", ["host=10.0.0.5", "port=502"]))
    print_listings([listing()], bus, False, out)
    text = out.getvalue()
    assert "  what" in text
    assert f"  {'b' * 46}..  22\n" in text
    pasted = tomllib.loads(text.split("# for the edge file\n")[1].split("# rows")[0])
    assert pasted == {
        "bus": [
            {
                "name": "modbus_tcp",
                "protocol": "modbus_tcp",
                "host": "10.0.0.5",
                "device": [{"name": "pump", "unit": 3, "model": "sunspec"}],
            }
        ]
    }


def test_programs_get_the_same_as_json() -> None:
    out = io.StringIO()
    print_listings([listing()], "[[bus]]\n", True, out)
    told = json.loads(out.getvalue())
    assert told["found"][0]["table"][0] == ["a", "1"]
    assert told["edge_file"].startswith("[[bus]]\n\n[[bus.device]]\nname = ")


@pytest.mark.parametrize(
    ("words", "name"), [("AHU 1/Floor 2", "ahu-1-floor-2"), ("", "x"), ("电表", "x"), ("a" * 80, "a" * 64)]
)
def test_names_are_made_of_what_devices_call_themselves(words: str, name: str) -> None:
    assert identifier(words, "x") == name
