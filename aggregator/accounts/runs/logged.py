"""Takes runs, publications and bindings up into the audit log, whoever made them: also a command beside the running aggregator, which alone writes the log."""

import logging
import sqlite3

from aggregator.accounts.checks.bindings import Bindings
from aggregator.accounts.record_file import RecordsBusy, RecordsRefused
from aggregator.accounts.runs.record import Runs
from aggregator.audit.log import AuditLog

_log = logging.getLogger(__name__)


def take_up(runs: Runs, log: AuditLog) -> None:
    """Make a leaf of each run and publication that is none yet; for every minute. What fails is logged and tried again."""
    try:
        last_run, last_publication = runs.last()
        missing = log.lacking_records("run", last_run)
        log.append_records("run", [(no, runs.run(no).leaf()) for no in missing])
        if absent := set(log.lacking_records("publication", last_publication)):
            issued = [(each.no, each.leaf()) for each in runs.publications() if each.no in absent]
            log.append_records("publication", issued)
    except (RecordsBusy, RecordsRefused, sqlite3.Error) as error:
        _log.error("runs not in the audit log, tried again later reason=%s", error)


def take_up_bindings(bindings: Bindings, log: AuditLog) -> None:
    """Make a leaf of each binding that is none yet; for every minute. What fails is logged and tried again."""
    try:
        missing = log.lacking_records("binding", bindings.last())
        log.append_records("binding", [(no, bindings.one(no).leaf()) for no in missing])
    except (RecordsBusy, RecordsRefused, sqlite3.Error) as error:
        _log.error("bindings not in the audit log, tried again later reason=%s", error)
