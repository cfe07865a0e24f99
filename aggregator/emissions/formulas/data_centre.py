"""A data centre's PUE, DCiE, WUE and CUE, with limits and what an improvement saved. Not where the two meters stand."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from aggregator.emissions.formulas.guards import Impossible, between, not_negative, positive
from aggregator.emissions.formulas.worked import Figure, Worked, shown


@dataclass(frozen=True, slots=True)
class Limit:
    """What a place allows: PUE (ratio) and WUE (l/kWh; None: no limit)."""

    pue: Fraction
    wue_l_per_kwh: Fraction | None


# As "digital low-carbon, low-carbon digital" prints them. Shown with a figure only where a place is named.
LIMITS: Final = {
    "beijing": Limit(Fraction("1.4"), None),
    "shanghai": Limit(Fraction("1.3"), Fraction("1.4")),
}


def data_centre(
    total_kwh: Fraction,
    it_kwh: Fraction,
    factor_kg_per_kwh: Fraction | None = None,
    water_l: Fraction | None = None,
    previous_pue: Fraction | None = None,
    limits_of: str | None = None,
    limit_pue: Fraction | None = None,
    limit_wue_l_per_kwh: Fraction | None = None,
) -> Worked:
    """PUE = total / IT energy (data-bank paper; ISO/IEC 30134-2), DCiE = 1 / PUE, CUE and WUE per kWh of IT. Raises Impossible.

    CUE needs a factor, WUE needs water; a PUE below 1 is refused: the two meters are then the wrong way round.
    """
    positive("it_kwh", it_kwh)
    if total_kwh < it_kwh:
        raise Impossible(
            f"total_kwh: expected at least it_kwh ({shown(it_kwh)}), saw {shown(total_kwh)}; a PUE below 1 means swapped meters"
        )
    pue = total_kwh / it_kwh
    figures = [
        Figure("pue", pue, "", f"{shown(total_kwh)} kWh / {shown(it_kwh)} kWh"),
        Figure("dcie_percent", 100 / pue, "%", f"100 / {shown(pue)}"),
    ]
    wue = None
    if factor_kg_per_kwh is not None:
        between("factor_kg_per_kwh", factor_kg_per_kwh, "0", "2", "kg/kWh, not g/kWh")
        made_of = f"{shown(pue)} x {shown(factor_kg_per_kwh)} kg/kWh"
        figures.append(Figure("cue_kg_per_kwh", pue * factor_kg_per_kwh, "kg CO2/kWh IT", made_of))
    if water_l is not None:
        not_negative("water_l", water_l)
        wue = water_l / it_kwh
        figures.append(Figure("wue_l_per_kwh", wue, "l/kWh IT", f"{shown(water_l)} l / {shown(it_kwh)} kWh"))
    if previous_pue is not None:
        figures += _saved(previous_pue, pue, it_kwh, factor_kg_per_kwh)
    return Worked(
        tuple(figures),
        tuple(figure.name for figure in figures),
        tuple(_judged(pue, wue, limits_of, limit_pue, limit_wue_l_per_kwh)),
    )


def _saved(previous: Fraction, pue: Fraction, it_kwh: Fraction, factor_kg_per_kwh: Fraction | None) -> list[Figure]:
    between("previous_pue", previous, "1", "10")
    saved_kwh = (previous - pue) * it_kwh
    figures = [Figure("saved_kwh", saved_kwh, "kWh", f"({shown(previous)} - {shown(pue)}) x {shown(it_kwh)} kWh")]
    if factor_kg_per_kwh is not None:
        made_of = f"{shown(saved_kwh)} kWh x {shown(factor_kg_per_kwh)} kg/kWh"
        figures.append(Figure("saved_kg", saved_kwh * factor_kg_per_kwh, "kg CO2", made_of))
    return figures


def _judged(
    pue: Fraction, wue: Fraction | None, limits_of: str | None, limit_pue: Fraction | None, limit_wue: Fraction | None
) -> list[str]:
    if limits_of is not None:
        if limits_of not in LIMITS:
            raise Impossible(f"limits_of: expected one of {', '.join(LIMITS)}, saw {limits_of!r}")
        if limit_pue is not None or limit_wue is not None:
            raise Impossible("limits_of: expected either a place or limits of your own, saw both")
        limit_pue, limit_wue = LIMITS[limits_of].pue, LIMITS[limits_of].wue_l_per_kwh
    notes = []
    if limit_pue is not None:
        between("limit_pue", limit_pue, "1", "10")
        dcie = f"DCiE limit {shown(100 / limit_pue, 2)} %"
        notes.append(f"PUE {shown(pue, 3)} {_against(pue, limit_pue)} ({dcie})")
    if limit_wue is not None:
        positive("limit_wue_l_per_kwh", limit_wue)
        if wue is None:
            notes.append(f"WUE: no figure against the limit {shown(limit_wue)}, water_l is missing")
        else:
            notes.append(f"WUE {shown(wue, 3)} l/kWh {_against(wue, limit_wue)}")
    return notes


def _against(value: Fraction, limit: Fraction) -> str:
    return f"is above the limit {shown(limit)}" if value > limit else f"keeps the limit {shown(limit)}"
