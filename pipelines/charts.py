"""Plots as SVG text: small, without a browser or a library, the same bytes for the same numbers, readable on light and dark pages."""

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, isfinite, log10

SHADES = ("#1b6ca8", "#d1711f", "#3a8f5c", "#8a5aa8", "#b23a48", "#7a7a7a", "#c2a500", "#3fa7a0", "#9a6a4f", "#5566cc", "#a03f83")
FONT = 'font-family="system-ui, sans-serif" font-size="12"'
WIDTH, LEFT, TOP, BOTTOM = 860, 64, 56, 34


def bars(groups: Sequence[str], series: Mapping[str, Sequence[float]], *, title: str, height: int = 320) -> str:
    """Bars side by side: a cluster a group, a shade a series; a value that is NaN has no bar."""
    values = [value for one in series.values() for value in one if isfinite(value)]
    low, high, step = _scale(min([0.0, *values]), max([0.0, *values]))
    rows = _legend_rows(list(series))
    top = TOP + 18 * (rows - 1)
    plot = height - top - BOTTOM

    def y(value: float) -> float:
        return top + plot * (high - value) / (high - low)

    parts = [_text(LEFT, 20, title, weight="bold"), *_legend(list(series))]
    for place in range(round((high - low) / step) + 1):
        tick = low + place * step
        strength = 0.9 if abs(tick) < step / 2 else 0.25
        across = f'x1="{LEFT}" x2="{WIDTH - 8}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"'
        parts.append(f'<line {across} stroke="#999" stroke-opacity="{strength}"/>')
        parts.append(_text(LEFT - 6, y(tick) + 4, _number(tick, step), anchor="end"))
    room = (WIDTH - LEFT - 8) / max(len(groups), 1)
    wide = 0.84 * room / max(len(series), 1)
    for at, group in enumerate(groups):
        begin = LEFT + room * at + 0.08 * room
        parts.append(_text(begin + 0.42 * room, height - 12, group, anchor="middle"))
        for place, (name, one) in enumerate(series.items()):
            if isfinite(one[at]):
                upper, lower = min(y(one[at]), y(0)), max(y(one[at]), y(0))
                tip = escape(f"{name}, {group}: {one[at]:.4f}")
                parts.append(
                    f'<rect x="{begin + wide * place:.1f}" y="{upper:.1f}" width="{wide * 0.92:.1f}" height="{lower - upper:.1f}" '
                    f'fill="{SHADES[place % len(SHADES)]}"><title>{tip}</title></rect>'
                )
    return _document(parts, height)


def heat(rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[float]], *, title: str) -> str:
    """Coloured cells, blue below 0 and orange above, each with its number; NaN is left empty."""
    left, cell = LEFT + 60, 26
    height = TOP + cell * len(rows) + 12
    room = (WIDTH - left - 8) / max(len(columns), 1)
    largest = max([abs(value) for row in values for value in row if isfinite(value)] or [0.0]) or 1.0
    parts = [_text(8, 20, title, weight="bold")]
    parts += [_text(left + room * (place + 0.5), TOP - 10, name, anchor="middle") for place, name in enumerate(columns)]
    for at, (name, row) in enumerate(zip(rows, values, strict=True)):
        parts.append(_text(left - 8, TOP + cell * at + 17, name, anchor="end"))
        for place, value in enumerate(row):
            if isfinite(value):
                shade = SHADES[1] if value > 0 else SHADES[0]
                x, y = left + room * place, TOP + cell * at
                box = f'x="{x:.1f}" y="{y}" width="{room - 1:.1f}" height="{cell - 1}"'
                parts.append(f'<rect {box} fill="{shade}" fill-opacity="{0.85 * abs(value) / largest:.3f}"/>')
                parts.append(_text(x + room / 2, y + 17, f"{value:+.3f}".replace("-", "−"), anchor="middle"))
    return _document(parts, height)


def _scale(low: float, high: float) -> tuple[float, float, float]:
    """(bottom, top, step): round numbers around the values, four to eight steps."""
    high = high if high > low else low + 1
    span = high - low
    unit = 10 ** floor(log10(span / 5))
    step = next(unit * factor for factor in (1, 2, 5, 10) if span / (unit * factor) <= 6)
    return floor(low / step) * step, ceil(high / step) * step, step


def _number(value: float, step: float) -> str:
    places = max(0, -floor(log10(step) + 1e-9))
    return f"{value + 0.0:.{places}f}".replace("-", "−") if abs(value) > step / 2 else "0"


def _legend_rows(names: Sequence[str]) -> int:
    return max(y for _, y in _spots(names)) + 1 if names else 1


def _spots(names: Sequence[str]) -> list[tuple[float, int]]:
    """(x, row) of each name in the legend, broken into rows of the plot's width."""
    spots, x, row = [], float(LEFT), 0
    for name in names:
        wide = 26 + 7.0 * len(name)
        if x + wide > WIDTH and x > LEFT:
            x, row = float(LEFT), row + 1
        spots.append((x, row))
        x += wide
    return spots


def _legend(names: Sequence[str]) -> list[str]:
    parts = []
    for place, (name, (x, row)) in enumerate(zip(names, _spots(names), strict=True)):
        parts.append(f'<rect x="{x:.1f}" y="{31 + 18 * row}" width="11" height="11" fill="{SHADES[place % len(SHADES)]}"/>')
        parts.append(_text(x + 15, 41 + 18 * row, name))
    return parts


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'


def _document(parts: Sequence[str], height: int) -> str:
    style = "<style>text { fill: #333 } @media (prefers-color-scheme: dark) { text { fill: #ccc } }</style>"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" {FONT}>'
    return "\n".join([head, style, *parts, "</svg>"]) + "\n"
