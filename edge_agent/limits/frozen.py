"""A meter that goes on answering and no longer measures: what it shows stays the same to the last digit while assets below it draw something else. Not a silent one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

SAME_MS: Final = 30_000
CHANGED_RATIO: Final = 0.05  # of the branch's limit, by the assets' own word
CHANGED_KW: Final = 2.0


@dataclass(slots=True)
class _Same:
    """What a meter shows, and what its assets drew when it began to; `changed_ms`: since when they draw something else."""

    shows: Sequence[complex]
    drawn_kw: float
    changed_ms: int | None = None
    frozen: bool = False


class FrozenMeters:
    """Told each round what a branch's meter shows and what those of its assets draw that tell it at once. A meter is frozen until it shows something else."""

    def __init__(self) -> None:
        self._same: dict[str, _Same] = {}

    def is_frozen(self, branch: str, shows: Sequence[complex], drawn_kw: float, limit_kva: float, now_ms: int) -> bool:
        """Whether what the meter shows cannot be believed: the same for 30 s since its assets together draw clearly more or less."""
        same = self._same.get(branch)
        if same is None or same.shows != shows:
            self._same[branch] = _Same(shows, drawn_kw)
            return False
        if same.frozen:
            return True
        if abs(drawn_kw - same.drawn_kw) <= max(CHANGED_KW, CHANGED_RATIO * limit_kva):
            same.changed_ms = None
        elif same.changed_ms is None:
            same.changed_ms = now_ms
        else:
            same.frozen = now_ms - same.changed_ms >= SAME_MS
        return same.frozen
