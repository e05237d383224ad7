"""Bad input to a layer: the type of the error, and that its message says what is wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

import cello
from cello.errors import ArgumentError, CellError, CelloError, DtypeError, ShapeError

X = torch.zeros(5, 2, 3)
LAYER = cello.Recurrent(cello.LSTMCell(3, 4))
PAIR = cello.Bidirectional(cello.ElmanCell(3, 4))
JORDAN = cello.Recurrent(cello.JordanCell(3, 4, output_size=2))
STACK = cello.Stack(nn.Linear(3, 3), cello.Recurrent(cello.ElmanCell(3, 4)))
DROP_IN = cello.LSTM(3, 4)
GRU = cello.GRUCell(3, 4)
H = torch.zeros(2, 4)
NESTED = torch.nested.nested_tensor([X[:, 0], X[:3, 0]], layout=torch.jagged)


class Cells:
    class NoState(cello.Cell):
        def step(self, x):
            return x, ()

    class NoStep(cello.Cell):
        state = ("h",)

    class OnlyOutput(cello.Cell):
        state = ("h",)

        def step(self, x, h):
            return h

    class NoComma(cello.Cell):
        state = ("h",)

        def step(self, x, h):
            return h, (h)

    class WrongSize(cello.Cell):
        state = ("h",)

        def step(self, x, h):
            return x, (x,)

    class WrongRows(cello.Cell):
        state = ("h",)

        def step(self, x, h):
            return h.sum(), (h,)

    class NoTensor(cello.Cell):
        state = ("h",)

        def step(self, x, h):
            return 1.0, (h,)

    class OtherDtype(cello.Cell):
        state = ("h",)

        def step(self, x, h):
            return h, (h.double(),)

    class NoSuper(cello.Cell):
        state = ("h",)

        def __init__(self) -> None:
            self.input_size = 3

        def step(self, x, h):
            return h, (h,)

    class OtherOrder(cello.Cell):
        state = ("h", "c")

        def step(self, x, c, h):
            return h, (h, c)

    class StateAsInput(cello.Cell):
        state = ("h",)

        def step(self, h, other):
            return h, (other,)

    class NoStateTaken(cello.Cell):
        state = ("h",)

        def step(self, x):
            return x, (x,)


class Pair(nn.Module):
    def forward(self, x):
        return x, x


def subclass(**members: object) -> type:
    return type("Mine", (cello.Cell,), members)


CASES: list[tuple[Callable[[], object], type[CelloError], str]] = [
    # x
    (lambda: LAYER(X[..., :2]), ShapeError, r"x must have 3 features .* got \[5, 2, 2\]"),
    (lambda: LAYER(X[0, 0]), ShapeError, r"x must be \[T, B, 3\], or \[T, 3\] .* got \[3\]"),
    (lambda: LAYER(X[None]), ShapeError, r"x must be \[T, B, 3\].* got \[1, 5, 2, 3\]"),
    (lambda: LAYER([1.0]), DtypeError, "x must be a tensor or a PackedSequence, got list"),
    (lambda: LAYER(X.double()), DtypeError, "parameters, torch.float32, got torch.float64"),
    (lambda: LAYER(X.long()), DtypeError, "got torch.int64"),
    (lambda: LAYER(X.to_sparse()), DtypeError, "x must be a dense tensor, got torch.sparse_coo"),
    (lambda: LAYER(X.to_mkldnn()), DtypeError, "x must be a dense tensor, got torch._mkldnn"),
    (lambda: STACK(X.to_sparse()), DtypeError, "x must be a dense tensor"),
    (lambda: DROP_IN(X.to_sparse()), DtypeError, "input must be a dense tensor"),
    (lambda: GRU(X[0].to_sparse()), DtypeError, "x must be a dense tensor"),
    (lambda: LAYER.stream(2)(X[0].to_sparse()), DtypeError, "x must be a dense tensor"),
    (lambda: LAYER(X, (H.to_sparse(), H)), DtypeError, "state.h must be a dense tensor"),
    (lambda: GRU(X[0], H.to_sparse()), DtypeError, "state.h must be a dense tensor"),
    (lambda: DROP_IN(X, (H[None],)), DtypeError, r"hx must be a tuple .*, got a tuple of 1$"),
    (lambda: DROP_IN(X, (H[None], 3)), DtypeError, r"c_0 must be a tensor, got int$"),
    (lambda: DROP_IN(X, (H[None].to_sparse(), H[None])), DtypeError, "h_0 must be a dense tensor"),
    (lambda: LAYER(NESTED), DtypeError, r"x must be a padded tensor, got a nested one.*lengths="),
    (lambda: DROP_IN(NESTED), DtypeError, "input must be a padded tensor, got a nested one"),
    (lambda: STACK(NESTED), DtypeError, "x must be a padded tensor, got a nested one"),
    (lambda: LAYER(X.to("meta")), ArgumentError, "x is on meta, the parameters .* are on cpu"),
    # state
    (
        lambda: LAYER(X, torch.zeros(2, 4)),
        DtypeError,
        r"state must be a tuple \(h, c\), got a tensor of",
    ),
    (lambda: LAYER(X, (torch.zeros(2, 4),)), DtypeError, r"tuple \(h, c\), got a tuple of 1$"),
    (lambda: LAYER(X, (None, None)), DtypeError, "state.h must be a tensor, got NoneType"),
    (
        lambda: LAYER(X, (torch.zeros(2, 4), torch.zeros(3, 4))),
        ShapeError,
        r"state.c must be \[2, 4\], got \[3, 4\]",
    ),
    (
        lambda: LAYER(X, (torch.zeros(2, 4), torch.zeros(2, 4).double())),
        DtypeError,
        "state.c must have the dtype of x, torch.float32, got torch.float64",
    ),
    (lambda: LAYER(X[:, 0], (torch.zeros(1, 4),) * 2), ShapeError, r"\[4\], got \[1, 4\]"),
    (lambda: LAYER(X, LAYER(X)), DtypeError, "state must be a state alone, got the pair"),
    (lambda: LAYER.stream(state=LAYER(X)), DtypeError, r"the pair .*: y, state = layer\(x\)"),
    (lambda: STACK(X, STACK(X)), DtypeError, "state must be a state alone, got the pair"),
    (lambda: DROP_IN(X, LAYER(X)), DtypeError, "hx must be a state alone, got the pair"),
    (lambda: PAIR(X, PAIR(X)), DtypeError, "state must be a state alone, got the pair"),
    (lambda: PAIR(X, (None,)), DtypeError, r"a pair \(forward, backward\).* got a tuple of 1"),
    (lambda: STACK(X, (None,)), DtypeError, "each of the 2 modules .* got a tuple of 1"),
    # lengths
    (
        lambda: LAYER(X, lengths=["5", 2]),
        DtypeError,
        "lengths must be a tensor of integers, got li",
    ),
    (lambda: LAYER(X, lengths=torch.ones(2)), DtypeError, "tensor of integers, got torch.float32"),
    (
        lambda: LAYER(X, lengths=torch.tensor([True, False])),
        DtypeError,
        "tensor of integers, got torch.bool",
    ),
    (lambda: LAYER(X, lengths=[True, False]), DtypeError, "tensor of integers, got list of bool$"),
    (lambda: LAYER(X, lengths=[True, 2]), DtypeError, "integers, got list of bool, int"),
    (lambda: LAYER(X, lengths=torch.ones(2).cfloat()), DtypeError, "got torch.complex64"),
    (lambda: LAYER(X, lengths=5), DtypeError, "lengths must be a tensor of integers, got int"),
    (lambda: LAYER(X, lengths=torch.tensor([5])), ShapeError, r"must be \[2\].* got \[1\]"),
    (lambda: LAYER(X, lengths=torch.tensor([6, 1])), ArgumentError, "0 and T = 5, got 1 to 6"),
    (lambda: LAYER(X, lengths=torch.tensor([-1, 1])), ArgumentError, "T = 5, got -1 to 1"),
    (lambda: LAYER(X[:, 0], lengths=torch.tensor([5])), ArgumentError, "lengths need a batch"),
    (
        lambda: LAYER(pack_sequence([X[:, 0]]), lengths=torch.tensor([5])),
        ArgumentError,
        "lengths come with a PackedSequence already",
    ),
    # reset
    (lambda: LAYER(X, reset=torch.zeros(5, 2)), DtypeError, "reset must be a bool tensor, got to"),
    (lambda: LAYER(X, reset=True), DtypeError, "reset must be a bool tensor, got bool"),
    (lambda: LAYER(X, reset=torch.zeros(2, 5).bool()), ShapeError, r"reset must be \[5, 2\]"),
    # targets
    (lambda: LAYER(X, targets=X), ArgumentError, "LSTMCell has none .* feedback = "),
    (lambda: JORDAN(X, targets=X), ShapeError, "targets must have 2 features, the size of y"),
    (lambda: JORDAN(X, targets=X[0]), ShapeError, r"targets must be \[5, 2, size\] .* \[2, 3\]"),
    (lambda: STACK(X, targets=X), ArgumentError, "this stack has 0 such layers"),
    # construction
    (lambda: cello.Recurrent(cello.LSTMCell), DtypeError, "the class LSTMCell itself: build it"),
    (
        lambda: cello.Recurrent(nn.GRU(3, 4)),
        DtypeError,
        "nn.GRU, which is a whole layer: use cello.GRU",
    ),
    (lambda: cello.Recurrent(LAYER), DtypeError, "got Recurrent, which runs through time already"),
    (lambda: cello.Recurrent(DROP_IN), DtypeError, "got LSTM, which runs through time already"),
    (lambda: cello.Bidirectional(STACK), DtypeError, "got Stack, which runs through time already"),
    (lambda: cello.Bidirectional(GRU, PAIR), DtypeError, "got Bidirectional, which runs through"),
    (lambda: cello.Recurrent(3), DtypeError, "must be a cello.Cell or a module .* got int"),
    (lambda: cello.Recurrent(nn.Linear(3, 4)), CellError, "Linear can be used as a cell only if"),
    (
        lambda: cello.Recurrent(cello.ElmanCell(3, 4), initial_state="ones"),
        ArgumentError,
        'initial_state must be "zeros" or "learned", got \'ones\'',
    ),
    (lambda: cello.Stack(), ArgumentError, "at least one module"),
    (lambda: cello.Stack(cello.ElmanCell(3, 4)), DtypeError, r"module 0 is a ElmanCell, one step"),
    (lambda: cello.Stack(3), DtypeError, "module 0 must be an nn.Module, got int"),
    (
        lambda: cello.Stack({"a": torch.nn.Identity()}),
        DtypeError,
        r"got dict: give the modules one by one, cello.Stack\(\*modules.values\(\)\)",
    ),
    (lambda: cello.Stack(LAYER, nn.Tanh), DtypeError, "1 must be .* got the class Tanh itself: bu"),
    (lambda: cello.Stack([LAYER]), DtypeError, r"got list: give the .*, cello.Stack\(\*modules\)"),
    (
        lambda: cello.Stack(cello.Recurrent(cello.ElmanCell(3, 4), batch_first=True)),
        ArgumentError,
        "give batch_first=True to the Stack",
    ),
    (
        lambda: cello.Bidirectional(cello.ElmanCell(3, 4), join="max"),
        ArgumentError,
        'join must be "concat", "sum" or "mean", got \'max\'',
    ),
    (
        lambda: cello.Bidirectional(cello.ElmanCell(3, 4), cello.ElmanCell(2, 4)),
        ArgumentError,
        "must have one input_size .* got 3 and 2",
    ),
    (
        lambda: cello.Bidirectional(cello.ElmanCell(3, 4), cello.ElmanCell(3, 5), join="sum"),
        ArgumentError,
        "must have one output_size .* got 4 and 5",
    ),
    (lambda: cello.Bidirectional(c := cello.ElmanCell(3, 4), c), ArgumentError, "one and the same"),
    (lambda: cello.accelerate(3), DtypeError, "module must be an nn.Module, got int"),
    # what comes to a module of a stack
    (
        lambda: cello.Stack(nn.Linear(3, 2), cello.Recurrent(cello.ElmanCell(3, 4)))(X),
        ShapeError,
        r"module 1 \(Recurrent\) takes 3 features a step, what comes to it has \[2\]",
    ),
    (lambda: cello.Stack(nn.GRUCell(3, 4)), DtypeError, "GRUCell, one step only: wrap it as"),
    (lambda: cello.Stack(Pair())(X), DtypeError, "Pair between layers must return a tensor"),
    (lambda: cello.Stack(nn.Flatten(0))(X), ShapeError, r"must keep the axes .* returned \[30\]"),
    (lambda: STACK(X[0, 0]), ShapeError, r"x must be \[T, B, ...\]"),
    # streaming
    (lambda: PAIR.stream(), ArgumentError, "starts at the end of the sequence"),
    (lambda: cello.LSTM(3, 4, bidirectional=True).stream(), ArgumentError, "at the end"),
    (
        lambda: cello.Recurrent(cello.ElmanCell(3, 4), reverse=True).stream(),
        ArgumentError,
        "reads from the end",
    ),
    (lambda: LAYER.stream(0), ArgumentError, "batch_size must be a positive int, got 0"),
    (
        lambda: LAYER.stream(2)(X[0, :1]),
        ShapeError,
        r"one step, \[2, size\], got \[1, 3\]; how many .* layer\.stream\(batch_size=…\)",
    ),
    (lambda: LAYER.stream()(torch.zeros(1, 4)), ShapeError, r"x must be \[B, 3\] for one step"),
    (lambda: LAYER.stream()([1.0, 2.0, 3.0]), DtypeError, "x must be a tensor, got list"),
    (lambda: LAYER.stream()(X[0, :1].double()), DtypeError, "of LSTMCell's parameters, torch.fl"),
    (
        lambda: LAYER.stream().reset([True]),
        DtypeError,
        r"rows must be a bool tensor .* got list",
    ),
    (lambda: LAYER.stream(2).reset(torch.ones(3).bool()), ShapeError, r"bool tensor \[2\]"),
    # drop-ins, where our own code checks
    (
        lambda: DROP_IN(X, torch.zeros(1, 2, 4), lengths=torch.tensor([5, 1])),
        DtypeError,
        r"hx must be a tuple \(h_0, c_0\), got a tensor of shape",
    ),
    (
        lambda: DROP_IN(
            X, (torch.zeros(1, 2, 4), torch.zeros(1, 3, 4)), reset=torch.zeros(5, 2).bool()
        ),
        ShapeError,
        r"c_0 must be \[1, 2, 4\], got \[1, 3, 4\]",
    ),
    (
        lambda: cello.GRU(3, 4)(X, torch.zeros(1, 2, 4).double(), lengths=torch.tensor([5, 1])),
        DtypeError,
        "h_0 must have the dtype of input,",
    ),
    (
        lambda: DROP_IN(X, torch.zeros(1, 2, 4)),
        DtypeError,
        r"hx must be a tuple \(h_0, c_0\), got a tensor of shape",
    ),
    (lambda: cello.GRU(3, 4)(X, 5), DtypeError, "hx must be a tensor h_0, got int"),
    (
        lambda: cello.Stack(LAYER, cello.GRU(3, 2))(X),
        ShapeError,
        r"module 1 \(GRU\) takes 3 features a step, what comes to it has \[4\]",
    ),
    # cells
    (lambda: subclass(state="h"), CellError, r"Mine.state must be a tuple of names .* got 'h'"),
    (lambda: subclass(state=("h", "h")), CellError, "distinct variable names"),
    (lambda: subclass(state=("h_prev",)), CellError, "nor end in _prev"),
    (
        lambda: subclass(state=("h",), feedback="y"),
        CellError,
        r"Mine.feedback is 'y', which Mine.state \('h',\) does not hold",
    ),
    (lambda: subclass(state=("lambda",)), CellError, "distinct variable names"),
    (lambda: subclass(state=("detach",)), CellError, "detach is a method of states"),
    (lambda: subclass(state=("h", "x")), CellError, "x is the input's name"),
    (
        lambda: cello.Recurrent(Cells.NoSuper()),
        CellError,
        r"NoSuper.__init__ must call super\(\).__init__\(input_size, hidden_size\)",
    ),
    (
        lambda: cello.Recurrent(Cells.NoStateTaken(3, 4)),
        CellError,
        r"must take an input and the state, def step\(self, x, h\): too many positional",
    ),
    (
        lambda: cello.Recurrent(Cells.OtherOrder(3, 4)),
        CellError,
        r"OtherOrder.step has the argument 'c' where it is given the state 'h': .* states as in "
        r"OtherOrder.state \('h', 'c'\): def step\(self, x, h, c\)",
    ),
    (
        lambda: cello.Recurrent(Cells.StateAsInput(3, 4)),
        CellError,
        r"StateAsInput.step has the argument 'h' where it is given the input: the input comes",
    ),
    (lambda: GRU(X[0], torch.zeros(2, 5)), ShapeError, r"state.h must be \[2, 4\], got \[2, 5\]"),
    (lambda: GRU(X[0], (X[0],) * 2), DtypeError, r"must be a tuple \(h,\), got a tuple of 2"),
    (lambda: GRU(X[0], (3,)), DtypeError, r"state.h must be a tensor, got int"),
    (lambda: GRU(X[0], torch.zeros(2, 4).double()), DtypeError, "the dtype of x, torch.float32"),
    (lambda: GRU(X[0].long()), DtypeError, "x must have the dtype of GRUCell's parameters"),
    (lambda: GRU(X[0].tolist()), DtypeError, "x must be a tensor, got list"),
    (lambda: cello.ElmanCell(3, 4, nn.Tanh), DtypeError, r"class Tanh itself: .* as Tanh\(\)"),
    (lambda: Cells.NoState(3, 4), CellError, "NoState names no state"),
    (lambda: Cells.NoStep(3, 4)(X[0]), CellError, r"has no step: write def step\(self, x, h\)"),
    (lambda: Cells.OnlyOutput(3, 4)(X[0]), CellError, r"must end in `return output, \(h,\)`"),
    (lambda: Cells.NoComma(3, 4)(X[0]), CellError, r"it returned a tensor of shape \[2, 4\] there"),
    (lambda: Cells.WrongSize(3, 4)(X[0]), CellError, r"next state h with shape \[2, 4\]"),
    (lambda: Cells.WrongRows(3, 4)(X[0]), CellError, r"output of shape \[2, size\], got \[\]"),
    (lambda: Cells.NoTensor(3, 4)(X[0]), CellError, "its output is float, not a tensor"),
    (lambda: Cells.OtherDtype(3, 4)(X[0]), CellError, "must have one dtype"),
    (
        lambda: cello.Recurrent(Cells.NoComma(3, 4))(X),
        CellError,
        r"must end in `return output, \(h",
    ),
    (
        lambda: cello.Recurrent(Cells.WrongSize(3, 4))(X),
        CellError,
        r"h with shape \[B, 4\], got a tensor of shape \[B, 3\]",
    ),
    (lambda: cello.ElmanCell(3, 4)(X), ShapeError, r"x must be \[B, 3\] for one step of ElmanCell"),
    (lambda: cello.ElmanCell(0, 4), ArgumentError, "input_size must be at least 1, got 0"),
    (lambda: cello.ElmanCell(3, 4.0), DtypeError, "hidden_size must be an int, got float 4.0"),
    (lambda: cello.JordanCell(3, 4, 0), ArgumentError, "output_size must be at least 1, got 0"),
    (lambda: cello.LSTMCell(3, 4, projection_size=0), ArgumentError, "projection_size must be at"),
    (lambda: cello.ElmanCell(3, 4, "tanhh"), ArgumentError, "activation='tanhh' is not an activ"),
    (lambda: cello.LSTMCell(3, 4, gate_activation=3), DtypeError, "gate_activation must be a name"),
    (lambda: cello.LSTMCell(3, 4, bias=False, forget_bias=1.0), ArgumentError, "needs bias=True"),
    (
        lambda: cello.GRUCell(3, 4, reset_after=False, recurrent_bias=True),
        ArgumentError,
        "needs re",
    ),
    (
        lambda: cello.Cell.__init__(Cells.NoStep.__new__(Cells.NoStep), 3, 4, state_sizes={"c": 1}),
        CellError,
        r"state_sizes names c, which NoStep.state \('h',\) does not hold",
    ),
]


@pytest.mark.parametrize(("call", "kind", "message"), CASES)
def test_message(call: Callable[[], object], kind: type[CelloError], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.filterwarnings("ignore:compiled loops compute:cello.EngineWarning")
@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((X,), DtypeError, "input must have the dtype of LSTM's parameters, torch.float16, got"),
        ((X.half()[..., :2],), ShapeError, "input must have 3 features"),
        ((X.half(), H), DtypeError, r"hx must be a tuple \(h_0, c_0\), got a tensor"),
        ((X.half(), (H, H)), ShapeError, r"h_0 must be \[1, 2, 4\], got \[2, 4\]"),
    ],
)
def test_what_pytorchs_own_code_refuses_is_told_in_our_words(
    arguments: tuple[object, ...], kind: type[CelloError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        cello.LSTM(3, 4).half()(*arguments)
