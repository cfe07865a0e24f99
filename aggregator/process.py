"""A step of production as it is accounted: its meters, its products, how they share what it emits. Not its emissions (see `accounts.products`)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

Share = Literal["mass", "energy", "economic"]
SHARES: Final[tuple[Share, ...]] = ("mass", "energy", "economic")
REST: Final = "*"  # the process of whatever no other one claims


@dataclass(frozen=True, slots=True)
class Process:
    """`meters`: sub-meters whose energy, with that of the meters behind them, is this process's. `products`: () for all of the facility.

    `share`: by mass, by energy (the production's gj_per_unit) or by value (cny_per_unit). One product alone takes everything.
    """

    name: str
    meters: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    share: Share = "mass"


def contradictions(processes: Iterable[Process], devices: Iterable[str]) -> Iterator[str]:
    """What is wrong between processes, in words."""
    known = set(devices)
    claimed: dict[str, str] = {}
    names: set[str] = set()
    for process in processes:
        if process.name in names:
            yield f"process {process.name}: expected a name once, it stands twice"
        names.add(process.name)
        for device in process.meters:
            if device not in known:
                yield f"process {process.name}: expected meters of the facility, got {device!r}"
            if claimed.setdefault(device, process.name) != process.name:
                yield f"process {process.name}: meter {device} is claimed by {claimed[device]} already"
