"""Says which readings could not be stored and where the first of them came from. Not how they are found (see `aggregator.gather`)."""

import logging
import time
from collections import Counter
from collections.abc import Mapping
from typing import Final

from wire.content import Content

_log = logging.getLogger(__name__)

SILENT_S: Final = 60.0  # a device with a wrong clock is wrong in every batch: the rest is counted in /metrics


class LeftOut:
    """One message per cause, then none of that cause for a minute. Used by one thread."""

    def __init__(self) -> None:
        self._silent_until_s: dict[str, float] = {}

    def say(self, counts: Counter[str], first: Mapping[str, Content]) -> None:
        """`counts` by cause in one commit, with the content of the `first` batch that had one. Unknown quantities are named on sight."""
        now_s = time.monotonic()
        for cause, content in first.items():
            if cause == "unknown_quantity" or now_s < self._silent_until_s.get(cause, 0.0):
                continue
            self._silent_until_s[cause] = now_s + SILENT_S
            _log.warning(
                "left out cause=%s count=%d facility=%s edge=%s first_seq=%d",
                cause,
                counts[cause],
                content.facility,
                content.edge,
                content.seq,
            )
