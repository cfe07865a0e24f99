"""The control interface: JSON lines over loopback TCP that put faults in force and tell the truth. Not reachable from other machines.

{"device": "incomer", "fault": "silence", "for_s": 5}     {"device": "incomer", "clear": "all"}
{"show": "plants"}                                        {"set": {"plant": "works", "load_kw": 300, "for_s": 60}}
{"bus": "piles", "plant": "works", ...}                   what only that bus's protocol understands
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_DOWN, Decimal, localcontext
from typing import Any, Final

from device_sim.bus import Bus
from device_sim.device import Device
from device_sim.faults import Fault, FaultKind
from device_sim.plant import Node, Plant
from device_sim.profile import UJ_PER_KWH

_LONGEST_LINE: Final = 64 * 1024
_IDLE_S: Final = 600.0
_AT_ONCE: Final = ("rollover", "reset")
_MAX_DURATION_S: Final = 1e9


class ControlFault(ValueError):
    """A request that cannot be carried out: what was expected and what was seen."""


class ControlServer:
    """Listens on 127.0.0.1 (port 0: the system chooses). Each line is one request and gets one line: {"ok": true, ...} or {"ok": false, "error"}."""

    def __init__(
        self,
        plants: Sequence[tuple[Plant, Sequence[Device]]],
        clock: Callable[[], int],
        port: int = 0,
        buses: Mapping[tuple[str, str], Bus] | None = None,
    ) -> None:
        self._plants = plants
        self._buses = {} if buses is None else buses  # those of a site that is being opened are still to come
        self._clock = clock
        self.port = port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> "ControlServer":
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port, limit=_LONGEST_LINE)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                async with asyncio.timeout(_IDLE_S):
                    line = await reader.readline()
                if not line:
                    return
                writer.write(json.dumps(self.answer(line)).encode() + b"\n")
                async with asyncio.timeout(_IDLE_S):
                    await writer.drain()
        except (OSError, TimeoutError, ValueError):  # readline gives ValueError for a line beyond the limit
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def answer(self, line: bytes | str) -> dict[str, Any]:
        """Carries out one request and gives its answer."""
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise ControlFault(f"request: expected a JSON object, got {type(request).__name__}")
            return {"ok": True, **self._carry_out(request)}
        except ControlFault as error:
            return {"ok": False, "error": str(error)}
        except ValueError as error:  # not JSON, or not UTF-8
            return {"ok": False, "error": f"request: expected one JSON object on a line, got {error}"}

    def _carry_out(self, request: dict[str, Any]) -> dict[str, Any]:
        now = self._clock()
        for plant, _ in self._plants:
            plant.advance(now)
        if "bus" in request:
            return self._ask_bus(dict(request))
        if "show" in request:
            _only(request, {"show"})
            if request["show"] != "plants":
                raise ControlFault(f"show: expected 'plants', got {request['show']!r}")
            return {
                "at_ms": now,
                "plants": {plant.name: _truth(plant, devices, now) for plant, devices in self._plants},
            }
        if "set" in request:
            _only(request, {"set"})
            return self._set(request["set"], now)
        device = self._device(request)
        if "clear" in request:
            _only(request, {"device", "plant", "clear"})
            return _clear(device, request["clear"])
        _only(request, {"device", "plant", "fault", "for_s", "delay_s", "code", "below_kwh", "clock_s"})
        return _begin(device, request, now)

    def _set(self, wanted: object, now: int) -> dict[str, Any]:
        if not isinstance(wanted, dict):
            raise ControlFault(f"set: expected an object with plant and load_kw, got {wanted!r}")
        _only(wanted, {"plant", "load_kw", "for_s"})
        plant = next((plant for plant, _ in self._plants if plant.name == wanted.get("plant")), None)
        if plant is None:
            raise ControlFault(
                f"set.plant: expected one of {[plant.name for plant, _ in self._plants]}, got {wanted.get('plant')!r}"
            )
        load_kw = None if wanted.get("load_kw") is None else _number(wanted, "load_kw", 0, 1e6)
        plant.override_load(load_kw, _until(wanted, now))
        return {}

    def _ask_bus(self, request: dict[str, Any]) -> dict[str, Any]:
        name, plant = request.pop("bus"), request.pop("plant", None)
        found = [bus for (where, bus_name), bus in self._buses.items() if bus_name == name and plant in (None, where)]
        if len(found) != 1:
            known = [f"{where}/{bus_name}" for where, bus_name in self._buses]
            raise ControlFault(f"bus: expected one of {known}, got {name!r}")
        try:
            return dict(found[0].control(request))
        except ValueError as error:
            raise ControlFault(str(error)) from error

    def _device(self, request: dict[str, Any]) -> Device:
        name, plant_name = request.get("device"), request.get("plant")
        found = [
            device
            for plant, devices in self._plants
            for device in devices
            if device.name == name and (plant_name is None or plant.name == plant_name)
        ]
        if len(found) == 1:
            return found[0]
        known = [f"{plant.name}/{device.name}" for plant, devices in self._plants for device in devices]
        if found:
            raise ControlFault(
                f"plant: expected the plant of {name!r}, since several have it ({known}), got {plant_name!r}"
            )
        raise ControlFault(f"device: expected one of {known}, got {name!r}")


def _only(request: dict[str, Any], keys: set[str]) -> None:
    unknown = sorted(request.keys() - keys)
    if unknown:
        raise ControlFault(f"request: expected keys of {sorted(keys)}, got {unknown}")


def _number(request: dict[str, Any], key: str, low: float, high: float) -> float:
    value = request[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ControlFault(f"{key}: expected a number from {low:g} to {high:g}, got {value!r}")
    return float(value)


def _until(request: dict[str, Any], now: int) -> int | None:
    """`for_s` counts on the plant's clock; without it a fault stays until it is cleared."""
    if request.get("for_s") is None:
        return None
    return now + round(1000 * _number(request, "for_s", 0, _MAX_DURATION_S))


def _begin(device: Device, request: dict[str, Any], now: int) -> dict[str, Any]:
    name = request.get("fault")
    if name == "reset":
        device.reset_counters()
    elif name == "rollover":
        below_kwh = _number({"below_kwh": request.get("below_kwh", 1)}, "below_kwh", 0.001, 1e9)
        device.approach_rollover(min(device.modulus_uj, round(below_kwh * UJ_PER_KWH)))
    elif name in tuple(FaultKind):
        delay_s = _number({"delay_s": request.get("delay_s", 1)}, "delay_s", 0, 3600)
        code = round(_number({"code": request.get("code", 4)}, "code", 1, 11))
        clock_s = _number({"clock_s": request.get("clock_s", 3600)}, "clock_s", -_MAX_DURATION_S, _MAX_DURATION_S)
        if name == FaultKind.REBOOT and request.get("for_s") is None:
            raise ControlFault("for_s: expected how long the device is silent while it reboots, got nothing")
        device.begin(Fault(FaultKind(name), _until(request, now), delay_s, code, clock_s), now)
    else:
        raise ControlFault(f"fault: expected one of {[*map(str, FaultKind), *_AT_ONCE]}, got {name!r}")
    return {}


def _clear(device: Device, kind: object) -> dict[str, Any]:
    if kind == "all":
        device.faults.clear()
    elif isinstance(kind, str) and kind in tuple(FaultKind):
        device.faults.clear(FaultKind(kind))
    else:
        raise ControlFault(f"clear: expected 'all' or one of {list(map(str, FaultKind))}, got {kind!r}")
    return {}


def kwh_text(energy_uj: int) -> str:
    """uJ as decimal kWh, exact where 12 decimals suffice (whole Wh, rows of a CSV), else rounded down."""
    with localcontext(prec=50):  # the modulus of a 64-bit counter has 29 digits
        value = (Decimal(energy_uj) / UJ_PER_KWH).quantize(Decimal("1e-12"), ROUND_DOWN)
        return f"{value.normalize():f}"


def _truth(plant: Plant, devices: Sequence[Device], now: int) -> dict[str, Any]:
    curtailment, battery = plant.curtailment, plant.battery
    truth: dict[str, Any] = {
        "at_ms": plant.now_ms,
        "started_at_ms": plant.started_ms,
        "active_power_kw": {node.value: plant.flow(node).active_mw / 1e6 for node in Node},
        "energy": {
            node.value: {
                "import_kwh": kwh_text(tally.import_uj),
                "export_kwh": kwh_text(tally.export_uj),
                "import_uj": tally.import_uj,
                "export_uj": tally.export_uj,
            }
            for node, tally in plant.tallies.items()
        },
        "streams": {
            carrier.value: {
                "volume_nl": stream.volume_nl,
                "energy_kwh": kwh_text(stream.energy_uj),
                "energy_uj": stream.energy_uj,
                "power_kw": stream.power_mw / 1e6,
                "flow_ul_per_s": stream.passing().flow_ul_per_s,
                "supply_degc": stream.passing().supply_millidegc / 1000,
                "return_degc": stream.passing().back_millidegc / 1000,
            }
            for carrier, stream in plant.streams.items()
        },
        "pv_limit_percent": curtailment.limit / 100 if curtailment.limited else None,
        "pv_connected": curtailment.connected,
        "devices": {device.name: _shown(device, now) for device in devices},
    }
    if battery is not None:
        truth["state_of_charge_percent"] = battery.state_of_charge_percent
        truth["battery_window"] = {
            "charge_percent": battery.window.in_rate / 100 if battery.window.charge_limited else None,
            "discharge_percent": battery.window.out_rate / 100 if battery.window.discharge_limited else None,
            "reverts_at_ms": battery.window.reverts_at_ms,
        }
    return truth


def _shown(device: Device, now: int) -> dict[str, Any]:
    counters = device.counters()
    return {
        "kind": device.kind.name,
        "measures": device.node.value,
        "serial": device.serial,
        "import_kwh": kwh_text(counters.import_uj),
        "export_kwh": kwh_text(counters.export_uj),
        "volume_nl": counters.volume_nl,
        "modulus_kwh": kwh_text(device.modulus_uj),
        "faults": sorted(map(str, device.faults.active(now))),
    }
