"""Standard output whose reader may stop reading, as `head` does: no error of the word that writes to it. Not what is written."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast


class ReaderGone(BaseException):
    """Whoever read standard output reads no more. No OSError, so that no word takes it for a trouble of its own."""


class _Output:
    """A text stream that says `ReaderGone` in place of `BrokenPipeError`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except BrokenPipeError as error:
            raise ReaderGone from error

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError as error:
            raise ReaderGone from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def heeding_the_reader() -> Iterator[None]:
    """Within, standard output raises ReaderGone; what is left in its buffer is written at the end."""
    stream = sys.stdout
    sys.stdout = cast("TextIO", _Output(stream))
    try:
        yield
        sys.stdout.flush()
    finally:
        sys.stdout = stream


def write_no_more() -> None:
    """What is still in the buffer goes nowhere, so that the end of the process does not complain."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
