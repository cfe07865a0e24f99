"""Charging piles made of the package `ocpp`, which talk to the agent's side as told. They share no code with the driver."""

import asyncio
import contextlib
import itertools
import json
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import ocpp.v16
import ocpp.v16.call
import ocpp.v16.call_result
import ocpp.v21
import ocpp.v21.call
import ocpp.v21.call_result
import ocpp.v201
import ocpp.v201.call
import ocpp.v201.call_result
from ocpp.routing import on
from websockets.asyncio.client import connect

logging.getLogger("ocpp").setLevel(logging.CRITICAL)
T0_MS = 1_790_000_000_000  # 2026-09-21T14:13:20Z
ENERGY = "Energy.Active.Import.Register"


def stamp(at_ms: int) -> str:
    """An instant as the standard writes it, by the library of Python alone."""
    from datetime import UTC, datetime, timedelta

    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Clock:
    """A wall clock that a test moves."""

    def __init__(self, at_ms: int = T0_MS) -> None:
        self.at_ms = at_ms

    def __call__(self) -> int:
        return self.at_ms

    def forward(self, seconds: float) -> None:
        self.at_ms += int(seconds * 1000)


class Store:
    """What a pile of any version keeps: settings, profiles by id, and what it was asked."""

    def __init__(self) -> None:
        self.settings: dict[str, str] = {}
        self.refuses: Callable[[str, str], bool] = lambda _key, _value: False
        self.profiles: dict[int, dict[str, Any]] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.composite: Mapping[str, Any] | None = None
        self.profile_status = "Accepted"

    def said(self, action: str) -> list[dict[str, Any]]:
        """The calls of one action, in their order."""
        return [told for name, told in self.asked if name == action]


class Station16(ocpp.v16.ChargePoint):  # type: ignore[misc]
    """A pile of OCPP 1.6."""

    store: Store

    @on("GetConfiguration")
    def on_get_configuration(self, **told: Any) -> Any:
        self.store.asked.append(("GetConfiguration", told))
        listed = [{"key": key, "readonly": False, "value": value} for key, value in self.store.settings.items()]
        return ocpp.v16.call_result.GetConfiguration(configuration_key=listed)

    @on("ChangeConfiguration")
    def on_change_configuration(self, key: str, value: str) -> Any:
        self.store.asked.append(("ChangeConfiguration", {"key": key, "value": value}))
        if self.store.refuses(key, value):
            return ocpp.v16.call_result.ChangeConfiguration("Rejected")
        self.store.settings[key] = value
        return ocpp.v16.call_result.ChangeConfiguration("Accepted")

    @on("SetChargingProfile")
    def on_set_charging_profile(self, connector_id: int, cs_charging_profiles: dict[str, Any]) -> Any:
        profile = {**cs_charging_profiles, "connector_id": connector_id}
        self.store.asked.append(("SetChargingProfile", profile))
        if self.store.profile_status == "Accepted":
            self.store.profiles[profile["charging_profile_id"]] = profile
        return ocpp.v16.call_result.SetChargingProfile(self.store.profile_status)

    @on("ClearChargingProfile")
    def on_clear_charging_profile(self, **told: Any) -> Any:
        self.store.asked.append(("ClearChargingProfile", told))
        gone = self.store.profiles.pop(told.get("id"), None)
        return ocpp.v16.call_result.ClearChargingProfile("Unknown" if gone is None else "Accepted")

    @on("GetCompositeSchedule")
    def on_get_composite_schedule(self, **told: Any) -> Any:
        self.store.asked.append(("GetCompositeSchedule", told))
        found = self.store.composite
        if found is None:
            mine = [p for p in self.store.profiles.values() if p["connector_id"] == told["connector_id"]]
            if not mine:
                return ocpp.v16.call_result.GetCompositeSchedule("Rejected")
            top = max(mine, key=lambda p: (p["charging_profile_purpose"] == "TxProfile", p["stack_level"]))
            held = top["charging_schedule"]
            found = {
                "charging_rate_unit": held["charging_rate_unit"],
                "charging_schedule_period": [
                    {**p, "limit": float(p["limit"])} for p in held["charging_schedule_period"]
                ],
            }
        return ocpp.v16.call_result.GetCompositeSchedule("Accepted", told["connector_id"], None, dict(found))

    @on("TriggerMessage")
    def on_trigger_message(self, **told: Any) -> Any:
        self.store.asked.append(("TriggerMessage", told))
        return ocpp.v16.call_result.TriggerMessage("Accepted")

    @on("GetLocalListVersion")
    def on_get_local_list_version(self) -> Any:
        return ocpp.v16.call_result.GetLocalListVersion(0)

    @on("SendLocalList")
    def on_send_local_list(self, **told: Any) -> Any:
        self.store.asked.append(("SendLocalList", told))
        return ocpp.v16.call_result.SendLocalList("Accepted")

    @on("RemoteStartTransaction")
    def on_remote_start_transaction(self, **told: Any) -> Any:
        self.store.asked.append(("RemoteStartTransaction", told))
        return ocpp.v16.call_result.RemoteStartTransaction("Accepted")

    @on("RemoteStopTransaction")
    def on_remote_stop_transaction(self, **told: Any) -> Any:
        self.store.asked.append(("RemoteStopTransaction", told))
        return ocpp.v16.call_result.RemoteStopTransaction("Accepted")

    @on("UnlockConnector")
    def on_unlock_connector(self, **told: Any) -> Any:
        self.store.asked.append(("UnlockConnector", told))
        return ocpp.v16.call_result.UnlockConnector("Unlocked")

    @on("Reset")
    def on_reset(self, **told: Any) -> Any:
        self.store.asked.append(("Reset", told))
        return ocpp.v16.call_result.Reset("Accepted")

    @on("ChangeAvailability")
    def on_change_availability(self, **told: Any) -> Any:
        self.store.asked.append(("ChangeAvailability", told))
        return ocpp.v16.call_result.ChangeAvailability("Accepted")

    @on("UpdateFirmware")
    def on_update_firmware(self, **told: Any) -> Any:
        self.store.asked.append(("UpdateFirmware", told))
        return ocpp.v16.call_result.UpdateFirmware()

    @on("GetDiagnostics")
    def on_get_diagnostics(self, **told: Any) -> Any:
        self.store.asked.append(("GetDiagnostics", told))
        return ocpp.v16.call_result.GetDiagnostics("log.zip")


def _of_2(version: Any, point: Any) -> Any:
    """A pile of OCPP 2.0.1 or 2.1: the same handlers in the words of either."""
    result = version.call_result

    class Station2(point):  # type: ignore[misc]
        store: Store

        @on("GetVariables")
        def on_get_variables(self, get_variable_data: list[dict[str, Any]]) -> Any:
            self.store.asked.append(("GetVariables", {"get_variable_data": get_variable_data}))
            answers = []
            for wanted in get_variable_data:
                key = f"{wanted['component']['name']}.{wanted['variable']['name']}"
                value = self.store.settings.get(key)
                answers.append(
                    {
                        **wanted,
                        "attribute_status": "UnknownVariable" if value is None else "Accepted",
                        "attribute_value": value,
                    }
                )
            return result.GetVariables(get_variable_result=answers)

        @on("SetVariables")
        def on_set_variables(self, set_variable_data: list[dict[str, Any]]) -> Any:
            answers = []
            for wanted in set_variable_data:
                key, value = f"{wanted['component']['name']}.{wanted['variable']['name']}", wanted["attribute_value"]
                self.store.asked.append(("SetVariables", {"key": key, "value": value}))
                refused = self.store.refuses(key, value)
                if not refused:
                    self.store.settings[key] = value
                answers.append(
                    {
                        "component": wanted["component"],
                        "variable": wanted["variable"],
                        "attribute_status": "Rejected" if refused else "Accepted",
                    }
                )
            return result.SetVariables(set_variable_result=answers)

        @on("SetChargingProfile")
        def on_set_charging_profile(self, evse_id: int, charging_profile: dict[str, Any]) -> Any:
            profile = {**charging_profile, "evse_id": evse_id}
            self.store.asked.append(("SetChargingProfile", profile))
            if self.store.profile_status == "Accepted":
                self.store.profiles[profile["id"]] = profile
            return result.SetChargingProfile(status=self.store.profile_status)

        @on("ClearChargingProfile")
        def on_clear_charging_profile(self, **told: Any) -> Any:
            self.store.asked.append(("ClearChargingProfile", told))
            gone = self.store.profiles.pop(told.get("charging_profile_id"), None)
            return result.ClearChargingProfile(status="Unknown" if gone is None else "Accepted")

        @on("GetCompositeSchedule")
        def on_get_composite_schedule(self, **told: Any) -> Any:
            self.store.asked.append(("GetCompositeSchedule", told))
            mine = [p for p in self.store.profiles.values() if p["evse_id"] == told["evse_id"]]
            if not mine:
                return result.GetCompositeSchedule(status="Rejected")
            top = max(mine, key=lambda p: (p["charging_profile_purpose"] == "TxProfile", p["stack_level"]))
            held = top["charging_schedule"][0]
            return result.GetCompositeSchedule(
                status="Accepted",
                schedule={
                    "evse_id": told["evse_id"],
                    "duration": told["duration"],
                    "schedule_start": stamp(T0_MS),
                    "charging_rate_unit": held["charging_rate_unit"],
                    "charging_schedule_period": held["charging_schedule_period"],
                },
            )

        @on("TriggerMessage")
        def on_trigger_message(self, **told: Any) -> Any:
            self.store.asked.append(("TriggerMessage", told))
            return result.TriggerMessage(status="Accepted")

        @on("RequestStartTransaction")
        def on_request_start_transaction(self, **told: Any) -> Any:
            self.store.asked.append(("RequestStartTransaction", told))
            return result.RequestStartTransaction(status="Accepted")

        @on("RequestStopTransaction")
        def on_request_stop_transaction(self, **told: Any) -> Any:
            self.store.asked.append(("RequestStopTransaction", told))
            return result.RequestStopTransaction(status="Accepted")

        @on("GetBaseReport")
        def on_get_base_report(self, **told: Any) -> Any:
            self.store.asked.append(("GetBaseReport", told))
            return result.GetBaseReport(status="Accepted")

        @on("GetLog")
        def on_get_log(self, **told: Any) -> Any:
            self.store.asked.append(("GetLog", told))
            return result.GetLog(status="Accepted")

        @on("UpdateFirmware")
        def on_update_firmware(self, **told: Any) -> Any:
            self.store.asked.append(("UpdateFirmware", told))
            return result.UpdateFirmware(status="Accepted")

        @on("Reset")
        def on_reset(self, **told: Any) -> Any:
            self.store.asked.append(("Reset", told))
            return result.Reset(status="Accepted")

        @on("ChangeAvailability")
        def on_change_availability(self, **told: Any) -> Any:
            self.store.asked.append(("ChangeAvailability", told))
            return result.ChangeAvailability(status="Accepted")

        @on("UnlockConnector")
        def on_unlock_connector(self, **told: Any) -> Any:
            self.store.asked.append(("UnlockConnector", told))
            return result.UnlockConnector(status="Unlocked")

        if version is ocpp.v21:

            @on("UpdateDynamicSchedule")
            def on_update_dynamic_schedule(self, **told: Any) -> Any:
                self.store.asked.append(("UpdateDynamicSchedule", told))
                return result.UpdateDynamicSchedule(status="Accepted")

            @on("NotifyAllowedEnergyTransfer")
            def on_notify_allowed_energy_transfer(self, **told: Any) -> Any:
                self.store.asked.append(("NotifyAllowedEnergyTransfer", told))
                return result.NotifyAllowedEnergyTransfer(status="Accepted")

    return Station2


Station201 = _of_2(ocpp.v201, ocpp.v201.ChargePoint)
Station21 = _of_2(ocpp.v21, ocpp.v21.ChargePoint)
KINDS = {"ocpp1.6": Station16, "ocpp2.0.1": Station201, "ocpp2.1": Station21}
CALLS = {"ocpp1.6": ocpp.v16.call, "ocpp2.0.1": ocpp.v201.call, "ocpp2.1": ocpp.v21.call}


@contextlib.asynccontextmanager
async def station(
    url: str,
    identity: str = "CP-1",
    version: str = "ocpp1.6",
    store: Store | None = None,
    context: ssl.SSLContext | None = None,
    headers: dict[str, str] | None = None,
) -> AsyncIterator[Any]:
    """A connected pile; it answers until the block ends. `store` is what it keeps from one connection to the next."""
    async with connect(
        f"{url}/{identity}", subprotocols=[version], ssl=context, additional_headers=headers, proxy=None
    ) as socket:
        pile = KINDS[version](identity, socket, response_timeout=10)
        pile.store = store or Store()
        pile.socket = socket
        pile.words = CALLS[version]
        serving = asyncio.create_task(pile.start())
        try:
            yield pile
        finally:
            serving.cancel()
            with contextlib.suppress(BaseException):
                await serving


async def call(pile: Any, action: str, **told: Any) -> Any:
    """A call of the pile; an error that comes back fails the test."""
    return await pile.call(getattr(pile.words, action)(**told), suppress=False)


_NUMBERS = itertools.count()


class Raw:
    """A WebSocket that sends what a test writes, fit or not."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket

    async def ask(self, action: str, payload: Any, call_id: str = "") -> Any:
        """The answer to a call, whole; calls of the other side that come before are left unanswered."""
        call_id = call_id or f"raw-{next(_NUMBERS)}"
        await self.socket.send(json.dumps([2, call_id, action, payload]))
        return await self.answer(call_id)

    async def answer(self, call_id: str) -> Any:
        async with asyncio.timeout(10):
            while True:
                message = json.loads(await self.socket.recv())
                if message[0] != 2 and message[1] == call_id:
                    return message


@contextlib.asynccontextmanager
async def raw(url: str, identity: str = "CP-1", version: str = "ocpp1.6") -> AsyncIterator[Raw]:
    """A connection of which a test decides each byte."""
    async with connect(f"{url}/{identity}", subprotocols=[version], proxy=None) as socket:
        yield Raw(socket)


def energy(at_ms: int, wh: object, *, context: str = "Sample.Periodic", **more: Any) -> dict[str, Any]:
    """A meterValue entry of 1.6 with one energy."""
    sampled = {"value": str(wh), "context": context, "measurand": ENERGY, "unit": "Wh", **more}
    return {"timestamp": stamp(at_ms), "sampledValue": [sampled]}


def energy_2(at_ms: int, wh: float, *, context: str = "Sample.Periodic", **more: Any) -> dict[str, Any]:
    """The same in the words of 2.x."""
    sampled = {"value": wh, "context": context, "measurand": ENERGY, **more}
    return {"timestamp": stamp(at_ms), "sampledValue": [sampled]}
