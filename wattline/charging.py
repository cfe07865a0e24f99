"""`wattline sessions`: charging sessions of a running aggregator with what each carries. Not how they are made of events, and no bill."""

import argparse
import json
import os
import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from wattline.asking import ask


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (the aggregator refused or did not answer), 2 (bad use)."""
    query = {"from": options.begin, "to": options.end, "profile": options.profile}
    if options.device is not None:
        query["device"] = options.device
    try:
        answer = ask(options.url, f"/api/v1/facilities/{options.facility}/sessions", os.environ, query=query)
    except ValueError as error:
        print(f"wattline sessions: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"wattline sessions: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(answer, ensure_ascii=False))
        return 0
    print(f"{answer['facility']}, {answer['profile']}, {len(answer['sessions'])} sessions")
    for session in answer["sessions"]:
        print(_line(session))
    return 0


def _line(session: dict[str, Any]) -> str:
    begun_ms = session["started_at_ms"]
    begun = (
        "begun unseen"
        if begun_ms is None
        else datetime.fromtimestamp(begun_ms / 1000, UTC).isoformat(timespec="minutes")
    )
    wh = session["energy_wh"]
    energy = "no energy yet" if wh is None else f"{Decimal(wh) / 1000:.3f} kWh"
    if session["kg"] is None:
        carries = "no figure"
    elif session["g_per_kwh"] is None:  # nothing was charged yet
        carries = f"{Decimal(session['kg']):.3f} kg"
    else:
        carries = f"{Decimal(session['kg']):.3f} kg, {Decimal(session['g_per_kwh']):.1f} g/kWh, {Decimal(session['covered_percent']):.1f} % covered"
    parts = [
        begun,
        session["device"],
        session["transaction_id"],
        session["state"],
        energy,
        carries,
        session["shape"] or "",
    ]
    if session["given_back_kwh"] not in (None, "0"):
        parts.append(
            f"gave back {session['given_back_kwh']} kWh, avoided {session['avoided_kg'] or 'no figure'} kg (marginal)"
        )
    return "  ".join(part for part in parts if part)
