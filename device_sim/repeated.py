"""`count = 40` in a site file: one table of a device stands for many of its kind, with names and addresses that count on. It checks nothing."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

MOST: Final = 1000
_NUMBERS: Final = ("unit", "instance", "point")  # whole numbers that count on
_TEXTS: Final = ("address",)  # digits that count on, as long as they were


def expanded(devices: Sequence[Any]) -> list[Any]:
    """Each table with a usable `count` as that many: "meter" becomes "meter-001", "meter-002", ... Others as they are."""
    out: list[Any] = []
    for device in devices:
        count = device.get("count") if isinstance(device, Mapping) else None
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST:
            out.append(device)
            continue
        out += [_member(device, number) for number in range(count)]
    return out


def _member(device: Mapping[str, Any], number: int) -> dict[str, Any]:
    member = {key: value for key, value in device.items() if key != "count"}
    for key in ("name", "identity"):
        if key in member:
            member[key] = f"{member[key]}-{number + 1:03d}"
    for key in _NUMBERS:
        if isinstance(member.get(key), int):
            member[key] += number
    for key in _TEXTS:
        text = member.get(key)
        if isinstance(text, str) and text.isdecimal():
            member[key] = str(int(text) + number).zfill(len(text))
    return member
