"""The serial line against a far end that answers late, in pieces, too much or not at all. `complete` here: an answer ends with "!"."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from far_end import FarEnd, Parts, on_pty, on_tcp

from edge_agent.drivers.driver import BusUnreachable, DeviceMisanswered, DeviceUnreachable
from edge_agent.drivers.serial_line import Line, Wiring

REACTIONS: dict[bytes, Parts] = {
    b"pieces": [(0, b"ab"), (0.02, b"cd"), (0.02, b"e!")],
    b"late": [(0.45, b"late!")],
    b"half": [(0, b"half of it")],
    b"noise": [(0, b"\x00\xffright!rubbish behind")],
    b"close": [(0, b"close")],
    b"flood": [(0, bytes(5000))],
}


def react(request: bytes) -> Parts:
    return REACTIONS.get(request, [(0, request + b"!")] if request.startswith(b"say") else [])


def complete(received: bytes) -> int | None:
    return received.index(b"!") + 1 if b"!" in received else None


@pytest.fixture(params=["pty", "tcp"])
async def line_and_end(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Line, FarEnd]]:
    async with (on_pty if request.param == "pty" else on_tcp)(react) as end:
        where = Wiring(serial=end.path) if request.param == "pty" else Wiring(host="127.0.0.1", port=end.port)
        line = Line(where)
        yield line, end
        await line.close()


LineAndEnd = tuple[Line, FarEnd]


async def test_an_answer_is_handed_over_whole_though_it_comes_in_pieces(line_and_end: LineAndEnd) -> None:
    line, _ = line_and_end
    assert await line.exchange(b"pieces", complete, 1.0) == b"abcde!"


async def test_what_stands_before_the_answer_is_the_codecs_and_what_follows_is_dropped(
    line_and_end: LineAndEnd,
) -> None:
    line, _ = line_and_end
    assert await line.exchange(b"noise", complete, 1.0) == b"\x00\xffright!"
    assert await line.exchange(b"say next", complete, 1.0) == b"say next!"


async def test_silence_is_a_device_that_cannot_be_reached(line_and_end: LineAndEnd) -> None:
    line, _ = line_and_end
    with pytest.raises(DeviceUnreachable, match=r"no answer within 0\.2 s") as caught:
        await line.exchange(b"nobody", complete, 0.2)
    assert not isinstance(caught.value, BusUnreachable)
    assert await line.exchange(b"say a", complete, 1.0) == b"say a!"


async def test_half_an_answer_is_given_up_before_the_time_out(line_and_end: LineAndEnd) -> None:
    line, _ = line_and_end
    begun = time.monotonic()
    with pytest.raises(DeviceMisanswered, match=r"expected a whole answer, saw 68 61 6c 66"):
        await line.exchange(b"half", complete, 20.0)
    assert time.monotonic() - begun < 10


async def test_a_late_answer_is_not_taken_for_the_next_one(line_and_end: LineAndEnd) -> None:
    line, _ = line_and_end
    with pytest.raises(DeviceUnreachable):
        await line.exchange(b"late", complete, 0.3)
    assert await line.exchange(b"say b", complete, 0.3) == b"say b!"


async def test_another_device_is_asked_without_waiting_for_what_the_first_still_owes(line_and_end: LineAndEnd) -> None:
    line, _ = line_and_end
    with pytest.raises(DeviceUnreachable):
        await line.exchange(b"nobody", complete, 1.0, addressee=1)
    begun = time.monotonic()
    assert await line.exchange(b"say c", complete, 1.0, addressee=2) == b"say c!"
    assert time.monotonic() - begun < 1.0


async def test_a_request_that_was_cancelled_owes_its_answer_too(line_and_end: LineAndEnd) -> None:
    line, _ = line_and_end
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await line.exchange(b"late", complete, 1.0)
    assert await line.exchange(b"say d", complete, 1.0) == b"say d!"


async def test_bytes_that_nobody_asked_for_are_dropped(line_and_end: LineAndEnd) -> None:
    line, end = line_and_end
    assert await line.exchange(b"say e", complete, 1.0) == b"say e!"
    end.say(b"stale!")
    await asyncio.sleep(0.05)
    assert await line.exchange(b"say f", complete, 1.0) == b"say f!"


async def test_a_flood_without_an_answer_has_an_end(line_and_end: LineAndEnd) -> None:
    line, _ = line_and_end
    with pytest.raises(DeviceMisanswered, match="4096 bytes without one"):
        await line.exchange(b"flood", complete, 1.0)
    assert await line.exchange(b"say g", complete, 1.0) == b"say g!"


async def test_everything_on_the_line_is_shown(line_and_end: LineAndEnd) -> None:
    line, _ = line_and_end
    shown: list[tuple[bool, bytes]] = []
    with pytest.raises(DeviceMisanswered):
        await line.exchange(b"half", complete, 1.0, seen=lambda sent, data: shown.append((sent, data)))
    assert shown == [(True, b"half"), (False, b"half of it")]


async def test_what_nobody_answers_is_sent_as_well(line_and_end: LineAndEnd) -> None:
    line, end = line_and_end
    await line.send(b"everybody")
    assert await line.exchange(b"say h", complete, 1.0) == b"say h!"
    assert end.asked == [b"everybody", b"say h"]


async def test_a_server_that_hung_up_is_connected_again() -> None:
    async with on_tcp(react) as end:
        line = Line(Wiring(host="127.0.0.1", port=end.port))
        with pytest.raises(DeviceUnreachable, match="closed before the answer"):
            await line.exchange(b"close", complete, 1.0)
        assert await line.exchange(b"say i", complete, 1.0) == b"say i!"
        assert end.connections == 2
        await line.close()


async def test_a_server_that_was_silent_three_times_is_connected_again() -> None:
    async with on_tcp(react) as end:
        line = Line(Wiring(host="127.0.0.1", port=end.port))
        for unit in range(4):
            with pytest.raises(DeviceUnreachable):
                await line.exchange(b"nobody", complete, 0.05, addressee=unit)
        assert end.connections == 2
        await line.close()


async def test_a_pseudo_terminal_is_opened_again_whatever_the_parity() -> None:
    """Linux keeps no parity on it, and the second time the C library complains."""
    async with on_pty(react) as end:
        for turn in range(3):
            line = Line(Wiring(serial=end.path, parity="even", stop_bits=1, baud=2400))
            assert await line.exchange(b"say %d" % turn, complete, 1.0) == b"say %d!" % turn
            await line.close()


async def test_a_file_that_is_no_port_is_a_bus_that_cannot_be_reached(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    with pytest.raises(BusUnreachable, match="plain"):
        await Line(Wiring(serial=str(tmp_path / "plain"))).exchange(b"say", complete, 0.5)


async def test_a_port_that_is_not_there_is_named_and_found_when_it_comes_back(tmp_path: Path) -> None:
    async with on_pty(react) as end:
        link = tmp_path / "ttyUSB0"
        line = Line(Wiring(serial=str(link)))
        with pytest.raises(BusUnreachable, match="ttyUSB0"):
            await line.exchange(b"say j", complete, 1.0)
        link.symlink_to(end.path)
        assert await line.exchange(b"say j", complete, 1.0) == b"say j!"
        await line.close()


async def test_a_port_that_another_program_holds_is_a_bus_that_cannot_be_reached() -> None:
    async with on_pty(react) as end:
        first, second = Line(Wiring(serial=end.path)), Line(Wiring(serial=end.path))
        assert await first.exchange(b"say k", complete, 1.0) == b"say k!"
        with pytest.raises(BusUnreachable, match=end.path):
            await second.exchange(b"say k", complete, 1.0)
        await first.close()


async def test_a_port_that_vanishes_is_reported_and_the_next_one_opened(tmp_path: Path) -> None:
    link = tmp_path / "ttyUSB0"
    line = Line(Wiring(serial=str(link)))
    async with on_pty(react) as end:
        link.symlink_to(end.path)
        assert await line.exchange(b"say l", complete, 1.0) == b"say l!"
        asked = asyncio.create_task(line.exchange(b"nobody", complete, 20.0))
        while end.asked[-1] != b"nobody":
            await asyncio.sleep(0.01)
    with pytest.raises(DeviceUnreachable, match="closed before the answer"):
        await asked
    async with on_pty(react) as end:
        link.unlink()
        link.symlink_to(end.path)
        assert await line.exchange(b"say m", complete, 1.0) == b"say m!"
        await line.close()


async def test_no_server_is_a_bus_that_cannot_be_reached() -> None:
    async with on_tcp(react) as end:
        pass
    with pytest.raises(BusUnreachable, match=f"127.0.0.1:{end.port}"):
        await Line(Wiring(host="127.0.0.1", port=end.port)).exchange(b"say", complete, 0.5)


def _with_echo(react: Callable[[bytes], Parts]) -> Callable[[bytes], Parts]:
    return lambda request: [(0, request), *react(request)]


async def test_the_echo_of_a_two_wire_adapter_is_no_answer() -> None:
    async with on_pty(_with_echo(react)) as end:
        line = Line(Wiring(serial=end.path), echo=True)
        assert await line.exchange(b"say n!", complete, 1.0) == b"say n!!"[:6]
        assert await line.exchange(b"pieces", complete, 1.0) == b"abcde!"
        with pytest.raises(DeviceUnreachable, match="no answer"):
            await line.exchange(b"nobody", complete, 0.2)
        await line.close()


async def test_an_echo_that_nobody_told_of_is_guessed() -> None:
    async with on_pty(lambda request: [(0, request)]) as end:
        line = Line(Wiring(serial=end.path))
        with pytest.raises(DeviceMisanswered, match="our own request: does the adapter echo") as raised:
            await line.exchange(b"nobody", complete, 0.2)
        assert "echo = true" in str(raised.value)
        await line.close()


async def test_another_echo_than_what_was_sent_is_a_collision() -> None:
    async with on_pty(lambda _: [(0, b"xyz123")]) as end:
        line = Line(Wiring(serial=end.path), echo=True)
        with pytest.raises(DeviceMisanswered, match="expected the echo of 61 62 63"):
            await line.exchange(b"abc", complete, 1.0)
        await line.close()


async def test_a_line_that_is_never_silent_is_a_bus_that_cannot_be_reached() -> None:
    async with on_pty(lambda _: []) as end:
        line = Line(Wiring(serial=end.path), pause_s=0.2)

        async def chatter() -> None:
            while True:
                end.say(b"x")
                await asyncio.sleep(0.05)

        await line.send(b"first")
        talking = asyncio.create_task(chatter())
        with pytest.raises(BusUnreachable, match="expected a silent line"):
            await line.exchange(b"say", complete, 1.0)
        talking.cancel()
        await line.close()


@pytest.mark.parametrize(
    ("wiring", "char_ms", "silence_ms"),
    [
        # 8 data bits, start, parity, stop: 11 bits; 3.5 characters, and above 19200 baud 1.75 ms (Modbus over Serial Line V1.02, 2.5.1.1)
        (Wiring(baud=2400, parity="even"), 4.5833, 16.0417),
        (Wiring(baud=9600, parity="even"), 1.1458, 4.0104),
        (Wiring(baud=9600), 1.0417, 3.6458),
        (Wiring(baud=19200, stop_bits=2), 0.5729, 2.0052),
        (Wiring(baud=38400, parity="even"), 0.2865, 1.75),
    ],
)
def test_characters_and_silences_take_what_the_speed_says(wiring: Wiring, char_ms: float, silence_ms: float) -> None:
    assert wiring.char_s * 1000 == pytest.approx(char_ms, abs=1e-4)
    assert wiring.silence_s * 1000 == pytest.approx(silence_ms, abs=1e-4)


async def test_two_requests_are_parted_by_the_pause_that_was_asked_for() -> None:
    async with on_pty(react) as end:
        line = Line(Wiring(serial=end.path, baud=115200), pause_s=0.2)
        begun = time.monotonic()
        for _ in range(3):
            await line.exchange(b"say o", complete, 1.0)
        assert time.monotonic() - begun >= 0.4
        await line.close()
