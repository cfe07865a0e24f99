"""Takes commitments and settlements of events up into the audit log, whoever made them. Not what they say (see `commitment`)."""

import logging
import sqlite3

from aggregator.accounts.record_file import RecordsBusy, RecordsRefused
from aggregator.audit.log import AuditLog
from aggregator.flexibility.events.record import EventRecord

_log = logging.getLogger(__name__)


def take_up_events(record: EventRecord, log: AuditLog) -> None:
    """Make a leaf of each that is none yet; at the notice, and every minute. What fails is logged and tried again."""
    try:
        for kind, last in zip(("commitment", "settlement"), record.last_numbers(), strict=True):
            if missing := log.lacking_records(kind, last):
                log.append_records(kind, record.leaves(kind, missing))
    except (RecordsBusy, RecordsRefused, sqlite3.Error) as error:
        _log.error("events not in the audit log, tried again later reason=%s", error)
