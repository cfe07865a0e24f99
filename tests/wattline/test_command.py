"""The command line where an extra is not installed: it says which one. Not the words' own work."""

import subprocess
import sys

import pytest

WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(sys.argv[1].split(",")))  # None: as if it were not installed
from wattline.command import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("missing", "words", "package", "extra"),
    [
        ("uvicorn", ["aggregator", "run", "aggregator.toml"], "uvicorn", "aggregator"),
        ("numpy,duckdb", ["import", "x.csv", "--config", "a.toml", "--facility", "f", "--device", "d"], "numpy", "aggregator"),
        ("numpy,duckdb", ["demo", "--no-browser"], "numpy", "aggregator"),
    ],
    ids=["aggregator", "import", "demo"],
)  # fmt: skip
def test_a_word_whose_extra_is_not_installed_names_it(missing: str, words: list[str], package: str, extra: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, missing, *words], capture_output=True, text=True, timeout=60, check=False
    )
    said = f"wattline: expected the package {package}, it is not installed: pip install 'wattline[{extra}]'\n"
    assert (done.returncode, done.stderr) == (2, said)
