"""`Recording.plot`: a value along time, all its units as a heat map or some of them as lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cello.errors import ArgumentError
from cello.see.names import find
from cello.see.numbers import whole
from cello.see.rows import LayerRows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cello.see.recording import Recording

__all__ = ["plot"]

_LABELS = 60  # steps that get a label each
_INCHES = 0.22  # a step, a unit


def plot(
    recording: Recording,
    name: str,
    unit: int | Iterable[int] | None = None,
    batch: int = 0,
    *,
    tokens: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot a value along time: all its units as a heat map, or some of them as lines.

    Values within 0 and 1, such as gates, are coloured from 0 to 1, others evenly about 0.
    Steps past the end of the sequence are hatched as padding, and the axis of a layer that
    reads from the end says so.

    Args:
        recording: where the value is.
        name: of the value.
        unit: which unit or units, as lines; all as a heat map unless given.
        batch: which sequence.
        tokens: what stands below each step, such as the words that were read.
        ax: where to plot; a new figure unless given.

    Returns:
        The matplotlib axes: `ax.figure.savefig("f.png")` writes them.

    Raises:
        UnknownNameError: no value has this name.
        ArgumentError: there is no such sequence or unit, or tokens do not fit.
        ImportError: matplotlib is not installed: pip install 'cello[draw]'.

    >>> import cello, matplotlib
    >>> matplotlib.use("agg")
    >>> rec = cello.record(cello.Recurrent(cello.GRUCell(3, 4)), torch.randn(5, 1, 3))
    >>> rec.plot("z", tokens="hello").get_xlabel()
    'step →'
    >>> len(rec.plot("h", unit=[0, 2]).get_legend().get_texts())
    2
    >>> matplotlib.pyplot.close("all")
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            "plot needs matplotlib, which comes with Cello's extra draw: pip install 'cello[draw]'"
        ) from error

    full = find(name, recording.names)
    ((layer, rows),) = recording.select(full).values()
    length = layer.length(batch)
    own = rows.detach()[layer.rows_of(batch).to(rows.device)].cpu().float()
    units = own.reshape(length, rows[:1].numel() if len(rows) else 1)
    chosen = None if unit is None else _chosen(unit, units.shape[1])
    if tokens is not None and len(tokens) < length:
        raise ArgumentError(f"tokens must be {length}, one for each step, got {len(tokens)}")
    steps = layer.steps.length
    if ax is None:
        high = 2.4 if chosen is not None else 1.4 + _INCHES * min(units.shape[1], 32)
        wide = 2.4 + _INCHES * min(max(steps, 10), 80)
        ax = pyplot.subplots(figsize=(wide, high), layout="constrained")[1]
    if chosen is None:
        _heat_map(ax, units)
    else:
        _lines(ax, units, chosen)
        ax.set_ylabel(full.rpartition(".")[2])
    _time_axis(ax, layer, batch, tokens)
    ax.set_title(_title(full, layer, batch), parse_math=False)
    return ax


def _chosen(unit: int | Iterable[int], size: int) -> list[int]:
    units = list(unit) if isinstance(unit, Iterable) else [unit]
    for number in units:
        if whole("unit", number) not in range(size):
            raise ArgumentError(f"unit={number} is no unit of this value, which has {size}")
    return units


def _heat_map(ax: Any, units: Tensor) -> None:
    """Units upon time: from 0 to 1 for what is within, else about 0."""
    known = units[units.isfinite()]
    is_share = bool(known.numel()) and bool(((known >= 0) & (known <= 1)).all())
    far = float(known.abs().max()) if known.numel() and known.abs().max() > 0 else 1.0
    colours = {"cmap": "viridis", "vmin": 0, "vmax": 1}
    if not is_share:
        colours = {"cmap": "PuOr_r", "vmin": -far, "vmax": far}
    ax.set_ylabel("unit")
    if not len(units):
        return
    image = ax.imshow(units.T.numpy(), aspect="auto", interpolation="nearest", **colours)
    ax.figure.colorbar(image, ax=ax, pad=0.01)
    ax.yaxis.get_major_locator().set_params(integer=True)


def _lines(ax: Any, units: Tensor, chosen: list[int]) -> None:
    styles = ("-", "--", "-.", ":")  # not by colour alone
    for number, unit in enumerate(chosen):
        style = styles[number % len(styles)]
        ax.plot(units[:, unit].numpy(), style, marker=".", label=f"unit {unit}")
    ax.axhline(0, color="grey", linewidth=0.5)
    ax.legend(loc="best", fontsize="small")


def _time_axis(ax: Any, layer: LayerRows, batch: int, tokens: Sequence[str] | None) -> None:
    """The steps, with their tokens; what lies past the end of the sequence is hatched."""
    length, steps = layer.length(batch), layer.steps.length
    ax.set_xlim(-0.5, max(steps, 1) - 0.5)
    if length < steps:
        ax.axvspan(
            length - 0.5, steps - 0.5, facecolor="none", edgecolor="grey", hatch="//", linewidth=0
        )
        middle = (length + steps - 1) / 2
        place = {"transform": ax.get_xaxis_transform(), "ha": "center", "va": "center"}
        ax.text(middle, 0.5, "padding", rotation=90, backgroundcolor="white", **place)
    if tokens is not None and length <= _LABELS:
        shown = [_visible(token) for token in tokens[:length]]
        turned = any(len(token) > 2 for token in shown)
        ax.set_xticks(range(length))
        ax.set_xticklabels(shown, rotation=90 if turned else 0, parse_math=False)
    else:
        ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_xlabel("← read from the end" if _is_backward(layer, batch) else "step →")


def _visible(token: str) -> str:
    """A token of white space so that it can be seen."""
    known = {"\n": "⏎", "\t": "⇥", " ": "␣"}
    shown = "".join(known.get(letter, letter) for letter in token)
    return "".join(letter if letter.isprintable() else "�" for letter in shown)


def _title(name: str, layer: LayerRows, batch: int) -> str:
    many = layer.steps.batch_size > 1
    return f"{name}, sequence {batch}" if many else name


def _is_backward(layer: LayerRows, batch: int) -> bool:
    """Whether what is remembered comes from the step after."""
    if layer.layer.rpartition(".")[2] == "backward":
        return True
    own = layer.rows_of(batch)
    for name, old in layer.rows.items():
        state = layer.rows.get(name.removesuffix("_prev"))
        if name.endswith("_prev") and state is not None and len(own) > 1:
            before, after = old[own.to(old.device)], state[own.to(old.device)]
            there = torch.equal(before[1:], after[:-1])
            return torch.equal(before[:-1], after[1:]) and not there
    return False
