"""Alarms: the states of ISA-18.2, kept over a restart, each change told once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from aggregator.alarms import PRIORITIES, Alarm, Alarms, AlarmState, AlreadyAcknowledged, UnknownAlarm
from aggregator.ledger import Ledger


class Clock:
    def __init__(self) -> None:
        self.now_ms = 1_000_000

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    kept = Ledger(tmp_path / "ledger.sqlite")
    yield kept
    kept.close()


@pytest.fixture
def told() -> list[Alarm]:
    return []


@pytest.fixture
def alarms(ledger: Ledger, clock: Clock, told: list[Alarm]) -> Alarms:
    return Alarms(ledger, clock, told.append)


def test_an_alarm_that_is_raised_waits_for_somebody(alarms: Alarms) -> None:
    raised = alarms.raise_alarm("works", "device_offline", "offices", "gw-01")
    assert (raised.state, raised.priority, raised.arguments) == (AlarmState.UNACK, 2, ("gw-01",))
    assert alarms.open("works") == [raised]
    assert alarms.open("elsewhere") == []


def test_raising_it_again_is_not_a_second_alarm(alarms: Alarms, told: list[Alarm]) -> None:
    first = alarms.raise_alarm("works", "device_offline", "offices")
    assert alarms.raise_alarm("works", "device_offline", "offices") == first
    assert len(told) == 1


def test_it_leaves_the_list_only_when_cleared_and_acknowledged(alarms: Alarms, told: list[Alarm]) -> None:
    raised = alarms.raise_alarm("works", "device_offline", "offices")
    alarms.acknowledge(raised.id, "Li Wei", "on site")
    assert [alarm.state for alarm in alarms.open("works")] == [AlarmState.ACK]
    alarms.clear("works", "device_offline", "offices")
    assert alarms.open("works") == []
    assert [alarm.state for alarm in told] == [AlarmState.UNACK, AlarmState.ACK, AlarmState.NORMAL]


def test_what_clears_by_itself_still_waits_to_be_acknowledged(alarms: Alarms) -> None:
    raised = alarms.raise_alarm("works", "device_offline", "offices")
    alarms.clear("works", "device_offline", "offices")
    assert alarms.open("works")[0].state is AlarmState.RTN
    assert alarms.acknowledge(raised.id, "Li Wei").state is AlarmState.NORMAL
    assert alarms.open("works") == []


def test_an_alarm_that_returns_before_it_was_acknowledged_is_the_same_one_with_a_new_time(
    alarms: Alarms, clock: Clock
) -> None:
    raised = alarms.raise_alarm("works", "device_offline", "offices")
    alarms.clear("works", "device_offline", "offices")
    clock.now_ms += 60_000
    again = alarms.raise_alarm("works", "device_offline", "offices")
    assert (again.id, again.state, again.cleared_at_ms) == (raised.id, AlarmState.UNACK, None)
    assert again.raised_at_ms == raised.raised_at_ms + 60_000


def test_clearing_what_is_not_active_does_nothing(alarms: Alarms, told: list[Alarm]) -> None:
    alarms.clear("works", "device_offline", "offices")
    alarms.set(False, "works", "device_offline", "offices")
    assert told == []


def test_who_acknowledged_and_when_is_kept(alarms: Alarms, clock: Clock, ledger: Ledger) -> None:
    raised = alarms.raise_alarm("works", "device_offline", "offices")
    clock.now_ms += 60_000
    alarms.acknowledge(raised.id, "Li Wei", "fuse")
    (kept,) = ledger.alarms("works", 0, open_only=True, limit=10)
    assert (kept.acknowledged_by, kept.note, kept.acknowledged_at_ms) == ("Li Wei", "fuse", 1_060_000)


def test_only_the_first_can_acknowledge(alarms: Alarms) -> None:
    raised = alarms.raise_alarm("works", "device_offline", "offices")
    alarms.acknowledge(raised.id, "Li Wei")
    with pytest.raises(AlreadyAcknowledged, match="Li Wei"):
        alarms.acknowledge(raised.id, "Anna")


def test_an_alarm_that_is_not_open_cannot_be_acknowledged(alarms: Alarms) -> None:
    with pytest.raises(UnknownAlarm):
        alarms.acknowledge("A-1", "Li Wei")


def test_a_restart_forgets_nothing(alarms: Alarms, ledger: Ledger, clock: Clock) -> None:
    first = alarms.raise_alarm("works", "device_offline", "offices", "gw-01")
    second = alarms.raise_alarm("works", "edge_offline", "gw-02")
    alarms.acknowledge(second.id, "Li Wei")
    again = Alarms(ledger, clock)
    assert {alarm.id: alarm.state for alarm in again.open("works")} == {
        first.id: AlarmState.UNACK,
        second.id: AlarmState.ACK,
    }
    assert again.raise_alarm("works", "device_offline", "offices").id == first.id


def test_alarms_of_one_millisecond_have_different_names(alarms: Alarms, ledger: Ledger, clock: Clock) -> None:
    names = {alarms.raise_alarm("works", "device_offline", f"d{number}").id for number in range(20)}
    names.add(Alarms(ledger, clock).raise_alarm("works", "device_offline", "another").id)
    assert len(names) == 21


def test_the_most_urgent_stands_first_and_the_acknowledged_last(alarms: Alarms, clock: Clock) -> None:
    for code, source in (
        ("residual", "works"),
        ("device_offline", "old"),
        ("factor_missing", "works"),
        ("device_offline", "new"),
    ):
        clock.now_ms += 1000
        alarms.raise_alarm("works", code, source)
    alarms.acknowledge(alarms.open("works")[0].id, "Li Wei")
    assert [alarm.source if alarm.code == "device_offline" else alarm.code for alarm in alarms.open("works")] == [
        "new",
        "old",
        "residual",
        "factor_missing",
    ]


def test_history_holds_what_is_over(alarms: Alarms) -> None:
    raised = alarms.raise_alarm("works", "device_offline", "offices")
    alarms.acknowledge(raised.id, "Li Wei")
    alarms.clear("works", "device_offline", "offices")
    assert [alarm.id for alarm in alarms.history("works", 0, 10)] == [raised.id]
    assert alarms.history("works", raised.raised_at_ms + 1, 10) == []


def test_every_priority_is_one_of_four() -> None:
    assert set(PRIORITIES.values()) <= {1, 2, 3, 4}


def test_the_feed_gets_codes_and_arguments_not_sentences(alarms: Alarms) -> None:
    raised = alarms.raise_alarm("works", "residual", "works", "9.2", "411.0")
    assert alarms.open_as_json("works") == [
        {
            "id": raised.id,
            "pr": 3,
            "st": "unack",
            "t": 1_000_000,
            "src": "works",
            "code": "residual",
            "args": ["9.2", "411.0"],
        }
    ]
