"""One look at a Linux machine: what stands in its /proc and /sys, as counts and instants. Nothing is kept and nothing compared here.

Clauses: proc(5); the kernel's Documentation/admin-guide/iostats.rst (sectors of 512 bytes, whatever the disk's own), driver-api/thermal/sysfs-api.rst
and hwmon/sysfs-interface.rst (thousandths of a degree). A file that the machine does not have gives None; one that reads otherwise than it
should gives None and a fault.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 262_144  # of one file; /proc/stat of a machine with 1,024 cores has 90,000
_SECTOR_BYTES: Final = 512
_SHOWN: Final = 512  # characters of each file that the flight recorder keeps
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_PREFERRED: Final = ("cpu", "soc", "x86_pkg_temp", "k10temp", "coretemp", "package")
_USER, _NICE, _SYSTEM, _IDLE, _IOWAIT, _IRQ, _SOFTIRQ, _STEAL = range(8)

_ENERGY: Final = ("active_power_kw", "energy_import_kwh", "emitted_kg_co2e")

DiskFree = Callable[[str], tuple[int, int, int]]


@dataclass(slots=True)
class Look:
    """What was seen. Times are seconds since the boot; `busy_s` and `total_s` of all cores together, `own_s` of this process."""

    boot: str = ""
    board: str = ""
    up_s: float | None = None
    cores: int = 0
    busy_s: float | None = None
    total_s: float | None = None
    own_s: float | None = None
    memory_kib: int | None = None
    own_memory_kib: int | None = None
    temperature_mdegc: int | None = None
    flash_bytes: int | None = None
    own_written_bytes: int | None = None
    disk: tuple[int, int, int] | None = None  # bytes: all, free to us, used
    faults: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)  # quantities that a fault has cost
    seen: dict[str, str] = field(default_factory=dict)

    def lost(self, fault: str, *quantities: str) -> None:
        """Notes what is wrong, and which quantities it costs."""
        self.faults.append(fault)
        self.broken.update(quantities)


def disk_free(directory: str) -> tuple[int, int, int]:
    """Bytes of the file system of a directory: all, free to an ordinary user, used. Raises OSError."""
    found = os.statvfs(directory)
    size = found.f_frsize
    return found.f_blocks * size, found.f_bavail * size, (found.f_blocks - found.f_bfree) * size


def look(root: Path, disk: str, sensor: str = "", flash: tuple[str, ...] = (), free: DiskFree = disk_free) -> Look:
    """Reads the machine whose /proc and /sys stand under `root`.

    `disk`: a directory on the file system that counts. `sensor`: type of the thermal zone or name of the hwmon chip. `flash`: the block
    devices whose writes count; without them all that are no copy of another (/sys/block/<name>/device).
    """
    found = Look()
    files = _Files(root, found)
    found.boot = files.text("proc/sys/kernel/random/boot_id") or ""
    found.board = (files.text("proc/device-tree/model") or "").rstrip("\0")
    files.parse("proc/uptime", _uptime, "agent_cpu_percent", *_ENERGY)
    files.parse("proc/stat", _stat, "host_cpu_percent", *_ENERGY)
    files.parse("proc/self/stat", _own_time, "agent_cpu_percent")
    files.parse("proc/meminfo", _memory, "host_memory_mib")
    files.parse("proc/self/status", _own_memory, "agent_memory_mib")
    files.parse("proc/self/io", _own_written, "agent_written_bytes")
    _temperature(files, sensor)
    _flash(files, flash)
    try:
        found.disk = free(disk)
    except OSError as error:
        found.lost(
            f"{disk}: expected a file system, saw {error.strerror}", "host_disk_free_bytes", "host_disk_used_percent"
        )
    return found


class _Files:
    """Small files under a root; what was read of each is remembered for the flight recorder."""

    def __init__(self, root: Path, found: Look) -> None:
        self.root = root
        self.found = found

    def text(self, name: str) -> str | None:
        """The file without the white space around it; None where it cannot be read."""
        try:
            with (self.root / name).open("rb") as file:
                raw = file.read(MAX_BYTES)
        except OSError:
            return None
        text = raw.decode("utf-8", "replace").strip()
        self.found.seen[name] = text[:_SHOWN]
        return text

    def parse(self, name: str, parser: Callable[[str, Look], None], *quantities: str) -> None:
        """Lets `parser` take what it wants. What it cannot read is a fault that costs `quantities`."""
        text = self.text(name)
        if text is None:
            return
        try:
            parser(text, self.found)
        except (ValueError, IndexError, KeyError) as error:
            self.found.lost(f"/{name}: expected what proc(5) says, saw {text[:80]!r} ({error})", *quantities)

    def folders(self, name: str) -> list[str]:
        """The names in a folder in order; none where there is no such folder."""
        try:
            return sorted(place.name for place in (self.root / name).iterdir())
        except OSError:
            return []


def _uptime(text: str, found: Look) -> None:
    found.up_s = _positive(float(text.split()[0]))


def _stat(text: str, found: Look) -> None:
    lines = [line.split() for line in text.splitlines() if line.startswith("cpu")]
    ticks = [int(word) for word in lines[0][1:9]]  # guest time is part of user time
    if lines[0][0] != "cpu" or min(ticks) < 0:
        raise ValueError("no line cpu of all cores")
    busy = sum(ticks[place] for place in (_USER, _NICE, _SYSTEM, _IRQ, _SOFTIRQ))
    found.total_s = sum(ticks) / _TICKS_PER_S  # with the time that a hypervisor gave to others
    found.busy_s = busy / _TICKS_PER_S
    found.cores = len(lines) - 1


def _own_time(text: str, found: Look) -> None:
    behind = text[text.rindex(")") + 1 :].split()  # the name of the process may hold anything
    found.own_s = (int(behind[11]) + int(behind[12])) / _TICKS_PER_S


def _memory(text: str, found: Look) -> None:
    lines = _colons(text)
    found.memory_kib = _kib(lines["MemTotal"]) - _kib(lines["MemAvailable"])


def _own_memory(text: str, found: Look) -> None:
    found.own_memory_kib = _kib(_colons(text)["VmRSS"])


def _own_written(text: str, found: Look) -> None:
    found.own_written_bytes = int(_positive(int(_colons(text)["write_bytes"])))


def _colons(text: str) -> dict[str, str]:
    return {name: rest for name, colon, rest in (line.partition(":") for line in text.splitlines()) if colon}


def _kib(words: str) -> int:
    number, unit = words.split()
    if unit != "kB":
        raise ValueError(f"the unit {unit}")
    return int(number)


def _positive(number: float) -> float:
    if not 0 <= number < 2**63:
        raise ValueError(f"{number} out of range")
    return number


def _temperature(files: _Files, sensor: str) -> None:
    """The sensor with the wanted name, else the one that sounds most like the processor's, else the first."""
    sensors = list(_sensors(files))
    if sensor:
        chosen = [place for name, place in sensors if name == sensor]
        if not chosen:
            names = sorted({name for name, _ in sensors})
            files.found.lost(f"sensor: expected one of {names}, saw {sensor!r}", "host_temperature_degc")
    else:
        chosen = [place for _, place in sorted(sensors, key=_rank)]
    if chosen:
        files.parse(chosen[0], _degrees, "host_temperature_degc")


def _degrees(text: str, found: Look) -> None:
    found.temperature_mdegc = int(text)


def _rank(sensor: tuple[str, str]) -> int:
    name = sensor[0].lower()
    return next((rank for rank, word in enumerate(_PREFERRED) if word in name), len(_PREFERRED))


def _sensors(files: _Files) -> Iterator[tuple[str, str]]:
    """Name and file of each sensor."""
    for folder in files.folders("sys/class/thermal"):
        if folder.startswith("thermal_zone"):
            place = f"sys/class/thermal/{folder}"
            yield files.text(f"{place}/type") or folder, f"{place}/temp"
    for folder in files.folders("sys/class/hwmon"):
        place = f"sys/class/hwmon/{folder}"
        if (files.root / place / "temp1_input").exists():
            yield files.text(f"{place}/name") or folder, f"{place}/temp1_input"


def _flash(files: _Files, wanted: tuple[str, ...]) -> None:
    names = wanted or tuple(
        name for name in files.folders("sys/block") if (files.root / "sys/block" / name / "device").exists()
    )
    written: list[int] = []
    for name in names:
        place = f"sys/block/{name}/stat"
        text = files.text(place)
        try:
            if text is None:
                raise ValueError("nothing there")
            written.append(_SECTOR_BYTES * int(_positive(int(text.split()[6]))))
        except (ValueError, IndexError) as error:
            fault = f"/{place}: expected the counts of a block device, saw {(text or '')[:80]!r} ({error})"
            files.found.lost(fault, "flash_written_bytes")
            return
    files.found.flash_bytes = sum(written) if written else None
