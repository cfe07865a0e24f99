"""The ledger of a data directory as the settings have its meters: what they multiply otherwise than it was settled is settled anew first. Not the settling (`aggregator.settle`)."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from aggregator.accounts.by_hand.readings import HandReadings
from aggregator.accounts.record_file import ACCOUNTS_NAME, RecordsBusy, RecordsUnusable
from aggregator.ledger import Ledger
from aggregator.open_books import open_books
from aggregator.run import store_of
from aggregator.settings import Settings
from aggregator.settle import Settler
from aggregator.settled_otherwise import SettledOtherwise, settled_otherwise
from aggregator.stores.store import StoreError
from wire.clock import Clock

_RUNS: Final = "an aggregator that runs over this data settles it anew when it is started again"
_LACKS: Final = "its readings are not in the store of the settings, from which it would be settled anew"


@contextmanager
def ledger_as_set(settings: Settings) -> Iterator[Ledger]:
    """Raises SettingsFaults without a data directory, SettledOtherwise where it cannot be settled anew, LedgerError."""
    ledger = Ledger(settings.kept() / "ledger.sqlite")
    try:
        if found := settled_otherwise(ledger, settings.facilities):
            try:
                _settle_anew(settings, ledger)
            except (StoreError, RecordsBusy, RecordsUnusable) as error:
                raise SettledOtherwise(found, f"{_RUNS} ({error})") from error
        yield ledger
    finally:
        ledger.close()


def _settle_anew(settings: Settings, ledger: Ledger) -> None:
    with ExitStack() as open_files:
        store = store_of(settings)
        open_files.callback(store.close)
        hand = HandReadings(settings.data_directory / ACCOUNTS_NAME)
        open_files.callback(hand.close)
        clock = Clock.from_environment()
        books = open_books(settings, ledger, clock)
        settle_as_set(settings, Settler(store, ledger, settings.facilities, clock, books=books, hand=hand))


def settle_as_set(settings: Settings, settler: Settler) -> None:
    """Settles anew what stands by other multipliers than the settings', and says so on the error output. Raises as `ledger_as_set`, and StoreError."""
    if not (found := settled_otherwise(settler.ledger, settings.facilities)):
        return
    changed = settler.settle(patient=False)
    if left := settled_otherwise(settler.ledger, settings.facilities):
        raise SettledOtherwise(left, _LACKS)
    for each in found:
        print(f"wattline: {each}; settled anew", file=sys.stderr)
    print(f"wattline: {len(changed.intervals)} interval energies are new or another one now", file=sys.stderr)
