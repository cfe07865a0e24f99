"""Who answers for devices and signing keys, on record since when. Not what the settings say now (see `aggregator.catalogue`)."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from aggregator.accounts.record_file import RecordFile, RecordsRefused
from aggregator.catalogue import Binding


@dataclass(frozen=True, slots=True)
class Bound:
    """A binding on record; an entity of "" ends the one before."""

    no: int
    binding: Binding
    since_ms: int

    def leaf(self) -> bytes:
        """The bytes that go into the audit log."""
        said = self.binding
        named = {
            "binding": self.no, "facility": said.facility, "edge": said.edge, "device": said.device, "key": said.key, "entity": said.entity,
            "since_ms": self.since_ms,
        }  # fmt: skip
        return json.dumps(named, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


class Bindings:
    """Of one data directory. Any thread may call. Raises RecordsBusy."""

    def __init__(self, path: Path | str) -> None:
        """Raises RecordsUnusable."""
        self._file = RecordFile(path, "checks/bindings.sql")

    def close(self) -> None:
        """Idempotent."""
        self._file.close()

    def keep(self, bindings: Iterable[Binding], now_ms: int) -> list[Bound]:
        """Puts on record what has changed since it was last kept; gives that."""
        wanted = {(one.facility, one.edge, one.device, one.key): one for one in bindings}
        fresh: list[Binding] = []
        standing = {
            (bound.binding.facility, bound.binding.edge, bound.binding.device, bound.binding.key): bound.binding
            for bound in self.bound()
        }
        fresh += [one for name, one in sorted(wanted.items()) if standing.get(name) != one]
        fresh += [Binding(*name, "") for name, one in sorted(standing.items()) if name not in wanted and one.entity]
        numbers = []
        with self._file.transaction() as db:
            for one in fresh:
                cursor = db.execute(
                    "INSERT INTO binding (facility, edge, device, key, entity, since_ms) VALUES (?,?,?,?,?,?)",
                    (one.facility, one.edge, one.device, one.key, one.entity, now_ms),
                )
                numbers.append(int(cursor.lastrowid or 0))
        return [Bound(no, one, now_ms) for no, one in zip(numbers, fresh, strict=True)]

    def bound(self) -> list[Bound]:
        """Everything on record, in order."""
        found = self._file.rows("SELECT no, facility, edge, device, key, entity, since_ms FROM binding ORDER BY no")
        return [Bound(row[0], Binding(*row[1:6]), row[6]) for row in found]

    def last(self) -> int:
        """The number of the last one, 0 where there is none."""
        return int(self._file.rows("SELECT coalesce(max(no), 0) FROM binding")[0][0])

    def one(self, no: int) -> Bound:
        """Raises RecordsRefused where there is none."""
        found = next((bound for bound in self.bound() if bound.no == no), None)
        if found is None:
            raise RecordsRefused([f"binding: expected one on record, got {no}"])
        return found
