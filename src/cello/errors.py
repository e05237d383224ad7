"""The errors that Cello raises.

Every error that a user can cause is one of these, and says which argument is meant, what was
expected and what came. Beside some stand the errors of Python that they are as well: those that
PyTorch raises in the same place, so that code which catches PyTorch's catches ours::

    CelloError
    ├── ArgumentError (ValueError, RuntimeError)   an argument has a value that makes no sense
    │   ├── ShapeError                  ... a tensor has the wrong shape
    │   ├── DtypeError (TypeError)      ... a tensor has the wrong dtype, an object the wrong type
    │   └── RangeError (IndexError)     ... a number in a tensor has no row in a table
    ├── CellError                       a cell breaks the contract of `state` and `step`
    ├── CaptureError                    a step cannot be turned into a program
    ├── EngineError (RuntimeError)      the engine asked for cannot run this cell
    │   └── CompilerError               ... there is no C compiler, or it cannot build this
    ├── UnknownNameError (KeyError)     a recording holds no value of that name
    ├── ConversionError                 what was made of a net does not compute what the net does
    ├── DataError                       a data file cannot be read, or a line of it is wrong
    ├── ModelError                      a saved model, recording or checkpoint is missing or damaged
    └── TrainingError                   training cannot go on: loss not finite, disk full

>>> issubclass(ShapeError, ValueError) and issubclass(ShapeError, RuntimeError)
True
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "ArgumentError",
    "CaptureError",
    "CellError",
    "CelloError",
    "CompilerError",
    "ConversionError",
    "DataError",
    "DtypeError",
    "EngineError",
    "ModelError",
    "RangeError",
    "ShapeError",
    "TrainingError",
    "UnknownNameError",
]


def __dir__() -> list[str]:
    return sorted(__all__)


class CelloError(Exception):
    """The root of all errors that Cello raises on purpose."""


class ArgumentError(CelloError, ValueError, RuntimeError):
    """An argument has a value that makes no sense here.

    Args:
        problem: what is wrong; with `argument`, the message is the name and then this.
        argument: the argument's name, for a caller who knows it by another, such as an option's.

    >>> error = ArgumentError("must be at least 1, got 0", argument="hidden_size")
    >>> print(error)
    hidden_size must be at least 1, got 0
    >>> error.argument
    'hidden_size'
    """

    def __init__(self, problem: str = "", *, argument: str | None = None) -> None:
        super().__init__(problem if argument is None else f"{argument} {problem}")
        self.problem, self.argument = problem, argument


class ShapeError(ArgumentError):
    """A tensor does not have the shape that was expected."""


class DtypeError(ArgumentError, TypeError):
    """A tensor does not have the expected dtype, or an object not the expected type."""


class RangeError(ArgumentError, IndexError):
    """A whole number in a tensor has no row in a table that is read by it, as an embedding is."""


class CellError(CelloError):
    """A cell breaks the contract of `state` and `step`."""


class CaptureError(CelloError):
    """A step cannot be turned into a program: says which operation, and where.

    Attributes:
        op: the operation, where a captured step cannot be fused because of it.
    """

    op: Any = None


class EngineError(CelloError, RuntimeError):
    """The engine that was asked for cannot run this cell, and why."""


class CompilerError(EngineError):
    """No C compiler was found, or it failed: shows how to get one, or what it said."""


class UnknownNameError(CelloError, KeyError):
    """A recording or a network holds nothing of that name; lists the names that exist."""

    def __str__(self) -> str:  # KeyError would print the message's repr
        return str(self.args[0]) if self.args else ""


class ConversionError(CelloError):
    """A net cannot be converted, or what was made of it does not compute the same: says where."""


class DataError(CelloError):
    """A data file cannot be read, or a line of it is wrong: names the file and the line."""


class ModelError(CelloError):
    """A saved model, recording or checkpoint is missing, damaged or of another kind."""


class TrainingError(CelloError):
    """Training cannot go on; the checkpoint before is whole, and the message says what to try."""
