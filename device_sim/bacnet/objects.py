"""The BACnet objects of a simulated device, as bacpypes3 has them. Not what they show, nor who asks."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from bacpypes3 import basetypes, primitivedata
from bacpypes3 import object as standard
from bacpypes3.local import analog, binary, cov, multistate
from bacpypes3.local import device as local_device
from bacpypes3.local.object import Object

from device_sim.bacnet.kinds import ObjectId, Thing


class _Accumulator(Object, standard.AccumulatorObject):  # type: ignore[misc]
    """A counter of whole counts."""


class _Whole(Object, standard.PositiveIntegerValueObject):  # type: ignore[misc]
    """A whole number."""

    _cov_criteria = cov.GenericCriteria


class Station(local_device.DeviceObject):  # type: ignore[misc]
    """The device object, with a clock that can be wrong."""

    def __init__(self, clock: Callable[[], int], **kwargs: Any) -> None:
        self._clock = clock
        super().__init__(**kwargs)

    @property
    def localDate(self) -> Any:  # noqa: N802 - the standard's name
        """Today, as the device believes."""
        return primitivedata.Date(datetime.fromtimestamp(self._clock() / 1000, UTC).date())

    @localDate.setter
    def localDate(self, value: Any) -> None:  # noqa: N802
        """Set by nobody."""

    @property
    def localTime(self) -> Any:  # noqa: N802
        """Now, as the device believes."""
        return primitivedata.Time(datetime.fromtimestamp(self._clock() / 1000, UTC).time())

    @localTime.setter
    def localTime(self, value: Any) -> None:  # noqa: N802
        """Set by nobody."""


_CLASSES: Final[dict[str, Any]] = {
    "analog-input": analog.AnalogInputObject,
    "analog-output": analog.AnalogOutputObject,
    "analog-value": analog.AnalogValueObjectCmd,
    "binary-input": binary.BinaryInputObject,
    "multi-state-value": multistate.MultiStateValueObject,
    "accumulator": _Accumulator,
    "positive-integer-value": _Whole,
}


def made(object_id: ObjectId, thing: Thing) -> Any:
    """The object that shows `thing`."""
    known: dict[str, Any] = {"objectIdentifier": object_id, "objectName": thing.name}
    kind = object_id[0]
    if kind != "positive-integer-value":
        known |= {"eventState": "normal", "outOfService": False}
    if kind == "multi-state-value":
        known |= {"presentValue": 1, "numberOfStates": 3}
    elif kind == "binary-input":
        known |= {"presentValue": 0, "polarity": "normal"}
    else:
        known |= {"presentValue": thing.rest or 0, "units": thing.units}
    if kind.startswith("analog"):
        known["covIncrement"] = thing.cov_increment
    if thing.rest is not None:
        known["relinquishDefault"] = thing.rest
    if thing.scale is not None:
        known["scale"] = basetypes.Scale(integerScale=thing.scale)
        known["maxPresValue"] = 999_999_999
    return _CLASSES[kind](**known)
