"""The OPC UA driver against the server of the asyncua library, which knows nothing of ours: values, stamps, faults, reconnection, writes."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from asyncua import Server
from asyncua import ua as _ua

from edge_agent.drivers.declared import Manual
from edge_agent.drivers.driver import (
    Answer,
    BusUnreachable,
    Controllable,
    DeviceRefused,
    DeviceUnreachable,
    DriverError,
    Gateway,
)
from edge_agent.drivers.opcua import declared
from edge_agent.drivers.opcua.declared import Bus, Device, Model, OpcUaPlan, Point, Row
from edge_agent.drivers.opcua.driver import OpcUa
from wire.reading import Quality

pytestmark = pytest.mark.asyncio(loop_scope="module")
ua: Any = _ua
LINE = "urn:plant:line"
LIMIT_S = 15.0


@dataclass
class Plant:
    """A server with one machine; `names` are its variables by browse name."""

    server: Any = None
    index: int = 0
    machine: Any = None
    names: dict[str, Any] = field(default_factory=dict)
    port: int = 0

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}"

    async def start(self, namespaces_before: int = 0) -> None:
        server = self.server = Server()
        await server.init()
        server.set_endpoint(f"opc.tcp://127.0.0.1:{self.port}/")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        for number in range(namespaces_before):
            await server.register_namespace(f"urn:other:{number}")
        self.index = await server.register_namespace(LINE)
        self.machine = await server.nodes.objects.add_object(self.index, "Press1")
        self.names = {}
        await self.put("Power", ua.Variant(1500.0, ua.VariantType.Float))
        await self.put("Energy", ua.Variant(123456, ua.VariantType.UInt32))
        await server.start()
        self.port = server.bserver._server.sockets[0].getsockname()[1]

    async def put(self, name: str, value: Any) -> Any:
        node = await self.machine.add_variable(
            ua.NodeId(f"Press1.{name}", self.index), ua.QualifiedName(name, self.index), value
        )
        self.names[name] = node
        return node

    async def write(self, name: str, value: Any, status: int = 0, source: datetime | None = None) -> None:
        stamp = source or datetime.now(UTC)
        await self.server.write_attribute_value(
            self.names[name].nodeid, ua.DataValue(value, ua.StatusCode(status), stamp, datetime.now(UTC))
        )

    async def stop(self) -> None:
        for subscription in list(self.server.iserver.subscription_service.subscriptions.values()):
            await subscription.stop()
        for session in list(self.server.iserver._external_sessions.values()):
            await session.close_session(True)
        await self.server.stop()

    @property
    def held(self) -> tuple[int, int]:
        """Sessions and subscriptions that the server holds."""
        internal = self.server.iserver
        return len(internal._external_sessions), len(internal.subscription_service.subscriptions)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def plant() -> AsyncIterator[Plant]:
    made = Plant()
    await made.start()
    yield made
    await made.stop()


POWER = Row(quantity="active_power_kw", path="Power", scale_exponent=-3)
ENERGY = Row(quantity="energy_import_kwh", node="s={root}.Energy", scale_exponent=-3)


def bus(url: str, **keys: Any) -> Bus:
    return Bus(
        **{
            "name": "line",
            "protocol": "opcua",
            "url": url,
            "publishing_ms": 20.0,
            "timeout_s": 2.0,
            "device": [],
            **keys,
        }
    )


def plan(*rows: Row, points: tuple[Point, ...] = (), root: str = "Press1", name: str = "press") -> OpcUaPlan:
    model = Model(
        maker="any",
        model="any",
        manual=Manual("t", "e"),
        protocol="opcua",
        namespaces={"": LINE},
        row=list(rows),
        point=list(points),
    )
    return declared.plan(None, Device(name=name, model="m", root=root), model)


class Reader:
    """Reads a device until something is so; keeps all that came."""

    def __init__(self, driver: OpcUa, device: OpcUaPlan) -> None:
        self.driver = driver
        self.device = device
        self.readings: list[Any] = []
        self.faults: list[DriverError] = []
        self.events: list[Any] = []
        self.error: DriverError | None = None

    async def once(self) -> None:
        try:
            answer = await self.driver.read(self.device)
        except DriverError as error:
            self.error = error
            return
        self.error = None
        self.faults += answer.faults
        self.events += answer.events
        self.readings += [reading for block in answer.blocks for reading in block.readings()]

    async def until(self, so: Callable[[], object], limit_s: float = LIMIT_S) -> None:
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            await self.once()
            if so():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"not so within {limit_s} s: {self.readings[-5:]}, {self.faults[-3:]}, {self.error!r}")

    def values(self, quantity: str) -> list[float | None]:
        return [reading.value for reading in self.readings if reading.quantity == quantity]

    def last(self, quantity: str) -> Any:
        found = [reading for reading in self.readings if reading.quantity == quantity]
        return found[-1] if found else None


def ours() -> int:
    """The tasks that are not the test server's: it keeps what an aborted client leaves until that session's time is over."""
    codes = (getattr(task.get_coro(), "cr_code", None) for task in asyncio.all_tasks())
    return sum("asyncua/server" not in getattr(code, "co_filename", "") for code in codes)


def clock() -> int:
    return time.time_ns() // 1_000_000


@pytest_asyncio.fixture(loop_scope="module")
async def driver(plant: Plant) -> AsyncIterator[Callable[..., OpcUa]]:
    made: list[OpcUa] = []

    def make(now_ms: Callable[[], int] = clock, **keys: Any) -> OpcUa:
        made.append(OpcUa(bus(plant.url, **keys), Gateway(now_ms)))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def test_the_first_read_gives_the_values_that_are_there(plant: Plant, driver: Callable[..., OpcUa]) -> None:
    await plant.write("Power", ua.Variant(1500.0, ua.VariantType.Float))
    await plant.write("Energy", ua.Variant(123456, ua.VariantType.UInt32))
    answer = await driver().read(plan(POWER, ENERGY))
    readings = {reading.quantity: reading.value for block in answer.blocks for reading in block.readings()}
    assert readings == {"active_power_kw": 1.5, "energy_import_kwh": 123.456}
    (counts,) = [
        column[0]
        for block in answer.blocks
        for quantity, column in zip(block.shape.quantities, block.columns, strict=True)
        if quantity == "energy_import_kwh"
    ]
    assert counts == 123456  # the meter's own digits, not a float


async def test_each_change_is_told_once_with_the_servers_stamp(plant: Plant, driver: Callable[..., OpcUa]) -> None:
    reader = Reader(driver(), plan(POWER))
    await reader.once()
    while clock() <= reader.last("active_power_kw").at_ms:  # a change in the same millisecond has no room of its own
        await asyncio.sleep(0.001)
    sent = []
    for watts in (1000.0, 2000.0, 3000.0):
        stamp = datetime.now(UTC)
        sent.append((watts / 1000, int(stamp.timestamp() * 1000)))
        await plant.write("Power", ua.Variant(watts, ua.VariantType.Float), source=stamp)
        await asyncio.sleep(0.005)
    await reader.until(lambda: 3.0 in reader.values("active_power_kw"))
    told = [(r.value, r.at_ms) for r in reader.readings][-3:]
    assert [value for value, _ in told] == [value for value, _ in sent]
    assert all(abs(at - stamp) <= 1 for (_, at), (_, stamp) in zip(told, sent, strict=True))


async def test_a_bad_status_is_no_value_and_never_zero(plant: Plant, driver: Callable[..., OpcUa]) -> None:
    reader = Reader(driver(), plan(POWER))
    await reader.once()
    await plant.write("Power", ua.Variant(7.0, ua.VariantType.Float), status=ua.StatusCodes.BadSensorFailure)
    await reader.until(lambda: reader.last("active_power_kw").quality is Quality.BAD)
    assert (reader.last("active_power_kw").value, reader.last("active_power_kw").reason) == (None, "device-fault")
    await plant.write("Power", ua.Variant(8.0, ua.VariantType.Float), status=ua.StatusCodes.UncertainLastUsableValue)
    await reader.until(lambda: reader.last("active_power_kw").quality is Quality.UNCERTAIN)
    assert (reader.last("active_power_kw").value, reader.last("active_power_kw").reason) == (0.008, "frozen")
    await plant.write("Power", ua.Variant(9.0, ua.VariantType.Float))
    await reader.until(lambda: reader.last("active_power_kw").quality is Quality.GOOD)


@pytest.mark.parametrize("hours", [-5, 5])
async def test_a_server_whose_clock_is_wrong_is_told_at_our_time_as_uncertain(
    plant: Plant, driver: Callable[..., OpcUa], hours: int
) -> None:
    reader = Reader(driver(max_age_s=60), plan(POWER))
    await reader.once()
    before = clock()
    wrong = datetime.now(UTC) + timedelta(hours=hours)
    await plant.server.write_attribute_value(
        plant.names["Power"].nodeid,
        ua.DataValue(ua.Variant(float(4000 + hours), ua.VariantType.Float), ua.StatusCode(0), wrong, wrong),
    )
    await reader.until(lambda: (4000 + hours) / 1000 in reader.values("active_power_kw"))
    last = reader.last("active_power_kw")
    assert before <= last.at_ms <= clock()
    assert (last.quality, last.reason) == (Quality.UNCERTAIN, "clock")
    await plant.write("Power", ua.Variant(4000.0, ua.VariantType.Float))  # the other tests begin with a right stamp


async def test_a_machine_clock_that_jumps_and_is_set_right_is_told_both_times(
    plant: Plant, driver: Callable[..., OpcUa]
) -> None:
    reader = Reader(driver(), plan(POWER))
    await reader.once()
    for watts, ahead_s in ((1001.0, 0), (2002.0, 86_400), (3003.0, -86_400), (4004.0, 0)):  # each new: waited for
        stamp = datetime.now(UTC) + timedelta(seconds=ahead_s)
        await plant.write("Power", ua.Variant(watts, ua.VariantType.Float), source=stamp)
        await reader.until(lambda kw=watts / 1000: kw in reader.values("active_power_kw"))  # type: ignore[misc]
        if watts == 1001.0:  # what the plant's last stamp was does not matter
            reader.events.clear()
    told = [(event.kind, event.body["state"], round(event.body["offset_s"] / 60)) for event in reader.events]
    assert told == [("device_clock", "ahead", 1440), ("device_clock", "right", 0)]


async def test_a_wrong_source_stamp_falls_back_to_the_servers_own(plant: Plant, driver: Callable[..., OpcUa]) -> None:
    reader = Reader(driver(), plan(POWER))
    await reader.once()
    await plant.write("Power", ua.Variant(4711.0, ua.VariantType.Float), source=datetime(2000, 1, 1, tzinfo=UTC))
    await reader.until(lambda: 4.711 in reader.values("active_power_kw"))
    assert abs(reader.last("active_power_kw").at_ms - clock()) < 5000
    assert reader.last("active_power_kw").reason == "clock"
    await plant.write("Power", ua.Variant(4000.0, ua.VariantType.Float))


async def test_a_first_value_that_has_not_changed_for_days_is_true_now(
    plant: Plant, driver: Callable[..., OpcUa]
) -> None:
    old = datetime.now(UTC) - timedelta(days=3)
    await plant.server.write_attribute_value(
        plant.names["Energy"].nodeid, ua.DataValue(ua.Variant(55, ua.VariantType.UInt32), ua.StatusCode(0), old, old)
    )
    reader = Reader(driver(), plan(ENERGY))
    await reader.until(lambda: reader.values("energy_import_kwh"))
    last = reader.last("energy_import_kwh")
    assert (last.value, last.quality) == (0.055, Quality.GOOD)
    assert abs(last.at_ms - clock()) < 5000


async def test_a_counter_that_stands_still_is_told_again_at_a_boundary_and_after_a_while(
    plant: Plant, driver: Callable[..., OpcUa]
) -> None:
    made = driver(restate_s=1.0, keepalive_s=0.1)
    device = plan(POWER, ENERGY)
    reader = Reader(made, device)
    await reader.until(lambda: reader.values("energy_import_kwh") and reader.values("active_power_kw"))
    first = reader.last("energy_import_kwh")
    deadline = time.monotonic() + LIMIT_S
    answer = Answer()
    while not answer.blocks and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
        answer = await made.read(device, counters_only=True)
    (reading,) = [reading for block in answer.blocks for reading in block.readings()]
    assert (reading.quantity, reading.value) == ("energy_import_kwh", first.value)
    assert first.at_ms < reading.at_ms <= clock()
    told = len(reader.values("active_power_kw"))
    await reader.until(lambda: len(reader.values("active_power_kw")) > told)


async def test_a_variable_that_is_not_there_costs_only_itself(plant: Plant, driver: Callable[..., OpcUa]) -> None:
    rows = (POWER, Row(quantity="voltage_v", path="Volts"), Row(quantity="frequency_hz", node="nsu=urn:nobody;s=x"))
    reader = Reader(driver(), plan(*rows))
    await reader.until(lambda: reader.values("active_power_kw") and reader.last("frequency_hz"))
    assert reader.last("active_power_kw").quality is Quality.GOOD
    for quantity in ("voltage_v", "frequency_hz"):
        assert (reader.last(quantity).value, reader.last(quantity).reason) == (None, "not-implemented")


async def test_a_device_that_is_not_there_is_refused_and_delays_no_other(
    plant: Plant, driver: Callable[..., OpcUa]
) -> None:
    made = driver()
    here, gone = Reader(made, plan(POWER)), Reader(made, plan(POWER, root="Press9", name="ghost"))
    await here.until(lambda: here.values("active_power_kw"))
    await gone.until(lambda: gone.error is not None)
    assert isinstance(gone.error, DeviceRefused)
    assert "Press9" in str(gone.error)
    await plant.write("Power", ua.Variant(1234.0, ua.VariantType.Float))
    await here.until(lambda: 1.234 in here.values("active_power_kw"))
    assert made.sessions == 1


async def test_a_device_whose_link_the_server_has_lost_is_unreachable(
    plant: Plant, driver: Callable[..., OpcUa]
) -> None:
    reader = Reader(driver(), plan(POWER))
    await reader.once()
    await plant.write("Power", ua.Variant(1.0, ua.VariantType.Float), status=ua.StatusCodes.BadNoCommunication)
    await reader.until(lambda: isinstance(reader.error, DeviceUnreachable))
    assert "BadNoCommunication" in str(reader.error)
    assert reader.last("active_power_kw").value is None
    await plant.write("Power", ua.Variant(2000.0, ua.VariantType.Float))
    await reader.until(lambda: 2.0 in reader.values("active_power_kw") and reader.error is None)


async def test_engineering_units_give_the_power_of_ten(plant: Plant, driver: Callable[..., OpcUa]) -> None:
    node = await plant.put("Mega", ua.Variant(2.5, ua.VariantType.Double))
    await node.add_property(
        ua.NodeId("Press1.Mega.EU", plant.index),
        ua.QualifiedName("EngineeringUnits", 0),
        ua.EUInformation(UnitId=int.from_bytes(b"MAW", "big"), DisplayName=ua.LocalizedText("MW")),
    )
    rows = (
        Row(quantity="active_power_kw", path="Mega", engineering_units=True),
        Row(quantity="demand_kw", path="Power", engineering_units=True),  # has none
    )
    reader = Reader(driver(), plan(*rows))
    await reader.until(lambda: reader.values("active_power_kw") and reader.values("demand_kw"))
    assert reader.values("active_power_kw") == [2500.0]
    assert reader.last("demand_kw").reason == "not-implemented"
    assert any("engineering units" in str(fault) for fault in reader.faults)


async def test_a_dead_band_is_kept_by_the_server_in_its_own_unit(plant: Plant, driver: Callable[..., OpcUa]) -> None:
    await plant.put("Calm", ua.Variant(1000.0, ua.VariantType.Double))
    reader = Reader(driver(), plan(Row(quantity="active_power_kw", path="Calm", scale_exponent=-3, dead_band=0.1)))
    await reader.until(lambda: reader.values("active_power_kw"))
    for watts in (1050.0, 1099.0, 1200.5):  # 0.1 kW are 100 W
        await plant.write("Calm", ua.Variant(watts, ua.VariantType.Double))
        await asyncio.sleep(0.05)
    await reader.until(lambda: 1.2005 in reader.values("active_power_kw"))
    assert 1.05 not in reader.values("active_power_kw")


async def test_odd_types_arrays_and_huge_texts_are_no_values(plant: Plant, driver: Callable[..., OpcUa]) -> None:
    strange = {
        "Text": ua.Variant("x" * 200_000, ua.VariantType.String),
        "Array": ua.Variant([1.0, 2.0], ua.VariantType.Double),
        "Stamp": ua.Variant(datetime.now(UTC), ua.VariantType.DateTime),
        "Flag": ua.Variant(True, ua.VariantType.Boolean),
        "Bytes": ua.Variant(b"\xff" * 70_000, ua.VariantType.ByteString),
        "Node": ua.Variant(ua.NodeId(1, 1), ua.VariantType.NodeId),
        "Words": ua.Variant(ua.LocalizedText("a"), ua.VariantType.LocalizedText),
        "Endless": ua.Variant(float("inf"), ua.VariantType.Double),
    }
    quantities = [
        "voltage_v",
        "frequency_hz",
        "current_a",
        "operating_state",
        "active_power_kw",
        "demand_kw",
        "dc_voltage_v",
        "dc_current_a",
    ]
    rows = [Row(quantity=quantity, path=name) for quantity, name in zip(quantities, strange, strict=True)]
    for name, value in strange.items():
        await plant.put(name, value)
    reader = Reader(driver(), plan(POWER.__class__(quantity="reactive_power_kvar", path="Power"), *rows))
    await reader.until(lambda: len({reading.quantity for reading in reader.readings}) == 9)
    for quantity, name in zip(quantities, strange, strict=True):
        assert reader.last(quantity).value == (1 if name == "Flag" else None)
        assert name == "Flag" or reader.last(quantity).quality is Quality.BAD
    assert reader.last("reactive_power_kvar").quality is Quality.GOOD


async def test_polling_gives_the_same_values_without_a_subscription(plant: Plant, driver: Callable[..., OpcUa]) -> None:
    await plant.write("Power", ua.Variant(1100.0, ua.VariantType.Float))
    reader = Reader(driver(access="poll"), plan(POWER, ENERGY))
    await reader.until(lambda: reader.values("active_power_kw"))
    before = plant.held[1]
    await plant.write("Power", ua.Variant(1700.0, ua.VariantType.Float))
    await reader.until(lambda: 1.7 in reader.values("active_power_kw"))
    assert plant.held[1] == before
    assert all(reading.quality is Quality.GOOD for reading in reader.readings)


async def test_a_server_that_refuses_subscriptions_is_polled(plant: Plant, driver: Callable[..., OpcUa]) -> None:
    internal = plant.server.iserver
    allowed, internal.max_subscriptions = internal.max_subscriptions, len(internal.subscription_service.subscriptions)
    try:
        reader = Reader(driver(), plan(POWER))
        await reader.until(lambda: reader.values("active_power_kw"))
        await plant.write("Power", ua.Variant(2100.0, ua.VariantType.Float))
        await reader.until(lambda: 2.1 in reader.values("active_power_kw"))
        assert any("BadTooManySubscriptions" in str(fault) for fault in reader.faults)
    finally:
        internal.max_subscriptions = allowed


# ---- writing


async def test_a_write_is_read_back(plant: Plant, driver: Callable[..., OpcUa]) -> None:
    for name, value in (
        ("Limit", ua.Variant(10.0, ua.VariantType.Double)),
        ("Percent", ua.Variant(50, ua.VariantType.Int16)),
    ):
        node = await plant.put(name, value)
        await node.set_writable()
    points = (
        Point(name="limit", unit="kW", path="Limit", scale_exponent=-3, safe=3.0),
        Point(name="percent", unit="%", path="Percent", scale_exponent=-1),
    )
    made, device = driver(), plan(POWER, points=points)
    assert isinstance(made, Controllable)
    with pytest.raises(BusUnreachable):
        await made.write(device, "limit", 5.0, 60)  # nobody has connected yet
    await Reader(made, device).once()
    written = await made.write(device, "limit", 5.0, 60)
    assert (written.delivered, written.before, written.after) == (True, 0.01, 5.0)
    assert await plant.names["Limit"].read_value() == 5000.0
    released = await made.write(device, "limit", None, 60)
    assert (released.delivered, released.after) == (True, 3.0)
    assert (await made.write(device, "percent", 12.5, 60)).after == 12.5
    assert await plant.names["Percent"].read_value() == 125
    assert not (await made.write(device, "percent", None, 60)).delivered  # no safe value is declared


async def test_a_write_that_the_server_will_not_have_is_a_refusal(plant: Plant, driver: Callable[..., OpcUa]) -> None:
    await plant.put("Small", ua.Variant(1, ua.VariantType.Byte))
    await plant.put("Name", ua.Variant("a", ua.VariantType.String))
    points = (
        Point(name="energy", unit="kWh", path="Energy"),
        Point(name="nothing", unit="kW", path="Nothing"),
        Point(name="small", unit="1", path="Small"),
        Point(name="text", unit="1", path="Name"),
    )
    made, device = driver(), plan(POWER, points=points)
    await Reader(made, device).once()
    for point, value in (("energy", 1.0), ("nothing", 1.0), ("small", 300.0), ("text", 1.0), ("unheard-of", 1.0)):
        with pytest.raises(DeviceRefused):
            await made.write(device, point, value, 60)
    assert await plant.names["Energy"].read_value() in (55, 123456)


async def test_a_write_to_a_device_that_is_away_may_be_tried_again(plant: Plant, driver: Callable[..., OpcUa]) -> None:
    node = await plant.put("Held", ua.Variant(10.0, ua.VariantType.Double))
    await node.set_writable()
    made, device = driver(), plan(POWER, points=(Point(name="held", unit="kW", path="Held", scale_exponent=-3),))
    await Reader(made, device).once()
    for status, expected in (
        (ua.StatusCodes.BadNoCommunication, DeviceUnreachable),
        (ua.StatusCodes.BadDeviceFailure, DeviceRefused),
    ):
        await plant.write("Held", ua.Variant(None), status=status)
        with pytest.raises(expected, match=ua.StatusCode(status).name) as raised:
            await made.write(device, "held", 5.0, 60)
        assert raised.value.retry
    await plant.write("Held", ua.Variant(10.0, ua.VariantType.Double))
    assert (await made.write(device, "held", 5.0, 60)).delivered


# ---- loss and return


async def test_a_restarted_server_is_found_again_with_its_namespaces_elsewhere() -> None:
    plant = Plant()
    await plant.start()
    made = OpcUa(bus(plant.url, keepalive_s=0.5, timeout_s=0.5), Gateway(clock), first_wait_s=0.05, last_wait_s=0.2)
    reader = Reader(made, plan(POWER, ENERGY))
    try:
        await reader.until(lambda: 1.5 in reader.values("active_power_kw"))
        index = plant.index
        await plant.stop()
        await reader.until(lambda: isinstance(reader.error, BusUnreachable))
        await plant.start(namespaces_before=3)
        assert plant.index != index
        await plant.write("Power", ua.Variant(1800.0, ua.VariantType.Float))
        await reader.until(lambda: 1.8 in reader.values("active_power_kw"))
        assert plant.held == (1, 1)
        assert reader.last("energy_import_kwh").quality is Quality.GOOD
    finally:
        await made.close()
        await plant.stop()


async def test_fifty_reconnections_leave_no_task_no_session_and_no_subscription_behind(plant: Plant) -> None:
    """A gateway of others grew to 6 GB over its reconnections (ThingsBoard gateway, thread 1445)."""
    made = OpcUa(bus(plant.url), Gateway(clock), first_wait_s=0.01, last_wait_s=0.02)
    reader = Reader(made, plan(POWER))
    await reader.until(lambda: reader.values("active_power_kw"))
    tasks = ours()
    for number in range(50):
        for protocol in list(plant.server.bserver.clients):
            protocol.transport.abort()
        await reader.until(lambda wanted=number + 2: made.sessions >= wanted)  # type: ignore[misc]
        await plant.write("Power", ua.Variant(float(number), ua.VariantType.Float))
        await reader.until(lambda kw=number / 1000: reader.error is None and kw in reader.values("active_power_kw"))  # type: ignore[misc]
    deadline = time.monotonic() + LIMIT_S
    while ours() > tasks and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    assert ours() <= tasks
    assert made.sessions == 51
    await made.close()
    assert ours() < tasks
    assert len(made._devices) == 1
    assert len(made._devices["press"].watches) == 1


async def test_a_closed_driver_has_left_the_server(plant: Plant) -> None:
    held, tasks = plant.held, ours()
    made = OpcUa(bus(plant.url), Gateway(clock))
    reader = Reader(made, plan(POWER))
    await reader.until(lambda: reader.values("active_power_kw"))
    assert plant.held == (held[0] + 1, held[1] + 1)
    await made.close()
    deadline = time.monotonic() + LIMIT_S
    while (plant.held != held or ours() > tasks) and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    assert plant.held == held
    assert ours() <= tasks


async def test_a_port_where_nobody_listens_is_a_bus_that_cannot_be_reached() -> None:
    made = OpcUa(bus("opc.tcp://127.0.0.1:9"), Gateway(clock))
    with pytest.raises(BusUnreachable, match=r"127\.0\.0\.1:9"):
        await made.read(plan(POWER))
    await made.close()


async def test_something_that_is_no_opc_ua_server_is_a_bus_that_cannot_be_reached() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"ACKF\xff\xff\xff\x7f" + b"\x00" * 200_000)  # announces 2 GB
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    made = OpcUa(bus(f"opc.tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout_s=0.3), Gateway(clock))
    with pytest.raises(BusUnreachable):
        await made.read(plan(POWER))
    await made.close()
    server.close()


async def test_what_is_told_is_also_shown_to_the_flight_recorder(plant: Plant) -> None:
    frames: list[tuple[str, bool, bytes]] = []
    made = OpcUa(bus(plant.url), Gateway(clock, frame=lambda *frame: frames.append(frame)))
    reader = Reader(made, plan(POWER))
    await reader.until(lambda: reader.values("active_power_kw"))
    await made.close()
    assert frames[0][:2] == ("press", False)
    assert b"active_power_kw" in frames[0][2]
