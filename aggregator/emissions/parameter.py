"""Which version of a fuel parameter, process factor or potential applies, and why. Not electricity (see `resolution`).

the facility's own (laboratory, measured; with evidence) -> province -> nation -> international; the first that is allowed.
Nothing allowed: no value. There is no default behind the last one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from aggregator.emissions.entry import AVERAGE, INTERNATIONAL, Entry, Key
from aggregator.emissions.factors import known_on
from aggregator.emissions.resolution import Skipped


@dataclass(frozen=True, slots=True)
class Asked:
    """A factor for a facility in a region, at an instant, as it was known at `as_of_ms`."""

    id: str
    at_ms: int
    as_of_ms: int
    region: str = INTERNATIONAL
    facility: str = ""
    gas: str = ""
    variant: str = ""
    signal: str = AVERAGE
    boundary: str = "direct"


@dataclass(frozen=True, slots=True)
class Resolved:
    """The version that applies (None: none does) and every candidate that was passed over."""

    asked: Asked
    tier: str
    entry: Entry | None
    skipped: tuple[Skipped, ...]

    @property
    def value(self) -> Decimal | None:
        return None if self.entry is None else self.entry.value

    @property
    def reason(self) -> str:
        """Why there is no value, in one line; "" where there is one."""
        return "" if self.entry else "; ".join(f"{skipped.candidate}: {skipped.reason}" for skipped in self.skipped)


def resolve_parameter(entries: Iterable[Entry], asked: Asked) -> Resolved:
    """`entries`: every version on record as it stood at `asked.as_of_ms`, or now."""
    named = [entry for entry in entries if entry.id == asked.id and entry.gas == asked.gas]
    skipped: list[Skipped] = []
    for tier, region, facility in _places(asked):
        here = [e for e in named if e.facility == facility and (facility or e.region == region)]
        here.sort(key=lambda e: (e.valid_from_ms or 0, e.version), reverse=True)
        if not here:
            skipped.append(
                Skipped(f"{tier} {facility or region}", f"has no {asked.id}{asked.gas and ' of '}{asked.gas}")
            )
        in_force: dict[Key, int] = {}
        for entry in here:
            usable = entry.status == "approved" and entry.known_from_ms <= asked.as_of_ms
            newer = in_force.setdefault(entry.key, entry.version) if usable else entry.version
            why_not = _why_not(entry, asked) or (f"version {newer} took its place" if newer != entry.version else "")
            if not why_not:
                return Resolved(asked, tier, entry, tuple(skipped))
            skipped.append(Skipped(f"{tier} {entry.key} version {entry.version}", why_not))
    return Resolved(asked, "none", None, tuple(skipped))


def _places(asked: Asked) -> Iterator[tuple[str, str, str]]:
    if asked.facility:
        yield "facility", "", asked.facility
    if "-" in asked.region:
        yield "province", asked.region, ""
    if asked.region not in ("", INTERNATIONAL):
        yield "national", asked.region.split("-")[0], ""
    yield "international", INTERNATIONAL, ""


def _why_not(entry: Entry, asked: Asked) -> str:
    checks = (
        (entry.known_from_ms > asked.as_of_ms, f"known only from {known_on(entry.known_from_ms)}"),
        (entry.status == "draft", "is a draft that nobody has approved"),
        (entry.status == "withdrawn", f"was withdrawn: {entry.note}"),
        (entry.signal != asked.signal, f"is {entry.signal}, {asked.signal} is asked"),
        (entry.boundary != asked.boundary, f"counts {entry.boundary}, {asked.boundary} is asked"),
        (
            entry.variant != asked.variant,
            f"is for {entry.variant or 'no named variant'}, {asked.variant or 'none'} is asked",
        ),
        (entry.valid_from_ms is not None and entry.valid_from_ms > asked.at_ms, "is not valid yet at this time"),
        (entry.valid_to_ms is not None and entry.valid_to_ms <= asked.at_ms, "is no longer valid at this time"),
        (bool(entry.facility) and not entry.evidence, "has no evidence"),
    )
    return next((why for holds, why in checks if holds), "")
