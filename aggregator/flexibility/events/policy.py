"""How a facility answers events, and what holds where an event does not say otherwise. Not an event (see `event`)."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ResponsePolicy:
    """`accept` automatic: events up to the firm kW are accepted at once; everything else waits for a person, until `answer_within_s` after the notice.

    `report_shortfall`: whether the programme takes reports while an event runs. `meters`: the measuring point, () the main meters together. `holidays`: local days (ISO) that are like no other.
    """

    accept: Literal["automatic", "person"] = "person"
    answer_within_s: int = 900
    rules: str = "ten_of_ten"
    meters: tuple[str, ...] = ()
    holidays: tuple[str, ...] = ()
    pay_per_kwh: float = 0.0
    penalty_per_kwh: float = 0.0
    dead_band_percent: float = 0.0
    cap_percent: float = 100.0
    currency: str = "CNY"
    report_shortfall: bool = True
