"""Activity records as a run reads them: one list with one hash, each record canonical bytes that are read back. Not what they come to (see `lines`).

The list stands among a run's series of intervals (see `runs.inputs`), under a name that no device has. A verifier reads it without the records' file.
"""

import json
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from aggregator.accounts.activities.activity import Activity

RECORDS: Final = ("*", "activity_record")  # (device, quantity) of the list
_DAY_MS: Final = 86_400_000
_ZONES_MS: Final = 15 * 3_600_000  # no clock is further from UTC
_FIELDS: Final = (
    "facility", "source", "kind", "subject", "variant", "sub_class", "process", "unit", "evidence", "reason", "by", "no", "version",
    "activity_class",
)  # fmt: skip


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A record that was in force, and [from_ms, to_ms) of its days at the facility. `approved_by` "": nobody has approved any version of it.

    `waiting`: a newer version waits for a second person.
    """

    activity: Activity
    approved_by: str
    from_ms: int
    to_ms: int
    waiting: bool

    @property
    def approved(self) -> bool:
        return bool(self.approved_by)

    def leaf(self) -> bytes:
        """Canonical JSON: keys in their order, no blanks, decimals as text."""
        record = self.activity
        said: dict[str, Any] = {name: getattr(record, name) for name in _FIELDS}
        said |= {
            "from_day": record.from_day.isoformat(), "to_day": record.to_day.isoformat(), "parameters": [list(pair) for pair in record.parameters],
            "quantity": None if record.quantity is None else f"{record.quantity:f}",
            "stock": None if record.stock is None else [f"{value:f}" for value in record.stock],
        }  # fmt: skip
        whole = {
            "activity": said, "approved_by": self.approved_by, "from_ms": self.from_ms, "to_ms": self.to_ms, "waiting": self.waiting,
        }  # fmt: skip
        return json.dumps(whole, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()

    def odd(self) -> str:
        """What cannot be of such a record, "" where nothing is: neither amount nor stock, or instants that are not its days'."""
        record = self.activity
        if (record.quantity is None) == (record.stock is None):
            return "an amount or a stock, got both or neither"
        days_ms = (record.to_day - record.from_day).days * _DAY_MS
        begins_ms = (record.from_day.toordinal() - _EPOCH_DAY) * _DAY_MS
        if abs(self.from_ms - begins_ms) > _ZONES_MS or abs(self.to_ms - self.from_ms - days_ms) > _ZONES_MS:
            return f"the instants of {record.from_day} to {record.to_day}, got {self.from_ms} and {self.to_ms}"
        return "" if self.from_ms < self.to_ms else f"an end after its begin, got {self.from_ms} and {self.to_ms}"


_EPOCH_DAY: Final = 719_163  # 1970-01-01


def lines_of_records(records: Iterable[Kept]) -> bytes:
    """A line for each."""
    return b"".join(record.leaf() + b"\n" for record in records)
