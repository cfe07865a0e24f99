"""Opens a bus of simulated piles. Light: the libraries are imported when a bus is opened (`fleet`)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from device_sim.answer_log import AnswerLog
from device_sim.bus import Bus
from device_sim.device import Device

# `connect`: the address of the central system, such as "ws://127.0.0.1:9000/"; the pile's identity is appended. Without it the piles wait.
OPTIONS: Final = frozenset({"connect", "ca_file", "call_timeout_s", "reconnect_s", "tick_s"})


def open_bus(
    members: Sequence[Device], clock: Callable[[], int], log: AnswerLog, host: str, options: Mapping[str, Any]
) -> Bus:
    """All piles of a bus; see `device_sim.bus`. They listen nowhere, so `host` plays no part."""
    from device_sim.ocpp.fleet import Fleet

    del host
    return Fleet(members, clock, log, options)
