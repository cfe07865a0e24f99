"""The retained status of an edge, in pages of at most 256 KiB. Not when it is told."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from edge_agent.drivers.declared import Device
from edge_agent.edge_file import EdgeFile
from edge_agent.polled import DeviceState as Polled
from wire.messages import MAX_STATUS_BYTES, DeviceState, EdgeStatus, encode

_ROOM: Final = MAX_STATUS_BYTES - 8_192  # what the head of a page takes at most
_STATES: Final = {None: "unknown", True: "online", False: "lost"}


def status_messages(head: EdgeStatus, edge: EdgeFile, polled: Sequence[Polled]) -> list[bytes]:
    """The payloads of `head` with the edge's devices, one per page."""
    states = {state.device: state for state in polled}
    devices = [
        _device_state(bus.protocol, device, states.get(device.name)) for bus in edge.bus for device in bus.device
    ]
    pages = list(_pages(devices)) or [[]]
    return [
        encode(msgspec.structs.replace(head, devices=devices, page=number, pages=len(pages)))
        for number, devices in enumerate(pages, start=1)
    ]


def _device_state(protocol: str, device: Device, polled: Polled | None) -> DeviceState:
    known = DeviceState(device.name, protocol, device.model, period_s=device.period_s)
    if polled is None:
        return known
    return msgspec.structs.replace(
        known,
        state=_STATES[polled.online],
        last_answer_ms=polled.last_answer_ms or None,
        reason=polled.reason[:200],
        listens=polled.listens,
    )


def _pages(devices: list[DeviceState]) -> Iterator[list[DeviceState]]:
    page: list[DeviceState] = []
    size = 0
    for device in devices:
        length = len(msgspec.json.encode(device)) + 1
        if page and size + length > _ROOM:
            yield page
            page, size = [], 0
        page.append(device)
        size += length
    if page:
        yield page
