"""A conditional random field over the tags of a sequence: a layer that comes after the scores.

No package that is kept offers one (pytorch-crf's last release is of 2019). None is needed: the
forward algorithm, which sums over all sequences of tags, is a recurrent network. What it remembers
are log-scores, and one step of it is a few operations. So it is a cell like any other, and runs as
a fused loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from cello.cells import Cell
from cello.cells.tools import NotScripted
from cello.errors import ArgumentError, DtypeError, ShapeError
from cello.layers.call.steps import Steps
from cello.layers.recurrent import Recurrent
from cello.ranges import check_range

__all__ = ["CRF"]


class _ForwardCell(Cell):
    """One step of the forward algorithm: from the log-scores of the tags of one step to the next.

    `a` [B, O] holds, for each tag, the log of the sum over all paths that end in it.
    """

    state: ClassVar[tuple[str, ...]] = ("a",)

    def __init__(self, size: int, transitions: nn.Parameter) -> None:
        super().__init__(size, size)
        self.transitions = transitions

    def step(self, x: Tensor, a: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        a = x + torch.logsumexp(a.unsqueeze(1) + self.transitions, dim=-1)
        return a, (a,)


class CRF(NotScripted, nn.Module):
    r"""A linear-chain conditional random field; the last module of a network that tags.

    The score of a sequence of tags is that of its first tag, of each tag at its step, of each
    transition from one tag to the next, and of its last tag, together; its probability is
    exp(score), divided by the sum over all sequences of tags. Called, it gives scores back as they
    are: the whole sequence has to be known before a tag is.

    Sources: Lafferty, McCallum and Pereira 2001, "Conditional random fields: probabilistic models
    for segmenting and labeling sequence data", section 3; on top of a recurrent network Lample et
    al. 2016, "Neural architectures for named entity recognition", section 2.

    Args:
        size: the number of tags, O.

    Attributes:
        transitions: the score of going to tag i from tag j, [O, O].
        start: the score of a first tag, [O].
        end: the score of a last tag, [O].

    Shapes: scores [T, B, O] to the same.

    Raises:
        ArgumentError: `size` is no positive whole number.

    >>> crf = CRF(3)
    >>> scores = torch.tensor([[[2.0, 0.0, 0.0]], [[0.0, 0.0, 1.0]]])         # T = 2, B = 1
    >>> [path.tolist() for path in crf.decode(scores)]
    [[0, 2]]
    >>> paths = torch.cartesian_prod(torch.arange(3), torch.arange(3))        # all nine
    >>> chances = [crf.log_likelihood(scores, path.unsqueeze(1)).exp() for path in paths]
    >>> round(sum(chances).item(), 4)
    1.0
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        check_range(hidden_size=size)
        self.size = size
        self.transitions = nn.Parameter(torch.zeros(size, size))
        self.start = nn.Parameter(torch.zeros(size))
        self.end = nn.Parameter(torch.zeros(size))
        # In a list, so that it is no part of the network: the network's own steps are what is
        # recorded and drawn, and its weights are those above.
        self._forward_algorithm: list[Recurrent] = []

    def config(self) -> dict[str, int]:
        """The constructor's arguments by name."""
        return {"size": self.size}

    def extra_repr(self) -> str:
        """The constructor's arguments, for `repr`."""
        return f"size={self.size}"

    def forward(self, scores: Tensor) -> Tensor:
        """The scores as they are."""
        return scores

    def log_likelihood(
        self, scores: Tensor, tags: Tensor, lengths: Tensor | Sequence[int] | None = None
    ) -> Tensor:
        """The log of the probability of each sequence of tags, [B], in nats; differentiable.

        Args:
            scores: of each tag at each step, [T, B, O].
            tags: the numbers of the tags, [T, B]; what stands past a sequence's end does not count.
            lengths: of the sequences, [B], each at least 1; None if all are T.

        Raises:
            ShapeError, DtypeError, ArgumentError: shapes, types or numbers do not fit.
        """
        self._check(scores)
        T, B, _ = scores.shape
        if tags.shape != (T, B):
            raise ShapeError(
                f"tags must have the shape {[T, B]} of the steps, got {list(tags.shape)}"
            )
        if tags.is_floating_point() or tags.is_complex() or tags.dtype == torch.bool:
            raise DtypeError(f"tags must be whole numbers, got {tags.dtype}")
        lengths = _lengths(scores, lengths)
        alive = torch.arange(T, device=scores.device).unsqueeze(1) < lengths  # [T, B]
        tags = torch.where(alive, tags, 0)
        if ((tags < 0) | (tags >= self.size)).any():
            wrong = tags[(tags < 0) | (tags >= self.size)][0]
            raise ArgumentError(f"tags must be from 0 to {self.size - 1}, got {int(wrong)}")
        each = scores.gather(2, tags.unsqueeze(2)).squeeze(2)
        each = torch.cat([each[:1], each[1:] + self.transitions[tags[1:], tags[:-1]]])
        last = tags.gather(0, (lengths - 1).unsqueeze(0)).squeeze(0)
        score = torch.where(alive, each, 0).sum(0) + self.start[tags[0]] + self.end[last]
        return score - self._total(scores, lengths)

    def _total(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """The log of the sum over all sequences of tags, [B]."""
        if not self._forward_algorithm:
            self._forward_algorithm.append(Recurrent(_ForwardCell(self.size, self.transitions)))
        (layer,) = self._forward_algorithm
        if layer.cell.transitions is not self.transitions:  # as after load_state_dict(assign=True)
            layer.cell.transitions = self.transitions
        a = scores[0] + self.start
        if len(scores) > 1:
            _, (a,) = layer(scores[1:], (a,), lengths=lengths - 1)
        return torch.logsumexp(a + self.end, -1)

    @torch.no_grad()
    def decode(self, scores: Tensor, lengths: Tensor | Sequence[int] | None = None) -> list[Tensor]:
        """The most probable tags [T] of each sequence (Viterbi 1967), on the CPU.

        Args:
            scores: of each tag at each step, [T, B, O].
            lengths: of the sequences, [B], each at least 1; None if all are T.

        Raises:
            ShapeError, DtypeError, ArgumentError: shapes, types or numbers do not fit.
        """
        self._check(scores)
        T, B, size = scores.shape
        lengths = _lengths(scores, lengths)
        same = torch.arange(size, device=scores.device).expand(B, size)
        best, before = scores[0] + self.start, []
        for step in range(1, T):
            going, came = (best.unsqueeze(1) + self.transitions).max(-1)
            alive = (step < lengths).unsqueeze(1)
            best = torch.where(alive, going + scores[step], best)
            before.append(torch.where(alive, came, same))
        tags = [(best + self.end).argmax(-1)]
        for came in reversed(before):
            tags.append(came.gather(1, tags[-1].unsqueeze(1)).squeeze(1))
        paths = torch.stack(tags[::-1]).cpu()
        return [paths[:length, row] for row, length in enumerate(lengths.tolist())]

    def _check(self, scores: Tensor) -> None:
        if scores.dim() != 3 or scores.shape[-1] != self.size or not len(scores):
            raise ShapeError(f"scores must be [T, B, {self.size}], got {list(scores.shape)}")


def _lengths(scores: Tensor, lengths: Tensor | Sequence[int] | None) -> Tensor:
    """The length of each sequence, [B].

    Raises:
        ShapeError, DtypeError: they are not one whole number for each.
        ArgumentError: one is less than 1, or beyond T.
    """
    found = Steps.of(scores, lengths=lengths, called="scores").all_lengths.to(scores.device)
    if (found < 1).any():
        raise ArgumentError(f"lengths must be at least 1, got {int(found.min())}")
    return found
