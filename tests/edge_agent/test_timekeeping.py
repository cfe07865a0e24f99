"""Clocks that are late, early, wrong or jump: which instant a reading gets, what a batch says of it, and what must not be lost."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge_agent.seal import MAX_HELD_READINGS, Batcher
from edge_agent.spool import Limits, Spool
from edge_agent.timekeeping import HOLD_AFTER_BOOT_MS, Sync, Timekeeper, kernel_sync, uptime_ms
from wire import content as wire_content
from wire.batch import peek
from wire.block import Block, Shape
from wire.content import Content
from wire.reading import REASON_CODES, Event, Quality

POWER = Shape(("active_power_kw",), (None,))
YEAR_2000_MS = 946_684_800_000  # where a board without a battery for its clock begins
NOON_MS = 1_795_262_400_000  # 2026-11-21T12:00Z
CLOCK = (int(Quality.UNCERTAIN), REASON_CODES["clock"])
CORRECTED = (int(Quality.GOOD), REASON_CODES["clock-corrected"])


@dataclass
class Machine:
    """A gateway whose clocks a test moves by hand, with the batches that its agent seals."""

    directory: Path
    wall_ms: int = YEAR_2000_MS
    monotonic_ms: int = 5_000
    sync: Sync | None = field(default_factory=lambda: Sync(False))

    def __post_init__(self) -> None:
        self.spool = Spool(self.directory / "spool", "works", "gw-01", Limits(max_age_ms=90 * 86_400_000), machine="m1")
        self.keeper = Timekeeper(lambda: self.wall_ms, lambda: self.sync, lambda: self.monotonic_ms, "boot-1")
        self.batcher = Batcher(self.spool, "works", "gw-01", None, lambda: self.wall_ms, self.keeper)

    def pass_s(self, seconds: float) -> None:
        self.wall_ms += round(seconds * 1000)
        self.monotonic_ms += round(seconds * 1000)

    def read(self, value: float, own_ms: int | None = None) -> None:
        """A device answers, stamped with the wall clock or with a clock of its own."""
        self.batcher.add_block(Block("incomer", POWER, (self.wall_ms if own_ms is None else own_ms,), ((value,),)))

    def ntp(self, wall_ms: int) -> None:
        """The clock is set right, and the agent looks at it."""
        self.wall_ms, self.sync = wall_ms, Sync(True, 1, 20)
        if self.keeper.look():
            self.batcher.release()

    def sealed(self) -> list[Content]:
        made = self.batcher.seal()
        return [peek(self.spool.read(epoch, seq) or b"") for epoch, seq in made]

    def readings(self) -> list[tuple[int, float | None, tuple[int, int]]]:
        """(instant, value, (quality, reason)) of all that is sealed now."""
        return [
            (block.at_ms[0], block.columns[0][0], block.quality[0] if block.quality else (0, 0))
            for content in self.sealed()
            for block in wire_content.blocks(content)
            for block in _single(block)
        ]


def _single(block: Block) -> list[Block]:
    return [
        Block(block.device, block.shape, (at_ms,), ((block.columns[0][index],),), block.quality)
        for index, at_ms in enumerate(block.at_ms)
    ]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_readings_before_ntp_wait_and_get_the_instants_that_the_monotonic_clock_gives_them(machine: Machine) -> None:
    """Taken 30 s and 10 s before the clock is set right: 11:59:30 and 11:59:50, though the wall clock said the year 2000."""
    machine.read(1.0)
    machine.pass_s(20)
    machine.read(2.0)
    machine.pass_s(10)
    assert machine.readings() == []
    machine.ntp(NOON_MS)
    assert machine.readings() == [(NOON_MS - 30_000, 1.0, CORRECTED), (NOON_MS - 10_000, 2.0, CORRECTED)]


def test_a_reading_after_ntp_is_simply_good_and_its_batch_says_how_good_the_clock_is(machine: Machine) -> None:
    machine.ntp(NOON_MS)
    machine.read(3.0)
    (content,) = machine.sealed()
    assert (content.clock.synced, content.clock.boot, content.clock.offset_ms, content.clock.error_ms) == (
        True,
        "boot-1",
        1,
        20,
    )
    assert content.blocks[0].quality == []


def test_events_wait_like_readings(machine: Machine) -> None:
    machine.batcher.add_event(Event("e", machine.wall_ms, "incomer", "device_lost", {}))
    machine.pass_s(4)
    machine.ntp(NOON_MS)
    (content,) = machine.sealed()
    assert [event.at_ms for event in content.events] == [NOON_MS - 4_000]


def test_an_instant_of_the_devices_own_clock_is_not_moved_with_the_gateways(machine: Machine) -> None:
    machine.read(1.0, own_ms=NOON_MS - 60_000)
    machine.pass_s(20)
    machine.ntp(NOON_MS)
    assert machine.readings() == [(NOON_MS - 60_000, 1.0, (0, 0))]


def test_a_clock_that_was_right_all_the_time_moves_nothing(machine: Machine) -> None:
    """A board with a battery clock: NTP confirms it without a step."""
    machine.wall_ms = NOON_MS
    machine.keeper.look()
    machine.read(1.0)
    machine.pass_s(2)
    machine.ntp(machine.wall_ms)
    assert machine.readings() == [(NOON_MS, 1.0, (0, 0))]


def test_ten_minutes_after_the_start_readings_go_out_uncertain_with_the_pair_that_can_set_them_right(
    machine: Machine,
) -> None:
    machine.read(1.0)
    machine.monotonic_ms = HOLD_AFTER_BOOT_MS
    machine.read(2.0)
    (content,) = machine.sealed()
    assert [run[:2] for run in content.blocks[0].quality] == [CLOCK]
    assert (content.clock.synced, content.clock.monotonic_ms) == (False, HOLD_AFTER_BOOT_MS)
    assert content.sealed_at_ms == YEAR_2000_MS
    # A later batch of the same start, synchronised: the two pairs differ by what the first one's instants are off.
    machine.pass_s(60)
    machine.ntp(NOON_MS)
    machine.read(3.0)
    (right,) = machine.sealed()
    assert right.clock.boot == content.clock.boot
    first, second = content.clock.monotonic_ms, right.clock.monotonic_ms
    assert first is not None
    assert second is not None
    off_ms = (right.sealed_at_ms - second) - (content.sealed_at_ms - first)
    assert YEAR_2000_MS + off_ms == NOON_MS - 60_000


def test_too_much_that_waits_goes_out_uncertain_rather_than_be_lost(machine: Machine) -> None:
    for number in range(MAX_HELD_READINGS + 2):
        machine.pass_s(0.001)
        machine.read(float(number))
    readings = machine.readings()
    assert [value for _, value, _ in readings] == [float(number) for number in range(MAX_HELD_READINGS + 1)]
    assert {pair for _, _, pair in readings} == {CLOCK}
    assert machine.spool.gaps_total == 1, "the new spool's own"


def test_what_waits_when_the_agent_stops_is_sealed_as_uncertain(machine: Machine) -> None:
    machine.read(1.0)
    machine.batcher.release()
    assert machine.readings() == [(YEAR_2000_MS, 1.0, CLOCK)]


def test_a_clock_that_nobody_can_ask_about_is_believed(tmp_path: Path) -> None:
    machine = Machine(tmp_path, sync=None)
    machine.read(1.0)
    (content,) = machine.sealed()
    assert (content.clock.synced, content.blocks[0].quality) == (None, [])


@pytest.mark.parametrize("step_s", [-3600, 7200])
def test_a_step_is_told_once_with_its_size(machine: Machine, step_s: int) -> None:
    machine.ntp(NOON_MS)
    machine.pass_s(5)
    assert machine.keeper.look() is None
    machine.wall_ms += step_s * 1000
    step = machine.keeper.look()
    assert step is not None
    assert (step.step_ms, step.synced) == (step_s * 1000, True)
    assert machine.keeper.look() is None


def test_losing_synchronisation_is_told_without_a_step(machine: Machine) -> None:
    machine.ntp(NOON_MS)
    machine.sync = Sync(False)
    step = machine.keeper.look()
    assert step is not None
    assert (step.step_ms, step.synced) == (0, False)


def test_a_leap_of_years_ages_nothing_out_of_the_spool_before_ntp_confirms_it(tmp_path: Path) -> None:
    machine = Machine(tmp_path, wall_ms=NOON_MS, monotonic_ms=HOLD_AFTER_BOOT_MS)
    machine.read(1.0)
    machine.batcher.seal()
    machine.spool.sync()
    machine.wall_ms += 365 * 86_400_000
    machine.keeper.look()
    machine.spool.tidy(machine.keeper.age_ms())
    assert machine.spool.depth().batches == 1
    machine.ntp(machine.wall_ms)  # it has really been away for a year
    machine.spool.tidy(machine.keeper.age_ms())
    assert machine.spool.depth().batches == 0


def test_a_leap_back_after_a_leap_ahead_leaves_nothing_of_it(tmp_path: Path) -> None:
    machine = Machine(tmp_path, wall_ms=NOON_MS)
    for step_s in (10 * 86_400, -10 * 86_400):
        machine.wall_ms += step_s * 1000
        machine.keeper.look()
    assert machine.keeper.age_ms() == NOON_MS


def test_this_machine_answers_or_says_that_it_cannot() -> None:
    """What the kernel says here is not ours to choose, but it is one of three answers, and the uptime runs on."""
    state = kernel_sync()
    assert state is None or state.synced in (True, False)
    assert state is None or not state.synced or (state.error_ms is not None and state.error_ms >= 0)
    assert 0 < uptime_ms() <= uptime_ms()
