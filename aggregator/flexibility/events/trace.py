"""One trace of an event: the plans made for it, schedules, the edges' answers, and the first power that moved, with ids and times. Finds no causes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from aggregator.flexibility.events.delivery import POWER
from aggregator.flexibility.events.event import DemandResponse
from aggregator.stores.store import SeriesKey, Store
from wire.circuit import Asset, Circuit
from wire.reading import Quality

MOST: Final = 60
MOVED_RATIO: Final = 0.05  # of an asset's rated power: less is noise
BEFORE_MS: Final = 60_000
WITHIN_MS: Final = 300_000  # so long after the begin an asset is looked at

Kind = Literal["plan", "schedule", "answer", "set_point", "moved"]


@dataclass(frozen=True, slots=True)
class Traced:
    """One thing that happened for an event. `after_s`: since it was accepted; of `moved` and `set_point` since its begin, where that came later."""

    kind: Kind
    at_ms: int
    id: str
    text: str
    after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """A schedule for an event: when it went out for which plan (made when, because of what), and what the edge said when. None: it has not answered."""

    plan: str
    made_ms: int
    trigger: tuple[str, ...]
    id: str
    edge: str
    sent_ms: int
    state: str
    answered_ms: int | None


def trace(event: DemandResponse, sent: Sequence[Sent], store: Store, circuit: Circuit | None) -> list[Traced]:
    """In order of time, the first MOST. Raises StoreError."""
    accepted = event.last("accepted")
    if accepted is None:
        return []
    found = [*_planned(sent, accepted.at_ms), *_set_points(event, store, accepted.at_ms)]
    if circuit is not None:
        found += [each for asset in circuit.asset if (each := _moved(event, asset, store, accepted.at_ms)) is not None]
    return sorted(found, key=lambda each: each.at_ms)[:MOST]


def _planned(sent: Sequence[Sent], accepted_ms: int) -> Iterator[Traced]:
    plans: set[str] = set()
    for each in sent:
        if each.plan not in plans:
            plans.add(each.plan)
            yield Traced("plan", each.made_ms, each.plan, ", ".join(each.trigger), _s(each.made_ms - accepted_ms))
        yield Traced("schedule", each.sent_ms, each.id, each.edge, _s(each.sent_ms - accepted_ms))
        if each.answered_ms is not None:
            yield Traced(
                "answer", each.answered_ms, each.id, f"{each.edge}, {each.state}", _s(each.answered_ms - accepted_ms)
            )


def _set_points(event: DemandResponse, store: Store, accepted_ms: int) -> Iterator[Traced]:
    """What edges wrote down of single set-points, from acceptance to the end."""
    since_ms = max(accepted_ms, event.said.from_ms)
    for stored in store.events(event.said.facility, accepted_ms, event.said.to_ms, "set_point"):
        body = stored.event.body
        text = f"{stored.event.device} {body.get('point', '')} {body.get('value')}: {body.get('state', '')}"
        yield Traced(
            "set_point",
            stored.event.at_ms,
            str(body.get("command", stored.event.id)),
            text,
            _s(stored.event.at_ms - since_ms),
        )


def _moved(event: DemandResponse, asset: Asset, store: Store, accepted_ms: int) -> Traced | None:
    """When an asset's metered power first left what it was before the begin."""
    begin_ms = max(accepted_ms, event.said.from_ms)
    key = SeriesKey(event.said.facility, asset.edge, asset.device, POWER)
    found = store.history(key, begin_ms - BEFORE_MS, begin_ms + WITHIN_MS)
    usable = (found.quality != Quality.BAD) & ~np.isnan(found.value)
    at_ms, kw = found.at_ms[usable], found.value[usable]
    before, after = kw[at_ms < begin_ms], at_ms >= begin_ms
    if not len(before):
        return None
    least_kw = MOVED_RATIO * max(asset.charge_kw, asset.discharge_kw)
    places = np.flatnonzero(after & (np.abs(kw - before[-1]) > least_kw))
    if not len(places):
        return None
    first = int(places[0])
    text = f"{before[-1]:.1f} kW to {kw[first]:.1f} kW"
    return Traced("moved", int(at_ms[first]), asset.name, text, _s(int(at_ms[first]) - begin_ms))


def steered_in(store: Store, facility: str, asset: Asset, from_ms: int, to_ms: int) -> bool:
    """Whether an asset's metered power moved by more than noise in [from_ms, to_ms). Raises StoreError."""
    found = store.history(SeriesKey(facility, asset.edge, asset.device, POWER), from_ms, to_ms)
    kw = found.value[(found.quality != Quality.BAD) & ~np.isnan(found.value)]
    return len(kw) > 1 and float(np.ptp(kw)) > MOVED_RATIO * max(asset.charge_kw, asset.discharge_kw)


def _s(ms: int) -> float:
    return round(ms / 1000, 3)
