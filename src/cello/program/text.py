"""A program as text, from which any process can make it again.

Tensors are no part of it: parameters and constants are known by their names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from keyword import iskeyword
from typing import Any

import torch

from cello.errors import EngineError
from cello.program.graph import BATCH, Op, Program, Value

__all__ = ["from_text", "to_text"]

FORMAT = 1
_KINDS = {kind.__name__: kind for kind in (torch.dtype, torch.layout, torch.memory_format)}


def to_text(program: Program, feedback: str | None) -> str:
    """All that the loops are made of.

    >>> import cello
    >>> text = to_text(cello.program.capture(cello.ElmanCell(3, 2)), None)
    >>> print(from_text(text)[0])
    ElmanCell: x = x[B, 3], state = [h_prev[B, 2]]
      t = aten.t.default(W)
      addmm = aten.addmm.default(b, x, t)
      t_1 = aten.t.default(R)
      mm = aten.mm.default(h_prev, t_1)
      z = aten.add.Tensor(addmm, mm)
      h = aten.tanh.default(z)
      return h, ['h']
    """
    own = [program.x, *program.state.values(), *program.parameters.values(), *program.constants]
    values = [*own, *(value for op in program.ops for value in op.outputs)]

    def named(values: Mapping[str, Value]) -> list[list[str]]:
        return [[name, value.name] for name, value in values.items()]

    whole = {
        "cello": FORMAT,
        "cell": program.cell,
        "feedback": feedback,
        "values": [
            [v.name, _data(v.shape), _data(v.dtype), *([] if v.numbers is None else [v.numbers])]
            for v in values
        ],
        "x": program.x.name,
        "state": named(program.state),
        "parameters": named(program.parameters),
        "constants": [value.name for value in program.constants],
        "ops": [
            [
                str(op.target),
                [_data(argument) for argument in op.args],
                {name: _data(argument) for name, argument in op.kwargs.items()},
                [value.name for value in op.outputs],
                op.is_tuple,
                op.grad,
            ]
            for op in program.ops
        ],
        "output": program.output.name,
        "next_state": named(program.next_state),
        "names": named(program.names),
    }
    return json.dumps(whole, separators=(",", ":"))


def from_text(text: str) -> tuple[Program, str | None]:
    """The program, and the state that is fed back.

    Its constants are empty tensors.

    Raises:
        EngineError: the text is not of this form, or has an operation that this PyTorch lacks.
    """
    try:
        whole = json.loads(text)
        if whole["cello"] != FORMAT:
            raise ValueError(f"it has form {whole['cello']!r}, this is form {FORMAT}")
        return _program(whole), whole["feedback"]
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise EngineError(
            "the program of a compiled cell cannot be read: export the model again with this "
            f"version of cello and PyTorch ({error})"
        ) from error


def _program(whole: dict[str, Any]) -> Program:
    values: dict[str, Value] = {}
    for name, shape, dtype, *numbers in whole["values"]:
        value = Value(name, _thing(shape, values), _thing(dtype, values), *numbers)
        values[_checked(name)] = value

    def named(pairs: list[list[str]]) -> dict[str, Value]:
        return {name: values[value] for name, value in pairs}

    ops = []
    for target, args, kwargs, outputs, is_tuple, grad in whole["ops"]:
        ops.append(
            Op(
                _operation(target),
                tuple(_thing(argument, values) for argument in args),
                {name: _thing(argument, values) for name, argument in kwargs.items()},
                tuple(values[name] for name in outputs),
                is_tuple,
                "exported",
                grad,
            )
        )
    constants = {values[name]: torch.empty(0) for name in whole["constants"]}
    state, next_state = named(whole["state"]), named(whole["next_state"])
    for name in (whole["cell"], *state):
        _checked(name)
    return Program(
        whole["cell"], values[whole["x"]], state, named(whole["parameters"]), constants, ops,
        values[whole["output"]], next_state, named(whole["names"]),
    )  # fmt: skip


def _checked(name: str) -> str:
    """A name that stands in the C text: nothing but a name."""
    if not (name.isascii() and name.isidentifier()) or iskeyword(name):
        raise ValueError(f"{name!r} is no name")
    return name


def _operation(name: str) -> Any:
    """One of PyTorch's operations."""
    space, operation, overload = name.split(".")
    if space not in ("aten", "prims"):
        raise ValueError(f"{name} is none of PyTorch's operations")
    return getattr(getattr(getattr(torch.ops, space), operation), overload)


def _data(thing: Any) -> Any:
    """What JSON can hold: plain values as they are, anything else as {its kind: …}."""
    if thing is None or isinstance(thing, (bool, int, float, str)):
        return thing
    if isinstance(thing, Value):
        return {"value": thing.name}
    if thing is BATCH:
        return {"batch": None}
    if isinstance(thing, tuple):
        return {"tuple": [_data(part) for part in thing]}
    if isinstance(thing, list):
        return [_data(part) for part in thing]
    if isinstance(thing, torch.device):
        return {"device": str(thing)}
    for kind, type_ in _KINDS.items():
        if isinstance(thing, type_):
            return {kind: str(thing).removeprefix("torch.")}
    raise EngineError(f"a {type(thing).__name__} in an operation cannot be exported: {thing!r}")


def _thing(data: Any, values: Mapping[str, Value]) -> Any:
    """The reverse of `_data`."""
    if isinstance(data, list):
        return [_thing(part, values) for part in data]
    if not isinstance(data, dict):
        return data
    ((kind, content),) = data.items()
    if kind == "value":
        return values[content]
    if kind == "batch":
        return BATCH
    if kind == "tuple":
        return tuple(_thing(part, values) for part in content)
    if kind == "device":
        return torch.device(content)
    found = getattr(torch, content)
    if not isinstance(found, _KINDS[kind]):
        raise ValueError(f"{content!r} is no {kind}")
    return found
