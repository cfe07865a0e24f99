"""Dumps and how they are answered: frames written by hand, protocol by protocol, and files that are no dumps."""

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest

from device_sim import dump
from device_sim.dump import Dump, DumpFault, Exchange
from device_sim.replay import Record, Replay


def made(protocol: str, *pairs: tuple[str, str], repeat: bool = True) -> Record:
    exchanges = tuple(Exchange(bytes.fromhex(sent), bytes.fromhex(came)) for sent, came in pairs)
    return Record(Dump("meter", protocol, "why", exchanges), repeat=repeat)


def said(record: Record, request: str) -> str | None:
    answer = record.answer(bytes.fromhex(request))
    return None if answer is None else answer.hex(" ").upper()


# Read input register 70, two words, of unit 1 in transaction 5: 50.0 Hz, then NaN.
ASK = "0005 0000 0006 01 04 0046 0002"
HERTZ = "0005 0000 0007 01 04 04 42480000"
NAN = "0006 0000 0007 01 04 04 7FC00000"


def test_answers_come_in_their_order_with_the_present_transaction_and_the_last_one_stays() -> None:
    record = made("modbus_tcp", (ASK, HERTZ), ("0006" + ASK[4:], NAN))
    assert said(record, "0A01 0000 0006 01 04 0046 0002") == "0A 01 00 00 00 07 01 04 04 42 48 00 00"
    assert said(record, "0A02 0000 0006 01 04 0046 0002") == "0A 02 00 00 00 07 01 04 04 7F C0 00 00"
    assert said(record, "0A03 0000 0006 01 04 0046 0002") == "0A 03 00 00 00 07 01 04 04 7F C0 00 00"
    assert record.listed() == {"unit": 1}


def test_once_means_silence_behind_the_end() -> None:
    record = made("modbus_tcp", (ASK, HERTZ), repeat=False)
    assert said(record, ASK) is not None
    assert said(record, ASK) is None


def test_a_foreign_transaction_stays_foreign() -> None:
    record = made("modbus_tcp", (ASK, "0099" + HERTZ[4:]))
    assert said(record, "0A01 0000 0006 01 04 0046 0002") == "00 99 00 00 00 07 01 04 04 42 48 00 00"
    assert said(record, "0099 0000 0006 01 04 0046 0002") == "80 99 00 00 00 07 01 04 04 42 48 00 00"


def test_recorded_silence_is_silence_and_what_was_never_asked_is_too() -> None:
    record = made("modbus_tcp", (ASK, ""))
    assert said(record, ASK) is None
    assert said(record, "0001 0000 0006 01 04 0000 0002") is None


def test_registers_of_the_record_answer_reads_that_were_cut_in_another_way() -> None:
    """Four registers in one recorded answer: 1234 5678 9ABC DEF0 from 16."""
    record = made("modbus_tcp", ("0001 0000 0006 01 03 0010 0004", "0001 0000 000B 01 03 08 123456789ABCDEF0"))
    assert said(record, "0007 0000 0006 01 03 0011 0002") == "00 07 00 00 00 07 01 03 04 56 78 9A BC"
    assert said(record, "0007 0000 0006 01 03 0013 0002") is None  # 20 was never seen
    assert said(record, "0007 0000 0006 01 04 0011 0002") is None  # the other table


def test_rtu_frames_go_back_as_they_came_broken_ones_too() -> None:
    """07 03 0000 0001 with checksum 846C and its answer 1234 with 3D33; the second answer's checksum is wrong."""
    request = "07 03 00 00 00 01 84 6C"
    record = made("modbus_rtu", (request, "07 03 02 12 34 3D 33"), (request, "07 03 02 12 34 3D 00"))
    assert said(record, request) == "07 03 02 12 34 3D 33"
    assert said(record, request) == "07 03 02 12 34 3D 00"
    assert record.listed() == {"unit": 7}


def test_dl_t_645_requests_match_whatever_wakes_the_meter_first() -> None:
    """Read 00010000 of meter 000012345678: 68 78 56 34 12 00 00 68 11 04 33 33 34 33 cs 16."""
    body = bytes.fromhex("68 78 56 34 12 00 00 68 11 04 33 33 34 33")
    request = (body + bytes([sum(body) % 256, 0x16])).hex()
    record = made("dlt645", ("FEFEFEFE" + request, "FE 68 01"))
    assert said(record, request) == "FE 68 01"
    assert record.listed() == {"address": "000012345678"}


def cjt(control: str, data: str) -> str:
    body = bytes.fromhex(f"68 10 78 56 34 12 00 00 00 {control} {len(bytes.fromhex(data)):02X} {data}")
    return (body + bytes([sum(body) % 256, 0x16])).hex(" ").upper()


def test_the_serial_number_of_cj_t_188_goes_along() -> None:
    record = made("cjt188", (cjt("01", "1F 90 05"), "FE FE " + cjt("81", "1F 90 05 11 22")))
    assert said(record, cjt("01", "1F 90 2A")) == "FE FE " + cjt("81", "1F 90 2A 11 22")
    assert record.listed() == {"address": "00000012345678"}


def test_a_foreign_serial_number_of_cj_t_188_stays_foreign() -> None:
    record = made("cjt188", (cjt("01", "1F 90 05"), cjt("81", "1F 90 77 11 22")))
    assert said(record, cjt("01", "1F 90 2A")) == cjt("81", "1F 90 77 11 22")


def mbus_telegram(access: int) -> str:
    body = (
        bytes.fromhex("08 07 72 78 56 34 12 2D 2C 08 04")
        + bytes([access])
        + bytes.fromhex("00 00 00 04 13 39 30 00 00")
    )
    return (b"\x68" + bytes([len(body)]) * 2 + b"\x68" + body + bytes([sum(body) % 256, 0x16])).hex(" ").upper()


def test_mbus_is_asked_with_either_count_bit_and_its_access_number_moves_on_behind_the_end() -> None:
    record = made("mbus", ("10 7B 07 82 16", mbus_telegram(9)))
    assert said(record, "10 5B 07 62 16") == mbus_telegram(9)
    assert said(record, "10 7B 07 82 16") == mbus_telegram(10)
    assert said(record, "10 5B 07 62 16") == mbus_telegram(11)
    assert record.listed() == {"primary": 7}


def test_mbus_beginnings_that_the_recorder_had_forgotten_are_acknowledged() -> None:
    record = made("mbus", ("10 7B FD 78 16", mbus_telegram(9)))
    assert said(record, "10 40 07 47 16") == "E5"
    assert said(record, "68 0B 0B 68 53 FD 52 78 56 34 12 FF FF FF FF B2 16") == "E5"
    assert said(record, "10 5B 08 63 16") is None  # another meter's data
    assert record.listed() == {}


def lines(*frames: dict[str, Any], **head: Any) -> str:
    return "".join(json.dumps(line) + "\n" for line in ({"device": "m", "protocol": "modbus_tcp", **head}, *frames))


def test_a_file_is_cut_into_exchanges_and_bytes_told_twice_count_once(tmp_path: Path) -> None:
    path = tmp_path / "frames.jsonl"
    path.write_text(
        lines(
            {"at_ms": 1, "sent": False, "hex": "ff"},
            {"at_ms": 2, "sent": True, "hex": "0102"},
            {"at_ms": 3, "sent": False, "hex": "03"},
            {"at_ms": 4, "sent": False, "hex": "0304"},
            {"at_ms": 5, "sent": False, "hex": "0500"},
            {"at_ms": 6, "sent": True, "hex": "0102"},
            reason="because",
        )
    )
    assert dump.load(path) == Dump(
        "m", "modbus_tcp", "because", (Exchange(b"\1\2", b"\3\4\5\0"), Exchange(b"\1\2", b""))
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected a first line with device and protocol, saw none"),
        ("[1]", "expected a first line with device and protocol, saw none"),
        ("{}", "protocol: expected a protocol's name, saw None"),
        (lines() + "{broken\n", "line 2: expected a JSON object"),
        (lines({"hex": "00"}), "frame 1: expected sent and hex"),
        (lines({"sent": True, "hex": "0g"}), "frame 1: expected hexadecimal digits"),
        (lines({"sent": True, "hex": "00" * 5000}), "frame 1: expected at most 4096 bytes, saw 5000"),
    ],
)
def test_a_file_that_is_no_dump_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "frames.jsonl"
    path.write_text(text)
    with pytest.raises(DumpFault, match=words):
        dump.load(path)


def test_protocols_without_byte_frames_and_dumps_without_a_request_are_refused() -> None:
    with pytest.raises(DumpFault, match="expected one of modbus_tcp, modbus_rtu, dlt645, cjt188, mbus, saw 'ocpp'"):
        made("ocpp", ("00", "00"))
    with pytest.raises(DumpFault, match="expected at least one whole request, saw none"):
        made("dlt645", ("00", "00"))


@pytest.mark.parametrize("protocol", ["modbus_tcp", "modbus_rtu", "dlt645", "cjt188", "mbus"])
async def test_any_bytes_are_survived(protocol: str) -> None:
    """2,000 packets of noise, seeded, and a whole request behind them on another connection."""
    whole = {
        "modbus_tcp": ASK,
        "modbus_rtu": "07 03 00 00 00 01 84 6C",
        "dlt645": "68 AA AA AA AA AA AA 68 13 00 DF 16",
        "cjt188": cjt("01", "1F 90 05"),
        "mbus": "10 7B 07 82 16",
    }[protocol]
    chance = random.Random(7)
    async with Replay(made(protocol, (whole, "01020304"))) as replay:
        place = replay.place
        _, writer = await asyncio.open_connection(place["host"], place["port"])
        for _ in range(2000):
            writer.write(chance.randbytes(chance.randrange(1, 40)))
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        reader, writer = await asyncio.open_connection(place["host"], place["port"])
        writer.write(bytes.fromhex(whole))
        assert len(await asyncio.wait_for(reader.readexactly(4), 20)) == 4
        writer.close()
        await writer.wait_closed()
