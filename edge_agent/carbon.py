"""Provisional kg at the edge: each interval's counter difference times the factor of the last signed pack, exactly, also without any link. Not the books.

```
reading ... b ... reading         the counter at boundary b is the reading within 1 s of it (the extra poll after each boundary), else not known
kWh = (counter at end - counter at begin) x multiplier;  kg = kWh x factor          decimals, nothing rounded
```
The aggregator works out the same from the same readings and compares: agreement to the last digit. What it would estimate, spread or doubt has no figure
here, and the event says why: a boundary without its own reading, a counter that went back, fewer than 20 counts, a factor or multiplier that changes within.
"""

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact, InvalidOperation
from pathlib import Path
from typing import Final

import msgspec

from edge_agent import checked_file
from wire.block import Block
from wire.factor_pack import Factor, FactorPack, Meter, PackForged, PackUnreadable, unseal
from wire.keys import PublicKey
from wire.reading import Event, Json, Quality

log = logging.getLogger(__name__)

FILE: Final = "carbon.json"
AT_BOUNDARY_MS: Final = 1000
COUNTS_NEEDED: Final = 20  # of an interval; one with fewer is shaped by power in the aggregator
FIGURES_KEPT: Final = 96  # of each meter: a day of quarter-hours
EXACT: Final = Context(prec=60, traps=[Inexact, InvalidOperation])


class Figure(msgspec.Struct, frozen=True, omit_defaults=True):
    """An interval of a meter. Decimals as text; `kg` None: `why` says why. `number` is that of the pack."""

    device: str
    start_ms: int
    end_ms: int
    kwh: str | None
    kg: str | None
    number: int
    factor: str = ""
    factor_version: int = 0
    kg_per_kwh: str | None = None
    why: str = ""


class Kept(msgspec.Struct):
    """What survives a restart: the pack's frame in hex, the newest figures of each meter, and what the factors have come to per meter."""

    frame: str = ""
    figures: dict[str, list[Figure]] = {}


@dataclass(slots=True)
class _Line:
    """One meter's counter: the last reading, the last boundary passed and what the counter showed there (None: not known)."""

    last_ms: int
    last: Decimal
    finest: int
    boundary_ms: int | None = None
    at_boundary: Decimal | None = None


class Carbon:
    """`message` takes packs, `look` takes what drivers read, `tell` is given an event per interval. `synced`: whether the clock can be believed."""

    def __init__(
        self, directory: Path, key: PublicKey, topic: str, tell: Callable[[Event], None], synced: Callable[[], bool]
    ) -> None:
        self._path = directory / FILE
        self._key = key
        self._topic = topic
        self._tell = tell
        self._synced = synced
        self._lines: dict[str, _Line] = {}
        self._meters: dict[str, Meter] = {}
        self.pack: FactorPack | None = None
        self.refused = 0
        self._kept = read(self._path)
        if self._kept.frame:
            with contextlib.suppress(PackForged, PackUnreadable, ValueError):
                self._use(unseal(bytes.fromhex(self._kept.frame), topic, key))

    def message(self, frame: bytes) -> None:
        """A pack has come: kept where the pinned key has signed it and its number is higher. Anything else is logged and counted."""
        try:
            pack = unseal(frame, self._topic, self._key)
        except (PackForged, PackUnreadable) as error:
            self.refused += 1
            log.warning("factor pack refused reason=%s", error)
            return
        if self.pack is not None and pack.number <= self.pack.number:
            return
        self._use(pack)
        self._kept.frame = frame.hex()
        self._save(durable=True)
        log.info("factor pack taken number=%d factors=%d meters=%d", pack.number, len(pack.factors), len(pack.meters))

    def _use(self, pack: FactorPack) -> None:
        self.pack = pack
        self._meters = {meter.device: meter for meter in pack.meters}

    def look(self, block: Block) -> None:
        """The counters of one block, if its device counts."""
        meter = self._meters.get(block.device)
        if meter is None or self.pack is None or meter.quantity not in block.shape.quantities:
            return
        index = block.shape.quantities.index(meter.quantity)
        exponent = block.shape.exponents[index]
        good = not block.quality or block.quality[index][0] == Quality.GOOD
        for at_ms, value in zip(block.at_ms, block.columns[index], strict=True):
            if value is None:
                continue
            if not good or not self._synced():
                self._lines.pop(block.device, None)
                continue
            shown = Decimal(repr(value)) if exponent is None else Decimal(value).scaleb(exponent)
            self._next(meter, self.pack, at_ms, shown)

    def _next(self, meter: Meter, pack: FactorPack, at_ms: int, shown: Decimal) -> None:
        finest = _finest(shown)
        line = self._lines.get(meter.device)
        if line is None:
            boundary_ms = at_ms - at_ms % pack.interval_ms
            known = at_ms - boundary_ms <= AT_BOUNDARY_MS
            self._lines[meter.device] = _Line(
                at_ms, shown, finest, boundary_ms if known else None, shown if known else None
            )
            return
        if at_ms <= line.last_ms:
            return
        line.finest = min(line.finest, finest)
        boundary_ms = line.last_ms - line.last_ms % pack.interval_ms + pack.interval_ms
        while boundary_ms <= at_ms:
            near_ms, value = (
                (at_ms, shown) if at_ms - boundary_ms <= boundary_ms - line.last_ms else (line.last_ms, line.last)
            )
            known = abs(near_ms - boundary_ms) <= AT_BOUNDARY_MS
            self._close(meter, pack, line, boundary_ms, value if known else None)
            boundary_ms += pack.interval_ms
        line.last_ms, line.last = at_ms, shown

    def _close(self, meter: Meter, pack: FactorPack, line: _Line, end_ms: int, value: Decimal | None) -> None:
        """The boundary at `end_ms` is passed; the interval that ends there has a figure, or the reason why it has none."""
        start_ms, before = line.boundary_ms, line.at_boundary
        line.boundary_ms, line.at_boundary = end_ms, value
        if start_ms is None:
            return
        if before is None or value is None:
            kwh, why = None, "no reading within 1 s of a boundary"
        else:
            kwh, why = _energy_kwh(meter, before, value, line.finest, start_ms, end_ms)
        factor = next((each for each in pack.factors if each.from_ms <= start_ms < each.to_ms), None)
        kg: Decimal | None = None
        if kwh is not None:
            if factor is None or factor.kg_per_kwh is None:
                why = "no factor of the pack covers it" if factor is None else factor.reason or "there is no factor"
            elif end_ms > factor.to_ms:
                why = "another factor begins within it"
            else:
                kg = EXACT.multiply(kwh, Decimal(factor.kg_per_kwh))
        self._state(_figure(meter.device, (start_ms, end_ms), kwh, kg, pack.number, factor, why))

    def _state(self, figure: Figure) -> None:
        newest = self._kept.figures.setdefault(figure.device, [])
        newest.append(figure)
        del newest[:-FIGURES_KEPT]
        self._save(durable=False)
        body: dict[str, Json] = msgspec.to_builtins(figure)
        del body["device"]
        self._tell(Event(f"carbon-{figure.device}-{figure.start_ms}", figure.end_ms, figure.device, "carbon", body))

    def _save(self, *, durable: bool) -> None:
        try:
            checked_file.write(self._path, self._kept, durable=durable)
        except OSError as error:  # what is told lies in the spool; the pack comes again with the next connection
            log.error("carbon figures cannot be kept: %s", error)

    def figures(self) -> dict[str, Json]:
        """For the status: the pack, and the newest figure of each meter."""
        if self.pack is None:
            return {}
        newest = {device: figures[-1] for device, figures in self._kept.figures.items() if figures}
        return {
            "carbon_pack": self.pack.number,
            "carbon_kg": {device: figure.kg for device, figure in newest.items()},
        }


def read(path: Path) -> Kept:
    """What was kept; nothing at a first start. A damaged file is set aside and said: the pack comes again with the next connection."""
    try:
        return checked_file.read(path, Kept)
    except FileNotFoundError:
        return Kept()
    except checked_file.FileDamaged as error:
        log.error("carbon figures damaged, set aside file=%s reason=%s", path, error)
        path.replace(path.with_suffix(".damaged"))
        return Kept()


def _energy_kwh(
    meter: Meter, before: Decimal, after: Decimal, finest: int, start_ms: int, end_ms: int
) -> tuple[Decimal | None, str]:
    """The interval's kWh in the line; or None and why."""
    shown = EXACT.subtract(after, before)
    if shown < 0:
        return None, "the counter went back"
    count = Decimal(meter.count_kwh) if meter.count_kwh else Decimal(1).scaleb(finest)
    if shown < COUNTS_NEEDED * count:
        return None, f"fewer than {COUNTS_NEEDED} counts: its shape is not known"
    standing = [each for each in meter.multipliers if each.from_ms <= start_ms]
    if any(start_ms < each.from_ms < end_ms for each in meter.multipliers):
        return None, "another multiplier begins within it"
    if not standing:
        return None, "no multiplier of the pack covers it"
    return EXACT.multiply(shown, Decimal(standing[-1].factor)), ""


def _figure(
    device: str,
    span: tuple[int, int],
    kwh: Decimal | None,
    kg: Decimal | None,
    number: int,
    factor: Factor | None,
    why: str,
) -> Figure:
    return Figure(
        device, *span, None if kwh is None else format(kwh, "f"), None if kg is None else format(kg, "f"), number,
        "" if factor is None else factor.id, 0 if factor is None else factor.version,
        None if factor is None else factor.kg_per_kwh, why,
    )  # fmt: skip


def _finest(shown: Decimal) -> int:
    """The exponent of the finest digit, as the float nearest to it is written: zeros at the end do not count, one digit behind the point always does."""
    exponent = shown.normalize(EXACT).as_tuple().exponent
    return min(-1, exponent) if isinstance(exponent, int) else -1
