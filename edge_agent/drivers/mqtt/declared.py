"""What an edge file and a meter model say about devices that publish over MQTT: topics, places in JSON, signs of life. Nothing is opened here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from edge_agent.drivers import declared
from edge_agent.drivers.arrivals import Window
from edge_agent.drivers.declared import Declared, Load, Port, Text, quantity_faults
from edge_agent.drivers.driver import DevicePlan

MAX_TOPIC: Final = 512  # bytes; MQTT allows 65,535
MAX_STEPS: Final = 16


class Row(declared.Row, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One quantity. The value in the quantity's unit is `sign` x number x 10^`scale_exponent`.

    `topic` (the model's where it is missing) with `{topic}` for the device's; `path` leads into its JSON: names and indices with dots
    ("ENERGY.Power.0"), empty where the payload is the value. `values` turns words into numbers.
    """

    topic: Text | None = None
    path: str = ""
    scale_exponent: Annotated[int, Meta(ge=-18, le=18)] = 0
    sign: Literal[1, -1] = 1
    values: dict[str, int] = {}


class Point(declared.Point, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """None can be written yet."""


class Alive(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a device says that it is there, by itself or through its will: a topic, a place in it, and the two words.

    Without words every message on that topic is a sign of life: a clock that ticks.
    """

    topic: Text
    path: str = ""
    online: tuple[str, ...] = ()
    offline: tuple[str, ...] = ()


class Model(declared.Model, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One product or firmware. `time` leads to the instant in the same payload (ISO text, Unix seconds or ms).

    `tell_s`: how often it publishes by default. `retained`: what a retained message without a believable instant is worth: nothing
    ("ignored"), or a value of unknown age ("uncertain"), for devices that publish only what changes.
    """

    row: list[Row]
    point: list[Point] = []
    topic: str = ""
    time: str = ""
    alive: Alive | None = None
    tell_s: Annotated[float, Meta(gt=0, le=86_400)] = 60.0
    retained: Literal["ignored", "uncertain"] = "ignored"


class Device(declared.Device, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A device with its topic, as it stands for `{topic}` in the model. `silent_s`: unreachable after so long without a word (three times
    the model's `tell_s`). `time_zone`: of instants that the device writes without one; without it they are not believed."""

    topic: Text
    silent_s: Annotated[float, Meta(gt=0, le=864_000)] | None = None
    time_zone: str = ""
    row: list[Row] = []


class Bus(declared.Bus, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One broker. Without `ca` the connection is in the clear, which `plain = true` has to say. The password comes from
    WATTLINE_MQTT_DEVICES_PASSWORD (or ..._<name of the bus>), never from the file.

    An instant in a payload is believed up to `max_age_s` before and `max_ahead_s` after our clock.
    """

    host: Text
    port: Port = 1883
    ca: Text | None = None
    certificate: Text | None = None
    key: Text | None = None
    plain: bool = False
    username: Text | None = None
    max_age_s: Annotated[float, Meta(ge=1, le=864_000)] = 60.0
    max_ahead_s: Annotated[float, Meta(ge=0.1, le=86_400)] = 5.0
    timeout_s: Annotated[float, Meta(ge=0.05, le=60)] = 5.0
    device: list[Device]

    @property
    def window(self) -> Window:
        """Which instants in payloads are believed."""
        return Window(round(1000 * self.max_age_s), round(1000 * self.max_ahead_s))


@dataclass(frozen=True, slots=True)
class Item:
    """One value in a topic's payload."""

    quantity: str
    steps: tuple[str, ...]
    exponent: int
    sign: int
    low: float
    high: float
    words: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Sign:
    """Where and how a device says whether it is there."""

    topic: str
    steps: tuple[str, ...]
    online: tuple[str, ...]
    offline: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MqttPlan(DevicePlan):
    """One device: its topics with their values, its sign of life, and when it counts as silent."""

    topics: tuple[tuple[str, tuple[Item, ...]], ...]
    time: tuple[str, ...] = ()
    sign: Sign | None = None
    silent_s: float = 180.0
    time_zone: str = ""
    retained: str = "ignored"

    @property
    def quantities(self) -> tuple[str, ...]:
        return tuple(item.quantity for _, items in self.topics for item in items)


def plan(_bus: object, device: Device, model: Model) -> MqttPlan:
    """The device as the driver listens to it."""
    topics: dict[str, list[Item]] = {}
    for row in (*model.row, *device.row):
        low, high = row.bounds()
        item = Item(row.quantity, steps(row.path), row.scale_exponent, row.sign, low, high, tuple(row.values.items()))
        topics.setdefault(_topic(row.topic or model.topic, device.topic), []).append(item)
    alive = model.alive
    sign = None
    if alive is not None:
        sign = Sign(_topic(alive.topic, device.topic), steps(alive.path), alive.online, alive.offline)
    return MqttPlan(
        device.name,
        tuple((topic, tuple(items)) for topic, items in topics.items()),
        steps(model.time),
        sign,
        device.silent_s or 3 * model.tell_s,
        device.time_zone,
        model.retained,
    )


def steps(path: str) -> tuple[str, ...]:
    """The names and indices of a path; none for an empty one."""
    return tuple(path.split(".")) if path else ()


def _topic(template: str, topic: str) -> str:
    return template.replace("{topic}", topic)


def row_faults(model: Model, rows: Sequence[Row], before: Sequence[Row] = ()) -> Iterator[tuple[int, str, str]]:
    """What is wrong with `rows` behind the rows `before`: (index, key, expected and seen)."""
    yield from quantity_faults(rows, before)
    for index, row in enumerate(rows):
        template = row.topic or model.topic
        if not template or _unusable(template.replace("{topic}", "x")):
            yield index, "topic", f"expected a topic without wildcards, here or in the model, saw {template!r}"
        if len(steps(row.path)) > MAX_STEPS or "" in steps(row.path):
            yield index, "path", f"expected at most {MAX_STEPS} names separated by dots, saw {row.path!r}"
    if not before and model.alive is not None and _unusable(model.alive.topic.replace("{topic}", "x")):
        yield 0, "alive.topic", f"expected a topic without wildcards, saw {model.alive.topic!r}"


def _unusable(topic: str) -> bool:
    return not topic or len(topic.encode()) > MAX_TOPIC or any(sign in topic for sign in "+#\0")


def faults(bus: Bus) -> Iterator[declared.Fault]:
    """What is wrong between the keys of a bus."""
    if bus.ca is None and not bus.plain:
        yield "ca", "ca = ... for TLS, or plain = true", "nothing"
    if bus.ca is not None and bus.plain:
        yield "plain", "either ca or plain = true", "both"
    if (bus.certificate is None) != (bus.key is None):
        yield "certificate", "certificate and key together", "one without the other"
    for index, device in enumerate(bus.device or []):
        if device.topic is not None and _unusable(device.topic):
            yield f"device[{index}].topic", f"1 to {MAX_TOPIC} bytes without + and #", repr(device.topic[:80])
        if device.time_zone:
            try:
                ZoneInfo(device.time_zone)
            except (LookupError, ValueError, OSError):
                yield f"device[{index}].time_zone", "a time zone such as Europe/Berlin", repr(device.time_zone[:80])


def _place(bus: Bus) -> str | None:
    return None if bus.host is None or bus.port is None else f"{bus.host}:{bus.port}"


def load(_bus: object, planned: MqttPlan) -> Load:
    """What is published takes no turn on the bus."""
    shown: Mapping[str, int] = {topic: len(items) for topic, items in planned.topics}
    return Load(0, 0.0, tuple(f"{topic}: {count} values" for topic, count in shown.items()))


DECLARED: Final = Declared(
    family="mqtt",
    bus=Bus,
    device=Device,
    model=Model,
    driver="edge_agent.drivers.mqtt.driver",
    plan=plan,
    model_faults=row_faults,
    place=_place,
    address=lambda device: device.topic,
    load=load,
    faults=faults,
    files=("ca", "certificate", "key"),
)
