"""A SQLite file of records that are only added, with one writer at a time. Not what is in it: each kind of record brings its own tables.

Any thread may call. Every wait for the lock ends after a time, and nothing of a failed call is kept.
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, Final, Self

LOCK_TIMEOUT_S: Final = 20.0
ACCOUNTS_NAME: Final = "accounts.sqlite"  # in the data directory, beside the ledger and the factor registry


class RecordsBusy(Exception):
    """The lock took too long or the disk refused; nothing of the call was kept. It may be tried again."""


class RecordsUnusable(Exception):
    """The file is no SQLite file or cannot be opened."""


class RecordsRefused(Exception):
    """What was to be put on record cannot be; nothing was. `faults` says why, one line each, with what was expected and seen."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


class RecordFile:
    """One file. `path` may be ":memory:". `tables`: the .sql file of a package with CREATE ... IF NOT EXISTS only."""

    def __init__(self, path: Path | str, tables: str, package: str = "aggregator.accounts") -> None:
        """Raises RecordsUnusable."""
        if isinstance(path, Path):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._depth = 0
        try:
            self._db = sqlite3.connect(path, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise RecordsUnusable(f"{path}: expected a file that can be opened, SQLite says {error}") from error
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._db.executescript(resources.files(package).joinpath(tables).read_text(encoding="utf-8"))
        except sqlite3.Error as error:
            self._db.close()
            raise RecordsUnusable(f"{path}: expected a file of records, SQLite says {error}") from error

    def close(self) -> None:
        """Idempotent."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything within is kept, or nothing; may be nested. Raises RecordsBusy."""
        if not self._lock.acquire(timeout=LOCK_TIMEOUT_S):
            raise RecordsBusy(f"records: expected the lock within {LOCK_TIMEOUT_S:g} s, another thread still holds it")
        try:
            self._depth += 1
            if self._depth == 1:
                self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                if self._depth == 1:
                    self._db.execute("COMMIT")
            except BaseException:
                if self._depth == 1 and self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            finally:
                self._depth -= 1
        except sqlite3.OperationalError as error:
            raise RecordsBusy(
                f"records: expected an answer within {LOCK_TIMEOUT_S:g} s, SQLite says {error}"
            ) from error
        finally:
            self._lock.release()

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """All rows of a query. Raises RecordsBusy."""
        with self._lock:
            try:
                return self._db.execute(statement, parameters).fetchall()
            except sqlite3.OperationalError as error:
                raise RecordsBusy(f"records: expected an answer, SQLite says {error}") from error
