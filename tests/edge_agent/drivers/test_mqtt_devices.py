"""Devices that publish over MQTT: payloads as makers print them, published by a plain paho client through mosquitto; wills, retained messages, clocks."""

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edge_agent import meter
from edge_agent.drivers.declared import Manual
from edge_agent.drivers.driver import BusUnreachable, DeviceUnreachable, DriverError, Gateway
from edge_agent.drivers.mqtt import declared, payload
from edge_agent.drivers.mqtt.declared import Alive, Bus, Device, Item, Model, MqttPlan, Row
from edge_agent.drivers.mqtt.driver import MqttDevices
from wire.reading import REASON_CODES, Quality

FRAMES = Path(__file__).parents[2] / "frames"
LIMIT_S = 15.0
MQTT_MODELS = sorted(
    path.stem for path in meter.DIRECTORY.glob("*.toml") if 'protocol = "mqtt"' in path.read_text("utf-8")
)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Publisher:
    """A plain client of paho that publishes and waits for the broker's word."""

    def __init__(self, port: int, will: tuple[str, str] | None = None) -> None:
        self.client = paho.Client(CallbackAPIVersion.VERSION2)
        if will is not None:
            self.client.will_set(*will, qos=1, retain=True)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def send(self, topic: str, text: str | bytes, *, retain: bool = False) -> None:
        self.client.publish(topic, text, qos=1, retain=retain).wait_for_publish(5)

    def vanish(self) -> None:
        """Without a goodbye: the broker tells the will."""
        socket = self.client.socket()
        self.client.loop_stop()
        assert socket is not None
        socket.close()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def bus(port: int, **keys: Any) -> Bus:
    return Bus(
        **{"name": "plugs", "protocol": "mqtt", "host": "127.0.0.1", "port": port, "plain": True, "device": [], **keys}
    )


MODEL = Model(
    maker="a",
    model="b",
    manual=Manual("t", "e"),
    protocol="mqtt",
    topic="{topic}/state",
    time="time",
    alive=Alive(topic="{topic}/lwt", online=("on",), offline=("off",)),
    row=[
        Row(quantity="active_power_kw", path="power", scale_exponent=-3),
        Row(quantity="energy_import_kwh", path="energy.total"),
    ],
)


def plan(model: Model = MODEL, **keys: Any) -> MqttPlan:
    return declared.plan(None, Device(**{"name": "plug", "model": "m", "topic": "plug_1", **keys}), model)


class Reader:
    def __init__(self, driver: MqttDevices, device: MqttPlan) -> None:
        self.driver = driver
        self.device = device
        self.readings: list[Any] = []
        self.blocks: list[Any] = []
        self.faults: list[str] = []
        self.error: DriverError | None = None

    async def until(self, so: Callable[[], object]) -> None:
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            self.error = None
            try:
                answer = await self.driver.read(self.device)
            except DriverError as error:
                self.error = error
            else:
                self.blocks += answer.blocks
                self.readings += [reading for block in answer.blocks for reading in block.readings()]
                self.faults += map(str, answer.faults)
            if so():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"not so within {LIMIT_S} s: {self.readings[-4:]}, {self.faults[-3:]}, {self.error!r}")

    async def listening(self) -> None:
        """Until the broker has taken the subscription: only then is a live message told."""
        await self.until(lambda: self.driver._session is not None and self.driver._session.connected)

    def last(self, quantity: str) -> Any:
        return next((reading for reading in reversed(self.readings) if reading.quantity == quantity), None)


@pytest.fixture
async def driver() -> AsyncIterator[Callable[..., MqttDevices]]:
    made: list[MqttDevices] = []

    def make(port: int, clock: Callable[[], int] = now_ms, **keys: Any) -> MqttDevices:
        made.append(MqttDevices(bus(port, **keys), Gateway(clock)))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def told(
    reader: Reader, publisher: Publisher, topic: str, text: str, quantity: str, *, retain: bool = False
) -> Any:
    """Publishes until the first reading of a quantity is there: a subscription takes a moment to stand."""
    deadline = time.monotonic() + LIMIT_S
    while reader.last(quantity) is None and time.monotonic() < deadline:
        await asyncio.to_thread(publisher.send, topic, text, retain=retain)
        until = time.monotonic() + 0.5
        while reader.last(quantity) is None and time.monotonic() < until:
            await reader.until(lambda: True)
            await asyncio.sleep(0.01)
    return reader.last(quantity)


# ---- what makers print


@pytest.mark.parametrize("name", MQTT_MODELS)
async def test_a_model_reads_what_its_maker_prints(
    name: str, mosquitto: Any, driver: Callable[..., MqttDevices]
) -> None:
    (file,) = (FRAMES / name).glob("*.json")
    frame = json.loads(file.read_text("utf-8"))
    arrived_ms = round(datetime.fromisoformat(frame["at"]).timestamp() * 1000)
    model = meter.load(name)
    assert isinstance(model, declared.Model)
    device = declared.plan(None, Device(name="d", model=name, **frame["device"]), model)
    made = driver(mosquitto.port, lambda: arrived_ms)
    reader = Reader(made, device)
    publisher = Publisher(mosquitto.port)
    await reader.listening()
    expected = frame["expected"]
    deadline = time.monotonic() + LIMIT_S
    while not expected.keys() <= {r.quantity for r in reader.readings} and time.monotonic() < deadline:
        for topic, text, retain in frame["messages"]:
            await asyncio.to_thread(publisher.send, topic, text, retain=retain)
        await reader.until(lambda: True)
    publisher.close()
    seen: dict[str, Any] = {}
    for block in reader.blocks:
        for index, quantity in enumerate(block.shape.quantities):
            seen.setdefault(quantity, (block.columns[index][0], block.shape.exponents[index], block.at_ms[0]))
    at_ms = round(datetime.fromisoformat(frame["at_expected"]).timestamp() * 1000)
    for quantity, exact in expected.items():
        count, exponent, seen_ms = seen[quantity]
        assert (count if exact is None else [count, exponent]) == exact, quantity
        assert abs(seen_ms - at_ms) <= 50, quantity  # repeated publications stand a ms apart


def test_every_model_has_its_payloads() -> None:
    assert len(MQTT_MODELS) >= 7
    assert all(list((FRAMES / name).glob("*.json")) for name in MQTT_MODELS)


async def test_the_tool_of_debian_publishes_for_us(mosquitto: Any, driver: Callable[..., MqttDevices]) -> None:
    program = shutil.which("mosquitto_pub")
    if program is None:
        pytest.skip("peer mosquitto_pub is missing")
    reader = Reader(driver(mosquitto.port), plan())
    await reader.listening()
    text = '{"power": 1500.50, "energy": {"total": 12.340}}'
    command = [program, "-p", str(mosquitto.port), "-t", "plug_1/state", "-m", text, "-q", "1"]
    deadline = time.monotonic() + LIMIT_S
    while not reader.readings and time.monotonic() < deadline:
        await asyncio.to_thread(subprocess.run, command, check=True, timeout=10)
        await reader.until(lambda: True)
    (block, *_) = reader.blocks
    assert block.columns == ((150050,), (12340,))
    assert block.shape.exponents == (-5, -3)


# ---- signs of life


async def test_a_will_makes_a_device_unreachable_and_its_next_word_brings_it_back(
    mosquitto: Any, driver: Callable[..., MqttDevices]
) -> None:
    reader = Reader(driver(mosquitto.port), plan())
    device = Publisher(mosquitto.port, ("plug_1/lwt", "off"))
    await told(reader, device, "plug_1/state", '{"power": 5}', "active_power_kw")
    device.vanish()
    await reader.until(lambda: isinstance(reader.error, DeviceUnreachable))
    assert "plug_1/lwt" in str(reader.error)
    assert not isinstance(reader.error, BusUnreachable)
    again = Publisher(mosquitto.port, ("plug_1/lwt", "off"))
    again.send("plug_1/lwt", "on", retain=True)
    await reader.until(lambda: reader.error is None)
    again.send("plug_1/state", '{"power": 7}')
    await reader.until(lambda: reader.last("active_power_kw").value == 0.007)
    again.close()


async def test_a_device_that_says_nothing_for_long_is_unreachable_and_delays_no_other(
    mosquitto: Any, driver: Callable[..., MqttDevices]
) -> None:
    made = driver(mosquitto.port)
    quiet = Reader(made, plan(name="quiet", topic="quiet", silent_s=0.3))
    busy = Reader(made, plan())
    publisher = Publisher(mosquitto.port)
    await quiet.until(lambda: isinstance(quiet.error, DeviceUnreachable))
    assert "within 0.3 s" in str(quiet.error)
    assert (await told(busy, publisher, "plug_1/state", '{"power": 5}', "active_power_kw")).value == 0.005
    publisher.close()


async def test_a_broker_that_is_not_there_is_a_bus_that_cannot_be_reached(driver: Callable[..., MqttDevices]) -> None:
    made = driver(9, timeout_s=0.2)
    with pytest.raises(BusUnreachable, match=r"127\.0\.0\.1:9"):
        await made.read(plan())
    reader = Reader(made, plan())
    await reader.until(lambda: "127.0.0.1:9: the broker cannot be reached" in str(reader.error))


async def test_after_a_restart_of_the_broker_it_goes_on(mosquitto: Any, driver: Callable[..., MqttDevices]) -> None:
    reader = Reader(driver(mosquitto.port), plan())
    publisher = Publisher(mosquitto.port)
    await told(reader, publisher, "plug_1/state", '{"power": 5}', "active_power_kw")
    publisher.close()
    mosquitto.kill()
    await reader.until(lambda: isinstance(reader.error, BusUnreachable))
    mosquitto.start()
    reader.readings.clear()
    again = Publisher(mosquitto.port)
    assert (await told(reader, again, "plug_1/state", '{"power": 6}', "active_power_kw")).value == 0.006
    again.close()


# ---- retained messages and clocks


async def test_a_retained_message_of_unknown_age_is_no_reading(
    mosquitto: Any, driver: Callable[..., MqttDevices]
) -> None:
    publisher = Publisher(mosquitto.port)
    publisher.send("plug_1/state", '{"power": 99}', retain=True)
    reader = Reader(driver(mosquitto.port), plan())
    assert (await told(reader, publisher, "plug_1/state", '{"power": 5}', "active_power_kw")).value == 0.005
    assert 0.099 not in [reading.value for reading in reader.readings]
    publisher.close()


async def test_a_retained_message_with_a_fresh_instant_is_a_reading_once(
    mosquitto: Any, driver: Callable[..., MqttDevices]
) -> None:
    publisher = Publisher(mosquitto.port)
    stamp = now_ms() - 2000
    publisher.send("plug_1/state", json.dumps({"power": 42, "time": stamp}), retain=True)
    reader = Reader(driver(mosquitto.port), plan())
    await reader.until(lambda: reader.readings)
    publisher.send("plug_1/state", json.dumps({"power": 42, "time": stamp}))  # the same once more
    publisher.send("plug_1/state", json.dumps({"power": 43, "time": stamp + 1000}))
    await reader.until(lambda: reader.last("active_power_kw").value == 0.043)
    assert [(r.value, r.at_ms, r.quality) for r in reader.readings] == [
        (0.042, stamp, Quality.GOOD),
        (0.043, stamp + 1000, Quality.GOOD),
    ]
    publisher.close()


async def test_retained_values_of_a_device_that_tells_only_changes_are_uncertain(
    mosquitto: Any, driver: Callable[..., MqttDevices]
) -> None:
    publisher = Publisher(mosquitto.port)
    publisher.send("plug_1/state", '{"power": 99}', retain=True)
    reader = Reader(driver(mosquitto.port), plan(msgspec.structs.replace(MODEL, retained="uncertain")))
    await reader.until(lambda: reader.readings)
    assert (reader.last("active_power_kw").value, reader.last("active_power_kw").reason) == (0.099, "frozen")
    publisher.close()


@pytest.mark.parametrize("seconds", [-100_000, 100_000])
async def test_an_instant_that_cannot_be_true_is_replaced_by_ours(
    mosquitto: Any, driver: Callable[..., MqttDevices], seconds: int
) -> None:
    reader = Reader(driver(mosquitto.port), plan())
    publisher = Publisher(mosquitto.port)
    text = json.dumps({"power": 5, "time": now_ms() // 1000 + seconds})
    reading = await told(reader, publisher, "plug_1/state", text, "active_power_kw")
    assert abs(reading.at_ms - now_ms()) < 10_000
    assert (reading.quality, reading.reason) == (Quality.UNCERTAIN, "clock")
    publisher.close()


# ---- what nobody expected


@pytest.mark.parametrize(
    "text", ["", "{", '{"power": ', "[" * 100_000, "\x00", "nonsense", '{"energy": 5}', "null", "[]", b"\xff\xfe"]
)
async def test_a_payload_that_says_nothing_is_a_fault_and_no_reading(
    mosquitto: Any, driver: Callable[..., MqttDevices], text: str | bytes
) -> None:
    reader = Reader(driver(mosquitto.port), plan())
    publisher = Publisher(mosquitto.port)
    await told(reader, publisher, "plug_1/state", '{"power": 5}', "active_power_kw")
    count = len(reader.readings)
    publisher.send("plug_1/state", text)
    await reader.until(lambda: reader.faults)
    assert "plug_1/state" in reader.faults[0]
    assert len(reader.faults[0]) < 300
    assert len(reader.readings) == count
    publisher.close()


async def test_a_flood_is_bounded_and_said(mosquitto: Any, driver: Callable[..., MqttDevices]) -> None:
    made = driver(mosquitto.port)
    reader = Reader(made, plan())
    await reader.listening()
    for number in range(30_000):  # as paho's thread calls it, with the loop standing still
        made._arrived("plug_1/state", b'{"power": %d}' % number, retained=False)
    assert len(made._waiting) <= 5_000
    await reader.until(lambda: reader.last("active_power_kw") is not None)
    assert reader.last("active_power_kw").value == 29.999
    assert any("faster than they could be taken" in fault for fault in reader.faults)


def item(**keys: Any) -> Item:
    return Item(
        **{"quantity": "active_power_kw", "steps": (), "exponent": 0, "sign": 1, "low": -2e6, "high": 2e6, **keys}
    )


@pytest.mark.parametrize(
    ("text", "exponent", "expected"),
    [
        ("12.340", 0, (12340, -3)),
        ("12", 0, (12, 0)),
        ("1.5e3", 0, (1500, 0)),
        ("1e-3", 0, (1, -3)),
        ("0.1", -3, (1, -4)),
        ("5", 2, (500, 0)),
        ("-0.07", 0, (-7, -2)),
        ("0.0000000000000001", 0, (0, -12)),
        ("0e99", 0, (0, 0)),
    ],
)
def test_a_decimal_keeps_the_digits_of_its_text(text: str, exponent: int, expected: tuple[int, int]) -> None:
    for tree in (payload.parsed(text.encode()), payload.parsed(b'{"a": %s}' % text.encode())["a"]):
        count, power, quality = payload.value_of(item(exponent=exponent), tree, 0)
        assert ((count, power), quality) == (expected, (0, 0))


def test_a_value_keeps_the_shape_that_it_once_had() -> None:
    assert payload.value_of(item(), Decimal(12), -1)[:2] == (120, -1)


@pytest.mark.parametrize(
    "raw", [None, "abc", "1 kW", [], {}, "9" * 60, Decimal("NaN"), Decimal("Infinity"), "0x10", "1_000", "١٢"]
)
def test_what_is_no_number_is_no_value(raw: Any) -> None:
    value, _, (quality, reason) = payload.value_of(item(), raw, 0)
    assert (value, quality) == (None, Quality.BAD)
    assert reason in (REASON_CODES["not-implemented"], REASON_CODES["out-of-range"])


def test_words_and_switches_become_numbers() -> None:
    assert payload.value_of(item(words=(("ON", 1), ("OFF", 0))), "ON", 0)[0] == 1
    assert payload.value_of(item(), True, 0)[0] == 1
    assert payload.value_of(item(), 3_000_000, 0)[2] == (Quality.BAD, REASON_CODES["out-of-range"])


def test_instants_are_read_with_their_zone_or_not_at_all() -> None:
    noon = 1_709_640_000_000  # 2024-03-05T12:00:00Z
    assert payload.instant_ms("2024-03-05T12:00:00Z", "") == noon
    assert payload.instant_ms("2024-03-05T20:00:00+08:00", "") == noon
    assert payload.instant_ms("2024-03-05T13:00:00", "Europe/Berlin") == noon
    assert payload.instant_ms("2024-03-05T13:00:00", "") is None
    assert payload.instant_ms(noon // 1000, "") == noon
    assert payload.instant_ms(noon, "") == noon
    assert payload.instant_ms(Decimal("1709640000.5"), "") == noon + 500
    for strange in (None, True, -1, 10**18, "yesterday", [], {}, "9" * 100):
        assert payload.instant_ms(strange, "UTC") is None


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({"plain": False}, "ca"),
        ({"ca": "a.pem"}, "plain"),
        ({"certificate": "a"}, "certificate"),
        ({"device": [{"name": "d", "model": "m", "topic": "a/#"}]}, "device[0].topic"),
        ({"device": [{"name": "d", "model": "m", "topic": "a", "time_zone": "Mars/Olympus"}]}, "device[0].time_zone"),
    ],
)
def test_keys_of_a_bus_that_do_not_go_together_are_named(keys: dict[str, Any], key: str) -> None:
    base = {"name": "b", "protocol": "mqtt", "host": "h", "plain": True, "device": []}
    assert [fault[0] for fault in declared.faults(msgspec.convert({**base, **keys}, Bus))] == [key]


@pytest.mark.parametrize(
    ("row", "key"),
    [
        ({"quantity": "voltage_v", "topic": "a/+"}, "topic"),
        ({"quantity": "voltage_v", "path": "a..b"}, "path"),
        ({"quantity": "volts"}, "quantity"),
    ],
)
def test_rows_that_cannot_be_are_named(row: dict[str, Any], key: str) -> None:
    assert [fault[1] for fault in declared.row_faults(MODEL, [msgspec.convert(row, Row)], MODEL.row)] == [key]
