"""pymeterbus, an M-Bus library that is not ours, without what its import does to the root logger. For tests alone."""

import logging
from importlib import import_module
from types import ModuleType


def meterbus() -> ModuleType:
    """The library; its import calls logging.basicConfig, which is undone."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    library = import_module("meterbus")
    root.handlers[:] = handlers
    root.setLevel(level)
    return library
