"""Messages of charging piles, right and spoilt in all ways that a seed can think of, for fuzzing."""

import copy
import json
import random
from typing import Any

from ocpp_station import T0_MS, energy, energy_2, stamp

_WHEN = stamp(T0_MS)
_EVENT = {
    "timestamp": _WHEN,
    "triggerReason": "Authorized",
    "transactionInfo": {"transactionId": "tx-1"},
    "evse": {"id": 1},
}
_PERIODS = [{"startPeriod": 0, "limit": 11.5}]
RIGHT: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "ocpp1.6": [
        ("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M", "firmwareVersion": "1"}),
        ("StatusNotification", {"connectorId": 1, "status": "Charging", "errorCode": "NoError", "timestamp": _WHEN}),
        ("Authorize", {"idTag": "TAG"}),
        ("StartTransaction", {"connectorId": 1, "idTag": "TAG", "meterStart": 1000, "timestamp": _WHEN}),
        (
            "MeterValues",
            {"connectorId": 1, "transactionId": 7, "meterValue": [energy(T0_MS, "1.5"), energy(T0_MS + 1, 9)]},
        ),
        (
            "StopTransaction",
            {
                "transactionId": 7,
                "meterStop": 2000,
                "timestamp": _WHEN,
                "reason": "Local",
                "transactionData": [energy(T0_MS, 5, context="Transaction.End", format="SignedData")],
            },
        ),
        ("DataTransfer", {"vendorId": "v", "data": "x"}),
        ("FirmwareStatusNotification", {"status": "Installed"}),
        ("Heartbeat", {}),
    ],
    "ocpp2.1": [
        ("BootNotification", {"chargingStation": {"vendorName": "V", "model": "M"}, "reason": "PowerUp"}),
        ("StatusNotification", {"evseId": 1, "connectorId": 1, "connectorStatus": "Occupied", "timestamp": _WHEN}),
        ("Authorize", {"idToken": {"idToken": "T", "type": "Central"}}),
        ("TransactionEvent", {**_EVENT, "eventType": "Started", "seqNo": 0, "meterValue": [energy_2(T0_MS, 1)]}),
        ("TransactionEvent", {**_EVENT, "eventType": "Updated", "seqNo": 1, "meterValue": [energy_2(T0_MS, 2)]}),
        ("TransactionEvent", {**_EVENT, "eventType": "Ended", "seqNo": 2, "meterValue": [energy_2(T0_MS, 3)]}),
        (
            "MeterValues",
            {"evseId": 1, "meterValue": [energy_2(T0_MS, 5, unitOfMeasure={"unit": "kWh", "multiplier": 2})]},
        ),
        ("NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": {"requestedEnergyTransfer": "DC_BPT"}}),
        ("NotifyReport", {"requestId": 1, "seqNo": 0, "generatedAt": _WHEN, "reportData": []}),
        ("PullDynamicScheduleUpdate", {"chargingProfileId": 1900000012}),
        ("NotifyEvent", {"generatedAt": _WHEN, "seqNo": 0, "eventData": []}),
        ("Heartbeat", {}),
    ],
}
ANSWERS: list[dict[str, Any]] = [
    {"status": "Accepted"},
    {"configurationKey": [{"key": "ChargeProfileMaxStackLevel", "readonly": True, "value": "8"}]},
    {"status": "Accepted", "chargingSchedule": {"chargingRateUnit": "W", "chargingSchedulePeriod": _PERIODS}},
    {"status": "Accepted", "schedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": _PERIODS}},
    {
        "getVariableResult": [
            {
                "component": {"name": "SmartChargingCtrlr"},
                "variable": {"name": "RateUnit"},
                "attributeStatus": "Accepted",
                "attributeValue": "A,W",
            }
        ]
    },
    {"setVariableResult": [{"attributeStatus": "Accepted"}]},
    {"listVersion": 1},
]
_ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    2**63,
    10**30,
    1e308,
    -0.5,
    "",
    "x" * 300,
    "\u0000",
    "NaN",
    "1e400",
    [],
    {},
    [[]],
    {"a": 1},
    _WHEN,
]


def spoilt(tree: Any, chance: random.Random) -> Any:
    """A copy with some of its parts lost, doubled or replaced."""
    tree = copy.deepcopy(tree)
    for _ in range(chance.randint(0, 4)):
        parts: list[tuple[Any, Any]] = []
        _places(tree, parts)
        if not parts:
            return chance.choice(_ODD)
        where, key = chance.choice(parts)
        way = chance.random()
        if way < 0.25:
            del where[key]
        elif way < 0.8:
            where[key] = copy.deepcopy(chance.choice(_ODD))
        elif isinstance(where, list):
            where.append(copy.deepcopy(where[key]))
        else:
            where[key * 2] = where[key]
    return tree


def _places(tree: Any, parts: list[tuple[Any, Any]]) -> None:
    items = list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree)) if isinstance(tree, list) else []
    for key, inner in items:
        parts.append((tree, key))
        _places(inner, parts)


def message(version: str, chance: random.Random) -> bytes:
    """A call, or an answer to nothing, or bytes that are neither."""
    action, payload = chance.choice(RIGHT[version])
    whole = spoilt([2, f"f{chance.randrange(10**6)}", action, payload], chance)
    raw = json.dumps(whole).encode()
    if chance.random() < 0.2:
        cut = bytearray(raw)
        for _ in range(chance.randint(1, 6)):
            if cut:
                at = chance.randrange(len(cut))
                cut[at : at + chance.randint(0, 3)] = bytes(chance.randrange(256) for _ in range(chance.randint(0, 3)))
        raw = bytes(cut)
    return raw
