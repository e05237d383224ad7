"""The loops inside models that `torch.compile` and `torch.export` trace."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.backends.common import aot_autograd
from torch._functorch.aot_autograd import make_boxed_compiler

import cello
from cello.engines.fused import plan
from cello.engines.fused.op import operators
from cello.errors import EngineError
from tests.registry import make

FORWARD, BACKWARD = operators._op_forward, operators._op_backward


class Model(nn.Module):
    """Ordinary modules around recurrent layers; only tensors come out."""

    def __init__(self, *cells: str) -> None:
        super().__init__()
        self.before = nn.Linear(3, 3).double()
        self.net = cello.Stack(*(cello.Recurrent(make(name)) for name in cells))
        self.after = nn.Linear(4, 2).double()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, state = self.net(torch.relu(self.before(x)))
        return self.after(y), state[0][0]


class Traced:
    """A model compiled as one graph, what its graphs call, and how often it was compiled."""

    def __init__(self, model: nn.Module) -> None:
        torch.compiler.reset()
        self.calls: list[object] = []
        self.graphs = 0
        noted = make_boxed_compiler(self.note)
        backend = aot_autograd(fw_compiler=noted, bw_compiler=noted)
        self.model = torch.compile(model, backend=backend, fullgraph=True)

    def note(self, graph: torch.fx.GraphModule, _inputs: object) -> torch.fx.GraphModule:
        self.graphs += 1
        self.calls += [node.target for node in graph.graph.nodes]
        return graph

    def __call__(self, *args: object, **kwargs: object):
        return self.model(*args, **kwargs)


def outcome(model, x: Tensor, parameters: list[Tensor]) -> list[Tensor]:
    y, h = model(x)
    loss = y.square().sum() + h.sin().sum()
    return [y, h, *torch.autograd.grad(loss, [x, *parameters])]


# One has parameters that are made into others before the loop, one has two products.
@pytest.mark.parametrize("name", ["lstm", "AntisymmetricCell", "gru-reset-before"])
def test_one_graph_with_the_loops_in_it(name: str) -> None:
    model = Model(name)
    x = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    parameters = list(model.parameters())
    traced = Traced(model)
    ours = outcome(traced, x, parameters)
    assert (traced.calls.count(FORWARD), traced.calls.count(BACKWARD)) == (1, 1)
    with cello.engine("reference"):
        theirs = outcome(model, x, parameters)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    with torch.no_grad():
        parameters[2].mul_(0.5)  # as an optimizer does
        torch.testing.assert_close(traced(x), model(x), rtol=1e-10, atol=1e-10)


def test_inputs_of_other_kinds_stand_in_one_graph() -> None:
    kinds = {
        "two-inputs": (torch.randn(5, 2, 2), torch.randn(5, 2, 1)),
        "named-inputs": {"pair": torch.randn(5, 2, 2, 1), "more": torch.randn(5, 2)},
    }
    for name, x in kinds.items():
        layer = cello.Recurrent(make(name, torch.float32))
        found = torch.compile(layer, fullgraph=True, backend="eager")(x)[0]
        torch.testing.assert_close(found, layer(x)[0])


def test_each_layer_has_its_own_loop() -> None:
    first = cello.Bidirectional(cello.LSTMCell(3, 4))
    net = cello.Stack(first, nn.Linear(8, 3), cello.Recurrent(cello.JordanCell(3, 4, 2)))
    x, traced = torch.randn(5, 2, 3), Traced(net)
    y, state = traced(x)
    assert traced.calls.count(FORWARD) == 3
    expected, final = net(x)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(state[0].backward.c, final[0].backward.c)


def test_a_changed_cell_is_compiled_again() -> None:
    layer = cello.Recurrent(make("elman"))
    x, traced = torch.randn(5, 2, 3, dtype=torch.float64), Traced(layer)
    traced(x)
    traced(x + 1)
    assert traced.graphs == 1
    layer.cell.activation = "relu"
    torch.testing.assert_close(traced(x)[0], layer(x)[0])
    assert traced.graphs == 2
    layer.eval()
    traced(x)
    assert traced.graphs == 3


def test_resets_and_a_single_row() -> None:
    layer = cello.Recurrent(make("gru"))
    x, traced = torch.randn(5, 2, 3, dtype=torch.float64), Traced(layer)
    reset = torch.rand(5, 2) < 0.5
    torch.testing.assert_close(traced(x, reset=reset)[0], layer(x, reset=reset)[0])
    torch.testing.assert_close(traced(x[:, :1])[0], layer(x[:, :1])[0])
    torch.testing.assert_close(traced(x[:, 0])[0], layer(x[:, 0])[0])


def test_the_reference_engine_when_it_is_asked_for() -> None:
    layer = cello.Recurrent(make("gru"), engine="reference")
    x, traced = torch.randn(3, 2, 3, dtype=torch.float64), Traced(layer)
    torch.testing.assert_close(traced(x)[0], layer(x)[0])
    assert FORWARD not in traced.calls
    layer = cello.Recurrent(make("gru"))
    traced = Traced(layer)
    with cello.engine("reference"):
        traced(x)
    assert FORWARD not in traced.calls


def test_the_compiled_engine_asked_for_by_name() -> None:
    model = nn.Sequential(cello.Recurrent(make("lstm"), engine="cpu"))
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    traced = Traced(model)
    torch.testing.assert_close(traced(x)[0], model(x)[0], rtol=0, atol=0)
    exported = torch.export.export(model, (x,))
    called = [node.target for node in exported.graph.nodes]
    assert (traced.calls.count(FORWARD), called.count(FORWARD)) == (1, 1)
    torch.testing.assert_close(exported.module()(x)[0], model(x)[0], rtol=0, atol=0)


def test_the_compiled_engine_asked_for_by_name_where_there_is_no_loop() -> None:
    class Sorting(cello.ElmanCell):
        def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
            h = (x[:, :1] + h).tanh().sort(-1).values
            return h, (h,)

    layer, x = cello.Recurrent(Sorting(3, 4), engine="cpu"), torch.randn(5, 2, 3)
    with pytest.raises(EngineError, match=r"'cpu' cannot run Sorting: .*no sort"):
        torch.export.export(layer, (x,))
    taking = cello.Recurrent(make("gru").float(), engine="cpu")
    with torch.autocast("cpu"), pytest.raises(EngineError, match="autocast is active"):
        torch.export.export(taking, (x,))


def test_what_no_loop_has_is_unrolled() -> None:
    layer = cello.Recurrent(make("mixing"))
    x, traced = torch.randn(3, 2, 3, dtype=torch.float64), Traced(layer)
    with cello.engine("reference"):
        expected = layer(x)[0]
    torch.testing.assert_close(traced(x)[0], expected)
    assert FORWARD not in traced.calls


def test_vmap_and_autocast_inside_run_the_step() -> None:
    layer = cello.Recurrent(make("gru"))
    x = torch.randn(4, 3, 2, 3, dtype=torch.float64)
    traced = Traced(lambda x: torch.vmap(lambda part: layer(part)[0])(x))
    torch.testing.assert_close(traced(x)[1], layer(x[1])[0])
    assert FORWARD not in traced.calls
    layer = layer.float()
    traced = Traced(layer)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        traced(x[0].float())
    assert FORWARD not in traced.calls


@pytest.mark.parametrize("strict", [False, True])
def test_export(strict: bool) -> None:
    model, x = Model("lstm"), torch.randn(5, 2, 3, dtype=torch.float64)
    program = torch.export.export(model, (x,), strict=strict)
    assert [node.target for node in program.graph.nodes].count(FORWARD) == 1
    torch.testing.assert_close(program.module()(x), model(x), rtol=1e-10, atol=1e-10)


class SharesCell(cello.Cell):
    """Of operations that PyTorch makes of others, in the step itself and in the compiled loop."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__(3, 4)
        self.both = nn.Linear(3, 8)
        self.near = nn.Conv1d(1, 1, 3, padding=1)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        new = nn.functional.glu(self.both(x) + torch.cat([h, h], dim=-1), dim=-1)
        h = torch.cumsum(torch.softmax(new + self.near(h.unsqueeze(1)).squeeze(1), dim=-1), dim=-1)
        return h, (h,)


@pytest.mark.parametrize("has_run", [False, True])
def test_exported_operations_are_taken_apart(
    has_run: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, x = cello.Recurrent(SharesCell()), torch.randn(5, 2, 3)
    if has_run:
        layer(x)
    program = torch.export.export(layer, (x,))
    assert [node.target for node in program.graph.nodes].count(FORWARD) == 1
    expected = layer(x)[0]
    monkeypatch.setattr(plan, "_by_name", {})  # as in another process
    plan._plan_of_text.cache_clear()
    torch.testing.assert_close(program.module()(x)[0], expected)


# ---------------------------------------------------------------- in place of PyTorch's layers


class Theirs(nn.Module):
    """A model as it is written for PyTorch's layers."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.rnn = getattr(nn, kind)(3, 4, num_layers=2, bidirectional=True)
        self.out = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, state = self.rnn(x)
        return self.out(y), state[0] if isinstance(state, tuple) else state


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_drop_ins_stand_in_one_graph(kind: str) -> None:
    theirs = Theirs(kind).double()
    ours = cello.accelerate(theirs)  # it has not run before it is traced
    x = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    traced = Traced(ours)
    made = outcome(traced, x, list(ours.parameters()))
    assert (traced.calls.count(FORWARD), traced.calls.count(BACKWARD)) == (4, 4)
    torch.testing.assert_close(made, outcome(theirs, x, list(theirs.parameters())))
    for model in (ours, theirs):
        halves = {name: value / 2 for name, value in theirs.state_dict().items()}
        model.load_state_dict(halves, assign=True)
    torch.testing.assert_close(traced(x), theirs(x))


def test_why_drop_ins_are_not_derived_from_their_namesakes() -> None:
    class Derived(nn.LSTM):
        def forward(self, x: Tensor) -> Tensor:
            return x

    with pytest.raises(torch._dynamo.exc.Unsupported, match="does not support RNN, GRU, or LSTM"):
        Traced(Derived(3, 4))(torch.randn(5, 2, 3))


def test_where_there_is_no_loop_torchs_own_code_stands_in_the_graph() -> None:
    layer, x = cello.LSTM(3, 4).half(), torch.randn(5, 2, 3).half()
    traced = Traced(layer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cello.EngineWarning)
        expected = layer(x)[0]
    torch.testing.assert_close(traced(x)[0], expected)
    assert FORWARD not in traced.calls


@pytest.mark.parametrize("strict", [False, True])
def test_export_of_drop_ins(strict: bool) -> None:
    model, x = cello.accelerate(Theirs("GRU")), torch.randn(5, 2, 3)
    program = torch.export.export(model, (x,), strict=strict)
    assert [node.target for node in program.graph.nodes].count(FORWARD) == 4
    assert program.state_dict.keys() == model.state_dict().keys()
    torch.testing.assert_close(program.module()(x), model(x))


# ---------------------------------------------------------------- lengths


def ragged() -> cello.Stack:
    return cello.Stack(
        nn.Linear(3, 3),
        cello.Bidirectional(cello.LSTMCell(3, 4), initial_state="learned"),
        nn.Dropout(0.0),
        cello.Recurrent(cello.JordanCell(8, 4, 2)),
        cello.LSTM(2, 3, num_layers=2, bidirectional=True),
        nn.Linear(6, 2),
    ).double()


LENGTHS = [[5, 0, 3], [1, 1, 1], [5, 5, 5], [0, 0, 0]]


def test_lengths_stay_in_the_graph() -> None:
    net, traced = (model := ragged()), Traced(model)
    x = torch.randn(5, 3, 3, dtype=torch.float64, requires_grad=True)
    reset, targets = torch.rand(5, 3) < 0.3, torch.randn(5, 3, 2, dtype=torch.float64)

    def all_of(model: nn.Module, lengths: list[int]) -> list[Tensor]:
        more = {"reset": reset, "targets": targets}
        y, state = model(x, lengths=torch.tensor(lengths), **more)
        parts = [*state[1].forward, *state[1].backward, *state[3], *state[4]]
        loss = y.square().sum() + sum(part.sin().sum() for part in parts)
        leaves = [x, *net.parameters()]
        found = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
        return [y, *parts, *found]

    for lengths in LENGTHS:
        ours, theirs = all_of(traced, lengths), all_of(net, lengths)
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    assert traced.graphs == 2
    assert traced.calls.count(FORWARD) == traced.calls.count(BACKWARD) == 7
    with pytest.raises(cello.errors.ArgumentError, match="between 0 and T = 5, got 0 to 6"):
        traced(x, lengths=torch.tensor([6, 0, 1]), reset=reset, targets=targets)


def test_modules_that_mix_rows_never_see_padding() -> None:
    net = cello.Stack(cello.Recurrent(cello.GRUCell(3, 4)), nn.BatchNorm1d(4))
    x, lengths = torch.randn(5, 3, 3), torch.tensor([5, 1, 3])
    torch.compiler.reset()
    compiled = torch.compile(net, backend="eager")  # not one graph, but the same numbers
    with torch.no_grad():
        torch.testing.assert_close(compiled(x, lengths=lengths)[0], net(x, lengths=lengths)[0])


def test_lengths_where_only_the_step_can_be_traced() -> None:
    layer = cello.Recurrent(make("gru"), engine="reference")
    x, lengths = torch.randn(5, 3, 3, dtype=torch.float64), torch.tensor([5, 0, 3])
    torch.compiler.reset()
    compiled = torch.compile(layer, backend="eager")
    with torch.no_grad():
        ours, theirs = compiled(x, lengths=lengths), layer(x, lengths=lengths)
    torch.testing.assert_close(ours[0], theirs[0])
    torch.testing.assert_close(ours[1].h, theirs[1].h)


# ---------------------------------------------------------------- exported, saved, loaded


@pytest.mark.parametrize("strict", [False, True])
def test_an_exported_stack_runs_in_another_process(strict: bool, tmp_path: Path) -> None:
    net, lengths = ragged(), torch.tensor([5, 0, 3])
    x = torch.randn(5, 3, 3, dtype=torch.float64)
    T, B = torch.export.Dim("T"), torch.export.Dim("B")
    shapes = {"x": {0: T, 1: B}, "lengths": {0: B}}
    program = torch.export.export(
        net, (x,), {"lengths": lengths}, dynamic_shapes=shapes, strict=strict
    )
    torch.export.save(program, tmp_path / "net.pt2")
    x, lengths = torch.randn(7, 4, 3, dtype=torch.float64), torch.tensor([2, 7, 0, 3])
    y, state = net(x, lengths=lengths)
    y.sum().backward()
    gradients = {name: parameter.grad for name, parameter in net.named_parameters()}
    torch.save([x, lengths, y.detach(), state[1].forward.c.detach()], tmp_path / "expected.pt")
    torch.save(gradients, tmp_path / "gradients.pt")
    script = """
        import sys, torch, cello
        cello.Recurrent(cello.GRUCell(2, 2))(torch.zeros(1, 1, 2))  # plans of its own
        net = torch.export.load(sys.argv[1] + "/net.pt2").module()
        x, lengths, y, c = torch.load(sys.argv[1] + "/expected.pt")
        ours, state = net(x, lengths=lengths)
        torch.testing.assert_close([ours, state[1].forward.c], [y, c])
        assert type(state) is cello.layers.StackState, type(state)
        ours.sum().backward()
        gradients = torch.load(sys.argv[1] + "/gradients.pt")
        torch.testing.assert_close({n: p.grad for n, p in net.named_parameters()}, gradients)
        print("the same")
    """
    lines = "\n".join(line.strip() for line in script.splitlines())
    command = [sys.executable, "-c", lines, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "the same\n", done.stderr
