"""Reading a TOML table key by key while every fault is collected. It knows types and ranges, not what a key means."""

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class SiteFault:
    """One fault of a site file."""

    file: str
    key: str
    expected: str
    seen: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key or 'file'}: expected {self.expected}, got {self.seen}"


class SiteFaults(ValueError):
    """A site file cannot be used; one line per fault."""

    def __init__(self, faults: Sequence[SiteFault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = tuple(faults)


class Table:
    """One table of the file. Each reader gives the value, or after a noted fault something harmless, so that reading goes on.

    A default of None makes a key required.
    """

    def __init__(self, faults: list[SiteFault], file: str, path: str, content: Mapping[str, Any]) -> None:
        self.faults = faults
        self.file = file
        self._path = path
        self._content = content
        self._read: set[str] = set()

    def key(self, key: str) -> str:
        """The key's place in the file."""
        return f"{self._path}.{key}" if self._path else key

    def fault(self, key: str, expected: str, seen: str) -> None:
        """Notes a fault."""
        self.faults.append(SiteFault(self.file, self.key(key), expected, seen))

    def _value(self, key: str, default: object) -> Any:
        self._read.add(key)
        if key not in self._content and default is None:
            self.fault(key, "a value", "nothing")
        return self._content.get(key, default)

    def number(self, key: str, default: float | None, low: float, high: float) -> float:
        """A finite number within bounds."""
        value = self._value(key, default)
        if (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and math.isfinite(value)
            and low <= value <= high
        ):
            return float(value)
        if value is not None:
            self.fault(key, f"a number from {low:g} to {high:g}", repr(value))
        return low

    def whole(self, key: str, default: int | None, low: int, high: int) -> int:
        """A whole number within bounds."""
        value = self._value(key, default)
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        if value is not None:
            self.fault(key, f"a whole number from {low} to {high}", repr(value))
        return low

    def text(self, key: str, default: str | None, choices: Sequence[str] = ()) -> str:
        """A string, one of `choices` if there are any."""
        value = self._value(key, default)
        if isinstance(value, str) and (not choices or value in choices):
            return value
        if value is not None:
            self.fault(key, f"one of {', '.join(map(str, choices))}" if choices else "a string", repr(value))
        return str(choices[0]) if choices else ""

    def name(self, key: str) -> str:
        """An id of the wire: letters, digits, _ and -."""
        value = self.text(key, None)
        if value and not _NAME.fullmatch(value):
            self.fault(key, "1 to 64 of A-Z a-z 0-9 _ -", repr(value))
        return value

    def table(self, key: str) -> "Table | None":
        """A table below this one, if it is there."""
        return self.required_table(key) if key in self._content else None

    def required_table(self, key: str) -> "Table":
        """A table below this one that must be there."""
        value = self._value(key, None)
        if not isinstance(value, Mapping):
            if value is not None:
                self.fault(key, "a table", repr(value))
            value = {}
        return Table(self.faults, self.file, self.key(key), value)

    def tables(self, key: str, as_meant: Callable[[Sequence[Any]], list[Any]] = list) -> "list[Table]":
        """An array of at least one table; `as_meant` makes of the array what it stands for."""
        value = self._value(key, None)
        if not isinstance(value, list) or not value or not all(isinstance(entry, Mapping) for entry in value):
            if value is not None:
                self.fault(key, "one or more tables [[...]]", repr(value))
            return []
        meant = as_meant(value)
        return [Table(self.faults, self.file, f"{self.key(key)}[{index}]", entry) for index, entry in enumerate(meant)]

    def has(self, key: str) -> bool:
        """Whether the file says anything there."""
        return key in self._content

    def rest(self, keys: Collection[str]) -> dict[str, Any]:
        """Those of `keys` that are there, as they are: their reader checks them."""
        self._read |= set(keys)
        return {key: self._content[key] for key in keys if key in self._content}

    def finish(self) -> None:
        """Notes keys that nobody has read."""
        for key in self._content.keys() - self._read:
            self.fault(key, f"one of the known keys ({', '.join(sorted(self._read))})", "an unknown key")
