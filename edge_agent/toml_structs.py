"""TOML into structs, with every fault that it has: file, key, what was expected and what was seen. Not what the keys mean."""

import difflib
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, cast, get_args, get_origin

import msgspec


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a file: `key` is a path such as bus[0].device[2].unit, or a line and column of what is not TOML at all."""

    file: str
    key: str
    expected: str
    seen: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: expected {self.expected}, saw {self.seen}"


class EdgeFileFaults(Exception):
    """Everything that is wrong with an edge file, one fault a line."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


_LARGEST: Final = 8 << 20  # bytes; a gateway of ten thousand devices has 2 MiB


def parse(path: Path) -> dict[str, Any]:
    """The file's tree. Raises EdgeFileFaults where it is no TOML."""
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
        if len(raw) > _LARGEST:
            raise EdgeFileFaults([Fault(str(path), "file", f"at most {_LARGEST >> 20} MiB of TOML", "more")])
        return tomllib.loads(raw.decode("utf-8"))
    except OSError as error:
        raise EdgeFileFaults(
            [Fault(str(path), "file", "a readable edge file", error.strerror or repr(error))]
        ) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise EdgeFileFaults(
            [Fault(str(path), f"line {line}", "UTF-8", repr(error.object[error.start : error.end]))]
        ) from error
    except RecursionError as error:
        raise EdgeFileFaults([Fault(str(path), "file", "a few levels of tables and arrays", "hundreds")]) from error
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = re.search(r"\(at (.*?)\)$", message)
        what = message[: place.start()].strip() if place else message
        raise EdgeFileFaults([Fault(str(path), place.group(1) if place else "file", "TOML", what)]) from error


_SEEN_MAX: Final = 160  # of what a file holds; a message is for people
_Struct = TypeVar("_Struct", bound=msgspec.Struct)


class UnknownKind(Exception):
    """A table says that it is something that there is not."""

    def __init__(self, key: str, expected: str, seen: str) -> None:
        super().__init__(f"{key}: expected {expected}, saw {seen}")
        self.key, self.expected, self.seen = key, expected, seen


KindOf = Callable[[type[msgspec.Struct], dict[str, Any]], type[msgspec.Struct]]


class Checker:
    """Builds structs from a parsed tree and notes what does not fit.

    What is missing or does not fit is None in the struct, whatever its type says, so that the checks between keys can go on with the
    rest; no such struct may be let out. `kind_of` gives the struct that a table really is, where its own keys decide.
    """

    def __init__(self, file: str, faults: list[Fault], kind_of: KindOf) -> None:
        self._file = file
        self._faults = faults
        self._kind_of = kind_of

    def struct(self, kind: type[_Struct], tree: object, key: str) -> _Struct:
        """The struct of the table `tree` at `key`."""
        if not isinstance(tree, dict):
            self._fault(key, "a table", repr(tree))
            return blank(kind)
        try:
            kind = cast("type[_Struct]", self._kind_of(kind, tree))
        except UnknownKind as unknown:  # nobody can say what its other keys should be
            self._fault(_join(key, unknown.key), unknown.expected, unknown.seen)
            return blank(kind)
        values: dict[str, Any] = {}
        known = {field.name: field for field in msgspec.structs.fields(kind)}
        for name in tree:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f" (did you mean {near[0]!r}?)" if near else ""
                self._fault(_join(key, name), f"one of {', '.join(sorted(known))}{hint}", f"unknown key {name!r}")
        for name, field in known.items():
            if name in tree:
                values[name] = self._value(field.type, tree[name], _join(key, name))
            elif field.required:
                self._fault(_join(key, name), "a value (required)", "nothing")
                values[name] = None
        return kind(**values)

    def _value(self, kind: Any, value: object, key: str) -> Any:
        inner = _struct_in(kind)
        if get_origin(kind) is list and inner is not None:
            if not isinstance(value, list):
                self._fault(key, "an array of tables", repr(value))
                return None
            return [self.struct(inner, member, f"{key}[{index}]") for index, member in enumerate(value)]
        if inner is not None:
            return self.struct(inner, value, key)
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            expected = re.sub(r" - at `.*$", "", str(error)).removeprefix("Expected ")
            expected = re.sub(r", got .*$", "", expected).replace("`", "")
            if choices := _choices(kind):
                expected = f"one of {', '.join(map(repr, choices))}"
            self._fault(key, expected, repr(value))
            return None

    def _fault(self, key: str, expected: str, seen: str) -> None:
        whole = seen if len(seen) <= _SEEN_MAX else f"{seen[:_SEEN_MAX]}... ({len(seen)} characters)"
        self._faults.append(Fault(self._file, key or "file", expected, whole))


def _choices(kind: Any) -> tuple[Any, ...]:
    """The values of a Literal in a type, also in `Literal | None`; nothing for any other."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    return next((found for part in get_args(kind) if (found := _choices(part))), ())


def blank(kind: type[_Struct]) -> _Struct:
    """A struct of nothing: what stands for one that cannot be read."""
    nothing: dict[str, Any] = {field.name: None for field in msgspec.structs.fields(kind)}
    return kind(**nothing)


def _struct_in(kind: Any) -> type[msgspec.Struct] | None:
    """The struct that `kind` is, holds in a list, or allows beside None; None where there is none."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    for part in get_args(kind):
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            return part
    return None


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
