"""What a gateway is taken to draw, and the energy counter made of it. An estimate from processor time, never a measurement.

power = idle_w + core_w x busy cores. Both come from the edge file, or from the table of boards below.
"""

import contextlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

_J_PER_KWH: Final = 3.6e6
SAVE_EVERY_S: Final = 300.0  # of full load: what is saved at most that often also bounds what a power cut can hide


@dataclass(frozen=True, slots=True)
class PowerModel:
    """What a machine draws at rest, and what each busy core adds."""

    idle_w: float
    core_w: float

    def power_w(self, busy_ratio: float) -> float:
        """The power with cores busy for so much time per time: 2.0 are two cores."""
        return self.idle_w + self.core_w * busy_ratio


# By what `board` in the edge file may say; the words behind it are how /proc/device-tree/model begins.
BOARDS: Final[Mapping[str, tuple[str, PowerModel]]] = {
    # pidramble.com, "Power Consumption Benchmarks", Pi 4 B at its 5 V input: 540 mA (2.7 W) idle, 1,280 mA (6.4 W) with `stress --cpu 4`.
    "raspberry_pi_4": ("Raspberry Pi 4", PowerModel(2.7, 0.925)),
    # iiab/iiab issue 4050: 0.65 A idle at the 5.1 V input. geerlingguy/sbc-reviews issue 21: 6.1 W more with four busy cores than idle, on one meter.
    "raspberry_pi_5": ("Raspberry Pi 5", PowerModel(3.3, 1.525)),
}


def of_board(name: str) -> PowerModel | None:
    """The model of the board that calls itself `name` (/proc/device-tree/model); None where it is not in the table."""
    return next((model for begins, model in BOARDS.values() if name.startswith(begins)), None)


@dataclass(slots=True)
class Counted:
    """What lies on disk. `up_s` and `busy_s` are the machine's since its boot `boot`; `exact`: nothing was counted after it was written."""

    energy_kwh: float = 0.0
    emitted_kg: float = 0.0
    boot: str = ""
    up_s: float = 0.0
    busy_s: float = 0.0
    exact: bool = False


class EnergyCounter:
    """Energy (kWh) and emissions (kg CO2e) since the counter was first read; never less than what was told before, also after a power cut.

    While the agent is away and the machine is not, the machine's own counters go on, and nothing is missing. After another boot the count goes on
    from the last saved value with `reserve_kwh` on top, which is the most that can have been told since, unless the agent said goodbye.
    Time during which the machine was off, or was on without the agent under a third boot, is not counted.
    """

    def __init__(self, model: PowerModel, cores: int, intensity_kg_per_kwh: float | None, path: Path | None) -> None:
        self._model = model
        self._intensity = intensity_kg_per_kwh
        self._path = path
        self.reserve_kwh = SAVE_EVERY_S * model.power_w(cores) / _J_PER_KWH
        self.fault = ""
        self._now, self._saved_kwh = self._load()

    @property
    def energy_kwh(self) -> float:
        """Since the counter was first read."""
        return self._now.energy_kwh

    @property
    def emitted_kg(self) -> float:
        """kg CO2e of the energy that was counted while an intensity was declared."""
        return self._now.emitted_kg

    def advance(self, boot: str, up_s: float, busy_s: float) -> None:
        """Counts up to the instant at which the machine has been up for `up_s` and its cores busy for `busy_s` together."""
        now = self._now
        if not now.boot:  # never read before
            added_kwh = 0.0
        elif now.boot == boot and up_s >= now.up_s and busy_s >= now.busy_s:
            added_kwh = self._used_kwh(up_s - now.up_s, busy_s - now.busy_s)
        else:
            added_kwh = self._used_kwh(up_s, busy_s) + (0.0 if now.exact else self.reserve_kwh)
        energy_kwh = now.energy_kwh + added_kwh
        emitted_kg = now.emitted_kg + (self._intensity or 0.0) * added_kwh
        self._now = Counted(energy_kwh, emitted_kg, boot, up_s, busy_s)

    def _used_kwh(self, up_s: float, busy_s: float) -> float:
        return (self._model.idle_w * up_s + self._model.core_w * busy_s) / _J_PER_KWH

    @property
    def must_be_saved(self) -> bool:
        """Whether the count has to be on disk before it is told."""
        return self._path is not None and self._now.energy_kwh > self._saved_kwh

    def save(self, *, exact: bool = False) -> None:
        """Writes the count down; room for `reserve_kwh` more until the next time. Raises OSError."""
        if self._path is None or not self._now.boot:
            return
        self._now.exact = exact
        _write(self._path, json.dumps(asdict(self._now)))
        self._saved_kwh = self._now.energy_kwh + self.reserve_kwh

    def _load(self) -> tuple[Counted, float]:
        """What was saved; a new count, and why in `fault`, where it cannot be used."""
        if self._path is None:
            return Counted(), math.inf
        try:
            return _read(self._path), -math.inf
        except FileNotFoundError:
            return Counted(), -math.inf
        except (OSError, ValueError) as error:
            self.fault = f"{self._path}: expected the energy that was counted before, saw {error}; counting from 0"
            return Counted(), -math.inf


def _read(path: Path) -> Counted:
    """Raises OSError, ValueError."""
    tree = json.loads(path.read_text("utf-8"))
    if not isinstance(tree, dict) or tree.keys() != {field.name for field in fields(Counted)}:
        raise ValueError("other keys")
    for name in ("energy_kwh", "emitted_kg", "up_s", "busy_s"):
        number = tree[name]
        if not isinstance(number, int | float) or not 0 <= number < math.inf:
            raise ValueError(f"{name} = {number!r}")
    if not isinstance(tree["boot"], str) or not isinstance(tree["exact"], bool):
        raise ValueError("other types")
    return Counted(**tree)


def _write(path: Path, text: str) -> None:
    """Replaces the file: after a crash there is the old or the new one. Raises OSError."""
    fresh = path.with_name(f"{path.name}.new")
    try:
        with fresh.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise
