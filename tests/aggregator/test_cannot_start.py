"""An aggregator that cannot start says why in one line. Not the faults of its settings (`test_settings`)."""

import os
import socket
from pathlib import Path

import pytest

from aggregator.run import Aggregator, CannotStart
from aggregator.settings import load
from wire.clock import Clock

SETTINGS = """
[aggregator]
data_directory = "data"
[mqtt]
host = "127.0.0.1"
plain = true
[store]
kind = "influxdb"
url = "http://127.0.0.1:{port}"
dialect = "v1"
[[facility]]
id = "works"
time_zone = "UTC"
place = "CN-JS"
"""


def test_a_store_that_is_not_there_is_said_without_a_traceback(tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound and not listening: a connection is refused
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        file = tmp_path / "aggregator.toml"
        file.write_text(SETTINGS.format(port=port))
        with pytest.raises(CannotStart, match=f"influxdb http://127.0.0.1:{port}: .*refused"):
            Aggregator(load(file, os.environ), Clock())
