"""The simulated building before clients that are not ours: bacpypes3's own application and the npm package node-bacnet."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from bacnet_peer import LibraryDevice, free_udp_port
from bacpypes3.apdu import ErrorRejectAbortNack, SubscribeCOVRequest
from bacpypes3.errors import ExecutionError
from bacpypes3.pdu import Address
from bacpypes3.primitivedata import Null, ObjectIdentifier
from building import Building, building
from node_bacnet_peer import line, node


@pytest.fixture
async def tower(tmp_path: Path) -> AsyncIterator[Building]:
    async with building(tmp_path) as served:
        yield served


@pytest.fixture
async def client() -> AsyncIterator[LibraryDevice]:
    app = await LibraryDevice(77).settle()
    yield app
    app.close()


def address(tower: Building, name: str) -> Address:
    return Address(f"127.0.0.1:{tower.port(name)}")


async def test_a_device_says_who_it_is(tower: Building, client: LibraryDevice) -> None:
    (said,) = await client.who_is(1002, 1002, address(tower, "ahu"))
    assert said.iAmDeviceIdentifier[1] == 1002
    assert await client.read_property(address(tower, "ahu"), "device,1002", "model-name") == "Air handling unit"


async def test_a_library_client_reads_what_the_plant_measures(tower: Building, client: LibraryDevice) -> None:
    power_kw = await client.read_property(address(tower, "meter"), "analog-input,1", "present-value")
    phases_kw = [
        await client.read_property(address(tower, "meter"), f"analog-input,{n}", "present-value") for n in (2, 3, 4)
    ]
    assert power_kw == pytest.approx(sum(phases_kw), rel=1e-5)
    tower.at_ms += 3_600_000
    counted = await client.read_property(address(tower, "meter"), "accumulator,1", "present-value")
    assert counted == int(float((await tower.truth())["meter"]["import_kwh"]) * 1000)
    assert str(await client.read_property(address(tower, "meter"), "accumulator,1", "units")) == "kilowatt-hours"


async def test_each_answer_has_the_next_number(tower: Building, client: LibraryDevice) -> None:
    read: list[Any] = [
        await client.read_property(address(tower, "meter"), "positive-integer-value,9000", "present-value")
        for _ in range(3)
    ]
    assert [int(serial) for serial in read] == [1, 2, 3]
    assert [(entry["serial"], entry["carried"]) for entry in tower.log()] == [(1, True), (2, True), (3, True)]


async def test_a_commandable_object_keeps_the_order_of_priorities(tower: Building, client: LibraryDevice) -> None:
    place = address(tower, "lighting")

    async def level() -> float:
        return float(await client.read_property(place, "analog-output,1", "present-value"))

    assert await level() == 80.0
    await client.write_property(place, "analog-output,1", "present-value", 30.0, priority=12)
    await client.write_property(place, "analog-output,1", "present-value", 50.0, priority=8)
    assert await level() == 50.0
    await client.write_property(place, "analog-output,1", "present-value", Null(()), priority=8)
    assert await level() == 30.0
    await client.write_property(place, "analog-output,1", "present-value", Null(()), priority=12)
    assert await level() == 80.0


async def test_an_input_cannot_be_written(tower: Building, client: LibraryDevice) -> None:
    before = await client.read_property(address(tower, "meter"), "analog-input,14", "present-value")
    await client.write_property(address(tower, "meter"), "analog-input,14", "present-value", 999.0)
    assert await client.read_property(address(tower, "meter"), "analog-input,14", "present-value") == pytest.approx(
        before, abs=0.1
    )


async def test_a_fault_of_the_device_is_an_error_of_the_standard(tower: Building, client: LibraryDevice) -> None:
    await tower.ask({"device": "meter", "fault": "exception", "code": 6})
    with pytest.raises(ErrorRejectAbortNack) as refused:
        await client.read_property(address(tower, "meter"), "analog-input,1", "present-value")
    assert "device" in str(refused.value)


async def test_the_devices_clock_can_be_wrong(tower: Building, client: LibraryDevice) -> None:
    true = await client.read_property(address(tower, "meter"), "device,1001", "local-date")
    await tower.ask({"device": "meter", "fault": "clock_jump", "clock_s": 10 * 86_400})
    wrong = await client.read_property(address(tower, "meter"), "device,1001", "local-date")
    assert (tuple(true)[:3], tuple(wrong)[:3]) == ((118, 3, 5), (118, 3, 15))


async def test_node_bacnet_finds_reads_listens_and_writes(tower: Building) -> None:
    async with node("node_bacnet_client.js", f"127.0.0.1:{tower.port('ahu')}", 1002, free_udp_port()) as process:
        told = await line(process)
    assert told["iAm"] == 1002
    assert told["name"] == "ahu"
    assert [(kind, number, unit) for kind, number, _, unit in told["read"]] == [(0, 1, 62), (0, 5, 48), (2, 1, 62)]
    assert told["changed"] == 21.5
    assert told["slots"] == [*[None] * 7, 21.5, *[None] * 8]
    assert told["after"] == 16.0
    assert "UNKNOWN_OBJECT" in told["refused"] or "31" in told["refused"]


class Reluctant(LibraryDevice):
    """A subscriber that answers each notification with an error."""

    async def do_ConfirmedCOVNotificationRequest(self, apdu: Any) -> None:  # noqa: N802 - the library's name
        self.notified = True
        raise ExecutionError(errorClass="services", errorCode="other")


async def test_a_subscriber_that_refuses_its_notification_does_no_harm(tower: Building) -> None:
    unhandled: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    app = await Reluctant(78).settle()
    app.notified = False
    request = SubscribeCOVRequest(
        subscriberProcessIdentifier=1,
        monitoredObjectIdentifier=ObjectIdentifier("analog-input,1"),
        issueConfirmedNotifications=True,
        lifetime=60,
        destination=address(tower, "meter"),
    )
    await app.request(request)
    async with asyncio.timeout(20):
        while not app.notified:
            await asyncio.sleep(0.01)
    assert await app.read_property(address(tower, "meter"), "analog-input,1", "present-value") is not None
    app.close()
    assert unhandled == []
