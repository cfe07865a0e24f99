"""Laboratory values as a facility's own fuel parameters: drafts in the factor registry that a second person approves. Not the records (see `activities`)."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final
from zoneinfo import ZoneInfo

from aggregator.accounts.activities.activity import LABORATORY, Activity
from aggregator.accounts.record_file import RecordsRefused
from aggregator.emissions.entry import Entry, SourceDoc, table_sha256
from aggregator.emissions.packfile import FactorPack
from aggregator.emissions.registry import Registry, RegistryRefused

PARAMETERS: Final = ("ncv", "carbon_content", "oxidation")


def draft(registry: Registry, records: Sequence[Activity], now_ms: int, zone: ZoneInfo) -> None:
    """Puts laboratory values among the facility's own parameters, as drafts. The registry's own checks of unit and plausible range stand.
    Raises RecordsRefused."""
    with _refusing():
        for record in _values(records):
            registry.add(_pack(record, zone), record.by, now_ms)


def approve(registry: Registry, records: Sequence[Activity], by: str, now_ms: int, zone: ZoneInfo) -> None:
    """Lets laboratory values be used from now on. Raises RecordsRefused."""
    with _refusing():
        for record in _values(records):
            (entry,) = _pack(record, zone).entries
            if any(kept.key == entry.key and kept.status == "draft" for kept in registry.entries()):
                registry.decide(entry.id, "approved", by, f"laboratory value {record.source}", now_ms, only=entry.key)


def withdraw(
    registry: Registry, records: Sequence[Activity], by: str, reason: str, now_ms: int, zone: ZoneInfo
) -> None:
    """Lets laboratory values no longer be used. Raises RecordsRefused."""
    with _refusing():
        for record in _values(records):
            (entry,) = _pack(record, zone).entries
            registry.decide(entry.id, "withdrawn", by, reason, now_ms, only=entry.key)


def _values(records: Sequence[Activity]) -> list[Activity]:
    return [record for record in records if record.kind == LABORATORY]


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except RegistryRefused as error:
        raise RecordsRefused(error.faults) from error


def _pack(record: Activity, zone: ZoneInfo) -> FactorPack:
    """The record as a factor pack of one row."""
    parameter = record.subject.rpartition(".")[2]
    if parameter not in PARAMETERS or "." not in record.subject:
        expected = ", ".join(f"FUEL.{name}" for name in PARAMETERS)
        raise RecordsRefused([f"{record.key}: subject: expected one of {expected}, got {record.subject!r}"])
    told = "\n".join(
        (
            record.facility,
            record.source,
            record.evidence,
            record.by,
            record.from_day.isoformat(),
            record.to_day.isoformat(),
        )
    )
    document = SourceDoc(
        id=f"laboratory.{record.facility}.{hashlib.sha256(told.encode()).hexdigest()[:16]}", title=record.evidence, issuer="laboratory",
        number=record.source, published_on=record.to_day, transcribed_by=record.by,
    )  # fmt: skip
    from_ms, to_ms = record.span_ms(zone)
    entry = Entry(
        id=f"fuel.{record.subject}", kind=parameter, value=record.amount, unit=record.unit, source=document, table_ref=record.source,
        table_sha256="", facility=record.facility, variant=record.variant, valid_from_ms=from_ms, valid_to_ms=to_ms, evidence=record.evidence,
    )  # fmt: skip
    digest = table_sha256([(*map(str, entry.key), str(entry.value), entry.unit, document.id)])
    table = f"{document.id}: {record.source}"
    entry = replace(entry, table_sha256=digest)
    return FactorPack(f"laboratory {record.source}", (entry,), record.reason, {table: digest}, {table: digest})
