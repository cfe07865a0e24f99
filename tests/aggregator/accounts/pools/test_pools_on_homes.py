"""Carbon pools on measured homes with PV. Judges: conservation to the last digit, and a peer of a few lines in floating point; used where the data are."""

from decimal import Decimal
from pathlib import Path

import pytest
from home import DATA, HOUR, RATIO, START, Hour, accounts_of, hours

from aggregator.accounts.line import Counts
from aggregator.accounts.statement import Statement, total_kg

pytestmark = pytest.mark.skipif(not (DATA / "home_01_hourly.csv").exists(), reason=f"no measured homes in {DATA}")
HOMES = (1, 2, 3, 4, 5)


def made(directory: Path, given: list[Hour], first: int, last: int) -> Statement:
    accounts, ledger = accounts_of(directory, given)
    try:
        return accounts.statement("home", "OPS", START + first * HOUR, START + last * HOUR)
    finally:
        ledger.close()


def kg_of(statement: Statement, source: str) -> Decimal:
    return total_kg(line for line in statement.lines if line.source == source) or Decimal(0)


def conserves(statement: Statement) -> bool:
    return statement.kg(Counts.SCOPE_2) == statement.kg(Counts.ALLOCATED, Counts.EXPORTED)


def peer(given: list[Hour]) -> dict[str, float]:
    """The same rules hour by hour: export from what the site gives, storage from grid and PV, the rest to the loads."""
    ratio, pool_kwh = float(RATIO), 0.0
    kg = {"scope 2": 0.0, "pool": 0.0, "loads": 0.0, "export": 0.0}
    for hour in given:
        net, pv, charged, given_kwh = (float(value) for value in (hour.net, hour.pv, hour.charged, hour.discharged))
        grid, export = max(net, 0.0), max(-net, 0.0)
        factor = float(hour.kg_per_kwh)
        kg["scope 2"] += grid * factor
        of_pv = export * pv / (pv + given_kwh) if export else 0.0
        upstream = grid + pv - of_pv
        into = grid * factor * charged / upstream if charged else 0.0
        pool_kwh += charged * ratio
        kg["pool"] += into
        out = kg["pool"] * given_kwh / ratio / pool_kwh if given_kwh else 0.0
        kg["pool"] -= out
        pool_kwh -= given_kwh / ratio
        away = out * (export - of_pv) / given_kwh if given_kwh else 0.0
        kg["export"] += away
        kg["loads"] += grid * factor - into + out - away
    return kg


def agrees(statement: Statement, given: list[Hour]) -> bool:
    expected = peer(given)
    found = {
        "scope 2": statement.kg(Counts.SCOPE_2) or Decimal(0), "pool": kg_of(statement, "pool:battery"), "loads": kg_of(statement, "loads:rest"),
        "export": total_kg(statement.of(Counts.EXPORTED)) or Decimal(0),
    }  # fmt: skip
    return all(abs(float(found[name]) - kg) < 1e-6 for name, kg in expected.items())


def test_a_week_of_a_home_conserves_and_agrees_with_the_peer(tmp_path: Path) -> None:
    given = hours(1, 168)
    statement = made(tmp_path, given, 0, 168)
    assert conserves(statement)
    assert agrees(statement, given)
    assert kg_of(statement, "pool:battery") != 0
    assert sum(line.quantity or 0 for line in statement.of(Counts.EXPORTED)) == sum(
        max(-hour.net, Decimal(0)) for hour in given
    )


@pytest.mark.long
@pytest.mark.parametrize("home", HOMES)
def test_a_year_of_a_home_conserves_agrees_and_is_the_sum_of_its_months(home: int, tmp_path: Path) -> None:
    given = hours(home, 8760)
    accounts, ledger = accounts_of(tmp_path, given)
    whole = accounts.statement("home", "OPS", START, START + 8760 * HOUR)
    assert conserves(whole)
    assert agrees(whole, given)
    (tmp_path / "accounts.sqlite").unlink()
    edges = [START + n * 730 * HOUR // (24 * HOUR) * 24 * HOUR for n in range(13)]
    months = [
        accounts.statement("home", "OPS", *span)
        for span in zip(edges, [*edges[1:-1], START + 8760 * HOUR], strict=False)
    ]
    for source in ("pool:battery", "loads:rest", "export:battery", "pv:own use"):
        assert sum((kg_of(month, source) for month in months), Decimal(0)) == kg_of(whole, source)
    ledger.close()
