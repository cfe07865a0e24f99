"""An event over HTTP from notice to settlement on a flat load, by hand: fixed before it begins, answered, watched, opted out of, settled, proven offline."""

import json
import shutil
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from live_plant import LivePlant, Server, works

from aggregator.accounts.compile import Accounts
from aggregator.audit.evidence import CONTENTS, contents_text, unzipped, zipped
from aggregator.audit.log import AuditLog
from aggregator.flexibility.events.bundle import FORMAT, INPUTS, NAMES
from aggregator.flexibility.events.checking import check
from aggregator.flexibility.events.conduct import Conduct
from aggregator.flexibility.events.event import Firm
from aggregator.flexibility.events.planner import Planner
from aggregator.flexibility.events.policy import ResponsePolicy
from aggregator.flexibility.events.record import EventRecord
from aggregator.flexibility.events.rounds import EventRounds
from aggregator.flexibility.events.trace import Sent
from aggregator.intervals.boundaries import GOOD
from aggregator.ledger import IntervalRow, Ledger
from aggregator.person import Person, new_token
from wattline.command import main
from wire.circuit import of_tree
from wire.clock import Clock

HOUR_MS, QUARTER_MS = 3_600_000, 900_000
ANN, ANN_SHA = new_token()
EVE, EVE_SHA = new_token()


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Asia/Shanghai")).timestamp() * 1000)


NOTICE_MS, BEGIN_MS, END_MS = ms("2026-06-17T10:00"), ms("2026-06-17T14:00"), ms("2026-06-17T16:00")


CIRCUIT = of_tree(
    {
        "facility": "works",
        "branch": [{"name": "supply", "limit_kva": 1000.0}, {"name": "garage", "within": "supply", "limit_a": 200.0}],
        "asset": [
            {"name": "battery", "kind": "battery", "branch": "supply", "edge": "gw-02", "device": "battery", "point": "active_power_setpoint_kw", "charge_kw": 100.0, "discharge_kw": 100.0, "capacity_kwh": 200.0},
            {"name": "pile", "kind": "charger", "branch": "garage", "edge": "gw-02", "device": "charger", "point": "charging_limit_kw", "charge_kw": 50.0},
        ],
    }
)  # fmt: skip


def flat(from_ms: int, to_ms: int, kw: float) -> list[IntervalRow]:
    return [
        IntervalRow("works", "incomer", "energy_import_kwh", at, at + QUARTER_MS, Decimal(kw) / 4, GOOD, True, "measured")
        for at in range(from_ms, to_ms, QUARTER_MS)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ledger of thirty days of 400 kW."""
    path = tmp_path_factory.mktemp("past") / "ledger.sqlite"
    ledger = Ledger(path)
    ledger.put_intervals(flat(ms("2026-05-18"), NOTICE_MS, 400), NOTICE_MS)
    ledger.close()
    return path


class Response:
    """A works, its events, its log and its clock."""

    def __init__(self, directory: Path) -> None:
        policy = ResponsePolicy("automatic", 900, pay_per_kwh=1.0, penalty_per_kwh=0.5)
        self.plant = LivePlant(directory, facility=works(demand_response=policy, place="CN"))
        self.plant.now_ms = NOTICE_MS
        self.log = AuditLog(directory, self.plant.store, "test", self.plant.clock)
        self.record = EventRecord(directory / "events.sqlite")
        self.firm_kw: float | None = 300.0
        self.anew: list[str] = []
        accounts = Accounts(self.plant.ledger, [self.plant.facility], directory, self.plant.clock)
        planner = Planner(
            firm=lambda _: None if self.firm_kw is None else Firm(self.firm_kw, None, self.plant.now_ms, "P-1"),
            asked_anew=self.anew.append,
            sent=lambda event: [
                Sent(
                    "plan-1",
                    event.steps[1].at_ms + 900,
                    ("event",),
                    "sched-1",
                    "gw-02",
                    event.steps[1].at_ms + 1000,
                    "taken",
                    event.steps[1].at_ms + 1500,
                )
            ],
            circuit=lambda _: CIRCUIT,
        )
        self.conduct = Conduct(self.record, accounts, self.plant.store, self.plant.alarms, self.plant.clock, planner)
        self.rounds = EventRounds(self.conduct, self.log, Clock())
        persons = (Person("Ann", ANN_SHA, may=("operate",)), Person("Eve", EVE_SHA, may=("enter",)))
        self.services = replace(self.plant.services, conduct=self.conduct, audit=self.log, persons=persons)

    def put(self, from_ms: int, to_ms: int, kw: float) -> None:
        self.plant.ledger.put_intervals(flat(from_ms, to_ms, kw), self.plant.now_ms)

    def pass_to(self, now_ms: int, kw: float = 400.0) -> None:
        """Time goes on: the intervals that are over are measured at `kw`, and a round is made."""
        self.put(self.plant.now_ms // QUARTER_MS * QUARTER_MS, now_ms // QUARTER_MS * QUARTER_MS, kw)
        self.plant.now_ms = now_ms
        self.plant.put("incomer", kw, at_ms=now_ms - 1000)
        self.rounds.look()

    def close(self) -> None:
        self.record.close()
        self.log.close()
        self.plant.close()


@pytest.fixture
def response(past: Path, tmp_path: Path) -> Iterator[Response]:
    shutil.copy(past, tmp_path)
    made = Response(tmp_path)
    yield made
    made.close()


@pytest.fixture
def client(response: Response) -> Iterator[httpx.Client]:
    headers = {"X-Wattline-Write": "1", "Authorization": f"Bearer {ANN}"}
    with Server(response.services) as server, httpx.Client(base_url=server.url, timeout=20, headers=headers) as made:
        yield made


PATH = "/api/v1/facilities/works/demand-response"
EVENT = {"from_ms": BEGIN_MS, "to_ms": END_MS, "target_kw": 250}


def ask(client: httpx.Client, **changes: Any) -> Any:
    answer = client.post(PATH, json=EVENT | changes)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_an_event_within_the_firm_power_is_accepted_at_once_and_settled_against_what_was_fixed_at_its_notice(
    response: Response, client: httpx.Client
) -> None:
    """400 - 100 kW over 2 h: 600 kWh delivered, 500 paid; 0.5306 kg/kWh (2023, the latest known) make 318.36 kg; 20 kW more for an hour after.

    Of the 22 workdays before, twelve have ten before them.
    """
    made = ask(client)
    assert (made["id"], made["state"], made["firm_kw"]) == ("DR-1", "accepted", 300)
    assert [(step["state"], step["by"]) for step in made["steps"]] == [("received", "Ann"), ("accepted", "policy")]
    assert response.anew == ["works"]
    found = client.get(f"{PATH}/DR-1").json()
    assert found["commitment"]["index"] == 0
    assert found["commitment"]["leaf"]["baseline_kw"] == [400] * 8
    assert (len(found["commitment"]["leaf"]["days"]), found["commitment"]["leaf"]["firm"]["plan"]) == (10, "P-1")
    asked, _ = response.conduct.of("works", BEGIN_MS, END_MS)
    assert [(one.event_id, one.target_kw, one.baseline_kw) for one in asked] == [("DR-1", 250, (400.0,) * 8)]

    response.pass_to(BEGIN_MS)
    response.pass_to(BEGIN_MS + HOUR_MS, 100)
    delivery = client.get(f"{PATH}/DR-1").json()["delivery"]
    assert (delivery["delivered_kwh"], delivery["due_kwh"], delivery["expected_kwh"]) == (300, 250, 600)
    response.pass_to(END_MS, 100)
    response.pass_to(END_MS + HOUR_MS, 420)
    response.pass_to(END_MS + 5 * HOUR_MS)
    found = client.get(f"{PATH}/DR-1").json()
    assert [step["state"] for step in found["steps"]] == ["received", "accepted", "ended", "settled", "settled"]
    result = found["settlements"][-1]["result"]
    assert sum(result["delivered_kwh"]) == pytest.approx(600)
    assert (result["money"], result["rebound_kwh"]) == (pytest.approx(500), pytest.approx(20))
    assert found["settlements"][0]["result"]["rebound_kwh"] is None
    kg = {each["profile"]: each["kg"] for each in result["saved_kg"]}
    assert (Decimal(kg["OPS"]), kg["MARGINAL"]) == (Decimal("318.36"), None)
    assert result["accuracy"] == {"days": 12, "bias_percent": 0, "rrmse_percent": 0}
    assert [each["index"] for each in found["settlements"]] == [1, 2]


def test_a_bundle_holds_offline_and_one_changed_byte_of_any_file_is_found_and_named(
    response: Response, client: httpx.Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask(client)
    response.pass_to(BEGIN_MS)
    response.pass_to(END_MS + HOUR_MS, 100)
    answer = client.get(f"{PATH}/DR-1/bundle")
    assert answer.status_code == 200, answer.text
    raw, file = answer.content, tmp_path / "event.zip"
    file.write_bytes(raw)
    assert main(["verify", str(file), "--log-key", response.log.verifier.to_text()]) == 0
    said = capsys.readouterr().out
    assert "fixed 4.00 h before its begin" in said
    assert "delivered 600.000 kWh, 500.00 CNY, worked out again" in said
    with zipfile.ZipFile(file) as archive:
        places = {entry.filename: entry.header_offset + 30 + len(entry.filename) for entry in archive.infolist()}
    assert len(places) == 8
    for name, at in places.items():
        changed = bytearray(raw)
        changed[at + 40] ^= 1
        verdict = check(bytes(changed), response.log.verifier)
        assert name in {fault.file for fault in verdict.faults}, (name, verdict.faults)


def test_who_holds_the_logs_key_cannot_tune_the_days_before_after_the_notice(
    response: Response, client: httpx.Client
) -> None:
    """Higher days before, with every hash and signature made to fit them, are still not what the leaf says."""
    ask(client)
    response.pass_to(BEGIN_MS)
    files = unzipped(client.get(f"{PATH}/DR-1/bundle").content, NAMES)
    del files[CONTENTS]
    files[INPUTS] = files[INPUTS].replace(b" 100 good", b" 120 good")
    tuned = zipped(files | {CONTENTS: response.log.signed(contents_text(files, FORMAT)).encode()})
    faults = {(fault.file, fault.expected.split(" ")[0]) for fault in check(tuned, response.log.verifier).faults}
    assert faults == {(INPUTS, "SHA-256"), ("commitment.json", "baseline_kw")}


def test_a_trace_leads_from_the_acceptance_to_the_power_that_moved(response: Response, client: httpx.Client) -> None:
    ask(client)
    response.plant.put("battery", 0.0, at_ms=BEGIN_MS - 1000)
    response.plant.put("battery", -4.0, at_ms=BEGIN_MS + 1000)  # below 5 % of 100 kW: noise
    response.plant.put("battery", -60.0, at_ms=BEGIN_MS + 3000)
    traced = client.get(f"{PATH}/DR-1").json()["trace"]
    assert [(each["kind"], each["id"], each["after_s"]) for each in traced] == [
        ("plan", "plan-1", 0.9), ("schedule", "sched-1", 1.0), ("answer", "sched-1", 1.5), ("moved", "battery", 3.0),
    ]  # fmt: skip
    assert traced[-1]["text"] == "0.0 kW to -60.0 kW"


def test_what_the_firm_power_does_not_cover_waits_for_a_person_until_its_deadline(
    response: Response, client: httpx.Client
) -> None:
    response.firm_kw = 100
    assert ask(client)["state"] == "received"
    answer = client.post(f"{PATH}/DR-1/accept", json={"reason": "the furnace is off"})
    assert (answer.json()["state"], answer.json()["steps"][-1]["by"]) == ("accepted", "Ann")
    late = ask(client, from_ms=BEGIN_MS + 4 * HOUR_MS, to_ms=END_MS + 4 * HOUR_MS)
    response.pass_to(NOTICE_MS + QUARTER_MS)
    found = client.get(f"{PATH}/{late['id']}").json()
    assert (found["state"], found["steps"][-1]["reason"]) == ("declined", "nobody has answered until the deadline")
    refused = client.post(f"{PATH}/{late['id']}/accept", json={})
    assert (refused.status_code, refused.json()["seen"]) == (422, "it is declined")
    assert client.post(f"{PATH}/DR-1/decline", json={}, headers={"Authorization": f"Bearer {EVE}"}).status_code == 403


def test_an_expected_shortfall_above_ten_percent_is_an_alarm_and_an_opt_out_has_a_reason(
    response: Response, client: httpx.Client
) -> None:
    """From 14:00 to 15:00 only 100 of 250 kW: 100 kWh now, 200 of 500 kWh at the end."""
    ask(client)
    response.pass_to(BEGIN_MS)
    response.pass_to(BEGIN_MS + HOUR_MS, 300)
    (alarm,) = response.plant.alarms.open("works")
    assert (alarm.code, alarm.source, alarm.arguments) == ("response_short", "DR-1", ("200.0", "500.0", "60"))
    (report,) = client.get(f"{PATH}/DR-1/reports").json()["reports"]
    assert (report["number"], report["kind"], report["at_ms"]) == (1, "shortfall", BEGIN_MS + HOUR_MS)
    said = report["content"]
    assert (said["delivered_kwh"], said["expected_kwh"], said["target_kwh"], said["short_percent"]) == (
        100,
        200,
        500,
        60,
    )
    assert [each["delivered_kwh"] for each in said["intervals"]] == [25.0] * 4 + [None] * 4
    unsaid = client.post(f"{PATH}/DR-1/opt-out", json={})
    assert (unsaid.status_code, unsaid.json()["thing"]) == (422, "reason")
    left = client.post(f"{PATH}/DR-1/opt-out", json={"reason": "a customer's order"}).json()
    assert (left["state"], left["opt_out"], left["until_ms"]) == ("opted_out", "from", BEGIN_MS + HOUR_MS)
    assert response.conduct.of("works", BEGIN_MS + HOUR_MS, END_MS)[0] == []
    response.pass_to(END_MS + QUARTER_MS, 400)
    found = client.get(f"{PATH}/DR-1").json()
    assert found["state"] == "settled"
    assert sum(found["settlements"][-1]["result"]["delivered_kwh"]) == pytest.approx(100)
    assert found["money"] == pytest.approx(100 - 0.5 * 400)  # what lacks costs its penalty, also what was opted out of


def test_a_report_follows_what_is_expected_is_taken_back_and_only_made_where_it_is_allowed(
    response: Response, client: httpx.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """250 kW for two hours. 100 in the first quarter: 60 % short. 150 in the second: 25 + 37.5 + 1.5 h x 150 = 287.5 of 500 kWh, 42.5 %. 300 in the third: 62.5 + 75 + 1.25 h
    x 300 = 512.5, nothing lacks. 295 in the fourth is no news."""
    response.conduct.override(
        "works",
        {"scope": "asset", "name": "battery", "what": "stop", "until_ms": END_MS, "reason": "inverter test"},
        "Ann",
    )
    ask(client)
    response.pass_to(BEGIN_MS)
    for quarter, given_kw in enumerate((100, 150, 300, 295), 1):
        response.pass_to(BEGIN_MS + quarter * QUARTER_MS, 400 - given_kw)
        response.rounds.look()
    reports = client.get("/api/v1/facilities/works/response-reports").json()["reports"]
    assert [(one["kind"], one["content"]["expected_kwh"], one["content"]["short_percent"]) for one in reports] == [
        ("shortfall", 200, 60), ("shortfall", 287.5, 42.5), ("recovered", 512.5, 0),
    ]  # fmt: skip
    assert reports[0]["content"]["overrides"] == [{"id": "OV-1", "reason": "inverter test", "by": "Ann"}]
    later = client.get("/api/v1/facilities/works/response-reports", params={"after": 2}).json()["reports"]
    assert [one["number"] for one in later] == [3]
    assert main(["event", "show", "DR-1", "--facility", "works", "--url", str(client.base_url)]) == 0
    assert "report 2, shortfall: 287.5 of 500.0 kWh expected at the end" in capsys.readouterr().out
    policy = ResponsePolicy("automatic", 900, report_shortfall=False)
    facility = replace(response.plant.facility, demand_response=policy)
    response.conduct._accounts.facilities["works"] = facility  # type: ignore[index]
    response.pass_to(BEGIN_MS + 5 * QUARTER_MS, 400)
    assert [alarm.code for alarm in response.plant.alarms.open("works")] == ["response_short"]
    assert len(client.get(f"{PATH}/DR-1/reports").json()["reports"]) == 3


def test_where_our_assets_moved_in_the_adjustments_window_the_unadjusted_baseline_is_settled_on(
    response: Response, client: httpx.Client
) -> None:
    """440 kW instead of 400 in the three hours before the notice: x 1.1; but the battery moved by 30 of its 100 kW there."""
    response.put(NOTICE_MS - 3 * HOUR_MS, NOTICE_MS, 440)
    ask(client)
    moving = ask(client, meters=["incomer"], external_id="b", from_ms=END_MS, to_ms=END_MS + HOUR_MS)
    response.pass_to(BEGIN_MS)
    response.pass_to(END_MS + HOUR_MS, 100)
    plain = client.get(f"{PATH}/DR-1").json()["settlements"][-1]["result"]
    assert (plain["moved"], plain["baseline_kw"][0], plain["factor"]) == (False, pytest.approx(440), pytest.approx(1.1))
    for minute, kw in enumerate((0.0, 30.0)):
        response.plant.put("battery", kw, at_ms=NOTICE_MS - HOUR_MS + minute * 60_000)
    response.pass_to(END_MS + 2 * HOUR_MS)
    response.conduct.settle(response.record.event(1))
    for event_id in ("DR-1", moving["id"]):
        result = client.get(f"{PATH}/{event_id}").json()["settlements"][-1]["result"]
        assert (result["adjusted_kw"][0], result["unadjusted_kw"][0]) == (pytest.approx(440), pytest.approx(400))
    result = client.get(f"{PATH}/DR-1").json()["settlements"][-1]["result"]
    assert (result["moved"], result["baseline_kw"][0]) == (True, pytest.approx(400))
    assert "settled on the unadjusted baseline" in result["said"][-1]


def test_a_modification_is_answered_and_fixed_anew_and_a_more_urgent_event_takes_the_place_of_another(
    response: Response, client: httpx.Client
) -> None:
    first = ask(client, source="vtn", external_id="e1", priority=2)
    again = ask(client, source="vtn", external_id="e1", priority=2, target_kw=200)
    assert (again["id"], again["version"], again["state"], again["target_kw"]) == (first["id"], 2, "accepted", 200)
    assert len(response.record.commitments()) == 2
    urgent = ask(client, source="vtn", external_id="e2", priority=0)
    assert urgent["state"] == "accepted"
    assert client.get(f"{PATH}/DR-1").json()["steps"][-1]["reason"] == "DR-2 is more urgent"
    beside = ask(client, source="vtn", external_id="e3", priority=1)
    assert beside["state"] == "received"
    assert client.post(f"{PATH}/DR-2/cancel", json={}).json()["state"] == "cancelled"


def test_an_event_that_cannot_be_is_refused_with_its_key(response: Response, client: httpx.Client) -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"from_ms": NOTICE_MS - QUARTER_MS}, "from_ms"),
        ({"to_ms": END_MS + 1}, "to_ms"),
        ({"to_ms": ms("2026-06-18T01:00")}, "to_ms"),
        ({"meters": ["moon"]}, "meters"),
        ({"rules": "best"}, "preset"),
    ]
    for changes, thing in refused:
        answer = client.post(PATH, json=EVENT | changes)
        assert (answer.status_code, answer.json()["thing"]) == (422, thing)
    assert client.get(PATH).json()["events"] == []


def test_an_override_has_scope_reason_and_expiry_and_one_of_the_whole_facility_opts_out(
    response: Response, client: httpx.Client
) -> None:
    ask(client)
    path = "/api/v1/facilities/works/overrides"
    wanted = {
        "scope": "asset",
        "name": "battery",
        "what": "hold",
        "kw": -20,
        "until_ms": END_MS,
        "reason": "test of the inverter",
    }
    made = client.post(path, json=wanted)
    assert (made.status_code, made.json()["id"], made.json()["by"]) == (201, "OV-1", "Ann")
    _, (held,) = response.conduct.of("works", BEGIN_MS, END_MS)
    assert (held.asset, held.kw, held.until_ms, held.reason) == ("battery", -20, END_MS, "test of the inverter")
    for changes, thing in (({"reason": " "}, "reason"), ({"until_ms": NOTICE_MS}, "until_ms"), ({"kw": None}, "kw")):
        answer = client.post(path, json=wanted | changes)
        assert (answer.status_code, answer.json()["thing"]) == (422, thing)
    assert client.post(f"{path}/OV-1/end", json={"reason": "done"}).json()["ended_by"] == "Ann"
    assert response.conduct.of("works", BEGIN_MS, END_MS)[1] == []
    assert (
        client.post(
            path, json={"scope": "facility", "what": "stop", "until_ms": END_MS, "reason": "fire drill"}
        ).status_code
        == 201
    )
    found = client.get(f"{PATH}/DR-1").json()
    assert (found["state"], found["opt_out"], found["steps"][-1]["reason"]) == (
        "opted_out",
        "whole",
        "OV-2: fire drill",
    )
    (stopped,) = response.conduct.of("works", BEGIN_MS, END_MS)[1]
    assert (stopped.asset, stopped.kw) == ("", 0)
    assert [one["id"] for one in client.get(path).json()["overrides"]] == ["OV-2"]
    branch = {"scope": "branch", "name": "garage", "what": "leave_out", "until_ms": END_MS, "reason": "cable works"}
    assert client.post(path, json=branch | {"name": "attic"}).json()["thing"] == "name"
    assert client.post(path, json=branch).status_code == 201
    assert [(one.asset, one.kw) for one in response.conduct.of("works", BEGIN_MS, END_MS)[1]] == [
        ("", 0),
        ("pile", None),
    ]


def test_the_command_asks_a_running_aggregator(
    response: Response,
    client: httpx.Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WATTLINE_TOKEN", ANN)
    place = ["--url", str(client.base_url), "--facility", "works"]
    span = ["--from", "2026-06-17T14:00+08:00", "--to", "2026-06-17T16:00+08:00"]
    assert main(["event", "ask", *place, *span, "--target-kw", "250"]) == 0
    assert (
        "DR-1  accepted   2026-06-17 06:00Z to 2026-06-17 08:00Z  down 250 kW (firm 300 kW)" in capsys.readouterr().out
    )
    assert (
        main(
            [
                "event",
                "override",
                "stop",
                *place,
                "--asset",
                "battery",
                "--until",
                "2026-06-17T16:00+08:00",
                "--reason",
                "smoke",
            ]
        )
        == 0
    )
    assert "OV-1  asset battery: stop" in capsys.readouterr().out
    assert main(["event", "opt-out", "DR-1", *place]) == 1
    assert "reason" in capsys.readouterr().err
    assert main(["event", "opt-out", "DR-1", *place, "--reason", "an order"]) == 0
    assert main(["event", "show", "DR-1", *place]) == 0
    assert "opted_out  Ann: an order" in capsys.readouterr().out
    assert main(["event", "bundle", "DR-1", *place, "--out", str(tmp_path / "e.zip")]) == 0
    assert main(["verify", str(tmp_path / "e.zip")]) == 0
    assert "not settled yet" in capsys.readouterr().out


def test_many_who_look_at_an_event_at_once_fix_and_accept_it_once(response: Response) -> None:
    said = response.conduct.said(response.plant.facility, "http", "Ann", EVENT)
    event = response.record.add(said, NOTICE_MS)
    with ThreadPoolExecutor(4) as pool:
        found = [each.result() for each in [pool.submit(response.conduct.answered, event) for _ in range(4)]]
    assert {each.state for each in found} == {"accepted"}
    assert [step.state for step in response.record.event(1).steps] == ["received", "accepted"]
    assert len(response.record.commitments()) == 1


def test_nothing_on_record_can_be_edited(response: Response, client: httpx.Client) -> None:
    ask(client)
    for statement in (
        "UPDATE response_event SET said = ''",
        "DELETE FROM response_step",
        "UPDATE response_commitment SET leaf = ''",
    ):
        with pytest.raises(Exception, match="never"), response.record.file.transaction() as db:
            db.execute(statement)
    assert json.loads(response.record.commitments()[0].leaf)["event"] == "DR-1"
