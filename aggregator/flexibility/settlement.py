"""What an event is worth: delivered energy against the baseline, the response ratio, pay and penalty, and the rebound after it. Not the baseline itself."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from aggregator.flexibility.problem import Currency

Series = npt.NDArray[np.float64]
REBOUND_H: Final = 4.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What a programme pays. Delivery below `dead_band_percent` of the target earns nothing, above `cap_percent` no more; what lacks up to the target
    costs `penalty_per_kwh`."""

    pay_per_kwh: Currency = 0.0
    penalty_per_kwh: Currency = 0.0
    dead_band_percent: float = 0.0
    cap_percent: float = 100.0


@dataclass(frozen=True, slots=True)
class Settlement:
    """Per interval of the event. `response_ratio`: delivered over asked; None where nothing was asked. `rebound_kwh`: load above the baseline within four
    hours after it, null where that was not measured."""

    delivered_kwh: Series
    paid_kwh: Series
    target_kwh: Series
    response_ratio: float | None
    money: Currency
    rebound_kwh: float | None


def settle(
    baseline_kw: Series, metered_kw: Series, target_kw: Series, interval_h: float, terms: Terms,
    after_baseline_kw: Series | None = None, after_metered_kw: Series | None = None,
) -> Settlement:  # fmt: skip
    """Each interval apart: delivered = baseline - metered. Raises ValueError where the meter lacks an interval."""
    if bool(np.isnan(metered_kw).any()):
        raise ValueError(
            f"metered load: expected every interval of the event, {int(np.isnan(metered_kw).sum())} were not measured well"
        )
    delivered = (baseline_kw - metered_kw) * interval_h
    target = target_kw * interval_h
    paid = np.clip(delivered, 0, target * terms.cap_percent / 100)
    paid = np.where(delivered < target * terms.dead_band_percent / 100, 0.0, paid)
    lacking = np.clip(target - delivered, 0, None)
    rebound = None
    if after_baseline_kw is not None and after_metered_kw is not None and not bool(np.isnan(after_metered_kw).any()):
        rebound = float(np.clip(after_metered_kw - after_baseline_kw, 0, None).sum()) * interval_h
    asked = float(target.sum())
    return Settlement(
        delivered, paid, target, float(delivered.sum()) / asked if asked else None,
        float(paid.sum()) * terms.pay_per_kwh - float(lacking.sum()) * terms.penalty_per_kwh, rebound,
    )  # fmt: skip
