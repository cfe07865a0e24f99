"""Simulated piles, the agent's driver as central system or as relay, and behind the relay a central system that none of us wrote.

Three accounts of each session must agree to the Wh: what flowed (the simulator's truth), what the agent stores, what the operator bills.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trustme
from ocpp_bench import Bench
from ocpp_rpc_peer import Csms, ocpp_rpc_csms
from ocpp_station import Clock
from pile_park import park, served_park

VERSIONS = ("1.6", "2.0.1", "2.1")


def entry(pile: str, **other: Any) -> dict[str, Any]:
    """A pile in the edge file."""
    return {"name": pile.lower(), "model": "ocpp_ac_pile", "identity": pile, "rated_power_kw": 22.0, **other}


@asynccontextmanager
async def reading(bench: Bench) -> AsyncIterator[None]:
    """Reads the driver all the time, as the agent does."""

    async def again_and_again() -> None:
        while True:
            await bench.gather()
            await asyncio.sleep(0.02)

    task = asyncio.create_task(again_and_again())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], Any], timeout_s: float = 30) -> Any:
    async with asyncio.timeout(timeout_s):
        while not (found := holds()):
            await asyncio.sleep(0.02)
    return found


def stored_wh(bench: Bench, identity: str) -> list[Decimal]:
    """The energies of the ended sessions of a pile, Wh."""
    return [
        1000 * Decimal(str(event.body["energy_kwh"]))
        for event in bench.told("transaction", phase="ended", identity=identity)
    ]


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_agent_as_central_system_stores_a_session_as_it_was(tmp_path: Path, version: str) -> None:
    clock = Clock()
    table = park({"name": "CP-1", "version": version, "start_import_kwh": 7900.25, "sample_s": 60})
    async with Bench(clock, tmp_path, [entry("CP-1")]) as bench, served_park(table, clock, tmp_path / "log") as piles:
        await piles.connect(bench.url)
        async with reading(bench):
            await piles.until("CP-1", lambda t: t["accepted"])
            await piles.vehicle("CP-1", need_kwh=12.3456, max_kw=11, stay_s=7200)
            await piles.charging("CP-1")
            for _ in range(31):  # a pile that is minutes behind at once would be taken for one with a wrong clock
                clock.forward(240)
                await piles.until("CP-1", lambda t: not t["backlog"])
            session = await piles.ended("CP-1")
            (ended,) = await until(lambda: bench.told("transaction", phase="ended"))
            truth = await piles.truth("CP-1")
    # 7900.25 kWh + 12.3456 kWh = 7912.5956 kWh: whole Wh are 7912595 - 7900250
    assert stored_wh(bench, "CP-1") == [session["energy_wh"]] == [12_345]
    assert (ended.body["transaction_id"], ended.body["quality"]) == (session["transaction_id"], "good")
    assert (ended.body["started_at_ms"], ended.body["ended_at_ms"]) == (session["begin_ms"], session["end_ms"])
    assert truth["calls_lost"] == 0
    counts = [value or 0 for _, value in sorted(bench.values("energy_import_kwh", "cp-1"))]  # some are told late
    assert counts
    assert counts == sorted(counts)
    assert counts[-1] <= 7912.596


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_operator_bills_through_the_relay_to_the_watt_hour(tmp_path: Path, version: str) -> None:
    clock = Clock()
    table = park({"name": "CP-1", "version": version, "start_import_kwh": 184230.5004, "sample_s": 60, "signed": True})
    raw: list[tuple[bool, bytes]] = []
    async with ocpp_rpc_csms() as csms:
        relay = {"role": "local_controller", "upstream": f"ws://127.0.0.1:{csms.port}/ocpp"}
        bench = Bench(clock, tmp_path, [entry("CP-1")], lambda _name, sent, text: raw.append((sent, text)), **relay)
        async with bench, served_park(table, clock, tmp_path / "log") as piles:
            await piles.connect(bench.url)
            async with reading(bench):
                await piles.until("CP-1", lambda t: t["accepted"])
                await piles.vehicle("CP-1", need_kwh=12.3456, max_kw=11, stay_s=7200)
                await piles.charging("CP-1")
                for _ in range(8):
                    clock.forward(910)
                    await piles.until("CP-1", lambda t: not t["backlog"])
                session = await piles.ended("CP-1")
                (bill,) = await csms.until(lambda: csms.of("bill"))
                await until(lambda: stored_wh(bench, "CP-1"))
    # 184230.5004 + 12.3456 = 184242.8460 kWh
    assert bill["wh"] == session["energy_wh"] == 12_346
    assert stored_wh(bench, "CP-1") == [12_346]
    assert str(bill["transactionId"]) == session["transaction_id"]
    assert csms.of("bad") == []
    assert _unchanged(csms, [text for sent, text in raw if not sent])
    assert _signed(bill, version) == [session["signed_begin"], session["signed_end"]]


def _unchanged(csms: Csms, received: list[bytes]) -> bool:
    """Whether each call that reached the operator, and each billing message at all, is one that the pile sent: ids and contents."""
    sent = {frame[1]: frame for frame in map(json.loads, received) if frame[0] == 2}
    came = csms.calls("CP-1")
    billing = {
        frame[1] for frame in sent.values() if frame[2] in ("StartTransaction", "StopTransaction", "TransactionEvent")
    }
    return all(sent[frame[1]] == frame for frame in came) and billing <= {frame[1] for frame in came}


def _signed(bill: dict[str, Any], version: str) -> list[str]:
    sampled = [value for meter_value in bill["data"] for value in meter_value["sampledValue"]]
    if version == "1.6":
        return [value["value"] for value in sampled if value.get("format") == "SignedData"]
    signed = [value["signedMeterValue"]["signedMeterData"] for value in sampled if "signedMeterValue" in value]
    return [base64.b64decode(text).decode() for text in signed]


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_operator_starts_and_stops_through_the_relay(tmp_path: Path, version: str) -> None:
    clock = Clock()
    table = park({"name": "CP-1", "version": version, "start": "remote"})
    async with ocpp_rpc_csms() as csms:
        bench = Bench(
            clock, tmp_path, [entry("CP-1")], role="local_controller", upstream=f"ws://127.0.0.1:{csms.port}/ocpp"
        )
        async with bench, served_park(table, clock, tmp_path / "log") as piles:
            await piles.connect(bench.url)
            async with reading(bench):
                await piles.until("CP-1", lambda t: t["accepted"])
                await piles.vehicle("CP-1", need_kwh=40, max_kw=11, stay_s=40_000)
                if version == "1.6":
                    start = await csms.call("CP-1", "RemoteStartTransaction", {"connectorId": 1, "idTag": "OP"})
                else:
                    token = {"idToken": {"idToken": "OP", "type": "Central"}, "remoteStartId": 1, "evseId": 1}
                    start = await csms.call("CP-1", "RequestStartTransaction", token)
                assert start["result"] == {"status": "Accepted"}
                truth = await piles.charging("CP-1")
                number = truth["sessions"][-1]["transaction_id"]
                clock.forward(3600)
                await piles.until("CP-1", lambda t: not t["backlog"])
                if version == "1.6":
                    stop = await csms.call("CP-1", "RemoteStopTransaction", {"transactionId": int(number)})
                else:
                    stop = await csms.call("CP-1", "RequestStopTransaction", {"transactionId": number})
                assert stop["result"] == {"status": "Accepted"}
                session = await piles.ended("CP-1")
                (bill,) = await csms.until(lambda: csms.of("bill"))
                await until(lambda: stored_wh(bench, "CP-1"))
    assert bill["wh"] == session["energy_wh"] == 11_000
    assert stored_wh(bench, "CP-1") == [11_000]
    assert csms.of("bad") == []


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_session_while_the_operator_is_away_is_billed_when_it_is_back(tmp_path: Path, version: str) -> None:
    clock = Clock()
    table = park({"name": "CP-1", "version": version, "sample_s": 600, "start_import_kwh": 55})
    upstream = {"role": "local_controller", "offline_accept": "all"}
    async with ocpp_rpc_csms() as csms:
        upstream["upstream"] = f"ws://127.0.0.1:{csms.port}/ocpp"
        bench = Bench(clock, tmp_path, [entry("CP-1")], **upstream)
        async with bench, served_park(table, clock, tmp_path / "log") as piles:
            await piles.connect(bench.url)
            async with reading(bench):
                await piles.until("CP-1", lambda t: t["accepted"])
                await csms.until(lambda: csms.of("client"))
                seen = len(csms.of("client"))
                csms.order(refuse=True)
                csms.order(drop="CP-1")
                await csms.until(lambda: csms.of("gone"))
                await piles.until("CP-1", lambda t: t["accepted"])
                await piles.vehicle("CP-1", need_kwh=22, max_kw=11, stay_s=3600)
                await piles.charging("CP-1")
                clock.forward(3600)
                session = await piles.ended("CP-1")
                await until(lambda: stored_wh(bench, "CP-1"))
                assert csms.of("bill") == []
                csms.order(refuse=False)
                (bill,) = await csms.until(lambda: csms.of("bill"), 60)
                assert len(csms.of("client")) > seen
    assert bill["wh"] == session["energy_wh"] == 11_000
    assert stored_wh(bench, "CP-1") == [11_000]
    assert csms.of("bad") == []


async def test_fifty_piles_of_three_versions_each_have_their_sessions(tmp_path: Path) -> None:
    clock = Clock()
    names = [f"CP-{number:02d}" for number in range(50)]
    table = park(*({"name": name, "version": VERSIONS[index % 3], "sample_s": 300} for index, name in enumerate(names)))
    devices = [entry(name) for name in names]
    async with Bench(clock, tmp_path, devices) as bench, served_park(table, clock, tmp_path / "log") as piles:
        await piles.connect(bench.url)
        async with reading(bench):
            await piles.until_all(lambda t: t["accepted"])
            for index, name in enumerate(names):
                await piles.vehicle(name, need_kwh=1 + index / 7, max_kw=11, stay_s=2700)
            await piles.until_all(lambda t: t["sessions"] and t["sessions"][-1]["transaction_id"] and not t["backlog"])
            for _ in range(3):
                clock.forward(900)
                truths = await piles.until_all(lambda t: not t["backlog"])
            await until(lambda: len(bench.told("transaction", phase="ended")) == len(names))
    sessions = {name: truth["sessions"][-1] for name, truth in truths.items()}
    assert {name: stored_wh(bench, name) for name in names} == {
        name: [session["energy_wh"]] for name, session in sessions.items()
    }
    # what was counted is what was needed, or 45 minutes at 11 kW; in whole Wh
    needed = [min(round((1 + index / 7) * 3_600_000_000_000), 11_000_000 * 2_700_000) for index in range(50)]
    assert [sessions[name]["energy_uj"] for name in names] == needed
    assert sum(truth["calls_lost"] for truth in truths.values()) == 0


@pytest.mark.parametrize("version", VERSIONS)
async def test_without_the_agent_a_pile_falls_back_to_its_safe_current(tmp_path: Path, version: str) -> None:
    """The limit ends with its own time, whoever is gone; under it lies the permanent default profile."""
    clock = Clock()
    table = park({"name": "CP-1", "version": version, "delay_s": [0, 0]})
    async with served_park(table, clock, tmp_path / "log") as piles:
        async with Bench(clock, tmp_path, [entry("CP-1", safe_current_a=8.0)]) as bench:
            await piles.connect(bench.url)
            async with reading(bench):
                await piles.until("CP-1", lambda t: t["accepted"])
                await until(lambda: bench.told("pile_configured"))
                await piles.vehicle("CP-1", need_kwh=200, max_kw=22, stay_s=80_000)
                await piles.charging("CP-1")
                # 8 A on three phases of 230 V, before anybody asks for anything
                await piles.until("CP-1", lambda t: t["power_kw"] == 5.52)
                await bench.until(lambda: bench.told("transaction", phase="started"))
                await bench.driver.write(bench.plans["cp-1"], "charging_limit_kw", 3.0, 600)
            await piles.until("CP-1", lambda t: t["power_kw"] <= 3.0)
        await piles.until("CP-1", lambda t: not t["connected"])
        clock.forward(590)
        assert (await piles.truth("CP-1"))["power_kw"] <= 3.0
        clock.forward(20)
        assert (await piles.until("CP-1", lambda t: t["power_kw"] > 3))["power_kw"] == 5.52


async def test_without_the_agent_a_vehicle_gives_nothing_back(tmp_path: Path) -> None:
    """A set-point of 2.1 ends a minute after the link is lost."""
    clock = Clock()
    table = park({"name": "CP-1", "version": "2.1", "v2x": True, "delay_s": [0, 0]})
    devices = [entry("CP-1", model="ocpp_v2g_pile", safe_power_kw=5.0)]
    async with served_park(table, clock, tmp_path / "log") as piles:
        async with Bench(clock, tmp_path, devices) as bench:
            await piles.connect(bench.url)
            async with reading(bench):
                await piles.until("CP-1", lambda t: t["accepted"])
                await until(lambda: bench.told("pile_configured"))
                await piles.vehicle("CP-1", need_kwh=20, max_kw=22, stay_s=80_000, max_discharge_kw=15)
                await piles.charging("CP-1")
                needs = await until(lambda: bench.told("ev_charging_needs"))
                await bench.driver.write(bench.plans["cp-1"], "active_power_setpoint_kw", -9.0, 600)
            await piles.until("CP-1", lambda t: t["power_kw"] == -9.0)
        await piles.until("CP-1", lambda t: not t["connected"])
        clock.forward(59)
        assert (await piles.truth("CP-1"))["power_kw"] == -9.0
        clock.forward(2)
        assert (await piles.until("CP-1", lambda t: t["power_kw"] >= 0))["power_kw"] == 5.0
    parameters = needs[0].body["request"]["chargingNeeds"]["v2xChargingParameters"]
    assert parameters["maxDischargePower"] == 15_000


async def test_the_relay_reaches_the_operator_over_tls_with_its_own_certificate(tmp_path: Path) -> None:
    """Security profile 3 towards the operator; one without the certificate is turned away there, and says so."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    files = {}
    for name, issued in (("server", authority.issue_cert("127.0.0.1")), ("relay", authority.issue_cert("CP-1"))):
        files[name] = (str(tmp_path / f"{name}.pem"), str(tmp_path / f"{name}.key"))
        issued.cert_chain_pems[0].write_to_path(files[name][0])
        issued.private_key_pem.write_to_path(files[name][1])
    clock = Clock()
    table = park({"name": "CP-1", "version": "2.0.1"})
    server = ("--cert", files["server"][0], "--key", files["server"][1], "--ca", str(tmp_path / "ca.pem"))
    own = {"upstream_certificate": files["relay"][0], "upstream_key": files["relay"][1]}
    async with ocpp_rpc_csms(*server) as csms:
        relay = {"role": "local_controller", "upstream": f"wss://127.0.0.1:{csms.port}/ocpp"}
        trusted = {**relay, "upstream_ca": str(tmp_path / "ca.pem")}
        for options, reached in ((trusted, False), ({**relay, **own}, False), ({**trusted, **own}, True)):
            bench = Bench(clock, None, [entry("CP-1")], **options)
            async with bench, served_park(table, clock, tmp_path / "log") as piles:
                await piles.connect(bench.url)
                async with reading(bench):
                    await piles.until("CP-1", lambda t: t["accepted"])  # by the operator, or by us while it is away
                    assert bool(csms.of("client")) is reached
