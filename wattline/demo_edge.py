"""An edge file for simulated devices: the buses and devices as the simulator has listed them, in the words of each protocol. Nothing is started."""

import json
import socket
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

Listed = Mapping[str, Any]  # a device's line of the simulator's `ready`

# What the simulator calls a kind of device -> the agent's meter model, where the two names differ. The maps behind them are written
# twice, from the manuals: that is what makes the simulator a judge of the agent.
MODELS: Final = {
    "sunspec_pv": "sunspec_103",
    "sunspec_battery": "sunspec_802",
    "sunspec_pv_single_phase": "sunspec",
    "sunspec_pv_split_phase": "sunspec",
    "sunspec_pv_float": "sunspec",
    "sunspec_der_pv": "sunspec",
    "sunspec_der_battery": "sunspec",
    "sunspec_dc_bus": "sunspec",
    "sunspec_meter": "sunspec",
    "sunspec_meter_float": "sunspec",
    "opcua_ecm_meter": "opc34100_energy_e3",
    "tasmota_plug": "tasmota_energy",
    "zigbee_plug": "zigbee2mqtt_plug",
    "ocpp16_pile": "ocpp_ac_pile",
    "ocpp201_pile": "ocpp_ac_pile",
    "ocpp21_pile": "ocpp_v2g_pile",
}
_PORTS: Final[dict[tuple[str, str], int]] = {}  # what piles of (plant, bus) call
# Simulated lines have no character times; what the edge file says of them keeps the bus-time sums below 100 %.
BAUD: Final = 115_200
TURNAROUND_MS: Final = 5
# In life a flat's meter is read every quarter of an hour; here often enough that a minute shows something.
LEAST_POLL_S: Final = {"dlt645": 30.0, "cjt188": 15.0, "mbus": 15.0, "bacnet_ip": 5.0, "modbus_rtu": 5.0}


# What of a kind may be steered: point, lowest and highest value.
_LIMIT: Final = ("active_power_limit_percent", 0, 100)
_POWER: Final = ("active_power_setpoint_kw", -1000, 1000)
ALLOWED: Final[Mapping[str, tuple[str, int, int]]] = {
    "sunspec_pv": _LIMIT,
    "sunspec_der_pv": _LIMIT,
    "sunspec_battery": _POWER,
    "sunspec_der_battery": _POWER,
    "sunspec_dc_bus": _POWER,
}


def bus_lines(
    name: str,
    devices: Sequence[Listed],
    poll_s: float,
    broker: tuple[str, int] | None = None,
    keys: Mapping[str, object] = MappingProxyType({}),
    steered: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> list[str]:
    """One [[bus]] with its devices. `broker`: where MQTT devices publish, if there are any. `keys` of the bus stand instead of its own.

    `steered`: what else is said of a device, by name, in place of what its kind lets be steered.
    """
    protocol = devices[0]["protocol"]
    lines = ["", "[[bus]]", f'name = "{name}"', f'protocol = "{protocol}"']
    if protocol == "mqtt" and broker is not None:
        lines += [f'host = "{broker[0]}"', f"port = {broker[1]}", "plain = true"]
    else:
        lines += [line for line in _WAYS[protocol](devices[0]) if line.split(" = ")[0] not in keys]
    lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    for device in devices:
        model = MODELS.get(device["kind"], device["kind"])
        period_s = max(poll_s, LEAST_POLL_S.get(protocol, 0.0))
        lines += [
            "[[bus.device]]",
            f'name = "{device["device"]}"',
            f'model = "{model}"',
            f"period_s = {period_s:g}",
            *_ADDRESSES[protocol](device),
            *(steered.get(device["device"]) or _allow(device["kind"])),
        ]
    return lines


def gateway_lines(edge: str, poll_s: float) -> list[str]:
    """The gateway itself as a device of its edge, ten times as seldom as the others. No simulator knows of it, so nobody judges it."""
    return [
        "",
        "[[bus]]",
        'name = "itself"',
        'protocol = "host"',
        "[[bus.device]]",
        f'name = "{edge}"',
        'model = "gateway"',
        f"period_s = {10 * max(poll_s, 1.0):g}",
    ]


def _allow(kind: str) -> list[str]:
    if kind not in ALLOWED:
        return []
    point, low, high = ALLOWED[kind]
    return ["[[bus.device.allow]]", f'point = "{point}"', f"low = {low}", f"high = {high}"]


def _tcp(device: Listed) -> list[str]:
    return [f"host = {json.dumps(device['host'])}", f"port = {device['port']}"]


def _serial(device: Listed) -> list[str]:
    way = [f"serial = {json.dumps(device['serial'])}"] if "serial" in device else _tcp(device)
    # Long enough for a machine that starts everything at once: an answer that nobody waits for any more would count as lost.
    return [*way, f"baud = {BAUD}", f"turnaround_ms = {TURNAROUND_MS}", "timeout_s = 5"]


def _rows(rows: Sequence[Mapping[str, object]]) -> list[str]:
    lines: list[str] = []
    for row in rows:
        lines += ["[[bus.device.row]]", *(f"{key} = {json.dumps(value)}" for key, value in row.items())]
    return lines


def _unit(device: Listed) -> list[str]:
    serials = [
        {"quantity": f"answer_serial_{number}", "address": address, "type": "uint32"}
        for number, address in enumerate(device["serial_addresses"], start=1)
    ]
    return [f"unit = {device['unit']}", *_rows(serials)]


def _dlt645(device: Listed) -> list[str]:
    row = {"quantity": "answer_serial_1", "identifier": device["serial_identifier"], "format": "XXXXXXXX"}
    return [f'address = "{device["address"]}"', *_rows([row])]


def _cjt188(device: Listed) -> list[str]:
    row = {"quantity": "answer_serial_1", "offset": device["serial_offset"], "format": "XXXXXXXX"}
    return [f'address = "{device["address"]}"', *_rows([row])]


def _bacnet(device: Listed) -> list[str]:
    port = device["ports"][device["device"]]
    row = {"quantity": "answer_serial_1", "object": device["serial_object"]}
    return [f"instance = {device['instance']}", f'host = "{device["host"]}"', f"port = {port}", *_rows([row])]


def _mbus(device: Listed) -> list[str]:
    return [f'secondary = "{device["secondary"]}"', *_rows([device["serial_row"]])]


def _central_system(device: Listed) -> list[str]:
    host, port = piles_call(device)
    return [f'host = "{host}"', f"port = {port}", "security_profile = 0", 'accept = "all"', "sample_s = 10"]


def piles_call(device: Listed) -> tuple[str, int]:
    """Where the agent waits for the piles of a bus: a port of this machine that is free now, the same for all who ask."""
    place = (device["plant"], device["bus"])
    if place not in _PORTS:
        with socket.socket() as chosen:
            chosen.bind(("127.0.0.1", 0))
            _PORTS[place] = chosen.getsockname()[1]
    return "127.0.0.1", _PORTS[place]


def _opcua(device: Listed) -> list[str]:
    row = {"quantity": "answer_serial_1", "path": device["serial_variable"]}
    return [f"root = {json.dumps(device['root'])}", *_rows([row])]


def _mqtt(device: Listed) -> list[str]:
    row = {"quantity": "answer_serial_1", "topic": device["serial_topic"], "path": device["serial_path"]}
    return [f'topic = "{device["topic"]}"', 'time_zone = "UTC"', *_rows([row])]


_WAYS: Final[dict[str, Callable[[Listed], list[str]]]] = {
    "modbus_tcp": _tcp,
    "modbus_rtu": _serial,
    "dlt645": _serial,
    "cjt188": _serial,
    "bacnet_ip": lambda device: [f'interface = "{device["host"]}"', "port = 0"],
    "opcua": lambda device: [f'url = "{device["url"]}"'],
    "mbus": _serial,
    "ocpp": _central_system,
}
_ADDRESSES: Final[dict[str, Callable[[Listed], list[str]]]] = {
    "modbus_tcp": _unit,
    "modbus_rtu": _unit,
    "dlt645": _dlt645,
    "cjt188": _cjt188,
    "bacnet_ip": _bacnet,
    "opcua": _opcua,
    "mbus": _mbus,
    "ocpp": lambda device: [f'identity = "{device["identity"]}"'],
    "mqtt": _mqtt,
}
