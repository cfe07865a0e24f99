"""Commands that only read refuse a data directory that does not exist, by its name, and make none."""

from pathlib import Path

import pytest

from wattline.command import main

CONFIG = """
[aggregator]
store_id = "plant-1"
data_directory = "dtaa"
[[facility]]
id = "works"
time_zone = "Asia/Shanghai"
"""
SPAN = ("--from", "2026-01-01", "--to", "2026-02-01")


@pytest.mark.parametrize(
    "words",
    [
        ("statement", *SPAN), ("tree", *SPAN), ("gaps", *SPAN), ("late",), ("runs", "list"), ("seal", "--list"), ("challenges",),
        ("samples", "list"), ("footprint",), ("report", *SPAN, "--out", "report.html"), ("lineage", "line", *SPAN),
        ("readings", "list", "--facility", "works", *SPAN), ("activities", "list", "--facility", "works"), ("factors", "show"),
        ("factors", "which", "electricity"), ("factors", "market", *SPAN, "--kwh", "1"), ("factors", "instruments", "show"),
        ("factors", "instruments", "retire", "gec-1", "--facility", "works", "--by", "Ann"), ("factors", "sinks", "show"),
        ("factors", "notice", "show"), ("factors", "approve", "elec.own", "--by", "Ann", "--reason", "read"),
    ],
    ids=lambda words: " ".join(words[:3]),
)  # fmt: skip
def test_a_misspelt_data_directory_is_named_and_not_made(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "aggregator.toml"
    config.write_text(CONFIG, encoding="utf-8")
    assert main([*words, "--config", str(config)]) == 2
    assert (
        f"aggregator.data_directory: expected a directory with data, got {tmp_path / 'dtaa'}" in capsys.readouterr().err
    )
    assert not (tmp_path / "dtaa").exists()
