"""How long a state is remembered: how the final state depends on the states before it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cello.engines import tensors_of
from cello.program import Op, Value, evaluate, is_row_wise
from cello.program.movement import MOVES
from cello.program.operations import is_pointwise
from cello.see.gradients.differentiable_run import DifferentiableRun

__all__ = ["MemoryHorizon", "memory_of"]

EXACT = 32  # state sizes up to this: every row of the Jacobian is computed
PROBES = 32  # of a larger state: vectors of random signs, which estimate its columns without bias
AT_ONCE = 2**24  # numbers that are held at a time


@dataclass(frozen=True, eq=False)
class MemoryHorizon:
    """What is left of the states of one layer, by distance in steps from the end.

    Attributes:
        states: the names of the states.
        left: for each state, [T + 1, size]: the size of the final state's gradient with respect to
            each unit d steps before (the norm of a column of the Jacobian, root mean square over
            the sequences that are so long); 1 at d = 0.
        kept: the same along the unit's own path through time alone, leaving out every product
            with a matrix: for the cell state of an LSTM the product of its forget gates. None if
            the step mixes rows.
        factors: how much of each unit one step keeps along that path, [size], the mean over all
            steps. None likewise.
    """

    states: tuple[str, ...]
    left: dict[str, Tensor]
    kept: dict[str, Tensor] | None
    factors: dict[str, Tensor] | None

    @property
    def gain(self) -> Tensor:
        """The size of the whole Jacobian by distance, [T + 1]: below 1 it shrinks what it meets."""
        return torch.cat(list(self.left.values()), dim=1).square().mean(1).sqrt()

    def horizon(self, state: str) -> Tensor:
        """The steps after which less than 1/e of each unit is left, [size]; inf if more is."""
        return _horizon(self.left[state])

    def kept_horizon(self, state: str) -> Tensor | None:
        """The same along the unit's own way alone."""
        return None if self.kept is None else _horizon(self.kept[state])


def _horizon(left: Tensor) -> Tensor:
    forgotten = left < 1 / math.e
    first = forgotten.int().argmax(0).to(left.dtype)
    return torch.where(forgotten.any(0), first, torch.inf)


def memory_of(run: DifferentiableRun) -> MemoryHorizon:
    """The memory of one run, from its kept values."""
    names = tuple(run.program.state)
    sizes = [part.shape[1] for part in run.final]
    t, there = _by_distance(run)

    def ordered(rows: Tensor) -> Tensor:
        """Rows [N, size] of what steps read, as [T, B, size], from the end on."""
        padded = run.steps.pad(rows)
        return padded.gather(0, t[..., None].expand_as(padded))

    columns = ordered(_columns(run, sum(sizes))).split(sizes, dim=2)
    left = {name: _mean(part, there) for name, part in zip(names, columns, strict=True)}
    kept = _kept_factors(run)
    if kept is None:
        return MemoryHorizon(names, left, None, None)
    along = {name: ordered(part).cumprod(0).square() for name, part in kept.items()}
    factors = {name: part.abs().mean(0) for name, part in kept.items()}
    return MemoryHorizon(names, left, {name: _mean(p, there) for name, p in along.items()}, factors)


def _mean(squares: Tensor, there: Tensor) -> Tensor:
    """The root of the mean over sequences, [T + 1, size], from d = 0 on; 0 where there is none."""
    total = squares.where(there[..., None], 0).sum(1)
    mean = total / there.sum(1, keepdim=True).clamp(min=1)
    return torch.cat([squares.new_ones(1, squares.shape[2]), mean.sqrt()])


def _by_distance(run: DifferentiableRun) -> tuple[Tensor, Tensor]:
    """The step that is d = 1, 2, … steps from the end of each sequence, and if there is one."""
    steps, device = run.steps, run.final[0].device
    lengths = steps.all_lengths.to(device)
    distance = torch.arange(1, steps.length + 1, device=device)[:, None]
    t = (distance - 1).expand(-1, len(lengths)) if run.run.reverse else lengths - distance
    return t.clamp(min=0), distance <= lengths


def _columns(run: DifferentiableRun, size: int) -> Tensor:
    """The squared norm of each column of ∂(final state)/∂(state read), [N, size]."""
    final = torch.cat(run.final, dim=1)
    states = [run.by_step[value] for value in run.program.state.values()]
    read = [tensor for rows in states for tensor in rows]
    if not final.requires_grad or not read:
        return final.new_zeros(sum(run.run.batch_sizes), size)
    probes = _probes(size).to(final)
    at_once = max(1, AT_ONCE // (len(final) * max(1, len(run.run.batch_sizes)) * size))
    squares = [torch.zeros_like(tensor) for tensor in read]
    for some in probes.split(at_once):
        wanted = some[:, None].expand(-1, len(final), -1)
        found = torch.autograd.grad(
            final,
            read,
            wanted,
            retain_graph=True,
            is_grads_batched=True,
            allow_unused=True,
            materialize_grads=True,
        )
        for square, part in zip(squares, found, strict=True):
            square += part.detach().square().sum(0)
    count = len(run.run.batch_sizes)
    by_state = [torch.cat(squares[n * count : (n + 1) * count]) for n in range(len(states))]
    return torch.cat(by_state, dim=1)


def _probes(size: int) -> Tensor:
    """Vectors v, [count, size], over which the sum of (vᵀ P)² is the squares of P's columns."""
    if size <= EXACT:
        return torch.eye(size)
    signs = torch.randint(0, 2, (PROBES, size), generator=torch.Generator().manual_seed(0))
    return (2.0 * signs - 1) / PROBES**0.5


def _kept_factors(run: DifferentiableRun) -> dict[str, Tensor] | None:
    """For each state ∂(new)/∂(old) of each unit, products being taken as constant, [N, size]."""
    program = run.program
    with_rows = [op for op in program.ops if any(v.batched for v in (*op.inputs, *op.outputs))]
    if not all(map(is_row_wise, with_rows)):
        return None
    held = {value for op in program.ops if not _by_unit(op) for value in op.outputs}
    known = tensors_of(program, run.run.cell)
    known[program.x] = run.rows(program.x)
    old = {name: run.rows(value).requires_grad_() for name, value in program.state.items()}
    known.update((program.state[name], rows) for name, rows in old.items())

    def take(value: Value, rows: Tensor) -> None:
        known[value] = rows.detach() if value in held else rows

    with torch.enable_grad(), torch.random.fork_rng(devices=[]):
        evaluate(program.ops, known, len(known[program.x]), take)
        factors = {}
        for name, value in program.next_state.items():
            new = known[value]
            if not new.requires_grad:
                factors[name] = torch.zeros_like(old[name])
                continue
            (found,) = torch.autograd.grad(
                new.sum(), old[name], retain_graph=True, allow_unused=True, materialize_grads=True
            )
            factors[name] = found
    return factors


def _by_unit(op: Op) -> bool:
    return is_pointwise(op) or op.target._opname in MOVES
