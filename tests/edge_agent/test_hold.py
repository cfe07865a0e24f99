"""A point that the gateway's own limits hold: newest value at once, fed, tried again, never released because something was refused."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from edge_agent.allow import Allowed
from edge_agent.drivers.driver import DeviceRefused, Written
from edge_agent.hold import Hold

SPEED = 20.0
PILE = Allowed("pile", "charging_limit_kw", "kW", 0, 22, "device_timer", hold_s=12, pause_s=0.2)


class Pile:
    """A device that takes what it is told, unless it refuses."""

    def __init__(self) -> None:
        self.writes: list[tuple[float | None, float]] = []
        self.refuses = False
        self.held: list[bool] = []
        self.said: list[str] = []

    async def write(self, _device: str, _point: str, value: float | None, hold_s: float) -> Written:
        if self.refuses:
            raise DeviceRefused("pile", "budget")
        self.writes.append((value, hold_s))
        return Written(True, None, value)

    async def durable(self, held: bool) -> None:
        self.held.append(held)


@asynccontextmanager
async def holding(pile: Pile, allowed: Allowed = PILE, life_s: float = 10.0) -> AsyncIterator[Hold]:
    hold = Hold(allowed, pile.write, pile.durable, pile.said.append, SPEED, retry_s=0.05, life_s=life_s)
    task = asyncio.create_task(hold.run())
    try:
        yield hold
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(met: Callable[[], bool], again: Callable[[], None] = lambda: None) -> None:
    async with asyncio.timeout(10):
        while not met():
            again()
            await asyncio.sleep(0.005)


async def test_a_value_is_written_once_and_fed_at_two_thirds_of_the_devices_timer() -> None:
    pile = Pile()
    async with holding(pile) as hold:
        hold.follow(11.0)
        await until(lambda: len(pile.writes) == 3, lambda: hold.follow(11.0))
        assert pile.writes == [(11.0, 12)] * 3
        assert pile.held == [True]
        hold.let_go()
        await hold.idle.wait()
    assert pile.writes[-1] == (None, 0.0)
    assert pile.held == [True, False]


async def test_a_refused_value_is_tried_again_and_the_one_before_is_not_released() -> None:
    pile = Pile()
    async with holding(pile) as hold:
        hold.follow(11.0)
        await until(lambda: bool(pile.writes))
        pile.refuses = True
        hold.follow(6.0)
        await until(lambda: bool(pile.said), lambda: hold.follow(6.0))
        assert "budget" in pile.said[0]
        pile.refuses = False
        await until(lambda: pile.writes[-1][0] == 6.0, lambda: hold.follow(6.0))
        await until(lambda: pile.said[-1] == "", lambda: hold.follow(6.0))
    assert None not in [value for value, _ in pile.writes]


async def test_a_point_that_nobody_steers_any_more_is_let_go_of() -> None:
    pile = Pile()
    async with holding(pile, life_s=0.1) as hold:
        hold.follow(11.0)
        await until(lambda: pile.held == [True, False])
    assert pile.writes[-1] == (None, 0.0)


async def test_what_an_earlier_run_has_left_is_released_first_unless_it_is_steered_on() -> None:
    pile = Pile()
    async with holding(pile) as hold:
        hold.left_behind()
        await hold.idle.wait()
    assert pile.writes == [(None, 0.0)]


async def test_a_value_beyond_what_is_allowed_is_held_at_the_bound() -> None:
    pile = Pile()
    async with holding(pile) as hold:
        hold.follow(30.0)
        await until(lambda: bool(pile.writes))
    assert pile.writes == [(22, 12)]
