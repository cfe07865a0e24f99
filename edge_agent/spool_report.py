"""What lies in a spool directory, for a person at the gateway: read only, also beside a running agent. Not the spool itself."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from edge_agent.epoch import Epoch, EpochUnreadable
from edge_agent.segment import RecordUnreadable


@dataclass(frozen=True, slots=True)
class EpochReport:
    """One epoch: what waits for the aggregator and what it has already. Instants in UTC ms, 0 where there is none."""

    epoch: str
    facility: str
    edge: str
    batches: int
    waiting: int
    first_waiting_seq: int
    last_seq: int
    first_waiting_ms: int
    bytes: int


def epochs(directory: Path) -> Iterator[EpochReport]:
    """The epochs in a spool directory. Raises OSError."""
    for path in sorted(directory.glob("*/epoch.json")):
        try:
            epoch = Epoch.open(path.parent)
            oldest = epoch.read(epoch.oldest_waiting)
        except (EpochUnreadable, RecordUnreadable):
            continue
        yield EpochReport(
            epoch.identity.epoch,
            epoch.identity.facility,
            epoch.identity.edge,
            epoch.batches,
            epoch.waiting,
            epoch.oldest_waiting if epoch.waiting else 0,
            epoch.last_seq,
            0 if oldest is None else oldest[0].first_ms,
            epoch.size_bytes,
        )


def run_report(directory: Path, as_json: bool, out: TextIO) -> int:
    """Print the report; exit status 0, or 1 where there is no spool."""
    found = list(epochs(directory)) if directory.is_dir() else []
    if not found:
        print(f"spool {directory}: expected a spool directory, found no epoch", file=out)
        return 1
    for report in found:
        if as_json:
            line = json.dumps(asdict(report))
        else:
            line = (
                f"epoch {report.epoch} of {report.facility}/{report.edge}: {report.waiting} of {report.batches} batches wait"
                f" (numbers {report.first_waiting_seq or '-'} to {report.last_seq}), {report.bytes / 1e6:.1f} MB on disk"
            )
        print(line, file=out)
    return 0
