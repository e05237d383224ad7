"""What a recording was computed from: the cell, its program, and its parameters as they were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cello.cells import Cell
from cello.errors import CaptureError, ModelError
from cello.program import Program
from cello.see.moves import CUTS

__all__ = ["Source", "in_order", "incoming_names"]


@dataclass(eq=False)
class Source:
    """A cell as it was when it ran.

    Attributes:
        cell: the cell.
        program: its traced step, None if it cannot be traced.
        reason: why it cannot be traced.
        versions: each parameter and buffer, and how often it had been changed in place.
    """

    cell: Cell
    program: Program | None
    reason: str = ""
    versions: dict[str, tuple[Tensor, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, cell: Cell, trace: Callable[[], Program]) -> Source:
        """The cell as it is now, and the program that `trace` gives if it can be traced."""
        program, reason = None, ""
        try:
            program = trace()  # first, for a lazy module has its tensors only after it
        except CaptureError as error:
            reason = str(error)
        versions = {name: (tensor, _version(tensor)) for name, tensor in _tensors(cell).items()}
        return cls(cell, program, reason, versions)

    def check_unchanged(self, layer: str) -> None:
        """Check that the parameters are what they were.

        Raises:
            ModelError: names those that have changed since.
        """
        now = _tensors(self.cell)
        changed = [
            name
            for name, (tensor, version) in self.versions.items()
            if now.get(name) is not tensor or _version(tensor) != version
        ]
        if changed:
            where = f" of {layer}" if layer else ""
            raise ModelError(
                f"{', '.join(changed)}{where} changed since the recording, so its arithmetic "
                "cannot be shown any more: record again"
            )


def in_order(program: Program) -> list[str]:
    """The names of a program in the order in which its step makes them: first what comes in.

    >>> import cello
    >>> in_order(cello.program.capture(cello.LSTMCell(3, 2)))
    ['x', 'h_prev', 'c_prev', 'z_i', 'z_f', 'z', 'z_o', 'i', 'f', 'g', 'c', 'o', 'h']
    """
    made = {value: number for number, op in enumerate(program.ops) for value in op.outputs}
    later = {v for op in program.ops if op.target._opname in CUTS for v in op.outputs}
    incoming = incoming_names(program)
    when = dict.fromkeys(incoming, -1)
    later.update(program.names[name] for name in incoming)
    latest = -1
    for name, value in program.names.items():
        if name not in when:
            own = made.get(value, -1)  # a part of another value, or a second name: after the last
            when[name] = latest = max(own, latest) if value in later else own
            later.add(value)
    return sorted(when, key=when.__getitem__)


def incoming_names(program: Program) -> list[str]:
    """The names of what a step is given: its input and the old state."""
    return ["x", *(f"{name}_prev" for name in program.state)]


def _tensors(cell: Cell) -> dict[str, Tensor]:
    return dict(cell.named_parameters()) | dict(cell.named_buffers())


def _version(tensor: torch.Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version
