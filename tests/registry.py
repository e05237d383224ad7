"""Every cell that the tests know: what is true of one must be true of all.

A cell of the library that is not here fails `test_registry_is_complete`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import cello
from cello import zoo
from cello.cells import ACTIVATIONS
from cello.cells.contract.shapes import is_several, shape_of, width_of
from cello.cells.contract.state import shapes_of
from tests.effort import FULL

I, H, O = 3, 4, 2  # noqa: E741 - the sizes that the equations name so


class Base(cello.Cell):
    """For steps of tests that need no more than one product."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__(I, I)
        self.W = nn.Linear(I, I)


class LeakyCell(cello.Cell):
    """A unit that leaks: h' = (1 - a) * h + a * tanh(W x + R h + b)."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__(I, H)
        self.W = nn.Linear(I, H)
        self.A = nn.Linear(I, H)
        self.R = nn.Linear(H, H, bias=False)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        a = torch.sigmoid(self.A(x))
        g = torch.tanh(self.W(x) + self.R(h))
        h = (1 - a) * h + a * g
        return h, (h,)


class TwoSizesCell(cello.Cell):
    """States of two sizes, a layer norm, an output of a third size that no variable holds."""

    state = ("h", "m")

    def __init__(self) -> None:
        super().__init__(I, H, output_size=O, state_sizes={"m": 3})
        self.W = nn.Linear(I + 3, H)
        self.norm = nn.LayerNorm(H)
        self.V = nn.Linear(H, O)
        self.M = nn.Linear(H, 3, bias=False)
        self.scale = nn.Parameter(torch.tensor(0.7))
        self.register_buffer("offset", torch.tensor([0.1, -0.2, 0.3]))

    def step(self, x: Tensor, h: Tensor, m: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        new = self.norm(self.scale * h + torch.tanh(self.W(torch.cat([x, m], dim=1))))
        m = F.silu(self.M(new)) + self.offset
        return F.log_softmax(self.V(new), dim=-1), (new, m)


class MixingCell(cello.Cell):
    """Operations that do not keep to a row: a mean over the batch, inside and after the loop."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__(I, H)
        self.W = nn.Linear(I, H)
        self.R = nn.Linear(H, H, bias=False)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        mean = h.mean(dim=0)
        y = torch.tanh(self.W(x)) * h.sum(-1, keepdim=True) + mean
        h = torch.tanh(self.R(h) + self.W(x) - x.mean(0).sum())
        return y, (h,)


class NoGradCell(cello.Cell):
    """A part that gradients must not go through, an operation in place, a constant tensor."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__(I, H)
        self.W = nn.Linear(I, H)
        self.R = nn.Linear(H, H, bias=False)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        a = self.W(x) + self.R(h)
        with torch.no_grad():
            peak = a.abs().amax(dim=-1, keepdim=True)
        a = a / (1 + peak)
        a *= torch.tensor(0.9, dtype=a.dtype)
        h = torch.where(a > 0, a, 0.1 * a.detach()) + 0.5 * h
        return h, (h,)


class BranchingCell(cello.Cell):
    """A step that looks at the data: only the reference engine can run it."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__(I, H)
        self.W = nn.Linear(I, H)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        if float(x.detach().sum()) > 0:
            h = 0.5 * h
        h = torch.tanh(self.W(x) + h)
        return h, (h,)


class StrangersCell(nn.Module):
    """A third party's cell: called as cell(x, state) -> state, with a tuple as the state."""

    def __init__(self) -> None:
        super().__init__()
        self.input_size, self.hidden_size = I, H
        self.mix = nn.Linear(I + H, H)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        if state is None:
            state = (x.new_zeros(len(x), H), x.new_zeros(len(x), H))
        hidden, trace = state
        candidate = torch.tanh(self.mix(torch.cat([x, hidden], dim=-1)))
        trace = 0.9 * trace + 0.1 * candidate
        return candidate * trace, trace


class MatrixMemoryCell(cello.Cell):
    """A matrix as the state: what a key is bound to is corrected by the error (the delta rule)."""

    state = ("S",)

    def __init__(self) -> None:
        super().__init__(I, H, state_sizes={"S": (H, 2)})
        self.key, self.query = nn.Linear(I, 2), nn.Linear(I, 2)
        self.value, self.rate = nn.Linear(I, H), nn.Linear(I, 1)

    def step(self, x: Tensor, S: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        k = F.softmax(self.key(x), dim=-1)
        error = self.value(x) - (S * k.unsqueeze(1)).sum(-1)
        S = S + (torch.sigmoid(self.rate(x)) * error).unsqueeze(2) * k.unsqueeze(1)
        y = (S * self.query(x).unsqueeze(1)).sum(-1)
        return y, (S,)


class ConvolutionalCell(cello.Cell):
    """A state of channels by places, which a convolution mixes; an output of that shape."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__(I, H, output_size=(2, I), state_sizes={"h": (2, I)})
        self.mix = nn.Conv1d(3, 2, 3, padding=1)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        h = torch.tanh(self.mix(torch.cat([x.unsqueeze(1), h], dim=1)))
        return h, (h,)


class TwoInputsCell(cello.Cell):
    """Two inputs a step, one of them a gap in time by which the memory fades."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__(((2,), (1,)), H)
        self.W = nn.Linear(2, H)
        self.R = nn.Linear(H, H, bias=False)

    def step(self, x: tuple[Tensor, Tensor], h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        value, gap = x
        h = torch.tanh(self.W(value) + self.R(h * torch.exp(-gap.abs())))
        return h, (h,)


class NamedInputsCell(cello.Cell):
    """Inputs by name, one of them a matrix."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__({"pair": (2, 1), "more": ()}, H)
        self.W = nn.Linear(2, H)
        self.R = nn.Linear(H, H, bias=False)

    def step(self, x: dict[str, Tensor], h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        h = torch.tanh(self.W(x["pair"].squeeze(2)) + self.R(h) + x["more"].unsqueeze(1))
        return h, (h,)


class PiecesCell(cello.Cell):
    """Products of computed values that are cut, added to others that are cut elsewhere."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__(I, H)
        self.A, self.B = nn.Linear(I, 1), nn.Linear(I, H - 1)
        self.W = nn.Linear(I + H, H)
        self.R = nn.Parameter(torch.randn(H, H) / 2)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        value, mask = x.split([2, 1], dim=1)
        hat = mask * value + (1 - mask) * (0.3 * value + 0.7 * mask)
        z = torch.addmm(torch.cat([self.A(x), self.B(x)], dim=1), h, self.R)
        i, o = z.chunk(2, dim=1)
        new = torch.cat([torch.sigmoid(i) * o, h[:, 2:3], x.new_zeros(len(x), 1)], dim=1)
        h = torch.tanh(self.W(torch.cat([hat, new, mask], dim=1)))
        return h + hat[:, :1] * hat[:, 1:], (h,)


class InnerCell(cello.Cell):
    """A cell of PyTorch's inside of a step, and two of its states."""

    state = ("h", "trace")

    def __init__(self) -> None:
        super().__init__(I, H)
        self.inner = nn.GRUCell(I, H)

    def step(self, x: Tensor, h: Tensor, trace: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        h = self.inner(x, h)
        trace = 0.9 * trace + 0.1 * h
        return h - trace, (h, trace)


#: Cells that draw random numbers in training: no two runs of them are the same.
RANDOM: dict[str, Callable[[], cello.Cell]] = {
    "CTRNNCell": partial(zoo.CTRNNCell, I, H, noise=0.5),
    "RecurrentDropoutLSTMCell": partial(zoo.RecurrentDropoutLSTMCell, I, H),
    "ZoneoutLSTMCell": partial(zoo.ZoneoutLSTMCell, I, H, zoneout_h=0.2),
}


def in_evaluation(name: str) -> cello.Cell:
    return RANDOM[name]().eval()


#: What cells of the zoo get in place of I and H, so that rows of x have I numbers and small tests
#: reach all of a step.
GIVEN: dict[str, tuple[Any, ...]] = {
    "CfCCell": (2, H, 3),
    "ClockworkCell": (I, H, (1, 3)),
    "ConvLSTMCell": ((1, 1, I), 2),
    "DeltaNetCell": (I, 3),
    "GRUDCell": (1, H, 0.5),
    "LMUCell": (I, H, 3, 4.0),
    "LTCCell": (2, H, 2),
    "MCLSTMCell": (2, H),
    "MLSTMCell": (I, 3),
    "MogrifierLSTMCell": (I, H, 3),
    "PhasedLSTMCell": (2, H, 0.6),
    "RHNCell": (I, H, 2),
    "S6Cell": (I, 2),
    "SCRNCell": (I, H, 2),
}
ZOO: dict[str, Callable[[], cello.Cell]] = {
    **{
        name: partial(getattr(zoo, name), *GIVEN.get(name, (I, H)))
        for name in zoo.__all__
        if name not in RANDOM
    },
    **{f"{name}-eval": partial(in_evaluation, name) for name in RANDOM},
    "AntisymmetricCell-gated": partial(zoo.AntisymmetricCell, I, H, 0.5, 0.1, gated=True),
    "EchoStateCell-leaky": partial(zoo.EchoStateCell, I, H, leak=0.3),
    "NASCell-bias": partial(zoo.NASCell, I, H, bias=True),
}

#: Elman and Jordan with every activation.
ACTIVATED: dict[str, Callable[[], cello.Cell]] = {
    **{f"elman-{name}": partial(cello.ElmanCell, I, H, name) for name in ACTIVATIONS},
    **{
        f"jordan-both-{name}": partial(cello.JordanCell, I, H, O, name, name)
        for name in ACTIVATIONS
    },
}

CELLS: dict[str, Callable[[], nn.Module]] = {
    "elman": lambda: cello.ElmanCell(I, H),
    "elman-relu-no-bias": lambda: cello.ElmanCell(I, H, "relu", bias=False),
    "elman-callable": lambda: cello.ElmanCell(I, H, torch.sin),
    "jordan": lambda: cello.JordanCell(I, H, O),
    "jordan-softmax": lambda: cello.JordanCell(I, H, O, "tanh", "softmax", bias=False),
    "lstm": lambda: cello.LSTMCell(I, H, forget_bias=1.0),
    "lstm-lecture": lambda: cello.LSTMCell(
        I, H, activation="linear", output_activation="linear", recurrent=False
    ),
    "lstm-peephole": lambda: cello.LSTMCell(I, H, peephole=True),
    "lstm-projection": lambda: cello.LSTMCell(I, H, projection_size=2, peephole=True, bias=False),
    "lstm-hard": lambda: cello.LSTMCell(I, H, "hard_sigmoid", "softsign", "hard_tanh"),
    "gru": lambda: cello.GRUCell(I, H),
    "gru-two-biases": lambda: cello.GRUCell(I, H, recurrent_bias=True),
    "gru-reset-before": lambda: cello.GRUCell(I, H, reset_after=False),
    "torch-rnn": lambda: nn.RNNCell(I, H, nonlinearity="relu"),
    "torch-lstm": lambda: nn.LSTMCell(I, H),
    "torch-gru": lambda: nn.GRUCell(I, H),
    "torch-gru-no-bias": lambda: nn.GRUCell(I, H, bias=False),
    "leaky": LeakyCell,
    "two-sizes": TwoSizesCell,
    "mixing": MixingCell,
    "no-grad": NoGradCell,
    "branching": BranchingCell,
    "stranger": StrangersCell,
    "matrix-memory": MatrixMemoryCell,
    "convolutional": ConvolutionalCell,
    "two-inputs": TwoInputsCell,
    "named-inputs": NamedInputsCell,
    "pieces": PiecesCell,
    "inner-gru": InnerCell,
    **ACTIVATED,
    **ZOO,
}

CAPTURED = [name for name in CELLS if name != "branching"]
ROW_WISE = [name for name in CELLS if name not in ("mixing", "branching")]
#: Whose step takes or returns more than [B, size].
SHAPED = (
    *("matrix-memory", "convolutional", "two-inputs", "named-inputs"),
    *("CfCCell", "ConvLSTMCell", "DeltaNetCell", "GRUDCell", "LTCCell", "MCLSTMCell"),
    *("MLSTMCell", "PhasedLSTMCell", "S6Cell"),
)
#: A third of the zoo, together with what no other cell does: wherever a loop is compiled for each
#: cell, these are, beside those that are not of the zoo.
COMPILED_OFTEN = (
    *("AntisymmetricCell-gated", "CTRNNCell-eval", "ClockworkCell", "DeltaNetCell", "FastGRNNCell"),
    *("GRUDCell", "JANETCell", "LEMCell", "LIFCell", "LayerNormLSTMCell", "MinGRUCell"),
    *("S6Cell", "SCRNCell", "SLSTMCell"),
)
#: Whose loops test_engines_agree compiles: outputs, states, recordings and all gradients. Other
#: tests that compile for each cell leave these out, unless all is to be tested.
COMPILED_ONCE = (
    ()
    if FULL
    else (
        *(name for name in ZOO if name not in COMPILED_OFTEN),
        *(name for name in ACTIVATED if name.startswith("jordan-both")),
    )
)
#: Whose gradient is not that of their values, on purpose.
OTHER_GRADIENT = ("no-grad", "LIFCell")
#: What the compiled loops have no form for.
NOT_FUSED = ("mixing", "branching")
#: For what has nothing to do with activations.
DISTINCT = [name for name in CAPTURED if name not in ACTIVATED]


def make(name: str, dtype: torch.dtype = torch.float64) -> cello.Cell:
    """The cell `name`, as `Recurrent` sees it."""
    torch.manual_seed(1)
    cell = cello.Recurrent(CELLS[name]()).cell
    return cell.to(dtype)


def x_of(cell: cello.Cell, *rows: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """A random x of the cell; parts of several are side by side."""
    size = cell.input_size
    shape = (width_of(size),) if is_several(size) else shape_of(size)
    return torch.randn(*rows, *shape, dtype=dtype)


def state_of(cell: cello.Cell, *rows: int, dtype: torch.dtype = torch.float64) -> Any:
    """A random state of the cell."""
    shapes = shapes_of(cell).values()
    return cell.state_type(*(torch.randn(*rows, *shape, dtype=dtype) for shape in shapes))
