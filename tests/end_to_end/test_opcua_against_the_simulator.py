"""The OPC UA driver and its models against the simulator, through every fault: what is said then, who else notices, and that it ends by itself.

Clocks are the machine's own here: a server's stamps are judged against them.
"""

import asyncio
import copy
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from cryptography.x509.oid import ExtendedKeyUsageOID

from device_sim.serve import serve
from device_sim.site import load_site
from edge_agent import meter
from edge_agent.drivers.driver import BusUnreachable, DriverError, Gateway
from edge_agent.drivers.opcua import declared
from edge_agent.drivers.opcua.declared import Bus, Device, OpcUaPlan, Row
from edge_agent.drivers.opcua.driver import OpcUa
from wire.reading import Quality, Reading

pytestmark = pytest.mark.asyncio(loop_scope="module")
LIMIT_S = 20.0
SITE: dict[str, Any] = {
    "plant": [
        {
            "name": "works",
            "load": {"kind": "synthetic", "base_kw": 100, "peak_kw": 100, "noise_ratio": 0, "power_factor": 0.8},
            "ev": {"points": 4, "max_kw": 11},
            "bus": [
                {"name": "line", "protocol": "opcua", "update_s": 0.03},
                {
                    "name": "sealed",
                    "protocol": "opcua",
                    "update_s": 0.03,
                    "certificate": "server.der",
                    "key": "server.pem",
                },
            ],
            "device": [
                {
                    "name": "press",
                    "kind": "opcua_machine",
                    "measures": "load",
                    "bus": "line",
                    "start_import_kwh": 1234.5,
                },
                {"name": "mill", "kind": "opcua_machine", "measures": "load", "bus": "sealed"},
                {"name": "main", "kind": "opcua_ecm_meter", "measures": "load", "bus": "line", "start_import_kwh": 500},
            ],
        }
    ]
}
MODELS = {"opcua_machine": "opcua_machine", "opcua_ecm_meter": "opc34100_energy_e3"}


@dataclass
class Line:
    """A served line, a driver for it, and all that the driver has given."""

    ready: dict[str, Any]
    log_path: Path
    driver: OpcUa
    readings: dict[str, list[Reading]] = field(default_factory=dict)
    errors: dict[str, DriverError | None] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return str(self.ready["devices"][0]["url"])

    def plan(self, name: str) -> OpcUaPlan:
        (place,) = [place for place in self.ready["devices"] if place["device"] == name]
        model = meter.load(MODELS[place["kind"]])
        assert isinstance(model, declared.Model)
        serial = Row(quantity="answer_serial_1", path=place["serial_variable"])
        # The simulator's folders are in its own namespace, the variables of the meter in that of the companion specification.
        root = f"nsu=urn:wattline:simulator:line;s={name}"
        return declared.plan(None, Device(name=name, model="m", root=root, row=[serial]), model)

    def secured(self, mode: Any) -> Bus:
        """The bus of the mill, whose server signs."""
        (place,) = [place for place in self.ready["devices"] if place["device"] == "mill"]
        directory = self.log_path.parent
        return msgspec.structs.replace(
            bus(str(place["url"])),
            security="Basic256Sha256",
            mode=mode,
            certificate=str(directory / "client.der"),
            key=str(directory / "client.pem"),
            server_certificate=str(directory / "server.der"),
        )

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ready["control_port"])
        writer.write(json.dumps(request).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await asyncio.wait_for(reader.readline(), 5))
        writer.close()
        await writer.wait_closed()
        assert answer["ok"], answer
        return answer

    async def fault(self, *names: str, **keys: Any) -> None:
        for name in names:
            await self.ask({"device": name, **keys})

    async def read(self, name: str, driver: OpcUa | None = None) -> None:
        self.errors[name] = None
        try:
            answer = await (driver or self.driver).read(self.plan(name))
        except DriverError as error:
            self.errors[name] = error
            return
        self.readings.setdefault(name, []).extend(r for block in answer.blocks for r in block.readings())

    async def until(
        self, so: Callable[[], object], names: tuple[str, ...] = ("press", "main"), driver: OpcUa | None = None
    ) -> None:
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            for name in names:
                await self.read(name, driver)
            if so():
                return
            await asyncio.sleep(0.01)
        latest = {name: readings[-2:] for name, readings in self.readings.items()}
        raise AssertionError(f"not so within {LIMIT_S} s: {latest}, {self.errors}")

    def last(self, name: str, quantity: str) -> Reading:
        return next(r for r in reversed(self.readings[name]) if r.quantity == quantity)

    def values(self, name: str, quantity: str) -> list[float | None]:
        return [r.value for r in self.readings[name] if r.quantity == quantity]

    async def fresh(self, *names: str) -> None:
        """Until each device has given a good reading of its serial that is newer than now."""
        since = time.time() * 1000
        await self.until(
            lambda: all(
                self.errors[name] is None
                and any(
                    r.at_ms > since and r.quantity == "answer_serial_1" and r.quality is Quality.GOOD
                    for r in self.readings.get(name, [])
                )
                for name in names or ("press", "main")
            ),
            names or ("press", "main"),
        )


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def bus(url: str) -> Bus:
    return Bus(
        name="line",
        protocol="opcua",
        url=url,
        publishing_ms=50.0,
        keepalive_s=0.3,
        timeout_s=0.8,
        queue_size=100,
        device=[],
    )


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[dict[str, Any], Path]]:
    directory = tmp_path_factory.mktemp("opcua")
    for name, uri in (("server", "urn:wattline:simulator"), ("client", "urn:wattline:edge")):
        await setup_self_signed_certificate(
            directory / f"{name}.pem",
            directory / f"{name}.der",
            uri,
            "localhost",
            [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH],
            {"organizationName": "Test"},
        )
    site = copy.deepcopy(SITE)
    sealed = site["plant"][0]["bus"][1]
    sealed |= {key: str(directory / sealed[key]) for key in ("certificate", "key")}
    log_path = directory / "answers.jsonl"
    ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(load_site(site), now_ms, log_path, 0, ready.set_result))
    yield await asyncio.wait_for(ready, 30), log_path
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest_asyncio.fixture(loop_scope="module")
async def line(served: tuple[dict[str, Any], Path]) -> AsyncIterator[Line]:
    ready, log_path = served
    driver = OpcUa(bus(ready["devices"][0]["url"]), Gateway(now_ms), first_wait_s=0.05, last_wait_s=0.2)
    made = Line(ready, log_path, driver)
    await made.fault("press", "main", clear="all")
    await made.fresh()
    yield made
    await made.fault("press", "main", clear="all")
    await driver.close()


async def test_both_models_show_what_the_plant_has_counted(line: Line) -> None:
    truth = (await line.ask({"show": "plants"}))["plants"]["works"]
    await line.fresh()
    for name in ("press", "main"):
        counted = float(truth["devices"][name]["import_kwh"])
        assert line.last(name, "energy_import_kwh").value == pytest.approx(counted, abs=0.1)
    assert line.last("press", "active_power_kw").value == pytest.approx(100.0)
    phases = [line.last("main", f"active_power_l{n}_kw").value for n in (1, 2, 3)]
    assert phases == pytest.approx([34.0, 33.0, 33.0])
    for n in (1, 2, 3):  # P = U x I x cos phi; the two models must agree on it
        power_kw = (
            (line.last("main", f"voltage_l{n}_v").value or 0)
            * (line.last("main", f"current_l{n}_a").value or 0)
            * (line.last("main", f"power_factor_l{n}_ratio").value or 0)
        ) / 1000
        assert power_kw == pytest.approx(phases[n - 1], rel=1e-3)
    assert line.last("press", "operating_state").value == 2
    assert line.last("press", "energy_import_kwh").at_ms <= now_ms()


async def test_every_acknowledged_serial_has_arrived(line: Line) -> None:
    await asyncio.sleep(0.1)
    for _ in range(3):
        await line.fresh()
    acknowledged = [json.loads(text) for text in line.log_path.read_text().splitlines()]
    acknowledged = [entry for entry in acknowledged if entry["device"] in line.readings]
    mine = {name: {r.value for r in line.readings[name] if r.quantity == "answer_serial_1"} for name in line.readings}
    first = {name: min(value for value in values if value is not None) for name, values in mine.items()}
    checked = [entry for entry in acknowledged if entry["serial"] >= first[entry["device"]]]
    assert len(checked) >= 6
    assert [entry for entry in checked if entry["serial"] not in mine[entry["device"]]] == []


async def test_a_silent_server_is_noticed_by_its_missing_keep_alives_and_found_again(line: Line) -> None:
    await line.fault("press", "main", fault="silence")
    await line.until(lambda: all(isinstance(error, BusUnreachable) for error in line.errors.values()))
    await line.fault("press", "main", clear="all")
    await line.fresh()


async def test_a_server_that_answers_late_harms_nobody(line: Line) -> None:
    await line.fault("press", "main", fault="delay", delay_s=0.2)
    await line.fresh()
    assert line.last("press", "answer_serial_1").quality is Quality.GOOD


async def test_a_machine_whose_clock_jumps_back_is_told_at_our_time(line: Line) -> None:
    await line.fault("press", fault="clock_jump", clock_s=-7200)
    await line.until(lambda: line.last("press", "answer_serial_1").reason == "clock")
    assert abs(line.last("press", "answer_serial_1").at_ms - now_ms()) < 10_000
    await line.fresh("main")
    await line.fault("press", clear="all")
    await line.fresh("press")


async def test_a_message_with_a_damaged_signature_is_not_believed(line: Line) -> None:
    driver = OpcUa(line.secured("Sign"), Gateway(now_ms), first_wait_s=0.05, last_wait_s=0.2)
    try:
        await line.read("mill", driver)
        assert line.errors["mill"] is None
        await line.fault("mill", fault="wrong_checksum")
        await line.until(lambda: isinstance(line.errors["mill"], BusUnreachable), driver=driver, names=("mill",))
        await line.fault("mill", clear="all")
        sessions = driver.sessions
        await line.until(
            lambda: driver.sessions > sessions and line.errors["mill"] is None, driver=driver, names=("mill",)
        )
        assert {value for value in line.values("mill", "active_power_kw") if value} == {100.0}
    finally:
        await line.fault("mill", clear="all")
        await driver.close()


async def test_a_reboot_moves_the_namespaces_and_loses_the_set_point(line: Line) -> None:
    assert (await line.driver.write(line.plan("press"), "power_limit", 40.0, 60)).delivered
    await line.fault("press", "main", fault="reboot", for_s=0.5)
    await line.until(lambda: all(isinstance(error, BusUnreachable) for error in line.errors.values()))
    await line.fresh()
    written = await line.driver.write(line.plan("press"), "power_limit", 30.0, 60)
    assert (written.delivered, written.before, written.after) == (True, 0.0, 30.0)


async def test_a_closed_driver_leaves_nothing_in_the_server(line: Line) -> None:
    await line.driver.close()
    deadline = time.monotonic() + LIMIT_S
    left: dict[str, Any] = {"sessions": 1}
    while left["sessions"] and time.monotonic() < deadline:
        left = await line.ask({"bus": "line", "sessions": True})
        await asyncio.sleep(0.05)
    assert (left["sessions"], left["subscriptions"]) == (0, 0)
