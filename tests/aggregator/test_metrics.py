"""What a Prometheus server reads: a format that its own parser takes, and figures that are the plant's."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from live_plant import START_MS, LivePlant
from prometheus_client.parser import text_string_to_metric_families

from aggregator.ingest_figures import IngestFigures
from aggregator.metrics import exposition


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[LivePlant]:
    made = LivePlant(tmp_path)
    made.announce()
    yield made
    made.close()


def figures(plant: LivePlant) -> dict[tuple[str, ...], float]:
    """(name, label values in the order of their labels...) -> value."""
    families = text_string_to_metric_families(exposition(plant.services).decode())
    return {
        (sample.name, *(text for _, text in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_devices_are_counted_by_state(plant: LivePlant) -> None:
    plant.run_to(START_MS + 5_000)
    plant.silent = {"offices"}
    plant.run_to(START_MS + 60_000)
    found = figures(plant)
    assert found["wattline_devices", "works", "online"] == 5
    assert found["wattline_devices", "works", "offline"] == 1
    assert found["wattline_devices", "works", "late"] == 0


def test_edges_show_backlog_and_watermark(plant: LivePlant) -> None:
    plant.live.delivery(
        [
            replace(plant.edges["gw-01"], backlog=17, gaps=3, clock_skew_ms=-1250),
            replace(plant.edges["gw-02"], online=False),
        ]
    )
    found = figures(plant)
    assert found["wattline_edge_backlog_batches", "gw-01", "works"] == 17
    assert found["wattline_edge_gaps", "gw-01", "works"] == 3
    assert found["wattline_edge_watermark", "gw-01", "works"] == 4711
    assert found["wattline_edge_online", "gw-01", "works"] == 1
    assert found["wattline_edge_online", "gw-02", "works"] == 0
    assert found["wattline_edge_clock_skew_seconds", "gw-01", "works"] == -1.25
    assert ("wattline_edge_clock_skew_seconds", "gw-02", "works") not in found


def test_open_alarms_are_counted_by_priority(plant: LivePlant) -> None:
    plant.alarms.raise_alarm("works", "device_offline", "offices")
    assert figures(plant)["wattline_alarms_open", "works", "2"] == 1
    assert figures(plant)["wattline_alarms_open", "works", "1"] == 0


def test_readiness_is_a_figure_per_part(plant: LivePlant) -> None:
    plant.not_ready["mqtt"] = "not connected"
    found = figures(plant)
    assert found["wattline_ready", "store"] == 1
    assert found["wattline_ready", "mqtt"] == 0


def test_what_ingest_counts_is_shown(plant: LivePlant) -> None:
    ingest = IngestFigures(
        batches=10, repeated=2, readings=2000, new_rows=1800, commits=5, overflowed=0, unreadable=1, forged=1, refused=3,
        held=4, conflicts=1, left_out={"not_finite": 6}, waiting=7, lateness_p50_ms=250.0, lateness_p95_ms=900.0, edges=(),
    )  # fmt: skip
    object.__setattr__(plant.services, "figures", lambda: ingest)
    found = figures(plant)
    assert found[("wattline_readings_total",)] == 2000
    assert found[("wattline_readings_new_total",)] == 1800
    assert found[("wattline_batches_refused_total",)] == 3
    assert found["wattline_readings_left_out_total", "not_finite"] == 6
    assert found[("wattline_batches_waiting",)] == 7
    assert found["wattline_lateness_seconds", "0.95"] == 0.9
