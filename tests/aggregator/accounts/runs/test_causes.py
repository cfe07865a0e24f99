"""Causes of recorded activities: a laboratory value, a corrected record, another set of potentials, another method. Figures by hand."""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from recorded_site import YEAR, Site

from aggregator.accounts.compile import Span
from aggregator.accounts.price import CarbonPrice
from aggregator.accounts.record_file import ACCOUNTS_NAME
from aggregator.accounts.runs.bridge import Bridge
from aggregator.accounts.runs.calculation import calculated, differences, rules_now
from aggregator.accounts.runs.record import Runs
from aggregator.accounts.runs.restatement import Known, bridge_between

F = Fraction
DIESEL_T_PER_GJ = F("0.0202") * F("0.98") * F(44, 12)  # of the carbon content and oxidation that are shipped


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def known(site: Site, profile: str = "CBAM", **rules: Any) -> Known:
    site.now_ms += 1000
    said = rules_now(site.accounts(), "works", profile)
    said = replace(said, profile=replace(said.profile, **rules))
    span = Span(YEAR[0], YEAR[1], site.now_ms)
    return said, span, calculated(site.accounts(), said, span).statement.kg()


def shares_t(found: Bridge) -> dict[str, Fraction]:
    return {share.cause: share.kg / 1000 for share in found.shares}


def near(found: Fraction, expected: Fraction) -> bool:
    return abs(found - expected) < F(1, 10**9)


def test_a_laboratory_value_and_a_corrected_record_have_a_share_each(site: Site) -> None:
    """10 t of diesel at 42.652 GJ/t become 11 t at 42.0: each change times the mean of the other."""
    site.records("truck,fuel,diesel,mobile,SPAN,t,10,,")
    old = known(site)
    site.records("truck,fuel,diesel,mobile,SPAN,t,11,,")
    site.records("LAB-1,laboratory,diesel.ncv,mobile,SPAN,GJ/t,42.0,,")
    found = shares_t(bridge_between(site.accounts(), old, known(site)))
    assert found.keys() == {"fuel parameter", "activity"}
    assert near(found["fuel parameter"], (F("42.0") - F("42.652")) * F("10.5") * DIESEL_T_PER_GJ)
    assert near(found["activity"], (F("42.0") + F("42.652")) / 2 * DIESEL_T_PER_GJ)


def test_another_set_of_potentials_is_a_cause_of_its_own(site: Site) -> None:
    """Worked example 13: 12 kg of R-410A are 23.082 t under AR5 and 27.066 t under AR6."""
    site.records("chiller,gas,r-410a,fugitive,SPAN,kg,12,,")
    found = shares_t(bridge_between(site.accounts(), known(site), known(site, gwp="ar6")))
    assert found.keys() == {"gwp set"}
    assert near(found["gwp set"], F("3.984"))


def test_what_a_profile_counts_otherwise_is_the_last_line(site: Site) -> None:
    """GHGP-LB counts CH4 and N2O of burnt diesel too, CBAM does not."""
    site.records("truck,fuel,diesel,mobile,SPAN,t,10,,")
    old, new = known(site), known(site, combustion_gases=("CO2", "CH4", "N2O"))
    (line,) = bridge_between(site.accounts(), old, new).shares
    assert line.cause == "code and method"
    assert line.kg == F(new[2] or 0) - F(old[2] or 0) > 0


def test_a_carbon_price_restates_nothing(site: Site) -> None:
    site.records("truck,fuel,diesel,mobile,SPAN,t,10,,")
    rules, span, kg = known(site)
    priced = replace(rules.facility, carbon_prices=(CarbonPrice(Decimal(60), "CNY", "exchange A"),))
    assert bridge_between(site.accounts(), (rules, span, kg), (replace(rules, facility=priced), span, kg)).shares == ()


def test_an_activity_record_that_is_no_longer_what_the_run_has_read_is_found(site: Site) -> None:
    site.records("truck,fuel,diesel,mobile,SPAN,t,10,,")
    rules, span, _ = known(site)
    with Runs(site.directory / ACCOUNTS_NAME) as runs:
        run = runs.add(calculated(site.accounts(), rules, span), "ann", "", site.now_ms)
        assert (run.activity_records, run.interval_series, run.watermark_ms) == (1, (), YEAR[1])
        assert differences(site.accounts(), runs, run.no) == []
        with contextlib.closing(sqlite3.connect(site.directory / ACCOUNTS_NAME)) as db, db:  # past the triggers
            db.execute("DROP TRIGGER activity_is_not_edited")
            db.execute("UPDATE activity SET evidence = 'another paper'")
        said = differences(site.accounts(), runs, run.no)
    assert said[0] == "inputs: expected the activity records that the run read, got others"
