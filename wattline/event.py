"""`wattline event`: demand-response events and overrides of a running aggregator. Not what becomes of them (`aggregator.flexibility.events`)."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from wattline.asking import ask, fetch
from wattline.event_options import ANSWERS


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (the aggregator refused or did not answer), 2 (bad use)."""
    try:
        answer = _asked(options)
    except ValueError as error:
        print(f"wattline event: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"wattline event: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(answer, ensure_ascii=False))
    else:
        print("\n".join(_lines(answer)))
    return 0


def _asked(options: argparse.Namespace) -> dict[str, Any]:
    facility = f"/api/v1/facilities/{quote(options.facility, safe='')}"
    events = f"{facility}/demand-response"
    body: dict[str, Any] = {"by": getattr(options, "by", "")}
    if options.verb == "list":
        path, sent = events, None
    elif options.verb == "show":
        path, sent = f"{events}/{quote(options.id, safe='')}", None
    elif options.verb == "bundle":
        raw = fetch(options.url, f"{events}/{quote(options.id, safe='')}/bundle", os.environ)
        options.out.write_bytes(raw)
        return {"written": str(options.out), "bytes": len(raw)}
    elif options.verb == "ask":
        path = events
        sent = body | {
            "from_ms": options.begin, "to_ms": options.end, "target_kw": options.target_kw, "direction": options.direction, "source": options.source,
            "external_id": options.external_id, "priority": options.priority, "note": options.note,
        }  # fmt: skip
        sent |= {key: given for key in ("rules", "pay_per_kwh") if (given := getattr(options, key)) is not None}
    elif options.verb in ANSWERS:
        path, sent = f"{events}/{quote(options.id, safe='')}/{options.verb}", body | {"reason": options.reason}
        if getattr(options, "begin", None):
            sent["from_ms"] = options.begin
    elif options.verb == "override":
        scope = "asset" if options.asset else "branch" if options.branch else "facility"
        path = f"{facility}/overrides"
        sent = body | {
            "scope": scope, "name": options.asset or options.branch, "what": options.what, "kw": options.kw, "until_ms": options.until, "reason": options.reason,
        }  # fmt: skip
    else:
        path, sent = f"{facility}/overrides/{quote(options.id, safe='')}/end", body | {"reason": options.reason}
    answer: dict[str, Any] = ask(options.url, path, os.environ, body=sent)
    if options.verb == "show":
        told = ask(options.url, f"{path}/reports", os.environ)
        answer["reports"] = told["reports"]
    return answer


def _lines(answer: dict[str, Any]) -> Iterator[str]:
    if "written" in answer:
        yield f"{answer['written']}: {answer['bytes']} bytes"
        return
    if "events" in answer:
        yield f"{answer['facility']}, {len(answer['events'])} events"
        for event in answer["events"]:
            yield _event(event)
        return
    if "scope" in answer:
        held = "" if answer["kw"] is None else f" {answer['kw']:g} kW"
        place = f"{answer['scope']} {answer['name']}".strip()
        yield f"{answer['id']}  {place}: {answer['what']}{held} until {_utc(answer['until_ms'])}, {answer['by']}: {answer['reason']}"
        return
    yield _event(answer)
    for step in answer["steps"]:
        yield f"  {_utc(step['at_ms'])}  {step['state']:<10} {step['by']}{': ' if step['reason'] else ''}{step['reason']}"
    if "delivery" in answer:
        yield from _delivery(answer["delivery"])
    for report in answer.get("reports", []):
        said = report["content"]
        yield f"  {_utc(report['at_ms'])}  report {report['number']}, {report['kind']}: {_number(said['expected_kwh'])} of {said['target_kwh']:.1f} kWh expected at the end"
    for settled in answer.get("settlements", [])[-1:]:
        yield from _settled(settled["result"])


def _event(event: dict[str, Any]) -> str:
    firm = "no firm offer" if event["firm_kw"] is None else f"firm {event['firm_kw']:g} kW"
    span = f"{_utc(event['from_ms'])} to {_utc(event['to_ms'])}"
    return f"{event['id']}  {event['state']:<10} {span}  {event['direction']} {event['target_kw']:g} kW ({firm}), {event['rules']}"


def _delivery(found: dict[str, Any]) -> Iterator[str]:
    for each in found["slices"]:
        cells = [_number(each[key]) for key in ("baseline_kw", "metered_kw", "delivered_kwh")]
        yield f"  {_utc(each['start_ms'])}  baseline {cells[0]} kW, metered {cells[1]} kW, delivered {cells[2]} of {each['target_kwh']:.1f} kWh"
    yield f"  so far {found['delivered_kwh']:.1f} of {found['due_kwh']:.1f} kWh, expected at the end {_number(found['expected_kwh'])} of {found['target_kwh']:.1f} kWh"
    if found["note"]:
        yield f"  {found['note']}"


def _settled(result: dict[str, Any]) -> Iterator[str]:
    yield f"  settled: {sum(result['delivered_kwh']):.3f} kWh, {result['money']:.2f} {result['currency']}, rebound {_number(result['rebound_kwh'])} kWh"
    for each in result["saved_kg"]:
        yield f"  {each['profile']}: {'no factor' if each['kg'] is None else format(float(each['kg']), '.3f') + ' kg CO2e less'}"
    accurate = result["accuracy"]
    if accurate is None:
        yield "  accuracy not known: no earlier day has a baseline"
    else:
        yield f"  accuracy: bias {accurate['bias_percent']:+.2f} %, RRMSE {accurate['rrmse_percent']:.2f} % on {accurate['days']} days without an event"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _utc(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%MZ")
