"""OCPP 2.0.1: what a central system answers, what calls say, and how commands are worded. Clauses are those of Part 2."""

from typing import TYPE_CHECKING, Any, Final

from edge_agent.drivers.ocpp import charging, configuration, dialect, frames, meter_values
from edge_agent.drivers.ocpp.charging import Profile, Unit
from edge_agent.drivers.ocpp.dialect import Call, inner, needed, text, whole
from edge_agent.drivers.ocpp.frames import Payload

if TYPE_CHECKING:
    from edge_agent.drivers.ocpp.observed import Observed
    from edge_agent.drivers.ocpp.pile import Pile

VERSION: Final = "ocpp2.0.1"
_NOTED: Final = frozenset(
    {
        "ClearedChargingLimit",
        "FirmwareStatusNotification",
        "LogStatusNotification",
        "NotifyChargingLimit",
        "NotifyEvent",
        "NotifyMonitoringReport",
        "PublishFirmwareStatusNotification",
        "ReservationStatusUpdate",
        "SecurityEventNotification",
    }
)
_QUIET: Final = frozenset(
    {
        "MeterValues",
        "NotifyCustomerInformation",
        "NotifyDisplayMessages",
        "NotifyReport",
        "ReportChargingProfiles",
        "StatusNotification",
    }
)
_TRANSACTION_STATES: Final = frozenset({"Charging", "EVConnected", "SuspendedEV", "SuspendedEVSE", "Idle"})


def answer(pile: "Pile", action: str, request: Payload) -> dict[str, Any]:
    """See `Dialect.answer`."""
    now = frames.stamp(pile.now_ms())
    if action == "BootNotification":
        return {"currentTime": now, "interval": pile.boot_interval_s, "status": "Accepted" if pile.ready else "Pending"}
    if action == "Heartbeat":
        return {"currentTime": now}
    if action == "Authorize":
        return {"idTokenInfo": {"status": pile.authorize(token(request))}}
    if action == "TransactionEvent":
        return {"idTokenInfo": {"status": pile.authorize(token(request))}} if inner(request, "idToken") else {}
    if action == "DataTransfer":
        return {"status": "UnknownVendorId"}
    if action == "SignCertificate":
        return {"status": "Rejected"}
    if action in ("NotifyEVChargingNeeds", "NotifyEVChargingSchedule"):
        return {"status": "Accepted"}
    if action in ("Get15118EVCertificate", "GetCertificateStatus"):
        failed: dict[str, Any] = {"status": "Failed"}
        return failed | ({"exiResponse": ""} if action.startswith("Get15118") else {})
    if action in _NOTED or action in _QUIET:
        return {}
    raise dialect.unknown(VERSION, action)


def token(request: Payload) -> str:
    """The id token of a request."""
    return text(inner(request, "idToken"), "idToken")


def note(told: "Observed", action: str, request: Payload, response: Payload) -> None:
    """See `Dialect.note`."""
    if action == "BootNotification":
        station = inner(request, "chargingStation")
        told.booted(
            vendor=text(station, "vendorName"),
            model=text(station, "model"),
            serial=text(station, "serialNumber"),
            firmware=text(station, "firmwareVersion"),
            reason=text(request, "reason"),
            accepted=response.get("status") == "Accepted",
        )
    elif action == "StatusNotification":
        told.status(
            needed(whole(request, "evseId"), action, "evseId"),
            needed(text(request, "connectorStatus"), action, "connectorStatus"),
            frames.instant(request.get("timestamp")),
        )
    elif action == "MeterValues":
        told.measured(
            needed(whole(request, "evseId"), action, "evseId"),
            meter_values.entries(request.get("meterValue"), told.energy_unit),
            None,
        )
    elif action == "TransactionEvent":
        _transaction(told, request, response)
    elif action == "NotifyEVChargingNeeds":
        told.passed_on(action, request, "ev_charging_needs", whole(request, "evseId"))
    elif action == "NotifyReport":
        told.reported(request)
    elif action in _NOTED:
        told.passed_on(action, request)


def _transaction(told: "Observed", request: Payload, response: Payload) -> None:
    """Use cases E01 to E15. Events may come late, twice, and without the one before: each carries the whole transaction's id."""
    about = inner(request, "transactionInfo")
    transaction_id = str(needed(text(about, "transactionId", 64), "TransactionEvent", "transactionInfo.transactionId"))
    phase = needed(text(request, "eventType"), "TransactionEvent", "eventType")
    at_ms = frames.instant(request.get("timestamp"))
    entries = meter_values.entries(request.get("meterValue"), told.energy_unit)
    known = told.book.get(told.identity, transaction_id)
    number = whole(request, "seqNo")
    if known is not None and number is not None and told.book.seen(known, number):
        return
    connector = whole(inner(request, "evse"), "id") or (None if known is None else known.connector)
    if phase == "Started" or known is None:
        known = told.started(
            transaction_id,
            told.only_connector() if connector is None else connector,
            at_ms if phase == "Started" else None,
            token(request),
            None,
            accepted=inner(response, "idTokenInfo").get("status", "Accepted") == "Accepted",
        )
        if number is not None:
            told.book.seen(known, number)
    if token(request) and not known.id_tag:
        known.id_tag = told.book.tag(token(request))
    state = text(about, "chargingState")
    if phase == "Ended":
        told.stopped(transaction_id, at_ms, None, text(about, "stoppedReason") or "Local", entries)
        return
    told.measured(known.connector, entries, transaction_id)
    if state in _TRANSACTION_STATES:
        told.charging_state(known, state, at_ms)


async def configure(pile: "Pile") -> None:
    """See `Dialect.configure`."""
    await configuration.configure_2(pile)


def set_profile(connector: int, profile: Profile) -> Call:
    return "SetChargingProfile", {"evseId": connector, "chargingProfile": charging.wire_2(profile)}


def clear_profile(identifier: int) -> Call:
    return "ClearChargingProfile", {"chargingProfileId": identifier}


def composite(connector: int, seconds: int, unit: Unit) -> Call:
    return "GetCompositeSchedule", {"evseId": connector, "duration": seconds, "chargingRateUnit": unit}


def composite_schedule(response: Payload) -> Payload | None:
    return inner(response, "schedule") or None


def remote_start(connector: int, id_tag: str, number: int) -> Call:
    return "RequestStartTransaction", {
        "evseId": connector,
        "remoteStartId": number,
        "idToken": {"idToken": id_tag, "type": "Central"},
    }


def remote_stop(transaction_id: str) -> Call:
    return "RequestStopTransaction", {"transactionId": transaction_id}


def unlock(connector: int) -> Call:
    return "UnlockConnector", {"evseId": connector, "connectorId": 1}


def reset(*, hard: bool) -> Call:
    return "Reset", {"type": "Immediate" if hard else "OnIdle"}


def change_availability(connector: int, *, operative: bool) -> Call:
    status = "Operative" if operative else "Inoperative"
    return "ChangeAvailability", {"operationalStatus": status} | ({} if connector == 0 else {"evse": {"id": connector}})


def update_firmware(location: str, retrieve_at_ms: int, number: int) -> Call:
    firmware = {"location": location, "retrieveDateTime": frames.stamp(retrieve_at_ms)}
    return "UpdateFirmware", {"requestId": number, "firmware": firmware}


def diagnostics(location: str, number: int) -> Call:
    return "GetLog", {"logType": "DiagnosticsLog", "requestId": number, "log": {"remoteLocation": location}}


def trigger(message: str, connector: int | None) -> Call:
    evse: dict[str, Any] = {"id": connector}
    if message == "StatusNotification":
        evse["connectorId"] = 1  # use case F06: a status is that of a connector
    return "TriggerMessage", {"requestedMessage": message} | ({} if not connector else {"evse": evse})


def local_list(version: int, id_tags: list[str]) -> Call:
    listed = [
        {"idToken": {"idToken": tag, "type": "ISO14443"}, "idTokenInfo": {"status": "Accepted"}} for tag in id_tags
    ]
    return "SendLocalList", {"versionNumber": version, "updateType": "Full", "localAuthorizationList": listed}


def list_version() -> Call:
    return "GetLocalListVersion", {}
