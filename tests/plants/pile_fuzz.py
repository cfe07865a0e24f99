"""Texts that no central system should send, thrown at simulated piles: damaged frames, strange values in known calls, noise."""

import asyncio
import json
import logging
import time
from random import Random
from typing import Any

import pytest
from central_system import CentralSystem, central_system
from pile_park import Park, park
from websockets.exceptions import ConnectionClosed

KNOWN = [
    ("GetConfiguration", {"key": ["HeartbeatInterval"]}),
    ("ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "7"}),
    ("RemoteStartTransaction", {"idTag": "X", "connectorId": 1}),
    ("RemoteStopTransaction", {"transactionId": 1}),
    ("RequestStartTransaction", {"idToken": {"idToken": "X", "type": "Central"}, "remoteStartId": 1}),
    ("RequestStopTransaction", {"transactionId": "x"}),
    ("TriggerMessage", {"requestedMessage": "MeterValues"}),
    ("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"}),
    ("GetVariables", {"getVariableData": [{"component": {"name": "TxCtrlr"}, "variable": {"name": "TxStartPoint"}}]}),
    (
        "SetVariables",
        {
            "setVariableData": [
                {
                    "attributeValue": "5",
                    "component": {"name": "SampledDataCtrlr"},
                    "variable": {"name": "TxUpdatedInterval"},
                }
            ]
        },
    ),
    ("ClearChargingProfile", {}),
    ("ClearChargingProfile", {"id": 1}),
    ("GetCompositeSchedule", {"connectorId": 1, "duration": 86400}),
    ("GetCompositeSchedule", {"evseId": 1, "duration": 86400}),
    ("GetChargingProfiles", {"requestId": 1, "chargingProfile": {}}),
    ("UpdateDynamicSchedule", {"chargingProfileId": 1, "scheduleUpdate": {"setpoint": -4000}}),
    ("ChangeAvailability", {"connectorId": 1, "type": "Operative"}),
    ("ChangeAvailability", {"operationalStatus": "Operative"}),
    ("UnlockConnector", {"connectorId": 1}),
    ("SendLocalList", {"listVersion": 1, "updateType": "Full", "localAuthorizationList": [{"idTag": "A"}]}),
    ("SendLocalList", {"versionNumber": 1, "updateType": "Full"}),
    ("Reset", {"type": "Soft"}),
    ("Reset", {"type": "Immediate"}),
    ("UpdateFirmware", {"location": "ftp://x", "retrieveDate": "2018-01-01T00:00:00Z"}),
    ("GetDiagnostics", {"location": "ftp://x"}),
    ("DataTransfer", {"vendorId": "x"}),
    (
        "SetChargingProfile",
        {
            "connectorId": 1,
            "csChargingProfiles": {
                "chargingProfileId": 1,
                "stackLevel": 0,
                "chargingProfilePurpose": "TxDefaultProfile",
                "chargingProfileKind": "Recurring",
                "recurrencyKind": "Daily",
                "validFrom": "2018-01-01T00:00:00Z",
                "chargingSchedule": {
                    "startSchedule": "2018-01-01T00:00:00Z",
                    "chargingRateUnit": "A",
                    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.1, "numberPhases": 3}],
                },
            },
        },
    ),
    (
        "SetChargingProfile",
        {
            "evseId": 1,
            "chargingProfile": {
                "id": 1,
                "stackLevel": 0,
                "chargingProfilePurpose": "TxDefaultProfile",
                "chargingProfileKind": "Dynamic",
                "dynUpdateInterval": 5,
                "chargingSchedule": [
                    {
                        "id": 1,
                        "chargingRateUnit": "W",
                        "chargingSchedulePeriod": [
                            {
                                "startPeriod": 0,
                                "setpoint": -3000,
                                "dischargeLimit": -1,
                                "operationMode": "CentralSetpoint",
                            }
                        ],
                    }
                ],
            },
        },
    ),
]
STRANGE: list[Any] = [
    None, True, -1, 0, 1, 2**31, 2**63, 10**30, 1e308, 0.05, -0.0, "", "x" * 300, "\u0000", "\ud800", "💥", "2018-13-01", "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+14:00", "Weekly", "TxProfile", "Relative", [], [[]], {}, {"a": {}}, [None] * 50, "1e5", "١٢",
]  # fmt: skip


def mutated(value: Any, chance: Random) -> Any:
    """The same with one place changed."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        what = chance.random()
        if what < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if what < 0.15:
            return {**value, "unknown": 1}
        return {**value, key: mutated(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.9:
        index = chance.randrange(len(value))
        if chance.random() < 0.2:
            return value * chance.randrange(4)
        return [*value[:index], mutated(value[index], chance), *value[index + 1 :]]
    if isinstance(value, int | float) and chance.random() < 0.5:
        return value + chance.choice([-1, 1, 0.1, 0.01, 10**6])
    return chance.choice(STRANGE)


def text(chance: Random) -> str | bytes:
    """One text to send; what no socket could carry, half a surrogate pair, goes as a question mark."""
    raw = _damaged(chance)
    return raw if isinstance(raw, bytes) else raw.encode("utf-8", "replace").decode()


def _damaged(chance: Random) -> str | bytes:
    action, payload = chance.choice(KNOWN)
    for _ in range(chance.choice([0, 1, 1, 1, 2, 3])):
        payload = mutated(payload, chance)
    frame: Any = [2, f"f{chance.randrange(10**6)}", action, payload]
    kind = chance.random()
    if kind < 0.1:
        frame = mutated(frame, chance)
    elif kind < 0.15:
        frame = [
            chance.choice([3, 4, 5, 6]),
            f"f{chance.randrange(99)}",
            *chance.choices(STRANGE, k=chance.randrange(4)),
        ]
    whole = json.dumps(frame, ensure_ascii=chance.random() < 0.9)
    kind = chance.random()
    if kind < 0.05:
        return whole[: chance.randrange(len(whole) + 1)]
    if kind < 0.08:
        return chance.randbytes(chance.randrange(200))
    if kind < 0.1:
        return "[" * chance.randrange(5000)
    if kind < 0.12:
        return whole.replace("1", chance.choice(["NaN", "Infinity", "1" * 5000, "1e999999"]))
    return whole


async def throw(system: CentralSystem, identities: list[str], seconds: float, seed: int) -> int:
    """Throws texts at piles until the time is over; how many."""
    chance = Random(seed)
    thrown = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        identity = chance.choice(identities)
        try:
            await system.say(identity, text(chance))
            thrown += 1
        except (ConnectionClosed, KeyError):
            await asyncio.sleep(0.01)  # it reboots, or hung up
        if thrown % 20 == 0:
            await asyncio.sleep(0.001)
    return thrown


async def stand(run_site: Any, caplog: pytest.LogCaptureFixture, seconds: float, seed: int) -> int:
    """Throws for so long, then proves that each pile still charges a vehicle and tells of it."""
    piles_there = [
        {"name": f"P{index}", "version": version, "start": "free", "v2x": version == "2.1"}
        for index, version in enumerate(("1.6", "2.0.1", "2.1"))
    ]
    async with central_system() as system, run_site(park(*piles_there)) as served:
        piles = Park(served)
        await piles.connect(system.url)
        names = [pile["name"] for pile in piles_there]
        await piles.until_all(lambda t: t["accepted"])
        for name in names:
            await piles.vehicle(name, need_kwh=30, stay_s=10**6, max_discharge_kw=5)
        with caplog.at_level(logging.ERROR):
            thrown = await throw(system, names, seconds, seed)
        for _ in range(2):  # answered once: all that was thrown has been read. Once more: no reboot is left to come
            for name in names:
                await _answers(system, served, name)
        truths = await piles.until_all(lambda t: t["accepted"])
        assert all(truth["profiles"] <= 10 for truth in truths.values())
        for name in names:
            await piles.leave(name)
        served.clock.forward(5)
        await piles.until_all(lambda t: t["accepted"] and not t["backlog"] and t["sessions"][-1]["end_ms"])
    assert [record.getMessage() for record in caplog.records if record.name.startswith("device_sim")] == []
    return thrown


async def _answers(system: CentralSystem, served: Any, name: str) -> None:
    """Waits until a pile carries out a call. One that reboots needs time on its own clock for it and comes on a new
    connection; a call that went with the old one is never answered."""
    action = "ClearCache" if name == "P0" else "GetLocalListVersion"
    async with asyncio.timeout(60):
        while True:
            served.clock.forward(5)
            try:
                answer = await system.call(name, action, {}, timeout_s=2)
            except (ConnectionClosed, TimeoutError):
                await asyncio.sleep(0.02)
                continue
            assert answer[0] == 3, answer
            return
