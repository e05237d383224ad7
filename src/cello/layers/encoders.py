"""The first module of a network that reads ids, which turns them into vectors; and `Log`.

Each encoder takes integer ids of any leading shape: [T, B, ...] or the packed rows [N, ...]. Where
a step has several ids, K of them, -1 stands for none. Each keeps its constructor's arguments under
their own names, and `config()` gives them back.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cello.cells.tools import NotScripted, is_proxy, leaf
from cello.errors import ArgumentError, DtypeError

__all__ = ["ENCODERS", "KHot", "Log", "OneHot", "Projection", "WindowEmbedding", "WindowProjection"]


class _Encoder(NotScripted, nn.Module):
    """Checks ids and knows its own arguments."""

    arguments: ClassVar[tuple[str, ...]]
    lowest: ClassVar[int] = -1
    size: int
    output_size: int

    def config(self) -> dict[str, int]:
        """The constructor's arguments by name."""
        return {name: getattr(self, name) for name in self.arguments}

    def extra_repr(self) -> str:
        """The constructor's arguments, for `repr`."""
        return ", ".join(f"{name}={value}" for name, value in self.config().items())

    def forward(self, ids: Tensor) -> Tensor:
        """Ids to vectors; see the class for their shapes.

        Raises:
            DtypeError: the ids are no integers.
            ArgumentError: one of them is out of range.
        """
        if is_proxy(ids):
            node: Tensor = leaf(self, ids)
            return node
        return self._encode(self._check(ids))

    def _encode(self, ids: Tensor) -> Tensor:
        raise NotImplementedError

    def _check(self, ids: Tensor) -> Tensor:
        if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
            raise DtypeError(f"{type(self).__name__} takes integer ids, got {ids.dtype}")
        ids = ids.long()
        # On a GPU the look at the values would make the host wait; there indexing itself checks.
        if torch.compiler.is_compiling():
            fits = ((ids >= self.lowest) & (ids < self.size)).all()
            words = f"{type(self).__name__} takes ids from {self.lowest} to {self.size - 1}"
            torch._assert_async(fits, words)
        elif ids.device.type == "cpu" and ids.numel():
            low, high = (int(value) for value in ids.aminmax())
            if low < self.lowest or high >= self.size:
                raise ArgumentError(
                    f"{type(self).__name__} takes ids from {self.lowest} to {self.size - 1}, "
                    f"got {low if low < self.lowest else high}"
                )
        return ids


class OneHot(_Encoder):
    """1-of-N: a vector with a 1 at the place of the id, zeros elsewhere.

    Args:
        size: the number of ids, N.

    Shapes: ids [...] to [..., N].

    >>> OneHot(3)(torch.tensor([2, 0]))
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """

    arguments = ("size",)
    lowest = 0
    one: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = self.output_size = size
        self.register_buffer("one", torch.ones(()), persistent=False)  # carries the dtype

    def _encode(self, ids: Tensor) -> Tensor:
        zeros = self.one.new_zeros(*ids.shape, self.size)
        return zeros.scatter_(-1, ids.unsqueeze(-1), 1)


class KHot(_Encoder):
    """K-of-N: a vector with a 1 at the place of each id, zeros elsewhere; -1 stands for none.

    Args:
        size: the number of ids, N.

    Shapes: ids [..., K], distinct but for -1, to [..., N].

    >>> KHot(4)(torch.tensor([[2, 0], [1, -1]]))
    tensor([[1., 0., 1., 0.],
            [0., 1., 0., 0.]])
    """

    arguments = ("size",)
    one: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = self.output_size = size
        self.register_buffer("one", torch.ones(()), persistent=False)

    def _encode(self, ids: Tensor) -> Tensor:
        zeros = self.one.new_zeros(*ids.shape[:-1], self.size)
        return zeros.scatter_add_(-1, ids.clamp_min(0), (ids >= 0).to(zeros.dtype))


class Projection(_Encoder):
    """K-of-N times a matrix, without the vectors of N numbers: a sum of K rows of a table.

    Equal to `KHot(size)` followed by a linear map without bias, at the cost of K rows instead of
    N, whatever N is.

    Args:
        size: the number of ids, N.
        output_size: the width of the table, D.

    Shapes: ids [..., K], -1 for none, to [..., D].

    >>> layer = Projection(30_000, 4)
    >>> layer(torch.tensor([[7, 29_999, -1]])).shape
    torch.Size([1, 4])
    """

    arguments = ("size", "output_size")

    def __init__(self, size: int, output_size: int) -> None:
        super().__init__()
        self.size = size
        self.output_size = output_size
        self.weight = nn.Parameter(torch.empty(size, output_size))
        # A few rows are summed; with this their sum has a variance of about 1.
        nn.init.normal_(self.weight, std=0.5)

    def _encode(self, ids: Tensor) -> Tensor:
        rows = ids.reshape(-1, ids.shape[-1])
        weights = (rows >= 0).to(self.weight.dtype)
        y = F.embedding_bag(rows.clamp_min(0), self.weight, mode="sum", per_sample_weights=weights)
        return y.reshape(*ids.shape[:-1], self.output_size)


class WindowProjection(_Encoder):
    """A sum of rows of a table for each place of a window, side by side; one table for all places.

    What is learned of a word at one place holds at the others too.

    Args:
        size: the number of ids of all places together, P·N: place p has those from p·N on.
        projection_size: the width of the table, D.
        window_size: places, P.

    Shapes: ids [..., K], -1 for none, to [..., P·D].

    Raises:
        ArgumentError: `size` is no multiple of `window_size`.

    >>> layer = WindowProjection(9, 4, window_size=3)
    >>> y = layer(torch.tensor([[2, 5, 3, -1]]))  # id 2 at the first place, 2 and 0 at the second
    >>> torch.equal(y[0, 4:8], layer.weight[2] + layer.weight[0]), y[0, 8:].tolist()
    (True, [0.0, 0.0, 0.0, 0.0])
    """

    arguments = ("size", "projection_size", "window_size")

    def __init__(self, size: int, projection_size: int, window_size: int) -> None:
        super().__init__()
        if size % window_size:
            raise ArgumentError(
                f"size must be a multiple of window_size, {window_size}, got {size}"
            )
        self.size = size
        self.projection_size = projection_size
        self.window_size = window_size
        self.output_size = window_size * projection_size
        self.weight = nn.Parameter(torch.empty(size // window_size, projection_size))
        nn.init.normal_(self.weight, std=0.5)  # as in a Projection

    def forward(self, ids: Tensor) -> Tensor:
        """Ids [..., K] to vectors [..., P·D]; see the class."""
        ids = self._check(ids)
        # Those of one place side by side, so that each place of each row is a bag of its own.
        rows = ids.reshape(-1, ids.shape[-1]).sort(-1).values
        known, each = rows >= 0, len(self.weight)
        place = rows.clamp_min(0) // each  # what is not there comes first, and weighs nothing
        counts = F.one_hot(place, self.window_size).sum(1).flatten()
        y = F.embedding_bag(
            (rows.clamp_min(0) % each).flatten(),
            self.weight,
            counts.cumsum(0) - counts,
            mode="sum",
            per_sample_weights=known.to(self.weight.dtype).flatten(),
        )
        return y.reshape(*ids.shape[:-1], self.output_size)


class WindowEmbedding(_Encoder):
    """A learned vector for each id, those of a window side by side; -1 gives zeros.

    Args:
        size: the number of ids, N.
        embedding_size: the length of one vector, E.
        window_size: ids a step, K; one table serves all of them.

    Shapes: ids [..., K] to [..., K·E].

    >>> WindowEmbedding(30_000, 16, window_size=3)(torch.tensor([[-1, 5, 9]])).shape
    torch.Size([1, 48])
    """

    arguments = ("size", "embedding_size", "window_size")

    def __init__(self, size: int, embedding_size: int, window_size: int = 1) -> None:
        super().__init__()
        self.size = size
        self.embedding_size = embedding_size
        self.window_size = window_size
        self.output_size = window_size * embedding_size
        self.weight = nn.Parameter(torch.empty(size, embedding_size))
        nn.init.normal_(self.weight)

    def _encode(self, ids: Tensor) -> Tensor:
        y = F.embedding(ids.clamp_min(0), self.weight) * (ids >= 0).unsqueeze(-1)
        return y.flatten(-2)


#: Every encoder.
ENCODERS: tuple[type[_Encoder], ...] = (
    OneHot, KHot, Projection, WindowEmbedding, WindowProjection,
)  # fmt: skip


class Log(NotScripted, nn.Module):
    """Probabilities as logits: their natural logarithms.

    Shapes: any to the same.

    >>> torch.softmax(Log()(torch.tensor([0.25, 0.75])), -1)
    tensor([0.2500, 0.7500])
    """

    def config(self) -> dict[str, int]:
        """The constructor's arguments by name: none."""
        return {}

    def forward(self, x: Tensor) -> Tensor:
        """Probabilities to their logarithms; 0 to that of the smallest normal number."""
        if is_proxy(x):
            node: Tensor = leaf(self, x)
            return node
        return x.clamp_min(torch.finfo(x.dtype).tiny).log()
