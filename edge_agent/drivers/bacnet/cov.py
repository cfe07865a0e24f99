"""Subscriptions to changes of value at one device: when they are due, what has come, and whether the device still keeps them.

Not the polls beside them. Notifications add instants between two polls, they never take a poll's place: a device that loses its
subscriptions (a reboot, a full table, a network that eats datagrams) therefore costs instants, not readings.

    subscribed --half its life--> asked again --refused--> polls only, tried again when the device is learned anew
        |  two polls in a row saw a change that was not notified, or the device says that it has restarted
        +----------------------------------------------> asked again at the next read
"""

import math
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from edge_agent.drivers.bacnet import services
from edge_agent.drivers.bacnet.ask import Asker, RefusedAs
from edge_agent.drivers.bacnet.learn import Column
from edge_agent.drivers.bacnet.objects import PRESENT_VALUE, STATUS_FLAGS
from edge_agent.drivers.bacnet.reading import Cell, cell, flags_of, number_of
from edge_agent.drivers.bacnet.services import Malformed, Notification, ObjectId
from edge_agent.drivers.driver import DeviceRefused

PROCESS: Final = 1  # the same after a restart, so that a device renews our old subscription instead of keeping two
_WAITING: Final = 512  # changes of one device between two reads; the oldest are dropped, and counted
_UNTOLD: Final = 2  # polls in a row that saw a change nobody notified


@dataclass(slots=True)
class Change:
    """One notified value of a row, with the instant its datagram arrived."""

    column: Column
    cell: Cell
    at_ms: int


@dataclass(slots=True)
class _Subscription:
    column: Column
    object: ObjectId
    due_s: float = -math.inf  # when it is to be asked for again, on the loop's clock
    refused: str = ""
    told: float | None = None  # what the device has said last, by notification or in a poll
    heard: bool = False  # notified since the last poll
    untold: int = 0
    by_property: bool = True  # SubscribeCOVProperty, where an increment is wished


@dataclass(slots=True)
class Subscriptions:
    """All subscriptions at one device."""

    lifetime_s: int
    confirmed: bool
    members: list[_Subscription] = field(default_factory=list)
    waiting: deque[Change] = field(default_factory=lambda: deque(maxlen=_WAITING))
    dropped: int = 0
    notified: int = 0  # since the start

    def follow(self, columns: list[Column]) -> None:
        """Subscribes anew to those of `columns` that ask for it: the device was learned, or has forgotten us."""
        self.members = [
            _Subscription(column, column.object)
            for column in columns
            if column.item.cov and column.object is not None and not column.fault
        ]

    def again(self) -> None:
        """The device has restarted: every subscription is asked for at once."""
        for member in self.members:
            member.due_s, member.untold, member.refused = -math.inf, 0, ""

    def refusals(self) -> list[str]:
        """Why rows are only polled."""
        return [member.refused for member in self.members if member.refused]

    # ---- asking

    async def renew(
        self, asker: Asker, now_s: float, deadline_s: float | None, clock: Callable[[], float]
    ) -> list[DeviceRefused]:
        """Asks for what is due, as far as the deadline allows; gives the refusals. Raises DeviceUnreachable."""
        refused: list[DeviceRefused] = []
        for member in self.members:
            if member.refused or member.due_s > now_s:
                continue
            if deadline_s is not None and clock() >= deadline_s:
                break
            try:
                await self._subscribe(asker, member)
            except DeviceRefused as error:
                member.refused = str(error)
                refused.append(error)
            else:
                member.due_s = now_s + self.lifetime_s / 2
        return refused

    async def _subscribe(self, asker: Asker, member: _Subscription) -> None:
        increment = member.column.item.cov_increment
        if increment is not None and member.by_property:
            parameters = services.subscribe_cov_property(
                PROCESS, member.object, self.confirmed, self.lifetime_s, PRESENT_VALUE, struct.pack(">f", increment)
            )
            try:
                await asker.subscribe(services.SUBSCRIBE_COV_PROPERTY, parameters, member.object)
            except RefusedAs:
                member.by_property = False  # a device that lets nobody choose still tells changes by its own increment
            else:
                return
        parameters = services.subscribe_cov(PROCESS, member.object, self.confirmed, self.lifetime_s)
        await asker.subscribe(services.SUBSCRIBE_COV, parameters, member.object)

    # ---- hearing

    def hear(self, told: Notification, at_ms: int) -> bool:
        """Takes a notification of this device; whether it was one that was asked for."""
        if told.process != PROCESS:
            return False
        encoded = told.values.get(PRESENT_VALUE)
        heard = False
        for member in self.members:
            if member.object != told.object or encoded is None:
                continue
            try:
                number = number_of(encoded)
            except Malformed:
                continue
            heard = True
            member.heard, member.untold = True, 0
            member.told = float(number.value) if number is not None and isinstance(number.value, int | float) else None
            if len(self.waiting) == _WAITING:
                self.dropped += 1
            flags = flags_of(told.values.get(STATUS_FLAGS, b""))
            column = member.column
            self.waiting.append(Change(column, cell(column.item, column.meaning, number, flags), at_ms))
            self.notified += 1
        return heard

    def take(self) -> list[Change]:
        """What has come since the last call, in the order of its arrival."""
        taken = list(self.waiting)
        self.waiting.clear()
        return taken

    # ---- doubting

    def polled(self, column: Column, value: float) -> None:
        """Compares what a poll saw with what was notified: a change that nobody told says that the device has forgotten us."""
        for member in self.members:
            if member.column is not column:
                continue
            if member.told is None or member.refused:
                member.told = value
            elif not member.heard and self._changed(column, member.told, value):
                member.untold += 1
                if member.untold >= _UNTOLD:
                    member.due_s, member.told, member.untold = -math.inf, value, 0
            else:
                member.untold = 0
            member.heard = False

    @staticmethod
    def _changed(column: Column, told: float, value: float) -> bool:
        # Twice the increment, because `told` may itself lie one below what the device compares with.
        increment = column.item.cov_increment or column.cov_increment
        return abs(value - told) > 2 * increment if increment else value != told
