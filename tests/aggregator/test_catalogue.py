"""The series catalogue, and who answers for devices and keys: from the settings to the routes and into the audit log."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from audit_chain import FRAMES, KEY, NOW, SETTINGS, TOPIC
from live_plant import Server

from aggregator.accounts.checks.bindings import Bindings
from aggregator.accounts.runs.logged import take_up_bindings
from aggregator.audit import tree
from aggregator.audit.note import Checkpoint, Verifier, opened
from aggregator.catalogue import Binding
from aggregator.run import Aggregator
from aggregator.settings import SettingsFaults, load
from wattline.command import main
from wire.clock import Clock

SERIES = """
[[facility.series]]
quantity = "energy_*"
holder = "industry"
interval_days = 3660
source = "settlement meter"
[[edge]]
entity = "Meter Readers Ltd"
"""
NAMED = (
    SETTINGS.replace('id = "steel"', 'id = "steel"\nentity = "Steel Works Ltd"', 1)
    .replace('role = "main"', 'role = "main"\nentity = "Grid Company"')
    .replace("\n[[edge]]\n", SERIES)
)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("catalogue") / "aggregator.toml"
    file.write_text(NAMED)
    return file


@pytest.fixture(scope="module")
def client(config: Path) -> Iterator[httpx.Client]:
    made = Aggregator(load(config, {}), Clock())
    with made.ingest:
        for frame, _ in FRAMES[:3]:
            assert made.ingest.offer(TOPIC, frame)
        assert made.ingest.drain(20)
    take_up_bindings(made.bindings, made.audit)
    made.audit.keep_up()
    with Server(made.services()) as server, httpx.Client(base_url=server.url, timeout=20) as asked:
        yield asked
    made._close()


def series(client: httpx.Client, **wanted: Any) -> list[dict[str, Any]]:
    answer = client.get("/api/v1/facilities/steel/catalogue", params=wanted)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["series"]
    return found


def test_each_series_says_whose_it_is_who_answers_and_what_it_is(client: httpx.Client) -> None:
    (found,) = series(client)
    assert (found["device"], found["quantity"], found["unit"], found["kind"]) == (
        "incomer",
        "energy_import_kwh",
        "kWh",
        "counter",
    )
    assert (found["owner"], found["device_entity"], found["signer_entity"]) == (
        "Steel Works Ltd", "Grid Company", "Meter Readers Ltd",
    )  # fmt: skip
    assert found["signer_key"] == KEY.public.to_text()
    assert (found["flow"], found["holder"], found["origin"], found["retention"]["interval_days"]) == (
        "source",
        "industry",
        "metered",
        3660,
    )
    assert found["newest_ms"] == NOW + 3_000


def test_it_is_filtered_by_kind(client: httpx.Client) -> None:
    assert len(series(client, holder="industry", origin="metered", owner="Steel Works Ltd")) == 1
    assert series(client, holder="person") == []
    assert client.get("/api/v1/facilities/steel/catalogue", params={"holder": "nobody"}).status_code == 422


def test_who_answers_for_a_key_is_a_leaf_of_the_log(client: httpx.Client) -> None:
    verifier = Verifier.from_text(client.get("/api/v1/log/key").text)
    found = Checkpoint.from_text(opened(client.get("/api/v1/log/checkpoint").content, verifier))
    said = {}
    for number in (1, 2):
        answer = client.get("/api/v1/log/proof/inclusion", params={"binding": number}).json()
        proof = [base64.b64decode(text) for text in answer["proof"]]
        tree.check_inclusion(answer["index"], found.size, tree.leaf_hash(answer["leaf"].encode()), proof, found.root)
        bound = json.loads(answer["leaf"])
        said[bound["device"], bound["key"]] = bound["entity"]
    assert said == {("incomer", ""): "Grid Company", ("", KEY.public.to_text()): "Meter Readers Ltd"}


def test_a_binding_changes_by_a_further_row(tmp_path: Path) -> None:
    bindings = Bindings(tmp_path / "accounts.sqlite")
    one, other = Binding("steel", "gw", "", "key", "A Ltd"), Binding("steel", "gw", "", "key", "B Ltd")
    assert [bound.no for bound in bindings.keep([one], 1)] == [1]
    assert bindings.keep([one], 2) == []
    assert [bound.binding.entity for bound in bindings.keep([other], 3)] == ["B Ltd"]
    assert [bound.binding.entity for bound in bindings.keep([], 4)] == [""]
    assert bindings.keep([], 5) == []
    assert [(bound.no, bound.binding.entity) for bound in bindings.bound()] == [(1, "A Ltd"), (2, "B Ltd"), (3, "")]
    bindings.close()


def test_a_kind_that_is_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "aggregator.toml"
    file.write_text(NAMED.replace('holder = "industry"', 'holder = "somebody"'))
    with pytest.raises(SettingsFaults, match=r"facility\[0\].series\[0\].holder: expected one of"):
        load(file, {})


def test_the_command_lists_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "aggregator.toml"
    file.write_text(NAMED)
    made = Aggregator(load(file, {}), Clock())
    with made.ingest:
        assert made.ingest.offer(TOPIC, FRAMES[0][0])
        assert made.ingest.drain(20)
    made._close()
    assert main(["catalogue", "--config", str(file)]) == 0
    told = capsys.readouterr().out
    assert told.startswith(
        "gw/incomer energy_import_kwh: owner Steel Works Ltd, device Grid Company, signer Meter Readers Ltd"
    )
    assert main(["catalogue", "--config", str(file), "--facility", "x"]) == 2
