"""What is fixed of an event at its notice, and its settlement from that: pure functions of intervals, so that anybody finds the same. Not where they are kept."""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from datetime import date
from functools import cache
from importlib import resources
from typing import Any, Final

import msgspec

from aggregator.flexibility.baseline import Days, Event, NoBaseline
from aggregator.flexibility.events.event import Firm, Said
from aggregator.flexibility.events.saved_kg import SavedKg
from aggregator.flexibility.response import Outcome, Question, outcome
from aggregator.measured_load import Measured, days_in, placed

_METHOD: Final = ("baseline.py", "settlement.py", "response.py")


def lines_of(rows: Iterable[Measured]) -> bytes:
    """Intervals as lines, whose SHA-256 is committed to."""
    return "".join(f"{row.line()}\n" for row in rows).encode()


def rows_of(lines: bytes) -> list[Measured]:
    """Raises ValueError naming the line."""
    found = []
    for number, line in enumerate(lines.decode().splitlines(), start=1):
        try:
            found.append(Measured.of_line(line))
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
    return found


def sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


@cache
def method_sha256() -> str:
    """Of the source that works baselines and settlements out."""
    source = (resources.files("aggregator.flexibility").joinpath(name).read_bytes() for name in _METHOD)
    return sha256(b"".join(source))


def day_of(said: Said) -> date:
    """The local day that the event is on."""
    return placed(said.from_ms, said.zone, said.interval_ms)[0]


def calendar_faults(said: Said) -> list[str]:
    """An event lies on boundaries of intervals of one local day: a baseline is of days."""
    first_day, last_day = (placed(at_ms, said.zone, said.interval_ms)[0] for at_ms in (said.from_ms, said.to_ms - 1))
    faults = [
        f"{name}: expected a boundary of {said.interval_s} s, got {at_ms}"
        for name, at_ms in (("from_ms", said.from_ms), ("to_ms", said.to_ms))
        if at_ms % said.interval_ms
    ]
    if first_day != last_day:
        faults.append(
            f"to_ms: expected an end on {first_day}, the local day of the begin, got {last_day}: ask for two events"
        )
    return faults


def question(said: Said, notice_ms: int, event_days: Collection[str], *, moved: bool = False) -> Question:
    """What is asked of the loads. The notice counts where it came on the day itself."""
    day, first = placed(said.from_ms, said.zone, said.interval_ms)
    _, last = placed(said.to_ms - 1, said.zone, said.interval_ms)
    noticed, at = placed(notice_ms, said.zone, said.interval_ms)
    return Question(
        Event(day, first, last + 1, at if noticed == day else None),
        said.rules,
        said.interval_s / 3600,
        said.target_kw,
        said.terms,
        said.direction,
        [date.fromisoformat(text) for text in event_days],
        [date.fromisoformat(text) for text in said.holidays],
        moved,
    )


def loads_of(said: Said, rows: Iterable[Measured]) -> Days:
    """The measuring point's kW by local day."""
    return days_in(rows, said.meters, said.zone, said.interval_ms)


def committed(
    said: Said, event_id: str, version: int, inputs: Sequence[Measured], event_days: Sequence[str], firm: Firm | None, at_ms: int
) -> dict[str, Any]:  # fmt: skip
    """The leaf, but for its number: hashes of what was asked, of the intervals of the days before and of the method; the days and their mean; the offer."""
    lines = lines_of(inputs)
    days, unadjusted, why = like_days(said, inputs, event_days, at_ms)
    return {
        "event": event_id, "version": version, "facility": said.facility, "said_sha256": said.sha256, "inputs": len(inputs), "inputs_sha256": sha256(lines),
        "rules": said.rules.name, "rules_sha256": sha256(msgspec.json.encode(said.rules, order="deterministic")), "method_sha256": method_sha256(),
        "event_days": list(event_days), "days": days, "baseline_kw": unadjusted, "no_baseline": why,
        "firm": None if firm is None else {"kw": firm.kw, "low_kw": firm.low_kw, "at_ms": firm.at_ms, "plan": firm.plan}, "at_ms": at_ms,
    }  # fmt: skip


def days_before(said: Said, rows: Iterable[Measured]) -> Days:
    """Loads of the days before the event's."""
    day = day_of(said)
    return {at: load for at, load in loads_of(said, rows).items() if at < day}


def like_days(
    said: Said, inputs: Iterable[Measured], event_days: Collection[str], notice_ms: int
) -> tuple[list[str], list[float] | None, str]:
    """The days of the baseline and its unadjusted kW, or why there is none. Rules that look at the hours before the event alone have neither yet."""
    if said.rules.days == 0:
        return [], None, ""
    try:
        made = question(said, notice_ms, event_days).baseline(loads_of(said, inputs))
    except NoBaseline as error:
        return [], None, str(error)
    return [day.isoformat() for day in made.days], made.unadjusted_kw.tolist(), ""


def settled_outcome(
    said: Said, before: Days, metered: Days, event_days: Collection[str], notice_ms: int, *, moved: bool
) -> Outcome:
    """Days before as committed, the day itself as metered. Raises NoBaseline, ValueError."""
    day = day_of(said)
    today = {at: load for at, load in metered.items() if at == day}
    return outcome({**before, **today}, question(said, notice_ms, event_days, moved=moved))


def result(found: Outcome, said: Said, saved: Sequence[SavedKg], *, moved: bool) -> dict[str, Any]:
    """A settlement in full, as it goes on record and to people."""
    made, settled, accurate = found.made, found.settled, found.accurate
    return {
        "days": [day.isoformat() for day in made.days], "factor": made.factor, "added_kw": made.added_kw, "said": list(made.said), "moved": moved,
        "baseline_kw": made.settled_kw.tolist(), "unadjusted_kw": made.unadjusted_kw.tolist(),
        "adjusted_kw": None if made.adjusted_kw is None else made.adjusted_kw.tolist(), "metered_kw": found.metered_kw.tolist(),
        "delivered_kwh": settled.delivered_kwh.tolist(), "paid_kwh": settled.paid_kwh.tolist(), "target_kwh": settled.target_kwh.tolist(),
        "response_ratio": settled.response_ratio, "money": settled.money, "currency": said.currency, "rebound_kwh": settled.rebound_kwh,
        "accuracy": None if accurate is None else {"days": accurate.days, "bias_percent": accurate.bias_percent, "rrmse_percent": accurate.rrmse_percent},
        "saved_kg": [
            {
                "profile": each.profile, "kg": None if each.kg is None else format(each.kg, "f"), "factors": list(each.factors),
                "kg_per_kwh": [None if factor is None else format(factor, "f") for factor in each.kg_per_kwh],
            }
            for each in saved
        ],
    }  # fmt: skip
