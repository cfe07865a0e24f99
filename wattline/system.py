"""All processes of the demo, started in order and on ports that stay: each can be stopped, killed and started again. Not the report."""

import json
import shutil
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from wattline.broker import LocalBroker
from wattline.demo_edge import piles_call
from wattline.demo_files import Gateway, Plan, gateways, write_aggregator, write_edge
from wattline.parts import Part, PartFailed, undisturbed
from wire.clock import VARIABLE, Clock

DRAIN_S: Final = 20.0
CONTROL_S: Final = 10.0
HEARD_S: Final = 1.0  # by then an agent has heard what devices have published


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to start. `broker` is (host, port) of one that runs already; `profile` and `start_local` go to the simulator.
    Without `gateway_figures` the gateways are no devices of their own edges."""

    directory: Path
    site: Path
    clock: Clock
    poll_s: float = 1.0
    http_port: int = 0
    broker: tuple[str, int] | None = None
    influxdb_url: str = ""
    profile: Path | None = None
    start_local: str | None = None
    gateway_figures: bool = True


class System:
    """Broker, simulators, aggregator and one agent per simulated plant."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.directory = wanted.directory.absolute()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.answer_log = self.directory / "answers.jsonl"
        self.broker: LocalBroker | None = None
        self.gateways: list[Gateway] = []
        self.edges: dict[str, Part] = {}
        self.control_port = 0
        self.url = ""
        # One clock for all parts, which no agent has to doubt: machines that show a demo are often not known to be synchronised.
        clock = wanted.clock if wanted.clock.is_simulated else Clock(wanted.clock.now_ms())
        self._environment: Mapping[str, str] = {VARIABLE: clock.to_environment()}
        self.sim = Part("simulator", self.directory, self._sim_words(), self._environment)
        self.aggregator = Part(
            "aggregator",
            self.directory,
            ["aggregator", "run", str(self.directory / "aggregator.toml")],
            self._environment,
        )

    def _sim_words(self) -> list[str]:
        words = ["sim", "run", str(self.wanted.site), "--answer-log", str(self.answer_log)]
        if self.wanted.profile is not None:
            words += ["--profile", str(self.wanted.profile.absolute())]
        if self.wanted.start_local is not None:
            words += ["--from", self.wanted.start_local]
        return words

    def start(self) -> None:
        """Everything, each part ready before the next. Raises PartFailed, BrokerUnavailable."""
        host, port = self._start_broker()
        self.sim.start()
        ready = self.sim.ready()
        self.control_port = ready["control_port"]
        self.gateways = gateways(ready)
        self.plan = Plan(
            self.directory,
            host,
            port,
            self.wanted.http_port,
            self.wanted.poll_s,
            self.wanted.influxdb_url,
            self.wanted.gateway_figures,
        )
        for gateway in self.gateways:
            file = write_edge(self.plan, gateway, self.wanted.site)
            words = ["edge", "run", str(file), "--drain-s", str(DRAIN_S)]
            self.edges[gateway.edge] = Part(gateway.edge, self.directory, words, self._environment)
        self._write_aggregator()
        self.start_aggregator()
        for edge in self.edges.values():
            edge.start()
        self._tell_callers(host, port)

    def _buses(self, protocol: str) -> dict[tuple[str, str], Mapping[str, Any]]:
        """(plant, bus) -> one of its devices, of the simulated buses with a protocol."""
        return {
            (device["plant"], device["bus"]): device
            for gateway in self.gateways
            for device in gateway.devices
            if device["protocol"] == protocol
        }

    def _tell_callers(self, broker_host: str, broker_port: int) -> None:
        """Tells the devices that call by themselves where: charging piles their central system, MQTT devices the broker."""
        for (plant, bus), pile in self._buses("ocpp").items():
            self._tell({"plant": plant, "bus": bus, "connect": "ws://{}:{}/".format(*piles_call(pile))})
        for plant, bus in self._buses("mqtt"):
            self._tell({"plant": plant, "bus": bus, "connect": f"mqtt://{broker_host}:{broker_port}"})

    def _tell(self, request: Mapping[str, Any]) -> None:
        with socket.create_connection(("127.0.0.1", self.control_port), timeout=CONTROL_S) as control:
            control.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(control.makefile().readline())
        if not answer.get("ok"):
            raise PartFailed(f"simulator: {request}: {answer.get('error')}")

    def _start_broker(self) -> tuple[str, int]:
        if self.wanted.broker is not None:
            return self.wanted.broker
        with undisturbed():
            self.broker = LocalBroker(self.directory / "broker")
        return self.broker.host, self.broker.port

    def restart_broker(self) -> None:
        """A broker on the same port again, after it was killed."""
        assert self.broker is not None
        self.broker = LocalBroker(self.directory / "broker", port=self.broker.port)

    def _write_aggregator(self) -> None:
        write_aggregator(self.plan, self.gateways, self.wanted.site)

    def start_aggregator(self) -> dict[str, Any]:
        """The aggregator, on its first port again when it was started before."""
        self.aggregator.start()
        ready = self.aggregator.ready()
        self.url = ready["url"]
        if self.plan.http_port == 0:
            self.plan = replace(self.plan, http_port=int(self.url.rsplit(":", 1)[1]))
            self._write_aggregator()
        return ready

    def parts(self) -> list[Part]:
        """All parts but the broker."""
        return [self.sim, self.aggregator, *self.edges.values()]

    def stop_polling(self) -> dict[str, int]:
        """Agents stop reading, deliver what they have, and end: exit status of each."""
        for part in self.parts():
            part.measure()
        publishing = self._buses("mqtt")
        for plant, bus in publishing:  # nobody would hear what they say from now on
            self._tell({"plant": plant, "bus": bus, "publish": False})
        if publishing:
            time.sleep(HEARD_S)
        for edge in self.edges.values():
            edge.terminate()
        return {name: edge.stop(DRAIN_S + 15) for name, edge in self.edges.items()}

    def stop(self) -> None:
        """End everything that still runs; harmless when nothing does."""
        for edge in self.edges.values():
            edge.terminate()
        for edge in self.edges.values():
            edge.stop(DRAIN_S + 15)
        self.aggregator.stop()
        self.sim.stop()
        if self.broker is not None:
            self.broker.stop()

    def remove(self) -> None:
        """Delete all files."""
        shutil.rmtree(self.directory, ignore_errors=True)
