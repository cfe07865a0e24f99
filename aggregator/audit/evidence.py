"""The evidence bundle: a zip file of sealed batches with what proves them, in one exact form. Not where it is made (`export`) nor checked (`verification`).

```
contents.txt        a signed note: SHA-256 and name of every other file
checkpoint.txt      the log's checkpoint that the proofs lead to
evidence.json       Evidence
frames/000000012.wlb    the sealed batch that is leaf 12, byte for byte as the edge has sent it
```
Nothing is compressed twice and no time of making is in it, so the same evidence is the same bytes, and every byte of the zip file can be judged.
"""

import hashlib
import io
import re
import zipfile
from collections.abc import Mapping
from typing import Final

import msgspec

FORMAT: Final = "wattline evidence 1"
CONTENTS: Final = "contents.txt"
CHECKPOINT: Final = "checkpoint.txt"
EVIDENCE: Final = "evidence.json"
MOST_BATCHES: Final = 10_000
MOST_BYTES: Final = 256 << 20  # of a bundle that is read
MOST_CONTENTS_BYTES: Final = 4 << 20  # of its list of files: some 100 bytes for each batch
_NAME: Final = re.compile(r"contents\.txt|checkpoint\.txt|evidence\.json|frames/\d{9,19}\.wlb")


class BundleUnreadable(ValueError):
    """A file that is no bundle; the message says what was expected and what was seen."""

    def parts(self) -> tuple[str, str]:
        """What was expected, what was seen."""
        expected, _, seen = str(self).removeprefix("expected ").partition(", ")
        return expected, seen.removeprefix("got ")


class EdgeKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key that the aggregator accepted for an edge."""

    edge: str
    public_key: str  # base64


class BatchEvidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A leaf and the batch that it stands for. Without a frame it is there for its digest, which the next batch names."""

    index: int
    edge: str
    epoch: str
    seq: int
    sha256: str
    framed: bool
    proof: list[int]  # places in Evidence.hashes


class CounterEvidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the aggregator's store holds of a counter at the first and the last instant of the batches."""

    edge: str
    device: str
    quantity: str
    first: tuple[int, float | None]  # instant and value; null: the store has none there
    last: tuple[int, float | None]
    readings: int


class SinceEvidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The proof that the log of `size` leaves is the beginning of the checkpoint's; `proof` in base64."""

    size: int
    proof: list[str]


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Batches of a facility that were sealed in [from_ms, to_ms) and kept: all, or of each edge the first of every `every_ms`.

    `hashes` (base64) holds each hash of the proofs once.
    """

    format: str
    facility: str
    from_ms: int
    to_ms: int
    every_ms: int
    log_key: str
    keys: list[EdgeKey]
    hashes: list[str]
    batches: list[BatchEvidence]
    counters: list[CounterEvidence]
    since: SinceEvidence | None

    def encoded(self) -> bytes:
        """The one spelling in a bundle."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    @classmethod
    def decoded(cls, raw: bytes) -> "Evidence":
        """Raises BundleUnreadable."""
        try:
            found = msgspec.json.decode(raw, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BundleUnreadable(f"expected evidence, {error}") from error
        if found.format != FORMAT:
            raise BundleUnreadable(f"expected format {FORMAT!r}, got {found.format[:64]!r}")
        return found


def frame_name(index: int) -> str:
    """The name of a frame's file."""
    return f"frames/{index:09d}.wlb"


def contents_text(files: Mapping[str, bytes], form: str = FORMAT) -> str:
    """What the note `contents.txt` says: the format, then a line per file as sha256sum writes it."""
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items())]
    return f"{form}\n{''.join(lines)}"


def zipped(files: Mapping[str, bytes]) -> bytes:
    """The zip file of these files: in the order of their names, stored as they are."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name)  # 1980-01-01
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return made.getvalue()


def unzipped(raw: bytes, names: re.Pattern[str] = _NAME) -> dict[str, bytes]:
    """The files of a bundle as they are, whatever their checksums say; `names` are those it may have. Raises BundleUnreadable."""
    if len(raw) > MOST_BYTES:
        raise BundleUnreadable(f"expected at most {MOST_BYTES} bytes, got {len(raw)}")
    files: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            for entry in archive.infolist():
                if not names.fullmatch(entry.filename) or entry.filename in files:
                    raise BundleUnreadable(f"expected files of a bundle, each once, got {entry.filename[:100]!r}")
                start = entry.header_offset + 30 + len(entry.filename)  # a local header without extra field
                files[entry.filename] = raw[start : start + entry.file_size]
    except BundleUnreadable:
        raise
    except Exception as error:
        raise BundleUnreadable(f"expected a zip file, {error}") from error
    return files
