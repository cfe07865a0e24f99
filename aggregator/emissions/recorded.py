"""What of the registry the live books use: electricity factors in force, and the facilities' own. Not fuels (see `parameter`)."""

from collections.abc import Iterable

from aggregator.emissions.entry import AVERAGE, Entry
from aggregator.emissions.factors import Pack, annual_versions, shipped
from aggregator.emissions.place import FactorOverride


def electricity_pack(entries: Iterable[Entry]) -> Pack:
    """The annual electricity factors that are approved, with the grids of the shipped pack."""
    return Pack(annual_versions(entries), shipped().grid_of)


def own_factors(entries: Iterable[Entry], facility: str) -> tuple[FactorOverride, ...]:
    """The approved electricity factors of a facility's own, the newest first and none that was corrected; their evidence is their source."""
    newest = {
        e.key: e
        for e in entries
        if facility
        and e.facility == facility
        and e.kind == "electricity"
        and e.status == "approved"
        and e.signal == AVERAGE
    }
    mine = sorted(newest.values(), key=lambda e: (e.known_from_ms, e.version), reverse=True)
    return tuple(
        FactorOverride(
            e.value,
            f"{e.evidence} ({e.id} version {e.version})",
            e.valid_from_ms,
            e.valid_to_ms,
            e.known_from_ms,
            version=e.version,
        )
        for e in mine
    )
