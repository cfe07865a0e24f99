"""One contract over all protocols and all faults of the simulator: a clear fault or no harm, a neighbour that is read all the while, and recovery.

Never is a wrong value stored as a good one. A fault is begun on one device of each bus at the same time, so that the waits pass together;
each cell of the table is a test of its own. What a fault means in a protocol is in `SEEN`; where it means nothing, nothing may happen.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from faulty_field import LINKS, LOAD_KW, PILES, SERIAL, Field, Heard, Link, faulty_field, names, now_ms

from device_sim.faults import FaultKind
from edge_agent.drivers.driver import BusUnreachable, DeviceMisanswered, DeviceRefused, DeviceUnreachable, DriverError
from edge_agent.drivers.ocpp import commands

pytestmark = pytest.mark.timeout(300)
PAGE = Path(__file__).parents[2] / "docs" / "drivers" / "faults.md"
AT_ONCE = ("rollover", "reset")
FAULTS = (*map(str, FaultKind), *AT_ONCE)
QUIET_MS = 2500
SLACK_S = 5.0  # a busy machine's, on top of what one read may take


@dataclass(frozen=True)
class Seen:
    """What must be seen of a fault: one of these errors with these words, or a reading that is not good for this reason.

    Neither: good values come as ever. `whole_bus`: the fault is the server's, so the neighbour is away with it. `asked`: the error that a
    question to the device gives, where the device sends its values by itself. `quiet`: nothing comes that could be stored, and no error.
    `repeats`: the old answer cannot be told from a new one, so that the values stand still; their serials say so here. `perhaps`: the error, or good values as ever.
    `once_more`: of several questions the one that was answered last before the fault may get that answer again, beside the error of the others.
    """

    errors: tuple[type[DriverError], ...] = ()
    words: str = ""
    reason: str = ""
    whole_bus: bool = False
    asked: type[DriverError] | None = None
    perhaps: bool = False
    quiet: bool = False
    repeats: bool = False
    once_more: bool = False


UNHARMED = Seen()
GONE = Seen((DeviceUnreachable,), "no answer")
LATE = Seen((DeviceUnreachable, DeviceMisanswered))
BROKEN = Seen((DeviceMisanswered,), "checksum")
HALF = Seen((DeviceMisanswered, DeviceUnreachable), "whole|saw the first|no answer|closed")
STRANGER = Seen((DeviceMisanswered,), "expected")
REFUSED = Seen((DeviceRefused,), "refused")
OLD = Seen((DeviceMisanswered,), "expected")

SERIAL_LINE = {
    "silence": GONE, "delay": LATE, "exception": REFUSED, "wrong_unit": STRANGER, "reboot": GONE, "half_frame": HALF,
    "wrong_checksum": BROKEN, "stale": OLD,
}  # fmt: skip
# Modbus answers say neither which registers they hold nor when they were made: only their length does not fit.
RTU = {**SERIAL_LINE, "stale": Seen((DeviceMisanswered,), "expected", once_more=True)}
MODBUS_TCP = {**RTU, "wrong_checksum": UNHARMED}
OCPP = {
    "silence": Seen((DeviceUnreachable,), "has said nothing", asked=DeviceUnreachable),
    "delay": Seen(asked=DeviceUnreachable),
    "exception": Seen(asked=DeviceRefused),
    "wrong_unit": Seen(asked=DeviceUnreachable),
    "reboot": Seen((DeviceUnreachable,), "not connected", asked=DeviceUnreachable),
    "half_frame": Seen((DeviceUnreachable, DeviceMisanswered), asked=DeviceUnreachable),
    "stale": Seen(quiet=True),
    "clock_jump": Seen(reason="clock"),
    "one_connection": Seen((DeviceUnreachable,), perhaps=True),  # the newer connection takes the older one's place
}
SEEN: dict[str, dict[str, Seen]] = {
    "modbus_tcp": MODBUS_TCP,
    "modbus_rtu": RTU,
    "modbus_rtu_tcp": RTU,
    "sunspec": {**MODBUS_TCP, "stale": Seen(repeats=True)},  # one question, so an old answer is as long as a new one
    "dlt645": SERIAL_LINE,
    "cjt188": SERIAL_LINE,
    "mbus": SERIAL_LINE,
    "bacnet_ip": {
        "silence": GONE, "delay": LATE, "exception": REFUSED, "wrong_unit": STRANGER, "reboot": GONE, "half_frame": GONE,
        "wrong_checksum": GONE, "stale": GONE,
    },
    "opcua": {
        "silence": Seen((DeviceUnreachable,), "BadNoCommunication"),
        "reboot": Seen((DeviceUnreachable,), "BadNoCommunication"),
        "exception": Seen(reason="device-fault"),
        "wrong_unit": Seen((DeviceRefused,), "BadNodeIdUnknown"),
        "stale": Seen(reason="frozen"),
        "clock_jump": Seen(reason="clock"),
        "half_frame": Seen((BusUnreachable,), whole_bus=True),
        "wrong_checksum": Seen((DriverError,), whole_bus=True, perhaps=True),  # without a signature there is none
    },
    "mqtt": {
        "silence": Seen((DeviceUnreachable,), "offline|within 1 s"),
        "reboot": Seen((DeviceUnreachable,), "offline|within 1 s"),
        "exception": Seen((DeviceMisanswered,), "expected"),
        "wrong_unit": Seen((DeviceUnreachable,), "within 1 s"),
        "half_frame": Seen((DeviceMisanswered,), "expected"),
        "wrong_checksum": Seen((DeviceMisanswered,), "expected"),
        "stale": Seen((DeviceUnreachable,), "within 1 s"),
        "clock_jump": Seen(reason="clock"),
    },
    **dict.fromkeys(PILES, OCPP),
    "ocpp_16": {**OCPP, "wrong_unit": Seen(asked=DeviceUnreachable, quiet=True)},  # values of a connector that nobody has
}  # fmt: skip
# A second client is turned away where a device takes connections; a pseudo-terminal, UDP and devices that connect by themselves have none.
CLIENTS = ("modbus_tcp", "modbus_rtu_tcp", "sunspec", "dlt645", "cjt188", "mbus", "opcua")


def met(seen: Seen, link: Link, heard: Heard, since_ms: int) -> bool:
    """Whether what was heard is what must be seen."""
    as_ever = heard.in_a_row >= 3 and len(heard.good(link.fresh, since_ms)) >= 3
    if seen.errors:
        found = any(isinstance(error, seen.errors) and re.search(seen.words, str(error)) for error in heard.errors)
        return found or (seen.perhaps and as_ever)
    if seen.reason:
        return seen.reason in heard.reasons()
    if seen.quiet:
        return now_ms() > since_ms + QUIET_MS
    return as_ever


class Cells:
    """Each fault on all buses at once, each at most once; the outcome of a bus is asked for by its own test."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self._before: dict[str, float] = {}
        self._swept: dict[str, dict[str, asyncio.Task[None]]] = {}

    async def outcome(self, link: str, fault: str) -> None:
        """Raises what was wrong."""
        if fault not in self._swept:
            self._swept[fault] = {name: asyncio.create_task(self._cell(name, fault)) for name in LINKS}
            await asyncio.wait(self._swept[fault].values())
        self._swept[fault][link].result()

    async def _cell(self, name: str, fault: str) -> None:
        link, (device, mate) = LINKS[name], names(name)
        self._before[name] = await self.field.truth(device)
        await self.field.fresh(name, device, mate)
        if fault in AT_ONCE:
            await self._jump(name, device, fault)
            return
        try:
            heard = await self._under(name, fault, SEEN[name].get(fault, UNHARMED))
        finally:
            await self.field.ask(device=device, clear="all")
        heard_after = (await self.field.fresh(name, device, mate))[device]
        if fault == "frozen":
            stood = heard.good(link.counted, 0)[-1:]
            await self.field.until(
                name, lambda: heard_after.good(link.counted)[-1:] > stood, {device: heard_after}, "a counter goes on"
            )
        heard.readings += heard_after.readings
        serials = heard.good(SERIAL)
        seen = SEEN[name].get(fault, UNHARMED)
        if not seen.repeats and not seen.once_more:
            assert len(serials) == len(set(serials)), "an answer was taken twice for a good one"

    async def _under(self, name: str, fault: str, seen: Seen) -> Heard:
        link, (device, mate), field = LINKS[name], names(name), self.field
        low = self._before[name]  # an old answer may be the last one before the fault
        more = {
            "delay": {"delay_s": 0.45 if link.protocol != "ocpp" else 0.7},
            "clock_jump": {"clock_s": 7200},
            "reboot": {"for_s": 600},
        }
        await field.ask(device=device, fault=fault, **more.get(fault, {}))
        since_ms, one, other = now_ms(), Heard(), Heard()
        second = field.another_driver(name) if fault == "one_connection" and name in CLIENTS else None
        asking = asyncio.create_task(self._asked(name, device)) if seen.asked is not None else None
        await field.until(name, lambda: met(seen, link, one, since_ms), {device: one, mate: other}, fault)
        if not seen.whole_bus:
            await field.until(name, lambda: other.good(link.fresh, since_ms), {device: one, mate: other}, "neighbour")
            assert other.longest_s < link.longest_s + SLACK_S, "the neighbour's own reading took too long"
        assert one.longest_s < link.longest_s + SLACK_S, "the neighbour has waited for longer than a deadline"
        if asking is not None:
            async with asyncio.timeout(30):
                with pytest.raises(seen.asked):  # type: ignore[arg-type]
                    await asking
        if second is not None:
            with pytest.raises(DeviceUnreachable):
                await second.read(field.plans[device])
            await field.ask(device=device, clear="all")
            await self._let_in(second, device)
        if seen.quiet:
            assert one.good(link.fresh, since_ms + 1000) == []
        if fault == "frozen":
            assert len(set(one.good(link.counted, since_ms + 200))) <= 1
        self._true(link, one, low, await field.truth(device))
        return one

    @staticmethod
    def _true(link: Link, heard: Heard, low: float, high: float) -> None:
        """Each good value is one that the device can have shown meanwhile."""
        for value in heard.good(link.counted):
            assert low - link.coarse <= value <= high + link.coarse
        if link.measures == "load":
            load_kw = LOAD_KW * link.device.get("share_percent", 100.0) / 100
            for value in heard.good("active_power_kw"):
                assert value == pytest.approx(load_kw, rel=0.02)

    async def _jump(self, name: str, device: str, fault: str) -> None:
        """A counter that jumps is shown as it stands: near its end, or at 0."""
        link, field, heard = LINKS[name], self.field, Heard()
        before = await field.truth(device)
        await field.ask(device=device, fault=fault, **({"below_kwh": 60} if fault == "rollover" else {}))
        low, since_ms = await field.truth(device), now_ms()
        assert (low > before) is (fault == "rollover")
        await field.until(name, lambda: heard.good(link.counted, since_ms), {device: heard}, f"the counter at {low}")
        high = await field.truth(device)
        assert low <= high
        tolerance = link.coarse + 1e-6 * low  # float32 has seven digits
        for value in heard.good(link.counted, since_ms):
            assert low % link.full - tolerance <= value <= high % link.full + tolerance
        if fault == "rollover":
            await field.ask(device=device, fault="reset")

    async def _asked(self, name: str, device: str) -> None:
        driver: Any = self.field.drivers[name]
        while True:  # the fault shows in the next answer, or in the one after it
            await commands.trigger(driver.pile(device), "Heartbeat")
            await asyncio.sleep(0.05)

    async def _let_in(self, second: Any, device: str) -> None:
        try:
            async with asyncio.timeout(20):
                while True:
                    try:
                        if (await second.read(self.field.plans[device])).blocks:
                            return
                    except DriverError:
                        await asyncio.sleep(0.05)
        finally:
            await second.close()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def cells(tmp_path_factory: pytest.TempPathFactory, shared_mosquitto: Any) -> AsyncIterator[Cells]:
    async with faulty_field(tmp_path_factory.mktemp("field"), shared_mosquitto.port) as field:
        yield Cells(field)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("link", LINKS)
async def test_a_fault_is_clear_or_does_no_harm_delays_nobody_and_passes_by_itself(
    cells: Cells, link: str, fault: str
) -> None:
    await cells.outcome(link, fault)


def test_the_table_names_only_what_there_is() -> None:
    assert SEEN.keys() == LINKS.keys()
    assert {fault for row in SEEN.values() for fault in row} <= set(FAULTS)


COLUMNS = {
    "Modbus TCP": ("modbus_tcp",),
    "SunSpec": ("sunspec",),
    "serial lines": ("modbus_rtu_tcp", "dlt645", "cjt188", "mbus", "modbus_rtu"),
    "BACnet/IP": ("bacnet_ip",),
    "OPC UA": ("opcua",),
    "MQTT": ("mqtt",),
    "OCPP 1.6": ("ocpp_16",),
    "OCPP 2.0.1, 2.1": ("ocpp_201", "ocpp_21"),
}


def in_words(link: str, fault: str) -> str:
    """A cell of the page's table."""
    seen = SEEN[link].get(fault, UNHARMED)
    if fault in AT_ONCE:
        return "as shown"
    if fault == "one_connection" and link in CLIENTS:
        return "second client `DeviceUnreachable`"
    asked = f"; asked: `{seen.asked.__name__}`" if seen.asked is not None and seen.asked not in seen.errors else ""
    if seen.errors:
        return ("no harm or " if seen.perhaps else "") + " or ".join(f"`{e.__name__}`" for e in seen.errors) + asked
    if seen.reason:
        return f"not good, `{seen.reason}`"
    if seen.quiet:
        return "nothing new" + asked
    if seen.repeats or fault == "frozen":
        return "values stand still"
    return "no harm" + asked


def test_the_page_says_what_the_contract_holds() -> None:
    rows = [f"| {fault} | {' | '.join(in_words(links[0], fault) for links in COLUMNS.values())} |" for fault in FAULTS]
    assert {link for links in COLUMNS.values() for link in links} == set(LINKS)
    for fault in FAULTS:
        for links in COLUMNS.values():
            assert len({in_words(link, fault) for link in links}) <= 1 + (fault == "one_connection")
    page = PAGE.read_text(encoding="utf-8")
    assert [row for row in rows if row not in page] == []
