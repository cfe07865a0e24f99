"""What a pile can do, and setting it up as well as it lets us: measurands, intervals, white list. Not charging profiles.

What is already so is not written again (configuration wears flash as profiles do). What a pile refuses is recorded and said once.
Behind an operator's back end nothing is changed: it is theirs.
"""

import zlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from edge_agent.drivers.driver import DeviceRefused
from edge_agent.drivers.ocpp.charging import Unit
from edge_agent.drivers.ocpp.dialect import inner, text
from edge_agent.drivers.ocpp.frames import Payload
from edge_agent.drivers.ocpp.meter_values import EXPORT, IMPORT

if TYPE_CHECKING:
    from edge_agent.drivers.ocpp.pile import Pile

ALIGNED_S: Final = 900  # quarter-hours, the interval of accounts
DEFAULT_MEASURANDS: Final = (IMPORT, "Power.Active.Import", "Current.Import", "Voltage", "SoC", "Current.Offered")
_DONE: Final = frozenset({"Accepted", "RebootRequired"})
_A_MESSAGE: Final = 5  # variables; stations state their own bound in a variable that one has to ask for

_VARIABLES: Final = (
    ("SmartChargingCtrlr", "Enabled"),
    ("SmartChargingCtrlr", "RateUnit"),
    ("SmartChargingCtrlr", "ProfileStackLevel"),
    ("LocalAuthListCtrlr", "Enabled"),
    ("SampledDataCtrlr", "TxUpdatedInterval"),
    ("SampledDataCtrlr", "TxUpdatedMeasurands"),
    ("SampledDataCtrlr", "TxStartedMeasurands"),
    ("SampledDataCtrlr", "TxEndedMeasurands"),
    ("AlignedDataCtrlr", "Interval"),
    ("AlignedDataCtrlr", "Measurands"),
)
_V2X: Final = ("V2XChargingCtrlr", "Enabled")  # OCPP 2.1


def units(value: str) -> tuple[Unit, ...]:
    """The rate units in a list such as "Current,Power" (1.6) or "A,W" (2.x, and piles of 1.6 that mix them up); W first."""
    words = {word.strip().lower() for word in value.split(",")}
    found: list[Unit] = []
    if words & {"power", "w", "watt", "watts"}:
        found.append("W")
    if words & {"current", "a", "ampere", "amperes"}:
        found.append("A")
    return tuple(found)


async def configure_16(pile: "Pile") -> None:
    """OCPP 1.6: GetConfiguration, then ChangeConfiguration of what differs. Raises DeviceUnreachable."""
    known = await _keys_16(pile)
    able = pile.capabilities
    profiles = {word.strip().lower() for word in known.get("SupportedFeatureProfiles", "").split(",") if word.strip()}
    if profiles:
        able.smart_charging = "smartcharging" in profiles
        able.local_list = "localauthlistmanagement" in profiles
        able.trigger = "remotetrigger" in profiles
    able.rate_units = units(known.get("ChargingScheduleAllowedChargingRateUnit", ""))
    able.max_stack_level = _number(known.get("ChargeProfileMaxStackLevel"), able.max_stack_level)
    if pile.changes_configuration:
        wanted = _wanted(pile)
        longest = _number(known.get("MeterValuesSampledDataMaxLength"), len(wanted))
        await _measurands_16(pile, known, "MeterValuesSampledData", wanted[: max(1, longest)])
        await _measurands_16(pile, known, "MeterValuesAlignedData", energies(wanted))
        await _change_16(pile, known, "MeterValueSampleInterval", str(pile.sample_s))
        await _change_16(pile, known, "ClockAlignedDataInterval", str(ALIGNED_S))
    await _list(pile)


async def _keys_16(pile: "Pile") -> dict[str, str]:
    try:
        response = await pile.call("GetConfiguration", {})
    except DeviceRefused as error:
        pile.refused("GetConfiguration", str(error))
        return {}
    listed = response.get("configurationKey")
    known = {}
    for entry in listed[:1000] if isinstance(listed, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("key"), str):
            known[entry["key"]] = text(entry, "value", 2000)
    return known


async def _change_16(pile: "Pile", known: Mapping[str, str], key: str, value: str) -> bool:
    if _same(known.get(key), value):
        pile.capabilities.accepted[key] = value
        return True
    try:
        status = text(await pile.call("ChangeConfiguration", {"key": key, "value": value}), "status")
    except DeviceRefused as error:
        status = str(error)
    return _recorded(pile, key, value, status)


def _recorded(pile: "Pile", key: str, value: str, status: str) -> bool:
    if status in _DONE:
        pile.capabilities.accepted[key] = value
        return True
    pile.refused(key, f"{value}: {status or 'no status'}")
    return False


def _same(before: str | None, after: str) -> bool:
    return before is not None and before.replace(" ", "").lower() == after.lower()


async def _measurands_16(pile: "Pile", known: Mapping[str, str], key: str, wanted: list[str]) -> None:
    """The longest beginning of the list that the pile takes."""
    for length in range(len(wanted), 0, -1):
        if await _change_16(pile, known, key, ",".join(wanted[:length])):
            pile.capabilities.refused.pop(key, None)
            return


def _wanted(pile: "Pile") -> list[str]:
    return list(dict.fromkeys(pile.measurands or DEFAULT_MEASURANDS))


def energies(wanted: Iterable[str]) -> list[str]:
    """The counters among measurands: what boundaries, begins and ends need."""
    return [measurand for measurand in wanted if measurand in (IMPORT, EXPORT)] or [IMPORT]


def _number(value: str | None, otherwise: int) -> int:
    return int(value) if value is not None and value.strip().isdecimal() and len(value) < 10 else otherwise


async def _list(pile: "Pile") -> None:
    """The white list into the pile, so that it can decide while the link is lost."""
    tags = pile.white_list
    if not (tags and pile.capabilities.local_list and pile.changes_configuration and pile.dialect is not None):
        return
    version = zlib.crc32("\n".join(sorted(tags)).encode()) % 2**30 + 1
    try:
        held = await pile.call(*pile.dialect.list_version())
        if version in (held.get("listVersion"), held.get("versionNumber")):
            return
        status = text(await pile.call(*pile.dialect.local_list(version, sorted(tags))), "status")
    except DeviceRefused as error:
        status = str(error)
    _recorded(pile, "SendLocalList", f"{len(tags)} tags", status)


async def configure_2(pile: "Pile") -> None:
    """OCPP 2.x: GetVariables, then SetVariables of what differs. Raises DeviceUnreachable."""
    asked = [*_VARIABLES, *([_V2X] if pile.version == "ocpp2.1" else [])]
    known: dict[tuple[str, str], str] = {}
    for begin in range(0, len(asked), _A_MESSAGE):
        known |= await _variables(pile, asked[begin : begin + _A_MESSAGE])
    able = pile.capabilities
    able.smart_charging = known.get(("SmartChargingCtrlr", "Enabled"), "true").lower() != "false"
    able.local_list = known.get(("LocalAuthListCtrlr", "Enabled"), "").lower() == "true"
    able.rate_units = units(known.get(("SmartChargingCtrlr", "RateUnit"), ""))
    able.max_stack_level = _number(known.get(("SmartChargingCtrlr", "ProfileStackLevel")), able.max_stack_level)
    able.bidirectional = known.get(_V2X, "").lower() == "true"
    if pile.changes_configuration:
        wanted = _wanted(pile)
        counters = ",".join(energies(wanted))
        await _measurands_2(pile, known, ("SampledDataCtrlr", "TxUpdatedMeasurands"), wanted)
        await _set(pile, known, ("SampledDataCtrlr", "TxUpdatedInterval"), str(pile.sample_s))
        await _set(pile, known, ("SampledDataCtrlr", "TxStartedMeasurands"), counters)
        await _set(pile, known, ("SampledDataCtrlr", "TxEndedMeasurands"), counters)
        await _set(pile, known, ("AlignedDataCtrlr", "Measurands"), counters)
        await _set(pile, known, ("AlignedDataCtrlr", "Interval"), str(ALIGNED_S))
    await _list(pile)


async def _variables(pile: "Pile", asked: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    wanted = [{"component": {"name": component}, "variable": {"name": variable}} for component, variable in asked]
    try:
        response = await pile.call("GetVariables", {"getVariableData": wanted})
    except DeviceRefused as error:
        pile.refused("GetVariables", str(error))
        return {}
    results = response.get("getVariableResult")
    known = {}
    for result in results[:100] if isinstance(results, list) else ():
        if isinstance(result, dict) and result.get("attributeStatus") == "Accepted":
            name = text(inner(result, "component"), "name"), text(inner(result, "variable"), "name")
            known[name] = text(result, "attributeValue", 2500)
    return known


async def _set(pile: "Pile", known: Mapping[tuple[str, str], str], name: tuple[str, str], value: str) -> bool:
    key = ".".join(name)
    if _same(known.get(name), value):
        pile.capabilities.accepted[key] = value
        return True
    wanted: dict[str, Any] = {"component": {"name": name[0]}, "variable": {"name": name[1]}, "attributeValue": value}
    try:
        response: Payload = await pile.call("SetVariables", {"setVariableData": [wanted]})
        results = response.get("setVariableResult")
        status = (
            text(results[0], "attributeStatus")
            if isinstance(results, list) and results and isinstance(results[0], dict)
            else ""
        )
    except DeviceRefused as error:
        status = str(error)
    return _recorded(pile, key, value, status)


async def _measurands_2(
    pile: "Pile", known: Mapping[tuple[str, str], str], name: tuple[str, str], wanted: list[str]
) -> None:
    for length in range(len(wanted), 0, -1):
        if await _set(pile, known, name, ",".join(wanted[:length])):
            pile.capabilities.refused.pop(".".join(name), None)
            return
