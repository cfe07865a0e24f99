"""A facility as it is accounted: its place, its meters, its own factors. Not how the settings file spells it."""

from dataclasses import dataclass, field
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aggregator.accounts.pools.pool import Cell
from aggregator.accounts.price import CarbonPrice, overlap
from aggregator.emissions.place import FactorOverride, Place
from aggregator.flexibility.events.policy import ResponsePolicy
from aggregator.intervals.meter import MeterSpec, Multiplier, Role, VirtualMeter
from aggregator.process import Process, contradictions

__all__ = [
    "CarbonPrice",
    "Cell",
    "Facility",
    "FactorOverride",
    "MeterSpec",
    "Multiplier",
    "Place",
    "Role",
    "VirtualMeter",
]

# Every offset from UTC in use today is a multiple of 15 minutes, so that intervals which divide 15 minutes never straddle
# a local midnight. (Source: IANA time zone database 2025b; older local mean times are not supported.)
LONGEST_INTERVAL_S = 900


@dataclass(frozen=True, slots=True)
class Facility:
    """What is accounted and reported. `place` is a region code such as CN-JS ("" where unknown: then no factor applies).

    `cells`: what stands behind a meter of storage or of vehicles that give energy back, by the meter's device.
    """

    id: str
    time_zone: str
    name: str = ""
    place: str = ""
    connection_kw: Decimal | None = None
    interval_s: int = 900
    meters: tuple[MeterSpec, ...] = ()
    overrides: tuple[FactorOverride, ...] = ()
    grid_zone: str = ""  # whose hourly intensities apply, where a profile takes an hourly series
    virtual_meters: tuple[VirtualMeter, ...] = ()
    factor_u95_percent: Decimal | None = None  # assumed of factors that state no uncertainty
    gap_preset: str = ""  # the rule of a regime for intervals that nobody has measured, e.g. 40cfr75
    cells: tuple[tuple[str, Cell], ...] = ()
    pv_certificates_sold: bool = False
    processes: tuple[Process, ...] = ()
    carbon_prices: tuple[CarbonPrice, ...] = ()  # of statements, shown beside them
    demand_response: ResponsePolicy = field(default_factory=ResponsePolicy)

    def __post_init__(self) -> None:
        if self.interval_s <= 0 or LONGEST_INTERVAL_S % self.interval_s:
            raise ValueError(f"facility {self.id}: interval_s must divide {LONGEST_INTERVAL_S}, is {self.interval_s}")
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(
                f"facility {self.id}: time_zone must be an IANA zone such as Asia/Shanghai, is {self.time_zone!r}"
            ) from error
        seen: set[str] = set()
        for device in [*(meter.device for meter in self.meters), *(meter.device for meter in self.virtual_meters)]:
            if device in seen:
                raise ValueError(f"facility {self.id}: meter {device} is named twice")
            seen.add(device)
        for fault in contradictions(self.processes, seen):
            raise ValueError(f"facility {self.id}: {fault}")
        if twice := overlap(self.carbon_prices):
            raise ValueError(
                f"facility {self.id}: expected one carbon price in {twice[0].currency} at a time, got {twice[0]} and {twice[1]}"
            )

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def interval_ms(self) -> int:
        return self.interval_s * 1000

    def meter(self, device: str) -> MeterSpec | None:
        return next((meter for meter in self.meters if meter.device == device), None)

    def shown_as(self, part: str) -> tuple[MeterSpec, ...]:
        """The electricity meters of a part of the site: pv, storage, ev. Check meters are not among them."""
        return tuple(
            meter
            for meter in self.meters
            if meter.show == part and meter.carrier == "electricity" and meter.role is not Role.CHECK
        )

    def main_meters(self) -> tuple[MeterSpec, ...]:
        """The grid connections: the only meters of a facility total."""
        return tuple(meter for meter in self.meters if meter.role is Role.MAIN)

    def factor_place(self) -> Place:
        return Place(self.id, self.place, self.time_zone, self.overrides, self.grid_zone)
