"""Third parties' cells: everything that a module may carry as its state, and how it is returned."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

I, H = 3, 4  # noqa: E741 - the sizes that the equations name so


class Stranger(nn.Module):
    """What they have in common: a simple network."""

    def __init__(self) -> None:
        super().__init__()
        self.input_size, self.hidden_size = I, H
        self.W = nn.Linear(I, H)
        self.R = nn.Linear(H, H, bias=False)

    def config(self) -> dict[str, Any]:
        return {}

    def new(self, x: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(self.W(x) + self.R(h))

    def lstm(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        c = 0.5 * c + self.new(x, h)
        return torch.tanh(c), c


class Bare(Stranger):
    def forward(self, x: Tensor, h: Tensor) -> Any:
        return self.new(x, h)


class TupleOfOne(Stranger):
    def forward(self, x: Tensor, state: Any) -> Any:
        return (self.new(x, state[0]),)


class OutputAndListOfOne(Stranger):
    def forward(self, x: Tensor, state: Any) -> Any:
        h = self.new(x, state[0])
        return h, [h]


class OutputAndTupleOfOne(Stranger):
    def forward(self, x: Tensor, state: Any) -> Any:
        (h,) = state
        h = self.new(x, h)
        return h, (h,)


class Twice(Stranger):
    def forward(self, x: Tensor, h: Tensor | None = None) -> Any:
        h = self.new(x, x.new_zeros(len(x), H) if h is None else h)
        return h, h


class OutputAndTensor(Stranger):
    def forward(self, x: Tensor, h: Tensor) -> Any:
        h = self.new(x, h)
        return 2 * h, h


class Two(Stranger):
    def forward(self, x: Tensor, state: Any) -> Any:
        h, c = state
        return self.lstm(x, h, c)


class TwoByNumber(Stranger):
    def forward(self, x: Tensor, state: Any) -> Any:
        return self.lstm(x, state[0], state[1])


class ListOfTwoByNumber(Stranger):
    def forward(self, x: Tensor, state: Any) -> Any:
        return list(self.lstm(x, state[0], state[1]))


class OutputAndTwo(Stranger):
    def forward(self, x: Tensor, state: Any = None) -> Any:
        h, c = (x.new_zeros(len(x), H),) * 2 if state is None else state
        h, c = self.lstm(x, h, c)
        return h, (h, c)


class OutputAndTwoByNumber(Stranger):
    def forward(self, x: Tensor, state: Any) -> Any:
        h, c = self.lstm(x, state[0], state[1])
        return 3 * h, [h, c]


class OutputThenTwo(Stranger):
    def forward(self, x: Tensor, state: Any) -> Any:
        h, c = self.lstm(x, state[0], state[1])
        return 5 * h, h, c


class Pair(NamedTuple):
    hidden: Any
    memory: Any


class Named(Stranger):
    def forward(self, x: Tensor, state: Pair | None = None) -> Any:
        state = state or Pair(x.new_zeros(len(x), H), x.new_zeros(len(x), H))
        return Pair(*self.lstm(x, state.hidden, state.memory))


class OutputAndNamed(Named):
    def forward(self, x: Tensor, state: Pair | None = None) -> Any:
        pair = super().forward(x, state)
        return 2 * pair.hidden, pair


class Dict(Stranger):
    def forward(self, x: Tensor, state: dict[str, Tensor] | None = None) -> Any:
        state = state or {name: x.new_zeros(len(x), H) for name in "hc"}
        h, c = self.lstm(x, state["h"], state["c"])
        return {"h": h, "c": c}


class OutputAndDict(Dict):
    def forward(self, x: Tensor, state: dict[str, Tensor] | None = None) -> Any:
        made = super().forward(x, state)
        return 2 * made["h"], OrderedDict(made)


class Nested(Stranger):
    def forward(self, x: Tensor, state: Any = None) -> Any:
        if state is None:
            state = {"deep": [(x.new_zeros(len(x), H), None)], "m": x.new_zeros(len(x), 2, 2)}
        h = self.new(x, state["deep"][0][0])
        m = 0.9 * state["m"] + h.view(-1, 2, 2)
        return h + m.flatten(1), {"deep": [(h, None)], "m": m}


@dataclass
class Kept:
    h: Any
    total: Any


class Data(Stranger):
    def forward(self, x: Tensor, state: Kept | None = None) -> Any:
        state = state or Kept(x.new_zeros(len(x), H), x.new_zeros(len(x)))
        h = self.new(x, state.h)
        return h, Kept(h, state.total + h.sum(-1))


class Lenient(Stranger):
    """Takes the whole pair that it returned as well, and reads only its second part."""

    def forward(self, x: Tensor, state: Any = None) -> Any:
        h = state[1] if isinstance(state, tuple) else state
        h = self.new(x, x.new_zeros(len(x), H) if h is None else h)
        return 2 * h, h


def zeros(x: Tensor) -> Tensor:
    return x.new_zeros(len(x), H)


def state_alone(result: Any) -> tuple[Tensor, Any]:
    first = next(iter(result.values())) if isinstance(result, dict) else result[0]
    return (result if isinstance(result, Tensor) else first), result


def output_and_state(result: Any) -> tuple[Tensor, Any]:
    return result[0], result[1]


def output_and_rest(result: Any) -> tuple[Tensor, Any]:
    return result[0], result[1:]


Begin = Callable[[Tensor], Any]
#: Each with the state that it begins with, how its result is meant, and the names of the state.
STRANGERS: dict[type[Stranger], tuple[Begin, Callable[[Any], tuple[Tensor, Any]], str]] = {
    Bare: (zeros, state_alone, "h"),
    TupleOfOne: (lambda x: (zeros(x),), state_alone, "h"),
    OutputAndListOfOne: (lambda x: [zeros(x)], output_and_state, "h"),
    OutputAndTupleOfOne: (lambda x: (zeros(x),), output_and_state, "h"),
    Twice: (zeros, output_and_state, "h"),
    OutputAndTensor: (zeros, output_and_state, "h"),
    Two: (lambda x: (zeros(x), zeros(x)), state_alone, "h c"),
    TwoByNumber: (lambda x: (zeros(x), zeros(x)), state_alone, "h c"),
    ListOfTwoByNumber: (lambda x: [zeros(x), zeros(x)], state_alone, "h c"),
    OutputAndTwo: (lambda x: (zeros(x), zeros(x)), output_and_state, "h c"),
    OutputAndTwoByNumber: (lambda x: [zeros(x), zeros(x)], output_and_state, "h c"),
    OutputThenTwo: (lambda x: (zeros(x), zeros(x)), output_and_rest, "h c"),
    Named: (lambda x: None, state_alone, "hidden memory"),
    OutputAndNamed: (lambda x: None, output_and_state, "hidden memory"),
    Dict: (lambda x: None, state_alone, "h c"),
    OutputAndDict: (lambda x: None, output_and_state, "h c"),
    Nested: (lambda x: None, output_and_state, "h c"),
    Data: (lambda x: None, output_and_state, "h total"),
    Lenient: (lambda x: None, output_and_state, "h"),
}


def by_hand(module: Stranger, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The outputs and all tensors of the final state, by a plain loop over the module."""
    begin, meant, _ = STRANGERS[type(module)]
    state, outputs = begin(x[0]), []
    for x_t in x:
        output, state = meant(module(x_t, state))
        outputs.append(output)
    return torch.stack(outputs), list(tensors(state))


def tensors(state: Any) -> list[Tensor]:
    if isinstance(state, Tensor):
        return [state]
    if state is None:
        return []
    parts = vars(state) if isinstance(state, Kept) else state
    return [
        t for part in (parts.values() if isinstance(parts, dict) else parts) for t in tensors(part)
    ]
