"""What the loop knows and remembers between two rounds, asset by asset and branch by branch. Decides nothing."""

from dataclasses import dataclass, field

LONG_AGO_MS = -(10**12)


@dataclass(slots=True)
class AssetState:
    """One asset. The first lines are told to the loop before a round, the others are its memory.

    `target_kw`: what is wanted of it; `low_kw`, `high_kw`: between which it may be ordered now. `laxity_h`: how long it could wait and still keep its promise.
    `reserve_kw`: what it takes by itself while it cannot be reached. `drawn_kw` None: it has no reading of its own. `order_kw` None: nothing of ours is in it.
    """

    target_kw: float = 0.0
    low_kw: float = 0.0
    high_kw: float = 0.0
    laxity_h: float = float("inf")
    online: bool = True
    reserve_kw: float = 0.0
    at_once: bool = False  # a safe state: its target is taken at once, up or down
    resting: bool = (
        False  # a charger without a vehicle, or whose vehicle wants nothing: up to its least power nothing flows
    )
    drawn_kw: float | None = None
    drawn_ms: int = LONG_AGO_MS

    told_ms: int = LONG_AGO_MS  # the `drawn_ms` for which `metered_kw` is what its branch's meter showed then
    metered_kw: float | None = None
    order_kw: float | None = None
    ordered_ms: int = LONG_AGO_MS  # the last order
    off_ms: int = LONG_AGO_MS  # when it was last switched off
    pauses: int = 0  # of the session
    idle_ms: int = LONG_AGO_MS  # since when it has taken much less than it may


@dataclass(slots=True)
class BranchState:
    """One branch. `channels` None: its meter is lost, or it has none and `background` counts. Limits in kW are those of the moment, None: none."""

    channels: tuple[complex, complex, complex, complex, complex] | None = None
    lost: bool = True
    import_kw: float | None = None
    export_kw: float | None = None
    planned_kw: float | None = None  # of import, for the plan's money: no promise is broken for it
    noise_ratio: float = 0.0
    over_ms: int = LONG_AGO_MS  # when something was last cut for it


@dataclass(slots=True)
class State:
    """All of it, in the order of the network's lines and kept branches. `short`: somebody had to wait in the last round for want of room."""

    assets: list[AssetState] = field(default_factory=list)
    branches: list[BranchState] = field(default_factory=list)
    short: bool = False
