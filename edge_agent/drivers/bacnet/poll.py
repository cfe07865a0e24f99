"""One poll of a learned device: its rows in as few requests as it bears, each answer checked against its question. Not how a device is found.

A request that is too much for the device is halved and stays so; one for a single object is asked with ReadProperty instead. The first
entry of every request is the device's own object under the instance that we know: another device at the same address shows at once.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from edge_agent.drivers.bacnet import learn
from edge_agent.drivers.bacnet.ask import TOO_MUCH, UNKNOWN_SERVICE, Asker, RefusedAs, error_name
from edge_agent.drivers.bacnet.cov import Subscriptions
from edge_agent.drivers.bacnet.declared import BacnetPlan
from edge_agent.drivers.bacnet.learn import AnotherDevice, Column, Learned
from edge_agent.drivers.bacnet.objects import DEVICE, RESTARTED_AT, STATUS_FLAGS, SYSTEM_STATUS, object_text
from edge_agent.drivers.bacnet.reading import ABSENT, WRONG_UNIT, Cell, cell, flags_of, number_of
from edge_agent.drivers.bacnet.services import Malformed, ObjectId, Reference
from edge_agent.drivers.driver import Answer, DeviceMisanswered, DeviceRefused, DeviceUnreachable, DriverError
from wire.block import Block, Shape

_REFUSALS: Final = (
    3  # polls in a row in which a single object is refused, and it is taken for absent until the device is learned anew
)

Properties = dict[tuple[ObjectId, int], bytes]


class Poll:
    """The requests of one device as they stand now, and what its answers gave."""

    def __init__(
        self, plan: BacnetPlan, learned: Learned, subscriptions: Subscriptions, now_ms: Callable[[], int]
    ) -> None:
        self._plan = plan
        self._learned = learned
        self._subscriptions = subscriptions
        self._now_ms = now_ms
        self._me: ObjectId = (DEVICE, plan.instance)
        self._first: list[Column] | None = None  # where the next read begins: where a deadline or a silence has stopped
        self._refusals: dict[str, int] = {}  # per quantity, in a row
        self.batches = learn.batches(learned, learned.columns)
        self.restarted = False

    def lines(self) -> tuple[str, ...]:
        """The requests for people."""
        return tuple(
            f"{len(batch)} objects: {', '.join(object_text(column.object) for column in batch if column.object)}"
            for batch in self.batches
        )

    async def run(self, asker: Asker, answer: Answer, deadline_s: float | None, counters_only: bool) -> None:
        """Adds to `answer` what the device gave. Raises DriverError where it gave nothing, AnotherDevice whenever it is not the one."""
        loop = asyncio.get_running_loop()
        waiting = self._turn(counters_only)
        answered = 0
        while waiting:
            if answered and deadline_s is not None and loop.time() >= deadline_s:
                answer.left_out += len(waiting)
                self._first = waiting[0]
                break
            batch = waiting.pop(0)
            try:
                cells, at_ms = await self._cells(asker, batch)
            except DeviceUnreachable as error:
                self._first = batch
                if not answered:
                    raise
                answer.faults.append(error)
                answer.left_out += len(waiting)
                break
            except AnotherDevice:
                raise
            except RefusedAs as error:
                waiting[:0] = self._smaller(batch, error, answer)
                continue
            except DeviceMisanswered as error:
                answer.faults.append(error)
                continue
            answered += 1
            self._refusals.pop(batch[0].item.quantity, None)
            answer.blocks += [
                _block(self._plan.name, c.at_ms, [(c.column, c.cell)]) for c in self._subscriptions.take()
            ]
            answer.blocks.append(_block(self._plan.name, at_ms, cells))
        self._tell_faults(answer)
        if not answered and not counters_only:
            raise answer.faults[0] if answer.faults else DriverError(f"{self._plan.name}: no row to read")

    def _turn(self, counters_only: bool) -> list[list[Column]]:
        """The requests of one read in their order."""
        first = next((index for index, batch in enumerate(self.batches) if batch is self._first), 0)
        self._first = None
        turn = [*self.batches[first:], *self.batches[:first]]
        return [batch for batch in turn if not counters_only or any(column.item.counter for column in batch)]

    async def _cells(self, asker: Asker, batch: list[Column]) -> tuple[list[tuple[Column, Cell]], int]:
        """The values of one request, and the instant of its answer. Raises DriverError."""
        if self._learned.multiple:
            found = await self._several(asker, batch)
        else:
            found = await self._singly(asker, batch)
        return [(column, self._cell(column, found)) for column in batch], self._now_ms()

    async def _several(self, asker: Asker, batch: list[Column]) -> Properties:
        wanted: dict[ObjectId, list[Reference]] = {self._me: [(SYSTEM_STATUS, None)]}
        if self._learned.restarted_at is not None:
            wanted[self._me].append((RESTARTED_AT, None))
        for column in batch:
            assert column.object is not None
            references = wanted.setdefault(column.object, [])
            for reference in ((column.item.property, None), (STATUS_FLAGS, None)):
                if reference not in references:
                    references.append(reference)
        results = await asker.several(wanted.items(), f"{len(batch)} objects")
        answered = {(result.object, result.property) for result in results}
        for object_id, references in wanted.items():
            if any((object_id, prop) not in answered for prop, _ in references):
                raise DeviceMisanswered(
                    f"{asker.name}: expected {object_text(object_id)} in the answer, saw it left out"
                )
        for result in results:
            if result.object == self._me and result.error is not None and error_name(result.error) == "unknown-object":
                raise AnotherDevice(
                    f"{asker.name}: expected device {self._me[1]} at {asker.peer.text}, saw another one"
                )
        found = {(result.object, result.property): result.encoded for result in results if result.error is None}
        self._check_restart(found.get((self._me, RESTARTED_AT)))
        return found

    def _check_restart(self, restarted_at: bytes | None) -> None:
        if restarted_at is not None and restarted_at != self._learned.restarted_at:
            self._learned.restarted_at = restarted_at
            self.restarted = True

    async def _singly(self, asker: Asker, batch: Sequence[Column]) -> Properties:
        found: Properties = {}
        try:
            await asker.encoded(self._me, SYSTEM_STATUS)
        except RefusedAs as error:
            if error.name == "unknown-object":
                raise AnotherDevice(
                    f"{asker.name}: expected device {self._me[1]} at {asker.peer.text}, saw another one"
                ) from error
        for column in batch:
            assert column.object is not None
            key = (column.object, column.item.property)
            found[key] = await asker.encoded(*key)
            with contextlib.suppress(DeviceRefused):
                found[column.object, STATUS_FLAGS] = await asker.encoded(column.object, STATUS_FLAGS)
        return found

    def _cell(self, column: Column, found: Properties) -> Cell:
        assert column.object is not None
        encoded = found.get((column.object, column.item.property))
        if encoded is None:
            return Cell(None, None, ABSENT)
        try:
            number = number_of(encoded)
        except Malformed:
            return Cell(None, None, ABSENT)
        if column.item.cov and number is not None and isinstance(number.value, int | float):
            self._subscriptions.polled(column, float(number.value))
        return cell(column.item, column.meaning, number, flags_of(found.get((column.object, STATUS_FLAGS), b"")))

    def _smaller(self, batch: list[Column], error: RefusedAs, answer: Answer) -> list[list[Column]]:
        """What to ask instead of a request that was refused; a fault where nothing smaller is left."""
        learned = self._learned
        if learned.multiple and error.name == UNKNOWN_SERVICE:
            learned.multiple = False
            self.batches = learn.batches(learned, learned.columns)
            return [[column] for column in batch]
        if len(batch) > 1 and error.name in TOO_MUCH:
            halves = [batch[: len(batch) // 2], batch[len(batch) // 2 :]]
            self.batches = [piece for member in self.batches for piece in (halves if member is batch else [member])]
            return halves
        answer.faults.append(error)
        if len(batch) == 1 and error.name in TOO_MUCH:
            quantity = batch[0].item.quantity
            self._refusals[quantity] = self._refusals.get(quantity, 0) + 1
            if self._refusals[quantity] >= _REFUSALS:
                batch[0].fault = f"object {object_text(batch[0].object or (0, 0))}: refused as {error.name}"
                self.batches = [member for member in self.batches if member[0] is not batch[0]]
        return []

    def _tell_faults(self, answer: Answer) -> None:
        """Rows that cannot be read: a fault each, and a column that says why."""
        faulty = [column for column in self._learned.columns if column.fault]
        answer.faults += [
            DriverError(f"{self._plan.name}: {column.item.quantity}: {column.fault}") for column in faulty
        ]
        if faulty and answer.blocks:
            cells = [(column, Cell(None, None, WRONG_UNIT if column.units_wrong else ABSENT)) for column in faulty]
            answer.blocks.append(_block(self._plan.name, answer.blocks[-1].at_ms[0], cells))


@lru_cache(maxsize=512)
def _shape(quantities: tuple[str, ...], exponents: tuple[int | None, ...]) -> Shape:
    return Shape(quantities, exponents)


def _block(device: str, at_ms: int, cells: Sequence[tuple[Column, Cell]]) -> Block:
    shape = _shape(tuple(column.item.quantity for column, _ in cells), tuple(found.exponent for _, found in cells))
    quality = tuple(found.quality for _, found in cells)
    bad = any(pair[0] for pair in quality)
    return Block(device, shape, (at_ms,), tuple((found.value,) for _, found in cells), quality if bad else ())
