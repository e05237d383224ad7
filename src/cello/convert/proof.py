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
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import keystr, tree_flatten_with_path, tree_unflatten

from cello.convert.proved import Proof, not_numbers, proof_of, proved, together
from cello.convert.state_parts import by_parts
from cello.engines import engine
from cello.errors import CelloError, ConversionError
from cello.layers.mode import evaluating
from cello.layers.outputs.pooling import pooling_of
from cello.layers.reads import SEVERAL, Reads, draw_input, dtype_of, reads_of
from cello.layers.stream import Streamed

__all__ = [
    "TOLERANCES",
    "Case",
    "OtherSide",
    "Proof",
    "Reads",
    "draw_input",
    "gap",
    "proof_of",
    "prove",
    "proved",
    "reads_of",
    "run_net",
    "together",
]

#: How far apart the numbers of both sides may lie, as a share of the largest one (of 1, where all
#: are smaller): rounding differs, for sums are taken in another order.
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
#: Of the net's own rounding, what the other side may add, and from where it tells nothing.
_TIMES, _UNSURE = 8.0, 1e-2
#: (T, B) of the random cases; what is more than random has the last.
_SIZES = ((1, 1), (1, 3), (6, 1), (5, 4), (9, 2))


class Case(NamedTuple):
    """What both sides are given.

    Attributes:
        name: in words, for a message.
        x: the input as the net takes it, [T, B, ...], or [B, T, ...] if it has `batch_first`; a
            tuple of all inputs where it takes several.
        state: the tensors of the state in the order of `run_net`; None for the initial one.
        lengths: int64 [B], or None for whole sequences.
    """

    name: str
    x: Any
    state: list[Tensor] | None = None
    lengths: Tensor | None = None


#: Runs the other side: the output, a tuple of several, and the tensors of the final state, as
#: `run_net` returns them.
OtherSide = Callable[[Case], tuple[Any, Sequence[Tensor]]]
#: Draws an input of T steps and B rows.
Draw = Callable[[int, int, torch.Generator], Any]


# ------------------------------------------------------------ the net itself


def run_net(net: Any, case: Case) -> tuple[Any, dict[str, Tensor]]:
    """The output of `net`, a tuple of several, and the tensors of its final state by name.

    A name is such as "[1].h". It runs step by step on the reference engine, in eval mode, without
    gradients.

    Raises:
        ConversionError: the net itself cannot run the input.
    """
    try:
        with torch.no_grad(), evaluating(net), engine("reference"):
            return _run(net, case)
    except CelloError:
        raise
    except Exception as error:
        raise ConversionError(
            f"the net itself cannot run {case.name or 'a random input'}, so that there is nothing "
            f"to compare with: {error}"
        ) from error


def _run(net: Any, case: Case) -> tuple[Any, dict[str, Tensor]]:
    if not isinstance(net, Streamed):
        return net(*case.x) if isinstance(case.x, tuple) else net(case.x), {}
    state = None
    if case.state is not None:
        like, spec = tree_flatten_with_path(by_parts(net, net(case.x)[1]))
        left = iter(case.state)
        state = tree_unflatten([None if p is None else next(left) for _, p in like], spec)
    y, final = net(case.x, state, lengths=case.lengths)
    parts, _ = tree_flatten_with_path(by_parts(net, final))
    return y, {keystr(path): part for path, part in parts if part is not None}


def _cases(
    net: Any, draw: Draw, sizes: Sequence[tuple[int, int]], lengths: bool, states: bool
) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(0)

    def drawn(T: int, B: int, sizes: Sequence[int] | None = None, given: bool = False) -> Case:
        x = draw(T, B, generator)
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
    for T, B in sizes:
        yield drawn(T, B)
        if has_state:
            yield drawn(T, B, given=True)
    if lengths and isinstance(net, Streamed):
        none = 0 if pooling_of(net) is None else 1  # of no step there is nothing to take
        for some in ([4, 1, 6, 3], [none, 5, none], [2]):
            yield drawn(6, len(some), some)
            if has_state:
                yield drawn(6, len(some), some, given=True)
    if not _floats(drawn(*sizes[0]).x):
        return
    for name, factor in (("zeros", 0.0), ("numbers around 1e-40", 1e-40), ("around 1e4", 1e4)):
        case = drawn(*sizes[-1])
        x = _of_each(case.x, partial(torch.mul, other=factor))
        yield case._replace(name=f"{case.name}, x of {name}", x=x)


def _floats(x: Any) -> bool:
    return any(part.is_floating_point() for part in (x if isinstance(x, tuple) else (x,)))


def _of_each(x: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Each input changed, but for ids."""
    if isinstance(x, tuple):
        return tuple(_of_each(part, change) for part in x)
    return change(x) if x.is_floating_point() else x


# ------------------------------------------------------------ both sides


def prove(
    net: Any,
    other: OtherSide,
    *,
    name: str,
    draw: Draw | None = None,
    sizes: Sequence[tuple[int, int]] = _SIZES,
    lengths: bool = True,
    states: bool = True,
    finals: bool = True,
    tolerance: float | None = None,
    several: int = SEVERAL,
) -> Proof:
    """Run `net` and what was made of it on the same inputs, and compare what comes out.

    Args:
        net: a layer, a stack, a drop-in, or a module from tensors to tensors.
        other: runs the other side. Past the end of a sequence its output is 0.
        name: what the other side is called in a message, such as "net.onnx".
        draw: makes an input of T steps and B rows; by default one of the kind that `net` reads.
        sizes: (T, B) of the random inputs; those of zeros and large numbers have the last.
        lengths: whether the other side takes sequences of several lengths.
        states: whether it takes a state to begin with.
        finals: whether it gives the final state.
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
    allowed = TOLERANCES[dtype_of(net)] if tolerance is None else tolerance

    def by_itself(T: int, B: int, generator: torch.Generator) -> Tensor:
        return draw_input(net, T, B, generator, several)

    found, cases = [], 0
    for case in _cases(net, draw or by_itself, sizes, lengths, states):
        cases += 1
        expected, final = run_net(net, case)
        try:
            y, state = other(case)
        except Exception as error:
            raise ConversionError(f"{name} cannot run {case.name}: {error}") from error
        final = final if finals else {}
        if len(state) != len(final):
            raise ConversionError(
                f"{name} gives {len(state)} tensors as the final state, the net {len(final)}"
            )
        wanted = {**_outputs(expected), **{f"the final state{n}": p for n, p in final.items()}}
        given = [*_outputs(y).values(), *state]
        if len(given) != len(wanted):
            raise ConversionError(
                f"{name} gives {len(given)} tensors, the net {len(wanted)}: {', '.join(wanted)}"
            )
        for number, ((what, a), b) in enumerate(zip(wanted.items(), given, strict=True)):
            found.append(_compared(net, case, number, (what, a, b), allowed, name))
    return replace(together(found), cases=cases)


def _outputs(y: Any) -> dict[str, Tensor]:
    if isinstance(y, Tensor):
        return {"the output": y}
    return {f"output {place}": part for place, part in enumerate(y)}


def _compared(
    net: Any, case: Case, number: int, pair: tuple[str, Tensor, Tensor], allowed: float, name: str
) -> Proof:
    """Two tensors that must be equal, the net's first.

    Raises:
        ConversionError: they are not.
    """
    what, a, b = pair
    if a.shape != b.shape:
        raise ConversionError(
            f"{name} is not equal to the net: {what} is {list(b.shape)} instead of "
            f"{list(a.shape)} ({case.name})"
        )
    told = f"{name} is not equal to the net: {what}"
    exactly = partial(_exactly, net, case, number)
    try:
        furthest, scale = gap(a, b, allowed, exactly, told, case.name)
    except ConversionError as error:
        if isinstance(net, nn.Module) and (said := not_numbers(net)):
            raise ConversionError(f"{error}; {said}") from None
        raise
    return Proof(1, furthest, furthest / scale, f"{what}, {case.name}")


def gap(
    a: Tensor,
    b: Tensor,
    allowed: float,
    exactly: Callable[[], Tensor | None],
    told: str,
    case: str,
) -> tuple[float, float]:
    """How far two tensors of one shape lie apart at most, and the largest number, or 1.

    Args:
        a: what should be.
        b: what is.
        allowed: how far apart they may lie, as a share of that number.
        exactly: gives `a` in float64, if it can be had, where they lie further apart.
        told: how the message begins, before the place and the two numbers there.
        case: how it ends.

    Raises:
        ConversionError: they lie further apart than their own rounding makes them.
    """
    apart, scale = _apart(a, b), _scale(a)
    if (apart > allowed * scale).any():  # as little as the net itself is sure of?
        apart = _beyond(apart, a, exactly(), scale)
    furthest = float(apart.max()) if apart.numel() else 0.0
    if furthest > allowed * scale:
        place = int(apart.argmax())
        index = [int(i) for i in torch.unravel_index(torch.tensor(place), a.shape)]
        x, y = (float(part.flatten()[place]) for part in (a, b))
        raise ConversionError(f"{told}{index} is {y!r} instead of {x!r} ({case})")
    return furthest, scale


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
    x = _of_each(case.x, Tensor.double)
    state = None if case.state is None else [part.double() for part in case.state]
    try:
        y, final = run_net(copy.deepcopy(net).double(), case._replace(x=x, state=state))
    except Exception:  # a step of a user's that is made for one dtype
        return None
    return [*_outputs(y).values(), *final.values()][number]


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
