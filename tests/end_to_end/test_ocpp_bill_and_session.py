"""Simulated piles, the agent as a relay, npm ocpp-rpc as the operator, broker and aggregator, each a process of its own: one session, one number of Wh.

What the pile's meter counted, what the operator bills and what the aggregator shows are compared session by session, also across a killed agent.
"""

import asyncio
import json
import socket
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ocpp_rpc_peer import Csms, ocpp_rpc_csms

from wattline.system import System, Wanted
from wattline.viewer import get_json
from wire.clock import Clock

SPEED = 15.0
START_MS = 1_795_219_200_000  # 2026-11-21T00:00:00Z
PILES = {"pile-16": "ocpp16_pile", "pile-201": "ocpp201_pile", "pile-21": "ocpp21_pile"}
SITE = """
[[plant]]
name = "park"
time_zone = "Asia/Shanghai"
load = { kind = "synthetic", base_kw = 0, peak_kw = 0, noise_ratio = 0 }
ev = { points = 3, max_kw = 22, visits = "round_the_clock", turn_s = 60, seed = 4 }
[[plant.device]]
name = "incomer"
kind = "schneider_pm5560"
measures = "grid"
[[plant.bus]]
name = "piles"
protocol = "ocpp"
reconnect_s = [0.05, 0.5]
tick_s = 0.05
""" + "".join(
    f"""[[plant.device]]
name = "{name}"
kind = "{kind}"
measures = "ev"
bus = "piles"
start = "free"
start_import_kwh = {index + 1}84230.5004
retry_s = 1
"""
    for index, (name, kind) in enumerate(PILES.items())
)


class Park:
    """The running system, and what each of the three says of its sessions."""

    def __init__(self, system: System) -> None:
        self.system = system
        (self.edge,) = system.edges.values()

    def ask(self, **request: Any) -> dict[str, Any]:
        with socket.create_connection(("127.0.0.1", self.system.control_port), timeout=10) as control:
            control.sendall(json.dumps({"plant": "park", "bus": "piles", **request}).encode() + b"\n")
            answer: dict[str, Any] = json.loads(control.makefile().readline())
        assert answer["ok"], answer
        return answer

    def counted(self) -> dict[tuple[str, str], int]:
        """(pile, transaction) -> Wh of the ended sessions, by the simulator's meters."""
        return {
            (name, session["transaction_id"]): session["energy_wh"]
            for name, truth in self.ask(show="piles")["piles"].items()
            for session in truth["sessions"]
            if session["end_ms"] is not None and session["transaction_id"] is not None
        }

    def shown(self) -> dict[tuple[str, str], dict[str, Any]]:
        """What the aggregator shows of sessions, by pile and transaction as the operator numbers them."""
        path = f"/api/v1/facilities/park/sessions?from={START_MS}&to={START_MS + 86_400_000}"
        found = get_json(self.system.url + path)["sessions"]
        return {
            (session["device"], session["operator_transaction_id"] or session["transaction_id"]): session
            for session in found
        }


def billed(csms: Csms) -> dict[tuple[str, str], set[int]]:
    """(pile, transaction) -> every figure that was billed. A call that a killed relay had passed on comes again, and is then billed to nobody."""
    bills: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for bill in csms.of("bill"):
        if bill["wh"] is not None:
            bills[bill["identity"], str(bill["transactionId"])].add(bill["wh"])
    return bills


async def until(holds: Callable[[], Any], what: Callable[[], object], timeout_s: float = 60) -> Any:
    end = time.monotonic() + timeout_s
    while not (found := await asyncio.to_thread(holds)):
        assert time.monotonic() < end, what()
        await asyncio.sleep(0.2)
    return found


async def agree(park: Park, csms: Csms, sessions: int) -> dict[tuple[str, str], int]:
    """Waits until each pile has so many ended sessions that all three know, and gives their Wh."""
    seen: dict[str, Any] = {}

    def told() -> bool:
        counted, shown, bills = park.counted(), park.shown(), billed(csms)
        seen.update(
            counted=counted, shown={key: entry["energy_wh"] for key, entry in shown.items()}, billed=dict(bills)
        )
        known = [key for key in counted if key in bills and shown.get(key, {}).get("state") == "ended"]
        return all(sum(pile == name for pile, _ in known) >= sessions for name in PILES)

    await until(told, lambda: f"expected {sessions} sessions of each pile with all three: {seen}")
    counted, shown, bills = park.counted(), park.shown(), billed(csms)
    common = {key: wh for key, wh in counted.items() if key in bills and shown.get(key, {}).get("state") == "ended"}
    said = {
        key: (bills[key], shown[key]["energy_wh"], *(shown[key][word] for word in ("quality", "baseline", "gaps")))
        for key in common
    }
    assert said == {key: ({wh}, str(wh), "good", "meter_start", []) for key, wh in common.items()}, shown
    return common


async def test_meter_bill_and_aggregator_say_the_same_watt_hours(
    tmp_path: Path, make_system: Callable[[Wanted], System]
) -> None:
    (tmp_path / "site.toml").write_text(SITE)
    async with ocpp_rpc_csms() as csms:
        wanted = Wanted(tmp_path / "demo", tmp_path / "site.toml", Clock(START_MS, SPEED), poll_s=5.0)
        system = await asyncio.to_thread(make_system, wanted)
        park = Park(system)
        park.edge.kill()
        (file,) = (tmp_path / "demo").glob("*park*.toml")
        relay = f'role = "local_controller"\nupstream = "ws://127.0.0.1:{csms.port}/ocpp"\noffline_accept = "all"\n'
        file.write_text(file.read_text().replace('protocol = "ocpp"\n', f'protocol = "ocpp"\n{relay}'))
        park.edge.start()
        first = await agree(park, csms, 1)
        await asyncio.to_thread(park.edge.kill)
        await asyncio.to_thread(park.edge.start)
        both = await agree(park, csms, 3)
        assert csms.of("bad") == []
    assert first.keys() < both.keys()
    assert all(wh > 0 for wh in both.values())
    assert {client["protocol"] for client in csms.of("client")} == {"ocpp1.6", "ocpp2.0.1", "ocpp2.1"}
