"""What simulated MQTT devices publish: topics and payloads as the makers document them. Not when, nor over which connection.

Written from the makers' pages a second time (Tasmota "MQTT", Shelly API docs EM, EMData and Mqtt, Zigbee2MQTT TS011F_plug_1, OpenDTU "MQTT
topics", go-eCharger API v2), never from the models that read them.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from device_sim.device import Device
from device_sim.electrical import View
from device_sim.profile import UJ_PER_KWH, UJ_PER_WH

Image = dict[str, Any]


class Message(NamedTuple):
    """One publication."""

    topic: str
    payload: str
    retain: bool = False


class Will(NamedTuple):
    """What a device says when it comes, and its broker when it has gone."""

    topic: str
    online: str
    offline: str


@dataclass(frozen=True, slots=True)
class MqttKind:
    """One device model. `write(image, topic, serial, at_ms)` gives its publications of one turn."""

    name: str
    draw: Callable[[View], Image]
    write: Callable[[Image, str, int, int], list[Message]]
    will: Callable[[str], Will | None]
    prefix: str = ""
    family: str = "mqtt"
    modulus_uj: int = 1_000_000_000 * UJ_PER_KWH
    options: frozenset[str] = frozenset({"topic"})

    def image(self, view: View) -> Image:
        """The figures of this instant."""
        return self.draw(view)

    def topic(self, device: Device) -> str:
        """The device's topic as an edge file names it."""
        return str(device.options.get("topic", f"{self.prefix}{device.name}"))

    def listed(self, device: Device) -> Mapping[str, Any]:
        """The topic, and where the answer serial is published."""
        topic, path = SERIALS[self.name]
        return {"topic": self.topic(device), "serial_topic": topic, "serial_path": path}


def _figures(view: View) -> Image:
    m, c = view.measured, view.counters
    return {
        "active_w": m.active_w,
        "total_w": m.total_active_w,
        "total_va": m.total_apparent_va,
        "total_var": m.total_reactive_var,
        "apparent_va": m.apparent_va,
        "voltage_v": m.voltage_v,
        "current_a": m.current_a,
        "neutral_a": m.neutral_current_a,
        "factor": m.power_factor,
        "total_factor": m.total_power_factor,
        "hz": m.frequency_hz,
        "import_uj": c.import_uj,
        "export_uj": c.export_uj,
    }


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _single_a(figures: Image) -> float:
    return float(round(figures["total_va"] / figures["voltage_v"][0], 3))


def _tasmota(f: Image, topic: str, serial: int, at_ms: int) -> list[Message]:
    when = datetime.fromtimestamp(at_ms / 1000, UTC).replace(tzinfo=None).isoformat(timespec="seconds")
    energy = {
        "TotalStartTime": "2024-01-01T00:00:00",
        "Total": round(f["import_uj"] / UJ_PER_KWH, 3),
        "Yesterday": 0.0,
        "Today": 0.0,
        "Period": 0,
        "Power": round(f["total_w"]),
        "ApparentPower": round(f["total_va"]),
        "ReactivePower": round(f["total_var"]),
        "Factor": round(abs(f["total_factor"]), 2),
        "Voltage": round(f["voltage_v"][0]),
        "Current": _single_a(f),
    }
    return [Message(f"tele/{topic}/SENSOR", _text({"Time": when, "ENERGY": energy, "AnswerSerial": serial}))]


def _shelly_pro_3em(f: Image, topic: str, serial: int, _at_ms: int) -> list[Message]:
    em: Image = {"id": 0}
    data: Image = {"id": 0}
    for n, phase in enumerate("abc"):
        em |= {
            f"{phase}_current": round(f["current_a"][n], 3),
            f"{phase}_voltage": round(f["voltage_v"][n], 1),
            f"{phase}_act_power": round(f["active_w"][n], 1),
            f"{phase}_aprt_power": round(f["apparent_va"][n], 1),
            f"{phase}_pf": round(abs(f["factor"][n]), 2),
            f"{phase}_freq": round(f["hz"], 1),
        }
        data |= {
            f"{phase}_total_act_energy": round(f["import_uj"] * (34, 33, 33)[n] / 100 / UJ_PER_WH, 2),
            f"{phase}_total_act_ret_energy": round(f["export_uj"] * (34, 33, 33)[n] / 100 / UJ_PER_WH, 2),
        }
    em |= {
        "n_current": round(f["neutral_a"], 3),
        "total_current": round(sum(f["current_a"]), 3),
        "total_act_power": round(f["total_w"], 3),
        "total_aprt_power": round(f["total_va"], 3),
        "user_calibrated_phase": [],
    }
    data |= {
        "total_act": round(f["import_uj"] / UJ_PER_WH, 2),
        "total_act_ret": round(f["export_uj"] / UJ_PER_WH, 2),
    }
    return [
        Message(f"{topic}/status/em:0", _text(em)),
        Message(f"{topic}/status/emdata:0", _text({**data, "answer_serial": serial})),
    ]


def _zigbee_plug(f: Image, topic: str, serial: int, at_ms: int) -> list[Message]:
    seen = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    state = {
        "current": round(_single_a(f), 2),
        "energy": round(f["import_uj"] / UJ_PER_KWH, 2),
        "last_seen": seen,
        "linkquality": 120,
        "power": round(f["total_w"]),
        "state": "ON" if abs(f["total_w"]) >= 1 else "OFF",
        "voltage": round(f["voltage_v"][0]),
        "answer_serial": serial,
    }
    return [Message(topic, _text(state), retain=True)]


def _opendtu(f: Image, topic: str, serial: int, at_ms: int) -> list[Message]:
    plain = {
        "0/power": f"{-f['total_w']:.1f}",
        "0/reactivepower": f"{f['total_var']:.1f}",
        "0/yieldtotal": f"{f['export_uj'] / UJ_PER_KWH:.3f}",
        "0/voltage": f"{f['voltage_v'][0]:.1f}",
        "0/current": f"{_single_a(f):.2f}",
        "0/frequency": f"{f['hz']:.2f}",
        "0/powerfactor": f"{abs(f['total_factor']):.3f}",
        "0/powerdc": f"{-f['total_w'] / 0.95:.1f}",
        "0/temperature": "31.4",
        "status/last_update": f"{at_ms // 1000}",
        "answer_serial": f"{serial}",
    }
    return [Message(f"{topic}/{key}", value) for key, value in plain.items()]


def _goe(f: Image, topic: str, serial: int, at_ms: int) -> list[Message]:
    volts, amperes, watts = ([round(x, 2) for x in f[key]] for key in ("voltage_v", "current_a", "active_w"))
    charging = f["total_w"] >= 1
    nrg = [*volts, 0, *amperes, *watts, 0, round(f["total_w"], 2), *(round(x, 2) for x in f["factor"]), 0]
    values = {
        "car": 2 if charging else 1,
        "nrg": nrg,
        "eto": f["import_uj"] // UJ_PER_WH,
        "answer_serial": serial,
        "rbt": at_ms % (1 << 31),
    }
    return [Message(f"{topic}/{key}", _text(value), retain=key != "answer_serial") for key, value in values.items()]


KINDS: Final[dict[str, MqttKind]] = {
    kind.name: kind
    for kind in (
        MqttKind("tasmota_plug", _figures, _tasmota, lambda t: Will(f"tele/{t}/LWT", "Online", "Offline")),
        MqttKind("shelly_pro_3em", _figures, _shelly_pro_3em, lambda t: Will(f"{t}/online", "true", "false")),
        MqttKind(
            "zigbee_plug",
            _figures,
            _zigbee_plug,
            lambda t: Will(f"{t}/availability", '{"state":"online"}', '{"state":"offline"}'),
            "zigbee2mqtt/",
        ),
        MqttKind("opendtu_inverter", _figures, _opendtu, lambda t: Will(f"{t}/status/reachable", "1", "0"), "solar/"),
        MqttKind("goe_charger", _figures, _goe, lambda _t: None, "go-eCharger/"),
    )
}
# Where a reader finds the answer serial of a kind: topic and place in its JSON.
SERIALS: Final[dict[str, tuple[str, str]]] = {
    "tasmota_plug": ("tele/{topic}/SENSOR", "AnswerSerial"),
    "shelly_pro_3em": ("{topic}/status/emdata:0", "answer_serial"),
    "zigbee_plug": ("{topic}", "answer_serial"),
    "opendtu_inverter": ("{topic}/answer_serial", ""),
    "goe_charger": ("{topic}/answer_serial", ""),
}
