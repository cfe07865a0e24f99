"""OCPP 1.6: what a central system answers, what calls say, and how commands are worded. Sections are those of the 1.6 specification, edition 2."""

import hashlib
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from edge_agent.drivers.ocpp import charging, configuration, dialect, frames, meter_values
from edge_agent.drivers.ocpp.charging import Profile, Unit
from edge_agent.drivers.ocpp.dialect import Call, CallFault, inner, needed, text, whole
from edge_agent.drivers.ocpp.frames import Payload

if TYPE_CHECKING:
    from edge_agent.drivers.ocpp.observed import Observed
    from edge_agent.drivers.ocpp.pile import Pile

VERSION: Final = "ocpp1.6"
_NOTED: Final = frozenset(
    {
        "FirmwareStatusNotification",
        "DiagnosticsStatusNotification",
        "SignedFirmwareStatusNotification",
        "LogStatusNotification",
        "SecurityEventNotification",
    }
)


def start_key(request: Payload) -> str:
    """What is the same where a StartTransaction is sent again."""
    parts = (str(request.get(key)) for key in ("connectorId", "idTag", "timestamp", "meterStart"))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def answer(pile: "Pile", action: str, request: Payload) -> dict[str, Any]:
    """See `Dialect.answer`."""
    now = frames.stamp(pile.now_ms())
    if action == "BootNotification":
        return {"currentTime": now, "interval": pile.boot_interval_s, "status": "Accepted" if pile.ready else "Pending"}
    if action == "Heartbeat":
        return {"currentTime": now}
    if action == "Authorize":
        return {"idTagInfo": {"status": pile.authorize(text(request, "idTag"))}}
    if action == "StartTransaction":
        known = pile.book.same_start(pile.identity, start_key(request))
        number = int(known.id) if known is not None and known.id.isdecimal() else pile.book.new_id(pile.now_ms())
        return {"transactionId": number, "idTagInfo": {"status": pile.authorize(text(request, "idTag"))}}
    if action == "StopTransaction":
        tag = text(request, "idTag")
        return {"idTagInfo": {"status": pile.authorize(tag)}} if tag else {}
    if action == "DataTransfer":
        return {"status": "UnknownVendorId"}
    if action == "SignCertificate":
        return {"status": "Rejected"}
    if action in _NOTED or action in ("MeterValues", "StatusNotification"):
        return {}
    raise dialect.unknown(VERSION, action)


def note(told: "Observed", action: str, request: Payload, response: Payload) -> None:
    """See `Dialect.note`."""
    if action == "BootNotification":
        told.booted(
            vendor=text(request, "chargePointVendor"),
            model=text(request, "chargePointModel"),
            serial=text(request, "chargePointSerialNumber") or text(request, "chargeBoxSerialNumber"),
            firmware=text(request, "firmwareVersion"),
            reason="",
            accepted=response.get("status") == "Accepted",
        )
    elif action == "StatusNotification":
        told.status(
            needed(whole(request, "connectorId"), action, "connectorId"),
            needed(text(request, "status"), action, "status"),
            frames.instant(request.get("timestamp")),
            error=text(request, "errorCode"),
            detail=text(request, "vendorErrorCode") or text(request, "info"),
        )
    elif action == "MeterValues":
        number = whole(request, "transactionId")
        told.measured(
            needed(whole(request, "connectorId"), action, "connectorId"),
            meter_values.entries(request.get("meterValue"), told.energy_unit),
            None if number is None else str(number),
        )
    elif action == "StartTransaction":
        _started(told, request, response)
    elif action == "StopTransaction":
        _stopped(told, request)
    elif action in _NOTED:
        told.passed_on(action, request)


def _started(told: "Observed", request: Payload, response: Payload) -> None:
    number = whole(response, "transactionId")
    meter_start = request.get("meterStart")
    told.started(
        str(needed(number, "StartTransaction", "transactionId")),
        needed(whole(request, "connectorId"), "StartTransaction", "connectorId"),
        frames.instant(request.get("timestamp")),
        text(request, "idTag"),
        _kwh(meter_start),
        start_key=start_key(request),
        accepted=inner(response, "idTagInfo").get("status", "Accepted") == "Accepted",
    )


def _stopped(told: "Observed", request: Payload) -> None:
    number = whole(request, "transactionId")
    told.stopped(
        str(needed(number, "StopTransaction", "transactionId")),
        frames.instant(request.get("timestamp")),
        _kwh(request.get("meterStop")),
        text(request, "reason") or "Local",  # section 7.36: without a reason it is Local
        meter_values.entries(request.get("transactionData"), told.energy_unit),
    )


def _kwh(wh: object) -> Decimal | None:
    """meterStart and meterStop are in Wh (sections 6.45 and 6.49)."""
    if isinstance(wh, bool) or not isinstance(wh, (int, Decimal)):
        return None
    return Decimal(wh).scaleb(-3)


async def configure(pile: "Pile") -> None:
    """See `Dialect.configure`."""
    await configuration.configure_16(pile)


def set_profile(connector: int, profile: Profile) -> Call:
    return "SetChargingProfile", {"connectorId": connector, "csChargingProfiles": charging.wire_16(profile)}


def clear_profile(identifier: int) -> Call:
    return "ClearChargingProfile", {"id": identifier}


def composite(connector: int, seconds: int, unit: Unit) -> Call:
    return "GetCompositeSchedule", {"connectorId": connector, "duration": seconds, "chargingRateUnit": unit}


def composite_schedule(response: Payload) -> Payload | None:
    return inner(response, "chargingSchedule") or None


def remote_start(connector: int, id_tag: str, number: int) -> Call:  # noqa: ARG001 - 1.6 has no number for it
    return "RemoteStartTransaction", {"connectorId": connector, "idTag": id_tag}


def remote_stop(transaction_id: str) -> Call:
    if not transaction_id.isdecimal():
        raise CallFault("FormationViolation", f"expected a transaction id of OCPP 1.6, saw {transaction_id!r}")
    return "RemoteStopTransaction", {"transactionId": int(transaction_id)}


def unlock(connector: int) -> Call:
    return "UnlockConnector", {"connectorId": connector}


def reset(*, hard: bool) -> Call:
    return "Reset", {"type": "Hard" if hard else "Soft"}


def change_availability(connector: int, *, operative: bool) -> Call:
    return "ChangeAvailability", {"connectorId": connector, "type": "Operative" if operative else "Inoperative"}


def update_firmware(location: str, retrieve_at_ms: int, number: int) -> Call:  # noqa: ARG001
    return "UpdateFirmware", {"location": location, "retrieveDate": frames.stamp(retrieve_at_ms)}


def diagnostics(location: str, number: int) -> Call:  # noqa: ARG001
    return "GetDiagnostics", {"location": location}


def trigger(message: str, connector: int | None) -> Call:
    return "TriggerMessage", {"requestedMessage": message} | ({} if not connector else {"connectorId": connector})


def local_list(version: int, id_tags: list[str]) -> Call:
    listed = [{"idTag": tag, "idTagInfo": {"status": "Accepted"}} for tag in id_tags]
    return "SendLocalList", {"listVersion": version, "updateType": "Full", "localAuthorizationList": listed}


def list_version() -> Call:
    return "GetLocalListVersion", {}
