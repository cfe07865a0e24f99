"""One value as a server told it, taken out of the library's types. What it means is not decided here."""

from dataclasses import dataclass
from typing import Any

from asyncua.ua.ua_binary import struct_to_binary

from edge_agent.drivers.opcua.library import FAILURES, DataValue, ua
from edge_agent.drivers.opcua.lookup import Watch


@dataclass(frozen=True, slots=True)
class Told:
    """One value as it came from the server; `structure` is already the bytes of its body."""

    watch: Watch
    value: Any
    is_float32: bool
    status: int
    source: Any
    server: Any


def told(watch: Watch, answer: DataValue) -> Told:
    """A data value as ours."""
    variant = answer.Value
    value = None if variant is None else variant.Value
    if isinstance(value, ua.ExtensionObject):
        value = value.Body
    elif (
        watch.item.offset is not None and value is not None and not isinstance(value, int | float | str | bytes | list)
    ):
        try:
            value = struct_to_binary(value)
        except FAILURES:
            value = None
    float32 = variant is not None and variant.VariantType == ua.VariantType.Float
    status = 0 if answer.StatusCode is None else int(answer.StatusCode.value)
    return Told(watch, value, float32, status, answer.SourceTimestamp, answer.ServerTimestamp)
