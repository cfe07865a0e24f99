"""The BACnet driver against devices written with plain bacpypes3: what is believed, refused, listened to and written."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from bacnet_peer import LibraryDevice, analog, commandable_value, free_udp_port, output, plain_value, switch
from bacpypes3.basetypes import PriorityValue, StatusFlags
from bacpypes3.local.analog import AnalogInputObject
from bacpypes3.primitivedata import Real

from edge_agent.drivers.bacnet import declared
from edge_agent.drivers.bacnet.declared import Bus, Device, Model, Point, Row
from edge_agent.drivers.bacnet.driver import BacnetDriver, open_driver
from edge_agent.drivers.declared import Manual
from edge_agent.drivers.driver import (
    Answer,
    BusUnreachable,
    Controllable,
    DeviceMisanswered,
    DeviceUnreachable,
    DriverError,
    Gateway,
)
from wire.block import scaled
from wire.quantities import QUANTITIES
from wire.reading import REASONS, Quality

HOST = "127.0.0.1"
POWER = Row(quantity="active_power_kw", object="analog-input,1")
TIMEOUT_S = 0.4


@pytest.fixture(autouse=True)
def _no_stray_errors(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)


class Clock:
    """Milliseconds that go on by themselves, so that no two answers share one."""

    def __init__(self) -> None:
        self.at_ms = 1_800_000_000_000

    def __call__(self) -> int:
        self.at_ms += 1
        return self.at_ms


class Bench:
    """One driver and what it reads."""

    def __init__(self, devices: list[Device], model: Model, **bus: Any) -> None:
        known = {"timeout_s": TIMEOUT_S, "interface": HOST, "port": 0, **bus}
        self.bus = Bus(name="site", protocol="bacnet_ip", device=devices, **known)
        self.clock = Clock()
        self.frames: list[tuple[str, bool, bytes]] = []
        gateway = Gateway(self.clock, frame=lambda *frame: self.frames.append(frame))
        self.driver: BacnetDriver = open_driver(self.bus, gateway)
        self.plans = [declared.plan(self.bus, device, model) for device in devices]

    async def read(self, index: int = 0, **how: Any) -> Answer:
        return await self.driver.read(self.plans[index], **how)

    async def write(self, point: str, value: float | None, index: int = 0) -> Any:
        return await self.driver.write(self.plans[index], point, value, 60.0)


Make = Callable[..., Bench]


@asynccontextmanager
async def benches() -> AsyncIterator[Make]:
    made: list[Bench] = []

    def make(device: LibraryDevice, *rows: Row, points: tuple[Point, ...] = (), **more: Any) -> Bench:
        own = {key: more.pop(key) for key in ("max_apdu", "multiple") if key in more}
        model = Model(
            maker="any", model="any", manual=Manual(title="", edition=""), row=list(rows), point=list(points), **own
        )
        known = Device(name="d", model="any", instance=device.instance, host=HOST, port=device.port)
        made.append(Bench([known], model, **more))
        return made[-1]

    try:
        yield make
    finally:
        for bench in made:
            await bench.driver.close()


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    async with benches() as making:
        yield making


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Any]]:
    async with AsyncExitStack() as stack:

        async def served(*objects: Any, instance: int = 1001, **device: Any) -> LibraryDevice:
            app = await LibraryDevice(instance, objects, **device).settle()
            stack.callback(app.close)
            return app

        yield served


def values(answer: Answer) -> dict[str, float | None]:
    return {
        quantity: scaled(block.columns[index][-1], block.shape.exponents[index])
        for block in answer.blocks
        for index, quantity in enumerate(block.shape.quantities)
    }


def verdict(answer: Answer, quantity: str) -> tuple[Quality, str]:
    for block in answer.blocks:
        if quantity in block.shape.quantities:
            code, reason = block.quality[block.shape.quantities.index(quantity)] if block.quality else (0, 0)
            return Quality(code), REASONS[reason]
    raise AssertionError(f"no {quantity} in {answer}")


async def eventually(done: Callable[[], Any], within_s: float = 5.0) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not done():
        assert loop.time() < deadline, "not within the time"
        await asyncio.sleep(0.01)


# ---- values and units


async def test_a_value_comes_with_its_unit_converted_and_the_digits_of_the_device(make: Make, serve: Any) -> None:
    device = await serve(analog(1, 1234.5, "watts"), analog(2, 212.0, "degrees-fahrenheit"), analog(3, 7.1, "bars"))
    bench = make(
        device,
        POWER,
        Row(quantity="outdoor_temperature_degc", object="analog-input,2"),
        Row(quantity="gas_pressure_kpa", object="analog-input,3"),
    )
    answer = await bench.read()
    assert values(answer) == {"active_power_kw": 1.2345, "outdoor_temperature_degc": 100.0, "gas_pressure_kpa": 710.0}
    assert answer.faults == []


async def test_the_load_sign_and_a_scale_are_applied(make: Make, serve: Any) -> None:
    device = await serve(analog(1, 42.0, "kilowatts"))
    bench = make(device, Row(quantity="active_power_kw", object="analog-input,1", sign=-1, scale_exponent=1))
    assert values(await bench.read()) == {"active_power_kw": -420.0}


async def test_a_row_in_a_foreign_unit_is_refused_with_what_was_expected_and_the_others_go_on(
    make: Make, serve: Any
) -> None:
    device = await serve(analog(1, 5.0, "kilowatts"), analog(2, 5.0, "kilowatts"))
    bench = make(device, POWER, Row(quantity="energy_import_kwh", object="analog-input,2"))
    answer = await bench.read()
    assert values(answer) == {"active_power_kw": 5.0, "energy_import_kwh": None}
    assert verdict(answer, "energy_import_kwh") == (Quality.BAD, "unit")
    assert "kilowatt-hours" in str(answer.faults[0])
    assert "saw kilowatts" in str(answer.faults[0])


async def test_an_object_without_units_has_the_unit_that_its_row_says_and_is_not_guessed_at(
    make: Make, serve: Any
) -> None:
    device = await serve(analog(1, 5.0, "no-units"), analog(2, 7.0, "no-units"))
    bench = make(
        device,
        Row(quantity="active_power_kw", object="analog-input,1", unit="watts"),
        Row(quantity="fan_speed_percent", object="analog-input,2"),
    )
    answer = await bench.read()
    assert values(answer) == {"active_power_kw": 0.005, "fan_speed_percent": None}
    assert "unit = " in str(answer.faults[0])


async def test_a_row_is_found_by_its_objects_name(make: Make, serve: Any) -> None:
    device = await serve(
        *(analog(number, float(number), "kilowatts", objectName=f"P {number}") for number in range(60))
    )
    bench = make(
        device,
        Row(quantity="active_power_kw", object_name="P 57"),
        Row(quantity="demand_kw", object_name="P 99"),
    )
    answer = await bench.read()
    assert values(answer) == {"active_power_kw": 57.0, "demand_kw": None}
    assert verdict(answer, "demand_kw") == (Quality.BAD, "not-implemented")
    assert "named 'P 99'" in str(answer.faults[0])


@pytest.mark.parametrize("segmentation", ["segmented-both", "no-segmentation"])
async def test_a_list_of_objects_that_fills_no_single_frame_is_taken(make: Make, serve: Any, segmentation: str) -> None:
    device = await serve(
        *(analog(number, float(number), "kilowatts", objectName=f"P {number}") for number in range(120)),
        maxApduLengthAccepted=480,
        segmentationSupported=segmentation,
    )
    answer = await make(device, Row(quantity="active_power_kw", object_name="P 118")).read()
    assert values(answer) == {"active_power_kw": 118.0}


async def test_an_object_that_is_not_there_costs_its_own_row_alone(make: Make, serve: Any) -> None:
    device = await serve(analog(1, 5.0, "kilowatts"))
    bench = make(device, POWER, Row(quantity="demand_kw", object="analog-input,77"))
    answer = await bench.read()
    assert values(answer) == {"active_power_kw": 5.0, "demand_kw": None}
    assert "analog-input,77" in str(answer.faults[0])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
async def test_what_is_no_number_is_no_value(make: Make, serve: Any, value: float) -> None:
    device = await serve(analog(1, value, "kilowatts"))
    answer = await make(device, POWER).read()
    assert values(answer) == {"active_power_kw": None}
    assert verdict(answer, "active_power_kw") == (Quality.BAD, "not-implemented")


async def test_what_cannot_be_is_out_of_range(make: Make, serve: Any) -> None:
    device = await serve(analog(1, 900.0, "kilowatts"))
    answer = await make(device, Row(quantity="active_power_kw", object="analog-input,1", high=500)).read()
    assert verdict(answer, "active_power_kw") == (Quality.BAD, "out-of-range")


class Overridden(AnalogInputObject):
    """An input that somebody has set by hand at the device."""

    @property
    def statusFlags(self) -> Any:  # noqa: N802 - the library's name
        return StatusFlags([0, 0, 1, 0])

    @statusFlags.setter
    def statusFlags(self, value: Any) -> None: ...  # noqa: N802


async def test_status_flags_become_quality(make: Make, serve: Any) -> None:
    common = {"eventState": "normal", "covIncrement": 0.5, "units": "kilowatts", "presentValue": 3.0}
    device = await serve(
        analog(1, 1.0, "kilowatts", reliability="no-sensor"),
        analog(2, 2.0, "kilowatts", outOfService=True),
        Overridden(objectIdentifier=("analog-input", 3), objectName="input 3", outOfService=False, **common),
        analog(4, 4.0, "kilowatts", eventState="high-limit"),
    )
    names = ("active_power_l1_kw", "active_power_l2_kw", "active_power_l3_kw", "active_power_kw")
    bench = make(device, *(Row(quantity=name, object=f"analog-input,{n}") for n, name in enumerate(names, 1)))
    answer = await bench.read()
    assert values(answer) == dict(zip(names, (None, 2.0, 3.0, 4.0), strict=True))
    assert [verdict(answer, name) for name in names] == [
        (Quality.BAD, "device-fault"),
        (Quality.UNCERTAIN, "out-of-service"),
        (Quality.UNCERTAIN, "overridden"),
        (Quality.GOOD, ""),
    ]


# ---- requests


async def test_forty_objects_are_one_request(make: Make, serve: Any) -> None:
    named = {
        "kW": "kilowatts",
        "V": "volts",
        "A": "amperes",
        "kWh": "kilowatt-hours",
        "kvar": "kilovolt-amperes-reactive",
    }
    wanted = [(name, named[row.unit]) for name, row in QUANTITIES.items() if row.unit in named][:40]
    device = await serve(
        *(analog(number, 1.0, unit) for number, (_, unit) in enumerate(wanted, 1)), maxApduLengthAccepted=1476
    )
    bench = make(device, *(Row(quantity=name, object=f"analog-input,{n}") for n, (name, _) in enumerate(wanted, 1)))
    await bench.read()
    device.asked.clear()
    answer = await bench.read()
    assert device.asked == ["ReadPropertyMultiple"]
    assert answer.requests == 1
    assert len(values(answer)) == 40
    assert len(bench.driver.requests(bench.plans[0])) == 1


QUANTITY_NAMES = list(
    enumerate(
        (
            "voltage_v", "voltage_l1_v", "voltage_l2_v", "voltage_l3_v", "voltage_l1_l2_v", "voltage_l2_l3_v", "voltage_l3_l1_v",
            "dc_voltage_v", "cell_voltage_max_v", "cell_voltage_min_v",
        ),
        1,
    )
)  # fmt: skip


async def test_an_answer_that_a_small_device_cannot_send_is_asked_for_in_halves_and_stays_so(
    make: Make, serve: Any
) -> None:
    device = await serve(
        *(analog(number, 230.0, "volts") for number in range(1, 11)),
        maxApduLengthAccepted=206,
        segmentationSupported="no-segmentation",
    )
    rows = [Row(quantity=name, object=f"analog-input,{n}") for n, name in QUANTITY_NAMES[:10]]
    bench = make(device, *rows)
    answer = await bench.read()
    assert len(values(answer)) == 10
    assert answer.faults == []
    device.asked.clear()
    again = await bench.read()
    assert again.requests == len(bench.driver.requests(bench.plans[0])) > 1
    assert set(values(again).values()) == {230.0}


async def test_a_device_that_knows_no_multiple_reads_is_asked_one_by_one(make: Make, serve: Any) -> None:
    device = await serve(
        analog(1, 5.0, "kilowatts"), analog(2, 6.0, "kilowatts"), without=frozenset({"ReadPropertyMultiple"})
    )
    bench = make(device, POWER, Row(quantity="demand_kw", object="analog-input,2"))
    answer = await bench.read()
    assert values(answer) == {"active_power_kw": 5.0, "demand_kw": 6.0}
    device.asked.clear()
    assert values(await bench.read()) == {"active_power_kw": 5.0, "demand_kw": 6.0}
    assert set(device.asked) == {"ReadProperty"}


async def test_a_deadline_leaves_requests_for_the_next_read_and_they_come_first(make: Make, serve: Any) -> None:
    device = await serve(*(analog(number, float(number), "volts") for number in range(1, 11)))
    rows = [Row(quantity=name, object=f"analog-input,{n}") for n, name in QUANTITY_NAMES[:10]]
    bench = make(device, *rows, multiple=False)
    await bench.read()
    first = await bench.read(deadline_s=asyncio.get_running_loop().time() - 1)
    assert len(first.blocks) == 1
    assert first.left_out == 9
    second = await bench.read(deadline_s=asyncio.get_running_loop().time() - 1)
    assert second.blocks[0].shape != first.blocks[0].shape


async def test_only_requests_with_a_counter_are_made_at_a_boundary(make: Make, serve: Any) -> None:
    device = await serve(analog(1, 5.0, "kilowatts"), analog(2, 77.0, "kilowatt-hours"))
    bench = make(device, POWER, Row(quantity="energy_import_kwh", object="analog-input,2"), multiple=False)
    await bench.read()
    assert values(await bench.read(counters_only=True)) == {"energy_import_kwh": 77.0}


async def test_every_frame_is_shown_to_the_flight_recorder(make: Make, serve: Any) -> None:
    device = await serve(analog(1, 5.0, "kilowatts"))
    bench = make(device, POWER)
    await bench.read()
    assert {name for name, _, _ in bench.frames} == {"d"}
    assert {sent for _, sent, _ in bench.frames} == {True, False}
    assert all(data[0] == 0x81 and int.from_bytes(data[2:4], "big") == len(data) for _, _, data in bench.frames)


# ---- who is there


async def test_a_silent_device_costs_its_time_out_and_not_twelve_seconds(make: Make, serve: Any) -> None:
    device = await serve()
    device.close()
    bench = make(device, POWER)
    loop = asyncio.get_running_loop()
    begin = loop.time()
    with pytest.raises(DeviceUnreachable, match=r"no answer within 0\.4 s"):
        await bench.read()
    assert loop.time() - begin < 3 * TIMEOUT_S


async def test_another_device_at_the_address_is_not_believed(make: Make, serve: Any) -> None:
    device = await serve(analog(1, 5.0, "kilowatts"), instance=1002)
    device.instance = 1001
    with pytest.raises(DeviceMisanswered, match="expected device 1001"):
        await make(device, POWER).read()


async def test_a_device_that_becomes_another_one_is_noticed_at_the_next_poll(make: Make, serve: Any) -> None:
    device = await serve(analog(1, 5.0, "kilowatts"))
    bench = make(device, POWER)
    await bench.read()
    device.device_object.objectIdentifier = ("device", 7)
    with pytest.raises(DeviceMisanswered, match="saw another one"):
        await bench.read()
    device.device_object.objectIdentifier = ("device", 1001)
    assert values(await bench.read()) == {"active_power_kw": 5.0}


async def test_a_port_that_another_program_has_is_said_in_one_line(make: Make, serve: Any) -> None:
    device = await serve(analog(1, 5.0, "kilowatts"))
    taken = free_udp_port()
    first = make(device, POWER, port=taken)
    await first.read()
    with pytest.raises(BusUnreachable, match=f"{HOST}:{taken} to be free"):
        await make(device, POWER, port=taken).read()


async def test_nobody_on_the_network_can_write_or_silence_the_agent(make: Make, serve: Any) -> None:
    device = await serve(analog(1, 5.0, "kilowatts"))
    port = free_udp_port()
    bench = make(device, POWER, port=port)
    await bench.read()
    from bacpypes3.apdu import DeviceCommunicationControlRequest, ErrorRejectAbortNack
    from bacpypes3.pdu import Address

    ours = Address(f"{HOST}:{port}")
    assert await device.read_property(ours, "device,4194000", "object-name") == "wattline-4194000"
    with pytest.raises(ErrorRejectAbortNack):
        await device.request(DeviceCommunicationControlRequest(enableDisable="disable", destination=ours))
    with pytest.raises(ErrorRejectAbortNack):
        await device.write_property(ours, "device,4194000", "object-name", "mine")
    assert values(await bench.read()) == {"active_power_kw": 5.0}


# ---- changes of value

LISTENED = Row(quantity="active_power_kw", object="analog-input,1", cov=True)


async def heard(bench: Bench) -> None:
    """Until something notified waits for the next read."""
    known = bench.driver._devices["d"].subscriptions
    await eventually(lambda: known.waiting)


async def test_changes_between_two_polls_come_with_the_next_one_each_with_its_instant(make: Make, serve: Any) -> None:
    device = await serve(analog(1, 5.0, "kilowatts"))
    bench = make(device, LISTENED)
    await bench.read()
    await bench.read()
    for value in (8.0, 11.0):
        told = bench.driver._devices["d"].subscriptions.notified
        device.thing("input 1").presentValue = value
        await eventually(lambda told=told: bench.driver._devices["d"].subscriptions.notified > told)
    answer = await bench.read()
    seen = [(block.at_ms[0], block.columns[0][0]) for block in answer.blocks]
    assert [value for _, value in seen] == [8.0, 11.0, 11.0]
    assert sorted(at for at, _ in seen) == [at for at, _ in seen]


@pytest.mark.parametrize("confirmed", [False, True])
async def test_a_subscription_is_renewed_before_it_ends(make: Make, serve: Any, confirmed: bool) -> None:
    device = await serve(analog(1, 5.0, "kilowatts"))
    bench = make(device, LISTENED, cov_lifetime_s=2, cov_confirmed=confirmed)
    bench.plans = [
        declared.plan(
            bench.bus, Device(name="d", model="any", instance=1001, host=HOST, port=device.port, period_s=0.1),
            Model(maker="a", model="b", manual=Manual(title="", edition=""), row=[LISTENED]),
        )
    ]  # fmt: skip
    loop = asyncio.get_running_loop()
    end, counts = loop.time() + 3.5, set()
    while loop.time() < end:
        await bench.read()
        counts.add(device.subscriptions)
        await asyncio.sleep(0.1)
    assert counts == {1}
    assert device.asked.count("SubscribeCOV") >= 3
    device.thing("input 1").presentValue = 50.0
    await heard(bench)


async def test_a_device_that_refuses_subscriptions_is_polled(make: Make, serve: Any) -> None:
    device = await serve(analog(1, 5.0, "kilowatts"), without=frozenset({"SubscribeCOV"}))
    bench = make(device, LISTENED)
    for _ in range(3):
        assert values(await bench.read()) == {"active_power_kw": 5.0}
    assert device.asked.count("SubscribeCOV") == 1
    assert bench.driver._devices["d"].subscriptions.refusals()


async def test_a_device_that_has_forgotten_us_is_subscribed_to_again(make: Make, serve: Any) -> None:
    device = await serve(analog(1, 5.0, "kilowatts"))
    bench = make(device, LISTENED)
    await bench.read()
    await bench.read()
    for detection in list(device._cov_detections.values()):
        for subscription in list(detection.cov_subscriptions):
            device.cancel_subscription(subscription)
    assert device.subscriptions == 0
    for value in (20.0, 30.0, 40.0):
        device.thing("input 1").presentValue = value
        await bench.read()
    await bench.read()
    assert device.subscriptions == 1
    bench.driver._devices["d"].subscriptions.take()
    device.thing("input 1").presentValue = 60.0
    await heard(bench)


async def test_an_increment_of_ones_own_is_asked_for_and_done_without_where_it_is_refused(
    make: Make, serve: Any
) -> None:
    device = await serve(analog(1, 5.0, "kilowatts"))
    bench = make(device, Row(quantity="active_power_kw", object="analog-input,1", cov=True, cov_increment=0.1))
    await bench.read()
    await bench.read()
    assert device.subscriptions == 1


async def test_what_nobody_asked_for_is_not_believed(make: Make, serve: Any) -> None:
    device = await serve(analog(1, 5.0, "kilowatts"))
    stranger = await serve(analog(1, 999.0, "kilowatts"), instance=2002)
    port = free_udp_port()
    bench = make(device, LISTENED, port=port)
    await bench.read()
    await eventually(lambda: device.subscriptions == 1)
    bench.driver._devices["d"].subscriptions.take()
    from bacpypes3.apdu import UnconfirmedCOVNotificationRequest
    from bacpypes3.basetypes import PropertyValue
    from bacpypes3.constructeddata import Any as Anything
    from bacpypes3.pdu import Address

    stranger.request(
        UnconfirmedCOVNotificationRequest(
            subscriberProcessIdentifier=1,
            initiatingDeviceIdentifier=("device", 1001),
            monitoredObjectIdentifier=("analog-input", 1),
            timeRemaining=60,
            listOfValues=[PropertyValue(propertyIdentifier="presentValue", value=Anything(Real(999.0)))],
            destination=Address(f"{HOST}:{port}"),
        )
    )
    await asyncio.sleep(0.1)
    assert values(await bench.read()) == {"active_power_kw": 5.0}


async def test_a_flood_of_changes_is_bounded_and_counted(make: Make, serve: Any) -> None:
    device = await serve(analog(1, 5.0, "kilowatts", covIncrement=0.01))
    bench = make(device, LISTENED)
    await bench.read()
    await bench.read()
    subscriptions = bench.driver._devices["d"].subscriptions
    from edge_agent.drivers.bacnet.services import REAL, Notification, encoded

    for number in range(1000):
        told = Notification(1, (8, 1001), (0, 1), 60, {85: encoded(REAL, float(number))})
        assert subscriptions.hear(told, bench.clock())
    answer = await bench.read()
    assert len(answer.blocks) == 512 + 1
    assert "488 dropped" in str(answer.faults[0])


# ---- writes

SETPOINT = Point(name="setpoint", object="analog-value,1", unit="degC")


async def test_a_write_is_read_back_and_given_back(make: Make, serve: Any) -> None:
    device = await serve(commandable_value(1, 18.0, "degrees-celsius"))
    bench = make(device, POWER, points=(SETPOINT,))
    assert isinstance(bench.driver, Controllable)
    written = await bench.write("setpoint", 21.5)
    assert (written.delivered, written.before, written.after, written.note) == (True, 18.0, 21.5, "")
    assert device.thing("value 1").priorityArray[11].real == 21.5
    released = await bench.write("setpoint", None)
    assert (released.delivered, released.before, released.after) == (True, 21.5, 18.0)
    assert all(slot.null is not None for slot in device.thing("value 1").priorityArray)


async def test_a_hand_above_ours_is_told_and_not_taken_for_delivered(make: Make, serve: Any) -> None:
    device = await serve(commandable_value(1, 18.0, "degrees-celsius"))
    device.thing("value 1").priorityArray[7] = PriorityValue(real=16.0)
    written = await make(device, POWER, points=(SETPOINT,)).write("setpoint", 21.5)
    assert (written.delivered, written.after) == (False, 16.0)
    assert written.note == "overridden by site at priority 8"


async def test_a_hand_below_ours_does_not_matter(make: Make, serve: Any) -> None:
    device = await serve(commandable_value(1, 18.0, "degrees-celsius"))
    device.thing("value 1").priorityArray[15] = PriorityValue(real=16.0)
    written = await make(device, POWER, points=(SETPOINT,)).write("setpoint", 21.5)
    assert (written.delivered, written.after) == (True, 21.5)
    released = await make(device, POWER, points=(SETPOINT,)).write("setpoint", None)
    assert (released.delivered, released.after) == (True, 16.0)


async def test_a_set_point_is_written_in_the_unit_of_the_object(make: Make, serve: Any) -> None:
    device = await serve(commandable_value(1, 64.4, "degrees-fahrenheit"), output(1, 0.0, "percent"))
    bench = make(device, POWER, points=(SETPOINT, Point(name="valve", object="analog-output,1", unit="%", priority=9)))
    written = await bench.write("setpoint", 25.0)
    assert device.thing("value 1").presentValue == pytest.approx(77.0)
    assert (written.delivered, written.after) == (True, pytest.approx(25.0))
    assert (await bench.write("valve", 40.0)).delivered
    assert device.thing("output 1").priorityArray[8].real == 40.0


async def test_an_object_without_priorities_is_plain_and_says_so(make: Make, serve: Any) -> None:
    device = await serve(plain_value(1, 18.0, "degrees-celsius"))
    bench = make(device, POWER, points=(SETPOINT,))
    written = await bench.write("setpoint", 21.5)
    assert (written.delivered, written.after) == (True, 21.5)
    assert "no priority array" in written.note
    released = await bench.write("setpoint", None)
    assert (released.delivered, released.after) == (False, 21.5)
    assert "nothing to give back" in released.note


async def test_the_safe_value_takes_the_place_of_a_release_where_there_are_no_priorities(
    make: Make, serve: Any
) -> None:
    device = await serve(plain_value(1, 18.0, "degrees-celsius"))
    bench = make(device, POWER, points=(Point(name="setpoint", object="analog-value,1", unit="degC", safe=19.0),))
    await bench.write("setpoint", 25.0)
    released = await bench.write("setpoint", None)
    assert (released.delivered, released.after) == (True, 19.0)


async def test_a_switch_takes_nought_or_one(make: Make, serve: Any) -> None:
    device = await serve(switch(1))
    bench = make(device, POWER, points=(Point(name="pump", object="binary-output,1", unit="1"),))
    assert (await bench.write("pump", 1)).after == 1.0
    with pytest.raises(DriverError, match="expected 0 or 1"):
        await bench.write("pump", 0.5)


async def test_a_point_that_is_unknown_or_in_another_unit_is_refused(make: Make, serve: Any) -> None:
    device = await serve(commandable_value(1, 18.0, "kilowatts"))
    bench = make(device, POWER, points=(SETPOINT,))
    with pytest.raises(DriverError, match="expected a point of its model"):
        await bench.write("other", 1.0)
    with pytest.raises(DriverError, match="saw kilowatts"):
        await bench.write("setpoint", 20.0)


async def test_a_driver_that_closes_gives_back_what_it_holds(make: Make, serve: Any) -> None:
    device = await serve(commandable_value(1, 18.0, "degrees-celsius"))
    bench = make(device, POWER, points=(SETPOINT,))
    await bench.write("setpoint", 21.5)
    await bench.driver.close()
    assert device.thing("value 1").presentValue == 18.0


async def test_a_new_agent_gives_back_what_a_killed_one_has_left(make: Make, serve: Any) -> None:
    device = await serve(commandable_value(1, 18.0, "degrees-celsius"))
    await make(device, POWER, points=(SETPOINT,)).write("setpoint", 21.5)
    (released,) = await (later := make(device, POWER, points=(SETPOINT,))).driver.release_all(later.plans[0])
    assert (released.delivered, released.before, released.after) == (True, 21.5, 18.0)
