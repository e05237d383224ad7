"""A picture of a run: its training loss and the validation metric that chooses the best epoch.

Written as SVG by a few lines of ours: it is drawn anew after each epoch, where importing a library
that draws would take longer than many an epoch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

__all__ = ["curves"]

_WIDTH, _HEIGHT = 640, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 16, 32, 28
_COLOURS = "#1f5fa8", "#b3470f"
#: Points of one curve at most; of more epochs, some are left out.
_MOST = 500

Points = list[tuple[int, float]]


def curves(history: Sequence[Mapping[str, Any]], monitor: str, best_epoch: int | None) -> str:
    """The SVG of a run's history.

    Args:
        history: a row for each epoch, as in `cello.train.Result`.
        monitor: the metric that is drawn below the loss, where there are validation data.
        best_epoch: the epoch that is marked.

    >>> picture = curves([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}], "accuracy", 2)
    >>> picture.startswith("<svg"), picture.count("<polyline"), "training loss" in picture
    (True, 1, True)
    """
    titles = {"loss": "training loss"}
    titles[f"validation_{monitor}"] = f"validation {monitor.replace('_', ' ')}"
    panels: dict[str, Points] = {}
    for name, title in titles.items():
        found = [(row["epoch"], row[name]) for row in history if name in row]
        if points := [(epoch, value) for epoch, value in found if math.isfinite(value)]:
            panels[title] = points
    last = max([row["epoch"] for row in history], default=1)
    drawn = [
        _panel(title, points, last, best_epoch, place)
        for place, (title, points) in enumerate(panels.items())
    ]
    height = _HEIGHT * max(1, len(panels))
    told = "; ".join(f"{title}: {points[-1][1]:.4g}" for title, points in panels.items())
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
            f'viewBox="0 0 {_WIDTH} {height}" role="img" font-family="sans-serif" font-size="12">',
            "<title>Training curves</title>",
            f"<desc>Epoch {last}. {escape(told)}</desc>",
            '<rect width="100%" height="100%" fill="white"/>',
            *drawn,
            "</svg>\n",
        ]
    )


def _panel(title: str, points: Points, last: int, best_epoch: int | None, place: int) -> str:
    """One curve with its axes; `place` counts the panels from the top."""
    low, high = (pick(value for _, value in points) for pick in (min, max))
    ticks = _ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT

    def x(epoch: float) -> float:
        return _LEFT + (right - _LEFT) * ((epoch - 1) / (last - 1) if last > 1 else 0.5)

    def y(value: float) -> float:
        return bottom - (bottom - _TOP) * (value - low) / (high - low)

    lines = [
        f'<g transform="translate(0 {place * _HEIGHT})">',
        f'<text x="{_LEFT}" y="20" font-weight="bold">{escape(title)}</text>',
    ]
    for tick in ticks:
        at = f"{y(tick):.1f}"
        lines.append(f'<path d="M{_LEFT} {at}H{right}" stroke="#ddd"/>')
        lines.append(
            f'<text x="{_LEFT - 6}" y="{at}" text-anchor="end" dy="4" fill="#444">{tick:.6g}</text>'
        )
    for epoch in sorted({round(tick) for tick in _ticks(1, last)} | {1, last}):
        if 1 <= epoch <= last and (epoch in (1, last) or abs(x(epoch) - x(last)) > 30):
            lines.append(
                f'<text x="{x(epoch):.1f}" y="{bottom + 18}" text-anchor="middle" fill="#444">'
                f"{epoch}</text>"
            )
    every = math.ceil(len(points) / _MOST)
    shown = [*points[:-1:every], points[-1]]
    at = " ".join(f"{x(epoch):.1f},{y(value):.1f}" for epoch, value in shown)
    colour = _COLOURS[place]
    lines.append(f'<polyline points="{at}" fill="none" stroke="{colour}" stroke-width="2"/>')
    for epoch, value in points:
        if epoch == best_epoch or len(points) == 1:
            lines.append(
                f'<circle cx="{x(epoch):.1f}" cy="{y(value):.1f}" r="4" fill="{colour}">'
                f"<title>best epoch: {epoch}, {value:.4g}</title></circle>"
            )
    return "\n".join([*lines, "</g>"])


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers from below `low` to above `high`, about five.

    >>> _ticks(0.12, 0.93)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    >>> _ticks(1, 1)
    [0.8, 0.9, 1.0, 1.1, 1.2]
    """
    if high - low < 1e-9 * max(1e-300, abs(low), abs(high)):
        around = abs(low) / 6 or 0.5
        low, high = low - around, high + around
    size = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = next(size * n for n in (1, 2, 2.5, 5, 10) if (high - low) / (size * n) <= 5)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(number * step, 12) for number in range(first, last + 1)]
