"""Persons with a token of their own: what goes on record in whose name, and what each may do. Over a real server."""

import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from live_plant import LivePlant, Server

from aggregator.person import Person, new_token
from aggregator.settings import Http, from_table
from wattline.command import main

LI, LI_SHA = new_token()
NA, NA_SHA = new_token()
SERVER = "0123456789abcdef-token"
PERSONS = (Person("Li Wei", LI_SHA, "Works Ltd", ("enter", "operate")), Person("Na", NA_SHA, "", ("approve",)))
WRITE = {"X-Wattline-Write": "test"}


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePlant]:
    made = LivePlant(tmp_path_factory.mktemp("plant"), http=Http(port=0, token=SERVER, open_reads=False))
    yield made
    made.close()


@pytest.fixture(scope="module")
def url(plant: LivePlant) -> Iterator[str]:
    with Server(replace(plant.services, persons=PERSONS)) as server:
        yield server.url


def acknowledge(plant: LivePlant, url: str, token: str, body: dict[str, Any], device: str) -> httpx.Response:
    raised = plant.alarms.raise_alarm("works", "counter_reset", device, "reset", "1", "0")
    headers = WRITE | {"Authorization": f"Bearer {token}"}
    return httpx.post(f"{url}/api/v1/alarms/{raised.id}/acknowledge", json=body, headers=headers, timeout=10)


def test_what_a_person_writes_is_on_record_in_their_name_whatever_the_request_says(plant: LivePlant, url: str) -> None:
    assert acknowledge(plant, url, LI, {"note": "seen"}, "a").json()["acknowledged_by"] == "Li Wei"
    other = acknowledge(plant, url, LI, {"by": "Na"}, "b")
    assert (other.status_code, other.json()["seen"]) == (403, "Na")


def test_a_person_without_the_right_is_refused_and_the_right_is_named(plant: LivePlant, url: str) -> None:
    refused = acknowledge(plant, url, NA, {}, "c")
    assert (refused.status_code, refused.json()["expected"], refused.json()["seen"]) == (403, "operate", "approve")


def test_the_servers_token_writes_in_the_name_that_the_request_gives(plant: LivePlant, url: str) -> None:
    assert acknowledge(plant, url, SERVER, {"by": "shift 2"}, "d").json()["acknowledged_by"] == "shift 2"
    assert acknowledge(plant, url, SERVER, {}, "e").json()["acknowledged_by"] == "operator"
    assert acknowledge(plant, url, "x" * 43, {}, "f").status_code == 401


def test_a_persons_token_opens_reads_and_a_session_of_their_own(plant: LivePlant, url: str) -> None:
    with httpx.Client(base_url=url, timeout=10, headers=WRITE) as browser:
        assert browser.get("/api/v1/facilities").status_code == 401
        assert browser.post("/api/v1/session", json={"token": LI}).json()["person"] == "Li Wei"
        assert browser.get("/api/v1/facilities").status_code == 200
        raised = plant.alarms.raise_alarm("works", "counter_reset", "g", "reset", "1", "0")
        taken = browser.post(f"/api/v1/alarms/{raised.id}/acknowledge", json={})
        assert taken.json()["acknowledged_by"] == "Li Wei"
        assert browser.post("/api/v1/session", json={"token": "wrong"}).status_code == 401


def test_in_a_persons_name_nobody_writes_without_that_persons_token(plant: LivePlant, url: str) -> None:
    other = acknowledge(plant, url, SERVER, {"by": "li  WEI"}, "h")
    assert (other.status_code, other.json()["expected"]) == (403, "li  WEI's own token, or another name")


@pytest.fixture
def unlocked(tmp_path: Path) -> Iterator[LivePlant]:
    """On loopback, without a server's token."""
    made = LivePlant(tmp_path, http=Http(port=0))
    yield made
    made.close()


def test_on_loopback_too_a_persons_name_and_entered_figures_take_a_token_once_persons_are_named(
    unlocked: LivePlant,
) -> None:
    plant = unlocked
    decision = {
        "device": "incomer", "at_ms": 1000, "change": "reset", "reason": "began anew", "by": "shift 2",
    }  # fmt: skip
    path = "/api/v1/facilities/works/counter-changes"
    with Server(replace(plant.services, persons=PERSONS)) as server, httpx.Client(timeout=10, headers=WRITE) as nobody:
        raised = plant.alarms.raise_alarm("works", "counter_reset", "i", "reset", "1", "0")
        acknowledge_it = f"{server.url}/api/v1/alarms/{raised.id}/acknowledge"
        assert nobody.post(acknowledge_it, json={"by": "Li Wei"}).status_code == 403
        assert nobody.post(acknowledge_it, json={"by": "shift 2"}).json()["acknowledged_by"] == "shift 2"
        assert acknowledge(plant, server.url, LI, {"by": "Li Wei"}, "j").json()["acknowledged_by"] == "Li Wei"
        refused = nobody.post(server.url + path, json=decision)
        assert (refused.status_code, refused.json()["expected"]) == (403, "the token of a person who may enter")
        by_na = nobody.post(server.url + path, json=decision, headers={"Authorization": f"Bearer {NA}"})
        assert (by_na.status_code, by_na.json()["expected"]) == (403, "enter")
        as_na = decision | {"by": "Na"}
        by_li = nobody.post(server.url + path, json=as_na, headers={"Authorization": f"Bearer {LI}"})
        assert (by_li.status_code, by_li.json()["expected"]) == (403, "Li Wei, whose token this is")
        imported = nobody.post(
            f"{server.url}/api/v1/facilities/works/import", params={"device": "incomer", "by": "Na"}, json={"rows": []}
        )
        assert imported.status_code == 403
    with Server(plant.services) as server, httpx.Client(timeout=10, headers=WRITE) as nobody:
        raised = plant.alarms.raise_alarm("works", "counter_reset", "k", "reset", "1", "0")
        taken = nobody.post(f"{server.url}/api/v1/alarms/{raised.id}/acknowledge", json={"by": "Li Wei"})
        assert taken.json()["acknowledged_by"] == "Li Wei"
        assert nobody.post(server.url + path, json=decision).status_code != 403


def test_the_command_prints_what_the_settings_take_and_the_token_apart(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["person", "Li Wei", "--entity", "Works Ltd", "--may", "enter", "approve"]) == 0
    shown = capsys.readouterr()
    token = shown.err.split()[-1]
    table = {"aggregator": {}, "facility": [{"id": "works", "time_zone": "UTC"}]} | tomllib.loads(shown.out)
    (person,) = from_table(table, tmp_path / "a.toml", {}).persons
    assert (person.name, person.entity, person.may) == ("Li Wei", "Works Ltd", ("enter", "approve"))
    assert person.token_sha256 == replace(PERSONS[0], token_sha256=_sha256(token)).token_sha256
    assert token not in shown.out


def _sha256(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()
