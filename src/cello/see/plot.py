"""`Recording.plot`: a value along time, all its units as a heat map or some of them as lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from cello.errors import ArgumentError
from cello.see.colours import ENDS
from cello.see.names import find
from cello.see.numbers import whole
from cello.see.recording.rows import LayerRows
from cello.see.step_labels import height_of, put_tokens

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cello.see.recording.recorded import Recorded

__all__ = ["plot"]

_INCHES = 0.22  # a step, a unit
_MARKED = 200  # steps that get a point each
_UNKNOWN = "0.8"  # grey, where a number is not finite


def plot(
    recording: Recorded,
    name: str,
    unit: int | Iterable[int] | None = None,
    batch: int = 0,
    *,
    tokens: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot a value along time: all its units as a heat map, or some of them as lines.

    Values within 0 and 1, such as gates, are shown from 0 to 1, others evenly about 0, from blue
    (low) to orange (high) as on the page and in a terminal. What is not finite is grey. Steps past
    the end of the sequence are hatched as padding, and the axis of a layer that reads from the end
    says so.

    Args:
        recording: where the value is.
        name: of the value.
        unit: which unit or units, as lines; all as a heat map unless given.
        batch: which sequence.
        tokens: what stands below each step, such as the words that were read; below some of the
            steps if they are many. Letters that the usual fonts lack are taken from others.
        ax: where to plot; a new figure unless given.

    Returns:
        The matplotlib axes: `ax.figure.savefig("f.png")` writes them.

    Raises:
        UnknownNameError: no value has this name.
        ArgumentError: there is no such sequence or unit, the value is complex, or tokens do not
            fit.
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
    if rows.is_complex():
        raise ArgumentError(
            f"{full} is complex, and a plot shows real numbers: give its real or imaginary part a "
            "name in the step"
        )
    length = layer.length(batch)
    units = layer.sequence(rows, batch).float()
    chosen = None if unit is None else _chosen(unit, units.shape[1])
    steps = layer.steps.length
    if tokens is not None and len(tokens) not in (length, steps):
        raise ArgumentError(f"tokens must be {length}, one for each step, got {len(tokens)}")
    is_own = ax is None
    if ax is None:
        high = 2.4 if chosen is not None else 1.4 + _INCHES * min(units.shape[1], 32)
        high += height_of(tokens[:length]) if tokens is not None else 0.0
        wide = 2.4 + _INCHES * min(max(steps, 10), 80)
        ax = pyplot.subplots(figsize=(wide, high), layout="constrained")[1]
    if chosen is None:
        _heat_map(ax, units)
    else:
        _lines(ax, units[:, chosen], chosen, is_own=is_own)
        if _are_shares(units):
            ax.update_datalim([(0, 0), (0, 1)])
            ax.autoscale_view()
        ax.set_ylabel(full.rpartition(".")[2], parse_math=False)
    _time_axis(ax, layer, batch, tokens)
    grey = "" if units.isfinite().all() else " (grey: not finite)"
    sequence = f", sequence {batch}" if layer.steps.batch_size > 1 else ""
    ax.set_title(f"{full}{sequence}{grey}", parse_math=False)
    return ax


def _chosen(unit: int | Iterable[int], size: int) -> list[int]:
    units = list(unit) if isinstance(unit, Iterable) else [unit]
    if not units:
        raise ArgumentError("unit must be one or more units, got none")
    for number in units:
        if whole("unit", number) not in range(size):
            raise ArgumentError(f"unit={number} is no unit of this value, which has {size}")
    return units


def _are_shares(units: Tensor) -> bool:
    """Whether all numbers are within 0 and 1, as those of a gate."""
    known = units[units.isfinite()]
    return bool(known.numel()) and bool(((known >= 0) & (known <= 1)).all())


def _heat_map(ax: Any, units: Tensor) -> None:
    """Units along time; colours from 0 to 1 if all values lie there, else even about 0."""
    known = units[units.isfinite()]
    far = float(known.abs().max()) if known.numel() and known.abs().max() > 0 else 1.0
    low, high = (0.0, 1.0) if _are_shares(units) else (-far, far)
    ax.set_ylabel("unit")
    if not len(units):
        return
    from matplotlib.colors import LinearSegmentedColormap

    ends = [tuple(part / 255 for part in colour) for colour in ENDS["light"]]
    image = ax.imshow(
        units.T.numpy(),
        aspect="auto",
        interpolation="antialiased",
        cmap=LinearSegmentedColormap.from_list("cello", ends).with_extremes(bad=_UNKNOWN),
        vmin=low,
        vmax=high,
    )
    ax.figure.colorbar(image, ax=ax, pad=0.01)
    ax.yaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)


def _lines(ax: Any, units: Tensor, chosen: list[int], *, is_own: bool) -> None:
    styles = ("-", "--", "-.", ":")  # not by colour alone
    mark = "." if len(units) <= _MARKED else ""
    for number, unit in enumerate(chosen):
        style = styles[number % len(styles)]
        ax.plot(units[:, number].numpy(), style, marker=mark, label=f"unit {unit}")
    ax.axhline(0, color="grey", linewidth=0.5)
    lost = (~units.isfinite().all(dim=1)).nonzero()[:, 0].tolist()
    columns = [(step - 0.5, 1.0) for step in lost]
    ax.broken_barh(columns, (0, 1), transform=ax.get_xaxis_transform(), color=_UNKNOWN)
    aside = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
    ax.legend(fontsize="small", **(aside if is_own else {"loc": "upper right"}))


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
    if tokens is not None:
        put_tokens(ax, tokens[:length])
    else:
        ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    ax.set_xlabel("← read from the end" if layer.reads_backward(batch) else "step →")
