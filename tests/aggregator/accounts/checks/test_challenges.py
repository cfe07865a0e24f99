"""Doubts about a figure: raised by whoever may read, answered by name, kept for good, bounded in number."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from live_plant import LivePlant, Server

from aggregator.accounts.checks.challenges import A_DAY, Challenges, TooMany
from aggregator.settings import Http
from wattline.command import main

PATH = "/api/v1/facilities/works/challenges"
WRITE = {"X-Wattline-Write": "test"}
TOKEN = "0123456789abcdef"
SETTINGS = """
[aggregator]
data_directory = "."
[[facility]]
id = "works"
time_zone = "Asia/Shanghai"
"""


@pytest.fixture
def challenges(tmp_path: Path) -> Iterator[Challenges]:
    with Challenges(tmp_path / "accounts.sqlite") as made:
        yield made


def test_a_doubt_is_raised_without_a_token_and_answered_with_one(
    tmp_path: Path, challenges: Challenges, capsys: pytest.CaptureFixture[str]
) -> None:
    plant = LivePlant(tmp_path, http=Http(port=0, open_reads=True, token=TOKEN))
    object.__setattr__(plant.services, "challenges", challenges)
    doubt = {"about": "May 2026", "text": "twice the bill", "contact": "zhao@example.com"}
    with Server(plant.services) as server, httpx.Client(base_url=server.url, timeout=20) as client:
        assert client.post(PATH, json=doubt).status_code == 403  # not from our page
        assert client.post(PATH, json=doubt, headers=WRITE).json()["state"] == "open"
        assert client.post(PATH, json={**doubt, "text": " "}, headers=WRITE).json()["thing"] == "text"
        answer = {"state": "upheld", "text": "restated", "by": "Li Na"}
        assert client.post(f"{PATH}/1/answers", json=answer, headers=WRITE).status_code == 401
        known = {**WRITE, "Authorization": f"Bearer {TOKEN}"}
        assert client.post(f"{PATH}/9/answers", json=answer, headers=known).status_code == 404
        assert client.post(f"{PATH}/1/answers", json=answer, headers=known).status_code == 201
        listed = client.get(PATH)
    (found,) = listed.json()["challenges"]
    assert (found["about"], found["state"], found["answer"], found["by"]) == ("May 2026", "upheld", "restated", "Li Na")
    assert "zhao@example.com" not in listed.text
    plant.close()
    config = tmp_path / "aggregator.toml"
    config.write_text(SETTINGS)
    where = ["challenges", "--config", str(config)]
    assert main([*where, "--answer", "1", "--state", "rejected", "--text", "it was right", "--by", "Wang"]) == 0
    assert main(where) == 0
    assert "rejected  May 2026: twice the bill [zhao@example.com]; Wang: it was right" in capsys.readouterr().out
    assert main([*where, "--answer", "7", "--text", "x", "--by", "Wang"]) == 1


def test_only_so_many_are_taken_a_day_and_none_is_ever_changed(challenges: Challenges) -> None:
    for at_ms in range(A_DAY):
        challenges.add("works", "a figure", "a doubt", "", at_ms)
    with pytest.raises(TooMany):
        challenges.add("works", "a figure", "a doubt", "", A_DAY)
    assert challenges.add("other", "a figure", "a doubt", "", A_DAY).state == "open"
    assert challenges.add("works", "a figure", "a doubt", "", 86_400_000 + A_DAY).no == A_DAY + 2
    with challenges._file.transaction() as db, pytest.raises(sqlite3.IntegrityError, match="never edited"):
        db.execute("UPDATE challenge SET text = ''")
