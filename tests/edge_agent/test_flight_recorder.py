"""The flight recorder: what is kept, what is written when a value is rejected, and that it stays bounded."""

import json
from pathlib import Path

from event_bodies import faults

from edge_agent.flight_recorder import DUMPS, EVENT_BYTES, EVERY_MS, FRAME_BYTES, FRAMES, FlightRecorder


class Recording:
    """A recorder with a clock moved by hand."""

    def __init__(self, directory: Path | None) -> None:
        self.at_ms = 1_000
        self.recorder = FlightRecorder(directory, lambda: self.at_ms, {"incomer": "modbus_tcp"})


def test_a_dump_holds_the_last_frames_in_their_order(tmp_path: Path) -> None:
    made = Recording(tmp_path)
    made.recorder.frame("incomer", True, b"\x01\x02")
    made.at_ms += 20
    made.recorder.frame("incomer", False, b"\x03")
    made.recorder.frame("press", False, b"\xff")
    event = made.recorder.dump("incomer", "voltage_l1_v out of range")
    assert event is not None
    assert (event.kind, event.device, event.body["protocol"]) == ("frames", "incomer", "modbus_tcp")
    expected = [{"at_ms": 1_000, "sent": True, "hex": "0102"}, {"at_ms": 1_020, "sent": False, "hex": "03"}]
    assert event.body["frames"] == expected
    assert faults(event.kind, event.body) == []
    head, *frames = [json.loads(line) for line in (tmp_path / str(event.body["file"])).read_text().splitlines()]
    assert head == {
        "device": "incomer",
        "protocol": "modbus_tcp",
        "reason": "voltage_l1_v out of range",
        "at_ms": 1_020,
    }
    assert frames == expected


def test_a_device_that_is_always_wrong_writes_one_dump_a_minute(tmp_path: Path) -> None:
    made = Recording(tmp_path)
    made.recorder.frame("incomer", False, b"\x03")
    dumps = 0
    for _ in range(121):
        dumps += made.recorder.dump("incomer", "again") is not None
        made.at_ms += 1_000
    assert dumps == 3
    assert EVERY_MS == 60_000


def test_frames_and_files_are_bounded(tmp_path: Path) -> None:
    made = Recording(tmp_path)
    for number in range(3 * FRAMES):
        made.recorder.frame("incomer", False, bytes([number]) * 5_000)
    for _ in range(DUMPS + 5):
        event = made.recorder.dump("incomer", "full")
        assert event is not None
        made.at_ms += EVERY_MS
    files = sorted(tmp_path.iterdir())
    assert len(files) == DUMPS
    lines = [json.loads(line) for line in files[0].read_text().splitlines()[1:]]
    assert len(lines) == FRAMES
    assert {len(line["hex"]) for line in lines} == {2 * FRAME_BYTES}
    assert len(json.dumps(event.body)) < EVENT_BYTES + 1_000


def test_a_device_without_frames_has_nothing_to_dump(tmp_path: Path) -> None:
    assert Recording(tmp_path).recorder.dump("incomer", "why") is None


def test_where_no_file_can_be_written_the_event_has_the_frames(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, not a directory")
    made = Recording(tmp_path / "taken")
    made.recorder.frame("incomer", False, b"\x03")
    event = made.recorder.dump("incomer", "why")
    assert event is not None
    assert (event.body["file"], len(event.body["frames"])) == ("", 1)  # type: ignore[arg-type]
