"""The proof of a conversion: both sides run on the same inputs and must give the same numbers.

Every converter ends here. The net is the truth, run step by step on the reference engine in eval
mode; what was made of it is a function that runs the other side. The inputs are random and edge
ones: several T and B, T = 1, B = 1, sequences of several lengths and of none, states to begin with,
zeros, numbers below the normal ones and large ones. Where the two differ by more than rounding
should make, the net runs in float64 too: a sine of 10,000 is not known any better than that.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import keystr, tree_flatten_with_path, tree_unflatten

from cello.cells.contract.shapes import INTEGER, is_several, shape_of, width_of
from cello.engines import engine
from cello.errors import ArgumentError, ConversionError
from cello.layers import DropIn, Stack
from cello.layers.encoders import ENCODERS, OneHot, WindowEmbedding
from cello.layers.layer import Layer
from cello.layers.mode import evaluating
from cello.layers.stream import Streamed

__all__ = ["Case", "OtherSide", "Proof", "Reads", "draw_input", "prove", "reads_of", "run_net"]

#: How far apart the numbers of both sides may lie, as a share of the largest one (of 1, where all
#: are smaller): rounding differs, for sums are taken in another order.
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
#: Of the net's own rounding, what the other side may add, and from where it tells nothing.
_TIMES, _UNSURE = 8.0, 1e-2
#: (T, B) of the random cases.
_SIZES = ((1, 1), (1, 3), (6, 1), (5, 4), (9, 2))
#: How many ids a step of a net has that takes any number of them.
_SEVERAL = 3


class Case(NamedTuple):
    """What both sides are given.

    Attributes:
        name: in words, for a message.
        x: the input as the net takes it, [T, B, ...], or [B, T, ...] if it has `batch_first`.
        state: the tensors of the state in the order of `run_net`; None for the initial one.
        lengths: int64 [B], or None for whole sequences.
    """

    name: str
    x: Tensor
    state: list[Tensor] | None = None
    lengths: Tensor | None = None


#: Runs the other side: the output and the tensors of the final state, as `run_net` returns them.
OtherSide = Callable[[Case], tuple[Tensor, Sequence[Tensor]]]


@dataclass(frozen=True)
class Proof:
    """What was found equal.

    Attributes:
        cases: how many inputs both sides were run on.
        largest: the largest difference between two numbers.
        relative: the largest difference, as a share of the largest number of its tensor (of 1,
            where all are smaller).
        where: the case and the tensor of `relative`.
    """

    cases: int
    largest: float
    relative: float
    where: str

    def __str__(self) -> str:
        return (
            f"equal on {self.cases} inputs; largest difference {self.largest:.1e} "
            f"({self.relative:.1e} of the largest number: {self.where})"
        )


# ------------------------------------------------------------ what a net reads


class Reads(NamedTuple):
    """What a net reads at each step of a sequence.

    Attributes:
        shape: of one step of one sequence; -1 for an axis of any length.
        ids: how many ids there are, for whole numbers; 0 for real ones.
        lowest: the lowest id.
    """

    shape: tuple[int, ...]
    ids: int = 0
    lowest: int = 0


def reads_of(net: Any) -> Reads:
    """What `net` reads, as its first module says.

    Raises:
        ArgumentError: the first module does not say so.

    >>> import cello
    >>> reads_of(cello.Stack(nn.Embedding(9, 3), cello.GRU(3, 4)))
    Reads(shape=(), ids=9, lowest=0)
    """
    if isinstance(net, (Stack, nn.Sequential)) and len(net):
        return reads_of(net[0])
    if isinstance(net, (Layer, DropIn)):
        size = net.input_size
        if size == INTEGER:
            return Reads((), ids=_FEW)
        return Reads((width_of(size),) if is_several(size) else shape_of(size))
    if isinstance(net, nn.Embedding):
        return Reads((), ids=net.num_embeddings)
    if isinstance(net, WindowEmbedding):
        return Reads((net.window_size,), ids=net.size, lowest=-1)
    if isinstance(net, ENCODERS):
        several = not isinstance(net, OneHot)
        return Reads((-1,) if several else (), ids=net.size, lowest=-1 if several else 0)
    if isinstance(net, nn.Linear):
        return Reads((net.in_features,))
    if isinstance(net, nn.LayerNorm):
        return Reads(tuple(net.normalized_shape))
    raise ArgumentError(
        f"what net reads is not known: its first module, {type(net).__name__}, does not say how "
        "many features it takes; begin with a recurrent layer, nn.Linear, nn.Embedding or an "
        "encoder of Cello's"
    )


#: Of a cell that takes whole numbers, those that are tried.
_FEW = 2


def draw_input(
    net: Any, T: int, B: int, generator: torch.Generator, several: int = _SEVERAL
) -> Tensor:
    """A random input of `net`: [T, B, ...], or [B, T, ...] if it has `batch_first`.

    An axis of any length has so many: `several`.
    """
    reads = reads_of(net)
    lead = (B, T) if getattr(net, "batch_first", False) else (T, B)
    if not reads.ids:
        return torch.randn(*lead, *reads.shape, generator=generator, dtype=_dtype_of(net))
    if -1 not in reads.shape:
        lowest, shape = reads.lowest, (*lead, *reads.shape)
        return torch.randint(lowest, reads.ids, shape, generator=generator)
    count = min(several, reads.ids)  # distinct ids, the first of which may be none
    order = torch.rand(*lead, reads.ids, generator=generator).argsort(-1)[..., :count]
    none = torch.rand(*lead, 1, generator=generator) < 0.5
    ids = torch.where(none & (torch.arange(count) == 0), reads.lowest, order)
    return nn.functional.pad(ids, (0, several - count), value=reads.lowest)


def _dtype_of(net: nn.Module) -> torch.dtype:
    floats = (p for p in (*net.parameters(), *net.buffers()) if p.is_floating_point())
    return next((p.dtype for p in floats), torch.get_default_dtype())


# ------------------------------------------------------------ the net itself


def run_net(net: Any, case: Case) -> tuple[Tensor, dict[str, Tensor]]:
    """The output of `net` and the tensors of its final state by name, such as "[1].h".

    It runs step by step on the reference engine, in eval mode, without gradients.
    """
    with torch.no_grad(), evaluating(net), engine("reference"):
        if not isinstance(net, Streamed):
            return net(case.x), {}
        state = None
        if case.state is not None:
            like, spec = tree_flatten_with_path(net(case.x)[1])
            left = iter(case.state)
            state = tree_unflatten([None if p is None else next(left) for _, p in like], spec)
        y, final = net(case.x, state, lengths=case.lengths)
        parts, _ = tree_flatten_with_path(final)
        return y, {keystr(path): part for path, part in parts if part is not None}


def _cases(net: Any, lengths: bool, states: bool, several: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(0)

    def drawn(T: int, B: int, sizes: Sequence[int] | None = None, given: bool = False) -> Case:
        x = draw_input(net, T, B, generator, several)
        name = f"T = {T}, B = {B}"
        state = None
        if given:
            name += ", with a state to begin with"
            made = run_net(net, Case("", x))[1].values()
            state = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in made]
        if sizes is not None:
            name += f", lengths {list(sizes)}"
        return Case(name, x, state, None if sizes is None else torch.tensor(sizes))

    has_state = states and isinstance(net, Streamed)
    for T, B in _SIZES:
        yield drawn(T, B)
        if has_state:
            yield drawn(T, B, given=True)
    if lengths and isinstance(net, Streamed):
        for sizes in ([4, 1, 6, 3], [0, 5, 0], [2]):
            yield drawn(6, len(sizes), sizes)
            if has_state:
                yield drawn(6, len(sizes), sizes, given=True)
    if reads_of(net).ids:
        return
    for name, factor in (("zeros", 0.0), ("numbers around 1e-40", 1e-40), ("around 1e4", 1e4)):
        case = drawn(4, 3)
        yield case._replace(name=f"{case.name}, x of {name}", x=case.x * factor)


# ------------------------------------------------------------ both sides


def prove(
    net: Any,
    other: OtherSide,
    *,
    name: str,
    lengths: bool = True,
    states: bool = True,
    tolerance: float | None = None,
    several: int = _SEVERAL,
) -> Proof:
    """Run `net` and what was made of it on the same inputs, and compare what comes out.

    Args:
        net: a layer, a stack, a drop-in, or a module from tensor to tensor.
        other: runs the other side. Past the end of a sequence its output is 0.
        name: what the other side is called in a message, such as "net.onnx".
        lengths: whether it takes sequences of several lengths.
        states: whether it takes a state to begin with.
        tolerance: how far apart numbers may lie, as a share of the largest one of their tensor (of
            1, where all are smaller); by default what rounding makes in the net's dtype.
        several: ids of a step, of a net that takes any number of them.

    Raises:
        ConversionError: the two are not equal, or the other side cannot run: says where.
        ArgumentError: what `net` reads is not known.

    >>> import cello
    >>> net = cello.Recurrent(cello.ElmanCell(3, 2))
    >>> def other(case):
    ...     y, state = net(case.x, case.state and tuple(case.state), lengths=case.lengths)
    ...     return y, list(state)
    >>> prove(net, other, name="the same again").cases
    19
    """
    allowed = TOLERANCES[_dtype_of(net)] if tolerance is None else tolerance
    worst, largest, count = (-1.0, ""), 0.0, 0
    for case in _cases(net, lengths, states, several):
        expected, final = run_net(net, case)
        try:
            y, state = other(case)
        except Exception as error:
            raise ConversionError(f"{name} cannot run {case.name}: {error}") from error
        if len(state) != len(final):
            raise ConversionError(
                f"{name} gives {len(state)} tensors as the final state, the net {len(final)}"
            )
        wanted = {"the output": expected, **{f"the final state{n}": p for n, p in final.items()}}
        for number, ((what, a), b) in enumerate(zip(wanted.items(), (y, *state), strict=True)):
            if a.shape != b.shape:
                raise ConversionError(
                    f"{name} is not equal to the net: {what} is {list(b.shape)} instead of "
                    f"{list(a.shape)} ({case.name})"
                )
            apart, scale = _apart(a, b), _scale(a)
            if (apart > allowed * scale).any():  # as little as the net itself is sure of?
                apart = _beyond(apart, a, _exactly(net, case, number), scale)
            furthest = float(apart.max()) if apart.numel() else 0.0
            if furthest > allowed * scale:
                place = int(apart.argmax())
                index = [int(i) for i in torch.unravel_index(torch.tensor(place), a.shape)]
                raise ConversionError(
                    f"{name} is not equal to the net: {what}{index} is "
                    f"{float(b.flatten()[place])!r} instead of {float(a.flatten()[place])!r} "
                    f"({case.name})"
                )
            worst = max(worst, (furthest / scale, f"{what}, {case.name}"))
            largest = max(largest, furthest)
        count += 1
    return Proof(count, largest, *worst)


def _apart(a: Tensor, b: Tensor) -> Tensor:
    """How far each number lies from the other, infinitely where only one is a number."""
    a, b = a.detach().double(), b.detach().double()
    same = (a == b) | (a.isnan() & b.isnan())
    return torch.where(same, 0.0, (a - b).abs()).nan_to_num(torch.inf, torch.inf)


def _scale(a: Tensor) -> float:
    """The largest number, or 1."""
    finite = torch.where(a.isfinite(), a.detach(), 0.0).abs().double()
    return max(1.0, float(finite.max()) if a.numel() else 0.0)


def _exactly(net: Any, case: Case, number: int) -> Tensor | None:
    """What the net gives in float64, if it can run there: the output, or a part of the state."""
    x = case.x.double() if case.x.is_floating_point() else case.x
    state = None if case.state is None else [part.double() for part in case.state]
    try:
        y, final = run_net(copy.deepcopy(net).double(), case._replace(x=x, state=state))
    except Exception:  # a step of a user's that is made for one dtype
        return None
    return [y, *final.values()][number]


def _beyond(apart: Tensor, a: Tensor, exact: Tensor | None, scale: float) -> Tensor:
    """How far apart the numbers are beyond the net's own rounding, times so many.

    Where that is more than a hundredth, as of a sine of large numbers, there is nothing to compare.
    """
    if exact is None:
        return apart
    rounding = _apart(a, exact)
    sure = rounding <= _UNSURE * scale
    most = float(torch.where(sure, rounding, 0.0).max())
    return torch.where(sure, (apart - _TIMES * most).clamp_min(0.0), 0.0)
