"""CO2 from what a process does to its materials: carbonates, clinker, a carbon balance, leaked gases. Not combustion."""

from collections.abc import Sequence
from fractions import Fraction

from aggregator.emissions.formulas.guards import Impossible, between, not_negative, positive, ratio, same_length
from aggregator.emissions.formulas.units import CO2_PER_CARBON
from aggregator.emissions.formulas.worked import Figure, Worked, listed, shown


def carbonate(
    material_t: Fraction, purity_ratio: Fraction, calcined_ratio: Fraction, factor_t_per_t: Fraction
) -> Worked:
    """E = material x purity x share calcined x t CO2 per t of carbonate (IPCC 2006, volume 3, table 2.1). Raises Impossible."""
    not_negative("material_t", material_t)
    ratio("purity_ratio", purity_ratio)
    ratio("calcined_ratio", calcined_ratio)
    between("factor_t_per_t", factor_t_per_t, "0.1", "0.6", "limestone has 0.43971, magnesite 0.52197")
    calcined_t = material_t * purity_ratio * calcined_ratio
    made_of = f"{shown(material_t)} t x {shown(purity_ratio)} x {shown(calcined_ratio)}"
    return Worked(
        (
            Figure("calcined_t", calcined_t, "t", made_of),
            Figure(
                "emissions_t",
                calcined_t * factor_t_per_t,
                "t CO2",
                f"{shown(calcined_t)} t x {shown(factor_t_per_t)} t/t",
            ),
        ),
        ("emissions_t",),
    )


def clinker(
    clinker_t: Fraction,
    cao_ratio: Fraction,
    mgo_ratio: Fraction,
    cao_not_from_carbonate_ratio: Fraction,
    mgo_not_from_carbonate_ratio: Fraction,
) -> Worked:
    """E = clinker x ((CaO - CaO not from carbonate) x 44/56 + (MgO - ...) x 44/40) (GB/T 32151 for cement; stoichiometry). Raises Impossible."""
    not_negative("clinker_t", clinker_t)
    between("cao_ratio", cao_ratio, "0", "0.75", "clinker has about 0.65; the share, not the percentage")
    between("mgo_ratio", mgo_ratio, "0", "0.10", "clinker has about 0.015; the share, not the percentage")
    for oxide, whole, other in (
        ("cao", cao_ratio, cao_not_from_carbonate_ratio),
        ("mgo", mgo_ratio, mgo_not_from_carbonate_ratio),
    ):
        if not 0 <= other <= whole:
            raise Impossible(
                f"{oxide}_not_from_carbonate_ratio: expected 0 to {shown(whole)} ({oxide}_ratio), saw {shown(other)}"
            )
    cao = (cao_ratio - cao_not_from_carbonate_ratio) * Fraction(44, 56)
    mgo = (mgo_ratio - mgo_not_from_carbonate_ratio) * Fraction(44, 40)
    return Worked(
        (
            Figure(
                "cao_t_per_t",
                cao,
                "t CO2/t",
                f"({shown(cao_ratio)} - {shown(cao_not_from_carbonate_ratio)}) x 44/56",
            ),
            Figure(
                "mgo_t_per_t",
                mgo,
                "t CO2/t",
                f"({shown(mgo_ratio)} - {shown(mgo_not_from_carbonate_ratio)}) x 44/40",
            ),
            Figure(
                "emissions_t", clinker_t * (cao + mgo), "t CO2", f"{shown(clinker_t)} t x ({shown(cao)} + {shown(mgo)})"
            ),
        ),
        ("emissions_t",),
    )


def carbon_balance(
    input_t: Sequence[Fraction],
    input_carbon_ratio: Sequence[Fraction],
    product_t: Sequence[Fraction],
    product_carbon_ratio: Sequence[Fraction],
    residue_t: Sequence[Fraction],
    residue_carbon_ratio: Sequence[Fraction],
) -> Worked:
    """E = (carbon in - carbon in products - carbon in residues) x 44/12 (data-bank paper: carbon fixed in the product is taken off; GB/T 32150). Raises Impossible."""
    carbon_t = {}
    for name, amounts, shares in (
        ("input", input_t, input_carbon_ratio),
        ("product", product_t, product_carbon_ratio),
        ("residue", residue_t, residue_carbon_ratio),
    ):
        same_length(**{f"{name}_t": amounts, f"{name}_carbon_ratio": shares})
        for amount, share in zip(amounts, shares, strict=True):
            not_negative(f"{name}_t", amount)
            ratio(f"{name}_carbon_ratio", share)
        carbon_t[name] = sum((a * s for a, s in zip(amounts, shares, strict=True)), Fraction(0))
    lost_t = carbon_t["input"] - carbon_t["product"] - carbon_t["residue"]
    if lost_t < 0:
        raise Impossible(
            f"carbon balance: expected no more carbon out than in, saw {shown(carbon_t['input'])} t in and "
            f"{shown(carbon_t['product'] + carbon_t['residue'])} t out"
        )
    inputs = " + ".join(f"{shown(a)} t x {shown(s)}" for a, s in zip(input_t, input_carbon_ratio, strict=True))
    products = " + ".join(f"{shown(a)} t x {shown(s)}" for a, s in zip(product_t, product_carbon_ratio, strict=True))
    residues = " + ".join(f"{shown(a)} t x {shown(s)}" for a, s in zip(residue_t, residue_carbon_ratio, strict=True))
    return Worked(
        (
            Figure("input_carbon_t", carbon_t["input"], "tC", inputs),
            Figure("product_carbon_t", carbon_t["product"], "tC", products),
            Figure("residue_carbon_t", carbon_t["residue"], "tC", residues),
            Figure("lost_carbon_t", lost_t, "tC", "in - products - residues"),
            Figure("emissions_t", lost_t * CO2_PER_CARBON, "t CO2", f"{shown(lost_t)} tC x 44/12"),
        ),
        ("emissions_t",),
    )


def carbon_burnt(material_t: Fraction, carbon_ratio: Fraction, oxidation_ratio: Fraction) -> Worked:
    """E = material x carbon x share oxidised x 44/12: coke burnt off a catalyst, an anode, a residue (GB/T 32150; stoichiometry). Raises Impossible."""
    not_negative("material_t", material_t)
    ratio("carbon_ratio", carbon_ratio)
    ratio("oxidation_ratio", oxidation_ratio)
    burnt_t = material_t * carbon_ratio * oxidation_ratio
    made_of = f"{shown(material_t)} t x {shown(carbon_ratio)} x {shown(oxidation_ratio)}"
    return Worked(
        (
            Figure("oxidised_carbon_t", burnt_t, "tC", made_of),
            Figure("emissions_t", burnt_t * CO2_PER_CARBON, "t CO2", f"{shown(burnt_t)} tC x 44/12"),
        ),
        ("emissions_t",),
    )


def flare(
    volume_nm3: Fraction,
    carbon_t_per_10k_nm3: Fraction,
    oxidation_ratio: Fraction,
    co2_ratio: Fraction,
    co2_t_per_10k_nm3: Fraction,
) -> Worked:
    """E = V x (carbon other than CO2 x share oxidised x 44/12 + share of CO2 x its density), V in 10^4 Nm3 (sector guides for
    petrochemicals: flares). The density is given: 44/22.414 is 1.963 kg/Nm3, guides print values of their own. Raises Impossible."""
    not_negative("carbon_t_per_10k_nm3", carbon_t_per_10k_nm3)
    between("carbon_t_per_10k_nm3", carbon_t_per_10k_nm3, "0", "60", "tC per 10^4 Nm3; methane has 5.4")
    ratio("oxidation_ratio", oxidation_ratio)
    vented = vented_gas(volume_nm3, co2_ratio, co2_t_per_10k_nm3)
    volume = volume_nm3 / 10_000
    burnt_t = volume * carbon_t_per_10k_nm3 * oxidation_ratio
    let_off_t = vented["emissions_t"]
    made_of = f"{shown(volume)} x 10^4 Nm3 x {shown(carbon_t_per_10k_nm3)} tC x {shown(oxidation_ratio)}"
    return Worked(
        (
            Figure("oxidised_carbon_t", burnt_t, "tC", made_of),
            Figure("co2_in_gas_t", let_off_t, "t CO2", vented.figure("emissions_t").made_of),
            Figure(
                "emissions_t",
                burnt_t * CO2_PER_CARBON + let_off_t,
                "t CO2",
                f"{shown(burnt_t)} tC x 44/12 + {shown(let_off_t)} t",
            ),
        ),
        ("emissions_t",),
    )


def vented_gas(volume_nm3: Fraction, co2_ratio: Fraction, co2_t_per_10k_nm3: Fraction) -> Worked:
    """E = V x share of CO2 x its density, V in 10^4 Nm3: acid gas, off-gas of a hydrogen plant (sector guides for petrochemicals). Raises Impossible."""
    not_negative("volume_nm3", volume_nm3)
    ratio("co2_ratio", co2_ratio)
    between("co2_t_per_10k_nm3", co2_t_per_10k_nm3, "18", "20.5", "44 / 22.414 gives 19.63 t per 10^4 Nm3")
    volume = volume_nm3 / 10_000
    made_of = f"{shown(volume)} x 10^4 Nm3 x {shown(co2_ratio)} x {shown(co2_t_per_10k_nm3)} t"
    return Worked((Figure("emissions_t", volume * co2_ratio * co2_t_per_10k_nm3, "t CO2", made_of),), ("emissions_t",))


def leaked_gas(leak_kg: Fraction, share_ratio: Sequence[Fraction], gwp: Sequence[Fraction], gwp_set: str) -> Worked:
    """E = leak x sum of share x GWP, for one gas or a blend by mass (IPCC 2006, volume 3, chapter 7). `gwp_set` names the report. Raises Impossible."""
    not_negative("leak_kg", leak_kg)
    same_length(share_ratio=share_ratio, gwp=gwp)
    for share, one in zip(share_ratio, gwp, strict=True):
        ratio("share_ratio", share)
        positive("gwp", one)
        between("gwp", one, "0.1", "30000")
    if sum(share_ratio) != 1:
        raise Impossible(
            f"share_ratio: expected a sum of 1, saw {shown(sum(share_ratio, Fraction(0)))} ({listed(share_ratio)})"
        )
    blend = sum((s * g for s, g in zip(share_ratio, gwp, strict=True)), Fraction(0))
    made_of = " + ".join(f"{shown(s)} x {shown(g)}" for s, g in zip(share_ratio, gwp, strict=True))
    return Worked(
        (
            Figure("gwp", blend, "kg CO2e/kg", f"{made_of} ({gwp_set})"),
            Figure("emissions_t", leak_kg * blend / 1000, "t CO2e", f"{shown(leak_kg)} kg x {shown(blend)} / 1000"),
        ),
        ("emissions_t",),
    )
