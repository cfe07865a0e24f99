"""Which of the figures known of a meter's intervals stand: a function of what is known, whatever the order in which it came. Keeps nothing (see `ledger`).

    the counter's difference, good or uncertain     the meter beats a file about it
    an energy by hand that corrects an import
    an import
    what the counter only estimates (substituted), or power integrated
    an energy by hand where nothing was imported

An instant counts once: an import gives way where counter differences cover all of it, else no counter's interval that it touches stands.
"""

from collections.abc import Iterable, Iterator, Sequence

from aggregator.interval_row import IMPORT, MANUAL, MEASURED, IntervalRow
from aggregator.intervals.boundaries import INTEGRATED, Grade
from wire.reading import Quality

Ends = tuple[int, int]


def standing_of(known: Iterable[IntervalRow]) -> list[IntervalRow]:
    """Those that stand of the final figures of one device and quantity, at most one of each source for the same ends; ordered by time.

    `known` must hold every figure that overlaps one of them.
    """
    chosen = [figure for together in _together(known) for figure in (together if len(together) == 1 else _of(together))]
    return sorted(chosen, key=lambda figure: figure.start_ms)


def _together(known: Iterable[IntervalRow]) -> Iterator[list[IntervalRow]]:
    """Groups that no figure of another one overlaps."""
    group: list[IntervalRow] = []
    until_ms = 0
    for figure in sorted(known, key=ends_of):
        if group and figure.start_ms >= until_ms:
            yield group
            group = []
        until_ms = max(until_ms, figure.end_ms) if group else figure.end_ms
        group.append(figure)
    if group:
        yield group


def _of(known: Sequence[IntervalRow]) -> list[IntervalRow]:
    measured = [figure for figure in known if figure.source == MEASURED]
    by_hand = {ends_of(figure): figure for figure in known if figure.source == MANUAL}
    imported = {ends_of(figure): by_hand.pop(ends_of(figure), figure) for figure in known if figure.source == IMPORT}
    counted = [figure for figure in measured if _counted(figure.grade)]
    held: set[Ends] = set()
    while True:  # an import that stands shuts counter intervals out, and they may be what another import gave way to
        free = [ends for ends in map(ends_of, counted) if not _overlaps(ends, held)]
        more = {ends for ends in imported.keys() - held if not _cover(free, ends)}
        if not more:
            break
        held |= more
    left = [figure for figure in measured if not _overlaps(ends_of(figure), held)]
    alone = [figure for ends, figure in by_hand.items() if not _overlaps(ends, map(ends_of, left))]
    return [*(imported[ends] for ends in held), *left, *alone]


def _counted(grade: Grade) -> bool:
    """Whether it is the difference of two displays, and not estimated."""
    return grade.quality in (Quality.GOOD, Quality.UNCERTAIN) and grade != INTEGRATED


def _cover(spans: Iterable[Ends], whole: Ends) -> bool:
    """Whether spans, ordered, leave nothing of a whole."""
    until_ms = whole[0]
    for start_ms, end_ms in spans:
        if start_ms > until_ms:
            break
        until_ms = max(until_ms, end_ms)
    return until_ms >= whole[1]


def _overlaps(one: Ends, others: Iterable[Ends]) -> bool:
    return any(one[0] < end_ms and start_ms < one[1] for start_ms, end_ms in others)


def ends_of(figure: IntervalRow) -> Ends:
    return figure.start_ms, figure.end_ms
