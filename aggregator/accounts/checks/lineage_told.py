"""A value's lineage as JSON has it: for programs, on the command line and over HTTP. Decimals are text. Finds nothing (see `lineage`)."""

from decimal import Decimal
from typing import TypeAlias

from aggregator.accounts.checks.lineage import BoundaryTrace, FactorTrace, IntervalTrace, LineTrace, ReadingTrace
from aggregator.accounts.statement import plain
from aggregator.emissions.entry import Entry
from aggregator.imports import ImportRun
from aggregator.ledger import IntervalRow

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"


def line_json(trace: LineTrace) -> dict[str, Json]:
    """A line with its factor, its intervals, and the counter at its begin and end."""
    agrees = None if trace.sum_kwh is None else trace.sum_kwh == trace.line.quantity
    return {
        "line": plain(trace.line),
        "factor": factor_json(trace.factor),
        "intervals": [_row(row) for row in trace.intervals],
        "sum_kwh": _text(trace.sum_kwh),
        "sum_agrees": agrees,
        "first": None if trace.first is None else interval_json(trace.first),
        "last": None if trace.last is None else interval_json(trace.last),
    }


def interval_json(trace: IntervalTrace) -> dict[str, Json]:
    """An interval with its versions and the counter at both ends."""
    counter: Json = None
    if trace.series is not None and trace.start is not None and trace.end is not None:
        counter = {
            "edge": trace.series.edge,
            "start": _boundary(trace.start),
            "end": _boundary(trace.end),
            "multipliers": [
                {
                    "factor": str(each.factor), "valid_from_ms": each.valid_from_ms, "reason": each.reason, "evidence": each.evidence,
                    "approver": each.approver,
                }
                for each in trace.multipliers
            ],
            "derived_kwh": _text(trace.derived_kwh),
            "agrees": trace.agrees,
            "events": [
                {
                    "change": event.change.value, "at_ms": event.at_ms, "before_kwh": str(event.before), "after_kwh": str(event.after),
                    "booked_kwh": _text(event.substituted_kwh),
                }
                for event in trace.events
            ],
        }  # fmt: skip
    return {
        "interval": {"facility": trace.row.facility, "device": trace.row.device, "quantity": trace.row.quantity, **_row(trace.row)},
        "versions": [
            {
                **_row(each.row), "recorded_at_ms": each.recorded_at_ms, "superseded_at_ms": each.superseded_at_ms,
                "import": _import(brought),
            }
            for each, brought in zip(trace.versions, trace.imports, strict=True)
        ],
        "asides": [
            {
                **{name: value for name, value in _row(each.row).items() if name not in ("state", "version")},
                "known_ms": each.known_ms, "aside_ms": each.aside_ms, "ended_ms": each.ended_ms, "import": _import(brought),
            }
            for each, brought in trace.asides
        ],
        "counter": counter,
    }  # fmt: skip


def factor_json(trace: FactorTrace) -> dict[str, Json] | None:
    """A factor with its entry in the registry and the document that it was transcribed from."""
    if trace.applied is None:
        return None
    used = trace.applied
    return {
        "id": used.id, "version": used.version, "kg_per_unit": _text(used.kg_per_unit), "region": used.region, "data_year": used.data_year,
        "tier": used.tier, "source": used.source, "entry": None if trace.entry is None else _entry(trace.entry),
    }  # fmt: skip


def _entry(entry: Entry) -> dict[str, Json]:
    document = entry.source
    return {
        "value": _text(entry.value), "unit": entry.unit, "known_from_ms": entry.known_from_ms, "status": entry.status, "table_ref": entry.table_ref,
        "table_sha256": entry.table_sha256, "entered_by": entry.entered_by, "approved_by": entry.approved_by, "reason": entry.reason,
        "document": {
            "id": document.id, "title": document.title, "issuer": document.issuer, "number": document.number,
            "published_on": document.published_on.isoformat(), "url": document.url, "sha256": document.sha256,
            "transcribed_by": document.transcribed_by, "checked_by": document.checked_by,
        },
    }  # fmt: skip


def _boundary(trace: BoundaryTrace) -> dict[str, Json]:
    kept = trace.boundary
    return {
        "at_ms": kept.at_ms, "value_kwh": str(kept.value), "quality": kept.grade.quality.name.lower(), "reason": kept.grade.reason,
        "how": kept.how, "version": trace.version, "before": _reading(trace.before), "after": _reading(trace.after),
    }  # fmt: skip


def _reading(trace: ReadingTrace | None) -> dict[str, Json] | None:
    if trace is None:
        return None
    hand, batch = trace.hand, trace.batch
    return {
        "at_ms": trace.at_ms, "display_kwh": str(trace.display_kwh), "quality": trace.quality.name.lower(), "reason": trace.reason,
        "by_hand": None if hand is None else {
            "by": hand.entry.by, "evidence": hand.entry.evidence, "reason": hand.entry.reason, "version": hand.version,
            "entered_at_ms": hand.entered_at_ms,
        },
        "batch": None if batch is None else {
            "edge": batch.edge, "epoch": batch.epoch, "seq": batch.seq, "sha256": batch.sha256, "leaf": batch.leaf,
        },
    }  # fmt: skip


def _import(brought: ImportRun | None) -> dict[str, Json] | None:
    if brought is None:
        return None
    return {
        "file": brought.file,
        "sha256": brought.sha256,
        "at_ms": brought.at_ms,
        "reason": brought.reason,
        "by": brought.by,
    }


def _row(row: IntervalRow) -> dict[str, Json]:
    return {
        "start_ms": row.start_ms, "end_ms": row.end_ms, "energy_kwh": str(row.energy_kwh), "quality": row.grade.quality.name.lower(),
        "reason": row.grade.reason, "state": "final" if row.final else "provisional", "source": row.source, "version": row.version,
    }  # fmt: skip


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")
