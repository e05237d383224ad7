"""Training and evaluation mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

__all__ = ["evaluating"]


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """`net` in eval mode for a while; then each of its modules in its own mode again.

    >>> net = nn.Sequential(nn.Dropout(), nn.Dropout().eval())
    >>> with evaluating(net):
    ...     print([module.training for module in net])
    [False, False]
    >>> [module.training for module in net]
    [True, False]
    """
    before = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield
    finally:
        net.train(before[0][1])
        for module, training in before:
            module.training = training
