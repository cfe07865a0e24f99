"""asyncua as the driver uses it: its types, which its typing hides, its faults, its loggers. Not a connection."""

import logging
from typing import Any, Final, TypeAlias

from asyncua import ua as _ua

# asyncua logs each failed request and each lost connection; a dead server must give one line, which the collection writes.
logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)

ua: Final[Any] = _ua
NodeId: TypeAlias = Any
Variant: TypeAlias = Any
DataValue: TypeAlias = Any

# What the library lets out when a server is not there, silent, or not to be understood.
FAILURES: Final = (
    ua.UaError,
    OSError,
    TimeoutError,
    EOFError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    KeyError,
)


def explained(error: BaseException) -> str:
    """An error of the library in one line."""
    if isinstance(error, ua.UaStatusCodeError):
        return name_of(int(error.code or 0))
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return f"{type(error).__name__}: {error}"[:200] if str(error) else type(error).__name__


def name_of(code: int) -> str:
    """The name of a status code."""
    return str(ua.StatusCode(code & 0xFFFF0000).name) if code else "Good"
