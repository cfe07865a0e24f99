"""Was a reading lost? The simulators' own log of answers against what the store holds. It trusts neither agent nor aggregator.

An answer that covered a serial register has told its number to whoever asked. So each such number must be in the store once, as a
reading of one of `answer_serial_1..4`. Answers to the same request must also have left the same number of readings at their instant:
that finds a batch of gauges that was lost while the counters of the same answer arrived.

A device that publishes by itself does not know whether anybody listens yet: what it said before it was first heard is not asked for.

A charging pile has nowhere to tell a number: of it the register must be in the store, with the instant and the Wh that it reported.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from aggregator.stores.store import SeriesKey, Store

SERIALS: Final = tuple(f"answer_serial_{number}" for number in (1, 2, 3, 4))
REGISTER: Final = "energy_import_kwh"
_FOR_EVER: Final = (0, 2**53)


@dataclass(frozen=True, slots=True)
class Lost:
    """An answer whose serial the store does not hold."""

    facility: str
    device: str
    serial: int
    at_ms: int


@dataclass(slots=True)
class Verdict:
    """`answers` carried a serial; `readings_short`, serials apart, lack beside others of the same request; `unknown` serials nobody gave."""

    answers: int = 0
    readings: int = 0
    lost: list[Lost] = field(default_factory=list)
    duplicates: int = 0
    readings_short: int = 0
    unknown: int = 0

    def outside(self, spans: Sequence[tuple[int, int]]) -> list[Lost]:
        """What is lost outside these spans of time (UTC ms, both ends included)."""
        return [lost for lost in self.lost if not any(first <= lost.at_ms <= last for first, last in spans)]


def answers(log: Path) -> Iterable[dict[str, Any]]:
    """The answers of a simulator's log that told their serial."""
    with log.open() as lines:
        for line in lines:
            answer: dict[str, Any] = json.loads(line)
            if answer["carried"]:
                yield answer


def judge(log: Path, store: Store) -> Verdict:
    """The verdict over everything that the log holds."""
    verdict = Verdict()
    given: dict[tuple[str, str], dict[int, tuple[int, tuple[int, int]]]] = defaultdict(dict)
    reported: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    publishers: set[tuple[str, str]] = set()
    for answer in answers(log):
        if "import_wh" in answer:
            reported[answer["plant"], answer["device"]].append(answer)
            continue
        if answer.get("published"):
            publishers.add((answer["plant"], answer["device"]))
        given[answer["plant"], answer["device"]][answer["serial"]] = (
            answer["at_ms"],
            _request(answer),
        )
    by_device: dict[tuple[str, str], list[SeriesKey]] = defaultdict(list)
    for key in store.series():
        by_device[key.facility, key.device].append(key)
    for device in sorted(set(given) | set(reported) | set(by_device)):
        heard = given.get(device, {})
        if device in publishers:
            heard = _since_first_heard(store, heard, by_device.get(device, []))
        _judge_device(verdict, store, device, heard, by_device.get(device, []))
        _judge_registers(verdict, store, device, reported.get(device, []), by_device.get(device, []))
    return verdict


def _since_first_heard(
    store: Store, given: dict[int, tuple[int, tuple[int, int]]], keys: list[SeriesKey]
) -> dict[int, tuple[int, tuple[int, int]]]:
    heard = [store.history(key, *_FOR_EVER).value.tolist() for key in keys if key.quantity in SERIALS]
    first = min((int(serial) for serials in heard for serial in serials), default=0)
    return {serial: told for serial, told in given.items() if serial >= first}


def _judge_registers(
    verdict: Verdict, store: Store, device: tuple[str, str], reported: list[dict[str, Any]], keys: list[SeriesKey]
) -> None:
    verdict.answers += len(reported)
    stored: set[tuple[int, int]] = set()
    for key in keys:
        if key.quantity == REGISTER and reported:
            history = store.history(key, *_FOR_EVER)
            stored |= {
                (at_ms, round(value * 1000))
                for at_ms, value in zip(history.at_ms.tolist(), history.value.tolist(), strict=True)
                if value == value
            }
    verdict.lost += [
        Lost(*device, answer["serial"], answer["at_ms"])
        for answer in reported
        if (answer["at_ms"], answer["import_wh"]) not in stored
    ]


def _request(answer: dict[str, Any]) -> tuple[int, int]:
    """What was asked, where the log says it in registers; else something that no other answer has."""
    if isinstance(answer.get("address"), int) and "count" in answer:
        return answer["address"], answer["count"]
    return -answer["serial"], 0


def _judge_device(
    verdict: Verdict,
    store: Store,
    device: tuple[str, str],
    given: dict[int, tuple[int, tuple[int, int]]],
    keys: list[SeriesKey],
) -> None:
    verdict.answers += len(given)
    stored_at: dict[int, set[int]] = defaultdict(set)
    readings_at: Counter[int] = Counter()
    for key in keys:
        history = store.history(key, *_FOR_EVER)
        verdict.readings += len(history)
        instants = history.at_ms.tolist()
        if key.quantity not in SERIALS:
            readings_at.update(instants)
        verdict.duplicates += len(instants) - len(set(instants))
        if key.quantity in SERIALS:
            serials = history.value.tolist()
            for serial, at_ms in zip(serials, instants, strict=True):
                stored_at[int(serial)].add(at_ms)
            verdict.duplicates += sum(count - 1 for count in Counter(serials).values())
    verdict.unknown += len(set(stored_at) - set(given))
    verdict.lost += [
        Lost(*device, serial, at_ms) for serial, (at_ms, _) in sorted(given.items()) if serial not in stored_at
    ]
    verdict.readings_short += _short(given, stored_at, readings_at)


def _short(
    given: dict[int, tuple[int, tuple[int, int]]], stored_at: dict[int, set[int]], readings_at: Counter[int]
) -> int:
    """Readings that lack beside answers to the same request.

    Answers stored at one instant are compared together, with those of the same requests and of fewer: more answers leave no fewer readings.
    """
    requests_at: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for serial, instants in stored_at.items():
        if serial in given:
            for at_ms in instants:
                requests_at[at_ms].append(given[serial][1])
    counts: dict[tuple[tuple[int, int], ...], list[int]] = defaultdict(list)
    for at_ms, requests in requests_at.items():
        counts[tuple(sorted(requests))].append(readings_at[at_ms])
    most = {asked: max(found) for asked, found in counts.items()}
    whole = {asked: max(most[fewer] for fewer in most if not Counter(fewer) - Counter(asked)) for asked in most}
    return sum(whole[asked] - count for asked, found in counts.items() for count in found)


def power_balance_error_ratio(store: Store, grid: SeriesKey, parts: Sequence[SeriesKey]) -> float | None:
    """Mean of |grid - sum of parts| over the mean load, at the instants of the grid meter's readings.

    The parts' powers are interpolated to these instants; None where there are fewer than ten common ones. All in kW, load sign.
    """
    at_ms, grid_kw = _good(store, grid)
    columns = [_good(store, part) for part in parts]
    if not columns or any(len(column[0]) < 2 for column in columns):
        return None
    first, last = max(column[0][0] for column in columns), min(column[0][-1] for column in columns)
    inside = (at_ms >= first) & (at_ms <= last)
    if int(inside.sum()) < 10:
        return None
    at_ms, grid_kw = at_ms[inside], grid_kw[inside]
    powers = [np.interp(at_ms, column[0], column[1]) for column in columns]
    load_kw = sum(np.maximum(power, 0) for power in powers)
    return float(np.abs(grid_kw - sum(powers)).mean() / max(float(np.mean(load_kw)), 1e-9))


def _good(store: Store, key: SeriesKey) -> tuple[Any, Any]:
    history = store.history(key, *_FOR_EVER)
    good = (history.quality == 0) & ~np.isnan(history.value)
    return history.at_ms[good], history.value[good]
