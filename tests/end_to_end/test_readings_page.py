"""The page for readings by hand in a real Chromium: what is typed goes on record, what is refused is said."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from browser import Page
from live_plant import LivePlant, Server

from aggregator.accounts.checks.challenges import Challenges
from aggregator.facility import Facility, FactorOverride, MeterSpec, Role
from aggregator.settings import Http

T = 1_777_593_600_000  # 2026-05-01T00:00Z
FACILITY = Facility(
    "works", "Asia/Shanghai", meters=(MeterSpec("incomer", "gw", Decimal(1000), Role.MAIN),), overrides=(FactorOverride(Decimal("0.5"), "test"),)
)  # fmt: skip


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[LivePlant]:
    made = LivePlant(tmp_path, facility=FACILITY, http=Http(port=0, allowed_hosts=("127.0.0.1",)))
    made.now_ms = T + 40 * 86_400_000
    with Challenges(tmp_path / "accounts.sqlite") as challenges:
        object.__setattr__(made.services, "challenges", challenges)
        yield made
    made.close()


def typed(page: Page, **fields: str) -> None:
    """Fills the form and sends it."""
    for name, value in fields.items():
        page.script(f"document.forms.enter.elements['{name}'].value = '{value}'")
    page.script("document.forms.enter.requestSubmit()")


def test_what_is_typed_goes_on_record_and_what_cannot_be_is_refused_in_words(page: Page, plant: LivePlant) -> None:
    with Server(plant.services) as server:
        page.open(f"{server.url}/readings")
        page.until(lambda: page.all("#device option"), "the meters are listed")
        typed(page, at="2026-05-01T08:00:00", display_kwh="1000", evidence="photo 17", by="Li Na")
        page.until(lambda: page.all("#listed tr[data-place=joins]"), "the reading is listed")
        assert "photo 17" in page.text("#listed tbody")
        typed(page, at="2026-05-02T08:00:00", display_kwh="99999")
        page.until(lambda: "incomer carries 1000 kW" in page.text("#said"), "the refusal is said")
        page.script("document.getElementById('what').value = 'exchange'; document.getElementById('what').onchange()")
        assert page.script("return document.querySelector('label[data-for=reading]').hidden")
        sheet = {"old_last_kwh": "5800", "new_first_kwh": "7", "reason": "due"}
        typed(page, at="2026-05-02T08:00:00", **sheet)
        page.until(lambda: len(page.all("#listed tbody tr")) == 2, "the new meter is listed")
        for name, value in {"about": "May 2026", "text": "twice the bill"}.items():
            page.script(f"document.forms.challenge.elements['{name}'].value = '{value}'")
        page.script("document.forms.challenge.requestSubmit()")
        page.until(lambda: "May 2026: twice the bill" in page.text("#challenges"), "the doubt is listed")
        page.script("document.getElementById('language').click()")
        assert page.text("#h-listed") == "已录入"
    (series,) = plant.hand.series()
    assert [(reading.at_ms, reading.display_kwh) for reading in plant.hand.standing(series)] == [
        (T, Decimal(1000)),
        (T + 86_400_000, Decimal(7)),
    ]
    assert plant.settler.decisions.standing(series)[0].old_last == Decimal(5800)
