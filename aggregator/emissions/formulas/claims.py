"""What follows from a claimed figure: the change between two, the baseline behind a saving, the life behind cycles. Not whether it is true."""

from fractions import Fraction
from typing import Final

from aggregator.emissions.formulas.guards import Impossible, positive
from aggregator.emissions.formulas.worked import Figure, Worked, shown

DAYS_PER_YEAR: Final = 365


def relative_change(before: Fraction, after: Fraction) -> Worked:
    """(after - before) / before, in percent. Raises Impossible."""
    if before == 0:
        raise Impossible("before: expected other than 0, which a percentage can be taken of")
    change = after - before
    return Worked(
        (
            Figure("change", change, "", f"{shown(after)} - {shown(before)}"),
            Figure("change_percent", change / abs(before) * 100, "%", f"{shown(change)} / {shown(abs(before))}"),
        ),
        ("change", "change_percent"),
    )


def baseline_of_saving(saved: Fraction, saved_percent: Fraction) -> Worked:
    """Baseline = saved / share saved, and what is left of it, in the unit of `saved`. Raises Impossible."""
    positive("saved", saved)
    if not 0 < saved_percent <= 100:
        raise Impossible(f"saved_percent: expected above 0 to 100, saw {shown(saved_percent)}")
    baseline = saved / saved_percent * 100
    return Worked(
        (
            Figure("baseline", baseline, "", f"{shown(saved)} / {shown(saved_percent)} %"),
            Figure("left", baseline - saved, "", f"{shown(baseline)} - {shown(saved)}"),
        ),
        ("baseline", "left"),
    )


def cycle_life(cycles: Fraction, cycles_per_day: Fraction, wanted_years: Fraction | None = None) -> Worked:
    """Years = cycles / (cycles a day x 365), and the most cycles a day that a wanted life allows (white paper: storage station). Raises Impossible."""
    positive("cycles", cycles)
    positive("cycles_per_day", cycles_per_day)
    years = cycles / (cycles_per_day * DAYS_PER_YEAR)
    figures = [Figure("life_years", years, "years", f"{shown(cycles)} / ({shown(cycles_per_day)} x {DAYS_PER_YEAR})")]
    notes = []
    if wanted_years is not None:
        positive("wanted_years", wanted_years)
        most = cycles / (wanted_years * DAYS_PER_YEAR)
        made_of = f"{shown(cycles)} / ({shown(wanted_years)} x {DAYS_PER_YEAR})"
        figures.append(Figure("most_cycles_per_day", most, "cycles/day", made_of))
        if cycles_per_day > most:
            notes.append(
                f"{shown(cycles_per_day)} cycles a day end {shown(wanted_years - years, 2)} years before {shown(wanted_years)}"
            )
    return Worked(tuple(figures), tuple(figure.name for figure in figures), tuple(notes))
