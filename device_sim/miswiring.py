"""How a meter shows a plant wrongly because it was installed or set up wrongly: site-file options of register meters. The plant itself is right.

reversed_ct = [2]            these phases' current transformers are turned round
swapped_currents = true      the currents of L1 and L2 stand in each other's place
current_ratio, voltage_ratio, power_ratio, energy_ratio = 10.0      what is shown is so many times the truth
frequency_hz = 5.0           shown whatever the truth is
frozen_voltage_v = 231.0     the voltage of L1 never moves
counts_backwards = true      the import counter goes down while energy is imported
swap_words = true            values of several registers have their low word first
registers = { "70" = [32704, 0] }      these words at that address, whatever belongs there
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from device_sim.electrical import Counters, Measured
from device_sim.modbus.registers import Image

_RATIOS: Final = ("current_ratio", "voltage_ratio", "power_ratio", "energy_ratio")
_FIXED: Final = ("frequency_hz", "frozen_voltage_v")
_SWITCHES: Final = ("swapped_currents", "counts_backwards", "swap_words")
OPTIONS: Final = frozenset({"reversed_ct", "registers", *_RATIOS, *_FIXED, *_SWITCHES})
_BACK_FROM_UJ: Final = 10**18  # 277,778 kWh, from where a counter that goes backwards begins


@dataclass(frozen=True, slots=True)
class Miswiring:
    """What is wrong with one meter; as it stands here, nothing."""

    reversed_ct: frozenset[int] = frozenset()
    swapped_currents: bool = False
    current_ratio: float = 1.0
    voltage_ratio: float = 1.0
    power_ratio: float = 1.0
    energy_ratio: float = 1.0
    frequency_hz: float | None = None
    frozen_voltage_v: float | None = None
    counts_backwards: bool = False
    swap_words: bool = False
    registers: tuple[tuple[int, bytes], ...] = ()

    @classmethod
    def of(cls, name: str, options: Mapping[str, Any]) -> Self | None:
        """From a device's options; None where none of them is there. Raises ValueError for what cannot be."""
        said = {key: value for key, value in options.items() if key in OPTIONS}
        if not said:
            return None
        for key in (*_RATIOS, *_FIXED):
            if key in said and (isinstance(said[key], bool) or not isinstance(said[key], int | float)):
                raise ValueError(f"{name}.{key}: expected a number, got {said[key]!r}")
        for key in _SWITCHES:
            if key in said and not isinstance(said[key], bool):
                raise ValueError(f"{name}.{key}: expected true or false, got {said[key]!r}")
        phases = said.get("reversed_ct", [])
        if not isinstance(phases, list) or not {1, 2, 3}.issuperset(phases):
            raise ValueError(f"{name}.reversed_ct: expected phases of 1, 2, 3, got {phases!r}")
        said["reversed_ct"] = frozenset(phases)
        said["registers"] = tuple(_words(name, said.get("registers", {})))
        return cls(**said)

    def measured(self, true: Measured) -> Measured:
        """What the meter takes for the truth."""
        turned = [-1.0 if phase in self.reversed_ct else 1.0 for phase in (1, 2, 3)]
        active, reactive = (
            _three(value * turn * self.power_ratio for value, turn in zip(values, turned, strict=True))
            for values in (true.active_w, true.reactive_var)
        )
        one, two, three = (value * self.current_ratio for value in true.current_a)
        voltage = _three(value * self.voltage_ratio for value in true.voltage_v)
        if self.frozen_voltage_v is not None:
            voltage = (self.frozen_voltage_v, *voltage[1:])
        return replace(
            true,
            active_w=active,
            reactive_var=reactive,
            apparent_va=_three(value * self.power_ratio for value in true.apparent_va),
            total_apparent_va=true.total_apparent_va * self.power_ratio,
            total_active_w=sum(active),
            total_reactive_var=sum(reactive),
            current_a=(two, one, three) if self.swapped_currents else (one, two, three),
            voltage_v=voltage,
            line_voltage_v=_three(value * self.voltage_ratio for value in true.line_voltage_v),
            frequency_hz=true.frequency_hz if self.frequency_hz is None else self.frequency_hz,
        )

    def counters(self, true: Counters) -> Counters:
        """What its counters show."""
        imported = round(true.import_uj * self.energy_ratio)
        if self.counts_backwards:
            imported = max(0, _BACK_FROM_UJ - imported)
        return replace(true, import_uj=imported, export_uj=round(true.export_uj * self.energy_ratio))

    def image(self, image: Image) -> Image:
        """What its registers hold."""
        if self.swap_words:
            image.swap_words()
        for address, words in self.registers:
            image.put(address, words)
        return image


def _three(values: Any) -> tuple[float, float, float]:
    one, two, three = values
    return one, two, three


def _words(name: str, said: object) -> list[tuple[int, bytes]]:
    if not isinstance(said, Mapping):
        raise ValueError(f"{name}.registers: expected a table of addresses and words, got {said!r}")
    found = []
    for address, words in said.items():
        if not str(address).isdecimal() or not isinstance(words, list) or not all(_is_word(word) for word in words):
            raise ValueError(f"{name}.registers: expected words of 0 to 65535 at an address, got {address} = {words!r}")
        found.append((int(address), b"".join(word.to_bytes(2, "big") for word in words)))
    return found


def _is_word(word: object) -> bool:
    return isinstance(word, int) and not isinstance(word, bool) and 0 <= word <= 0xFFFF
