"""What a recording was computed from: the cell, its program, and its parameters as they were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cello.cells import Cell
from cello.errors import CaptureError, ModelError
from cello.program import Program

__all__ = ["Source"]


@dataclass(eq=False)
class Source:
    """A cell as it was when it ran.

    Attributes:
        cell: the cell.
        program: its traced step, None if it cannot be traced.
        reason: why it cannot be traced.
        versions: each parameter and buffer, and how many in-place changes it had seen.
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


def _tensors(cell: Cell) -> dict[str, Tensor]:
    return dict(cell.named_parameters()) | dict(cell.named_buffers())


def _version(tensor: torch.Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version
