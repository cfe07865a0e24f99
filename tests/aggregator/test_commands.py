"""Set-points from a request to the wire and back: numbered, kept, signed, answered; and what a restart remembers."""

import dataclasses
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from live_plant import START_MS, LivePlant, Server

from aggregator.command_book import CommandBook
from aggregator.commands import GRACE_MS, KEY_FILE, Commands, command_key
from aggregator.gather import no_rows
from aggregator.ledger import Ledger
from aggregator.settings import Http
from aggregator.stores.store import CommittedBatch
from wire.command import Command, Outcome, Result, SetPoint, State, encode_result, unseal
from wire.keys import KeyUnusable, SigningKey
from wire.mqtt import NotConnected, PublishTimeout
from wire.reading import Event
from wire.topics import edge_topic

PATH = "/api/v1/facilities/works/edges/gw-02/set-points"
TOPIC = edge_topic("works", "gw-02", "command")
WRITE = {"X-Wattline-Write": "test"}
KEY = SigningKey.generate()


class Wire:
    """Where the connection would be: keeps what was published, or fails as it is told."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, bool]] = []
        self.fails: Exception | None = None

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False, timeout_s: float = 10.0) -> None:
        if self.fails is not None:
            raise self.fails
        self.sent.append((topic, payload, retain))

    def commands(self) -> list[Command]:
        return [unseal(payload, topic, KEY.public) for topic, payload, _ in self.sent]


class Bench:
    """A plant with commands over a wire of our own, and its HTTP server."""

    def __init__(self, directory: Path, **http: Any) -> None:
        self.plant = LivePlant(directory, http=Http(port=0, **http))
        self.wire: Wire = Wire()
        self.book = CommandBook(self.plant.ledger, "store-1")
        self.commands = Commands(self.book, KEY, [("works", "gw-01"), ("works", "gw-02")], self.plant.clock, self._wire)
        self.connected = True
        self.plant.services = dataclasses.replace(self.plant.services, commands=self.commands)

    def _wire(self) -> Wire | None:
        return self.wire if self.connected else None

    def answer(self, result: Result, edge: str = "gw-02") -> None:
        self.commands._keep("works", edge, encode_result(result))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.plant.close()


@pytest.fixture
def client(bench: Bench) -> Iterator[httpx.Client]:
    with Server(bench.plant.services) as server, httpx.Client(base_url=server.url, timeout=10) as made:
        yield made


def body(**changes: Any) -> dict[str, Any]:
    point = {"device": "battery", "point": "power_kw", "value": -20.5, "expires_at_ms": START_MS + 900_000}
    return {"set_points": [point | changes.pop("point", {})]} | changes


def ask(client: httpx.Client, content: dict[str, Any]) -> httpx.Response:
    return client.post(PATH, json=content, headers=WRITE)


def test_a_set_point_goes_out_signed_for_its_edge_and_is_never_retained(bench: Bench, client: httpx.Client) -> None:
    response = ask(client, body(firm=True, valid_s=10))
    assert response.status_code == 202
    ((topic, payload, retained),) = bench.wire.sent
    assert (topic, retained) == (TOPIC, False)
    command = unseal(payload, TOPIC, KEY.public)
    assert command.set_points == [SetPoint("battery", "power_kw", -20.5, START_MS, START_MS + 900_000)]
    assert (command.issuer, command.firm, command.expires_at_ms) == ("store-1", True, START_MS + 10_000)
    answer = response.json()
    assert (answer["id"], answer["counter"], answer["state"]) == (command.id, command.counter, "sent")
    assert answer["set_points"][0]["state"] is None


def test_the_counter_rises_by_every_command_and_over_a_restart(bench: Bench, tmp_path: Path) -> None:
    def enter(book: CommandBook, number: int, now_ms: int) -> int:
        return book.enter(f"c{number}", "works", "gw-02", "x", now_ms, now_ms + 1, [], False).counter

    counters = [enter(bench.book, n, START_MS) for n in range(3)]
    assert counters == [START_MS, START_MS + 1, START_MS + 2]
    with closing(Ledger(tmp_path / "ledger.sqlite")) as again:
        assert enter(CommandBook(again, "store-1"), 3, START_MS - 10_000) == START_MS + 3
    with closing(Ledger(tmp_path / "restored.sqlite")) as without_memory:
        assert enter(CommandBook(without_memory, "store-1"), 4, START_MS + 60_000) > START_MS + 3


def test_two_at_once_get_different_counters(bench: Bench) -> None:
    found: list[int] = []

    def enter(name: int) -> None:
        found.extend(
            bench.book.enter(f"{name}-{n}", "works", "gw-01", "x", START_MS, START_MS, [], False).counter
            for n in range(20)
        )

    threads = [threading.Thread(target=enter, args=(name,)) for name in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 60


def test_the_answer_of_the_edge_is_shown_and_a_later_one_replaces_it(bench: Bench, client: httpx.Client) -> None:
    command = ask(client, body()).json()
    bench.plant.now_ms += 40
    place = (command["id"], "store-1", command["counter"])
    bench.answer(Result(*place, START_MS + 30, 1, [Outcome(State.ACCEPTED, START_MS + 30)]))
    bench.answer(Result(*place, START_MS + 90, 3, [Outcome(State.DELIVERED, START_MS + 90, "", 0.0, -20.5)]))
    bench.answer(Result(*place, START_MS + 60, 2, [Outcome(State.NOT_DELIVERED, START_MS + 60, "late news")]))
    found = client.get(f"{PATH}/{command['id']}").json()
    assert (found["state"], found["answered_at_ms"]) == ("answered", START_MS + 40)
    (point,) = found["set_points"]
    assert (point["state"], point["before"], point["after"], point["at_ms"]) == (
        "delivered", 0.0, -20.5, START_MS + 90,
    )  # fmt: skip


def test_an_answer_to_another_edges_command_changes_nothing(bench: Bench, client: httpx.Client) -> None:
    command = ask(client, body()).json()
    result = Result(command["id"], "store-1", command["counter"], START_MS, 1, [Outcome(State.REFUSED, START_MS)])
    bench.answer(result, edge="gw-01")
    bench.answer(Result("sp-unknown", "store-1", 5, START_MS, 1, []))
    bench.commands._keep("works", "gw-02", b"{not json")
    assert client.get(f"{PATH}/{command['id']}").json()["state"] == "sent"
    assert bench.commands.unknown_results == 2


def test_a_command_that_was_refused_as_a_whole_says_why_for_each_set_point(bench: Bench, client: httpx.Client) -> None:
    command = ask(client, body()).json()
    bench.answer(Result(command["id"], "store-1", command["counter"], START_MS, 1, [], "expired 3000 ms ago"))
    found = client.get(f"{PATH}/{command['id']}").json()
    assert (found["state"], found["reason"]) == ("answered", "expired 3000 ms ago")
    assert (found["set_points"][0]["state"], found["set_points"][0]["reason"]) == ("refused", "expired 3000 ms ago")


def test_silence_beyond_the_expiry_is_unanswered(bench: Bench, client: httpx.Client) -> None:
    command = ask(client, body(valid_s=30)).json()
    bench.plant.now_ms = START_MS + 30_000 + GRACE_MS
    assert client.get(f"{PATH}/{command['id']}").json()["state"] == "sent"
    bench.plant.now_ms += 1
    assert client.get(f"{PATH}/{command['id']}").json()["state"] == "unanswered"


def test_without_a_broker_a_command_is_kept_as_not_sent_and_503_says_so(bench: Bench, client: httpx.Client) -> None:
    bench.connected = False
    assert ask(client, body()).status_code == 503
    bench.connected, bench.wire.fails = True, NotConnected("broker b:1883: not connected")
    response = ask(client, body())
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    listed = client.get(PATH).json()["commands"]
    assert [entry["state"] for entry in listed] == ["not_sent", "not_sent"]
    assert "not connected" in listed[0]["reason"]


def test_a_command_without_puback_may_have_left_and_is_waited_for(bench: Bench, client: httpx.Client) -> None:
    bench.wire.fails = PublishTimeout("no PUBACK")
    response = ask(client, body())
    assert (response.status_code, response.json()["state"]) == (202, "sent")


def test_the_newest_commands_are_listed_first_with_the_key_to_pin(bench: Bench, client: httpx.Client) -> None:
    ids = [ask(client, body()).json()["id"] for _ in range(3)]
    found = client.get(PATH, params={"limit": 2}).json()
    assert [entry["id"] for entry in found["commands"]] == [ids[2], ids[1]]
    assert found["command_key"] == KEY.public.to_text()


def test_the_audit_trail_of_the_edge_stands_beside_its_command(bench: Bench, client: httpx.Client) -> None:
    command = ask(client, body()).json()
    events = tuple(
        Event(f"e{n}", START_MS + n, "battery", "set_point", {"command": command_id, "state": state})
        for n, (command_id, state) in enumerate(
            [(command["id"], "requested"), (command["id"], "delivered"), ("sp-other", "delivered")]
        )
    )
    batch = CommittedBatch("works", "gw-02", "e1", 1, bytes(32), START_MS, START_MS, 0, events)
    bench.plant.store.commit(no_rows(), [batch])
    audit = client.get(f"{PATH}/{command['id']}").json()["audit"]
    assert [(entry["at_ms"], entry["body"]["state"]) for entry in audit] == [
        (START_MS, "requested"),
        (START_MS + 1, "delivered"),
    ]


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"set_points": []},
        body(point={"value": "5"}),
        body(point={"value": 1e13}),
        body(point={"device": "a/b"}),
        body(point={"expires_at_ms": START_MS}),
        body(point={"expires_at_ms": START_MS + 30 * 86_400_000}),
        body(point={"extra": 1}),
        body(valid_s=0),
        body(valid_s=1.5),
        body(firm="yes"),
        {"set_points": [*body()["set_points"], *body()["set_points"]]},
        {"set_points": body()["set_points"] * 257},
    ],
)
def test_what_no_edge_would_take_is_refused_before_anything_is_kept(
    bench: Bench, client: httpx.Client, content: dict[str, Any]
) -> None:
    response = ask(client, content)
    assert response.status_code == 422
    assert set(response.json()) == {"error", "thing", "expected", "seen"}
    assert bench.wire.sent == []
    assert client.get(PATH).json()["commands"] == []


def test_unknown_edges_and_commands_are_404(client: httpx.Client) -> None:
    assert client.post(PATH.replace("gw-02", "gw-09"), json=body(), headers=WRITE).status_code == 404
    assert client.get(PATH.replace("gw-02", "gw-09")).status_code == 404
    assert client.get(f"{PATH}/sp-none").status_code == 404
    assert client.get(PATH.replace("works", "nowhere")).status_code == 404


def test_whoever_has_no_token_sends_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, token="0123456789abcdef-token")
    with Server(bench.plant.services) as server, httpx.Client(base_url=server.url, timeout=10) as client:
        assert client.post(PATH, json=body()).status_code == 403
        assert ask(client, body()).status_code == 401
        known = {**WRITE, "Authorization": "Bearer 0123456789abcdef-token"}
        assert client.post(PATH, json=body(), headers=known).status_code == 202
    assert len(bench.wire.commands()) == 1
    bench.plant.close()


def test_the_key_is_made_once_for_its_owner_only_and_found_again(tmp_path: Path) -> None:
    made = command_key(None, tmp_path)
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert command_key(None, tmp_path).public == made.public
    assert command_key(tmp_path / KEY_FILE, tmp_path / "elsewhere").public == made.public
    (tmp_path / KEY_FILE).write_text("not a key")
    with pytest.raises(KeyUnusable, match=KEY_FILE):
        command_key(None, tmp_path)


def test_every_answer_of_the_interface_is_json_that_can_be_read_again(bench: Bench, client: httpx.Client) -> None:
    ask(client, body(point={"value": None}))
    assert json.loads(client.get(PATH).content)["commands"][0]["set_points"][0]["value"] is None
