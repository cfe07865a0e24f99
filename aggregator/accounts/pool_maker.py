"""The maker of what scope 2 is allocated to at a site with PV, storage or charging: which factors its pools take, and from when it walks. Not the walk."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from aggregator.accounts.line import Line
from aggregator.accounts.period import Maker, Period
from aggregator.accounts.pool_lines import pool_lines
from aggregator.accounts.pool_run import PoolRun, Resolve
from aggregator.accounts.site_days import EXPORT, IMPORT, site_of
from aggregator.emissions.factors import AVERAGE
from aggregator.emissions.profiles import Profile, profile
from aggregator.emissions.resolution import MARGINAL, Resolution
from aggregator.ledger import IntervalRow, Ledger

NOT_TRACED_MARK: Final = "certificates_not_traced"
RESIDUAL: Final = "residual"


def pool_maker(ledger: Ledger, resolver: Callable[[Profile], Resolve]) -> Maker:
    """`resolver` gives the facility's electricity factor under any profile, as known at the period's knowledge time."""

    def lines(period: Period) -> Iterator[Line]:
        run = pool_run(period, ledger, resolver)
        if run is not None:
            yield from pool_lines(run)

    return lines


def pool_run(period: Period, ledger: Ledger, resolver: Callable[[Profile], Resolve]) -> PoolRun | None:
    """The walk of a period; None where the facility has neither PV nor storage nor charging."""
    facility = period.facility
    site = site_of(facility)
    if site is None:
        return None

    def rows(device: str, quantity: str, from_ms: int, to_ms: int) -> Sequence[IntervalRow]:
        return ledger.intervals(facility.id, device, quantity, from_ms, to_ms, period.as_of_ms)

    firsts = [ledger.first_interval_ms(facility.id, quantity) for quantity in (IMPORT, EXPORT)]
    market = period.profile.method == "market"
    average = _market(period.profile, resolver) if market else period.resolve
    return PoolRun(
        period,
        site,
        rows,
        min((at_ms for at_ms in firsts if at_ms is not None), default=None),
        average,
        period.resolve if period.profile.signal == MARGINAL else resolver(profile("MARGINAL")),
        average if market and facility.pv_certificates_sold else None,
        marks=(NOT_TRACED_MARK,) if market else (),
    )


def _market(rules: Profile, resolver: Callable[[Profile], Resolve]) -> Resolve:
    """The residual mix, else the grid average: what a kWh is that no certificate stands for."""
    residual = resolver(Profile(rules.name, rules.method, RESIDUAL, rules.levels, rules.years))
    average = resolver(Profile(rules.name, rules.method, AVERAGE, rules.levels, rules.years))

    def resolved(at_ms: int) -> Resolution:
        found = residual(at_ms)
        return found if found.kg_per_kwh is not None else average(at_ms)

    return resolved
