"""How the compiled loops live in PyTorch: operations, autograd, transforms, parameters."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.engines.fused.op import operators
from tests.engines.cpu.compiled import close, layer_of, numbers
from tests.registry import make

CELLS = ["lstm", "gru-reset-before", "jordan", "two-sizes", "no-grad"]


def by_reference(function, *args):
    with cello.engine("reference"):
        return function(*args)


# ---------------------------------------------------------------- the operations themselves


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple]]:
    """The arguments of both operations, as they are called where something listens."""
    monkeypatch.setattr(operators, "can_bypass_dispatcher", lambda _: False)
    made: dict[str, list[tuple]] = {"forward": [], "backward": []}
    for name, kept in made.items():
        operation = getattr(operators, f"_op_{name}")

        def noted(*args, operation=operation, kept=kept):
            kept.append(args)
            return operation(*args)

        monkeypatch.setattr(operators, f"_op_{name}", noted)
    return made


def leaves(argument):
    """The same tensors, made of nothing."""
    if isinstance(argument, Tensor):
        return argument.detach().clone().requires_grad_(argument.requires_grad)
    return [leaves(part) for part in argument] if isinstance(argument, list) else argument


@pytest.mark.parametrize(("name", "ragged"), [("lstm", False), ("jordan", True)])
def test_opcheck(name: str, ragged: bool, calls: dict[str, list[tuple]]) -> None:
    layer = layer_of(name, reverse=ragged)
    more = {"lengths": [3, 1], "reset": torch.rand(3, 2) < 0.5} if ragged else {}
    if name == "jordan":
        more["targets"] = numbers(3, 2, 2, grad=True)
    layer(numbers(3, 2, 3, grad=True), **more)[0].sum().backward()
    (forward, *_), (backward, *_) = calls["forward"], calls["backward"]
    torch.library.opcheck(torch.ops.cello.forward.default, tuple(map(leaves, forward)))
    # The gradients of these gradients need to know the lengths: nothing to trace ahead of time.
    ahead = torch.no_grad() if ragged else torch.enable_grad()
    with ahead:
        torch.library.opcheck(torch.ops.cello.backward.default, tuple(map(leaves, backward)))
    with torch.no_grad():
        plain = tuple(leaves(part) for part in forward)
        torch.library.opcheck(torch.ops.cello.forward.default, plain, test_utils="test_schema")


def padded(call: tuple[Any, ...], lengths: Tensor) -> tuple[Any, ...]:
    """The same call with lengths, over what it took to be whole sequences."""
    place = operators.LoopCall._fields.index("lengths")
    return (*call[:place], lengths, *call[place + 1 :])


@pytest.mark.parametrize("name", ["lstm", "jordan"])
def test_padding_is_left_out_inside(name: str, calls: dict[str, list[tuple]]) -> None:
    layer, lengths = layer_of(name, reverse=True), torch.tensor([1, 3, 0])
    x, reset = numbers(3, 3, 3, grad=True), torch.rand(3, 3) < 0.5
    more = {"targets": numbers(3, 3, 2, grad=True)} if name == "jordan" else {}
    layer(x, reset=reset, **more)[0].sum().backward()
    (forward, *_), (backward, *_) = calls["forward"], calls["backward"]
    torch.library.opcheck(
        torch.ops.cello.forward.default, tuple(map(leaves, padded(forward, lengths)))
    )
    with torch.no_grad():
        torch.library.opcheck(
            torch.ops.cello.backward.default, tuple(map(leaves, padded(backward, lengths)))
        )

    # Twice differentiable, as without lengths.
    def twice(run) -> list[Tensor]:
        y, final = run()
        wanted = [x, *layer.parameters(), *more.values()]
        first = torch.autograd.grad(y.square().sum() + final.sin().sum(), wanted, create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), wanted)
        return [y, final, *first, *second]

    def inside() -> tuple[Tensor, Tensor]:
        layer(x, reset=reset, **more)
        made = operators._op_forward(*padded(calls["forward"][-1][:-1], lengths), False)
        return made[0].unflatten(0, (3, 3)), made[1]

    def outside() -> tuple[Tensor, Tensor]:
        y, state = layer(x, reset=reset, lengths=lengths, **more)
        return y, state[0]

    close(twice(inside), twice(outside))


# ---------------------------------------------------------------- autograd


@pytest.mark.parametrize("name", CELLS)
def test_gradients_of_gradients(name: str) -> None:
    layer = layer_of(name, initial_state="learned")
    for part in layer.initial.values():
        nn.init.normal_(part)
    x = numbers(3, 2, 3, grad=True)
    reset = torch.tensor([[False, True], [True, False], [False, False]])
    leaves = [x, *layer.parameters()]

    def twice() -> list[Tensor]:
        y, state = layer(x, reset=reset, lengths=[3, 2])
        loss = y.square().sum() + sum(part.sin().sum() for part in state)
        first = torch.autograd.grad(loss, leaves, create_graph=True)
        return [*first, *torch.autograd.grad(sum(g.square().sum() for g in first), leaves)]

    ours = twice()
    layer.engine = "reference"
    close(ours, twice())


def test_gradgradcheck() -> None:
    layer = layer_of()
    inputs = numbers(2, 2, 3, grad=True), numbers(2, 4, grad=True)
    assert torch.autograd.gradcheck(lambda x, h: layer(x, (h,))[0], inputs)
    assert torch.autograd.gradgradcheck(lambda x, h: layer(x, (h,))[0], inputs)


def test_a_state_made_from_the_input() -> None:
    layer, x, M = layer_of(), numbers(3, 2, 3, grad=True), numbers(3, 4)

    def twice() -> tuple[Tensor, ...]:
        (first,) = torch.autograd.grad(
            layer(x, (x[0] @ M,))[0].square().sum(), x, create_graph=True
        )
        return torch.autograd.grad(first.square().sum(), x)

    ours = twice()
    layer.engine = "reference"
    close(ours, twice())


def test_backward_twice() -> None:
    layer, x = layer_of(), numbers(3, 2, 3, grad=True)
    loss = layer(x)[0].square().sum()
    loss.backward(retain_graph=True)
    once = [t.grad.clone() for t in (x, *layer.parameters())]
    loss.backward()
    close([t.grad for t in (x, *layer.parameters())], [2 * grad for grad in once])
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


def test_an_input_changed_before_backward_is_an_error() -> None:
    layer, x = layer_of(), numbers(3, 2, 3)
    y, _ = layer(x)
    with torch.no_grad():
        layer.cell.R.mul_(2.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_frozen_parameters_and_inputs_without_gradient() -> None:
    def gradients(layer: nn.Module, x: Tensor) -> list[Tensor | None]:
        for tensor in (x, *layer.parameters()):
            tensor.grad = None
        layer(x)[0].square().sum().backward()
        return [tensor.grad for tensor in (x, *layer.parameters())]

    for frozen, grad in ([], False), (["R", "b"], True), (["W", "R", "b"], True):
        layer = layer_of("gru")
        for name in frozen:
            getattr(layer.cell, name).requires_grad_(False)
        x = numbers(3, 2, 3, grad=grad)
        ours = gradients(layer, x)
        layer.engine = "reference"
        theirs = gradients(layer, x)
        assert [g is None for g in ours] == [g is None for g in theirs]
        close([g for g in ours if g is not None], [g for g in theirs if g is not None])


def test_what_needs_a_gradient_may_change_from_call_to_call() -> None:
    layer = layer_of("gru")
    names = [name for name, _ in layer.cell.named_parameters()]

    def found(wanted: tuple[str, ...], engine: str) -> list[Tensor]:
        layer.engine = engine
        for name in names:
            getattr(layer.cell, name).requires_grad_(name in wanted)
        torch.manual_seed(1)
        x, h = (numbers(*size, grad=grad) for size, grad in sizes)
        tensors = [t for t in (x, h, *layer.cell.parameters()) if t.requires_grad]
        y, _ = layer(x, (h,))
        return list(torch.autograd.grad(y.square().sum(), tensors))

    everything = tuple(names)
    for wanted, of_x, of_h in (
        (everything, False, False),
        (everything, True, False),
        (everything, False, True),
        (names[:1], True, False),
        (names[1:2], True, True),
        ((), True, False),
        ((), False, True),
        (everything, True, True),
    ):
        sizes = (((3, 2, 3), of_x), ((2, 4), of_h))
        ours, theirs = found(wanted, "cpu"), found(wanted, "reference")
        close(ours, theirs)
        assert all(gradient.any() for gradient in ours)


def test_one_output_alone_and_none() -> None:
    layer, x = layer_of("lstm"), numbers(3, 2, 3, grad=True)

    def of_cell() -> tuple[Tensor, ...]:
        return torch.autograd.grad(layer(x)[1].c.square().sum(), [x, *layer.parameters()])

    ours = of_cell()
    layer.engine = "reference"
    close(ours, of_cell())


@pytest.mark.parametrize("name", ["lstm", "gru", "two-sizes"])
def test_gradients_through_recorded_values(name: str) -> None:
    layer, x = layer_of(name), numbers(4, 2, 3, grad=True)

    def gradients() -> tuple[list[str], tuple[Tensor | None, ...]]:
        rec = cello.record(layer, x, lengths=[4, 2])
        floats = [n for n in sorted(rec.names) if rec[n].is_floating_point()]
        torch.manual_seed(4)
        loss = sum((rec[n] * torch.randn_like(rec[n])).nansum() for n in floats)
        return floats, torch.autograd.grad(loss, [x, *layer.parameters()])

    ours = gradients()
    layer.engine = "reference"
    theirs = gradients()
    assert ours[0] == theirs[0]
    close(ours[1], theirs[1])


class Aside(cello.Cell):
    """Names a value that its output does not depend on."""

    state = ("h",)

    def __init__(self, size: int) -> None:
        super().__init__(size, size)
        self.R = nn.Parameter(numbers(size, size))

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        aside = torch.tanh(x) * torch.sigmoid(h @ self.R)  # noqa: F841
        h = torch.tanh(x + h).sin()
        return h, (h,)


@pytest.mark.parametrize("order", list(itertools.permutations(("run", "recorded", "used"))))
def test_what_is_recorded_and_used_may_change_from_call_to_call(order: tuple[str, ...]) -> None:
    """Each needs a backward loop of its own, whichever comes first."""
    layer, x = cello.Recurrent(Aside(3)), numbers(4, 2, 3, grad=True)

    def gradients(what: str, engine: str) -> tuple[Tensor, ...]:
        layer.engine = engine
        if what == "run":
            loss = layer(x)[0].square().sum()
        else:
            rec = cello.record(layer, x)
            loss = rec.output.square().sum()
            if what == "used":
                loss = loss + sum(rec[name].square().sum() for name in rec.names)
        return torch.autograd.grad(loss, [x, layer.cell.R], materialize_grads=True)

    for what in order:
        close(gradients(what, "cpu"), gradients(what, "reference"))


def test_a_recording_without_gradients() -> None:
    layer, x = layer_of("lstm"), numbers(4, 2, 3)
    with torch.no_grad():
        ours = cello.record(layer, x)
        layer.engine = "reference"
        theirs = cello.record(layer, x)
    assert ours.names == theirs.names
    for name in ours.names:
        assert not ours[name].requires_grad
        close(ours[name], theirs[name])


def test_inference_mode() -> None:
    layer, x = layer_of(), numbers(4, 2, 3)
    with torch.inference_mode():
        ours = layer(x)[0]
    assert ours.is_inference()
    close(ours.clone(), layer(x)[0].detach())


# ---------------------------------------------------------------- forward mode, vmap, torch.func

# PyTorch's own forward-mode formulas still use torch.jit.script.
jit = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


@jit
def test_transforms_and_forward_mode_leave_it_to_the_step() -> None:
    layer = cello.Recurrent(make("gru"))
    x, tangent = numbers(3, 2, 3), numbers(3, 2, 3)
    with cello.engine("reference"):
        expected, along = torch.func.jvp(lambda x: layer(x)[0], (x,), (tangent,))
        gradient = torch.func.grad(lambda x: layer(x)[0].square().sum())(x)
    ours = torch.func.jvp(lambda x: layer(x)[0], (x,), (tangent,))
    close(ours, (expected, along))
    close(torch.func.grad(lambda x: layer(x)[0].square().sum())(x), gradient)
    close(torch.vmap(lambda part: layer(part)[0])(torch.stack([x, tangent]))[0], expected)
    with torch.autograd.forward_ad.dual_level():
        dual = layer(torch.autograd.forward_ad.make_dual(x, tangent))[0]
        close(torch.autograd.forward_ad.unpack_dual(dual).tangent, along)
    with torch.autograd.forward_ad.dual_level(), pytest.raises(cello.errors.EngineError):
        layer_of()(x)
    close(layer(x)[0], expected)


# ---------------------------------------------------------------- parameters that change


def test_parameters_that_change_are_seen() -> None:
    layer, other, x = layer_of(), cello.Recurrent(cello.GRUCell(3, 4)).double(), numbers(3, 2, 3)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.3)
    changes = [
        lambda: layer.load_state_dict(other.state_dict()),
        lambda: (layer(x)[0].square().sum().backward(), optimizer.step()),
        lambda: layer.cell.R.data.copy_(torch.eye(4).repeat(3, 1)),
        lambda: setattr(layer.cell, "W", nn.Parameter(numbers(12, 3))),
    ]
    before = layer(x)[0]
    for change in changes:
        change()
        after = layer(x)[0]
        assert not torch.allclose(after, before)
        close(after, by_reference(plain(layer), x)[0])
        before = after


def plain(layer: cello.Recurrent) -> cello.Recurrent:
    """The same layer, any engine."""
    return cello.Recurrent(layer.cell)
