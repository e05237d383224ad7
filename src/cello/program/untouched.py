"""Tracing must leave no trace: a cell is put back as it was, and refused if its step changed it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cello.cells import Cell
from cello.errors import CaptureError

__all__ = ["untouched"]


@contextmanager
def untouched(cell: Cell) -> Iterator[None]:
    """Run a block that must not change the attributes, parameters or buffers of `cell`.

    Raises:
        CaptureError: the block assigned to one of them (it is put back), or a module inside has
            hooks, which a captured step would not run.
    """
    for path, module in cell.named_modules():
        if module is not cell and (module._forward_hooks or module._forward_pre_hooks):
            raise CaptureError(
                f"{type(cell).__name__}.step cannot be captured: its module {path} has forward "
                "hooks, which have to run at every step"
            )
    kept = [
        (mapping, dict(mapping))
        for module in cell.modules()
        for mapping in (vars(module), module._parameters, module._buffers)
    ]
    changed: set[str] = set()
    try:
        yield
    finally:
        for mapping, before in kept:
            names = mapping.keys() | before.keys()
            changed |= {n for n in names if mapping.get(n, kept) is not before.get(n, kept)}
            if changed:
                mapping.clear()
                mapping.update(before)
    if changed:
        raise CaptureError(
            f"{type(cell).__name__}.step cannot be captured: it changes the cell itself "
            f"({', '.join(sorted(changed))}); what is carried from step to step belongs in `state`"
        )
