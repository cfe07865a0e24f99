"""Tables of their own in a registry file, only added to, all rows of a call or none. Not what is in them: each kind of record brings its own."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Final, Self

LOCK_TIMEOUT_S: Final = 20.0


class RegistryTables:
    """`path` may be ":memory:". `tables`: the .sql file of this package with CREATE ... IF NOT EXISTS only."""

    def __init__(self, path: Path | str, tables: str) -> None:
        """Raises sqlite3.Error, OSError."""
        if isinstance(path, Path):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            self._db.execute("PRAGMA foreign_keys = ON")
            self._db.executescript(resources.files("aggregator.emissions").joinpath(tables).read_text(encoding="utf-8"))
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Idempotent."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
