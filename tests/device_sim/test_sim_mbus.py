"""The simulator's M-Bus half: records against bytes written by hand, requests against EN 13757-2, and pymeterbus as the client on a pseudo-terminal."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import serial
from mbus_peer import meterbus

from device_sim.answer_log import AnswerLog
from device_sim.faults import Fault, FaultKind
from device_sim.mbus.bus import Meters, open_bus
from device_sim.mbus.frames import date_time, header, modulus, overlaid, record, split
from device_sim.mbus.kinds import KINDS, parted
from device_sim.site import load_site

START_MS = 1_700_000_000_000


def devices(*meters: tuple[str, str, str, dict[str, Any]]) -> list[Any]:
    """Devices (name, kind, measures, options) of a plant with all carriers, an hour after its start."""
    plan = load_site(
        {
            "plant": [
                {
                    "name": "works",
                    "load": {"base_kw": 40, "peak_kw": 40, "noise_ratio": 0},
                    "heat": {"peak_kw": 300},
                    "cooling": {"peak_kw": 100},
                    "water": {"cold_peak_m3_per_h": 5, "hot_peak_m3_per_h": 2},
                    "gas": {"peak_m3_per_h": 40},
                    "oil": {"peak_l_per_h": 20},
                    "bus": [{"name": "line", "protocol": "mbus"}],
                    "device": [
                        {"name": name, "kind": kind, "measures": measures, "bus": "line", "unit": unit, **options}
                        for unit, (name, kind, measures, options) in enumerate(meters, 1)
                    ],
                }
            ]
        }
    ).plants[0]
    plant = plan.build(START_MS)
    built = [device for _, device in plan.build_devices(plant)]
    plant.advance(START_MS + 3_600_000)
    return built


HEAT = ("heat", "kamstrup_multical_601", "heat", {"secondary": "12345678"})
WATER = ("cold", "itron_cyble_water", "cold_water", {"secondary": "12345699"})
NOW_MS = START_MS + 3_600_000


@pytest.mark.parametrize(
    ("head", "value", "expected"),
    [
        ("0C 06", 12_345 * 3_600_000_000_000, "0c 06 45 23 01 00"),  # kWh
        ("04 06", 12_345 * 3_600_000_000_000, "04 06 39 30 00 00"),
        ("0C 03", 12_345 * 3_600_000_000, "0c 03 45 23 01 00"),  # Wh
        ("04 FB 00", 12 * 360_000_000_000_000, "04 fb 00 0c 00 00 00"),  # tenths of a MWh
        ("0C 13", 1_234_567 * 10**9, "0c 13 67 45 23 01"),  # litres
        ("04 14", 123_456 * 10**10, "04 14 40 e2 01 00"),  # hundredths of a m3
        ("0B 3B", 73_612, "0b 3b 65 02 00"),  # 73,612 uL/s are 265.0032 L/h
        ("0B 2D", -12_300_000, "0b 2d 23 01 f0"),  # -12.3 kW, tenths of a kW
        ("02 5A", 85_000, "02 5a 52 03"),  # tenths of a degree
        ("0A 5A", 85_000, "0a 5a 50 08"),
        ("02 FD 48", 230_000, "02 fd 48 fc 08"),  # tenths of a V
        ("04 FD D9 FF 01", -4_356, "04 fd d9 ff 01 fc ee ff ff"),  # mA
        ("04 22", 7_200, "04 22 02 00 00 00"),  # hours
        ("0C 06", 100_000_001 * 3_600_000_000_000, "0c 06 01 00 00 00"),  # nine digits in eight
    ],
)
def test_a_record_is_coded_as_the_standard_has_it(head: str, value: int, expected: str) -> None:
    assert record(bytes.fromhex(head), value).hex(" ") == expected


def test_where_a_counter_goes_on_from_zero_follows_from_its_digits() -> None:
    assert modulus(bytes.fromhex("0C06")) == 10**8 * 3_600_000_000_000
    assert modulus(bytes.fromhex("0C03")) == 10**5 * 3_600_000_000_000
    assert modulus(bytes.fromhex("0414")) == 10**6 * 10**12


def test_the_header_and_the_clock_are_coded_as_the_standard_has_them() -> None:
    head = header("12345678", "KAM", 8, 4, 0x12A, 0x10)
    assert head.hex(" ") == "78 56 34 12 2d 2c 08 04 2a 10 00 00"
    assert date_time(bytes.fromhex("046D"), datetime.fromisoformat("2012-01-13T16:34")).hex(" ") == "04 6d 22 10 8d 11"


def test_what_several_say_at_once_is_the_zeros_of_all() -> None:
    assert overlaid([b"\xe5", b"\xe5"]) == b"\xe5"
    assert overlaid([b"\x68\x0f", b"\x68\xf0\x01"]) == b"\x68\x00\x01"


def test_requests_are_found_behind_noise_and_one_at_a_time() -> None:
    nke, ask = bytes.fromhex("1040014116"), bytes.fromhex("107b017c16")
    assert split(b"\x00\xff" + nke + ask) == (nke, 7)
    assert split(ask[:3]) == (None, 0)
    assert split(bytes.fromhex("1040014216")) == (None, 5)


def test_every_kind_says_each_of_its_records() -> None:
    for kind in KINDS.values():
        for telegram in kind.telegrams:
            for line in telegram:
                head, name = parted(line)
                assert name
                assert head


def user_data(meters: Meters, request: str) -> bytes:
    said = meters.answer(bytes.fromhex(request), NOW_MS)
    return b"" if said is None else said.frame


def test_the_frame_count_bit_asks_for_a_new_telegram_or_the_last_one_again() -> None:
    meters = Meters(devices(HEAT))
    assert user_data(meters, "1040014116") == b"\xe5"
    first = user_data(meters, "107b017c16")
    assert user_data(meters, "107b017c16") == first
    second = user_data(meters, "105b015c16")
    assert (first[15], second[15]) == (1, 2)  # the access number
    assert first[19:25] == bytes.fromhex("0c7878563412")


def selection(address: str) -> str:
    body = bytes.fromhex("53fd52" + address)
    return (bytes.fromhex("680b0b68") + body + bytes([sum(body) % 256, 0x16])).hex()


ASK_SELECTED = "107bfd7816"


@pytest.mark.parametrize(
    ("address", "selected"),
    [
        ("78563412 2d2c 08 04", ["heat"]),
        ("78563412 ffff ff ff", ["heat"]),
        ("ff563412 ffff ff ff", ["heat", "cold"]),
        ("ffffffff ffff ff 16", ["cold"]),
        ("ffffffff 7704 ff ff", ["cold"]),
        ("78563412 2d2c 09 04", []),
        ("00563412 ffff ff ff", []),
    ],
)
def test_a_selection_takes_wildcards_and_deselects_the_others(address: str, selected: list[str]) -> None:
    meters = Meters(devices(HEAT, WATER))
    user_data(meters, selection("ffffffffffffffff"))
    said = user_data(meters, selection(address.replace(" ", "")))
    assert said == (b"\xe5" if selected else b"")
    assert [meter.device.name for meter in meters._meters if meter.selected] == selected
    assert bool(user_data(meters, ASK_SELECTED)) == bool(selected)


def test_two_selected_meters_spoil_each_others_answer() -> None:
    meters = Meters(devices(HEAT, WATER))
    user_data(meters, selection("ffffffffffffffff"))
    frame = user_data(meters, ASK_SELECTED)
    body = frame[4:-2]
    assert frame[-2] != sum(body) % 256 or frame[1] != frame[2] or len(frame) != frame[1] + 6


def test_a_deselected_or_rebooted_meter_is_silent_at_the_address_of_the_selected() -> None:
    (heat,) = devices(HEAT)
    meters = Meters([heat])
    user_data(meters, selection("78563412ffffffff"))
    assert user_data(meters, "1040fd3d16") == b"\xe5"
    assert user_data(meters, ASK_SELECTED) == b""
    user_data(meters, selection("78563412ffffffff"))
    heat.begin(Fault(FaultKind.REBOOT, NOW_MS + 1000), NOW_MS)
    meters.addressed(bytes.fromhex(ASK_SELECTED))
    assert user_data(meters, ASK_SELECTED) == b""


def test_nobody_answers_what_is_for_all_nor_an_attempt_to_write() -> None:
    meters = Meters(devices(HEAT))
    assert user_data(meters, "1040ff3f16") == b""
    body = bytes.fromhex("530151017a02")
    write = (bytes.fromhex("68060668") + body + bytes([sum(body) % 256, 0x16])).hex()
    assert user_data(meters, write) == b""


def test_two_meters_with_one_secondary_address_are_refused() -> None:
    with pytest.raises(ValueError, match="expected each secondary address once"):
        Meters(devices(HEAT, ("cold", "itron_cyble_water", "cold_water", {"secondary": "12345678"})))
    with pytest.raises(ValueError, match="a secondary one of 8 digits, got 1 and '12'"):
        Meters(devices(("heat", "kamstrup_multical_601", "heat", {"secondary": "12"})))


async def on_pty(path: Path, meters: list[Any], talk: Callable[[serial.Serial], Any]) -> Any:
    """Serves the meters on a pseudo-terminal while `talk` uses it in a thread."""
    with AnswerLog(path / "answers.jsonl") as log:
        async with open_bus(meters, lambda: NOW_MS, log, "127.0.0.1", {"serial": True}) as bus:

            def run() -> Any:
                with serial.Serial(bus.place["serial"], 2400, parity="E", timeout=1) as port:
                    return talk(port)

            return await asyncio.to_thread(run)


async def test_pymeterbus_reads_a_meter_by_its_primary_address(tmp_path: Path) -> None:
    library, meters = meterbus(), devices(HEAT)

    def talk(port: serial.Serial) -> Any:
        library.send_ping_frame(port, 1)
        assert library.recv_frame(port, 1) == b"\xe5"
        library.send_request_frame(port, 1)
        return library.load(library.recv_frame(port, library.FRAME_DATA_LENGTH))

    told = await on_pty(tmp_path, meters, talk)
    records = told.body.bodyPayload.records
    stream = meters[0].plant.streams["heat"]
    assert float(records[1].parsed_value) == stream.energy_uj // 3_600_000_000_000 * 1000  # Wh
    assert float(records[2].parsed_value) == pytest.approx(stream.volume_nl // 10**10 / 100)
    assert told.body.bodyHeader.interpreted["manufacturer"] == "KAM"


async def test_pymeterbus_selects_a_meter_by_its_secondary_address(tmp_path: Path) -> None:
    library, meters = meterbus(), devices(HEAT, WATER)

    def talk(port: serial.Serial) -> Any:
        library.send_select_frame(port, "12345699FFFFFFFF")
        assert library.recv_frame(port, 1) == b"\xe5"
        library.send_request_frame(port, library.ADDRESS_NETWORK_LAYER)
        return library.load(library.recv_frame(port, library.FRAME_DATA_LENGTH))

    told = await on_pty(tmp_path, meters, talk)
    assert told.body.bodyHeader.interpreted["identification"] == "0x12, 0x34, 0x56, 0x99"
    volume = next(record for record in told.body.bodyPayload.records if str(record.unit) == "m^3")
    assert float(volume.parsed_value) == pytest.approx(meters[1].plant.streams["cold_water"].volume_nl // 10**10 / 100)


async def test_pymeterbus_is_told_that_more_telegrams_follow(tmp_path: Path) -> None:
    library, meters = meterbus(), devices(("flat", "sensus_pollucom_e", "heat", {}))

    def talk(port: serial.Serial) -> Any:
        library.send_ping_frame(port, 1)
        library.recv_frame(port, 1)
        library.send_request_frame_multi(port, 1)
        return library.load(library.recv_frame(port, library.FRAME_DATA_LENGTH))

    assert (await on_pty(tmp_path, meters, talk)).more_records_follow
