"""One step of a program with numbers in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from cello.program import Op, Program, Value, is_random, results_of

__all__ = ["Evaluation"]


class Evaluation:
    """Every value of one step, from those that were recorded.

    Attributes:
        program: the step.
        values: the numbers of each value, on the CPU.
        unknown: values that depend on random numbers that were not recorded.
        missing: values that depend on an input that was not recorded.
    """

    def __init__(
        self,
        program: Program,
        recorded: Mapping[Value, Tensor],
        parameters: Mapping[str, Tensor],
        rows: int,
    ) -> None:
        self.program = program
        self.rows = rows
        self._flat: dict[Value, Tensor] = {}
        self.values: dict[Value, Tensor] = dict(recorded)
        self.unknown: set[Value] = set()
        incoming = {program.x, *program.state.values()}
        self.missing = incoming.difference(recorded)
        for value, tensor in program.constants.items():
            self.values[value] = tensor.detach().cpu()
        for name, value in program.parameters.items():
            self.values[value] = parameters[name].detach().cpu()
        self.take(program.ops)

    def flat(self, value: Value) -> Tensor:
        """The numbers of a value one after the other, copied once at most: a weight is large."""
        if value not in self._flat:
            self._flat[value] = self.values[value].flatten()
        return self._flat[value]

    def take(self, ops: Iterable[Op]) -> None:
        """Add what `ops` make to the values, but for what is known."""
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            for op in ops:
                self._take(op)

    def _take(self, op: Op) -> None:
        open_outputs = [value for value in op.outputs if value not in self.values]
        if self.missing.intersection(op.inputs):
            self.missing.update(open_outputs)
            return
        if is_random(op) or self.unknown.intersection(op.inputs):
            self.unknown.update(open_outputs)
        made = zip(op.outputs, self.run(op), strict=True)
        self.values.update((value, part) for value, part in made if value in open_outputs)

    def run(
        self, op: Op, args: Any = None, known: Mapping[Value, Tensor] | None = None
    ) -> tuple[Tensor, ...]:
        """What the operation makes, of its own arguments and values or of others."""
        known = self.values if known is None else known
        return results_of(op, known, self.rows, args=args, device=torch.device("cpu"))
