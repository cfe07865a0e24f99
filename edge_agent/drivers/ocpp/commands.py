"""What a pile can be asked to do beside charging: start, stop, unlock, reset, firmware, logs. Each raises DriverError."""

import asyncio
from typing import Any

from edge_agent.drivers.driver import DeviceUnreachable, DriverError
from edge_agent.drivers.ocpp.dialect import CallFault, Dialect
from edge_agent.drivers.ocpp.frames import Payload
from edge_agent.drivers.ocpp.observed import Report
from edge_agent.drivers.ocpp.pile import Pile


async def remote_start(pile: Pile, connector: int, id_tag: str) -> Payload:
    """Asks the pile to begin a transaction. Raises DriverError, as all commands do."""
    return await pile.call(*_words(pile).remote_start(connector, id_tag, pile.next_number()))


async def remote_stop(pile: Pile, transaction_id: str) -> Payload:
    """Asks it to end one."""
    try:
        command = _words(pile).remote_stop(transaction_id)
    except CallFault as fault:
        raise DriverError(f"{pile.identity}: {fault}") from fault
    return await pile.call(*command)


async def unlock(pile: Pile, connector: int) -> Payload:
    """Asks it to let go of a plug."""
    return await pile.call(*_words(pile).unlock(connector))


async def reset(pile: Pile, *, hard: bool = False) -> Payload:
    """Asks it to start anew, at once or when it is idle."""
    return await pile.call(*_words(pile).reset(hard=hard))


async def change_availability(pile: Pile, connector: int, *, operative: bool) -> Payload:
    """Takes a connector, or the whole pile (0), in or out of service."""
    return await pile.call(*_words(pile).change_availability(connector, operative=operative))


async def update_firmware(pile: Pile, location: str, retrieve_at_ms: int) -> Payload:
    """Asks it to fetch and install firmware."""
    return await pile.call(*_words(pile).update_firmware(location, retrieve_at_ms, pile.next_number()))


async def diagnostics(pile: Pile, location: str) -> Payload:
    """Asks it to upload its log."""
    return await pile.call(*_words(pile).diagnostics(location, pile.next_number()))


async def trigger(pile: Pile, message: str, connector: int | None = None) -> Payload:
    """Asks it to send a message now."""
    return await pile.call(*_words(pile).trigger(message, connector))


async def inventory(pile: Pile, timeout_s: float = 60.0) -> list[Any]:
    """All variables that a pile of 2.x reports (GetBaseReport, FullInventory), at most 5,000."""
    number = pile.next_number()
    report = pile.told.reports[number] = Report()
    try:
        await pile.call("GetBaseReport", {"requestId": number, "reportBase": "FullInventory"})
        async with asyncio.timeout(timeout_s):
            await report.whole.wait()
        return report.variables
    except TimeoutError as error:
        raise DeviceUnreachable(f"{pile.identity}: the report is not whole after {timeout_s} s") from error
    finally:
        del pile.told.reports[number]


def _words(pile: Pile) -> Dialect:
    if pile.dialect is None:
        raise DeviceUnreachable(f"{pile.identity}: not connected")
    return pile.dialect
