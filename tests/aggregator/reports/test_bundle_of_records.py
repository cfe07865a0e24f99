"""A report bundle of a site without meters: lines of activity records are followed to the records that two persons entered and approved.

The cement line of docs/examples over the first half of 2025, which cuts its yearly records: 181 of 365 days, so 800,000 t of clinker are
396,712.328767123 t in it, to 1e-9 t.
"""

import io
import random
import zipfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from aggregator.accounts.activities.kept import Kept
from aggregator.accounts.record_file import ACCOUNTS_NAME
from aggregator.accounts.runs.inputs import Step
from aggregator.accounts.runs.record import Runs
from aggregator.audit.evidence import CONTENTS, contents_text, unzipped, zipped
from aggregator.audit.log import AuditLog
from aggregator.audit.note import sign
from aggregator.reports.bundle import FORMAT, NAMES
from aggregator.reports.checking import check
from aggregator.run import kept_store_id, store_of
from aggregator.settings import load
from wattline.command import main
from wire.clock import Clock

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "cement"
SPAN = ("--from", "2025-01-01", "--to", "2025-07-01")
RECORDS = "activities/GHGP-LB.jsonl"
LINES = "statements/GHGP-LB.jsonl"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recorded, approved, frozen, approved and published by the commands."""
    directory = tmp_path_factory.mktemp("cement")
    for name in ("aggregator.toml", "2025.csv"):
        text = (EXAMPLE / name).read_text(encoding="utf-8")
        (directory / name).write_text(text.replace('"data"', f'"{directory / "data"}"'), encoding="utf-8")
    config = ["--config", str(directory / "aggregator.toml")]
    of = [*config, "--facility", "cement"]
    for words in (
        ["activities", "import", str(directory / "2025.csv"), *of, "--by", "ann"],
        ["activities", "approve", "--all", *of, "--by", "bo"],
        ["runs", "new", *of, *SPAN, "--by", "ann"],
        ["runs", "approve", "1", *config, "--by", "bo"],
        ["runs", "publish", "1", *config, "--by", "ann", "--note", "a bill of the year has no figure by halves"],
        ["runs", "verify", "1", *config],
        ["report", *of, *SPAN, "--view", "published", "--format", "zip", "--out", str(directory / "report.zip")],
    ):
        assert main(words) == 0
    return directory


@pytest.fixture(scope="module")
def bundle(site: Path) -> bytes:
    return (site / "report.zip").read_bytes()


@pytest.fixture(scope="module")
def log(site: Path) -> Iterator[AuditLog]:
    settings = load(site / "aggregator.toml", {})
    store = store_of(settings)
    made = AuditLog(settings.data_directory, store, kept_store_id(settings.data_directory), Clock(), 0)
    yield made
    made.close()
    store.close()


def files_of(bundle: bytes) -> dict[str, bytes]:
    return unzipped(bundle, NAMES)


def signed_again(log: AuditLog, files: dict[str, bytes]) -> bytes:
    """As whoever has the log's key could."""
    others = {name: content for name, content in files.items() if name != CONTENTS}
    note = sign(contents_text(others, FORMAT), log.verifier.name, log._key)
    return zipped(others | {CONTENTS: note.encode()})


def records_of(bundle: bytes) -> list[Kept]:
    return [msgspec.json.decode(line, type=Kept) for line in files_of(bundle)[RECORDS].splitlines()]


def test_every_record_of_the_span_is_in_the_bundle_and_its_lines_come_to_it(bundle: bytes, log: AuditLog) -> None:
    verdict = check(bundle, log.verifier)
    assert verdict.faults == []
    (seen,) = verdict.statements
    records = records_of(bundle)
    assert (seen.records, seen.run) == (len(records), 1)
    assert {(record.activity.by, record.approved_by) for record in records} == {("ann", "bo")}
    assert {"clinker", "anthracite", "diesel", "cement"} < {record.activity.subject for record in records}
    lines = [msgspec.json.decode(line) for line in files_of(bundle)[LINES].splitlines()[1:]]
    assert seen.recorded == len(lines) == seen.multiplied + seen.without_figure
    (clinker,) = [line for line in lines if line["carrier"] == "clinker"]
    assert Decimal(clinker["quantity"]) == round(Decimal(800_000) * 181 / 365, 9)


def test_the_run_has_read_the_records_and_the_command_shows_the_way_down_to_one(
    site: Path, bundle: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    with Runs(site / "data" / ACCOUNTS_NAME) as runs:
        run = runs.run(1)
    assert (run.activity_records, run.interval_series) == (len(records_of(bundle)), ())
    lines = files_of(bundle)[LINES].splitlines()
    number = next(at for at, line in enumerate(lines, start=1) if b'"carrier":"anthracite"' in line and b'"CO2"' in line)  # fmt: skip
    assert main(["verify", str(site / "report.zip"), "--trace", str(number)]) == 0
    said = capsys.readouterr().out
    assert "amounts of" in said
    assert "2025-01-01 to 2025-07-01, 54000 t = 9000 opening + 55000 purchases - 9500 closing - 500 resale" in said
    assert "evidence: weighbridge tickets and stock survey of 2025-06-30; recorded by ann, approved by bo" in said


def test_one_record_is_proven_under_the_run(site: Path, bundle: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    config = ["--config", str(site / "aggregator.toml")]
    wanted = records_of(bundle)[1]
    assert main(["runs", "prove", "--run", "1", "--record", str(wanted.activity.no), *config]) == 0
    said = msgspec.json.decode(capsys.readouterr().out)
    with Runs(site / "data" / ACCOUNTS_NAME) as runs:
        assert said["input_root"] == runs.run(1).input_root
    assert said["record"]["leaf"].encode() == wanted.leaf()
    step = Step(said["record"]["index"], said["record"]["size"], said["record"]["leaf"], tuple(said["record"]["path"]))
    assert step.root() == msgspec.json.decode(said["series"]["leaf"])["root"]
    assert main(["runs", "prove", "--run", "1", "--record", "99", *config]) == 1
    assert "expected an activity record that the run has read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        (RECORDS, b'"quantity":"800000"', b'"quantity":"700000"', "expected lines of 347123.287671233 t in all"),
        (RECORDS, b'"stock":["9000","55000"', b'"stock":["9000","50000"', "expected lines of 49000 t in all"),
        (RECORDS, b'"approved_by":"bo"', b'"approved_by":""', "expected no figure, because nobody has approved"),
        (RECORDS, b"stock survey of 2025-06-30", b"stock survey of 2025-06-29", "as record 2 version 1 has it"),
        (RECORDS, b'"by":"ann"', b'"by":"eve"', "expected the intervals and records that run 1 has read"),
        (RECORDS, b'"cao_ratio","0.645"', b'"cao_ratio","0.545"', "expected the intervals and records that run 1 has read"),
        (RECORDS, b'"unit":"t"', b'"unit":"m2"', "unit: expected one like t"),
        (RECORDS, b'"quantity":"800000"', b'"quantity":null', "expected an amount or a stock"),
        (LINES, b"record 1 version 1", b"record 1 version 2", "expected a record of the bundle"),
        (LINES, b'"unit":"t"', b'"unit":"kg"', "as record 1 version 1 has it"),
        (LINES, b'"counts":"scope1"', b'"counts":"allocated"', "expected record 1 version 1 to count as scope1, got allocated"),
        (LINES, b'"counts":"scope2"', b'"counts":"biogenic"', "to count as scope2, got biogenic"),
    ],
)  # fmt: skip
def test_a_lie_about_records_is_found_by_computing_again(
    bundle: bytes, log: AuditLog, name: str, old: bytes, new: bytes, said: str
) -> None:
    """By one who has the log's key and signs what he likes."""
    files = files_of(bundle)
    assert old in files[name]
    faults = check(signed_again(log, files | {name: files[name].replace(old, new)}), log.verifier).faults
    assert any(said in str(fault) for fault in faults), list(map(str, faults))


def test_a_record_that_is_left_out_or_comes_twice_is_found(bundle: bytes, log: AuditLog) -> None:
    files = files_of(bundle)
    rows = files[RECORDS].splitlines(keepends=True)
    for changed, said in (
        (rows[1:], "expected the intervals and records that run 1 has read"),
        ([*rows, rows[0]], "each once"),
        ([], "expected a record of the bundle"),
    ):
        faults = check(signed_again(log, files | {RECORDS: b"".join(changed)}), log.verifier).faults
        assert any(said in str(fault) for fault in faults), list(map(str, faults))
    without = {name: content for name, content in files.items() if name != RECORDS}
    assert not check(signed_again(log, without), log.verifier).holds
    line = files[LINES].splitlines(keepends=True)
    faults = check(signed_again(log, files | {LINES: b"".join(line[:-1])}), log.verifier).faults
    assert any("in all, one part of its days after the other" in str(fault) for fault in faults)


def test_random_damage_to_records_that_is_signed_again_is_named_and_never_breaks_the_verifier(
    bundle: bytes, log: AuditLog
) -> None:
    files = files_of(bundle)
    for _ in range(60):
        raw = bytearray(files[RECORDS])
        for _ in range(random.randint(1, 3)):
            raw[random.randrange(len(raw))] = random.randrange(256)
        if bytes(raw) != files[RECORDS]:
            assert not check(signed_again(log, files | {RECORDS: bytes(raw)}), log.verifier).holds


def flipped(bundle: bytes, log: AuditLog, places: list[int]) -> None:
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        spans = [
            (entry.filename, entry.header_offset + 30 + len(entry.filename), entry.file_size)
            for entry in archive.infolist()
        ]
    for at in places:
        changed = bytearray(bundle)
        changed[at] ^= 1 << random.randrange(8)
        faults = check(bytes(changed), log.verifier).faults
        name = next((name for name, start, size in spans if start <= at < start + size), "")
        assert faults, at
        assert not name or name in {fault.file for fault in faults}, (at, name, faults)


def test_one_changed_byte_of_the_records_is_found_and_named(bundle: bytes, log: AuditLog) -> None:
    start = bundle.index(files_of(bundle)[RECORDS])
    flipped(bundle, log, [start + random.randrange(len(files_of(bundle)[RECORDS])) for _ in range(20)])


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_changed_byte_of_records_and_lines_is_found_and_named(bundle: bytes, log: AuditLog) -> None:
    for name in (RECORDS, LINES, "runs/GHGP-LB.jsonl"):
        content = files_of(bundle)[name]
        start = bundle.index(content)
        flipped(bundle, log, list(range(start, start + len(content))))


def test_what_of_a_record_lies_before_an_instant_is_cut_and_at_its_end_it_is_all_of_it() -> None:
    """10 t over 4 days: 2.5 t before the second, 3.333333333 t in a third of them, 10 t at the end."""
    activity = """{"facility":"f","source":"s","kind":"fuel","subject":"diesel","activity_class":"mobile","from_day":"2025-01-01",
        "to_day":"2025-01-05","unit":"t","evidence":"e","quantity":"10"}"""
    raw = f'{{"activity":{activity},"approved_by":"bo","from_ms":0,"to_ms":345600000,"waiting":false}}'
    record = msgspec.json.decode(raw, type=Kept)
    parts = [record.activity.until(at_ms, 0, 345_600_000) for at_ms in (86_400_000, 115_200_000, 345_600_000)]
    assert parts == [Decimal("2.5"), Decimal("3.333333333"), Decimal(10)]
    assert "the instants of 2025-01-01" in record.odd()
