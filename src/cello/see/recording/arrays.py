"""A recording as labelled arrays: time, batch, unit."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cello.errors import ArgumentError
from cello.see.recording.rows import LayerRows

if TYPE_CHECKING:
    import numpy
    import xarray

    from cello.see.recording.recorded import Recorded

__all__ = ["to_xarray"]


def to_xarray(recording: Recorded, *names: str) -> xarray.Dataset:
    """As an `xarray.Dataset` with the dimensions time, batch and unit.

    Where a sequence has ended there is NaN. The values that are asked for may differ in size:
    then "unit" is the size that most of them have, and "unit_3", say, that of a value of 3. A value
    of the name of a dimension, such as time, is called value_time.

    Args:
        recording: what was recorded.
        *names: which values; all unless given.

    Raises:
        UnknownNameError: no value has one of these names.
        ArgumentError: the values come from layers that saw different sequences.
        ImportError: xarray is not installed.

    >>> import cello
    >>> rec = cello.record(cello.Recurrent(cello.GRUCell(3, 4)), torch.randn(5, 2, 3))
    >>> rec.to_xarray("z").z.dims
    ('time', 'batch', 'unit')
    """
    try:
        import xarray
    except ImportError as error:
        raise ImportError(
            "to_xarray needs the package xarray, which comes with Cello's extra of that name: "
            'pip install "cello[xarray]"'
        ) from error

    chosen = recording.select(names or None)
    _check_same_sequences(chosen)
    sizes = Counter(rows.shape[1] for _, rows in chosen.values() if rows.dim() == 2)
    usual = sizes.most_common(1)[0][0] if sizes else None
    variables = {}
    coordinates: dict[str, object] = {}
    for name, (layer, rows) in chosen.items():
        array = _padded(layer, rows)
        axes = [f"unit_{size}" for size in array.shape[2:]]
        if len(axes) == 1 and array.shape[2] == usual:
            axes = ["unit"]
        elif len(axes) > 1:
            axes = [f"axis_{place}_{size}" for place, size in enumerate(array.shape[2:], 2)]
        dimensions = ("time", "batch", *axes)
        variables[name] = (dimensions, array)
        for dimension, size in zip(dimensions, array.shape, strict=True):
            coordinates[dimension] = range(size)
    if chosen:
        first = next(iter(chosen))
        coordinates["length"] = ("batch", recording.lengths_of(first).cpu().numpy())
    values = {f"value_{n}" if n in coordinates else n: v for n, v in variables.items()}
    return xarray.Dataset(values, coordinates)


def _check_same_sequences(chosen: dict[str, tuple[LayerRows, Tensor]]) -> None:
    first: tuple[str, LayerRows] | None = None
    for name, (layer, _) in chosen.items():
        first = first or (name, layer)
        ours, theirs = layer.steps, first[1].steps
        if (ours.length, ours.batch_size) != (theirs.length, theirs.batch_size):
            raise ArgumentError(
                f"{first[0]} has {theirs.length} steps of {theirs.batch_size} sequences, {name} "
                f"has {ours.length} of {ours.batch_size}: ask for values of layers that saw the "
                "same, as in to_xarray(name, ...)"
            )


def _padded(layer: LayerRows, rows: Tensor) -> numpy.ndarray:
    """[T, B, ...], NaN where a sequence has ended."""
    values = rows.detach().cpu()
    if values.dtype == torch.bfloat16:
        values = values.float()
    steps = layer.steps
    if steps.index is None:
        return steps.pad(values).numpy()
    if not values.is_floating_point() and not values.is_complex():
        values = values.double()
    T, B = steps.length, steps.batch_size
    flat = torch.full((T * B, *values.shape[1:]), torch.nan, dtype=values.dtype)
    flat[steps.index.cpu()] = values
    return flat.reshape(T, B, *values.shape[1:]).numpy()
