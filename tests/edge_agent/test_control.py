"""Set-points from a signed frame to a made-up device and back: what is allowed, what is refused, and what always ends in the safe state."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from event_bodies import faults

from edge_agent.allow import Allowed
from edge_agent.control import Control
from edge_agent.control_state import FILE
from edge_agent.drivers.driver import DeviceRefused, DeviceUnreachable, DriverError, Written
from wire.clock import Clock
from wire.command import Command, Result, SetPoint, State, seal
from wire.keys import SigningKey
from wire.reading import Event
from wire.topics import edge_topic

TOPIC = edge_topic("works", "gw-01", "command")
VECTORS = Path(__file__).parents[1] / "cases" / "command_vectors"
KEY = SigningKey.generate()
SPEED = 20.0  # simulated seconds in a real one
BATTERY = Allowed("battery", "power_kw", "kW", -50, 50, "device_timer", hold_s=20, pause_s=0.1)
RELAY = Allowed("relay", "level_kw", "kW", 0, 100, "none", safe=5.0, pause_s=0.1)


class Plant:
    """Points that hold what is written to them; each can be told to fail."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], float | None] = {}
        self.writes: list[tuple[str, float | None, float]] = []
        self.fails: Exception | None = None
        self.overridden = ""
        self.clings = ""
        self.at = asyncio.Event()

    async def write(self, device: str, point: str, value: float | None, hold_s: float) -> Written:
        self.writes.append((f"{device}.{point}", value, hold_s))
        if self.fails is not None:
            raise self.fails
        before = self.values.get((device, point))
        if self.overridden and value is not None:
            return Written(False, before, before, self.overridden)
        if self.clings and value is None:
            return Written(False, before, before, self.clings)
        self.values[device, point] = value
        return Written(True, before, value)


_IDS = itertools.count()


class Bench:
    """A control over a plant, with what it said."""

    def __init__(
        self, directory: Path | None, *allowed: Allowed, key: SigningKey = KEY, link_lost_s: float = 60.0
    ) -> None:
        self.clock = Clock(1_795_248_000_000, SPEED)
        self.plant = Plant()
        self.events: list[Event] = []
        self.results: list[Result] = []
        self.control = Control(
            allowed or (BATTERY, RELAY), key.public, TOPIC, self.clock, self.plant.write, self.heard, self.results.append,
            directory, link_lost_s, retry_s=0.2,
        )  # fmt: skip
        self._counter = itertools.count(self.clock())

    def heard(self, event: Event) -> None:
        assert faults(event.kind, event.body) == []
        self.events.append(event)

    def command(self, *set_points: SetPoint, **changes: Any) -> Command:
        counter, now_ms = next(self._counter), self.clock()
        fields = {
            "id": f"c-{next(_IDS)}",
            "issuer": "dispatch",
            "counter": counter,
            "issued_at_ms": now_ms,
            "expires_at_ms": now_ms + 30_000,
        }
        return Command(**{**fields, "set_points": list(set_points), **changes})

    def wants(
        self, value: float | None, for_s: float = 10.0, after_s: float = 0.0, point: Allowed = BATTERY
    ) -> SetPoint:
        from_ms = self.clock() + round(after_s * 1000)
        return SetPoint(point.device, point.point, value, from_ms, from_ms + round(for_s * 1000))

    def send(self, *set_points: SetPoint, **changes: Any) -> Command:
        command = self.command(*set_points, **changes)
        self.control.message(seal(command, TOPIC, KEY))
        return command

    def outcome(self, command: Command, index: int = 0) -> tuple[str, str]:
        found = next((result for result in reversed(self.results) if result.id == command.id), None)
        if found is None:
            return "", ""
        return (
            (State.REFUSED, found.reason)
            if found.reason
            else (found.outcomes[index].state, found.outcomes[index].reason)
        )

    async def until(self, met: Callable[[], bool], timeout_s: float = 5.0) -> None:
        """Until it is so, looked at every few ms; real seconds."""
        async with asyncio.timeout(timeout_s):
            while not met():
                await asyncio.sleep(0.005)

    async def becomes(self, command: Command, state: State, index: int = 0) -> str:
        await self.until(lambda: self.outcome(command, index)[0] == state)
        return self.outcome(command, index)[1]

    def audit(self, command: Command) -> list[str]:
        return [str(event.body["state"]) for event in self.events if event.body.get("command") == command.id]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Bench"]:
        task = asyncio.create_task(self.control.run())
        self.control.link(True)
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_set_point_is_delivered_held_and_let_go_of_when_its_time_is_over(tmp_path: Path) -> None:
    async with Bench(tmp_path).running() as bench:
        command = bench.send(bench.wants(-20.0, for_s=4))
        assert await bench.becomes(command, State.DELIVERED) == ""
        assert bench.plant.values["battery", "power_kw"] == -20.0
        await bench.becomes(command, State.EXPIRED)
        assert bench.plant.values["battery", "power_kw"] is None
        assert bench.audit(command) == ["accepted", "delivered", "expired"]
        assert [event.device for event in bench.events] == ["battery"] * 3
        delivered = bench.events[1].body
        assert (delivered["value"], delivered["before"], delivered["after"]) == (-20.0, None, -20.0)
        assert len({event.id for event in bench.events}) == 3


async def test_the_devices_own_timer_is_set_and_fed_and_ends_with_the_set_point(tmp_path: Path) -> None:
    async with Bench(tmp_path).running() as bench:
        command = bench.send(bench.wants(10.0, for_s=50))
        await bench.becomes(command, State.EXPIRED, 0)
        holds_s = [hold_s for _, value, hold_s in bench.plant.writes if value is not None]
        assert len(holds_s) >= 3, "fed at two thirds of 20 s, twice at least"
        assert max(holds_s) == 20.0
        assert holds_s[-1] < 20.0, "the last one ends with the set-point"
        assert bench.audit(command) == ["accepted", "delivered", "expired"]


async def test_a_planned_set_point_waits_for_its_time_and_a_schedule_runs_without_a_release_between(
    tmp_path: Path,
) -> None:
    async with Bench(tmp_path).running() as bench:
        start = bench.clock() + 4_000
        steps = [
            SetPoint("battery", "power_kw", value, start + n * 6_000, start + (n + 1) * 6_000)
            for n, value in enumerate((10.0, -10.0))
        ]
        command = bench.send(*steps)
        await bench.becomes(command, State.ACCEPTED)
        assert bench.plant.writes == []
        await bench.becomes(command, State.DELIVERED)
        assert bench.clock() >= start
        await bench.becomes(command, State.EXPIRED, 1)
        assert [value for _, value, _ in bench.plant.writes] == [10.0, -10.0, None]
        assert bench.outcome(command, 0)[0] == State.EXPIRED


async def test_a_later_command_takes_the_place_of_an_earlier_one_and_of_its_plans(tmp_path: Path) -> None:
    async with Bench(tmp_path).running() as bench:
        first = bench.send(bench.wants(10.0, for_s=60), bench.wants(20.0, for_s=60, after_s=100))
        await bench.becomes(first, State.DELIVERED)
        second = bench.send(bench.wants(-5.0, for_s=60))
        await bench.becomes(second, State.DELIVERED)
        assert [bench.outcome(first, index)[0] for index in (0, 1)] == [State.SUPERSEDED, State.SUPERSEDED]
        assert second.id in bench.outcome(first)[1]
        assert [value for _, value, _ in bench.plant.writes] == [10.0, -5.0]


async def test_null_lets_go_at_once(tmp_path: Path) -> None:
    async with Bench(tmp_path).running() as bench:
        first = bench.send(bench.wants(10.0, for_s=60))
        await bench.becomes(first, State.DELIVERED)
        second = bench.send(bench.wants(None))
        assert await bench.becomes(second, State.DELIVERED) == "let go"
        assert bench.outcome(first)[0] == State.SUPERSEDED
        assert bench.plant.values["battery", "power_kw"] is None


async def test_where_a_safe_value_is_stated_it_is_written_for_good(tmp_path: Path) -> None:
    async with Bench(tmp_path).running() as bench:
        command = bench.send(bench.wants(80.0, for_s=2, point=RELAY))
        await bench.becomes(command, State.EXPIRED)
        assert bench.plant.writes[-1] == ("relay.level_kw", 5.0, 0.0)


@pytest.mark.parametrize(
    ("wanted", "firm", "reason"),
    [
        (lambda b: b.wants(50.1), False, "expected -50 to 50 kW, saw 50.1"),
        (lambda b: b.wants(-51.0), False, "expected -50 to 50 kW, saw -51"),
        (lambda b: b.wants(1.0, for_s=3601), False, "expected to last at most 3600 s, saw 3601"),
        (lambda b: b.wants(1.0, after_s=-20), False, "its time is over"),
        (lambda b: SetPoint("battery", "other", 1.0, b.clock(), b.clock() + 1000), False, "not in the allow-list"),
        (lambda b: SetPoint("incomer", "power_kw", 1.0, b.clock(), b.clock() + 1000), False, "not in the allow-list"),
        (lambda b: b.wants(1.0, point=RELAY), True, "does not fall back without this gateway"),
    ],
)
async def test_what_is_not_allowed_is_refused_with_the_reason_and_never_written(
    tmp_path: Path, wanted: Callable[[Bench], SetPoint], firm: bool, reason: str
) -> None:
    async with Bench(tmp_path).running() as bench:
        command = bench.send(wanted(bench), bench.wants(7.0, after_s=5000), firm=firm)
        assert reason in await bench.becomes(command, State.REFUSED)
        assert bench.outcome(command, 1)[0] == State.ACCEPTED, "its neighbour is judged by itself"
        assert bench.plant.writes == []
        assert bench.audit(command)[0] == "refused"


async def test_a_firm_command_reaches_a_point_that_falls_back_by_itself(tmp_path: Path) -> None:
    async with Bench(tmp_path).running() as bench:
        await bench.becomes(bench.send(bench.wants(1.0), firm=True), State.DELIVERED)


async def test_a_command_of_a_later_version_is_refused_as_a_whole_and_says_why(tmp_path: Path) -> None:
    vector = json.loads((VECTORS / "v1_unfit_with_a_key_of_a_later_version.json").read_text())
    assert vector["topic"] == TOPIC
    async with Bench(tmp_path, key=SigningKey(bytes(range(32)))).running() as bench:
        bench.control.message(bytes.fromhex(vector["frame"]))
        (result,) = bench.results
        assert (result.id, result.issuer, result.counter, result.outcomes) == ("c-10", "dispatch", 10, [])
        assert "unknown field `only_above_soc`" in result.reason
        assert [(event.kind, event.body["state"]) for event in bench.events] == [("set_point", "refused")]
    assert bench.plant.writes == []


async def test_an_old_command_that_is_repeated_is_answered_each_time_and_audited_once(tmp_path: Path) -> None:
    async with Bench(tmp_path).running() as bench:
        frame = seal(bench.command(bench.wants(-20.0), expires_at_ms=bench.clock() - 1), TOPIC, KEY)
        for _ in range(50):
            bench.control.message(frame)
        assert [(event.kind, event.body["state"]) for event in bench.events] == [("set_point", "refused")]
        assert len(bench.results) == 50


async def test_a_forged_command_is_neither_obeyed_nor_answered_and_many_are_one_event(tmp_path: Path) -> None:
    async with Bench(tmp_path).running() as bench:
        thief = SigningKey.generate()
        for _ in range(5):
            bench.control.message(seal(bench.command(bench.wants(1.0)), TOPIC, thief))
        bench.control.message(seal(bench.command(bench.wants(1.0)), edge_topic("works", "gw-02", "command"), KEY))
        bench.control.message(b"junk" * 40)
        honest = bench.send(bench.wants(2.0))
        await bench.becomes(honest, State.DELIVERED)
        assert {result.id for result in bench.results} == {honest.id}
        assert [value for _, value, _ in bench.plant.writes] == [2.0]
        assert [event.body["state"] for event in bench.events if "count" in event.body] == ["forged"]
        assert bench.control.figures()["commands_forged"] == 6


async def test_a_retained_command_is_ignored(tmp_path: Path) -> None:
    async with Bench(tmp_path).running() as bench:
        bench.control.message(seal(bench.command(bench.wants(1.0)), TOPIC, KEY), retained=True)
        await bench.becomes(bench.send(bench.wants(2.0)), State.DELIVERED)
        assert [value for _, value, _ in bench.plant.writes] == [2.0]


async def test_without_a_pinned_key_there_are_no_commands(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.control = Control(
        [BATTERY], None, TOPIC, bench.clock, bench.plant.write, bench.events.append, bench.results.append
    )
    async with bench.running():
        bench.send(bench.wants(1.0))
        await asyncio.sleep(0)
        assert (bench.results, bench.events, bench.plant.writes) == ([], [], [])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"counter": 5}, "counter: expected more than"),
        ({"expires_at_ms": 1_795_247_999_000}, "ms ago by this edge's clock"),
        ({"issued_at_ms": 1_795_248_000_000 + 3_600_000}, "in the future by this edge's clock"),
    ],
)
async def test_old_late_and_early_commands_are_refused_as_a_whole(
    tmp_path: Path, changes: dict[str, int], reason: str
) -> None:
    async with Bench(tmp_path).running() as bench:
        await bench.becomes(bench.send(bench.wants(1.0)), State.DELIVERED)
        command = bench.send(bench.wants(9.0), **changes)
        assert reason in bench.outcome(command)[1]
        assert [value for _, value, _ in bench.plant.writes] == [1.0]


async def test_counters_rise_per_issuer(tmp_path: Path) -> None:
    async with Bench(tmp_path).running() as bench:
        await bench.becomes(bench.send(bench.wants(1.0)), State.DELIVERED)
        await bench.becomes(bench.send(bench.wants(2.0), issuer="operator", counter=1), State.DELIVERED)


async def test_an_id_that_comes_again_gets_the_same_answer_and_no_second_write(tmp_path: Path) -> None:
    async with Bench(tmp_path).running() as bench:
        command = bench.send(bench.wants(1.0))
        await bench.becomes(command, State.DELIVERED)
        answer, writes = bench.results[-1], list(bench.plant.writes)
        bench.control.message(seal(command, TOPIC, KEY))
        assert bench.results[-1] == answer
        assert len(bench.results) > 1
        assert bench.plant.writes == writes
        assert bench.audit(command) == ["accepted", "delivered"]


async def test_after_a_restart_no_command_is_carried_out_twice_and_what_was_held_is_let_go_of_first(
    tmp_path: Path,
) -> None:
    killed = Bench(tmp_path)
    async with killed.running():
        command = killed.send(killed.wants(30.0, for_s=600), killed.wants(40.0, for_s=600, after_s=700))
        await killed.becomes(command, State.DELIVERED)
    anew = Bench(tmp_path)
    async with anew.running():
        await anew.until(lambda: bool(anew.plant.writes))
        assert anew.plant.writes == [("battery.power_kw", None, 0.0)]
        await anew.becomes(command, State.REVERTED)
        assert anew.outcome(command, 1) == (State.NOT_DELIVERED, "the agent started anew")
        assert anew.results[-1].revision > killed.results[-1].revision
        assert anew.audit(command) == ["reverted"]
        anew.control.message(seal(command, TOPIC, KEY))
        assert anew.outcome(command)[0] == State.REVERTED
        later = anew.send(anew.wants(3.0), counter=command.counter)
        assert "counter: expected more than" in anew.outcome(later)[1]
        assert len(anew.plant.writes) == 1


async def test_what_was_held_is_let_go_of_also_when_its_point_is_no_longer_allowed(tmp_path: Path) -> None:
    killed = Bench(tmp_path)
    async with killed.running():
        await killed.becomes(killed.send(killed.wants(80.0, for_s=600, point=RELAY)), State.DELIVERED)
    anew = Bench(tmp_path, BATTERY)
    async with anew.running():
        await anew.until(lambda: anew.control.figures()["points_held"] == 0)
        assert anew.plant.writes == [("relay.level_kw", 5.0, 0.0)]
    gone = Bench(tmp_path, BATTERY)
    async with gone.running():
        await asyncio.sleep(0)
        assert gone.plant.writes == []


async def test_a_damaged_state_file_is_set_aside_and_the_agent_works_on(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"rubbish")
    async with Bench(tmp_path).running() as bench:
        await bench.becomes(bench.send(bench.wants(1.0)), State.DELIVERED)
    assert list(tmp_path.glob("*.damaged"))


async def test_a_stopping_agent_lets_go_of_every_point(tmp_path: Path) -> None:
    async with Bench(tmp_path).running() as bench:
        battery, relay = bench.send(bench.wants(1.0)), bench.send(bench.wants(50.0, point=RELAY))
        await bench.becomes(battery, State.DELIVERED)
        await bench.becomes(relay, State.DELIVERED)
        assert await bench.control.close(5.0)
        assert bench.outcome(battery) == bench.outcome(relay) == (State.REVERTED, "the agent stops")
        assert bench.plant.values == {("battery", "power_kw"): None, ("relay", "level_kw"): 5.0}
        assert "the agent stops" in bench.outcome(bench.send(bench.wants(1.0)))[1]


async def test_a_lost_link_brings_points_back_after_the_stated_time_and_a_short_one_does_not(tmp_path: Path) -> None:
    async with Bench(tmp_path, link_lost_s=0.3).running() as bench:
        command = bench.send(bench.wants(1.0, for_s=600), bench.wants(2.0, for_s=600, after_s=650))
        await bench.becomes(command, State.DELIVERED)
        bench.control.link(False)
        await asyncio.sleep(0.05)
        bench.control.link(True)
        bench.control.link(False)
        assert bench.outcome(command)[0] == State.DELIVERED
        await bench.becomes(command, State.REVERTED)
        assert "the link was lost for 0.3 s" in bench.outcome(command)[1]
        assert bench.outcome(command, 1)[0] == State.NOT_DELIVERED
        assert bench.plant.values["battery", "power_kw"] is None
        told = len(bench.results)
        bench.control.link(True)
        assert bench.results[told:] == [bench.results[-1]], "the answer is told again when the link is back"


async def test_a_device_that_does_not_answer_is_tried_again_until_the_time_is_over(tmp_path: Path) -> None:
    async with Bench(tmp_path).running() as bench:
        bench.plant.fails = DeviceUnreachable("battery: no answer within 1 s")
        command = bench.send(bench.wants(1.0, for_s=600))
        await bench.until(lambda: "not yet" in bench.outcome(command)[1])
        bench.plant.fails = None
        await bench.becomes(command, State.DELIVERED)
        bench.plant.fails = DeviceUnreachable("battery: no answer within 1 s")
        other = bench.send(bench.wants(2.0, for_s=4))
        assert "no answer within 1 s" in await bench.becomes(other, State.NOT_DELIVERED)
        assert bench.control.figures()["points_held"] == 1, (
            "what is in the device is not known: it is released as soon as it answers"
        )
        bench.plant.fails = None
        await bench.until(lambda: bench.control.figures()["points_held"] == 0)
        assert bench.plant.writes[-1][1] is None


async def test_a_refusal_of_the_device_is_final(tmp_path: Path) -> None:
    async with Bench(tmp_path).running() as bench:
        bench.plant.fails = DeviceRefused("battery register 5", 3, "illegal data value")
        command = bench.send(bench.wants(1.0))
        assert "exception 3" in await bench.becomes(command, State.NOT_DELIVERED)
        bench.plant.fails = None
        await bench.until(lambda: bench.control.figures()["points_held"] == 0)
        assert [value for _, value, _ in bench.plant.writes if value is not None] == [1.0]


async def test_what_the_site_overrides_is_not_delivered_and_nothing_of_ours_stays(tmp_path: Path) -> None:
    async with Bench(tmp_path).running() as bench:
        bench.plant.overridden = "overridden by site at priority 5"
        command = bench.send(bench.wants(1.0))
        assert await bench.becomes(command, State.NOT_DELIVERED) == "overridden by site at priority 5"
        await bench.until(lambda: bench.control.figures()["points_held"] == 0)
        assert bench.plant.writes[-1][1] is None


async def test_a_device_that_answers_and_does_not_let_go_is_told_so_and_not_asked_for_ever(tmp_path: Path) -> None:
    async with Bench(tmp_path).running() as bench:
        bench.plant.clings = "nothing to give back, the last value stays"
        command = bench.send(bench.wants(1.0, for_s=2))
        await bench.until(lambda: bench.outcome(command)[0] == State.EXPIRED, 10)
        assert bench.outcome(command)[1] == "not released: nothing to give back, the last value stays"
        assert [value for _, value, _ in bench.plant.writes] == [1.0, None, None, None]


async def test_a_device_that_is_lost_for_longer_than_its_timer_has_gone_back_by_itself(tmp_path: Path) -> None:
    async with Bench(tmp_path).running() as bench:
        command = bench.send(bench.wants(1.0, for_s=3000))
        await bench.becomes(command, State.DELIVERED)
        bench.plant.fails = DeviceUnreachable("battery: no answer within 1 s")
        assert "was not reached for 20 s" in await bench.becomes(command, State.REVERTED)


async def test_a_change_is_no_faster_than_allowed(tmp_path: Path) -> None:
    slow = Allowed("battery", "power_kw", "kW", -50, 50, "device_timer", safe=0.0, rate_per_s=2.0, pause_s=1.0)
    async with Bench(tmp_path, slow).running() as bench:
        begin_ms = bench.clock()
        command = bench.send(bench.wants(10.0, for_s=600))
        await bench.becomes(command, State.DELIVERED)
        values = [value for _, value, _ in bench.plant.writes if value is not None]
        assert values == [2.0, 4.0, 6.0, 8.0, 10.0]
        assert bench.clock() - begin_ms >= 4_000, "4 steps of 1 s after the first"


async def test_a_change_within_the_dead_band_is_not_written(tmp_path: Path) -> None:
    coarse = Allowed("battery", "power_kw", "kW", -50, 50, "device_timer", dead_band=0.5, pause_s=0.1)
    async with Bench(tmp_path, coarse).running() as bench:
        await bench.becomes(bench.send(bench.wants(10.0, for_s=600)), State.DELIVERED)
        near, far = bench.send(bench.wants(10.4, for_s=600)), None
        assert "dead-band" in await bench.becomes(near, State.DELIVERED)
        far = bench.send(bench.wants(10.6, for_s=600))
        await bench.becomes(far, State.DELIVERED)
        assert [value for _, value, _ in bench.plant.writes] == [10.0, 10.6]


async def test_too_many_plans_are_refused_and_answers_are_bounded(tmp_path: Path) -> None:
    async with Bench(tmp_path).running() as bench:

        def schedule(first: int) -> list[SetPoint]:
            at_ms = bench.clock() + 100_000 + first * 1_000
            return [
                SetPoint("battery", "power_kw", 1.0, at_ms + n * 1_000, at_ms + (n + 1) * 1_000) for n in range(256)
            ]

        sent = [bench.send(*schedule(256 * number)) for number in range(8)]
        assert "set-points that wait" in bench.outcome(sent[7])[1]
        for _ in range(100):
            bench.send(bench.wants(99.0))
        assert len(bench.control._record.kept()) <= 64


async def test_an_unexpected_end_of_a_write_is_tried_again(tmp_path: Path) -> None:
    async with Bench(tmp_path).running() as bench:
        bench.plant.fails = DriverError("battery: 64 writes wait for bus tcp already")
        command = bench.send(bench.wants(1.0, for_s=600))
        await bench.until(lambda: "64 writes wait" in bench.outcome(command)[1])
        bench.plant.fails = None
        await bench.becomes(command, State.DELIVERED)
