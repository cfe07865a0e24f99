"""What commands say of files that are not there, that are something else, and of an aggregator that does not answer."""

import socket
from pathlib import Path

import pytest

from wattline.command import main
from wattline.plurals import are, counted

SETTINGS = """
[aggregator]
data_directory = "data"
[[facility]]
id = "works"
time_zone = "Asia/Shanghai"
place = "CN"
"""


@pytest.fixture
def where(tmp_path: Path) -> list[str]:
    (tmp_path / "aggregator.toml").write_text(SETTINGS, encoding="utf-8")
    (tmp_path / "data").mkdir()
    return ["--config", str(tmp_path / "aggregator.toml"), "--facility", "works"]


def test_a_file_that_is_not_there_is_named_with_the_word(
    where: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    none = str(tmp_path / "none")
    span = ["--from", "2026-01-01", "--to", "2026-01-02", "--format", "json"]
    for words, name in (
        (["verify", none], "verify"),
        (["plan", "solve", none], "plan"),
        (["report", *where, *span, "--out", f"{none}/x.json"], "report"),
        (["bill", "check", none, *where], "bill"),
        (["activities", "import", none, *where, "--by", "ann"], "activities"),
    ):
        assert main(words) > 0
        said = capsys.readouterr().err
        assert said.startswith(f"wattline {name}: {none}")
        assert "expected a file that can be opened, got: No such file or directory" in said


def test_the_columns_that_an_empty_file_lacks_are_told_once(
    where: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "empty.csv"
    file.write_text("")
    assert main(["bill", "check", str(file), *where]) == 1
    said = "wattline bill: empty.csv: expected the columns meter, from, to, kwh, got an empty file\n"
    assert capsys.readouterr().err == said
    file.write_text("meter,kwh\n")
    assert main(["bill", "check", str(file), *where]) == 1
    assert "the columns meter, from, to, kwh; from, to are missing, got 'meter', 'kwh'" in capsys.readouterr().err


def test_a_file_that_is_no_bundle_is_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.zip").write_text("text")
    assert main(["verify", str(tmp_path / "x.zip")]) == 1
    shown = capsys.readouterr().out
    assert "CHANGED (the zip file): expected a zip file, got File is not a zip file\n1 fault: this is not" in shown


def test_an_aggregator_that_does_not_answer_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as listening:  # bound, not listening: nobody answers there
        listening.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        file = tmp_path / "energy.csv"
        file.write_text("time,energy_kwh\n")
        for words in (
            ["readings", "list", "--url", url, "--facility", "works"],
            ["import", str(file), "--url", url, "--facility", "works", "--device", "incomer"],
        ):
            assert main(words) == 1
            said = f"wattline {words[0]}: {url}: expected an aggregator that answers, got: "
            assert capsys.readouterr().err.startswith(said)


def test_one_thing_is_singular() -> None:
    assert [counted(number, "line") for number in (0, 1, 2)] == ["0 lines", "1 line", "2 lines"]
    assert [are(number) for number in (0, 1, 2)] == ["are", "is", "are"]
