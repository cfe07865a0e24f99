"""The gateway as a meter: a hand-made Raspberry Pi 60 s apart, this machine's own /proc, and energy that survives restarts and power cuts."""

import os
import random
import resource
import shutil
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from edge_agent import meter
from edge_agent.drivers.driver import Answer, DeviceUnreachable, Gateway
from edge_agent.drivers.host.declared import EXPONENTS, Bus, Device, Model, Row, faults, plan, row_faults
from edge_agent.drivers.host.driver import Host
from edge_agent.drivers.host.power import BOARDS, EnergyCounter, PowerModel
from edge_agent.drivers.table import open_driver
from wire.quantities import QUANTITIES
from wire.reading import Quality, Reading

GOLDEN = Path(__file__).parents[2] / "frames" / "gateway"
RECORDED = tomllib.loads((GOLDEN / "recorded.toml").read_text("utf-8"))
PI_4 = BOARDS["raspberry_pi_4"][1]
MODEL = cast("Model", meter.load("gateway"))
AT_MS = 1_800_000_000_000


class Machine:
    """A driver over a root that a test lays out, and what it reads."""

    def __init__(
        self, root: Path, state: Path | None = None, figures: Mapping[str, float] | None = None, **keys: Any
    ) -> None:
        self.root = root
        self.frames: list[tuple[str, bool, bytes]] = []
        device = Device(name="gw", model="gateway", **keys)
        self.bus = Bus(name="own", protocol="host", root=str(root), device=[device])
        self.plan = plan(self.bus, device, MODEL)
        self.gateway = Gateway(
            lambda: AT_MS, state, lambda *frame: self.frames.append(frame), lambda: dict(figures or {})
        )
        self.driver = Host(self.bus, self.gateway, lambda _directory: tuple(RECORDED["disk"]))

    def show(self, instant: str) -> None:
        """Lays out the machine of `instant` ("first" or "second")."""
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(GOLDEN / instant, self.root)

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text, encoding="utf-8")

    async def read(self) -> dict[str, Reading]:
        return readings(await self.driver.read(self.plan))


def readings(answer: Answer) -> dict[str, Reading]:
    (block,) = answer.blocks
    return {reading.quantity: reading for reading in block.readings()}


@pytest.fixture
def pi(tmp_path: Path) -> Machine:
    """A Raspberry Pi 4 at its first instant, with a state directory."""
    (tmp_path / "state").mkdir()
    machine = Machine(tmp_path / "root", tmp_path / "state", RECORDED["figures"])
    machine.show("first")
    return machine


async def test_the_recorded_machine_means_what_it_says(pi: Machine) -> None:
    await pi.read()
    pi.show("second")
    seen = await pi.read()
    assert {name: reading.value for name, reading in seen.items() if reading.value is not None} == RECORDED["values"]
    assert all(reading.at_ms == AT_MS for reading in seen.values())


async def test_what_is_estimated_says_so_and_what_is_counted_is_good(pi: Machine) -> None:
    await pi.read()
    pi.show("second")
    seen = await pi.read()
    estimated = {name for name, reading in seen.items() if reading.reason == "estimated"}
    assert estimated == {"active_power_kw", "energy_import_kwh"}
    assert all(seen[name].quality is Quality.UNCERTAIN for name in estimated)
    assert all(
        reading.quality is Quality.GOOD for name, reading in seen.items() if name not in {*estimated, "emitted_kg_co2e"}
    )


async def test_shares_of_time_are_not_told_before_there_is_a_span(pi: Machine) -> None:
    first = await pi.read()
    for name in ("host_cpu_percent", "agent_cpu_percent", "active_power_kw"):
        assert (first[name].value, first[name].quality, first[name].reason) == (None, Quality.BAD, "restart")
    assert first["energy_import_kwh"].value == 0


async def test_a_second_look_at_once_repeats_the_shares_instead_of_dividing_by_nothing(pi: Machine) -> None:
    await pi.read()
    pi.show("second")
    await pi.read()
    again = await pi.read()
    assert (again["host_cpu_percent"].value, again["active_power_kw"].value) == (5.0, 0.002885)


async def test_without_a_declared_intensity_nothing_is_said_of_emissions(pi: Machine) -> None:
    await pi.read()
    pi.show("second")
    emitted = (await pi.read())["emitted_kg_co2e"]
    assert (emitted.value, emitted.quality, emitted.reason) == (None, Quality.BAD, "not-implemented")


async def test_a_declared_intensity_gives_kilograms_of_what_was_counted_under_it(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "root", idle_w=3600.0, core_w=0.0, kg_co2e_per_kwh=0.5, intensity_source="a contract")
    machine.show("first")
    await machine.read()
    machine.show("second")  # 60 s of 3,600 W are 0.06 kWh
    seen = await machine.read()
    assert (seen["energy_import_kwh"].value, seen["emitted_kg_co2e"].value) == (0.06, 0.03)


async def test_what_a_machine_does_not_have_is_null_and_not_implemented_and_no_fault(pi: Machine) -> None:
    await pi.read()
    pi.show("second")
    for name in ("proc/self/io", "proc/device-tree", "sys"):
        place = pi.root / name
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    answer = await pi.driver.read(pi.plan)
    seen = readings(answer)
    for name in (
        "host_temperature_degc",
        "flash_written_bytes",
        "agent_written_bytes",
        "active_power_kw",
        "energy_import_kwh",
    ):
        assert (seen[name].value, seen[name].reason) == (None, "not-implemented"), name
    assert seen["host_cpu_percent"].value == 5.0
    assert answer.faults == []


@pytest.mark.parametrize(
    ("file", "text", "lost"),
    [
        ("proc/stat", "cpu  1 2 three 4 5 6 7 8", {"host_cpu_percent", "active_power_kw", "energy_import_kwh"}),
        ("proc/stat", "intr 7", {"host_cpu_percent", "active_power_kw", "energy_import_kwh"}),
        ("proc/uptime", "inf", {"agent_cpu_percent", "active_power_kw", "energy_import_kwh"}),
        ("proc/self/stat", "1287 (wattline S 1", {"agent_cpu_percent"}),
        ("proc/self/status", "VmRSS: 34 MB", {"agent_memory_mib"}),
        ("proc/self/io", "write_bytes: -1", {"agent_written_bytes"}),
        ("proc/meminfo", "MemTotal: 1 kB", {"host_memory_mib"}),
        ("sys/class/thermal/thermal_zone0/temp", "warm", {"host_temperature_degc"}),
        ("sys/block/mmcblk0/stat", "1 2 3", {"flash_written_bytes"}),
    ],
)
async def test_a_file_that_reads_otherwise_costs_its_own_figures_and_names_itself(
    pi: Machine, file: str, text: str, lost: set[str]
) -> None:
    await pi.read()
    pi.show("second")
    pi.write(file, text)
    answer = await pi.driver.read(pi.plan)
    (fault,) = answer.faults
    assert f"/{file}: expected" in str(fault)
    faulty = {name for name, reading in readings(answer).items() if reading.reason == "device-fault"}
    assert lost <= faulty <= {*lost, "emitted_kg_co2e", "host_cpu_percent", "agent_cpu_percent"}


async def test_spoiled_files_cost_figures_and_nothing_else(pi: Machine) -> None:
    files = sorted(path for path in pi.root.rglob("*") if path.is_file())
    sound = {path: path.read_bytes() for path in files}
    dice, until = random.Random(20_261_121), time.monotonic() + 3
    while time.monotonic() < until:
        path = dice.choice(files)
        raw = bytearray(sound[path])
        for _ in range(dice.randint(1, 8)):
            at = dice.randrange(len(raw) + 1)
            raw[at : at + dice.randint(0, 4)] = dice.choice(
                [b"", b"-", b".", b" ", b"\n", b"\0", b"\xff", b"inf", b"nan", b"9" * 30, b":", b"kB", b"(", b")"]
            )
        path.write_bytes(raw)
        try:
            answer = await pi.driver.read(pi.plan)
        except DeviceUnreachable:
            answer = Answer()
        for block in answer.blocks:
            for reading in block.readings():
                quantity = QUANTITIES[reading.quantity]
                assert reading.value is None or quantity.low <= reading.value <= quantity.high, (path, bytes(raw))
        path.write_bytes(sound[path])


async def test_a_temperature_that_no_board_can_have_is_out_of_range(pi: Machine) -> None:
    pi.write("sys/class/thermal/thermal_zone0/temp", "2147483647")
    hot = (await pi.read())["host_temperature_degc"]
    assert (hot.value, hot.quality, hot.reason) == (None, Quality.BAD, "out-of-range")


async def test_the_processors_sensor_is_taken_unless_another_is_named(pi: Machine) -> None:
    other = pi.root / "sys/class/thermal/thermal_zone1"
    shutil.copytree(pi.root / "sys/class/thermal/thermal_zone0", other)
    pi.write("sys/class/thermal/thermal_zone0/type", "gpu-thermal")
    pi.write("sys/class/thermal/thermal_zone0/temp", "61000")
    chip = pi.root / "sys/class/hwmon/hwmon1"
    chip.mkdir()
    (chip / "name").write_text("nvme\n")
    (chip / "temp1_input").write_text("38850\n")
    assert (await pi.read())["host_temperature_degc"].value == 48.686
    for sensor, value in (("nvme", 38.85), ("gpu-thermal", 61.0)):
        named = Machine(pi.root, sensor=sensor)
        assert (await named.read())["host_temperature_degc"].value == value
    missing = Machine(pi.root, sensor="soc")
    (fault,) = (await missing.driver.read(missing.plan)).faults
    assert "expected one of ['cpu-thermal', 'gpu-thermal', 'nvme'], saw 'soc'" in str(fault)


async def test_named_block_devices_alone_are_counted(pi: Machine) -> None:
    named = Machine(pi.root, flash=["zram0", "mmcblk0"])
    assert (await named.read())["flash_written_bytes"].value == (1_204_224 + 72_000) * 512
    missing = Machine(pi.root, flash=["sdz"])
    (fault,) = (await missing.driver.read(missing.plan)).faults
    assert "/sys/block/sdz/stat" in str(fault)


async def test_a_root_without_proc_is_a_device_that_cannot_be_reached(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    with pytest.raises(DeviceUnreachable, match="gw: expected /proc/uptime and /proc/stat under"):
        await machine.driver.read(machine.plan)


async def test_the_flight_recorder_is_given_what_was_read(pi: Machine) -> None:
    await pi.read()
    ((device, sent, raw),) = pi.frames
    assert (device, sent) == ("gw", False)
    assert b"btime 1792000000" in raw
    assert b"thermal_zone0/temp" in raw


# ---- energy that is never told twice and never taken back


async def restarted(pi: Machine, *, goodbye: bool) -> Machine:
    """Another agent on the same machine and state; the first one closed, or killed."""
    if goodbye:
        await pi.driver.close()
    return Machine(pi.root, pi.gateway.state)


@pytest.mark.parametrize("goodbye", [True, False])
async def test_energy_goes_on_after_a_restart_with_what_the_machine_used_meanwhile(pi: Machine, goodbye: bool) -> None:
    await pi.read()
    again = await restarted(pi, goodbye=goodbye)
    again.show("second")
    assert (await again.read())["energy_import_kwh"].value == 0.000048


@pytest.mark.parametrize(("goodbye", "reserve_j"), [(True, 0.0), (False, 300 * (2.7 + 4 * 0.925))])
async def test_energy_of_another_boot_is_added_and_after_a_power_cut_what_may_have_been_told(
    pi: Machine, goodbye: bool, reserve_j: float
) -> None:
    await pi.read()  # counted: 0 J
    again = await restarted(pi, goodbye=goodbye)
    again.write("proc/sys/kernel/random/boot_id", "another\n")
    since_boot_j = 2.7 * 1000.0 + 0.925 * 150.0
    assert (await again.read())["energy_import_kwh"].value == pytest.approx(
        (since_boot_j + reserve_j) / 3.6e6, abs=1e-6
    )


def test_energy_never_falls_however_often_the_power_is_cut(tmp_path: Path) -> None:
    path, told_kwh, saves = tmp_path / "host.json", 0.0, 0
    for boot in range(20):
        counter = EnergyCounter(PI_4, 4, None, path)
        for second in range(0, 2000, 37):  # four busy cores: as much as the machine can take
            counter.advance(f"boot {boot}", float(second), 4.0 * second)
            if counter.must_be_saved:
                counter.save()
                saves += 1
            assert counter.energy_kwh >= told_kwh
            told_kwh = counter.energy_kwh
    true_kwh = 20 * 54 * 37 * 6.4 / 3.6e6
    assert true_kwh <= told_kwh + 1e-9
    assert told_kwh <= true_kwh + 19 * 300 * 6.4 / 3.6e6 + 1e-9
    assert saves <= 20 * (2000 / 300 + 2)


def test_four_watts_for_a_day_are_96_wh_and_51_g(tmp_path: Path) -> None:
    counter = EnergyCounter(PowerModel(4.0, 0.0), 4, 0.5306, tmp_path / "host.json")
    counter.advance("boot", 500.0, 70.0)
    counter.advance("boot", 500.0 + 86_400, 4000.0)
    assert counter.energy_kwh == pytest.approx(0.096)
    assert counter.emitted_kg == pytest.approx(0.0509376)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"energy_kwh": -1}', "\0\0\0"])
async def test_a_spoiled_state_file_is_said_and_the_count_begins_anew(pi: Machine, text: str) -> None:
    assert pi.gateway.state is not None
    (pi.gateway.state / "host-gw.json").write_text(text)
    answer = await pi.driver.read(pi.plan)
    assert readings(answer)["energy_import_kwh"].value == 0
    (fault,) = answer.faults
    assert "counting from 0" in str(fault)


async def test_a_state_directory_that_cannot_be_written_is_said_and_the_figures_still_come(pi: Machine) -> None:
    assert pi.gateway.state is not None
    pi.gateway.state.rmdir()
    answer = await pi.driver.read(pi.plan)
    assert readings(answer)["energy_import_kwh"].value == 0
    assert "expected a state directory that can be written" in str(answer.faults[0])
    await pi.driver.close()


def test_the_models_of_the_boards_give_the_measured_powers() -> None:
    pi_4, pi_5 = BOARDS["raspberry_pi_4"][1], BOARDS["raspberry_pi_5"][1]
    assert pi_4.power_w(0) == 2.7
    assert pi_4.power_w(4) == pytest.approx(6.4)
    assert pi_5.power_w(4) - pi_5.power_w(0) == pytest.approx(6.1)
    assert PowerModel(10, 5).power_w(1.5) == 17.5


# ---- this machine


async def test_this_machine_is_read_as_its_kernel_tells_others(tmp_path: Path) -> None:
    device = Device(name="gw", model="gateway", idle_w=10.0, core_w=5.0, disk=str(tmp_path))
    bus = Bus(name="own", protocol="host", device=[device])
    driver = open_driver(bus, Gateway(lambda: time.time_ns() // 1_000_000, tmp_path))
    gateway = plan(bus, device, MODEL)
    first = readings(await driver.read(gateway))
    begun, own_s = time.monotonic(), time.process_time()
    while time.monotonic() - begun < 1.2:  # a span of processor time that can be told
        sum(range(10_000))
    second = readings(await driver.read(gateway))
    took_s, own_s = time.monotonic() - begun, time.process_time() - own_s
    agent = second["agent_cpu_percent"].value
    assert agent is not None
    assert agent / 100 * took_s == pytest.approx(own_s, abs=0.1 * took_s + 0.05)
    resident, most = second["agent_memory_mib"].value, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert resident is not None
    assert 5 < resident <= most + 1
    space = os.statvfs(tmp_path)
    free = second["host_disk_free_bytes"].value
    assert free is not None
    assert abs(free - space.f_bavail * space.f_frsize) < 2**30
    power, busy = second["active_power_kw"].value, second["host_cpu_percent"].value
    assert power is not None
    assert busy is not None
    assert 0.010 <= power <= 0.010 + 0.005 * ((os.cpu_count() or 1) + 0.1)
    before, after = first["energy_import_kwh"].value, second["energy_import_kwh"].value
    assert before == 0
    assert after is not None
    assert after * 3.6e6 == pytest.approx(power * 1000 * took_s, rel=0.25, abs=8)
    await driver.close()


# ---- what the files may say


def test_every_figure_is_a_quantity_and_stands_in_the_model() -> None:
    assert {row.quantity for row in MODEL.row} == set(EXPONENTS)
    assert set(EXPONENTS) <= QUANTITIES.keys()


def test_a_row_of_another_kind_of_device_is_refused() -> None:
    ((index, key, said),) = row_faults(MODEL, [Row(quantity="frequency_hz")])
    assert (index, key) == (0, "quantity")
    assert "saw 'frequency_hz'" in said


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({"idle_w": 3.0}, "device[0].idle_w"),
        ({"idle_w": 3.0, "core_w": 1.0, "board": "raspberry_pi_4"}, "device[0].board"),
        ({"kg_co2e_per_kwh": 0.5}, "device[0].kg_co2e_per_kwh"),
        ({"kg_co2e_per_kwh": 0.5, "intensity_source": " "}, "device[0].kg_co2e_per_kwh"),
        ({"intensity_source": "a contract"}, "device[0].kg_co2e_per_kwh"),
    ],
)
def test_keys_that_say_half_of_something_are_refused(keys: dict[str, Any], key: str) -> None:
    bus = Bus(name="own", protocol="host", device=[Device(name="gw", model="gateway", **keys)])
    assert [fault[0] for fault in faults(bus)] == [key]
