"""Engineering units of OPC UA variables against ours: which power of ten lies between them. Not conversions that are no power of ten.

A UnitId is the UN/CEFACT common code (Recommendation 20) as a number: its characters as bytes, first one highest (OPC 10000-8, 5.6.3.1).
"""

from typing import Final

from wire.quantities import QUANTITIES

# UN/CEFACT common code -> (dimension, power of ten)
CODES: Final[dict[str, tuple[str, int]]] = {
    "WTT": ("W", 0),
    "KWT": ("W", 3),
    "MAW": ("W", 6),
    "WHR": ("Wh", 0),
    "KWH": ("Wh", 3),
    "MWH": ("Wh", 6),
    "GWH": ("Wh", 9),
    "D44": ("var", 0),
    "KVR": ("var", 3),
    "MAR": ("var", 6),
    "K3": ("varh", 3),
    "D46": ("VA", 0),
    "KVA": ("VA", 3),
    "MVA": ("VA", 6),
    "C79": ("VAh", 3),
    "2Z": ("V", -3),
    "VLT": ("V", 0),
    "KVT": ("V", 3),
    "4K": ("A", -3),
    "AMP": ("A", 0),
    "B22": ("A", 3),
    "HTZ": ("Hz", 0),
    "CEL": ("degC", 0),
    "P1": ("%", 0),
    "C62": ("1", 0),
    "LTR": ("m3", -3),
    "MTQ": ("m3", 0),
    "MQH": ("m3/h", 0),
    "PAL": ("Pa", 0),
    "A97": ("Pa", 2),
    "KPA": ("Pa", 3),
    "BAR": ("Pa", 5),
}
# What servers write where they give no UnitId.
_NAMES: Final[dict[str, tuple[str, int]]] = {
    "w": ("W", 0),
    "kw": ("W", 3),
    "wh": ("Wh", 0),
    "kwh": ("Wh", 3),
    "mwh": ("Wh", 6),
    "var": ("var", 0),
    "kvar": ("var", 3),
    "varh": ("varh", 0),
    "kvarh": ("varh", 3),
    "va": ("VA", 0),
    "kva": ("VA", 3),
    "vah": ("VAh", 0),
    "kvah": ("VAh", 3),
    "v": ("V", 0),
    "kv": ("V", 3),
    "a": ("A", 0),
    "ka": ("A", 3),
    "hz": ("Hz", 0),
    "°c": ("degC", 0),
    "c": ("degC", 0),
    "%": ("%", 0),
    "l": ("m3", -3),
    "m3": ("m3", 0),
    "m³": ("m3", 0),
    "m3/h": ("m3/h", 0),
    "m³/h": ("m3/h", 0),
    "pa": ("Pa", 0),
    "kpa": ("Pa", 3),
    "bar": ("Pa", 5),
}
_OURS: Final[dict[str, tuple[str, int]]] = {
    "kW": ("W", 3),
    "kWh": ("Wh", 3),
    "kvar": ("var", 3),
    "kvarh": ("varh", 3),
    "kVA": ("VA", 3),
    "kVAh": ("VAh", 3),
    "V": ("V", 0),
    "A": ("A", 0),
    "Hz": ("Hz", 0),
    "degC": ("degC", 0),
    "%": ("%", 0),
    "1": ("1", 0),
    "L": ("m3", -3),
    "m3": ("m3", 0),
    "m3/h": ("m3/h", 0),
    "kPa": ("Pa", 3),
    "hPa": ("Pa", 2),
}


def code_of(unit_id: int | None) -> str:
    """The UN/CEFACT common code of a UnitId, "" for what is none."""
    if unit_id is None or not 0 < unit_id < 2**24:
        return ""
    raw = unit_id.to_bytes(3, "big").lstrip(b"\0")
    return raw.decode("ascii", "replace") if raw.isalnum() else ""


def known(unit_id: int | None, name: str) -> tuple[str, int] | None:
    """Dimension and power of ten of a unit by its id, else by its name; None for one that we do not know."""
    plain = name.strip().replace("·", "").replace("*", "").replace(" ", "")
    if plain == "MW":  # the one whose case decides
        plain, unit_id = "MAW", unit_id or int.from_bytes(b"MAW", "big")
    return CODES.get(code_of(unit_id)) or _NAMES.get(plain.lower())


def exponent(quantity: str, unit_id: int | None, name: str) -> int | None:
    """10^this times a value in the server's unit is the value in the quantity's; None where the units do not fit."""
    theirs, ours = known(unit_id, name), _OURS.get(QUANTITIES[quantity].unit)
    if theirs is None or ours is None or theirs[0] != ours[0]:
        return None
    return theirs[1] - ours[1]


def likely(unit_id: int | None, name: str) -> tuple[str, ...]:
    """The units of ours that differ from the server's by a power of ten only."""
    theirs = known(unit_id, name)
    return tuple(unit for unit, ours in _OURS.items() if theirs is not None and ours[0] == theirs[0])
