"""Encoders make vectors of any width out of nothing: it must be what the next module takes."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from cello.errors import ModelError
from cello.layers import Stack
from cello.layers.encoders import ENCODERS

__all__ = ["check_widths"]


def check_widths(net: nn.Module) -> None:
    """Check what can be seen of a network before it runs.

    Raises:
        ModelError: an encoder does not give as many numbers as the next module takes.

    >>> from cello.layers import LSTM, OneHot
    >>> check_widths(Stack(OneHot(10**9), LSTM(3, 4)))
    Traceback (most recent call last):
    cello.errors.ModelError: net[0] (OneHot) gives 1,000,000,000 numbers, net[1] (LSTM) takes 3
    """
    wide: tuple[str, int] | None = None
    for path, module in _modules_in_line(net, "net"):
        takes = getattr(module, "input_size", getattr(module, "in_features", None))
        name = f"{path} ({type(module).__name__})"
        if wide is not None and isinstance(takes, int):
            if takes != wide[1]:
                raise ModelError(f"{wide[0]} gives {wide[1]:,} numbers, {name} takes {takes:,}")
            wide = None
        if isinstance(module, ENCODERS):
            wide = name, module.output_size


def _modules_in_line(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    """The modules that run one after the other, whatever they are wrapped in."""
    if type(module) in (Stack, nn.Sequential):
        for number, part in enumerate(module.children()):
            yield from _modules_in_line(part, f"{path}[{number}]")
    else:
        yield path, module
