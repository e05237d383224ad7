"""The Jacobian of what one step makes with respect to what an earlier one read."""

from __future__ import annotations

import torch
from torch import Tensor

from cello.errors import ArgumentError
from cello.see.gradients.differentiable_run import DifferentiableRun
from cello.see.numbers import whole

__all__ = ["jacobian_of"]


def jacobian_of(run: DifferentiableRun, t: int, s: int, batch: int) -> Tensor:
    """See `Flow.jacobian`."""
    steps, program = run.steps, run.program
    whole("t", t), whole("s", s)
    if not 0 <= whole("batch", batch) < steps.batch_size:
        raise ArgumentError(f"batch is counted from 0, got {batch}: there are {steps.batch_size}")
    order = range(steps.batch_size) if steps.order is None else steps.order.tolist()
    row = list(order).index(batch)
    length = sum(row < alive for alive in steps.batch_sizes)
    for name, step in (("t", t), ("s", s)):
        if not 0 <= step < length:
            raise ArgumentError(
                f"{name} is counted from 0, got {step}: sequence {batch} has {length} steps"
            )
    if (s < t) if run.run.reverse else (s > t):
        turned = ", in this direction" if run.run.reverse else ""
        raise ArgumentError(f"s must not come after t: step {s} is read after step {t}{turned}")
    made = [run.by_step[value][t] for value in program.next_state.values()]
    read = [run.by_step[value][s] for value in program.state.values()]
    numbers = torch.cat([part[row] for part in made])
    found = torch.autograd.grad(
        numbers,
        read,
        torch.eye(len(numbers)).to(numbers),
        retain_graph=True,
        is_grads_batched=True,
        allow_unused=True,
    )
    columns = [
        numbers.new_zeros(len(numbers), rows.shape[1]) if part is None else part[:, row]
        for part, rows in zip(found, read, strict=True)  # None: a state that no step reads
    ]
    return torch.cat(columns, dim=1).detach()
