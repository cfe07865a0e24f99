"""What a battery or a vehicle carries and gives back, and what reaches a site's loads: the rules of carbon pools on a few figures. Not the accounts (see `accounts.pool`)."""

from collections.abc import Sequence
from fractions import Fraction

from aggregator.emissions.formulas.guards import Impossible, between, not_negative, positive, same_length
from aggregator.emissions.formulas.worked import Figure, Worked, listed, shown

ZERO = Fraction(0)


def storage_pool(
    charge_kwh: Sequence[Fraction],
    factor_kg_per_kwh: Sequence[Fraction],
    charge_efficiency_ratio: Fraction,
    discharge_efficiency_ratio: Fraction,
    delivered_kwh: Fraction,
) -> Worked:
    """A battery charged (AC) and then discharged (AC): what is delivered carries its share of the pool, losses included. Raises Impossible."""
    charged_kwh, stored_kwh, pool_kg, steps = _charged(charge_kwh, factor_kg_per_kwh, charge_efficiency_ratio)
    drawn_kwh = _drawn(delivered_kwh, discharge_efficiency_ratio, stored_kwh)
    basis = pool_kg / charged_kwh
    delivered_kg = pool_kg * drawn_kwh / stored_kwh
    left_kwh = stored_kwh - drawn_kwh
    return Worked(
        (
            *steps,
            Figure("input_basis_kg_per_kwh", basis, "kg/kWh", f"{shown(pool_kg)} kg / {shown(charged_kwh)} kWh"),
            Figure("drawn_kwh", drawn_kwh, "kWh", f"{shown(delivered_kwh)} kWh / {shown(discharge_efficiency_ratio)}"),
            Figure("delivered_kg", delivered_kg, "kg", _part(pool_kg, drawn_kwh, stored_kwh)),
            Figure(
                "delivered_basis_kg_per_kwh",
                delivered_kg / delivered_kwh,
                "kg/kWh",
                f"{shown(delivered_kg)} kg / {shown(delivered_kwh)} kWh",
            ),
            Figure(
                "loss_share_kg",
                delivered_kg - delivered_kwh * basis,
                "kg",
                f"{shown(delivered_kg)} kg - {shown(delivered_kwh)} kWh x {shown(basis)}",
            ),
            Figure("left_kwh", left_kwh, "kWh", f"{shown(stored_kwh)} kWh - {shown(drawn_kwh)} kWh"),
            Figure("left_kg", pool_kg - delivered_kg, "kg", f"{shown(pool_kg)} kg - {shown(delivered_kg)} kg"),
        ),
        ("delivered_kg", "delivered_basis_kg_per_kwh", "left_kg"),
    )


def vehicle_to_grid(
    charge_kwh: Sequence[Fraction],
    factor_kg_per_kwh: Sequence[Fraction],
    charge_efficiency_ratio: Fraction,
    discharge_efficiency_ratio: Fraction,
    discharge_kwh: Fraction,
    arrival_kwh: Fraction = ZERO,
    marginal_charge_kg_per_kwh: Sequence[Fraction] | None = None,
    marginal_discharge_kg_per_kwh: Fraction | None = None,
) -> Worked:
    """A charging session that gives energy back: what leaves it, what is left of it, and what the discharge avoids. Raises Impossible.

    What the vehicle brought has no figure; it is drawn in proportion. Avoided is marginal, less what the charge of the same energy caused, and
    null where either series is missing.
    """
    not_negative("arrival_kwh", arrival_kwh)
    charged_kwh, stored_kwh, pool_kg, steps = _charged(charge_kwh, factor_kg_per_kwh, charge_efficiency_ratio)
    battery_kwh = arrival_kwh + stored_kwh
    drawn_kwh = _drawn(discharge_kwh, discharge_efficiency_ratio, battery_kwh)
    drawn = drawn_kwh / battery_kwh
    exported_kg, covered_kwh = pool_kg * drawn, discharge_kwh * stored_kwh / battery_kwh
    attributable_kwh = charged_kwh * drawn
    displaced_kg = caused_kg = None
    if marginal_charge_kg_per_kwh is not None:
        same_length(charge_kwh=charge_kwh, marginal_charge_kg_per_kwh=marginal_charge_kg_per_kwh)
        caused_kg = sum((k * f for k, f in zip(charge_kwh, marginal_charge_kg_per_kwh, strict=True)), ZERO) * drawn
    if marginal_discharge_kg_per_kwh is not None:
        displaced_kg = covered_kwh * marginal_discharge_kg_per_kwh
    avoided_kg = None if caused_kg is None or displaced_kg is None else displaced_kg - caused_kg
    given_back = f"{shown(exported_kg)} kg / {shown(covered_kwh)} kWh"
    figures = (
        *steps,
        Figure("battery_kwh", battery_kwh, "kWh", f"{shown(arrival_kwh)} kWh + {shown(stored_kwh)} kWh"),
        Figure("battery_kg_per_kwh", pool_kg / stored_kwh, "kg/kWh", f"{shown(pool_kg)} kg / {shown(stored_kwh)} kWh"),
        Figure("drawn_kwh", drawn_kwh, "kWh", f"{shown(discharge_kwh)} kWh AC / {shown(discharge_efficiency_ratio)}"),
        Figure("exported_kg", exported_kg, "kg", _part(pool_kg, drawn_kwh, battery_kwh)),
        Figure("exported_kg_per_kwh", exported_kg / covered_kwh, "kg/kWh", given_back),
        Figure("session_kg", pool_kg - exported_kg, "kg", f"{shown(pool_kg)} kg - {shown(exported_kg)} kg"),
        Figure("attributable_charge_kwh", attributable_kwh, "kWh", _part(charged_kwh, drawn_kwh, battery_kwh, "kWh")),
        Figure("displaced_kg", displaced_kg, "kg, marginal", f"{shown(covered_kwh)} kWh x marginal at discharge"),
        Figure("caused_kg", caused_kg, "kg, marginal", f"{shown(attributable_kwh)} kWh x marginal at charge"),
        Figure("avoided_kg", avoided_kg, "kg, marginal", "displaced - caused"),
    )
    notes = []
    if arrival_kwh:
        notes.append(f"{shown(discharge_kwh - covered_kwh)} of {shown(discharge_kwh)} kWh were brought by the vehicle")
    if avoided_kg is None:
        notes.append("avoided: no figure, because a marginal series is missing")
    elif avoided_kg < 0:
        notes.append("avoided is negative: charging has caused more than discharging displaced")
    return Worked(figures, ("session_kg", "exported_kg", "avoided_kg"), tuple(notes))


def site_mix(
    import_kwh: Sequence[Fraction],
    pv_kwh: Sequence[Fraction],
    load_kwh: Sequence[Fraction],
    factor_kg_per_kwh: Sequence[Fraction | None],
    ev_kwh: Sequence[Fraction] | None = None,
) -> Worked:
    """What reaches a site's loads in each interval, charging among them (`ev_kwh` of `load_kwh`), and what is exported. Raises Impossible."""
    ev_kwh = [ZERO] * len(import_kwh) if ev_kwh is None else ev_kwh
    same_length(
        import_kwh=import_kwh, pv_kwh=pv_kwh, load_kwh=load_kwh, factor_kg_per_kwh=factor_kg_per_kwh, ev_kwh=ev_kwh
    )
    intensities: list[Fraction | None] = []
    export_kwh = session_kg = covered_kwh = ZERO
    for at, (grid, pv, load, factor, ev) in enumerate(
        zip(import_kwh, pv_kwh, load_kwh, factor_kg_per_kwh, ev_kwh, strict=True), start=1
    ):
        for name, kwh in (("import_kwh", grid), ("pv_kwh", pv), ("load_kwh", load), ("ev_kwh", ev)):
            not_negative(f"{name}, interval {at}", kwh)
        exported = grid + pv - load
        if exported < 0 or exported > pv:
            raise Impossible(
                f"interval {at}: expected a load of {shown(grid)} to {shown(grid + pv)} kWh (the import, with up to all PV), saw {shown(load)}"
            )
        if ev > load:
            raise Impossible(f"ev_kwh, interval {at}: expected at most the load of {shown(load)} kWh, saw {shown(ev)}")
        export_kwh += exported
        if factor is not None:
            between("factor_kg_per_kwh", factor, "0", "2", "kg/kWh, not g/kWh")
        # Without grid energy no grid factor is needed.
        intensity = None if not load or (factor is None and grid) else grid * (factor or ZERO) / load
        intensities.append(intensity)
        if intensity is not None:
            session_kg += ev * intensity
            covered_kwh += ev
    all_kwh = sum(ev_kwh, ZERO)
    made_of = f"{shown(session_kg)} kg / {shown(covered_kwh)} kWh"
    figures = [
        *(
            Figure(f"intensity_{at}_kg_per_kwh", intensity, "kg/kWh", "what reaches the loads / their energy")
            for at, intensity in enumerate(intensities, start=1)
        ),
        Figure("export_kwh", export_kwh, "kWh", "import + PV - load"),
    ]
    if all_kwh:
        covered = f"{shown(covered_kwh)} kWh / {shown(all_kwh)} kWh"
        figures += [
            Figure(
                "session_kg", session_kg if covered_kwh else None, "kg", f"{listed(ev_kwh)} kWh x {listed(intensities)}"
            ),
            Figure("session_kg_per_kwh", session_kg / covered_kwh if covered_kwh else None, "kg/kWh", made_of),
            Figure("coverage_percent", covered_kwh / all_kwh * 100, "%", covered),
        ]
    return Worked(tuple(figures), tuple(figure.name for figure in figures))


def _charged(
    charge_kwh: Sequence[Fraction], factor_kg_per_kwh: Sequence[Fraction], efficiency_ratio: Fraction
) -> tuple[Fraction, Fraction, Fraction, tuple[Figure, ...]]:
    """(AC kWh, DC kWh, kg, the steps)."""
    same_length(charge_kwh=charge_kwh, factor_kg_per_kwh=factor_kg_per_kwh)
    _efficiency("charge_efficiency_ratio", efficiency_ratio)
    for kwh, factor in zip(charge_kwh, factor_kg_per_kwh, strict=True):
        not_negative("charge_kwh", kwh)
        between("factor_kg_per_kwh", factor, "0", "2", "kg/kWh, not g/kWh")
    charged_kwh = sum(charge_kwh, ZERO)
    positive("charge_kwh, all of them", charged_kwh)
    kg = sum((k * f for k, f in zip(charge_kwh, factor_kg_per_kwh, strict=True)), ZERO)
    stored_kwh = charged_kwh * efficiency_ratio
    return (
        charged_kwh,
        stored_kwh,
        kg,
        (
            Figure("stored_kwh", stored_kwh, "kWh", f"{shown(charged_kwh)} kWh AC x {shown(efficiency_ratio)}"),
            Figure("pool_kg", kg, "kg", f"{listed(charge_kwh)} kWh x {listed(factor_kg_per_kwh)} kg/kWh"),
        ),
    )


def _drawn(ac_kwh: Fraction, efficiency_ratio: Fraction, content_kwh: Fraction) -> Fraction:
    _efficiency("discharge_efficiency_ratio", efficiency_ratio)
    positive("delivered energy", ac_kwh)
    drawn_kwh = ac_kwh / efficiency_ratio
    if drawn_kwh > content_kwh:
        raise Impossible(
            f"delivered energy: expected at most {shown(content_kwh * efficiency_ratio)} kWh AC, saw {shown(ac_kwh)}"
        )
    return drawn_kwh


def _efficiency(name: str, value: Fraction) -> None:
    if not 0 < value <= 1:
        raise Impossible(f"{name}: expected above 0 and at most 1, saw {shown(value)}")


def _part(amount: Fraction, part: Fraction, whole: Fraction, unit: str = "kg") -> str:
    return f"{shown(amount)} {unit} x {shown(part)} kWh / {shown(whole)} kWh"
