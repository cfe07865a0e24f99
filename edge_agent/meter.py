"""Meter models: TOML files that say where a product shows which quantity, each in the words of its protocol. Not how they are read."""

import difflib
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec

from edge_agent.drivers.declared import Model
from edge_agent.drivers.table import families, of_family
from edge_agent.toml_structs import Checker, Fault

DIRECTORY: Final = Path(__file__).parent / "meters"


class ModelFault(Exception):
    """A model that cannot be used; the message names the file, the row, what was expected and what was seen."""


def shipped() -> list[str]:
    """The names of the models that come with the agent."""
    return sorted(path.stem for path in DIRECTORY.glob("*.toml"))


@lru_cache(maxsize=256)
def load(name: str) -> Model:
    """The shipped model `name`, or the one in the file `name` where it ends in `.toml`. Raises ModelFault."""
    path = Path(name) if name.endswith(".toml") else DIRECTORY / f"{name}.toml"
    if not name.endswith(".toml") and name not in shipped():
        near = difflib.get_close_matches(name, shipped(), n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ModelFault(f"expected a file *.toml or a shipped model (see `wattline edge models`){hint}, saw {name!r}")
    try:
        tree = tomllib.loads(path.read_text("utf-8"))
        family = tree.get("protocol", "modbus")
        spoken = of_family(family) if isinstance(family, str) else None
        if spoken is None:
            raise ModelFault(f"{path}: protocol: expected one of {', '.join(families())}, saw {family!r}")
        model: Any = msgspec.convert(tree, spoken.model)
    except OSError as error:
        raise ModelFault(f"{path}: expected a readable meter model, saw {error.strerror}") from error
    except RecursionError as error:
        raise ModelFault(f"{path}: expected a few levels of tables and arrays, saw hundreds") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelFault(f"{path}: {error}") from error
    except msgspec.ValidationError as error:
        assert spoken is not None  # nothing else converts
        raise ModelFault(_all_faults(path, spoken.model, tree) or f"{path}: {error}") from error
    faults = [f"row[{index}].{key}: {message}" for index, key, message in spoken.model_faults(model, model.row, ())]
    faults += [f"point[{index}].{key}: {message}" for index, key, message in spoken.point_faults(model.point)]
    if faults:
        raise ModelFault("; ".join(f"{path}: {fault}" for fault in faults))
    loaded: Model = model
    return loaded


def _all_faults(path: Path, kind: type[Model], tree: dict[str, Any]) -> str:
    """What keys and types of a model's file are wrong, all of it: msgspec itself ends at the first."""
    faults: list[Fault] = []
    Checker(str(path), faults, lambda found, _: found).struct(kind, tree, "")
    return "; ".join(map(str, faults))
