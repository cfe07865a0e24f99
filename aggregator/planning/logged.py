"""Takes plans up into the audit log by their hashes. Not the plans themselves, which are forgotten after a while."""

import logging
import sqlite3

from aggregator.accounts.record_file import RecordsBusy
from aggregator.audit.log import AuditLog
from aggregator.planning.plan_book import PlanBook

_log = logging.getLogger(__name__)


def take_up_plans(book: PlanBook, log: AuditLog) -> None:
    """Make a leaf of each plan that is none yet; for every minute. What fails is logged and tried again."""
    try:
        rows = [(no, book.one(no)) for no in log.lacking_records("plan", book.last())]
        log.append_records("plan", [(no, row.leaf()) for no, row in rows if row is not None])
    except (RecordsBusy, sqlite3.Error) as error:
        _log.error("plans not in the audit log, tried again later reason=%s", error)
