"""What lies in a spool directory, for a person at the gateway: read only, also beside a running agent. Not the spool itself."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

import msgspec

from edge_agent.epoch import Answered, Identity
from edge_agent.segment import look
from edge_agent.spans import Spans


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
            identity = msgspec.json.decode(path.read_bytes(), type=Identity)
        except msgspec.DecodeError:
            continue
        answered = Answered()
        if (path.parent / "answered.json").is_file():
            answered = msgspec.json.decode((path.parent / "answered.json").read_bytes(), type=Answered)
        settled = Spans([*answered.committed, *answered.gone])
        segments = sorted(path.parent.glob("*-*.seg"))
        records = [record for segment in segments for record in look(segment)]
        waiting = [record for record in records if record.seq not in settled]
        yield EpochReport(
            identity.epoch,
            identity.facility,
            identity.edge,
            len(records),
            len(waiting),
            min((record.seq for record in waiting), default=0),
            max((record.seq for record in records), default=0),
            min((record.first_ms for record in waiting), default=0),
            sum(segment.stat().st_size for segment in segments),
        )


def run_report(directory: Path, as_json: bool, out: TextIO) -> int:
    """Print the report; exit status 0, or 1 where there is no spool."""
    found = list(epochs(directory)) if directory.is_dir() else []
    if not found:
        print(f"spool {directory}: expected a spool directory, found no epoch", file=out)  # noqa: T201 what the word is for
        return 1
    for report in found:
        if as_json:
            line = json.dumps(asdict(report))
        else:
            line = (
                f"epoch {report.epoch} of {report.facility}/{report.edge}: {report.waiting} of {report.batches} batches wait"
                f" (numbers {report.first_waiting_seq or '-'} to {report.last_seq}), {report.bytes / 1e6:.1f} MB on disk"
            )
        print(line, file=out)  # noqa: T201
    return 0
