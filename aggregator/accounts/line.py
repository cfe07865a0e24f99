"""One line of an account: a quantity of one source times one factor, and where it counts. Not how it was worked out (see `statement`)."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final


class Counts(StrEnum):
    """Where a line counts. Only scopes add up to a total; everything else is shown apart."""

    SCOPE_1 = "scope1"
    SCOPE_2 = "scope2"
    SCOPE_3 = "scope3"
    ALLOCATED = (
        "allocated"  # inside a line that is counted already: a sub-meter, a pool, a vehicle, an own boiler's heat
    )
    EXPORTED = "exported"  # left the facility
    CAUSED = "caused"  # marginal: what consumption causes
    AVOIDED = "avoided"  # marginal: what a change avoids
    BIOGENIC = "biogenic"
    LIFE_CYCLE = "life_cycle"  # upstream of energy, grid losses
    REMOVED = "removed"  # sinks


SCOPES: Final = (Counts.SCOPE_1, Counts.SCOPE_2, Counts.SCOPE_3)

# GB/T 32150: fixed (stationary) and mobile combustion, process, indirect, fugitive.
CLASSES: Final = ("stationary", "mobile", "process", "indirect", "fugitive")


@dataclass(frozen=True, slots=True)
class Applied:
    """The factor behind a line, as it stands in the registry. `kg_per_unit` is kg CO2e per unit of the line's quantity."""

    id: str
    version: int
    kg_per_unit: Decimal
    region: str = ""
    data_year: int | None = None
    tier: str = ""
    source: str = ""
    u95_percent: Decimal | None = None

    def __str__(self) -> str:
        words = (self.id, self.region, str(self.data_year or ""), f"v{self.version}")
        return " ".join(word for word in words if word)


@dataclass(frozen=True, slots=True)
class Line:
    """`quantity` in `unit` of [start_ms, end_ms) (UTC), exact; None: not known. `kg` CO2e is exact; None: there is no figure, and `why` says why.

    `source` names what it was measured or recorded at: meter:incomer, activity:diesel/2026-03, pool:battery. A line sums `intervals`
    interval rows of one grade and one factor within one local day (0: it was not made of intervals). A row may be longer or shorter than the
    facility's interval: `covered` is what their time comes to in such intervals, None where that is `intervals`. `quality` and `reason` are the grade's
    words (good, uncertain, substituted, manual; and why). `figures`: other numbers that belong to it, by name with the unit at its end.
    """

    source: str
    counts: Counts
    activity: str  # one of CLASSES
    carrier: str  # electricity, heat, steam, cooling, water, gas; or the fuel's, material's, refrigerant's id
    start_ms: int
    end_ms: int
    quantity: Decimal | None
    unit: str
    factor: Applied | None
    kg: Decimal | None
    gas: str = "CO2"
    quality: str = "good"
    reason: str = ""
    intervals: int = 0
    provisional: int = 0  # of those, not final yet
    marks: tuple[str, ...] = ()
    why: str = ""
    meter_u95_percent: Decimal | None = None
    figures: tuple[tuple[str, Decimal], ...] = ()
    covered: Fraction | None = None

    @property
    def covered_intervals(self) -> Fraction | int:
        """How many of the facility's intervals its rows come to, by time."""
        return self.intervals if self.covered is None else self.covered
