"""Polling against drivers that are told what to do: periods, a dead device, a dead bus, boundaries, order of instants, stopping.

Clocks run a hundred times as fast as life, so a second is ten milliseconds; times in the assertions are simulated.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

import pytest
from event_bodies import faults

from edge_agent import bus_task
from edge_agent.breaker import BACK_OFF_FIRST_S
from edge_agent.collect import Collection
from edge_agent.drivers.declared import Bus
from edge_agent.drivers.driver import Answer, BusUnreachable, DevicePlan, DeviceRefused, DeviceUnreachable, Gateway
from edge_agent.drivers.modbus.declared import Device, TcpBus
from edge_agent.edge_file import EdgeFile, Mqtt, SpoolSettings
from wire.block import Block, Shape
from wire.clock import Clock
from wire.reading import REASON_CODES, Event, Quality

START_MS = 1_800_000_000_000  # a full quarter hour: 1.8e12 / 900,000 = 2,000,000
SHAPE = Shape(("active_power_kw",), (None,))


@dataclass
class Scripted:
    """A driver whose devices answer at once, or as `behave` says; it notes every read as (device, simulated ms, counters only)."""

    now_ms: Callable[[], int]
    behave: Callable[[str], Answer | None] = lambda device: None
    reads: list[tuple[str, int, bool]] = field(default_factory=list)
    closed: bool = False
    listens: bool = False

    async def read(self, device: DevicePlan, deadline_s: float | None = None, counters_only: bool = False) -> Answer:
        self.reads.append((device.name, self.now_ms(), counters_only))
        await asyncio.sleep(0)
        answer = self.behave(device.name)
        return Answer([Block(device.name, SHAPE, (self.now_ms(),), ((1.0,),))]) if answer is None else answer

    def requests(self, device: DevicePlan) -> tuple[str, ...]:
        return ()

    async def close(self) -> None:
        self.closed = True

    def count(self, device: str) -> int:
        return sum(name == device for name, _, _ in self.reads)


@dataclass
class Run:
    """A collection with what it gave."""

    collection: Collection
    drivers: list[Scripted]
    blocks: list[Block]
    events: list[Event]

    async def until(self, reached: Callable[[], bool], real_s: float = 5.0) -> None:
        """Polls until `reached`, then stops and waits for the end."""
        task = asyncio.create_task(self.collection.run())
        deadline = asyncio.get_running_loop().time() + real_s
        while not reached():
            assert asyncio.get_running_loop().time() < deadline, "not reached in time"
            await asyncio.sleep(0.002)
        self.collection.stop()
        await asyncio.wait_for(task, 2)


def device(name: str, unit: int = 1, period_s: float = 1.0, boundary_poll: bool = False) -> Device:
    return Device(name=name, model="eastron_sdm120", unit=unit, period_s=period_s, boundary_poll=boundary_poll)


def collect(
    buses: Sequence[Sequence[Device]],
    behave: Callable[[str], Answer | None] = lambda device: None,
    clock: Clock | None = None,
    *,
    listens: bool = False,
) -> Run:
    clock = clock or Clock(START_MS, speed=100.0)
    edge = EdgeFile(
        "works",
        "gw",
        Mqtt("127.0.0.1", plain=True),
        SpoolSettings("spool"),
        [
            TcpBus(name=f"bus{i}", protocol="modbus_tcp", host=f"10.0.0.{i}", device=list(devices))
            for i, devices in enumerate(buses)
        ],
    )
    drivers: list[Scripted] = []

    def open_driver(bus: Bus, gateway: Gateway) -> Scripted:
        drivers.append(Scripted(gateway.now_ms, behave, listens=listens))
        return drivers[-1]

    blocks: list[Block] = []
    events: list[Event] = []
    return Run(Collection(edge, clock, blocks.append, events.append, open_driver, seed=7), drivers, blocks, events)


async def test_a_device_is_polled_once_a_period() -> None:
    run = collect([[device("a", period_s=2.0)]])
    await run.until(lambda: run.drivers[0].count("a") >= 11)
    instants = [at_ms for _, at_ms, _ in run.drivers[0].reads]
    (state,) = run.collection.states()
    assert (instants[-1] - instants[0]) / (state.polls + state.skipped - 1) == pytest.approx(2000, rel=0.25)
    assert len(run.blocks) == state.polls == run.drivers[0].count("a")


async def test_each_device_has_its_own_period_on_a_shared_bus() -> None:
    run = collect([[device("fast", 1, 1.0), device("slow", 2, 5.0)]])
    await run.until(lambda: run.drivers[0].count("slow") >= 5)
    fast, slow = (state.polls + state.skipped for state in run.collection.states())
    assert fast == pytest.approx(5 * slow, abs=6)


async def test_devices_of_one_bus_start_spread_over_the_period() -> None:
    clock = Clock(START_MS, speed=20.0)
    run = collect([[device(name, unit, 4.0) for unit, name in enumerate("abcd", 1)]], clock=clock)
    await run.until(lambda: len(run.drivers[0].reads) >= 9)
    instants = [at_ms for _, at_ms, _ in run.drivers[0].reads]
    gaps_ms = [after - before for before, after in pairwise(instants)]
    assert median(gaps_ms) == pytest.approx(1000, abs=300)  # 4 s / 4 devices, and not all in one moment


async def test_each_bus_has_a_driver_of_its_own_and_closes_it() -> None:
    run = collect([[device("a")], [device("b", 2)]])
    await run.until(lambda: len(run.blocks) >= 4)
    assert [driver.closed for driver in run.drivers] == [True, True]


async def test_a_dead_device_is_lost_once_and_asked_less_and_less() -> None:
    def behave(name: str) -> Answer | None:
        if name == "dead":
            raise DeviceUnreachable("dead: no answer within 1 s")
        return None

    run = collect([[device("dead"), device("alive", 2)]], behave)
    await run.until(lambda: run.drivers[0].count("alive") >= 40)
    assert 2 <= run.drivers[0].count("dead") <= 6  # 0, 2, 6, 14, 30 s, each with a quarter of jitter
    (lost,) = run.events
    assert (lost.kind, lost.device, lost.body["error"]) == ("device_lost", "dead", "DeviceUnreachable")
    assert lost.body["reason"] == "dead: no answer within 1 s"
    dead, alive = run.collection.states()
    assert (dead.online, alive.online) == (False, True)
    assert dead.faults == {"DeviceUnreachable": run.drivers[0].count("dead")}


async def test_a_device_that_comes_back_says_how_long_it_was_away() -> None:
    gone_until = 3

    def behave(name: str) -> Answer | None:
        if run.drivers[0].count(name) <= gone_until:
            raise DeviceUnreachable("a: no answer")
        return None

    run = collect([[device("a")]], behave)
    await run.until(lambda: len(run.blocks) >= 3)
    lost, back = run.events
    assert [fault for event in run.events for fault in faults(event.kind, event.body)] == []
    assert (lost.kind, back.kind) == ("device_lost", "device_back")
    away_s = back.body["away_s"]
    assert isinstance(away_s, float)
    assert away_s == pytest.approx((back.at_ms - lost.at_ms) / 1000)
    assert 0.75 * (2 + 4 + 8) <= away_s <= 1.25 * (2 + 4 + 8) + 3


async def test_the_silence_of_a_dead_device_takes_at_most_a_third_of_the_bus() -> None:
    """At this speed the back-off of 2 s is 20 ms, less than the 30 ms that the silence costs: real time is the bound."""

    async def read(
        self: Scripted, plan: DevicePlan, deadline_s: float | None = None, counters_only: bool = False
    ) -> Answer:
        self.reads.append((plan.name, self.now_ms(), counters_only))
        if plan.name == "dead":
            await asyncio.sleep(0.03)
            raise DeviceUnreachable("dead: no answer")
        return Answer([Block(plan.name, SHAPE, (self.now_ms(),), ((1.0,),))])

    run = collect([[device("dead"), device("alive", 2)]])
    run.drivers[0].read = read.__get__(run.drivers[0])  # type: ignore[method-assign]
    begin_s = asyncio.get_running_loop().time()
    await run.until(lambda: asyncio.get_running_loop().time() > begin_s + 0.4)
    assert run.drivers[0].count("dead") * 0.03 <= 0.4 / 3 + 0.06
    assert BACK_OFF_FIRST_S == 2.0


async def test_when_the_bus_is_down_one_device_probes_and_all_come_back_together() -> None:
    down = True

    def behave(name: str) -> Answer | None:
        if down:
            raise BusUnreachable("10.0.0.0:502: no connection")
        return None

    run = collect([[device(name, unit) for unit, name in enumerate("abc", 1)]], behave)
    task = asyncio.create_task(run.collection.run())
    while len(run.drivers[0].reads) < 3:
        await asyncio.sleep(0.002)
    assert sorted(event.device for event in run.events) == ["a", "b", "c"]
    assert {event.kind for event in run.events} == {"device_lost"}
    first, *others = run.events
    assert first.body["reason"] == "10.0.0.0:502: no connection"
    for other in others:
        assert other.body["reason"] == f"{other.device}: its bus is gone: 10.0.0.0:502: no connection"
    down = False
    while len(run.events) < 6:
        await asyncio.sleep(0.002)
    run.collection.stop()
    await task
    back = run.events[3:]
    assert sorted(event.device for event in back) == ["a", "b", "c"]
    assert max(event.at_ms for event in back) - min(event.at_ms for event in back) < 2000


async def test_what_went_wrong_with_one_block_is_counted_and_the_others_arrive() -> None:
    def behave(name: str) -> Answer | None:
        block = Block(name, SHAPE, (START_MS + 10 * len(run.drivers[0].reads),), ((1.0,),))
        return Answer([block], faults=[DeviceRefused("a: 2 registers", 4)], requests=2)

    run = collect([[device("a")]], behave)
    await run.until(lambda: len(run.blocks) >= 2)
    (state,) = run.collection.states()
    assert state.online is True
    assert state.faults == {"DeviceRefused": len(run.drivers[0].reads)}
    assert run.events == []


async def test_counters_are_read_once_more_in_the_second_after_each_quarter_hour() -> None:
    clock = Clock(START_MS - 20_000, speed=100.0)
    run = collect([[device("a", period_s=7.0, boundary_poll=True)]], clock=clock)
    await run.until(lambda: clock.now_ms() > START_MS + 20_000)
    extra = [at_ms for _, at_ms, counters_only in run.drivers[0].reads if counters_only]
    assert len(extra) == 1
    assert START_MS <= extra[0] <= START_MS + 1000


async def test_a_device_that_does_not_want_it_gets_no_extra_poll() -> None:
    clock = Clock(START_MS - 5_000, speed=100.0)
    run = collect([[device("a", boundary_poll=False)]], clock=clock)
    await run.until(lambda: clock.now_ms() > START_MS + 5_000)
    assert not any(counters_only for _, _, counters_only in run.drivers[0].reads)


async def test_a_wall_clock_that_steps_back_never_repeats_an_instant() -> None:
    instants = iter([START_MS, START_MS + 1000, START_MS - 3_600_000, START_MS - 3_599_000, START_MS + 5000])

    def behave(name: str) -> Answer | None:
        at_ms = next(instants, None)
        return Answer([] if at_ms is None else [Block("a", SHAPE, (at_ms,), ((1.0,),))])

    run = collect([[device("a")]], behave)
    await run.until(lambda: len(run.blocks) >= 5)
    assert [block.at_ms[0] - START_MS for block in run.blocks] == [0, 1000, 1001, 1002, 5000]
    uncertain = ((int(Quality.UNCERTAIN), REASON_CODES["clock"]),)
    assert [block.quality for block in run.blocks] == [(), (), uncertain, uncertain, ()]


async def test_two_answers_in_one_millisecond_are_put_in_order_without_a_blemish() -> None:
    def behave(name: str) -> Answer | None:
        return Answer([Block("a", SHAPE, (START_MS,), ((1.0,),))])

    run = collect([[device("a")]], behave)
    await run.until(lambda: len(run.blocks) >= 3)
    assert [block.at_ms[0] - START_MS for block in run.blocks[:3]] == [0, 1, 2]
    assert all(block.quality == () for block in run.blocks)


async def test_polls_that_the_bus_had_no_time_for_are_counted_and_not_made_up() -> None:
    def slow(name: str) -> Answer | None:
        return None

    run = collect([[device("a", 1, 0.5)]], slow)
    original = run.drivers[0].read

    async def read(plan: DevicePlan, deadline_s: float | None = None, counters_only: bool = False) -> Answer:
        await asyncio.sleep(0.02)  # 2 s on this clock, four periods
        return await original(plan, deadline_s, counters_only)

    run.drivers[0].read = read  # type: ignore[assignment, method-assign]
    await run.until(lambda: run.drivers[0].count("a") >= 5)
    (state,) = run.collection.states()
    assert state.skipped >= 12
    assert state.lateness_max_ms > 0


async def test_a_read_under_way_is_finished_when_the_collection_stops() -> None:
    run = collect([[device("a")]])
    original, begun = run.drivers[0].read, asyncio.Event()

    async def read(plan: DevicePlan, deadline_s: float | None = None, counters_only: bool = False) -> Answer:
        begun.set()
        await asyncio.sleep(0.05)
        return await original(plan, deadline_s, counters_only)

    run.drivers[0].read = read  # type: ignore[assignment, method-assign]
    task = asyncio.create_task(run.collection.run())
    await begun.wait()
    run.collection.stop()
    await asyncio.wait_for(task, 2)
    assert len(run.blocks) == 1
    assert run.drivers[0].closed


async def test_a_driver_that_fails_in_an_unforeseen_way_costs_its_device_and_not_the_bus(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def behave(name: str) -> Answer | None:
        if name == "odd":
            raise ZeroDivisionError("never thought of")
        return None

    run = collect([[device("odd"), device("even", 2)]], behave)
    await run.until(lambda: len(run.blocks) >= 5)
    (lost,) = run.events
    assert lost.body["reason"] == "odd: ZeroDivisionError: never thought of"
    assert "read_failed device=odd" in caplog.text


async def test_a_device_that_speaks_by_itself_is_not_lost_before_it_had_time_to_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = {"early": False}

    def behave(name: str) -> Answer | None:
        if not calls[name]:
            raise DeviceUnreachable(f"{name}: not connected")
        return None

    run = collect([[device("early")]], behave, listens=True)
    await run.until(lambda: run.drivers[0].count("early") >= 5)
    assert run.events == []
    (state,) = run.collection.states()
    assert (state.online, state.reason) == (None, "early: not connected")

    monkeypatch.setattr(bus_task, "AWAITED_S", 0.0)
    run = collect([[device("early")]], behave, listens=True)
    await run.until(lambda: bool(run.events))
    assert [event.kind for event in run.events] == ["device_lost"]


async def test_a_device_that_spoke_and_is_gone_is_lost_at_once() -> None:
    calls = [True]

    def behave(name: str) -> Answer | None:
        if not calls[0]:
            raise DeviceUnreachable(f"{name}: not connected")
        calls[0] = False
        return None

    run = collect([[device("pile")]], behave, listens=True)
    await run.until(lambda: bool(run.events))
    assert [event.kind for event in run.events] == ["device_lost"]
