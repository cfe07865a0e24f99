"""A pile's life in the messages of OCPP 1.6J (edition 2): what it sends and how it answers. Not what happens in it (`pile`)."""

from collections.abc import Callable, Mapping
from decimal import ROUND_DOWN, Decimal
from functools import partial
from typing import Any, Final

from device_sim.charging_points import PHASE_MV
from device_sim.faults import FaultKind
from device_sim.ocpp import charging_profiles as cp
from device_sim.ocpp import orders
from device_sim.ocpp.dialect import State
from device_sim.ocpp.instants import ms_of, text_of
from device_sim.ocpp.link import Outgoing, Payload, Refused
from device_sim.ocpp.meter_values import Context, Quirk, Reading, as_sent, sampled_values
from device_sim.ocpp.pile import Pile
from device_sim.ocpp.session import Session, relative_to
from device_sim.ocpp.settings import KEYS, WRITE_ONLY, SettingRefused, measurands, shown, take

_PURPOSES: Final = {"ChargePointMaxProfile": cp.STATION_MAX}
_UNITS: Final = {"A": "Current", "W": "Power"}
_NOT_IN_THIS_VERSION: Final = ("Hz",)  # units that the enumeration of 1.6 lacks


class Dialect16:
    """The messages of one pile."""

    def __init__(self, pile: Pile) -> None:
        self._pile = pile
        self._answers: dict[str, Callable[[dict[str, Any]], Payload]] = {
            "ChangeAvailability": self._change_availability,
            "ChangeConfiguration": self._change_configuration,
            "ClearCache": lambda _: {"status": "Accepted"},
            "ClearChargingProfile": self._clear_charging_profile,
            "DataTransfer": lambda _: {"status": "UnknownVendorId"},
            "GetCompositeSchedule": self._get_composite_schedule,
            "GetConfiguration": self._get_configuration,
            "GetDiagnostics": self._get_diagnostics,
            "GetLocalListVersion": lambda _: {"listVersion": pile.list_version},
            "RemoteStartTransaction": self._remote_start,
            "RemoteStopTransaction": self._remote_stop,
            "Reset": self._reset,
            "SendLocalList": self._send_local_list,
            "SetChargingProfile": self._set_charging_profile,
            "TriggerMessage": self._trigger_message,
            "UnlockConnector": self._unlock_connector,
            "UpdateFirmware": self._update_firmware,
        }

    # What the pile says.

    def boot(self) -> Outgoing:
        """The first message of a connection; 1.6 knows no reason for it."""
        return Outgoing(
            "BootNotification",
            {
                "chargePointVendor": "device_sim",
                "chargePointModel": "pile16",
                "chargePointSerialNumber": self._pile.options.identity[:25],
                "meterSerialNumber": f"METER-{self._pile.device.name}"[:25],
                "firmwareVersion": "1.0",
            },
        )

    def booted(self) -> None:
        """The station as a whole; the connector's state follows from the pile."""
        self._status(0, State.AVAILABLE if self._pile.operative else State.UNAVAILABLE)

    def heartbeat(self) -> None:
        self._pile.link.put(Outgoing("Heartbeat", {}))

    def state(self, state: State) -> None:
        self._status(1, state)

    def _status(self, connector: int, state: State) -> None:
        self._put(
            "StatusNotification",
            {
                "connectorId": connector,
                "errorCode": "NoError",
                "status": state.value,
                "timestamp": text_of(self._pile.metering.stamp(self._pile.device.plant.now_ms)),
            },
        )

    def authorize(self, id_tag: str, answered: Callable[[bool | None], None]) -> None:
        self._pile.link.put(
            Outgoing("Authorize", {"idTag": id_tag}, answered=lambda answer: answered(_accepted(answer)))
        )

    def begun(self, session: Session) -> None:
        begin = 0 if Quirk.NO_BEGIN in self._pile.options.quirks else session.begin.import_wh
        payload = {
            "connectorId": 1,
            "idTag": session.id_tag,
            "meterStart": begin,
            "timestamp": text_of(session.begin.at_ms),
        }
        self._pile.link.put(
            Outgoing("StartTransaction", payload, kept=True, answered=lambda answer: self._started(session, answer))
        )

    def _started(self, session: Session, answer: Payload | None) -> None:
        session.transaction_id = "-1" if answer is None else str(answer["transactionId"])
        if answer is None or _accepted(answer) or not self._pile.settings.stop_on_invalid:
            return
        if self._pile.session is session:
            self._pile.end("DeAuthorized", "Deauthorized")

    def sampled(self, session: Session | None, reading: Reading, context: Context) -> None:
        settings = self._pile.settings
        wanted = measurands(settings.aligned if context is Context.CLOCK else settings.sampled)
        values = self._values(reading, context, wanted, session)
        if not values:
            return
        meter_value = [{"timestamp": text_of(reading.at_ms), "sampledValue": values}]
        serial = self._pile.metering.next_serial()

        def payload() -> Payload:
            wrong = FaultKind.WRONG_UNIT in self._pile.faults()
            found: dict[str, Any] = {"connectorId": 2 if wrong else 1, "meterValue": meter_value}
            if session is not None and session.transaction_id is not None:
                found["transactionId"] = int(session.transaction_id) + (1 if wrong else 0)
            return found

        self._pile.link.put(
            Outgoing(
                "MeterValues",
                payload,
                kept=session is not None,
                meter=True,
                sent=lambda message_id: self._pile.metering.log_sent(serial, reading, context, message_id),
            )
        )

    def ended(self, session: Session) -> None:
        end = session.end
        assert end is not None
        begin, reason = session.begin, session.reason or "Other"
        data = []
        wanted = measurands(self._pile.settings.ended)
        for reading, context, signed in (
            (begin, Context.BEGIN, session.signed_begin),
            (end, Context.END, session.signed_end),
        ):
            values = self._values(reading, context, wanted, session)
            if signed is not None:
                values.append({"value": signed, "context": context.value, "format": "SignedData"})
            if values:
                data.append({"timestamp": text_of(reading.at_ms), "sampledValue": values})

        def payload() -> Payload:
            found: dict[str, Any] = {
                "meterStop": end.import_wh,
                "timestamp": text_of(end.at_ms),
                "transactionId": int(session.transaction_id or -1),
                "reason": reason,
            }
            if reason == "Local":
                found["idTag"] = session.id_tag
            if data:
                found["transactionData"] = data
            return found

        self._pile.link.put(Outgoing("StopTransaction", payload, kept=True))

    def resumed(self, session: Session) -> None:
        """1.6 has no word for it: the transaction simply goes on."""

    def _values(
        self, reading: Reading, context: Context, wanted: tuple[str, ...], session: Session | None
    ) -> list[dict[str, str]]:
        quirks = self._pile.options.quirks - {Quirk.MULTIPLIER}
        values = []
        for sampled in sampled_values(reading, wanted, relative_to(session, context, self._pile.options.quirks)):
            value, unit, _ = as_sent(sampled, quirks)
            entry = {"value": f"{value:f}", "context": context.value, "measurand": sampled.measurand}
            extra = {"unit": unit, "phase": sampled.phase, "location": sampled.location}
            values.append(
                entry | {key: text for key, text in extra.items() if text and text not in _NOT_IN_THIS_VERSION}
            )
        return values

    def _put(self, action: str, payload: Payload) -> None:
        self._pile.link.put(Outgoing(action, payload))

    # What the central system asks.

    def carry_out(self, action: str, payload: dict[str, Any]) -> Payload:
        """Answers a call whose form was checked. Raises Refused."""
        answer = self._answers.get(action)
        if answer is None:
            raise Refused("NotSupported", f"{action} is not supported by this pile")
        return answer(payload)

    def _change_availability(self, asked: dict[str, Any]) -> Payload:
        if asked["connectorId"] not in (0, 1):
            return {"status": "Rejected"}
        at_once = orders.set_operative(self._pile, asked["type"] == "Operative")
        return {"status": "Accepted" if at_once else "Scheduled"}

    def _fixed_keys(self) -> dict[str, str]:
        options = self._pile.options
        features = ["Core", "LocalAuthListManagement", "RemoteTrigger", "FirmwareManagement"]
        keys = {"NumberOfConnectors": "1", "LocalAuthListMaxLength": "1000", "SendLocalListMaxLength": "1000"}
        keys["GetConfigurationMaxKeys"] = "100"
        if options.smart_charging:
            features.append("SmartCharging")
            keys["ChargeProfileMaxStackLevel"] = str(options.highest_level)
            keys["ChargingScheduleAllowedChargingRateUnit"] = ",".join(_UNITS[unit] for unit in options.rate_units)
            keys["ChargingScheduleMaxPeriods"] = str(options.most_periods)
            keys["MaxChargingProfilesInstalled"] = str(options.most_profiles)
            keys["ConnectorSwitch3to1PhaseSupported"] = "true"
        keys["SupportedFeatureProfiles"] = ",".join(features)
        return keys

    def _change_configuration(self, asked: dict[str, Any]) -> Payload:
        name = asked["key"]
        if name in self._fixed_keys():
            return {"status": "Rejected"}
        if name not in KEYS:
            return {"status": "NotSupported"}
        try:
            take(self._pile.settings, KEYS[name], asked["value"])
        except SettingRefused:
            return {"status": "Rejected"}
        self._pile.settings_written += 1
        return {"status": "Accepted"}

    def _get_configuration(self, asked: dict[str, Any]) -> Payload:
        fixed = self._fixed_keys()
        wanted = asked.get("key") or [*KEYS, *fixed]
        found = []
        for name in wanted:
            if name in fixed:
                found.append({"key": name, "readonly": True, "value": fixed[name]})
            elif name in KEYS:
                entry = {"key": name, "readonly": False}
                if KEYS[name] not in WRITE_ONLY:
                    entry["value"] = shown(self._pile.settings, KEYS[name])
                found.append(entry)
        unknown = [name for name in wanted if name not in fixed and name not in KEYS]
        return {"configurationKey": found, "unknownKey": unknown}

    def _clear_charging_profile(self, asked: dict[str, Any]) -> Payload:
        purpose = asked.get("chargingProfilePurpose")
        gone = self._pile.profiles.clear(
            asked.get("id"),
            None if purpose is None else _PURPOSES.get(purpose, purpose),
            asked.get("stackLevel"),
            asked.get("connectorId"),
        )
        return {"status": "Accepted" if gone else "Unknown"}

    def _set_charging_profile(self, asked: dict[str, Any]) -> Payload:
        if not self._pile.options.smart_charging:
            return {"status": "NotSupported"}
        profile = _profile(asked["csChargingProfiles"], asked["connectorId"])
        return {"status": "Rejected" if orders.install(self._pile, profile) else "Accepted"}

    def _get_composite_schedule(self, asked: dict[str, Any]) -> Payload:
        pile, options = self._pile, self._pile.options
        unit = asked.get("chargingRateUnit", options.rate_units[0])
        if asked["connectorId"] not in (0, 1) or not options.smart_charging or not 0 < asked["duration"] <= 7 * 86_400:
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
        shown_periods = [
            {"startPeriod": start, "limit": limit_of(limit, unit, phases), "numberPhases": phases}
            for start, limit, phases in periods
        ]
        start_text = text_of(pile.metering.stamp(now))
        return {
            "status": "Accepted",
            "connectorId": asked["connectorId"],
            "scheduleStart": start_text,
            "chargingSchedule": {
                "duration": asked["duration"],
                "startSchedule": start_text,
                "chargingRateUnit": unit,
                "chargingSchedulePeriod": shown_periods,
            },
        }

    def _remote_start(self, asked: dict[str, Any]) -> Payload:
        given = asked.get("chargingProfile")
        profile = None if given is None else _profile(given, 1)
        wrong = asked.get("connectorId", 1) != 1
        accepted = not wrong and orders.remote_start(self._pile, asked["idTag"], None, profile)
        return {"status": "Accepted" if accepted else "Rejected"}

    def _remote_stop(self, asked: dict[str, Any]) -> Payload:
        session = self._pile.session
        if session is None or session.transaction_id != str(asked["transactionId"]):
            return {"status": "Rejected"}
        orders.stop(self._pile, "Remote", "RemoteStop")
        return {"status": "Accepted"}

    def _reset(self, asked: dict[str, Any]) -> Payload:
        reason = "HardReset" if asked["type"] == "Hard" else "SoftReset"
        if self._pile.session is not None:
            orders.stop(self._pile, reason, "ResetCommand")
        self._pile.ask_reboot("RemoteReset")
        return {"status": "Accepted"}

    def _send_local_list(self, asked: dict[str, Any]) -> Payload:
        pile, entries = self._pile, asked.get("localAuthorizationList", [])
        if asked["updateType"] == "Full":
            pile.local_list.clear()
        elif asked["listVersion"] <= pile.list_version:
            return {"status": "VersionMismatch"}
        if len(pile.local_list) + len(entries) > 1000:
            return {"status": "Failed"}
        for entry in entries:
            if "idTagInfo" in entry:
                pile.local_list[entry["idTag"]] = entry["idTagInfo"]["status"] == "Accepted"
            else:
                pile.local_list.pop(entry["idTag"], None)
        pile.list_version = asked["listVersion"]
        return {"status": "Accepted"}

    def _trigger_message(self, asked: dict[str, Any]) -> Payload:
        pile, what = self._pile, asked["requestedMessage"]
        deeds: Mapping[str, Callable[[], None]] = {
            "BootNotification": lambda: pile.link.put(self.boot()),
            "Heartbeat": self.heartbeat,
            "StatusNotification": lambda: self._status(1, pile.state),
            "MeterValues": lambda: self.sampled(
                pile.session, pile.metering.reading(pile.device.plant.now_ms), Context.TRIGGER
            ),
            "FirmwareStatusNotification": lambda: self._put("FirmwareStatusNotification", {"status": "Idle"}),
            "DiagnosticsStatusNotification": lambda: self._put("DiagnosticsStatusNotification", {"status": "Idle"}),
        }
        if asked.get("connectorId", 1) not in (0, 1):
            return {"status": "Rejected"}
        pile.link.afterwards(deeds[what])
        return {"status": "Accepted"}

    def _unlock_connector(self, asked: dict[str, Any]) -> Payload:
        if asked["connectorId"] != 1:
            return {"status": "NotSupported"}
        orders.unlock(self._pile)
        return {"status": "Unlocked"}

    def _report(self, action: str, *statuses: str) -> None:
        """Tells one status a second."""
        for delay_s, status in enumerate(statuses, 1):
            self._pile.do_later(delay_s, partial(self._put, action, {"status": status}))

    def _update_firmware(self, _: dict[str, Any]) -> Payload:
        self._report("FirmwareStatusNotification", "Downloading", "Downloaded", "Installing", "Installed")
        return {}

    def _get_diagnostics(self, _: dict[str, Any]) -> Payload:
        self._report("DiagnosticsStatusNotification", "Uploading", "Uploaded")
        return {"fileName": f"{self._pile.device.name}.log"}


def limit_of(limit_mw: int, unit: str, phases: int) -> Decimal:
    """A power as a limit in W or A, rounded down to 0.1 as the schema asks."""
    value = Decimal(limit_mw) / 1000 if unit == "W" else Decimal(limit_mw) / (phases * PHASE_MV)
    return value.quantize(Decimal("0.1"), ROUND_DOWN)


def _accepted(answer: Payload | None) -> bool | None:
    return None if answer is None else answer["idTagInfo"]["status"] == "Accepted"


def _profile(given: Mapping[str, Any], connector: int) -> cp.Profile:
    """A profile of the message. Raises Refused."""
    schedule = given["chargingSchedule"]
    transaction = given.get("transactionId")
    try:
        return cp.Profile(
            given["chargingProfileId"],
            given["stackLevel"],
            _PURPOSES.get(given["chargingProfilePurpose"], given["chargingProfilePurpose"]),
            given["chargingProfileKind"],
            schedule["chargingRateUnit"],
            tuple(
                cp.Period(period["startPeriod"], Decimal(period["limit"]), period.get("numberPhases"))
                for period in schedule["chargingSchedulePeriod"]
            ),
            connector,
            given.get("recurrencyKind"),
            ms_of(given.get("validFrom")),
            ms_of(given.get("validTo")),
            None if transaction is None else str(transaction),
            ms_of(schedule.get("startSchedule")),
            schedule.get("duration"),
        )
    except (ValueError, OverflowError) as error:
        raise Refused("PropertyConstraintViolation", str(error)) from error
