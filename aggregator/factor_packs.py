"""Factor packs for the edges: made from the books, numbered, kept, signed, retained on the broker. Not what an edge does with one (`edge_agent.carbon`)."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

import msgspec

from aggregator.books import BOOKED_QUANTITY, Books
from aggregator.emissions.booking import PROFILE
from aggregator.emissions.resolution import Resolution
from aggregator.facility import Facility, MeterSpec, Role
from aggregator.intervals.local_time import local_year, year_span_ms
from aggregator.ledger import Ledger, LedgerError
from wire.factor_pack import MAX_FACTORS, Factor, FactorPack, Meter, Multiplier, PackUnreadable, seal
from wire.keys import SigningKey
from wire.mqtt import MqttError
from wire.topics import edge_topic

log = logging.getLogger(__name__)

EVERY_S: Final = 60.0  # real
SEND_TIMEOUT_S: Final = 5.0
DAY_MS: Final = 86_400_000


class Session(Protocol):
    """What a pack is sent with (`wire.mqtt.MqttSession`)."""

    @property
    def connected(self) -> bool: ...

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False, timeout_s: float = 10.0) -> None: ...


class FactorPacks:
    """Issues a pack to each edge with main meters: at once, and whenever its factors or meters have changed. `session`: the connection of the moment."""

    def __init__(
        self,
        ledger: Ledger,
        books: Books,
        key: SigningKey,
        edges: Iterable[tuple[str, str]],
        clock: Callable[[], int],
        session: Callable[[], Session | None],
    ) -> None:
        self._ledger = ledger
        self._books = books
        self._key = key
        self._edges = sorted(edges)
        self._clock = clock
        self._session = session
        self._sent: dict[tuple[str, str], int] = {}

    async def run(self) -> None:
        """For ever; cancel to stop."""
        while True:
            await self.issue()
            await asyncio.sleep(EVERY_S)

    def forget_sent(self) -> None:
        """The broker may have lost what it retained: the next `issue` tells every edge again."""
        self._sent.clear()

    async def issue(self) -> None:
        """Once, now. What cannot be kept or sent is logged and tried again next time."""
        session = self._session()
        if session is None or not session.connected:
            self.forget_sent()
            return
        for facility, edge in self._edges:
            try:
                pack = await asyncio.to_thread(self._standing, facility, edge)
                if pack is None or self._sent.get((facility, edge)) == pack.number:
                    continue
                topic = edge_topic(facility, edge, "factors")
                await session.publish(topic, seal(pack, topic, self._key), retain=True, timeout_s=SEND_TIMEOUT_S)
            except (LedgerError, MqttError, PackUnreadable) as error:
                log.warning("factor pack not issued facility=%s edge=%s reason=%s", facility, edge, error)
                continue
            self._sent[facility, edge] = pack.number
            log.info("factor pack issued facility=%s edge=%s number=%d", facility, edge, pack.number)

    def _standing(self, facility: str, edge: str) -> FactorPack | None:
        """The pack that the edge is to have: the last one issued where nothing has changed, else a new one, kept."""
        now_ms = self._clock()
        wanted = pack_for(self._books, facility, edge, now_ms)
        if wanted is None:
            return None
        with self._ledger.transaction() as db:
            found = db.execute(
                "SELECT content FROM factor_pack WHERE facility = ? AND edge = ? ORDER BY number DESC LIMIT 1",
                (facility, edge),
            ).fetchone()
            last = None if found is None else msgspec.json.decode(found[0], type=FactorPack)
            if last is not None and _numbered(wanted, last.number, last.issued_at_ms) == last:
                return last
            number = max(
                now_ms, 1 if last is None else last.number + 1
            )  # rises also where the ledger is a restored one
            fresh = _numbered(wanted, number, now_ms)
            db.execute(
                "INSERT INTO factor_pack VALUES (?,?,?,?,?)",
                (facility, edge, number, now_ms, msgspec.json.encode(fresh).decode()),
            )
        return fresh


def pack_for(books: Books, facility: str, edge: str, now_ms: int) -> FactorPack | None:
    """What the books would do with the edge's main meters, last year to next year; None where it has none."""
    found = books.facilities.get(facility)
    meters = [] if found is None else [_meter(meter, now_ms) for meter in found.meters if _counts(meter, edge)]
    if found is None or not meters:
        return None
    return FactorPack(1, now_ms, PROFILE, found.interval_ms, meters, _factors(books, found, now_ms))


def _counts(meter: MeterSpec, edge: str) -> bool:
    """What `Books` books: the import of main meters; here only by a counter of this edge's."""
    return meter.edge == edge and meter.role is Role.MAIN and meter.carrier == "electricity" and meter.counted


def _meter(meter: MeterSpec, now_ms: int) -> Meter:
    count = "" if meter.quantum_kwh is None else format(meter.quantum_kwh / meter.multiplier_at(now_ms), "f")
    multipliers = [
        Multiplier(max(0, entry.valid_from_ms or 0), format(entry.factor, "f")) for entry in meter.multipliers
    ]
    return Meter(meter.device, multipliers, BOOKED_QUANTITY, count if len(count) <= 30 else "")


def _factors(books: Books, facility: Facility, now_ms: int) -> list[Factor]:
    """From the last local year to the next; a few days where factors change too often for that, as those of an hourly series do."""
    year = local_year(now_ms, facility.zone)
    span = year_span_ms(year - 1, facility.zone)[0], year_span_ms(year + 1, facility.zone)[1]
    found = list(_spans(books, facility, *span, now_ms))
    if len(found) > MAX_FACTORS:
        today_ms = now_ms - now_ms % DAY_MS
        found = list(_spans(books, facility, today_ms - 2 * DAY_MS, today_ms + 3 * DAY_MS, now_ms))
    return found[:MAX_FACTORS]


def _spans(books: Books, facility: Facility, from_ms: int, to_ms: int, now_ms: int) -> Iterator[Factor]:
    """Gives one more than `MAX_FACTORS` at most."""
    last: Factor | None = None
    at_ms, given = max(0, from_ms), 0
    while at_ms < to_ms and given <= MAX_FACTORS:
        resolution = books.booker.resolve(books.places[facility.id], at_ms, now_ms)
        end_ms = min(resolution.to_ms, to_ms)
        fresh = _factor(resolution, at_ms, end_ms)
        if last is not None and msgspec.structs.replace(fresh, from_ms=last.from_ms) == msgspec.structs.replace(
            last, to_ms=end_ms
        ):
            last = msgspec.structs.replace(last, to_ms=end_ms)
        else:
            if last is not None:
                yield last
            last, given = fresh, given + 1
        at_ms = end_ms
    if last is not None:
        yield last


def _factor(found: Resolution, from_ms: int, to_ms: int) -> Factor:
    kg = None if found.kg_per_kwh is None else format(found.kg_per_kwh, "f")
    return Factor(
        from_ms, to_ms, kg, found.factor_id, found.version, found.region, found.data_year, found.source[:300], list(found.marks),
        found.reason[:300],
    )  # fmt: skip


def _numbered(pack: FactorPack, number: int, issued_at_ms: int) -> FactorPack:
    return msgspec.structs.replace(pack, number=number, issued_at_ms=issued_at_ms)
