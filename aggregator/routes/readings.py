"""Readings: the latest of each series, history as measured or in buckets, and the columns of the page's chart. Not energies (`intervals`)."""

import math
from itertools import pairwise
from typing import Annotated, Final, Literal

import numpy as np
from fastapi import APIRouter, Query
from pydantic import Field

from aggregator.facility import MeterSpec
from aggregator.live import LETTER, members
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader
from aggregator.routes.problem import Problem, unknown
from aggregator.routes.query import Answer, Parameters, Span, device_edge
from aggregator.stores.store import Buckets, Floats, SeriesKey
from wire.quantities import QUANTITIES
from wire.reading import Quality

router = APIRouter(prefix="/api/v1/facilities/{facility}", tags=["readings"], dependencies=[Reader])
POINTS_MAX: Final = 20_000
STEPS_S: Final = (1, 5, 10, 15, 30, 60, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400)
_HELD_STEPS: Final = 2.5  # a value stands for so many of its meter's own steps, then the line has a gap


class LatestParameters(Parameters):
    """Which series."""

    device: Annotated[str | None, Field(max_length=64)] = None
    quantity: Annotated[str | None, Field(max_length=64)] = None


class LatestReading(Answer):
    """The newest reading of one series. `value` None: the device answered without a usable value."""

    edge: str
    device: str
    quantity: str
    unit: str
    at_ms: int
    value: float | None
    quality: Literal["g", "u", "b", "s"]


class LatestAnswer(Answer):
    """The newest readings of a facility, seen at `at_ms`."""

    facility: str
    at_ms: int
    readings: list[LatestReading]


class HistoryParameters(Span):
    """`resolution`: raw, or the length of a bucket in seconds; `limit`: points that the caller is ready to take."""

    device: Annotated[str, Field(min_length=1, max_length=64)]
    quantity: Annotated[str, Field(min_length=1, max_length=64)]
    edge: Annotated[str | None, Field(max_length=64)] = None
    resolution: Annotated[str, Field(pattern=r"^(raw|[1-9][0-9]{0,5})$")] = "raw"
    limit: Annotated[int, Field(ge=1, le=POINTS_MAX)] = POINTS_MAX


class HistoryAnswer(Answer):
    """Columns of one length. Raw: readings as they were taken. Buckets: every bucket of the span, null where nothing was read."""

    facility: str
    edge: str
    device: str
    quantity: str
    unit: str
    resolution_s: int | None
    at_ms: list[int]
    value: list[float | None]
    quality: list[Literal["g", "u", "b", "s"] | None]
    low: list[float | None] | None = None
    high: list[float | None] | None = None
    readings: list[int] | None = None


class SeriesParameters(Span):
    """`points`: how many the chart can show."""

    points: Annotated[int, Field(ge=2, le=5000)] = 720


class SeriesAnswer(Answer):
    """The power flow over time: `t` UTC ms and kW per part (grid, pv, sto, load, ev), null where a part has no value."""

    facility: str
    step_ms: int
    t: list[int]
    y: dict[str, list[float | None]]


@router.get("/latest")
async def latest(given: Given, named: Named, wanted: Annotated[LatestParameters, Query()]) -> LatestAnswer:
    """The newest reading of each series, or of one device or quantity."""
    _known_quantity(wanted.quantity)
    readings = [
        LatestReading(
            edge=key.edge,
            device=key.device,
            quantity=key.quantity,
            unit=QUANTITIES[key.quantity].unit if key.quantity in QUANTITIES else "",
            at_ms=newest.at_ms,
            value=newest.value,
            quality=_letter(newest.quality),
        )
        for key, newest in sorted(given.newest.facility(named.id).items())
        if wanted.device in {None, key.device} and wanted.quantity in {None, key.quantity}
    ]
    return LatestAnswer(facility=named.id, at_ms=given.clock(), readings=readings)


@router.get("/history")
def history(given: Given, named: Named, wanted: Annotated[HistoryParameters, Query()]) -> HistoryAnswer:
    """One series over [from, to), as measured or in buckets. Asks for too many points are refused, never cut short."""
    wanted.checked()
    _known_quantity(wanted.quantity)
    edge = device_edge(given, named.id, wanted.device, wanted.edge)
    key = SeriesKey(named.id, edge, wanted.device, wanted.quantity)
    answer = _raw if wanted.resolution == "raw" else _bucketed
    return answer(given, key, wanted)


def _raw(given: Given, key: SeriesKey, wanted: HistoryParameters) -> HistoryAnswer:
    whole = given.store.buckets(key, wanted.from_ms, wanted.to_ms, wanted.to_ms - wanted.from_ms)
    count = int(whole.n.sum())
    if count > wanted.limit:
        raise Problem(
            422,
            "too many points",
            "limit",
            f"at most {wanted.limit}: a shorter span, or a resolution in seconds",
            count,
        )
    columns = given.store.history(key, wanted.from_ms, wanted.to_ms)
    return HistoryAnswer(
        facility=key.facility,
        edge=key.edge,
        device=key.device,
        quantity=key.quantity,
        unit=QUANTITIES[key.quantity].unit,
        resolution_s=None,
        at_ms=columns.at_ms.tolist(),
        value=_values(columns.value),
        quality=[_letter(Quality(code)) for code in columns.quality.tolist()],
    )


def _bucketed(given: Given, key: SeriesKey, wanted: HistoryParameters) -> HistoryAnswer:
    step_ms = int(wanted.resolution) * 1000
    count = -(-(wanted.to_ms - wanted.from_ms) // step_ms)
    if count > wanted.limit:
        raise Problem(
            422, "too many points", "limit", f"at most {wanted.limit}: a shorter span, or a longer resolution", count
        )
    found = given.store.buckets(key, wanted.from_ms, wanted.to_ms, step_ms)
    at = ((found.from_ms - wanted.from_ms) // step_ms).tolist()
    quality: list[Literal["g", "u", "b", "s"] | None] = [None] * count
    readings = [0] * count
    for number, code, n in zip(at, found.quality.tolist(), found.n.tolist(), strict=True):
        quality[number], readings[number] = _letter(Quality(code)), n
    return HistoryAnswer(
        facility=key.facility,
        edge=key.edge,
        device=key.device,
        quantity=key.quantity,
        unit=QUANTITIES[key.quantity].unit,
        resolution_s=step_ms // 1000,
        at_ms=[wanted.from_ms + number * step_ms for number in range(count)],
        value=_spread(at, found.mean, count),
        quality=quality,
        low=_spread(at, found.low, count),
        high=_spread(at, found.high, count),
        readings=readings,
    )


@router.get("/series")
def series(given: Given, named: Named, wanted: Annotated[SeriesParameters, Query()]) -> SeriesAnswer:
    """The power flow over time for a chart: means per step, a gap wherever a meter of a part was silent."""
    wanted.checked(longest_ms=400 * 86_400_000)
    step_ms = _step_ms(wanted.to_ms - wanted.from_ms, wanted.points)
    from_ms = wanted.from_ms // step_ms * step_ms
    count = -(-(wanted.to_ms - from_ms) // step_ms)
    sums = {
        part: sum(
            (_meter(given, named.id, meter, from_ms, wanted.to_ms, step_ms, count) for meter in meters), np.zeros(count)
        )
        for part, meters in members(named).items()
    }
    if "grid" in sums and "load" not in sums:
        sums["load"] = sums["grid"] - sum((sums[part] for part in ("pv", "sto", "ev") if part in sums), np.zeros(count))
    return SeriesAnswer(
        facility=named.id,
        step_ms=step_ms,
        t=[from_ms + number * step_ms for number in range(count)],
        y={part: _values(np.round(values, 3)) for part, values in sums.items()},
    )


def _meter(
    given: Given, facility_id: str, meter: MeterSpec, from_ms: int, to_ms: int, step_ms: int, count: int
) -> Floats:
    """Mean power of one meter per step (step,), kW on the primary side, nan where it was silent."""
    for quantity in ("active_power_kw", "dc_power_kw"):
        found = given.store.buckets(SeriesKey(facility_id, meter.edge, meter.device, quantity), from_ms, to_ms, step_ms)
        if len(found):
            break
    return held(found, from_ms, step_ms, count) * float(meter.multiplier_at(from_ms))


def held(found: Buckets, from_ms: int, step_ms: int, count: int) -> Floats:
    """Means on all steps (step,): a value stands until the next one, but for at most 2.5 of the series' own typical steps.

    So a meter that is read every 60 s draws a line on 5 s steps, and one that fell silent draws none.
    """
    values = np.full(count, np.nan)
    at = ((found.from_ms - from_ms) // step_ms).astype(np.int64)
    if not len(at):
        return values
    typical = float(np.median(np.diff(at))) if len(at) > 1 else 1.0
    reach = max(1, int(typical * _HELD_STEPS))
    for start, (first, last) in enumerate(pairwise([*at.tolist(), count])):
        values[first : min(last, first + reach)] = found.mean[start]
    return values


def _step_ms(span_ms: int, points: int) -> int:
    """The shortest of a list of lengths that gives at most `points` steps."""
    return 1000 * next((step for step in STEPS_S if span_ms <= step * 1000 * points), STEPS_S[-1])


def _known_quantity(quantity: str | None) -> None:
    if quantity is not None and quantity not in QUANTITIES:
        raise unknown("quantity", quantity, sorted(QUANTITIES))


def _letter(quality: Quality) -> Literal["g", "u", "b", "s"]:
    return LETTER[quality]


def _values(column: Floats) -> list[float | None]:
    return [None if math.isnan(value) else value for value in column.tolist()]


def _spread(at: list[int], column: Floats, count: int) -> list[float | None]:
    spread = np.full(count, np.nan)
    spread[at] = column
    return _values(spread)
