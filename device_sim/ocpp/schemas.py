"""The Open Charge Alliance's JSON schemas, as the package `ocpp` ships them: what a payload may look like. Not what it means.

Every message of a pile is checked in both directions, so that a simulated pile cannot teach the agent a message that no real one sends.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from importlib import import_module
from importlib.resources import files
from typing import Any, Final

FOLDERS: Final = {"1.6": "v16", "2.0.1": "v201", "2.1": "v21"}
# What breaks which rule is answered by this code; 1.6J spells one of them in its own way (section 4.2.3).
_CODES: Final = {
    "type": "TypeConstraintViolation",
    "required": "OccurrenceConstraintViolation",
    "minItems": "OccurrenceConstraintViolation",
    "maxItems": "OccurrenceConstraintViolation",
}
_OWN_SPELLING: Final = {"1.6": {"OccurrenceConstraintViolation": "OccurenceConstraintViolation"}}


@dataclass(frozen=True, slots=True)
class Violation:
    """Why a payload cannot be: an error code of the version, and the place and rule."""

    code: str
    text: str


class Schemas:
    """The schemas of one version, each read when it is first needed."""

    def __init__(self, version: str) -> None:
        self.version = version
        self._folder = files("ocpp") / FOLDERS[version] / "schemas"
        self._validators: dict[str, Any] = {}

    def knows(self, action: str) -> bool:
        """Whether the version has such an action at all."""
        return action.isalnum() and len(action) < 60 and (self._folder / self._name(action, response=False)).is_file()

    def violation(self, action: str, payload: Mapping[str, Any], *, response: bool = False) -> Violation | None:
        """The first rule that a payload breaks; None: it is well formed. The action must be known."""
        name = self._name(action, response)
        validator = self._validators.get(name)
        if validator is None:
            schema = json.loads((self._folder / name).read_text(encoding="utf-8-sig"), parse_float=Decimal)
            validator = self._validators[name] = import_module("jsonschema").Draft4Validator(schema)
        fault = next(iter(validator.iter_errors(_exact(payload))), None)
        if fault is None:
            return None
        code = _CODES.get(fault.validator, "PropertyConstraintViolation")
        if fault.validator == "additionalProperties":
            code = "FormationViolation" if self.version == "1.6" else "FormatViolation"
        place = "/".join(map(str, fault.absolute_path)) or "payload"
        return Violation(_OWN_SPELLING.get(self.version, {}).get(code, code), f"{place}: {fault.message}"[:200])

    def _name(self, action: str, response: bool) -> str:
        return f"{action}{'Response' if response else '' if self.version == '1.6' else 'Request'}.json"


def _exact(value: Any) -> Any:
    """The same with Decimals in place of floats: a schema's multipleOf 0.1 is not for binary fractions."""
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, Mapping):
        return {key: _exact(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_exact(inner) for inner in value]
    return value
