"""What the routes are given: the objects that `aggregator.run` has built. Builds nothing itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aggregator.alarms import Alarms
from aggregator.facility import Facility
from aggregator.feed import Feed
from aggregator.live import EdgeState, LiveState
from aggregator.newest import NewestReadings
from aggregator.settings import Http
from aggregator.stores.store import Store


@dataclass(frozen=True, slots=True)
class IngestFigures:
    """Counts since the start of this process, for /metrics."""

    readings: int = 0
    rows_new: int = 0
    batches_committed: int = 0
    batches_refused: int = 0
    batches_held: int = 0
    conflicts: int = 0
    queue_batches: int = 0


@dataclass(frozen=True, slots=True)
class Services:
    """One aggregator. `edges` gives a facility's edges, `ready` whether each part can work now, with a reason where it cannot."""

    http: Http
    facilities: Mapping[str, Facility]
    store: Store
    newest: NewestReadings
    live: LiveState
    feed: Feed
    alarms: Alarms
    clock: Callable[[], int]
    edges: Callable[[str], Mapping[str, EdgeState]] = field(default=lambda _: {})
    ready: Callable[[], Mapping[str, str | None]] = field(default=dict)
    figures: Callable[[], IngestFigures] = field(default=IngestFigures)
