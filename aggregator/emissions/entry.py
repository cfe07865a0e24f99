"""One version of one factor or fuel parameter, with its document and its standing. Not where it is kept (see `registry`)."""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final, Literal, NamedTuple

Status = Literal["draft", "approved", "withdrawn"]
STATUSES: Final[tuple[Status, ...]] = ("draft", "approved", "withdrawn")
KINDS: Final = (
    "electricity", "ncv", "carbon_content", "oxidation", "combustion", "heat", "process", "gwp", "blend",
)  # fmt: skip
AVERAGE: Final = "average"  # the only signal that the location method takes
SIGNALS: Final = (AVERAGE, "residual", "fossil", "marginal")
_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
INTERNATIONAL: Final = "INT"  # the widest place there is


@dataclass(frozen=True, slots=True)
class SourceDoc:
    """Where a factor was published. `sha256`: of the document's file, where whoever transcribed it had it."""

    id: str
    title: str
    issuer: str
    number: str
    published_on: date
    url: str = ""
    sha256: str = ""
    transcribed_by: str = ""
    checked_by: str = ""

    @property
    def row(self) -> tuple[str, ...]:
        """As it is kept."""
        return (
            self.id, self.title, self.issuer, self.number, self.published_on.isoformat(), self.url, self.sha256, self.transcribed_by,
            self.checked_by,
        )  # fmt: skip


class Key(NamedTuple):
    """What versions of one factor share: a higher version of the same key takes the place of a lower one."""

    id: str
    gas: str
    region: str
    facility: str
    variant: str
    data_year: int
    valid_from_ms: int

    def __str__(self) -> str:
        words = [self.id, self.variant and f"({self.variant})", self.gas, self.facility or self.region]
        words.append(str(self.data_year) if self.data_year else "")
        return " ".join(word for word in words if word)


@dataclass(frozen=True, slots=True)
class Entry:
    """A value in `unit`, valid in [valid_from_ms, valid_to_ms) (UTC; None: unbounded), or in the local year `data_year` where that is not 0.

    `facility` names whose own value this is, with its `evidence`; else it holds for `region` (CN-JS, CN, INT).
    `variant` tells values of one factor apart by equipment or table ("power boiler"). `mark`: A, two public sources agree; B, one.
    `known_from_ms` and `status` say from when it may be used; `version` 0: not on record yet.
    """

    id: str
    kind: str
    value: Decimal
    unit: str
    source: SourceDoc
    table_ref: str
    table_sha256: str
    gas: str = ""
    region: str = INTERNATIONAL
    facility: str = ""
    variant: str = ""
    data_year: int = 0
    valid_from_ms: int | None = None
    valid_to_ms: int | None = None
    signal: str = AVERAGE
    boundary: str = "direct"
    u95_percent: Decimal | None = None
    mark: str = ""
    reason: str = ""
    evidence: str = ""
    low: Decimal | None = None
    high: Decimal | None = None
    version: int = 0
    known_from_ms: int = 0
    status: Status = "draft"
    entered_by: str = ""
    approved_by: str = ""
    note: str = ""

    @property
    def key(self) -> Key:
        begins_ms = -1 if self.valid_from_ms is None else self.valid_from_ms
        return Key(self.id, self.gas, self.region, self.facility, self.variant, self.data_year, begins_ms)

    @property
    def content(self) -> tuple[str, ...]:
        """What makes a version: if any of it differs, it is another version."""
        return (
            str(self.value), self.unit, self.kind, self.signal, self.boundary, self.source.id, self.table_ref, self.mark, self.evidence,
            str(self.valid_to_ms), str(self.u95_percent), str(self.low), str(self.high),
        )  # fmt: skip


def table_sha256(rows: list[tuple[str, ...]]) -> str:
    """The hash of a transcribed table: of its rows in canonical JSON, in the order of their text."""
    text = json.dumps(sorted(rows), ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def published_text(document: SourceDoc) -> str:
    """Issuer, number and day of publication in one line."""
    day: date = document.published_on
    return f"{document.issuer} {document.number} ({day.isoformat()})".strip()


def as_json(entry: Entry) -> dict[str, str | int | None]:
    """A version as a reader of the registry wants it."""
    said: dict[str, str | int | None] = {
        name: getattr(entry, name)
        for name in ("id", "kind", "gas", "region", "facility", "variant", "data_year", "version", "unit", "signal", "boundary", "valid_from_ms",
                     "valid_to_ms", "known_from_ms", "table_ref", "table_sha256", "mark", "reason", "evidence", "status", "entered_by",
                     "approved_by", "note")
    }  # fmt: skip
    return said | {
        "value": f"{entry.value:f}",
        "source": entry.source.id,
        "document": published_text(entry.source),
        "url": entry.source.url,
        "document_sha256": entry.source.sha256,
    }


def decimal_of(text: str) -> Decimal:
    """A plain decimal number of at most 15 digits on either side of its point. Raises ValueError."""
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"expected a decimal number such as 42.652, got {text[:60]!r}")
    return Decimal(text)
