"""The device model of a 2.x pile: which variables it has, their values, and how they are set. Not the settings' meaning (`settings`)."""

from collections.abc import Mapping
from typing import Any, Final

from device_sim.ocpp.pile import Pile
from device_sim.ocpp.settings import VARIABLES, WRITE_ONLY, SettingRefused, shown, take

_Name = tuple[str, str, str | None]
_TYPES: Final = {bool: "boolean", int: "integer", str: "string"}


class Variables:
    """Reads and sets the variables of one pile (OCPP 2.0.1 part 2, chapter B)."""

    def __init__(self, pile: Pile) -> None:
        self._pile = pile

    def _fixed(self) -> dict[_Name, str]:
        options, point = self._pile.options, self._pile.point
        fixed: dict[_Name, str] = {
            ("ChargingStation", "Available", None): "true",
            ("ChargingStation", "SupplyPhases", None): str(point.phases),
            ("EVSE", "Power", None): str(point.max_mw // 1000),
            ("TxCtrlr", "TxStartPoint", None): "PowerPathClosed",
            ("TxCtrlr", "TxStopPoint", None): "EVConnected,PowerPathClosed",
            ("SmartChargingCtrlr", "Enabled", None): str(options.smart_charging).lower(),
            ("DeviceDataCtrlr", "ItemsPerMessage", "GetVariables"): "100",
            ("DeviceDataCtrlr", "ItemsPerMessage", "SetVariables"): "100",
        }
        if options.smart_charging:
            fixed |= {
                ("SmartChargingCtrlr", "RateUnit", None): ",".join(options.rate_units),
                ("SmartChargingCtrlr", "PeriodsPerSchedule", None): str(options.most_periods),
                ("SmartChargingCtrlr", "ProfileStackLevel", None): str(options.highest_level),
                ("SmartChargingCtrlr", "Entries", "ChargingProfiles"): str(options.most_profiles),
                ("SmartChargingCtrlr", "Phases3to1", None): "true",
            }
        if self._pile.version == "2.1":
            fixed[("V2XChargingCtrlr", "Available", None)] = str(options.v2x).lower()
            if options.v2x:
                fixed[("V2XChargingCtrlr", "Enabled", None)] = "true"
                fixed[("V2XChargingCtrlr", "SupportedOperationModes", None)] = (
                    "Idle,ChargingOnly,CentralSetpoint,ExternalSetpoint,ExternalLimits"
                )
        return fixed

    def read(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """One result of GetVariables."""
        answer = {"component": asked["component"], "variable": asked["variable"]}
        name, fixed = _name(asked), self._fixed()
        if asked.get("attributeType", "Actual") != "Actual":
            return answer | {"attributeStatus": "NotSupportedAttributeType"}
        if name in fixed:
            return answer | {"attributeStatus": "Accepted", "attributeValue": fixed[name]}
        field = VARIABLES.get(name)
        if field is None:
            return answer | {"attributeStatus": self._unknown(name)}
        if field in WRITE_ONLY:
            return answer | {"attributeStatus": "Rejected"}
        return answer | {"attributeStatus": "Accepted", "attributeValue": shown(self._pile.settings, field)}

    def set(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """One result of SetVariables."""
        answer = {"component": asked["component"], "variable": asked["variable"]}
        name = _name(asked)
        if asked.get("attributeType", "Actual") != "Actual":
            return answer | {"attributeStatus": "NotSupportedAttributeType"}
        if name in self._fixed():
            return answer | {"attributeStatus": "Rejected"}
        field = VARIABLES.get(name)
        if field is None:
            return answer | {"attributeStatus": self._unknown(name)}
        try:
            take(self._pile.settings, field, asked["attributeValue"])
        except SettingRefused as refused:
            info = {"reasonCode": "InvalidValue", "additionalInfo": str(refused)[:500]}
            return answer | {"attributeStatus": "Rejected", "attributeStatusInfo": info}
        self._pile.settings_written += 1
        return answer | {"attributeStatus": "Accepted"}

    def _unknown(self, name: _Name) -> str:
        known = {component for component, _, _ in (*VARIABLES, *self._fixed())}
        return "UnknownVariable" if name[0] in known else "UnknownComponent"

    def report(self) -> list[dict[str, Any]]:
        """All variables, as NotifyReport tells them."""
        rows = [_row(name, value, "ReadOnly", "string") for name, value in self._fixed().items()]
        for name, field in VARIABLES.items():
            kind = _TYPES[type(getattr(self._pile.settings, field))]
            value = None if field in WRITE_ONLY else shown(self._pile.settings, field)
            rows.append(_row(name, value, "WriteOnly" if value is None else "ReadWrite", kind))
        return rows


def _name(asked: Mapping[str, Any]) -> _Name:
    variable = asked["variable"]
    return asked["component"]["name"], variable["name"], variable.get("instance")


def _row(name: _Name, value: str | None, mutability: str, kind: str) -> dict[str, Any]:
    component, variable, instance = name
    named = {"name": variable} | ({} if instance is None else {"instance": instance})
    attribute = {"mutability": mutability} | ({} if value is None else {"value": value})
    return {
        "component": {"name": component},
        "variable": named,
        "variableAttribute": [attribute],
        "variableCharacteristics": {"dataType": kind, "supportsMonitoring": False},
    }
