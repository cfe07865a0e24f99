"""Seals of periods: what they hold, when they stand, what a change does to them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from aggregator.accounts.compile import Accounts
from aggregator.accounts.record_file import ACCOUNTS_NAME, RecordsRefused
from aggregator.accounts.sealing import seals as sealed_module
from aggregator.accounts.sealing.file import Chunk, SealedFiles
from aggregator.accounts.sealing.seals import Seals
from aggregator.emissions.place import FactorOverride
from aggregator.facility import Facility, MeterSpec, Role
from aggregator.intervals.boundaries import GOOD
from aggregator.intervals.local_time import start_of_day_ms
from aggregator.ledger import IntervalRow, Ledger, LedgerError
from wattline.command import main
from wire.clock import Clock

D = Decimal
QUARTER_MS = 900_000
DAY_MS = 86_400_000
CONFIG = """
[aggregator]
store_id = "plant-1"
data_directory = "{directory}"
[mqtt]
host = "127.0.0.1"
[store]
kind = "duckdb"
[[facility]]
id = "works"
time_zone = "Asia/Kolkata"
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path / "ledger.sqlite")) as opened:
        yield opened


@pytest.fixture
def seals(tmp_path: Path) -> Iterator[Seals]:
    with Seals(tmp_path) as opened:
        yield opened


def put(ledger: Ledger, device: str, kwh: str, now_ms: int, n: int = 0) -> None:
    row = IntervalRow(
        "works", device, "energy_import_kwh", n * QUARTER_MS, (n + 1) * QUARTER_MS, D(kwh), GOOD, True, "measured"
    )
    ledger.put_intervals([row], now_ms)


def versions(seals: Seals, ledger: Ledger, as_of_ms: int) -> list[int]:
    return [seal.version for seal in seals.standing(ledger, "works", 0, DAY_MS, as_of_ms)]


def test_a_seal_stands_until_the_first_change_and_the_next_one_from_its_own_time(ledger: Ledger, seals: Seals) -> None:
    put(ledger, "incomer", "1.50", DAY_MS + 10)
    first = seals.seal(ledger, "works", 0, DAY_MS, DAY_MS + 20, "Li Wei")
    assert versions(seals, ledger, DAY_MS + 19) == []
    assert versions(seals, ledger, DAY_MS + 99) == [1]
    put(ledger, "incomer", "1.75", DAY_MS + 30)
    put(ledger, "incomer", "1.80", DAY_MS + 40)
    assert versions(seals, ledger, DAY_MS + 29) == [1]
    assert versions(seals, ledger, DAY_MS + 30) == []
    assert versions(seals, ledger, DAY_MS + 99) == []
    second = seals.seal(ledger, "works", 0, DAY_MS, DAY_MS + 50, "Li Wei")
    assert (second.version, second.changed_ms) == (2, DAY_MS + 30)
    assert versions(seals, ledger, DAY_MS + 29) == [1]
    assert versions(seals, ledger, DAY_MS + 45) == []
    assert versions(seals, ledger, DAY_MS + 50) == [2]
    kept = [seals.chunk(seal, "incomer", "energy_import_kwh") for seal in (first, second)]
    assert [chunk.energy_kwh(0) for chunk in kept if chunk] == [D("1.50"), D("1.80")]
    assert seals.all("works") == [first, second]


def test_a_span_beside_the_sealed_periods_has_no_seal(ledger: Ledger, seals: Seals, tmp_path: Path) -> None:
    put(ledger, "incomer", "1.50", DAY_MS + 10)
    seals.seal(ledger, "works", 0, DAY_MS, DAY_MS + 20, "Li Wei")
    assert seals.standing(ledger, "works", 5 * DAY_MS, 6 * DAY_MS, 9 * DAY_MS) == []
    accounts = Accounts(ledger, [Facility("works", "UTC", meters=())], tmp_path, lambda: 9 * DAY_MS)
    assert accounts.statement("works", "GHGP-LB", 5 * DAY_MS, 6 * DAY_MS).lines == ()


def test_a_seal_does_not_stand_for_intervals_that_were_withdrawn(ledger: Ledger, seals: Seals) -> None:
    put(ledger, "incomer", "1.50", DAY_MS)
    seals.seal(ledger, "works", 0, DAY_MS, DAY_MS + 20, "Li Wei")
    ledger.withdraw_intervals("works", "incomer", "energy_import_kwh", 0, DAY_MS + 30)
    assert (versions(seals, ledger, DAY_MS + 29), versions(seals, ledger, DAY_MS + 30)) == ([1], [])
    row = IntervalRow(
        "works", "incomer", "energy_import_kwh", DAY_MS, DAY_MS + QUARTER_MS, D(1), GOOD, False, "measured"
    )
    ledger.put_intervals([row], 2 * DAY_MS)
    seal = seals.seal(ledger, "works", DAY_MS, 2 * DAY_MS, 2 * DAY_MS + 20, "Li Wei")
    ledger.withdraw_intervals("works", "incomer", "energy_import_kwh", DAY_MS, 2 * DAY_MS + 30)
    assert seal.first_change_ms(ledger) == 2 * DAY_MS + 30


def test_many_meters_take_several_files(ledger: Ledger, seals: Seals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed_module, "MAX_ROWS", 4)
    for meter in range(5):
        for n in range(3):
            put(ledger, f"meter-{meter}", f"{meter}.{n}", DAY_MS, n)
    seal = seals.seal(ledger, "works", 0, DAY_MS, DAY_MS + 1, "Li Wei")
    assert ([file.rows for file in seal.files], seal.rows) == ([3] * 5, 15)
    for meter in range(5):
        chunk = seals.chunk(seal, f"meter-{meter}", "energy_import_kwh")
        assert chunk is not None
        assert [str(chunk.energy_kwh(row)) for row in range(3)] == [f"{meter}.{n}" for n in range(3)]
    assert seals.chunk(seal, "meter-9", "energy_import_kwh") is None
    assert seals.chunk(seal, "meter-1", "energy_export_kwh") is None
    seals.check(seal)


def test_what_cannot_be_sealed_is_refused_with_the_reason(ledger: Ledger, seals: Seals) -> None:
    with pytest.raises(RecordsRefused, match="there are none from 1970-01-01T00:00Z to 1970-01-02T00:00Z"):
        seals.seal(ledger, "works", 0, DAY_MS, DAY_MS, "Li Wei")
    put(ledger, "incomer", "1.5", 10)
    with pytest.raises(RecordsRefused, match="it lasts until 1970-01-02T00:00Z, now is 1970-01-01T23:59:59"):
        seals.seal(ledger, "works", 0, DAY_MS, DAY_MS - 1, "Li Wei")
    seals.seal(ledger, "works", 0, DAY_MS, DAY_MS, "Li Wei")
    with pytest.raises(RecordsRefused, match="expected a change since version 1"):
        seals.seal(ledger, "works", 0, DAY_MS, DAY_MS + 1, "Li Wei")
    with pytest.raises(RecordsRefused, match="overlaps"):
        seals.seal(ledger, "works", QUARTER_MS, 2 * DAY_MS, 3 * DAY_MS, "Li Wei")


def test_seals_are_never_edited_nor_deleted(ledger: Ledger, seals: Seals, tmp_path: Path) -> None:
    put(ledger, "incomer", "1.5", 10)
    seal = seals.seal(ledger, "works", 0, DAY_MS, DAY_MS, "Li Wei")
    path = seals.directory / seal.files[0].name
    assert path.stat().st_mode & 0o222 == 0
    with closing(sqlite3.connect(tmp_path / ACCOUNTS_NAME)) as db:
        for statement in (
            "UPDATE seal SET sha256 = ''",
            "DELETE FROM seal",
            "UPDATE sealed_file SET name = ''",
            "DELETE FROM sealed_file",
        ):
            with pytest.raises(sqlite3.IntegrityError):
                db.execute(statement)


def test_a_statement_of_sealed_and_open_months_has_the_bytes_of_the_unsealed_one(
    ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """December and January of a factory in Kolkata (half an hour off), two meters; January is sealed, then corrected, then spoilt."""
    zone = ZoneInfo("Asia/Kolkata")
    begin_ms, seal_ms, now_ms = (
        start_of_day_ms(date(*day), zone) for day in ((2025, 12, 30), (2026, 1, 1), (2026, 2, 2))
    )
    for device, step in (("incomer", 7), ("second", 11)):
        rows = [
            IntervalRow(
                "works",
                device,
                "energy_import_kwh",
                at_ms,
                at_ms + QUARTER_MS,
                D(at_ms // QUARTER_MS * step % 9973) / 100,
                GOOD,
                True,
                "measured",
            )
            for at_ms in range(begin_ms, now_ms, QUARTER_MS)
        ]
        ledger.put_intervals(rows, now_ms - 10)
    config = tmp_path / "aggregator.toml"
    config.write_text(CONFIG.format(directory=tmp_path), encoding="utf-8")
    factor = FactorOverride(D("0.7117"), "a supplier's statement")
    meters = (MeterSpec("second", "gw", D(100), Role.MAIN), MeterSpec("incomer", "gw", D(100), Role.MAIN))
    facility = Facility("works", "Asia/Kolkata", meters=meters, overrides=(factor,))
    accounts = Accounts(ledger, [facility], tmp_path, lambda: now_ms + 100)
    monkeypatch.setattr(Clock, "from_environment", lambda: lambda: now_ms)
    unsealed = accounts.statement("works", "OPS", begin_ms, now_ms)
    assert unsealed.complete
    by_profile = {name: accounts.statement("works", name, begin_ms, now_ms) for name in ("GHGP-MB", "GHGP-MB-HOURLY")}
    assert all(made.coverage.expected == sum(line.intervals for line in made.lines) for made in by_profile.values())
    seal = ["seal", "--config", str(config)]
    assert main([*seal, "--month", "2026-01"]) == 2
    assert main([*seal, "--month", "2026-01", "--by", "Li Wei"]) == 0
    assert (
        "version 1: 5952 interval energies in 1 file," in capsys.readouterr().out
    )  # 31 days, 96 quarter hours, 2 meters
    sealed = accounts.statement("works", "OPS", begin_ms, now_ms)
    assert sealed.encoded() == unsealed.encoded()
    for name, made in by_profile.items():
        assert accounts.statement("works", name, begin_ms, now_ms).encoded() == made.encoded()
    row = IntervalRow(
        "works", "second", "energy_import_kwh", seal_ms, seal_ms + QUARTER_MS, D("1.5"), GOOD, True, "measured"
    )
    ledger.put_intervals([row], now_ms + 50)
    assert accounts.statement("works", "OPS", begin_ms, now_ms, now_ms + 49).lines == unsealed.lines
    assert accounts.statement("works", "OPS", begin_ms, now_ms).kg() != unsealed.kg()
    (path,) = (tmp_path / "sealed" / "works").iterdir()
    assert main([*seal, "--check"]) == 0
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])
    assert main([*seal, "--check"]) == 1
    assert f"{path}: expected SHA-256" in capsys.readouterr().err
    with pytest.raises(LedgerError, match="expected SHA-256"):
        accounts.statement("works", "OPS", begin_ms, now_ms, now_ms + 49)
    monkeypatch.setattr(Clock, "from_environment", lambda: lambda: now_ms + 99)
    again = [*seal, "--month", "2026-01", "--by", "Li Wei", "--reason", "the disk lost a byte"]
    assert main(again) == 0
    assert "version 1: 5952" in (told := capsys.readouterr().out)
    assert "given up: the disk lost a byte (Li Wei)" in told
    assert "version 2: 5952" in told
    assert main([*seal, "--check"]) == 0
    assert accounts.statement("works", "OPS", begin_ms, now_ms, now_ms + 49).lines == unsealed.lines


def test_a_month_whose_file_is_lost_is_sealed_again_from_the_ledger_with_the_reason(
    ledger: Ledger, seals: Seals, tmp_path: Path
) -> None:
    put(ledger, "incomer", "1.50", DAY_MS + 10)
    first = seals.seal(ledger, "works", 0, DAY_MS, DAY_MS + 20, "Li Wei")
    month = (0, DAY_MS)
    assert seals.give_up("works", *month, DAY_MS + 25, "Li Wei", "all is well") == []
    (tmp_path / "sealed" / first.files[0].name).unlink()
    with Seals(tmp_path) as later:
        with pytest.raises(RecordsRefused, match=r"expected a change since version 1.*parquet.*say why with --reason"):
            later.seal(ledger, "works", *month, DAY_MS + 30, "Li Wei")
        with pytest.raises(RecordsRefused, match="expected why files are given up"):
            later.give_up("works", *month, DAY_MS + 30, "Li Wei", " ")
        assert later.give_up("works", *month, DAY_MS + 30, "Li Wei", "a disk failed") == [first]
        assert later.all("works")[0].given_up == "a disk failed (Li Wei)"
        assert versions(later, ledger, DAY_MS + 99) == []
        second = later.seal(ledger, "works", *month, DAY_MS + 40, "Li Wei")
        assert (second.version, second.sha256) == (2, first.sha256)
        assert [versions(later, ledger, DAY_MS + at) for at in (39, 40)] == [[], [2]]
        put(ledger, "incomer", "1.75", DAY_MS + 50)
        later.seal(ledger, "works", *month, DAY_MS + 60, "Li Wei")
        assert [versions(later, ledger, DAY_MS + at) for at in (30, 49, 55, 60)] == [[], [2], [], [3]]


def test_a_statement_over_several_seals_reads_each_file_once(
    ledger: Ledger, seals: Seals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for device in ("incomer", "second", "third"):
        for day in range(3):
            put(ledger, device, "1.50", 1, day * 96)
    for day in range(2):
        seals.seal(ledger, "works", day * DAY_MS, (day + 1) * DAY_MS, 3 * DAY_MS, "Li Wei")
    read: list[Path] = []
    plainly = SealedFiles._read

    def noting(files: SealedFiles, path: Path) -> Iterator[Chunk]:
        read.append(path)
        return plainly(files, path)

    monkeypatch.setattr(SealedFiles, "_read", noting)
    meters = tuple(MeterSpec(device, "gw", D(100), Role.MAIN) for device in ("third", "incomer", "second"))
    accounts = Accounts(ledger, [Facility("works", "UTC", meters=meters)], tmp_path, lambda: 3 * DAY_MS)
    made = accounts.statement("works", "OPS", 0, 3 * DAY_MS)
    assert (sum(line.intervals for line in made.lines), len(read)) == (9, 2)
