"""The scenario formulas as they are asked for: drivers, elasticities and histories as single inputs. Not their calculation."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Final

from aggregator.emissions.formulas import scenario
from aggregator.emissions.formulas.declared import Formula, Input
from aggregator.emissions.formulas.drivers import DRIVERS, FACILITY, KAYA, KAYA_MULTIPLIERS, Elasticities
from aggregator.emissions.formulas.guards import Impossible
from aggregator.emissions.formulas.worked import Worked

_PAPER: Final = "data-bank paper, formula (3)"
_BASE: Final = Input("base_t", "t", "emissions of the base year h")


def _driver(name: str, text: str, *, optional: bool) -> Input:
    return Input(name, "", f"{text}: the year's value divided by the base year's, +4.5 % is 1.045", optional=optional)


def _history(names: Sequence[str]) -> tuple[Input, ...]:
    return (
        Input("history_t", "t", "emissions of 6 years or more up to the base year, oldest first, for the back-cast", "numbers", optional=True),
        *(Input(f"{name}_history", "", f"{name} in the years of history_t", "numbers", optional=True) for name in names),
    )  # fmt: skip


def _cited(*, optional: bool) -> tuple[Input, ...]:
    return (
        *(Input(f"{n}_elasticity", "", f"% of emissions per % of {n}", optional=True) for n in DRIVERS),
        *(Input(f"{n}_error", "", f"standard error of {n}_elasticity", optional=True) for n in DRIVERS),
        Input("elasticity_source", "", "where the elasticities were published", "word", optional=optional),
        Input("elasticity_region", "", "for which region they were estimated", "word", optional=optional),
        Input("elasticity_period", "", "over which years", "word", optional=optional),
    )


def _ratios(given: dict[str, Any], prefix: str = "") -> dict[str, Fraction]:
    return {name: given[prefix + name] for name in DRIVERS if prefix + name in given}


def _histories(given: dict[str, Any]) -> dict[str, list[Fraction]]:
    return {name: given[f"{name}_history"] for name in DRIVERS if f"{name}_history" in given}


def _elasticities(given: dict[str, Any]) -> Elasticities:
    return Elasticities(
        {name: given[f"{name}_elasticity"] for name in DRIVERS if f"{name}_elasticity" in given},
        {name: given[f"{name}_error"] for name in DRIVERS if f"{name}_error" in given},
        given["elasticity_source"],
        given["elasticity_region"],
        given["elasticity_period"],
    )


def _kaya(base_t: Fraction, history_t: Sequence[Fraction] = (), **given: Any) -> Worked:
    return scenario.kaya(base_t, _ratios(given), history_t, _histories(given))


def _facility(base_t: Fraction, history_t: Sequence[Fraction] = (), **given: Any) -> Worked:
    ratios = {name: given[name] for name in FACILITY}
    history = {name: given[f"{name}_history"] for name in FACILITY if f"{name}_history" in given}
    return scenario.facility(base_t, ratios, history_t, history)


def _stirpat(base_t: Fraction, history_t: Sequence[Fraction] = (), **given: Any) -> Worked:
    return scenario.stirpat(base_t, _ratios(given), _elasticities(given), history_t, _histories(given))


def _scenarios(base_t: Fraction, **given: Any) -> Worked:
    cited = [name for name in given if "elasticity" in name or name.endswith("_error")]
    absent = [name for name in ("elasticity_source", "elasticity_region", "elasticity_period") if name not in given]
    if cited and absent:
        raise Impossible(
            f"{', '.join(absent)}: expected beside {', '.join(cited)}, missing; an elasticity needs its citation"
        )
    elasticities = _elasticities(given) if cited else None
    return scenario.scenarios(base_t, {name: _ratios(given, f"{name}.") for name in scenario.SCENARIOS}, elasticities)


SCENARIO_FORMULAS: Final = (
    Formula(
        "scenario-kaya",
        "scenario forecast, all elasticities 1",
        "GHG_f = GHG_h x P x GDP/P x energy/GDP x CO2/energy x T x U x I, as ratios to the base year",
        f"{_PAPER}; Kaya identity",
        (
            _BASE,
            *(_driver(name, DRIVERS[name], optional=False) for name in KAYA),
            *(_driver(name, DRIVERS[name], optional=True) for name in KAYA_MULTIPLIERS),
            *_history((*KAYA, *KAYA_MULTIPLIERS)),
        ),
        _kaya,
    ),
    Formula(
        "scenario-facility",
        "scenario forecast of one facility",
        "GHG_f = GHG_h x output x energy/output x fuel mix x grid factor, as ratios to the base year",
        f"{_PAPER}, at facility level",
        (_BASE, *(_driver(name, text, optional=False) for name, text in FACILITY.items()), *_history(tuple(FACILITY))),
        _facility,
    ),
    Formula(
        "scenario-stirpat",
        "scenario forecast with cited elasticities and their band",
        "GHG_f = GHG_h x product over drivers of (X(y) / X(h)) ^ elasticity",
        f"{_PAPER}; STIRPAT (Dietz and Rosa 1997), elasticities as cited with the inputs",
        (
            _BASE,
            *(_driver(name, text, optional=True) for name, text in DRIVERS.items()),
            *_cited(optional=False),
            *_history(tuple(DRIVERS)),
        ),
        _stirpat,
    ),
    Formula(
        "scenarios",
        "baseline, policy and deep side by side, with what each driver has of the difference",
        "GHG_f of each scenario; share of a driver = L(G2, G1) x elasticity x ln(X2 / X1)",
        f"{_PAPER}; bridge: LMDI-I (Ang 2005)",
        (
            _BASE,
            *(
                _driver(f"{one}.{name}", f"{one}, {text}", optional=True)
                for one in scenario.SCENARIOS
                for name, text in DRIVERS.items()
            ),
            *_cited(optional=True),
        ),
        _scenarios,
    ),
)
