"""OCPP 2.1: 2.0.1 and what it adds for vehicles that give energy back. Only the additions stand here; clauses are those of Part 2."""

from typing import TYPE_CHECKING, Any, Final

from edge_agent.drivers.ocpp import configuration, dialect, v201
from edge_agent.drivers.ocpp.dialect import Call, CallFault, inner, whole
from edge_agent.drivers.ocpp.frames import Payload
from edge_agent.drivers.ocpp.v201 import (
    change_availability,
    clear_profile,
    composite,
    composite_schedule,
    diagnostics,
    list_version,
    local_list,
    remote_start,
    remote_stop,
    reset,
    set_profile,
    trigger,
    unlock,
    update_firmware,
)

if TYPE_CHECKING:
    from edge_agent.drivers.ocpp.observed import Observed
    from edge_agent.drivers.ocpp.pile import Pile

VERSION: Final = "ocpp2.1"
_NOTED: Final = frozenset(
    {
        "NotifyDERAlarm",
        "NotifyDERStartStop",
        "NotifyPriorityCharging",
        "NotifySettlement",
        "NotifyWebPaymentStarted",
        "BatterySwap",
    }
)
_QUIET: Final = frozenset({"ReportDERControl", "ClosePeriodicEventStream"})


def answer(pile: "Pile", action: str, request: Payload) -> dict[str, Any]:
    """See `Dialect.answer`."""
    if action == "PullDynamicScheduleUpdate":
        return pile.dynamic_update(whole(request, "chargingProfileId"))
    if action == "NotifySettlement":
        return {}
    if action == "OpenPeriodicEventStream":
        return {"status": "Rejected"}
    if action in ("GetCertificateChainStatus", "VatNumberValidation"):
        raise CallFault("NotSupported", f"no answer to {action} here")
    if action in _NOTED or action in _QUIET:
        return {}
    try:
        response = v201.answer(pile, action, request)
    except CallFault:
        raise dialect.unknown(VERSION, action) from None
    allowed = pile.energy_transfer()
    if allowed and action == "Authorize" and inner(response, "idTokenInfo").get("status") == "Accepted":
        response["allowedEnergyTransfer"] = allowed  # chapter Q: without it energy may only flow to the vehicle
    return response


def note(told: "Observed", action: str, request: Payload, response: Payload) -> None:
    """See `Dialect.note`."""
    if action in _NOTED:
        told.passed_on(action, request)
    else:
        v201.note(told, action, request, response)


async def configure(pile: "Pile") -> None:
    """See `Dialect.configure`."""
    await configuration.configure_2(pile)


def update_dynamic(identifier: int, rates: dict[str, Any]) -> Call:
    """New rates of a dynamic profile, which a station need not keep (use case K28)."""
    return "UpdateDynamicSchedule", {"chargingProfileId": identifier, "scheduleUpdate": rates}


def allow_energy_transfer(transaction_id: str, modes: list[str]) -> Call:
    """Which ways energy may flow in a transaction (chapter Q)."""
    return "NotifyAllowedEnergyTransfer", {"transactionId": transaction_id, "allowedEnergyTransfer": modes}


__all__ = [
    "allow_energy_transfer",
    "answer",
    "change_availability",
    "clear_profile",
    "composite",
    "composite_schedule",
    "configure",
    "diagnostics",
    "list_version",
    "local_list",
    "note",
    "remote_start",
    "remote_stop",
    "reset",
    "set_profile",
    "trigger",
    "unlock",
    "update_dynamic",
    "update_firmware",
]
