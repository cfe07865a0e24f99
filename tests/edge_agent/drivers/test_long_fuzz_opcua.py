"""Random values, and random damage between a real server and the driver: no crash, no task that ends, no memory that grows. 5 s, or a minute."""

import asyncio
import random
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from asyncua import Server
from asyncua import ua as _ua

from edge_agent.drivers.declared import Manual
from edge_agent.drivers.driver import DriverError, Gateway
from edge_agent.drivers.opcua import declared, values
from edge_agent.drivers.opcua.address import NodeAddress
from edge_agent.drivers.opcua.declared import Bus, Device, Item, Model, Row
from edge_agent.drivers.opcua.driver import OpcUa
from edge_agent.drivers.opcua.lookup import Watch
from edge_agent.drivers.opcua.told import told
from wire.reading import Quality

ua: Any = _ua
LINE = "urn:fuzz"
ROWS = [
    Row(quantity="active_power_kw", path="Power", scale_exponent=-3),
    Row(quantity="energy_import_kwh", path="Energy"),
    Row(quantity="voltage_l1_v", path="Phases", element=1),
]
MODEL = Model(maker="a", model="b", manual=Manual("t", "e"), protocol="opcua", namespaces={"": LINE}, row=ROWS)
PLAN = declared.plan(None, Device(name="d", model="m", root="Press"), MODEL)


def item(chance: random.Random) -> Item:
    form = chance.choice(
        [
            {},
            {"element": chance.randrange(4)},
            {"offset": chance.randrange(20), "type": chance.choice(list(values.FIELD_CODES))},
        ]
    )
    return Item("active_power_kw", NodeAddress("u", 1), 0, chance.choice((1, -1)), -2e6, 2e6, False, **form)  # type: ignore[arg-type]


def anything(chance: random.Random, depth: int = 0) -> Any:
    """A value of any type that a variable can have, and of some that it cannot."""
    kind = chance.randrange(12 if depth < 2 else 9)
    if kind == 0:
        return chance.choice([None, True, False, float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 5e-324, 1.7e308])
    if kind == 1:
        return chance.choice([-1, 1]) * chance.getrandbits(chance.randrange(1, 200))
    if kind == 2:
        return chance.uniform(-1e9, 1e9)
    if kind == 3:
        return "x" * chance.randrange(2000)
    if kind == 4:
        return chance.randbytes(chance.randrange(64))
    if kind == 5:
        return datetime.fromtimestamp(chance.randrange(2**31), UTC)
    if kind == 6:
        return ua.ExtensionObject(ua.NodeId(1, 1), chance.randbytes(chance.randrange(30)))
    if kind == 7:
        return ua.LocalizedText("a")
    if kind == 8:
        return ua.EUInformation()
    return [anything(chance, depth + 1) for _ in range(chance.randrange(6))]


def fuzz_values(seconds: float, seed: int) -> int:
    chance, deadline, done = random.Random(seed), time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        watch = Watch(item(chance), "d")
        raw = anything(chance)
        variant = None if chance.random() < 0.05 else ua.Variant()
        if variant is not None:
            variant.Value, variant.VariantType = raw, chance.choice(list(ua.VariantType))
        stamp = chance.choice([None, datetime(1601, 1, 1), datetime(9999, 12, 31, tzinfo=UTC), datetime.now(UTC)])  # noqa: DTZ001
        one = told(watch, ua.DataValue(variant, ua.StatusCode(chance.getrandbits(32)), stamp, stamp))
        quality, reason = values.quality_of(one.status)
        assert quality in tuple(Quality)
        assert reason >= 0
        value, exponent, (judged, _) = values.value_of(watch.item, one.value, one.is_float32, chance.randrange(-12, 12))
        assert value is None or -2e6 <= (value if exponent is None else value * 10.0**exponent) <= 2e6
        assert (value is None) == (judged == Quality.BAD)
        assert value is None or isinstance(value, int) == (exponent is not None)
        at_ms = values.milliseconds(one.source)
        assert at_ms is None or at_ms > 0
        done += 1
    return done


async def fuzz_link(seconds: float, seed: int) -> tuple[int, int]:
    """Damages what a real server says. Gives how many sessions there were and how many readings came through."""
    chance = random.Random(seed)
    server: Any = Server()
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:0/")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    index = await server.register_namespace(LINE)
    machine = await server.nodes.objects.add_object(index, "Press")
    power = await machine.add_variable(index, "Power", 1.0)
    await machine.add_variable(index, "Energy", ua.Variant(7, ua.VariantType.UInt32))
    await machine.add_variable(index, "Phases", [1.0, 2.0, 3.0])
    await server.start()
    target = server.bserver._server.sockets[0].getsockname()[:2]
    harm = True

    async def joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection(*target)
        spared = chance.randrange(12)  # so many chunks pass, so that the damage comes late as well as early

        async def way(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool) -> None:
            nonlocal spared
            try:
                while data := await source.read(65_536):
                    if answers and harm:
                        spared -= 1
                        if spared < 0 and chance.random() < 0.5:
                            broken = bytearray(data)
                            for _ in range(chance.randrange(1, 4)):
                                broken[chance.randrange(len(broken))] = chance.randrange(256)
                            data = bytes(broken[: chance.choice([len(broken), len(broken) // 2])])
                    sink.write(data)
                    await sink.drain()
            except (ConnectionError, OSError):
                pass
            finally:
                sink.close()

        await asyncio.gather(way(reader, behind_writer, answers=False), way(behind_reader, writer, answers=True))

    front = await asyncio.start_server(joined, "127.0.0.1", 0)
    url = f"opc.tcp://127.0.0.1:{front.sockets[0].getsockname()[1]}"
    bus = Bus(name="b", protocol="opcua", url=url, publishing_ms=10.0, keepalive_s=0.1, timeout_s=0.2, device=[])
    driver = OpcUa(bus, Gateway(lambda: time.time_ns() // 1_000_000), first_wait_s=0.01, last_wait_s=0.02)
    readings, step = 0, 0

    async def read_once() -> int:
        try:
            answer = await driver.read(PLAN, asyncio.get_running_loop().time() + 0.05)
        except DriverError:
            return 0
        return sum(len(block.columns) for block in answer.blocks)

    try:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            step += 1
            await power.write_value(float(step))
            readings += await read_once()
            await asyncio.sleep(0.01)
        harm = False  # and then it recovers by itself
        sessions = driver.sessions
        deadline, healthy = time.monotonic() + 15, 0
        while healthy < 5 and time.monotonic() < deadline:
            step += 1
            await power.write_value(float(step))
            healthy += min(1, await read_once())
            await asyncio.sleep(0.02)
        assert healthy == 5
        return sessions, readings
    finally:
        await driver.close()
        front.close()
        service = server.iserver.subscription_service
        await service.delete_subscriptions(list(service.subscriptions))
        for session in list(server.iserver._external_sessions.values()):
            await session.close_session(True)
        await server.stop()


async def bounded(work: Callable[[], Awaitable[Any]], megabytes: float) -> Any:
    """The result of `work`, which may not leave more than this behind in memory."""
    tracemalloc.start()
    try:
        result = await work()
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < megabytes * 2**20
    return result


def test_any_value_is_a_reading_or_none() -> None:
    assert fuzz_values(2.5, seed=1) > 1000


async def test_a_damaged_link_neither_kills_the_driver_nor_keeps_it_down() -> None:
    sessions, _ = await fuzz_link(2.5, seed=2)
    assert sessions >= 1


@pytest.mark.long
def test_any_value_is_a_reading_or_none_for_long() -> None:
    assert fuzz_values(30, seed=time.time_ns()) > 10_000


@pytest.mark.long
async def test_a_link_damaged_for_long_leaves_no_memory_behind() -> None:
    sessions, _ = await bounded(lambda: fuzz_link(30, seed=3), 60)
    assert sessions > 10
