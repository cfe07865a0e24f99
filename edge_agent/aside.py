"""Keeps what the spool will not have any more for people to look at, within a bound. Nothing in it is ever sent."""

import contextlib
import logging
import shutil
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

MAX_FILES: Final = 1_000
MAX_DIRECTORIES: Final = 4


def keep_file(directory: Path, name: str, raw: bytes, max_bytes: int) -> None:
    """Write `<directory>/<name>` and delete the oldest files beyond the bound. A failure is logged: it must not cost readings."""
    try:
        directory.mkdir(exist_ok=True)
        (directory / name).write_bytes(raw)
        files = sorted((path for path in directory.iterdir() if path.is_file()), key=_written_ns)
        total = sum(path.stat().st_size for path in files)
        while files and (total > max_bytes or len(files) > MAX_FILES):
            oldest = files.pop(0)
            total -= oldest.stat().st_size
            oldest.unlink()
    except OSError as error:
        log.error("could not be set aside name=%s reason=%s", name, error)


def keep_directory(path: Path, aside: Path) -> None:
    """Move a directory into `aside`; of those there the newest few stay. A failure is logged."""
    try:
        aside.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(aside / path.name)
        path.rename(aside / path.name)
        for old in sorted(aside.iterdir(), key=_written_ns)[:-MAX_DIRECTORIES]:
            shutil.rmtree(old)
    except OSError as error:
        log.error("could not be set aside name=%s reason=%s", path.name, error)


def _written_ns(path: Path) -> int:
    return path.stat().st_mtime_ns
