"""Charts of a report as inline SVG: bars over time, bars by name, shares of a whole. Colours come from the page's style; figures only become points here."""

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Final

WIDTH: Final = 960
_HEIGHT: Final = 260
_LEFT: Final = 64
_TOP: Final = 12
_BOTTOM: Final = 34
_MOST_LABELS: Final = 16
_ROW: Final = 26

Bar = tuple[str, Sequence[tuple[str, float]]]  # label, (series, height) of its parts from the bottom


def bars(title: str, rows: Sequence[Bar]) -> str:
    """Stacked bars side by side; every part tells its label and value. Nothing to show gives ""."""
    tops = [sum(value for _, value in parts if value > 0) for _, parts in rows]
    lows = [sum(value for _, value in parts if value < 0) for _, parts in rows]
    if not rows or not any(tops + lows):
        return ""
    ticks = nice_ticks(min([0.0, *lows]), max([0.0, *tops]))
    low, high = ticks[0], ticks[-1]
    plot = _HEIGHT - _TOP - _BOTTOM

    def y(value: float) -> float:
        return _TOP + plot * (high - value) / (high - low)

    step = (WIDTH - _LEFT - 8) / len(rows)
    wide = max(1.0, min(step * 0.78, 56.0))
    drawn = [
        f'<line x1="{_LEFT}" x2="{WIDTH}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" class="{"zero" if not tick else "rule"}"/>'
        f'<text x="{_LEFT - 8}" y="{y(tick) + 4:.1f}" class="tick">{_plain(tick)}</text>'
        for tick in ticks
    ]
    every = math.ceil(len(rows) / _MOST_LABELS)
    for at, (label, parts) in enumerate(rows):
        left = _LEFT + step * at + (step - wide) / 2
        drawn += _stack(label, parts, left, wide, y)
        if at % every == 0:
            drawn.append(f'<text x="{left + wide / 2:.1f}" y="{_HEIGHT - 12}" class="label">{escape(label)}</text>')
    return _svg(title, _HEIGHT, drawn)


def _stack(
    label: str, parts: Sequence[tuple[str, float]], left: float, wide: float, y: Callable[[float], float]
) -> list[str]:
    drawn: list[str] = []
    above = below = 0.0
    for series, value in parts:
        if not value:
            continue
        start = above if value > 0 else below
        end = start + value
        top, height = y(max(start, end)), abs(y(start) - y(end))
        drawn.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{max(height, 0.5):.1f}" class="{series}">'
            f"<title>{escape(label)}: {value:,.6g}</title></rect>"
        )
        above, below = (end, below) if value > 0 else (above, end)
    return drawn


def lying_bars(title: str, rows: Sequence[tuple[str, str, float, str]]) -> str:
    """A bar for each (name, series, length, figure as text), the names on the left and the figures behind the bars."""
    longest = max((value for *_, value, _ in rows), default=0.0)
    if longest <= 0:
        return ""
    left, plot = 230, WIDTH - 230 - 150
    drawn: list[str] = []
    for at, (name, series, value, said) in enumerate(rows):
        top = _TOP + _ROW * at
        length = max(plot * max(value, 0.0) / longest, 1.0)
        drawn.append(
            f'<text x="{left - 8}" y="{top + 15}" class="tick">{escape(_short(name, 34))}<title>{escape(name)}</title></text>'
        )
        drawn.append(f'<rect x="{left}" y="{top + 3}" width="{length:.1f}" height="{_ROW - 8}" class="{series}"/>')
        drawn.append(f'<text x="{left + length + 8:.1f}" y="{top + 15}" class="figure">{escape(said)}</text>')
    return _svg(title, 2 * _TOP + _ROW * len(rows), drawn)


def shares(title: str, rows: Sequence[tuple[str, Sequence[tuple[str, float]]]]) -> str:
    """A bar of 100 % for each (name, (series, percent) of its parts)."""
    left, plot = 230, WIDTH - 230 - 60
    drawn: list[str] = []
    for at, (name, parts) in enumerate(rows):
        x, top = float(left), _TOP + _ROW * at
        drawn.append(f'<text x="{left - 8}" y="{top + 15}" class="tick">{escape(_short(name, 34))}</text>')
        for series, percent in parts:
            wide = plot * percent / 100
            if wide > 0:
                drawn.append(
                    f'<rect x="{x:.1f}" y="{top + 3}" width="{wide:.1f}" height="{_ROW - 8}" class="{series}"><title>{percent:.2f} %</title></rect>'
                )
                x += wide
    drawn += [
        f'<text x="{left + plot * percent / 100:.1f}" y="{_TOP + _ROW * len(rows) + 14}" class="label">{percent}</text>'
        for percent in (0, 25, 50, 75, 100)
    ]
    return _svg(title, 2 * _TOP + _ROW * len(rows) + 12, drawn) if rows else ""


def nice_ticks(low: float, high: float) -> list[float]:
    """About five round numbers from at most `low` to at least `high`, which differ."""
    rough = (high - low) / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(at * step, 12) for at in range(first, last + 1)]


def _svg(title: str, height: float, drawn: Sequence[str]) -> str:
    label = escape(title, quote=True)
    return f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{label}"><title>{escape(title)}</title>{"".join(drawn)}</svg>'


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _plain(tick: float) -> str:
    return f"{tick:,.10g}"
