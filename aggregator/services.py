"""What the routes are given: the objects that `aggregator.run` has built. Builds nothing itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from aggregator.accounts.by_hand.entering import Entering
from aggregator.accounts.checks.challenges import Challenges
from aggregator.accounts.checks.lineage import Lineage
from aggregator.accounts.checks.samples import Samples
from aggregator.accounts.compile import Accounts
from aggregator.accounts.runs.record import Runs
from aggregator.alarms import Alarms
from aggregator.audit.export import Exporter
from aggregator.audit.log import AuditLog
from aggregator.books import Books
from aggregator.catalogue import Catalogue
from aggregator.commands import Commands
from aggregator.edge_carbon import EdgeCarbon
from aggregator.facility import Facility
from aggregator.feed import Feed
from aggregator.flexibility.events.conduct import Conduct
from aggregator.footprint.own_use import OwnRecords
from aggregator.forecasting import Forecasting
from aggregator.ingest_figures import IngestFigures
from aggregator.live import LiveState
from aggregator.newest import NewestReadings
from aggregator.overruling import Overruling
from aggregator.person import Person
from aggregator.planning.planning import Planning
from aggregator.settings import Http
from aggregator.stores.store import SeriesKey, Store


@dataclass(frozen=True, slots=True)
class Services:
    """One aggregator. `ready` says of each part why it cannot work now, None where it can; `note` tells the settler of imported readings; `figures` is None where nothing is ingested, `commands` where no set-point can be sent, `overruling` and `entering` where nothing is settled, `audit` and `evidence` where no log is kept, `accounts` and `runs` where there is no ledger."""

    http: Http
    facilities: Mapping[str, Facility]
    store: Store
    books: Books
    newest: NewestReadings
    live: LiveState
    feed: Feed
    alarms: Alarms
    clock: Callable[[], int]
    note: Callable[[SeriesKey, int, int], None] = field(default=lambda _series, _from_ms, _to_ms: None)
    ready: Callable[[], Mapping[str, str | None]] = field(default=dict)
    figures: Callable[[], IngestFigures | None] = field(default=lambda: None)
    commands: Commands | None = None
    edge_carbon: EdgeCarbon | None = None
    overruling: Overruling | None = None
    entering: Entering | None = None
    audit: AuditLog | None = None
    evidence: Exporter | None = None
    accounts: Accounts | None = None
    runs: Runs | None = None
    significance_percent: Decimal = Decimal(5)
    lineage: Lineage | None = None
    samples: Samples | None = None
    challenges: Challenges | None = None
    catalogue: Catalogue = field(default_factory=Catalogue)
    persons: tuple[Person, ...] = ()
    forecasting: Forecasting | None = None
    own_records: OwnRecords | None = None
    planning: Planning | None = None
    conduct: Conduct | None = None
