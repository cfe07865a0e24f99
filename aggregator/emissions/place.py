"""Where a facility's electricity comes from, as the factor registry asks for it. Not the factors themselves."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class FactorOverride:
    """A factor of the facility's own, valid in [valid_from_ms, valid_to_ms) (UTC; None: unbounded on that side).

    `source` names the evidence and is shown with every figure; `marks` are carried into every figure, for example
    ("test data",). `known_from_ms` None: known at any time.
    """

    kg_per_kwh: Decimal
    source: str
    valid_from_ms: int | None = None
    valid_to_ms: int | None = None
    known_from_ms: int | None = None
    marks: tuple[str, ...] = ()
    version: int | None = None  # under which it is on record; given by the books, not by a person

    def __post_init__(self) -> None:
        if not self.kg_per_kwh.is_finite() or self.kg_per_kwh < 0:
            raise ValueError(f"factor override: kg_per_kwh must be 0 or above, is {self.kg_per_kwh}")
        if not self.source.strip():
            raise ValueError("factor override: source must name where the factor comes from, is empty")
        if self.valid_from_ms is not None and self.valid_to_ms is not None and self.valid_from_ms >= self.valid_to_ms:
            raise ValueError(
                f"factor override: valid_to must be after valid_from, are {self.valid_from_ms} and {self.valid_to_ms}"
            )


@dataclass(frozen=True, slots=True)
class Place:
    """What decides a facility's factor: its region (CN, CN-GRID-EAST, CN-JS; "" where unknown), its time zone and its overrides.

    `grid_zone` names the hourly series of its grid, "" where it has none.
    """

    facility: str
    region: str
    time_zone: str
    overrides: tuple[FactorOverride, ...] = ()
    grid_zone: str = ""
