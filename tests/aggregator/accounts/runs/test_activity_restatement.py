"""A corrected record and a laboratory value that came later, as causes of a restatement that sum to the change."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from recorded_site import YEAR, Site

from aggregator.accounts.compile import Span
from aggregator.accounts.runs.causes import ACTIVITY, FUEL_PARAMETER
from aggregator.accounts.runs.frozen import Rules
from aggregator.accounts.runs.restatement import bridge_between

F = Fraction


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def test_a_corrected_record_and_a_laboratory_value_are_causes_of_their_own(site: Site) -> None:
    """By hand: 3 t of carbon less are 11,000 kg; 100 t of coal at 23.1 in place of 22.867 GJ/t: x 0.02749 x 0.99 x 44/12."""
    furnace = "furnace,process,carbon,process,SPAN,t,{},,carbon_ratio=1; oxidation_ratio=1"
    site.records(furnace.format(30), "kiln,fuel,anthracite,stationary,SPAN,t,100,kiln,")
    before = site.statement()
    site.records(furnace.format(27), "LAB-1,laboratory,anthracite.ncv,stationary,SPAN,GJ/t,23.1,,")
    after = site.statement()
    accounts = site.accounts()
    rules = Rules(accounts.facility("works"), accounts.profile("CBAM"))
    old, new = ((rules, Span(*YEAR, made.as_of_ms), made.kg()) for made in (before, after))
    bridge = bridge_between(accounts, old, new)
    shares = {share.cause: share.kg for share in bridge.shares if share.kg}
    assert shares.keys() == {ACTIVITY, FUEL_PARAMETER}
    assert abs(shares[ACTIVITY] + 11_000) < F(1, 10**9)
    fuel_kg = 100_000 * (F("23.1") - F("22.867")) * F("0.02749") * F("0.99") * F(44, 12)
    assert abs(shares[FUEL_PARAMETER] - fuel_kg) < F(1, 10**9)
    assert sum(shares.values()) == bridge.delta_kg
    assert site.statement(as_of_ms=before.as_of_ms).encoded() == before.encoded()
