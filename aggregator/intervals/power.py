"""Integrated power: the shape of energy between counter readings, and the energy itself where no counter exists.

Never a correction of a counter: what the counter says in total stands.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aggregator.intervals.boundaries import INTEGRATED, IntervalEnergy
from aggregator.intervals.counter import GRAIN, MS_PER_H
from wire.reading import Json

PERIODS_BRIDGED: Final = 3
SPACINGS_REMEMBERED: Final = 15


def energy_between(
    at_ms: NDArray[np.int64],
    power_kw: NDArray[np.float64],
    from_ms: int,
    to_ms: int,
    *,
    sign: int = 1,
    period_ms: int | None = None,
) -> Decimal | None:
    """kWh over [from_ms, to_ms) by trapezoids of power flowing in (`sign` 1) or out (-1); readings are (reading,), nan = null.

    None where a hole of more than 3 periods (`period_ms`, else the median spacing) lies in the span, or its ends are not
    reached.
    """
    known = ~np.isnan(power_kw)
    at, power = at_ms[known], np.asarray(power_kw[known] * sign, dtype=np.float64)
    if len(at) < 2 or at[0] > from_ms or at[-1] < to_ms:
        return None
    spacing = np.diff(at)
    first, last = int(np.searchsorted(at, from_ms, side="right")) - 1, int(np.searchsorted(at, to_ms, side="left"))
    if spacing[first:last].size and spacing[first:last].max() > PERIODS_BRIDGED * (period_ms or _usual_ms(spacing)):
        return None
    inside = (at > from_ms) & (at < to_ms)
    ends = np.interp([from_ms, to_ms], at, power)
    t = np.concatenate(([from_ms], at[inside], [to_ms])).astype(np.float64)
    p = np.concatenate((ends[:1], power[inside], ends[1:]))
    kwh = float(np.sum(_positive_area(p[:-1], p[1:], np.diff(t)))) / MS_PER_H
    return Decimal(repr(kwh))


def _usual_ms(spacing: NDArray[np.int64]) -> int:
    """The usual spacing: the lower median, so that one hole beside one period is still a hole."""
    return int(np.sort(spacing)[(len(spacing) - 1) // 2])


def _positive_area(a: NDArray[np.float64], b: NDArray[np.float64], width: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area above zero under straight pieces from a to b; a piece that crosses zero keeps its triangle."""
    high, low = np.maximum(a, b), np.minimum(a, b)
    crossing = (high > 0) & (low < 0)
    triangle = high * high / np.where(crossing, high - low, 1.0) / 2
    area: NDArray[np.float64] = np.where(crossing, triangle, np.maximum(a, 0) / 2 + np.maximum(b, 0) / 2) * width
    return area


@dataclass(slots=True)
class IntegratedLine:
    """Interval energies of a meter without a counter: trapezoids of power in kW, no bridge over 3 periods.

    An interval with a hole has no energy: missing is missing.
    """

    interval_ms: int
    sign: int = 1
    _at_ms: list[int] = field(default_factory=list)
    _power_kw: list[float] = field(default_factory=list)
    _start_ms: int | None = None
    _spacings_ms: list[int] = field(default_factory=list)  # between the last readings

    def feed(self, at_ms: int, power_kw: float) -> list[IntervalEnergy]:
        """The intervals that a reading closes; readings come in rising order."""
        if self._at_ms and at_ms <= self._at_ms[-1]:
            return []
        if self._at_ms:
            self._spacings_ms = [*self._spacings_ms[1 - SPACINGS_REMEMBERED :], at_ms - self._at_ms[-1]]
        self._at_ms.append(at_ms)
        self._power_kw.append(power_kw)
        if self._start_ms is None:
            self._start_ms = -(-at_ms // self.interval_ms) * self.interval_ms
        found: list[IntervalEnergy] = []
        while self._start_ms + self.interval_ms <= at_ms:
            end_ms = self._start_ms + self.interval_ms
            if (energy := self._energy(self._start_ms, end_ms)) is not None:
                found.append(IntervalEnergy(self._start_ms, end_ms, energy.quantize(GRAIN), INTEGRATED, final=True))
            self._start_ms = end_ms
            if not found and at_ms - end_ms > self.interval_ms:
                # The silence holds nothing to integrate.
                self._start_ms = at_ms - at_ms % self.interval_ms - self.interval_ms
            self._forget(self._start_ms)
        return found

    def provisional(self) -> list[IntervalEnergy]:
        """The interval begun, with the energy up to the last reading."""
        if self._start_ms is None or self._at_ms[-1] <= self._start_ms:
            return []
        energy = self._energy(self._start_ms, self._at_ms[-1])
        if energy is None:
            return []
        return [
            IntervalEnergy(
                self._start_ms, self._start_ms + self.interval_ms, energy.quantize(GRAIN), INTEGRATED, final=False
            )
        ]

    def _energy(self, from_ms: int, to_ms: int) -> Decimal | None:
        at, power_kw = np.asarray(self._at_ms, dtype=np.int64), np.asarray(self._power_kw, dtype=np.float64)
        usual_ms = _usual_ms(np.asarray(self._spacings_ms, dtype=np.int64)) if self._spacings_ms else None
        return energy_between(at, power_kw, from_ms, to_ms, sign=self.sign, period_ms=usual_ms)

    def _forget(self, before_ms: int) -> None:
        keep = max(sum(at <= before_ms for at in self._at_ms) - 1, 0)
        del self._at_ms[:keep], self._power_kw[:keep]

    def to_json(self) -> dict[str, Json]:
        return {
            "at_ms": list(self._at_ms),
            "power_kw": list(self._power_kw),
            "start_ms": self._start_ms,
            "spacings_ms": list(self._spacings_ms),
        }

    @classmethod
    def from_json(cls, interval_ms: int, sign: int, state: Mapping[str, Any]) -> "IntegratedLine":
        line = cls(interval_ms, sign)
        at_ms: Sequence[int] = state["at_ms"]
        line._at_ms, line._power_kw, line._start_ms = list(at_ms), list(state["power_kw"]), state["start_ms"]
        line._spacings_ms = list(state["spacings_ms"])
        return line
