"""Runs, publications, impacts and bridges as JSON has them: for programs, on the command line and over HTTP. Decimals and fractions are text."""

from decimal import Decimal
from typing import Final, TypeAlias

from aggregator.accounts.runs.bridge import Bridge
from aggregator.accounts.runs.restatement import Impact
from aggregator.accounts.runs.run import Publication, Run
from aggregator.accounts.runs.views import View
from aggregator.emissions.formulas.worked import shown

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"
_DECIMALS: Final = 9  # of a kg


def bridge_json(found: Bridge | None) -> dict[str, Json] | None:
    """`kg` of a cause is exact: a whole number, or a fraction a/b; `shown_kg` is it to 9 places."""
    if found is None:
        return None
    delta, percent = found.delta_kg, found.delta_percent
    return {
        "before_kg": _text(found.before_kg),
        "after_kg": _text(found.after_kg),
        "delta_kg": None if delta is None else shown(delta, _DECIMALS),
        "delta_percent": None if percent is None else shown(percent, _DECIMALS),
        "causes": [
            {"cause": share.cause, "kg": str(share.kg), "shown_kg": shown(share.kg, _DECIMALS)}
            for share in found.shares
        ],
        "text": found.text(),
    }


def run_json(run: Run) -> dict[str, Json]:
    """A run without its statement."""
    return {
        "run": run.no, "facility": run.facility, "profile": run.profile, "from_ms": run.from_ms, "to_ms": run.to_ms,
        "as_of_ms": run.as_of_ms, "factors_as_of_ms": run.factors_as_of_ms, "kg": _text(run.kg), "state": run.state, "settled": run.settled,
        "statement_sha256": run.statement_sha256, "rules_sha256": run.rules_sha256, "factor_set_sha256": run.factor_set_sha256,
        "input_root": run.input_root, "series": len(run.interval_series), "intervals": sum(each.intervals for each in run.interval_series),
        "activity_records": run.activity_records,
        "watermark_ms": run.watermark_ms, "marks": list(run.marks), "waits": run.waits,
        "code_version": run.code_version, "supersedes": run.supersedes, "restates": run.restates,
        "bridge": bridge_json(run.bridge), "reissued": run.reissued, "threshold_percent": _text(run.threshold_percent), "reason": run.reason,
        "operator": run.operator, "approver": run.approver, "created_at_ms": run.created_at_ms,
    }  # fmt: skip


def publication_json(publication: Publication) -> dict[str, Json]:
    """A publication."""
    return {
        "publication": publication.no, "run": publication.run, "facility": publication.facility, "profile": publication.profile,
        "from_ms": publication.from_ms, "to_ms": publication.to_ms, "kg": _text(publication.kg),
        "statement_sha256": publication.statement_sha256, "supersedes": publication.supersedes, "carries": list(publication.carries),
        "note": publication.note, "by": publication.by, "approver": publication.approver, "at_ms": publication.at_ms,
        "state": "published" if publication.standing else "restated",
    }  # fmt: skip


def impact_json(impact: Impact) -> dict[str, Json]:
    """A publication that would change."""
    return {
        "publication": publication_json(impact.publication),
        "bridge": bridge_json(impact.bridge),
        "lines": impact.lines,
        "reissue": impact.reissue,
        "unknown": impact.unknown,
    }


def view_json(view: View) -> dict[str, Json]:
    """Both series."""
    return {
        "view": view.view,
        "as_of_ms": view.as_of_ms,
        "kg": _text(view.kg),
        "published": None if view.published is None else publication_json(view.published),
        "latest_kg": _text(view.known_kg),
        "series": [
            {
                "from_ms": seen.publication.from_ms,
                "to_ms": seen.publication.to_ms,
                "publication": seen.publication.no,
                "published_kg": _text(seen.publication.kg),
                "latest_kg": _text(seen.known_kg),
                "bridge": bridge_json(seen.bridge),
            }
            for seen in view.series
        ],
    }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")
