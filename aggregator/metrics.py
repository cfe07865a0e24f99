"""Counts and states in Prometheus' text format, collected when asked. Not a registry that other parts write to."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from aggregator.routes.edges import current
from aggregator.services import Services

_DEVICE_STATES = ("online", "late", "offline")


def exposition(given: Services) -> bytes:
    """The text that a Prometheus server reads."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Present(given))
    return generate_latest(registry)


class _Present(Collector):
    def __init__(self, given: Services) -> None:
        self._given = given

    def collect(self) -> Iterator[Metric]:
        yield from self._ingest()
        yield from self._edges()
        yield from self._plants()
        yield from self._feed()
        yield from self._log()
        yield from self._plans()

    def _ingest(self) -> Iterator[Metric]:
        figures = self._given.figures()
        if figures is not None:
            for name, value, text in (
                ("readings", figures.readings, "Readings in batches that were committed"),
                ("readings_new", figures.new_rows, "Readings that the store had not known"),
                ("batches", figures.batches, "Batches committed"),
                ("batches_repeated", figures.repeated, "Batches that came again"),
                ("batches_refused", figures.refused, "Batches refused for ever"),
                ("batches_held", figures.held, "Batches to be sent again later"),
                ("batches_forged", figures.forged, "Batches with a signature that is not the edge's"),
                ("batches_unreadable", figures.unreadable, "Batches that are not what the contract says"),
                ("batch_conflicts", figures.conflicts, "Batch numbers that came with two contents"),
                ("commits", figures.commits, "Commits of the store"),
            ):
                yield CounterMetricFamily(f"wattline_{name}", text, value=value)
            left_out = CounterMetricFamily(
                "wattline_readings_left_out", "Readings left out, by cause", labels=["cause"]
            )
            for cause, count in figures.left_out.items():
                left_out.add_metric([cause], count)
            yield left_out
            yield GaugeMetricFamily("wattline_batches_waiting", "Batches that wait for a commit", value=figures.waiting)
            lateness = GaugeMetricFamily(
                "wattline_lateness_seconds", "From answer of the device to commit", labels=["quantile"]
            )
            for quantile, late_ms in (("0.5", figures.lateness_p50_ms), ("0.95", figures.lateness_p95_ms)):
                if late_ms is not None:
                    lateness.add_metric([quantile], late_ms / 1000)
            yield lateness
        ready = GaugeMetricFamily("wattline_ready", "1 where a part can work", labels=["part"])
        for part, reason in self._given.ready().items():
            ready.add_metric([part], reason is None)
        yield ready

    def _edges(self) -> Iterator[Metric]:
        labels = ["facility", "edge"]
        up = GaugeMetricFamily("wattline_edge_online", "1 while the edge is connected", labels=labels)
        backlog = GaugeMetricFamily("wattline_edge_backlog_batches", "Batches that the edge still holds", labels=labels)
        watermark = GaugeMetricFamily(
            "wattline_edge_watermark", "Everything up to this batch arrived or is a named gap", labels=labels
        )
        gaps = GaugeMetricFamily("wattline_edge_gaps", "Named gaps of this edge", labels=labels)
        skew = GaugeMetricFamily(
            "wattline_edge_clock_skew_seconds",
            "From sealing to arrival by both clocks, the quickest of the last batches",
            labels=labels,
        )
        for facility in self._given.facilities:
            for edge, state in current(self._given, facility).items():
                up.add_metric([facility, edge], bool(state.online))
                gaps.add_metric([facility, edge], state.gaps)
                watermark.add_metric([facility, edge], state.watermark)
                if state.backlog is not None:
                    backlog.add_metric([facility, edge], state.backlog)
                if state.clock_skew_ms is not None:
                    skew.add_metric([facility, edge], state.clock_skew_ms / 1000)
        yield from (up, backlog, watermark, gaps, skew)

    def _plants(self) -> Iterator[Metric]:
        devices = GaugeMetricFamily("wattline_devices", "Devices by state", labels=["facility", "state"])
        alarms = GaugeMetricFamily(
            "wattline_alarms_open", "Open alarms by priority, 1 is critical", labels=["facility", "priority"]
        )
        for facility in self._given.facilities:
            states = list(self._given.live.device_states(facility).values())
            for state in _DEVICE_STATES:
                devices.add_metric([facility, state], states.count(state))
            priorities = [alarm.priority for alarm in self._given.alarms.open(facility)]
            for priority in (1, 2, 3, 4):
                alarms.add_metric([facility, str(priority)], priorities.count(priority))
        yield from (devices, alarms)

    def _feed(self) -> Iterator[Metric]:
        feed = self._given.feed
        yield GaugeMetricFamily("wattline_feed_viewers", "Open live streams", value=feed.viewers)
        yield CounterMetricFamily(
            "wattline_feed_conflated",
            "Times that a slow viewer got one snapshot instead of deltas",
            value=feed.conflated,
        )
        yield CounterMetricFamily(
            "wattline_feed_refused", "Viewers turned away because the server was full", value=feed.refused
        )

    def _log(self) -> Iterator[Metric]:
        if self._given.audit is None:
            return
        figures = self._given.audit.figures()
        for name, value, text in (
            ("leaves", figures.size, "Batches in the audit log"),
            ("leaves_signed", figures.signed_size, "Batches under its newest checkpoint"),
            ("checkpoint_timestamp_seconds", figures.signed_at_ms / 1000, "When that was signed"),
            ("archive_bytes", figures.frame_bytes, "Sealed batches kept as evidence"),
        ):
            yield GaugeMetricFamily(f"wattline_log_{name}", text, value=value)

    def _plans(self) -> Iterator[Metric]:
        if self._given.planning is None:
            return
        looks = CounterMetricFamily(
            "wattline_plan_looks", "Looks at a facility's plan, by what came of them", labels=["facility", "outcome"]
        )
        spent = CounterMetricFamily("wattline_plan_processor_seconds", "Processor time of plans", labels=["facility"])
        for facility, line in self._given.planning.rounds.lines.items():
            rolling = line.rolling
            for outcome, count in (
                ("solved", rolling.solved),
                ("unchanged", rolling.unchanged),
                ("stale", rolling.stale),
            ):
                looks.add_metric([facility, outcome], count)
            spent.add_metric([facility], rolling.processor_s)
        yield from (looks, spent)
