"""What only InfluxDB does: line protocol through real servers, refused lines, servers that die, the dialect of 2.x."""

import json
import math
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregator.stores import influx_store as module
from aggregator.stores.influx_http import BodyTooLarge, Http, LinesRefused, Server, judge
from aggregator.stores.influx_store import InfluxStore
from aggregator.stores.line_protocol import BYTES_PER_BODY, LINES_PER_BODY, LineWriter, escaped
from aggregator.stores.series_table import SeriesTable
from aggregator.stores.store import CommittedBatch, Rows, SeriesKey, Spool, StoreRefused, StoreUnavailable

T0 = 1_760_000_000_000
SPOOL = Spool("works", "gw-01", "e1")
POWER = SeriesKey("works", "gw-01", "incomer", "active_power_kw")


def key(device: str, quantity: str = "active_power_kw", facility: str = "works") -> SeriesKey:
    return SeriesKey(facility, "gw-01", device, quantity)


def rows_of(table: SeriesTable | InfluxStore, *rows: tuple[SeriesKey, int, float, int, int]) -> Rows:
    return Rows(
        table.ids([row[0] for row in rows]),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.float64),
        np.array([row[3] for row in rows], np.uint8),
        np.array([row[4] for row in rows], np.uint8),
    )


def batch(seq: int) -> CommittedBatch:
    return CommittedBatch("works", "gw-01", "e1", seq, bytes([seq]) * 32, T0, T0, 1)


def lines(*rows: tuple[SeriesKey, int, float, int, int]) -> list[str]:
    table = SeriesTable()
    return [
        line for body, _ in LineWriter(table.keys).bodies(rows_of(table, *rows)) for line in body.decode().splitlines()
    ]


@pytest.fixture
def store(influxd: Any, database: str, tmp_path: Path) -> Iterator[InfluxStore]:
    made = InfluxStore(Server(influxd.url, database), tmp_path / "ledger.sqlite")
    yield made
    made.close()


# --- the lines themselves


def test_one_line_holds_all_quantities_of_a_device_at_an_instant() -> None:
    given_rows = [
        (POWER, T0, 1.5, 0, 0),
        (key("pv"), T0, -2.0, 0, 0),
        (key("incomer", "voltage_v"), T0, 230.1, 0, 0),
        (POWER, T0 + 1, 3.0, 0, 0),
    ]
    assert lines(*given_rows) == [
        f"electricity,device=incomer,edge=gw-01,facility=works active_power_kw=1.5,voltage_v=230.1 {T0}",
        f"electricity,device=incomer,edge=gw-01,facility=works active_power_kw=3.0 {T0 + 1}",
        f"electricity,device=pv,edge=gw-01,facility=works active_power_kw=-2.0 {T0}",
    ]


def test_quality_is_a_field_only_where_it_says_something() -> None:
    volts = key("incomer", "voltage_v")
    assert lines((POWER, T0, 1.0, 1, 8), (volts, T0, math.nan, 2, 3)) == [
        f"electricity,device=incomer,edge=gw-01,facility=works active_power_kw=1.0,active_power_kw_quality=1008.0,voltage_v_quality=2003.0 {T0}"
    ]
    assert lines((POWER, T0, math.nan, 0, 0))[0].split(" ")[1] == "active_power_kw_quality=0.0"


def test_carriers_are_measurements() -> None:
    quantities = ("gas_volume_m3", "state_of_charge_percent", "outdoor_temperature_degc", "not_in_the_table")
    heads = [line.split(",")[0] for line in lines(*[(key("d", quantity), T0, 1.0, 0, 0) for quantity in quantities])]
    assert sorted(heads) == [
        "device",
        "gas",
        "weather",
    ]  # what is not in the table lies with the device's own quantities


def test_long_commits_are_split_at_lines_and_at_bytes() -> None:
    table = SeriesTable()
    ids = table.ids([key(f"d{n}") for n in range(LINES_PER_BODY + 1)])
    codes = np.zeros(len(ids), np.uint8)
    narrow = list(LineWriter(table.keys).bodies(Rows(ids, np.full(len(ids), T0), ids * 1.0, codes, codes)))
    assert [len(counts) for _, counts in narrow] == [LINES_PER_BODY, 1]
    table = SeriesTable()
    ids = table.ids([key(f"d{n}" + "x" * 2_500) for n in range(4_500)])
    codes = np.zeros(len(ids), np.uint8)
    wide = list(LineWriter(table.keys).bodies(Rows(ids, np.full(len(ids), T0), ids * 1.0, codes, codes)))
    assert len(wide) == 2
    assert all(len(body) <= BYTES_PER_BODY and body.count(b"\n") == len(counts) for body, counts in wide)
    assert sum(len(counts) for _, counts in wide) == 4_500


@pytest.mark.parametrize("name", ["", "a\nb", "ends\\", "a\\,b", "a\\ b", "a\\=b", "a\\\\b", "\x7f"])
def test_names_that_line_protocol_cannot_carry_are_refused(name: str) -> None:
    with pytest.raises(StoreRefused, match="line protocol"):
        escaped(name)


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12)
EXACT = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(NAMES | st.text(" ,=\\'\"", min_size=1, max_size=5), EXACT, min_size=1, max_size=12))
def test_any_name_and_any_float_make_the_round_trip_through_the_server(
    store: InfluxStore, values: dict[str, float]
) -> None:
    kept = {}
    for name, value in values.items():
        try:
            escaped(name)
        except StoreRefused:
            continue
        kept[key(name)] = value
    store.commit(rows_of(store, *[(one, T0, value, 0, 0) for one, value in kept.items()]), [])
    for one, value in kept.items():
        columns = store.history(one, T0, T0 + 1)
        assert columns.value.tolist() == [value]
        other = rows_of(store, (one, T0, 0.0, 0, 0))
        store.commit(other, [])  # the next example may use the same name


# --- answers of servers

SERVER = Server("http://127.0.0.1:1", "db", timeout_s=1)


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (204, "", None),
        (400, "partial write: points beyond retention policy dropped=2", None),
        (422, "dropped 3 points outside retention policy of duration 1h", None),
        (400, "unable to parse 'x'", LinesRefused),
        (413, "request entity too large", BodyTooLarge),
        (401, "unauthorized", StoreUnavailable),
        (404, "bucket not found", StoreUnavailable),
        (429, "slow down", StoreUnavailable),
        (500, "engine: disk full", StoreUnavailable),
        (503, "", StoreUnavailable),
    ],
)
def test_each_status_says_what_to_do(status: int, message: str, error: type[Exception] | None) -> None:
    if error is None:
        judge(SERVER, status, message)
    else:
        with pytest.raises(error, match=str(status)):
            judge(SERVER, status, message)


@pytest.mark.parametrize("dialect", ["v1", "v2"])
def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path, dialect: Any) -> None:
    store = InfluxStore(Server("http://127.0.0.1:9", "db", dialect, timeout_s=1), tmp_path / "ledger.sqlite")
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:9"):
        store.commit(rows_of(store, (POWER, T0, 1.0, 0, 0)), [batch(1)])
    with pytest.raises(StoreUnavailable):
        store.history(POWER, 0, T0)
    assert store.committed(SPOOL) == []  # the ledger follows the write
    store.close()


def test_a_line_the_server_refuses_is_named_and_its_neighbours_are_kept(
    store: InfluxStore, influxd: Any, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    http = Http(Server(influxd.url, database))
    http.query([f'CREATE DATABASE "{database}"'])
    http.write(b"electricity,device=pv,edge=gw-01,facility=works voltage_v=230i %d\n" % T0)  # somebody else's integer
    devices = [key(f"d{n}") for n in range(20)]
    spoilt = (key("pv", "voltage_v"), T0 + 1, 231.5, 0, 0)
    assert store.commit(rows_of(store, *[(one, T0, 5.0, 0, 0) for one in devices], spoilt), [batch(1)]) == 20
    assert [store.history(one, T0, T0 + 1).value.tolist() for one in devices] == [[5.0]] * 20
    assert store.refused_lines == 1
    assert "voltage_v=231.5" in caplog.text
    assert "type" in caplog.text
    assert len(store.committed(SPOOL)) == 1
    http.close()


def test_a_database_that_refuses_everything_holds_the_commit(store: InfluxStore, influxd: Any, database: str) -> None:
    http = Http(Server(influxd.url, database))
    http.query([f'CREATE DATABASE "{database}"'])
    http.write(b"electricity,device=pv,edge=gw-01,facility=works active_power_kw=1i %d\n" % T0)
    many = [(key(f"d{n}"), T0, 5.0, 0, 0) for n in range(module.REFUSED_LINES_PER_COMMIT + 10)]
    with pytest.raises(StoreUnavailable, match="more than 32 lines"):
        store.commit(rows_of(store, *many), [batch(1)])
    assert store.committed(SPOOL) == []
    http.close()


def test_a_killed_server_keeps_what_was_committed_and_takes_more_when_it_is_back(
    own_influxd: Any, tmp_path: Path
) -> None:
    store = InfluxStore(Server(own_influxd.url, "plant", timeout_s=5), tmp_path / "ledger.sqlite")
    for step in range(5):
        store.commit(rows_of(store, (POWER, T0 + step, float(step), 0, 0)), [batch(step + 1)])
    own_influxd.kill()
    last = rows_of(store, (POWER, T0 + 5, 5.0, 0, 0))
    with pytest.raises(StoreUnavailable):
        store.commit(last, [batch(6)])
    own_influxd.start()
    assert store.commit(last, [batch(6)]) == 1
    assert store.history(POWER, T0, T0 + 10).value.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert [(first, last) for first, last, _ in store.committed(SPOOL)] == [(1, 6)]
    store.close()


def test_a_replay_after_a_lost_ledger_changes_nothing(influxd: Any, database: str, tmp_path: Path) -> None:
    for ledger in ("first.sqlite", "second.sqlite"):
        store = InfluxStore(Server(influxd.url, database), tmp_path / ledger)
        store.commit(rows_of(store, (POWER, T0, 1.0, 0, 0), (POWER, T0 + 1, 2.0, 1, 1)), [batch(1)])
        assert store.history(POWER, 0, 2 * T0).value.tolist() == [1.0, 2.0]
        store.close()


def test_history_beyond_the_years_of_the_server_is_not_an_error(store: InfluxStore) -> None:
    store.commit(rows_of(store, (POWER, T0, 1.0, 0, 0)), [])
    assert store.history(POWER, -(2**62), 2**62).value.tolist() == [1.0]


# --- the dialect of 2.x, against VictoriaMetrics, which takes writes and answers no InfluxQL


def exported(url: str, facility: str) -> dict[tuple[str, str], dict[int, float]]:
    """What VictoriaMetrics holds of a facility: (device, field) -> instant -> value."""
    query = urllib.parse.urlencode({"match[]": f'{{facility="{facility}"}}', "reduce_mem_usage": "1"})
    found: dict[tuple[str, str], dict[int, float]] = {}
    urllib.request.urlopen(f"{url}/internal/force_flush", timeout=10).close()  # else it shows them after some seconds
    with urllib.request.urlopen(f"{url}/api/v1/export?{query}", timeout=10) as answer:
        for line in answer:
            one = json.loads(line)
            points = dict(zip(one["timestamps"], one["values"], strict=True))
            found.setdefault((one["metric"]["device"], one["metric"]["__name__"]), {}).update(points)
    return found


def test_the_dialect_of_2_writes_what_the_server_then_exports(victoria_metrics: Any, tmp_path: Path) -> None:
    server = Server(victoria_metrics.url, "bucket", "v2", token="t", org="o")
    store = InfluxStore(server, tmp_path / "ledger.sqlite", durable_after_s=12.0)
    now = time.time_ns() // 1_000_000 // 1000 * 1000 - 60_000
    rows = [(key("总表 1", facility="vm"), now + i, i / 10, 0, 0) for i in range(50)]
    rows += [(key("pv", "voltage_v", "vm"), now, math.nan, 2, 3)]
    assert store.commit(rows_of(store, *rows), [batch(1)]) == 51
    store.commit(rows_of(store, *rows), [batch(1)])
    expected = {
        ("总表 1", "electricity_active_power_kw"): {now + i: i / 10 for i in range(50)},
        ("pv", "electricity_voltage_v_quality"): {now: 2003.0},
    }
    deadline = time.monotonic() + 20
    while (found := exported(victoria_metrics.url, "vm")) != expected and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found == expected
    assert store.durable_after_s == 12.0
    assert [(first, last) for first, last, _ in store.committed(SPOOL)] == [(1, 1)]
    store.close()
