"""The sampling queue: a seed draws the same intervals again, each as often as any other, and what was found stays on record."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from live_plant import START_MS, LivePlant, Server

from aggregator.accounts.checks.samples import Samples
from aggregator.accounts.record_file import RecordsRefused
from aggregator.settings import Http

D = Decimal
DAY_MS = 86_400_000
SPAN = (START_MS, START_MS + DAY_MS)
PATH = "/api/v1/facilities/works/samples"
WRITE = {"X-Wattline-Write": "test"}


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[LivePlant]:
    made = LivePlant(tmp_path, http=Http(port=0))
    made.book(START_MS, *[f"{at}.5" for at in range(50)])
    yield made
    made.close()


@pytest.fixture
def samples(plant: LivePlant, tmp_path: Path) -> Iterator[Samples]:
    with Samples(tmp_path / "accounts.sqlite") as made:
        object.__setattr__(plant.services, "samples", made)
        yield made


def test_a_seed_draws_the_same_share_again(plant: LivePlant, samples: Samples) -> None:
    first = samples.draw(plant.ledger, "works", SPAN, D(10), "Li Na", 1, seed="dice")
    again = samples.draw(plant.ledger, "works", SPAN, D(10), "Wang", 2, seed="dice")
    other = samples.draw(plant.ledger, "works", SPAN, D("10.5"), "Li Na", 3)
    chosen = [[sample.start_ms for sample in drawn.samples] for drawn in (first, again, other)]
    assert (len(chosen[0]), len(chosen[2]), first.population) == (5, 6, 50)  # a part of one is one
    assert chosen[0] == chosen[1] != chosen[2][:5]
    assert first.population_sha256 == again.population_sha256
    assert len(other.seed) == 32
    assert [drawn.no for drawn in samples.draws("works")] == [1, 2, 3]


def test_each_interval_is_drawn_as_often_as_any_other(plant: LivePlant, samples: Samples) -> None:
    """200 draws of 10 of 50: 40 times each on average, with a spread of 5.7; five of them are 28."""
    drawn = Counter(
        sample.start_ms
        for seed in range(200)
        for sample in samples.draw(plant.ledger, "works", SPAN, D(20), "Li Na", 1, seed=f"seed {seed}").samples
    )
    assert len(drawn) == 50
    assert max(abs(times - 40) for times in drawn.values()) < 28


def test_what_was_found_is_kept_and_counted(plant: LivePlant, samples: Samples) -> None:
    drawn = samples.draw(plant.ledger, "works", SPAN, D(8), "Li Na", 1, seed="dice")
    numbers = [sample.no for sample in drawn.samples]
    for number, result in zip(numbers, ("agrees", "differs", "cannot_tell"), strict=False):
        samples.check("works", number, result, D(7) if result == "differs" else None, "misread", "photo 3", "Wang", 2)
    samples.check("works", numbers[0], "differs", D(8), "a digit", "photo 3", "Zhao", 3)  # the later word holds
    found = samples.drawn(drawn.no)
    assert [found.number(result) for result in ("agrees", "differs", "cannot_tell", None)] == [0, 2, 1, 1]
    assert found.differing_percent == D(100)
    last = found.samples[0].check
    assert last is not None
    assert (last.by, last.found_kwh) == ("Zhao", D(8))
    with samples._file.transaction() as db:
        for table in ("sample_draw", "sample", "sample_check"):
            with pytest.raises(sqlite3.IntegrityError, match="never"):
                db.execute(f"DELETE FROM {table}")


def test_what_cannot_be_is_refused_by_name(plant: LivePlant, samples: Samples) -> None:
    with pytest.raises(RecordsRefused, match="percent: expected above 0 to 100, got 0"):
        samples.draw(plant.ledger, "works", SPAN, D(0), "Li Na", 1)
    with pytest.raises(RecordsRefused, match="expected final intervals of works"):
        samples.draw(plant.ledger, "works", (0, 1), D(1), "Li Na", 1)
    with pytest.raises(RecordsRefused, match="sample: expected the number of a sample of works, got 9"):
        samples.check("works", 9, "agrees", None, "", "photo", "Li Na", 1)
    (number,) = (sample.no for sample in samples.draw(plant.ledger, "works", SPAN, D(1), "Li Na", 1).samples)
    with pytest.raises(RecordsRefused, match="note: expected in what it differs"):
        samples.check("works", number, "differs", None, "", "photo", "Li Na", 1)


def test_over_http_it_is_drawn_checked_and_listed(plant: LivePlant, samples: Samples) -> None:
    assert samples.draws("works") == []
    with Server(plant.services) as server, httpx.Client(base_url=server.url, timeout=20, headers=WRITE) as client:
        body = {"from_ms": SPAN[0], "to_ms": SPAN[1], "percent": "4", "by": "Li Na"}
        drawn = client.post(PATH, json=body)
        assert (drawn.status_code, drawn.json()["waiting"]) == (201, 2)
        number = drawn.json()["samples"][0]["sample"]
        check = {
            "sample": number,
            "result": "differs",
            "found_kwh": "3",
            "note": "digit",
            "evidence": "photo",
            "by": "Wang",
        }
        assert client.post(f"{PATH}/checks", json=check).status_code == 201
        (listed,) = client.get(PATH).json()["draws"]
        assert (listed["waiting"], listed["differing"], listed["differing_percent"]) == (1, 1, "100.00")
        refused = client.post(PATH, json={**body, "percent": "101"})
        assert (refused.status_code, refused.json()["thing"]) == (422, "percent")
        assert client.post(PATH, json={**body, "by": ""}).json()["thing"] == "by"
