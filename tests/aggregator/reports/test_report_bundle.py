"""A report bundle from an aggregator that has metered, settled and logged, checked without it: every figure is computed again, every byte counts.

An edge seals one counter reading at each quarter hour and between; the counter stands at 1000 kWh at first and moves by 10 kWh a quarter hour on a
meter with a multiplier of 2, so each interval is 20 kWh, and with 0.5 kg/kWh 10 kg: eight of them come to 160 kWh and 80 kg.
"""

import io
import json
import random
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from audit_chain import KEY, TOPIC
from live_plant import Server

from aggregator.accounts.compile import Accounts, Span
from aggregator.accounts.price import CarbonPrice
from aggregator.accounts.record_file import ACCOUNTS_NAME
from aggregator.accounts.runs.calculation import calculated, rules_now
from aggregator.accounts.runs.record import Runs
from aggregator.audit.evidence import CHECKPOINT, CONTENTS, contents_text, zipped
from aggregator.audit.evidence import unzipped as evidence_files
from aggregator.audit.note import Checkpoint, Verifier, sign
from aggregator.reports.bundle import FORMAT, NAMES
from aggregator.reports.checking import check
from aggregator.reports.reporter import Reporter, Wanted
from aggregator.reports.verdict import ReportVerdict
from aggregator.run import Aggregator
from aggregator.settings import load
from wattline.command import main
from wire.batch import Sealer
from wire.block import Block, Shape
from wire.clock import Clock
from wire.content import ClockJson, Content, pack
from wire.keys import SigningKey

QUARTER = 900_000
FROM = 1_759_999_500_000  # 2025-10-09 08:45 UTC
QUARTERS = 8
TO = FROM + QUARTERS * QUARTER
SPAN = {"from": FROM, "to": TO}
PATH = "/api/v1/facilities/steel/report"
SETTINGS = f"""
[aggregator]
store_id = "store-1"
data_directory = "data"
http = {{ port = 0 }}
[[facility]]
id = "steel"
time_zone = "Asia/Seoul"
[facility.factor]
kg_per_kwh = 0.5
source = "a factor for the test"
[[facility.carbon_price]]
price_per_t = "50.5"
currency = "EUR"
source = "a price for the test"
[[facility.meter]]
device = "incomer"
edge = "gw"
role = "main"
rated_power_kw = 1000
[[facility.meter.multiplier]]
factor = 2
[[edge]]
facility = "steel"
edge = "gw"
public_key = "{KEY.public.to_text()}"
"""


def frames() -> Iterator[bytes]:
    """A batch every five minutes, one reading each; 10 kWh on the display each quarter hour."""
    sealer, prev = Sealer(TOPIC, KEY), ""
    for seq in range(1, 3 * (QUARTERS + 1) + 1):
        at_ms = FROM + (seq - 1) * QUARTER // 3
        block = Block(
            "incomer", Shape(("energy_import_kwh",), (-3,)), (at_ms,), ((1_000_000 + round(10_000 * (seq - 1) / 3),),)
        )
        shapes, blocks = pack([block])
        content = Content("steel", "gw", "e1", seq, prev, at_ms + 200, "counter", ClockJson(True), [], shapes, blocks)
        frame, sha256 = sealer.seal(content)
        prev = sha256.hex()
        yield frame


@pytest.fixture(scope="module")
def aggregator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aggregator]:
    file = tmp_path_factory.mktemp("aggregator") / "aggregator.toml"
    file.write_text(SETTINGS)
    made = Aggregator(load(file, {}), Clock())
    with made.ingest:
        for frame in frames():
            assert made.ingest.offer(TOPIC, frame)
        assert made.ingest.drain(20)
        made.settler.settle(patient=False)
        accounts = made.services().accounts
        assert accounts is not None
        run = calculated(accounts, rules_now(accounts, "steel", "GHGP-LB"), Span(FROM, TO, accounts.clock()))
        with Runs(made.settings.data_directory / ACCOUNTS_NAME) as runs:
            runs.add(run, "ann", "", accounts.clock())
            runs.approve(1, "bo", accounts.clock())
            runs.publish(1, "ann", accounts.clock())
        yield made
    made._close()


@pytest.fixture(scope="module")
def client(aggregator: Aggregator) -> Iterator[httpx.Client]:
    with Server(aggregator.services()) as server, httpx.Client(base_url=server.url, timeout=20) as made:
        yield made


@pytest.fixture(scope="module")
def bundle(client: httpx.Client) -> bytes:
    response = client.get(PATH, params={**SPAN, "format": "zip", "rounding": True, "view": "published"})
    assert (response.status_code, response.headers["content-type"]) == (200, "application/zip")
    return response.content


@pytest.fixture(scope="module")
def log_key(aggregator: Aggregator) -> Verifier:
    return aggregator.audit.verifier


def test_every_figure_is_computed_again_from_sealed_readings_up(bundle: bytes, log_key: Verifier) -> None:
    verdict = check(bundle, log_key, [KEY.public])
    assert verdict.faults == []
    (seen,) = verdict.statements
    assert (seen.profile, seen.kg, seen.multiplied, seen.stated, seen.without_figure) == ("GHGP-LB", "80.0000", 1, 0, 0)
    assert (seen.summed, seen.intervals) == (1, QUARTERS)
    assert (seen.run, seen.publication, seen.leaf) == (1, 1, 3 * (QUARTERS + 1))  # behind the leaves of all batches
    traced = seen.traced
    assert (traced.from_counters, traced.boundaries, traced.sealed) == (QUARTERS, QUARTERS + 1, QUARTERS + 1)
    assert verdict.evidence is not None
    assert verdict.evidence.batches == QUARTERS + 1  # of each quarter hour the first batch


def test_what_is_published_keeps_the_price_that_it_was_shown_with(aggregator: Aggregator, bundle: bytes) -> None:
    """0.08 t at 50.5 EUR/t are 4.04 EUR, whatever the settings say later; a price that is asked for goes first."""
    (costs,) = json.loads(files_of(bundle)["report.json"])["costs"]
    assert [row["cost"] for row in costs["rows"]] == ["4.04", "4.04"]
    accounts = aggregator.services().accounts
    assert accounts is not None
    (facility,) = accounts.facilities.values()
    later = replace(facility, carbon_prices=(CarbonPrice(Decimal(100), "EUR", "a later price"),))
    reporter = Reporter(Accounts(accounts.ledger, [later], accounts.data_directory, accounts.clock))
    asked = CarbonPrice(Decimal(1), "CNY", "a price that is asked for")
    for view, price, cost in (("published", None, "4.04"), ("latest", None, "8"), ("published", asked, "0.08")):
        (made,) = reporter.report(Wanted("steel", ("GHGP-LB",), FROM, TO, view=view, price=price)).costs
        assert made.rows[0].cost == Decimal(cost)


def test_the_command_line_says_each_step(
    bundle: bytes, log_key: Verifier, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.zip"
    file.write_bytes(bundle)
    keys = ["--log-key", log_key.to_text(), "--edge-key", KEY.public.to_text()]
    assert main(["verify", str(file), *keys]) == 0
    said = capsys.readouterr().out
    for line in (
        "GHGP-LB: 0.0800000 t CO2e, computed again from 1 line",
        "1 line is summed from 8 intervals; 8 of 8 expected with a figure, 0 not measured well, 0 not final",
        "8 intervals are differences of 9 kept counter values; 9 of these are readings in sealed batches, 0 lie between two",
        "override.steel v1: a factor for the test",
        "run 1 is leaf 27 of the log, published as 1",
        "everything holds",
    ):
        assert line in said
    assert "compare it with what you noted" not in said
    assert main(["verify", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["holds"] is True
    assert main(["verify", str(file), "--log-key", Verifier("other", SigningKey.generate().public).to_text()]) == 1


def test_one_line_is_followed_down_to_the_meter_and_the_document(
    bundle: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The third interval: the counter moves from 1020 to 1030, times 2. Its readings are in the batches 7 and 10."""
    file = tmp_path / "report.zip"
    file.write_bytes(bundle)
    assert main(["verify", str(file), "--trace", "2"]) == 0
    said = capsys.readouterr().out
    for line in (
        "line 2  scope2  meter:incomer  electricity  160.000 kWh x 0.5 kg/kWh = 80.0000 kg  good",
        "source: a factor for the test",
        "8 intervals behind it",
        "2025-10-09T18:15+09:00 to 2025-10-09T18:30+09:00  incomer energy_import_kwh  20.000 kWh  good  measured",
        "= (1030.000 - 1020.000) x 2",
        "1020.000 at 2025-10-09T18:15+09:00, reading: the meter showed 1020.0 at 2025-10-09T18:15+09:00, in batch 7 of gw, leaf ",
        "1030.000 at 2025-10-09T18:30+09:00, reading: the meter showed 1030.0 at 2025-10-09T18:30+09:00, in batch 10 of gw, leaf ",
    ):
        assert line in said
    for wanted, refusal in (
        ("3", "expected the number of a line of statements/GHGP-LB.jsonl, 2 to 2, got '3'"),
        ("CBAM:2", "expected a profile of the report (GHGP-LB), got 'CBAM'"),
    ):
        assert main(["verify", str(file), "--trace", wanted]) == 2
        assert refusal in capsys.readouterr().err
    file.write_bytes(files_of(bundle)["evidence.zip"])
    assert main(["verify", str(file), "--trace", "2"]) == 2


def test_a_verifier_needs_none_of_the_aggregators_packages() -> None:
    heavy = "('numpy', 'duckdb', 'pydantic', 'fastapi', 'uvicorn', 'prometheus_client')"
    program = f"import sys, wattline.verify; sys.exit(', '.join(m for m in {heavy} if m in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_log_that_goes_on_from_a_noted_checkpoint_is_proven_and_another_is_not(
    aggregator: Aggregator, client: httpx.Client, bundle: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log had 12 leaves when somebody noted it."""
    key, name = aggregator.audit._key, aggregator.audit.verifier.name
    noted = tmp_path / "noted.txt"
    noted.write_text(sign(Checkpoint(name, 12, aggregator.audit.root(12)).to_text(), name, key))
    file = tmp_path / "report.zip"
    file.write_bytes(client.get(PATH, params={**SPAN, "format": "zip", "view": "published", "since": 12}).content)
    assert main(["verify", str(file), "--noted", str(noted)]) == 0
    assert "the log begins with the 12 leaves of the noted checkpoint" in capsys.readouterr().out
    file.write_bytes(bundle)
    assert main(["verify", str(file), "--noted", str(noted)]) == 1
    assert "expected a proof from the noted 12 leaves on (made with since=12), got no proof" in capsys.readouterr().out
    noted.write_text(sign(Checkpoint(name, 12, bytes(32)).to_text(), name, key))
    file.write_bytes(client.get(PATH, params={**SPAN, "format": "zip", "since": 12}).content)
    assert main(["verify", str(file), "--noted", str(noted)]) == 1
    assert "since.json: expected a proof from the noted 12 leaves on" in capsys.readouterr().out
    assert client.get(PATH, params={**SPAN, "format": "zip", "since": 10**9}).status_code == 422


def test_evidence_of_another_checkpoint_is_no_evidence_for_this_report(
    aggregator: Aggregator, client: httpx.Client, bundle: bytes
) -> None:
    files = files_of(bundle)
    inner = evidence_files(files["evidence.zip"])
    name = aggregator.audit.verifier.name
    older = sign(Checkpoint(name, 12, aggregator.audit.root(12)).to_text(), name, aggregator.audit._key).encode()
    changed = files | {"evidence.zip": zipped(inner | {CHECKPOINT: older})}
    faults = check(signed_again(aggregator, changed)).faults
    assert ("evidence.zip", "another one") in {(fault.file, fault.seen) for fault in faults}


def test_the_same_question_gives_the_same_bytes(client: httpx.Client, bundle: bytes, aggregator: Aggregator) -> None:
    as_of = json.loads(files_of(bundle)["report.json"])["as_of_ms"]
    asked = {**SPAN, "format": "zip", "as_of": as_of}
    assert client.get(PATH, params=asked).content == client.get(PATH, params=asked).content


def test_a_report_of_what_is_known_tells_of_the_runs_and_has_no_proof_of_its_own(client: httpx.Client) -> None:
    raw = client.get(PATH, params={**SPAN, "format": "zip"}).content
    verdict = check(raw)
    assert (verdict.faults, verdict.statements[0].run, verdict.statements[0].kg) == ([], None, "80.0000")
    told = json.loads(files_of(raw)["report.json"])["restatements"]
    assert [(each["run"], each["state"], each["kg"], each["by"]) for each in told] == [
        ("run 1", "published", "80.0000", "ann, bo"), ("", "latest", "80.0000", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("form", "begins"),
    [("html", b"<!doctype html>"), ("csv", b"\xef\xbb\xbf#"), ("tables", b"PK"), ("json", b"{"), ("xlsx", b"PK")],
)
def test_every_form_is_served_as_a_file(client: httpx.Client, form: str, begins: bytes) -> None:
    response = client.get(PATH, params={**SPAN, "format": form, "language": "zh"})
    assert response.status_code == 200
    assert response.content.startswith(begins)
    assert response.headers["content-disposition"].startswith('attachment; filename="steel-')


def test_without_a_browser_there_is_no_pdf(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    response = client.get(PATH, params={**SPAN, "format": "pdf"})
    assert (response.status_code, response.json()["expected"]) == (503, "a Chromium on the server")


@pytest.mark.parametrize(
    "wrong",
    [
        {"profile": "GHG"},
        {"profile": "GHGP-LB,GHGP-LB"},
        {"format": "doc"},
        {"to": FROM},
        {"language": "fr"},
        {"from": FROM + 1},
    ],
)
def test_what_cannot_be_reported_is_refused(client: httpx.Client, wrong: dict[str, str]) -> None:
    response = client.get(PATH, params={**SPAN, **wrong})
    assert (response.status_code, set(response.json())) == (422, {"error", "thing", "expected", "seen"})


# ---- what was changed


def files_of(bundle: bytes) -> dict[str, bytes]:
    return evidence_files(bundle, NAMES)


def part_of(bundle: bytes, at: int) -> str:
    """In which file's contents a byte of the bundle is; "" in the zip file's own headers."""
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        for entry in archive.infolist():
            start = entry.header_offset + 30 + len(entry.filename)
            if start <= at < start + entry.file_size:
                return entry.filename
    return ""


def flipped(bundle: bytes, log_key: Verifier, places: list[int]) -> None:
    for at in places:
        changed = bundle[:at] + bytes([bundle[at] ^ 1 << random.randrange(8)]) + bundle[at + 1 :]
        verdict = check(changed, log_key, [KEY.public])
        assert not verdict.holds, f"byte {at}"
        part = part_of(bundle, at)
        if part:
            named = {fault.file.split("/")[0] if part == "evidence.zip" else fault.file for fault in verdict.faults}
            assert part in named, f"byte {at} of {part}: {[str(fault) for fault in verdict.faults]}"
            assert all(fault.expected and fault.seen for fault in verdict.faults)


def test_one_changed_byte_anywhere_is_found_and_named(bundle: bytes, log_key: Verifier) -> None:
    """Of every member and of the headers some bytes, others each time; all of them in the long run."""
    members: dict[str, list[int]] = {}
    for at in range(len(bundle)):
        if at % 7 == 0:
            members.setdefault(part_of(bundle, at), []).append(at)
    assert set(members) >= set(files_of(bundle))
    flipped(bundle, log_key, [at for places in members.values() for at in random.sample(places, min(6, len(places)))])


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_byte_changed_is_found_and_named(bundle: bytes, log_key: Verifier) -> None:
    flipped(bundle, log_key, list(range(len(bundle))))


def signed_again(aggregator: Aggregator, files: dict[str, bytes]) -> bytes:
    """A bundle whose list of files is signed by whoever has the log's key, as an aggregator that lies would."""
    others = {name: content for name, content in files.items() if name != CONTENTS}
    note = sign(contents_text(others, FORMAT), aggregator.audit.verifier.name, aggregator.audit._key)
    return zipped(others | {CONTENTS: note.encode()})


def lie(aggregator: Aggregator, bundle: bytes, name: str, old: bytes, new: bytes) -> ReportVerdict:
    files = files_of(bundle)
    assert old in files[name]
    return check(
        signed_again(aggregator, files | {name: files[name].replace(old, new)}), aggregator.audit.verifier, [KEY.public]
    )


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        (
            "statements/GHGP-LB.jsonl",
            b'"kg":"80.0000"',
            b'"kg":"70.0"',
            "expected 160.000 kWh x 0.5 = 80.0000 kg, got 70.0",
        ),
        ("statements/GHGP-LB.jsonl", b'"quantity":"160', b'"quantity":"150', "expected 8 intervals with 160"),
        (
            "report.json",
            b'"kg": "80.0000"',
            b'"kg": "70.0"',
            "expected kg 80.0000, computed from statements/GHGP-LB.jsonl, got 70.0",
        ),
        ("report.json", b'"cost": "4.04"', b'"cost": "4.05"', "expected costs {"),
        ("report.json", b'"price_per_t": "50.5"', b'"price_per_t": "60.5"', "expected costs {"),
        ("report.json", b'"kg_per_unit": "0.5"', b'"kg_per_unit": "0.4"', "no such factor"),
        ("report.json", b'"total_t": "0.0800000"', b'"total_t": "0.07"', "expected the roundings of these intervals"),
        ("intervals/GHGP-LB.jsonl", b'"energy_kwh":"20', b'"energy_kwh":"10', "expected 8 intervals with 80"),
        (
            "boundaries/GHGP-LB.jsonl",
            b'"value":"1040.000"',
            b'"value":"1041.000"',
            "expected 22.000 kWh, the difference of the kept values 1030.000 and 1041.000",
        ),
        ("runs/GHGP-LB.jsonl", b'"number":1,', b'"number":2,', "expected run 2, got run 1"),
        (
            "runs/GHGP-LB.jsonl",
            b"energy_import_kwh",
            b"energy_export_kwh",
            "expected the intervals that run 1 has read",
        ),
        (
            "runs/GHGP-LB.jsonl",
            b'\\"operator\\":\\"ann\\"',
            b'\\"operator\\":\\"eve\\"',
            "a proof that it is in the log",
        ),
        ("meters/GHGP-LB.jsonl", b'"factor":"2"', b'"factor":"3"', "expected 30"),
    ],
)
def test_an_aggregator_that_lies_is_found_by_computing_again(
    aggregator: Aggregator, bundle: bytes, name: str, old: bytes, new: bytes, said: str
) -> None:
    """It has the log's key and signs what it likes."""
    faults = [str(fault) for fault in lie(aggregator, bundle, name, old, new).faults]
    assert any(said in fault for fault in faults), faults


def test_counter_values_that_fit_their_intervals_and_were_never_sealed_are_found(
    aggregator: Aggregator, bundle: bytes
) -> None:
    """2 kWh are moved from the fifth interval to the fourth, and the counter's value between them with it: all sums stay what they were."""
    files = files_of(bundle)
    rows = files["intervals/GHGP-LB.jsonl"].splitlines(keepends=True)
    rows[3], rows[4] = rows[3].replace(b'"20.000"', b'"22.000"'), rows[4].replace(b'"20.000"', b'"18.000"')
    moved = files["boundaries/GHGP-LB.jsonl"].replace(b"1040.000", b"1041.000")
    changed = files | {"intervals/GHGP-LB.jsonl": b"".join(rows), "boundaries/GHGP-LB.jsonl": moved}
    faults = check(signed_again(aggregator, changed), aggregator.audit.verifier, [KEY.public]).faults
    assert {("boundaries/GHGP-LB.jsonl", "1041.000")} < {
        (fault.file, fault.seen) for fault in faults
    }  # and the run has read other intervals


def test_a_file_too_many_or_too_few_is_found(aggregator: Aggregator, bundle: bytes) -> None:
    files = files_of(bundle)
    more = files | {"statements/CBAM.jsonl": files["statements/GHGP-LB.jsonl"]}
    assert "statements/CBAM.jsonl" in {fault.file for fault in check(signed_again(aggregator, more)).faults}
    for name in files:
        if name not in (CONTENTS, "evidence.zip", "report.en.html"):
            fewer = {other: content for other, content in files.items() if other != name}
            assert name in {fault.file for fault in check(signed_again(aggregator, fewer)).faults}, name
    assert CHECKPOINT in files


def spoilt_and_signed(aggregator: Aggregator, bundle: bytes, times: int) -> None:
    """Bytes of any file but the signed ones are changed, cut or doubled and all is signed again: a verdict, never a crash.

    Statements and intervals cannot be changed at all; who leaves out counter values or a page only shows less.
    """
    files = files_of(bundle)
    names = [name for name in files if name not in (CONTENTS, CHECKPOINT)]
    for _ in range(times):
        name = random.choice(names)
        content = bytearray(files[name])
        at = random.randrange(len(content))
        change = random.randrange(4)
        if change == 0:
            content[at] ^= 1 << random.randrange(8)
        elif change == 1:
            del content[at:]
        elif change == 2:
            content[at:at] = content[max(at - 40, 0) : at]
        else:
            content[at : at + 1] = random.choice((b"null", b"-1e999", b"{}", b"\xff", b'"NaN"', b"[[[[", b"9" * 400))
        verdict = check(
            signed_again(aggregator, files | {name: bytes(content)}), aggregator.audit.verifier, [KEY.public]
        )
        if name.startswith(("statements/", "intervals/")):
            assert not verdict.holds or bytes(content) == files[name], (name, at, change)


def test_a_lie_that_is_no_longer_readable_is_named_too(aggregator: Aggregator, bundle: bytes) -> None:
    spoilt_and_signed(aggregator, bundle, 30)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_many_lies_that_are_no_longer_readable_are_named_too(aggregator: Aggregator, bundle: bytes) -> None:
    spoilt_and_signed(aggregator, bundle, 1500)


def test_bytes_that_are_no_bundle_are_refused(bundle: bytes) -> None:
    for changed in (b"", bundle[:100], bundle[:-1], bundle + b"\0"):
        assert not check(changed).holds
