"""How uncertain a figure is, in percent at 95 %: products, sums, and what meters and factors share. Not Monte Carlo."""

from collections.abc import Sequence
from fractions import Fraction

from aggregator.emissions.formulas.guards import Impossible, not_negative, positive, same_length
from aggregator.emissions.formulas.irrational import root
from aggregator.emissions.formulas.worked import Figure, Worked, listed, shown


def uncertainty_of_product(percent: Sequence[Fraction]) -> Worked:
    """U = root of the sum of U_i^2, for factors that are independent (IPCC 2006, volume 1, equation 3.1). Raises Impossible."""
    same_length(percent=percent)
    for one in percent:
        not_negative("percent", one)
    squares = sum((one * one for one in percent), Fraction(0))
    made_of = f"root of {' + '.join(f'{shown(one)}^2' for one in percent)}"
    return Worked((Figure("uncertainty_percent", root(squares), "%", made_of),), ("uncertainty_percent",))


def uncertainty_of_sum(
    amount_t: Sequence[Fraction], percent: Sequence[Fraction], shared: Sequence[str | None] | None = None
) -> Worked:
    """U = root of the sum of (U_i x_i)^2 / sum of x_i (IPCC 2006, volume 1, equation 3.2). Raises Impossible.

    Lines with the same word in `shared` have their error in common (one factor version): they are added linearly, then in quadrature with
    the rest.
    """
    words = [None] * len(amount_t) if shared is None else shared
    same_length(amount_t=amount_t, percent=percent, shared=words)
    alone: list[Fraction] = []
    together: dict[str, Fraction] = {}
    for amount, one, word in zip(amount_t, percent, words, strict=True):
        not_negative("percent", one)
        error_t = abs(amount) * one / 100 if word is None else amount * one / 100
        if word is None:
            alone.append(error_t)
        else:
            together[word] = together.get(word, Fraction(0)) + error_t
    total_t = sum(amount_t, Fraction(0))
    if total_t == 0:
        raise Impossible("amount_t: expected a sum other than 0, which a percentage can be taken of")
    parts = [*alone, *(abs(error) for error in together.values())]
    error_t = root(sum((part * part for part in parts), Fraction(0)))
    made_of = f"root of the squares of {listed(parts)} t"
    return Worked(
        (
            Figure("total_t", total_t, "t", listed(amount_t).replace(", ", " + ")),
            Figure("uncertainty_t", error_t, "t", made_of),
            Figure(
                "uncertainty_percent",
                error_t / abs(total_t) * 100,
                "%",
                f"{shown(error_t)} t / {shown(abs(total_t))} t",
            ),
        ),
        ("total_t", "uncertainty_t", "uncertainty_percent"),
    )


def uncertainty_of_metering(
    meters: Fraction,
    intervals: Fraction,
    noise_percent: Fraction,
    meter_percent: Fraction,
    factor_percent: Fraction,
) -> Worked:
    """U of the energy of equal meters over equal intervals times one factor: noise falls with every interval, the meter's own error only
    with more meters, the factor's error never (IPCC 2006, volume 1, chapter 3: correlated lines add linearly). Raises Impossible.
    """
    for name, count in (("meters", meters), ("intervals", intervals)):
        positive(name, count)
        if count.denominator != 1:
            raise Impossible(f"{name}: expected a whole number, saw {shown(count)}")
    for name, one in (("noise", noise_percent), ("meter", meter_percent), ("factor", factor_percent)):
        not_negative(f"{name}_percent", one)
    squares = noise_percent**2 / (meters * intervals) + meter_percent**2 / meters + factor_percent**2
    made_of = (
        f"root of {shown(noise_percent)}^2 / {shown(meters * intervals)} + {shown(meter_percent)}^2 / {shown(meters)} "
        f"+ {shown(factor_percent)}^2"
    )
    return Worked((Figure("uncertainty_percent", root(squares), "%", made_of),), ("uncertainty_percent",))
