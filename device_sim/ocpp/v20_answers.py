"""How a 2.0.1 or 2.1 pile answers its central system. What it says by itself is in `v20`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any, Final, Protocol

from device_sim.ocpp import charging_profiles as cp
from device_sim.ocpp import orders
from device_sim.ocpp.instants import ms_of, text_of
from device_sim.ocpp.link import Outgoing, Payload, Refused
from device_sim.ocpp.meter_values import Context
from device_sim.ocpp.pile import Pile
from device_sim.ocpp.session import Session
from device_sim.ocpp.v16 import limit_of
from device_sim.ocpp.variables import Variables

_KNOWN_UPDATES: Final = {"limit": "limit", "dischargeLimit": "discharge_limit", "setpoint": "set_point"}


class Voice(Protocol):
    """What the answers need of the pile's own messages."""

    def put(self, action: str, payload: Payload) -> None: ...
    def boot(self, reason: str | None = None) -> Outgoing: ...
    def heartbeat(self) -> None: ...
    def notify_status(self) -> None: ...
    def event(self, session: Session, kind: str, trigger: str, at_ms: int) -> None: ...


class Answers:
    """The answers of one pile, by action."""

    def __init__(self, pile: Pile, voice: Voice) -> None:
        self._pile = pile
        self._voice = voice
        self._variables = Variables(pile)
        self._raw: dict[int, Mapping[str, Any]] = {}
        self._pulls: dict[int, Callable[[], None]] = {}
        self._by_action: dict[str, Callable[[dict[str, Any]], Payload]] = {
            "ChangeAvailability": self._change_availability,
            "ClearCache": lambda _: {"status": "Accepted"},
            "ClearChargingProfile": self._clear_charging_profile,
            "DataTransfer": lambda _: {"status": "UnknownVendorId"},
            "GetBaseReport": self._get_base_report,
            "GetChargingProfiles": self._get_charging_profiles,
            "GetCompositeSchedule": self._get_composite_schedule,
            "GetLocalListVersion": lambda _: {"versionNumber": pile.list_version},
            "GetLog": self._get_log,
            "GetTransactionStatus": self._get_transaction_status,
            "GetVariables": lambda asked: {"getVariableResult": [*map(self._variables.read, asked["getVariableData"])]},
            "RequestStartTransaction": self._request_start,
            "RequestStopTransaction": self._request_stop,
            "Reset": self._reset,
            "SendLocalList": self._send_local_list,
            "SetChargingProfile": self._set_charging_profile,
            "SetVariables": lambda asked: {"setVariableResult": [*map(self._variables.set, asked["setVariableData"])]},
            "TriggerMessage": self._trigger_message,
            "UnlockConnector": self._unlock_connector,
            "UpdateFirmware": self._update_firmware,
        }
        if pile.version == "2.1":
            self._by_action["UpdateDynamicSchedule"] = self._update_dynamic_schedule
            self._by_action["NotifyAllowedEnergyTransfer"] = lambda _: {"status": "Accepted"}

    def carry_out(self, action: str, payload: dict[str, Any]) -> Payload:
        """Answers a call whose form was checked. Raises Refused."""
        answer = self._by_action.get(action)
        if answer is None:
            raise Refused("NotSupported", f"{action} is not supported by this pile")
        return answer(payload)

    def _now(self) -> int:
        return self._pile.metering.stamp(self._pile.device.plant.now_ms)

    # Charging profiles.

    def _profile(self, given: Mapping[str, Any], evse: int) -> cp.Profile:
        schedule = given["chargingSchedule"][0]
        try:
            return cp.Profile(
                given["id"],
                given["stackLevel"],
                given["chargingProfilePurpose"],
                given["chargingProfileKind"],
                schedule["chargingRateUnit"],
                tuple(_period(period) for period in schedule["chargingSchedulePeriod"]),
                evse,
                given.get("recurrencyKind"),
                ms_of(given.get("validFrom")),
                ms_of(given.get("validTo")),
                given.get("transactionId"),
                ms_of(schedule.get("startSchedule")),
                schedule.get("duration"),
                update_interval_s=given.get("dynUpdateInterval"),
                offline_s=given.get("maxOfflineDuration"),
                ends_offline=given.get("invalidAfterOfflineDuration", False),
            )
        except (ValueError, OverflowError) as error:
            raise Refused("PropertyConstraintViolation", str(error)) from error

    def _set_charging_profile(self, asked: dict[str, Any]) -> Payload:
        given = asked["chargingProfile"]
        profile = self._profile(given, asked["evseId"])
        beyond_limits = profile.kind == "Dynamic" or any(period.mode is not None for period in profile.periods)
        if beyond_limits and not self._pile.options.v2x:
            return _rejected("UnsupportedParam", "no operation modes, no dynamic schedules")
        reason = orders.install(self._pile, profile)
        if reason is not None:
            return _rejected("InvalidProfile", reason)
        self._raw = {one.id: self._raw[one.id] for one in self._pile.profiles.all() if one.id in self._raw}
        self._raw[profile.id] = given
        if profile.kind == "Dynamic" and profile.update_interval_s:
            self._pull_later(profile.id, profile.update_interval_s)
        return {"status": "Accepted"}

    def _pull_later(self, profile_id: int, every_s: int) -> None:
        """One question per profile is due at a time, however often it was installed."""
        before = self._pulls.pop(profile_id, None)
        if before is not None:
            self._pile.forget(before)
        self._pulls[profile_id] = deed = partial(self._pull, profile_id, every_s)
        self._pile.do_later(every_s, deed)

    def _pull(self, profile_id: int, every_s: int) -> None:
        """A dynamic schedule is asked for again and again, as long as it is installed (OCPP 2.1, K28)."""
        del self._pulls[profile_id]
        if any(one.id == profile_id and one.kind == "Dynamic" for one in self._pile.profiles.all()):
            call = Outgoing(
                "PullDynamicScheduleUpdate",
                {"chargingProfileId": profile_id},
                answered=partial(self._pulled, profile_id),
            )
            self._pile.link.put(call)
            self._pull_later(profile_id, every_s)

    def _pulled(self, profile_id: int, answer: Payload | None) -> None:
        if answer is not None and answer["status"] == "Accepted" and "scheduleUpdate" in answer:
            self._pile.profiles.update(profile_id, _update(answer["scheduleUpdate"]))

    def _update_dynamic_schedule(self, asked: dict[str, Any]) -> Payload:
        taken = self._pile.profiles.update(asked["chargingProfileId"], _update(asked["scheduleUpdate"]))
        return {"status": "Accepted"} if taken else _rejected("UnknownProfile", "no such dynamic profile")

    def _clear_charging_profile(self, asked: dict[str, Any]) -> Payload:
        criteria = asked.get("chargingProfileCriteria", {})
        gone = self._pile.profiles.clear(
            asked.get("chargingProfileId"),
            criteria.get("chargingProfilePurpose"),
            criteria.get("stackLevel"),
            criteria.get("evseId"),
        )
        return {"status": "Accepted" if gone else "Unknown"}

    def _get_charging_profiles(self, asked: dict[str, Any]) -> Payload:
        wanted = asked["chargingProfile"]
        found = [
            one
            for one in self._pile.profiles.all()
            if asked.get("evseId", one.connector) == one.connector
            and one.id in wanted.get("chargingProfileId", [one.id])
            and wanted.get("chargingProfilePurpose", one.purpose) == one.purpose
            and wanted.get("stackLevel", one.stack_level) == one.stack_level
            and "CSO" in wanted.get("chargingLimitSource", ["CSO"])
        ]
        for index, one in enumerate(found):
            payload = {
                "requestId": asked["requestId"],
                "chargingLimitSource": "CSO",
                "chargingProfile": [self._raw[one.id]] if one.id in self._raw else [_told(one)],
                "evseId": one.connector,
                "tbc": index + 1 < len(found),
            }
            self._pile.link.afterwards(partial(self._voice.put, "ReportChargingProfiles", payload))
        return {"status": "Accepted" if found else "NoProfiles"}

    def _get_composite_schedule(self, asked: dict[str, Any]) -> Payload:
        pile, options = self._pile, self._pile.options
        unit = asked.get("chargingRateUnit", options.rate_units[0])
        if asked["evseId"] not in (0, 1) or not options.smart_charging or not 0 < asked["duration"] <= 7 * 86_400:
            return {"status": "Rejected"}
        now, session = pile.device.plant.now_ms, pile.session
        periods = cp.composite(
            pile.profiles,
            now,
            asked["duration"],
            session.begun_ms if session else None,
            session.transaction_id if session else None,
            pile.point.max_mw,
            pile.point.phases,
        )
        schedule = {
            "evseId": asked["evseId"],
            "duration": asked["duration"],
            "scheduleStart": text_of(pile.metering.stamp(now)),
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": [
                {"startPeriod": start, "limit": limit_of(limit, unit, phases), "numberPhases": phases}
                for start, limit, phases in periods
            ],
        }
        return {"status": "Accepted", "schedule": schedule}

    # Transactions.

    def _request_start(self, asked: dict[str, Any]) -> Payload:
        given = asked.get("chargingProfile")
        profile = None if given is None else replace(self._profile(given, 1), transaction=None)
        wrong = asked.get("evseId", 1) != 1
        token = asked["idToken"]["idToken"]
        accepted = not wrong and orders.remote_start(self._pile, token, asked["remoteStartId"], profile)
        return {"status": "Accepted" if accepted else "Rejected"}

    def _request_stop(self, asked: dict[str, Any]) -> Payload:
        session = self._pile.session
        if session is None or session.transaction_id != asked["transactionId"]:
            return {"status": "Rejected"}
        orders.stop(self._pile, "Remote", "RemoteStop")
        return {"status": "Accepted"}

    def _get_transaction_status(self, asked: dict[str, Any]) -> Payload:
        answer: dict[str, Any] = {"messagesInQueue": self._pile.link.backlog > 0}
        if "transactionId" in asked:
            session = self._pile.session
            answer["ongoingIndicator"] = session is not None and session.transaction_id == asked["transactionId"]
        return answer

    # The station.

    def _change_availability(self, asked: dict[str, Any]) -> Payload:
        if asked.get("evse", {}).get("id", 1) != 1:
            return {"status": "Rejected"}
        at_once = orders.set_operative(self._pile, asked["operationalStatus"] == "Operative")
        return {"status": "Accepted" if at_once else "Scheduled"}

    def _get_base_report(self, asked: dict[str, Any]) -> Payload:
        rows = self._variables.report()
        for index in range(0, len(rows), 20):
            payload = {
                "requestId": asked["requestId"],
                "generatedAt": text_of(self._now()),
                "seqNo": index // 20,
                "tbc": index + 20 < len(rows),
                "reportData": rows[index : index + 20],
            }
            self._pile.link.afterwards(partial(self._voice.put, "NotifyReport", payload))
        return {"status": "Accepted"}

    def _get_log(self, asked: dict[str, Any]) -> Payload:
        for delay_s, status in enumerate(("Uploading", "Uploaded"), 1):
            payload = {"status": status, "requestId": asked["requestId"]}
            self._pile.do_later(delay_s, partial(self._voice.put, "LogStatusNotification", payload))
        return {"status": "Accepted", "filename": f"{self._pile.device.name}.log"}

    def _update_firmware(self, asked: dict[str, Any]) -> Payload:
        for delay_s, status in enumerate(("Downloading", "Downloaded", "Installing", "Installed"), 1):
            payload = {"status": status, "requestId": asked["requestId"]}
            self._pile.do_later(delay_s, partial(self._voice.put, "FirmwareStatusNotification", payload))
        return {"status": "Accepted"}

    def _reset(self, asked: dict[str, Any]) -> Payload:
        if asked.get("evseId", 1) not in (0, 1):
            return {"status": "Rejected"}
        if self._pile.session is not None:
            if asked["type"] == "OnIdle":
                self._pile.reboot_when_idle = True
                return {"status": "Scheduled"}
            orders.stop(self._pile, "SoftReset", "ResetCommand")
        self._pile.ask_reboot("RemoteReset")
        return {"status": "Accepted"}

    def _send_local_list(self, asked: dict[str, Any]) -> Payload:
        pile, entries = self._pile, asked.get("localAuthorizationList", [])
        if asked["updateType"] == "Full":
            pile.local_list.clear()
        elif asked["versionNumber"] <= pile.list_version:
            return {"status": "VersionMismatch"}
        if len(pile.local_list) + len(entries) > 1000:
            return {"status": "Failed"}
        for entry in entries:
            token = entry["idToken"]["idToken"]
            if "idTokenInfo" in entry:
                pile.local_list[token] = entry["idTokenInfo"]["status"] == "Accepted"
            else:
                pile.local_list.pop(token, None)
        pile.list_version = asked["versionNumber"]
        return {"status": "Accepted"}

    def _trigger_message(self, asked: dict[str, Any]) -> Payload:
        pile, session = self._pile, self._pile.session
        deeds: dict[str, Callable[[], None]] = {
            "BootNotification": lambda: pile.link.put(self._voice.boot("Triggered")),
            "Heartbeat": self._voice.heartbeat,
            "StatusNotification": self._voice.notify_status,
            "MeterValues": lambda: pile.dialect.sampled(
                None, pile.metering.reading(pile.device.plant.now_ms), Context.TRIGGER
            ),
        }
        if session is not None:
            deeds["TransactionEvent"] = lambda: self._voice.event(session, "Updated", "Trigger", self._now())
        if asked.get("evse", {}).get("id", 1) not in (0, 1):
            return {"status": "Rejected"}
        deed = deeds.get(asked["requestedMessage"])
        if deed is None:
            return {"status": "Rejected" if asked["requestedMessage"] == "TransactionEvent" else "NotImplemented"}
        pile.link.afterwards(deed)
        return {"status": "Accepted"}

    def _unlock_connector(self, asked: dict[str, Any]) -> Payload:
        if (asked["evseId"], asked["connectorId"]) != (1, 1):
            return {"status": "UnknownConnector"}
        if self._pile.session is not None:
            return {"status": "OngoingAuthorizedTransaction"}
        return {"status": "Unlocked"}


def _period(given: Mapping[str, Any]) -> cp.Period:
    numbers = {own: Decimal(given[name]) for name, own in _KNOWN_UPDATES.items() if name in given}
    return cp.Period(
        given["startPeriod"],
        numbers.get("limit"),
        given.get("numberPhases"),
        numbers.get("discharge_limit"),
        numbers.get("set_point"),
        given.get("operationMode"),
    )


def _update(given: Mapping[str, Any]) -> dict[str, Decimal]:
    return {own: Decimal(given[name]) for name, own in _KNOWN_UPDATES.items() if name in given}


def _told(profile: cp.Profile) -> dict[str, Any]:
    """A profile that came with a remote start, as far as it is known."""
    return {
        "id": profile.id,
        "stackLevel": profile.stack_level,
        "chargingProfilePurpose": profile.purpose,
        "chargingProfileKind": profile.kind,
        "chargingSchedule": [
            {
                "id": 1,
                "chargingRateUnit": profile.unit,
                "chargingSchedulePeriod": [
                    {"startPeriod": period.start_s, "limit": period.limit or 0} for period in profile.periods
                ],
            }
        ],
    }


def _rejected(code: str, text: str) -> Payload:
    return {"status": "Rejected", "statusInfo": {"reasonCode": code[:20], "additionalInfo": text}}
