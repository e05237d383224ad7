"""A call like one before leaves out what need not be looked at again, and nothing else."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence
from torch.profiler import ProfilerActivity, profile
from torch.utils._pytree import tree_leaves

import cello
from cello.engines.cpu.node.extension import cpp_compiler
from tests.registry import CAPTURED, COMPILED_ONCE, NOT_FUSED, RANDOM, SHAPED, make, state_of, x_of

LAYERS = ("cello.layers.recurrent", "cello.layers.drop_in.base", "cello.layers.through_time")

T, B, I = 5, 3, 3  # noqa: E741 - the sizes that the equations name so


class Calls:
    """Calls a layer, and sees whether it found a loop that was known."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.patch, self.known = patch, []
        real = cello.engines.dense_loop

        def asked(*args: Any) -> Any:
            loop = real(*args)
            self.known.append(loop is not None)
            return loop

        for module in LAYERS:
            patch.setattr(f"{module}.dense_loop", asked)

    def __call__(self, layer: nn.Module, *args: Any, **more: Any) -> Any:
        """As users call it."""
        return layer(*args, **more)

    def anew(self, layer: nn.Module, *args: Any, **more: Any) -> Any:
        """As if it had not been called before."""
        with self.patch.context() as patch:
            for module in LAYERS:
                patch.setattr(f"{module}.is_unwatched", lambda *_: False)
            return layer(*args, **more)

    def same(self, layer: nn.Module, *args: Any, **more: Any) -> None:
        """Both ways give the same bits."""
        ours, theirs = (results(call, layer, *args, **more) for call in (self, self.anew))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(monkeypatch)


def results(
    call: Callable[..., Any], layer: nn.Module, *args: Any, **more: Any
) -> dict[str, Tensor | None]:
    """What a call returns, and all gradients of it."""
    made = [t for t in tree_leaves(call(layer, *args, **more)) if isinstance(t, Tensor)]
    made = [t for t in made if t.is_floating_point()]
    found: dict[str, Tensor | None] = {f"result {n}": tensor for n, tensor in enumerate(made)}
    leaves = {n: p for n, p in layer.named_parameters() if p.requires_grad}
    leaves |= {f"given {n}": t for n, t in enumerate(tree_leaves(args)) if t.requires_grad}
    loss = sum((t * torch.linspace(-1, 1, t.numel(), dtype=t.dtype).view_as(t)).sum() for t in made)
    if loss.requires_grad:
        grads = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        found |= dict(zip(leaves, grads, strict=True))
    return found


def inputs(sizes: list[int], dtype: torch.dtype, grad: bool) -> tuple[Tensor, tuple[Tensor, ...]]:
    x = torch.randn(T, B, I, dtype=dtype, requires_grad=grad)
    return x, tuple(torch.randn(B, size, dtype=dtype, requires_grad=grad) for size in sizes)


@pytest.mark.parametrize("name", sorted({*CAPTURED} - {*RANDOM, *NOT_FUSED, *COMPILED_ONCE}))
def test_every_cell_gives_the_same_bits(name: str, calls: Calls) -> None:
    layer = cello.Recurrent(make(name), reverse=len(name) % 2 == 0)
    dtype = next((p.dtype for p in layer.parameters()), torch.float64)
    x = x_of(layer.cell, T, B, dtype=dtype).requires_grad_()
    state = state_of(layer.cell, B, dtype=dtype)
    state = tuple(part.requires_grad_() for part in state)
    layer(x)
    calls.known.clear()
    for given in ((x,), (x, state), (x.detach(),), (x.detach(), tuple(map(Tensor.detach, state)))):
        calls.same(layer, *given)
        with torch.no_grad():
            calls.same(layer, *given)
        with torch.inference_mode():
            calls.same(layer, *given)
    assert calls.known
    assert all(known == (name not in SHAPED) for known in calls.known)


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}], ids=str)
@pytest.mark.parametrize("kind", [cello.RNN, cello.LSTM, cello.GRU])
def test_drop_ins_give_the_same_bits(kind: type, options: dict[str, Any], calls: Calls) -> None:
    layer = kind(I, 4, **options)
    count = 4 if options else 1
    x, _ = inputs([], torch.float32, True)
    parts = tuple(torch.randn(count, B, 4, requires_grad=True) for _ in range(2))
    layer(x)
    calls.known.clear()
    for given in ((x,), (x, parts if kind is cello.LSTM else parts[0]), (x.detach(),)):
        calls.same(layer, *given)
        with torch.no_grad():
            calls.same(layer, *given)
    assert all(calls.known)
    assert calls.known


LAYERS_OF_ALL_KINDS: dict[str, Callable[[], nn.Module]] = {
    "batch first": lambda: cello.Recurrent(cello.LSTMCell(I, 4), batch_first=True),
    "learned": lambda: cello.Recurrent(cello.GRUCell(I, 4), initial_state="learned"),
    "both ways": lambda: cello.Bidirectional(cello.GRUCell(I, 4), join="mean"),
    "stack": lambda: cello.Stack(
        cello.Bidirectional(cello.LSTMCell(I, 4)), nn.Linear(8, 5), cello.GRU(5, 2, num_layers=2)
    ),
    "drop-in": lambda: cello.LSTM(I, 4, bidirectional=True, batch_first=True),
}
FORMS: dict[str, Callable[[Tensor], tuple[Any, dict[str, Any]]]] = {
    "whole": lambda x: (x, {}),
    "one sequence": lambda x: (x[:, 0], {}),
    "lengths": lambda x: (x, {"lengths": [2, 3, 1][: x.shape[0]]}),
    "packed": lambda x: (pack_padded_sequence(x, [3, 1, 2], enforce_sorted=False), {}),
}


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("name", list(LAYERS_OF_ALL_KINDS))
def test_layers_of_all_kinds_give_the_same_bits(name: str, form: str, calls: Calls) -> None:
    layer, x = LAYERS_OF_ALL_KINDS[name](), torch.randn(3, 3, I, requires_grad=True)
    given, more = FORMS[form](x)
    layer(given, **more)
    calls.known.clear()
    calls.same(layer, given, **more)
    with torch.no_grad():
        calls.same(layer, given, **more)
    assert all(calls.known)
    assert calls.known


def test_sequences_without_a_step_go_the_long_way(calls: Calls) -> None:
    layer, x = cello.Recurrent(cello.GRUCell(I, 4)), torch.randn(3, 3, I)
    for lengths in ([3, 0, 1], [0, 0, 0], [3, 3, 2]):
        for _ in range(2):
            calls.same(layer, x, lengths=lengths)
    layer(x, lengths=[0, 2, 1])[0].sum().backward()


def bytes_made(patch: pytest.MonkeyPatch, call: Callable[[], Any]) -> tuple[list[int], list[int]]:
    """The bytes of each piece of memory that a call takes, and of each tensor that it returns."""
    patch.setattr(torch.autograd, "_profiler_enabled", lambda: False)  # it is not to be seen
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        returned = tree_leaves(call())
    assert profiler.profiler is not None
    events = profiler.profiler.kineto_results.events()
    made = [event.nbytes() for event in events if event.name() == "[memory]"]
    return sorted(n for n in made if n > 0), sorted(t.nbytes for t in returned)


NATIVE = not isinstance(cpp_compiler(), str)
ALLOCATES: dict[str, Callable[[], nn.Module]] = {
    "LSTMCell": lambda: cello.Recurrent(cello.LSTMCell(I, 8)),
    "GRUCell": lambda: cello.Recurrent(cello.GRUCell(I, 8)),
}
if NATIVE:  # elsewhere the sum of two biases is allocated too
    ALLOCATES |= {"LSTM": lambda: cello.LSTM(I, 8), "GRU": lambda: cello.GRU(I, 8)}


@pytest.mark.parametrize("name", ALLOCATES)
def test_a_call_allocates_what_it_returns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = ALLOCATES[name](), torch.randn(5, 1, I)
    parameters = list(layer.parameters())
    for _ in range(3):
        y, _ = layer(x)
        torch.autograd.grad(y, parameters, torch.ones_like(y))
        with torch.no_grad():
            layer(x)
    with torch.no_grad():
        made, returned = bytes_made(monkeypatch, lambda: layer(x))
    assert made == returned
    made, returned = bytes_made(monkeypatch, lambda: layer(x))
    assert [n for n in made if n in returned] == returned
    assert len(made) == len(returned) + 1  # the tape
    if isinstance(
        layer, nn.RNNBase
    ):  # under a profiler its biases' gradients take the way in Python
        return
    y, grad = layer(x)[0], torch.ones_like(y)
    made, returned = bytes_made(monkeypatch, lambda: torch.autograd.grad(y, parameters, grad))
    assert made == returned


# ------------------------------------------------------------ what is still seen


def ones(rows: int, **_: Any) -> tuple[Tensor]:
    return (torch.ones(rows, 4),)


def changed(layer: cello.Recurrent) -> dict[str, Callable[[], Any]]:
    """What may happen between two calls."""
    cell = layer.cell
    return {
        "a value of a parameter": lambda: cell.R.data.mul_(2),
        "a parameter": lambda: setattr(cell, "W", nn.Parameter(torch.randn_like(cell.W))),
        "its memory": lambda: setattr(cell.R, "data", torch.randn(4, 4).t()),
        "which gradients": lambda: cell.R.requires_grad_(False),
        "the direction": lambda: setattr(layer, "reverse", True),
        "the step": lambda: setattr(cell, "step", lambda x, h: (2 * h, (2 * h + x.sum(1, True),))),
        "the cell": lambda: setattr(layer, "cell", cello.ElmanCell(I, 4, activation="relu")),
        "the dtype": lambda: layer.double(),
        "the first state": lambda: setattr(cell, "zero_state", ones),
        "the default dtype": lambda: torch.set_default_dtype(torch.float64),
    }


@pytest.mark.parametrize("what", list(changed(cello.Recurrent(cello.ElmanCell(I, 4)))))
def test_what_has_changed_is_seen(what: str, calls: Calls) -> None:
    layer = cello.Recurrent(cello.ElmanCell(I, 4))
    x = torch.randn(T, B, I, requires_grad=True)
    for _ in range(2):
        calls.same(layer, x)
    before = layer(x)[0]
    changed(layer)[what]()
    x = x.detach().to(layer.cell.R.dtype).requires_grad_()
    for _ in range(2):
        calls.same(layer, x)
    assert (what in ("which gradients", "the default dtype")) == before.equal(layer(x)[0])


def test_who_listens_is_told(calls: Calls) -> None:
    layer, x = cello.Recurrent(cello.GRUCell(I, 4)), torch.randn(T, B, I)
    layer(x)
    y = layer(x)[0]
    assert cello.record(layer, x)["h"].equal(y)
    with cello.intervene(layer, {"h": (2, 1, 0.0)}):
        assert not layer(x)[0][2, :, 1].any()
    with cello.engine("reference"):
        calls.known.clear()
        torch.testing.assert_close(layer(x)[0], y)
    with torch.autocast("cpu"):
        layer(x)
    y_in_vmap = torch.vmap(lambda x: layer(x)[0], in_dims=1, out_dims=1)(x.unsqueeze(2))
    torch.testing.assert_close(y_in_vmap.squeeze(2), y)
    assert calls.known == []


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda: torch.zeros(T, B, I + 1), "must have 3 features"),
        (lambda: torch.zeros(T, B, I, dtype=torch.float64), "must have the dtype"),
        (lambda: torch.zeros(T, B, I, 1), "x must be"),
        (lambda: torch.zeros(T, B, I).to_sparse(), "x must"),
        (lambda: torch.zeros(T, B, I, device="meta"), "x is on meta"),
    ],
    ids=["features", "dtype", "axes", "sparse", "meta"],
)
def test_what_does_not_fit_is_refused(wrong: Callable[[], Tensor], error: str) -> None:
    layer, x = cello.Recurrent(cello.GRUCell(I, 4)), torch.zeros(T, B, I)
    for _ in range(2):
        layer(x)
        with pytest.raises(cello.CelloError, match=error):
            layer(wrong())
    for state in (layer(x), (torch.zeros(B, 4), torch.zeros(B, 4)), (torch.zeros(B, 5),)):
        with pytest.raises(cello.CelloError, match="state"):
            layer(x, state)


def test_inputs_that_lie_otherwise(calls: Calls) -> None:
    layer, x = cello.Recurrent(cello.GRUCell(I, 4)), torch.randn(T, B, I)
    expected = layer(x)[0]
    turned = torch._neg_view(-x)  # PyTorch reads it with its sign turned
    for same in (x.transpose(0, 1).contiguous().transpose(0, 1), turned, nn.Parameter(x)):
        assert layer(same)[0].equal(expected)


def test_a_layer_of_the_users_runs_its_own_way() -> None:
    class Doubled(cello.Recurrent):
        def run(self, steps: Any, *rest: Any) -> Any:
            return super().run(steps.with_data(2 * steps.data), *rest)

    cell, x = cello.GRUCell(I, 4), torch.randn(T, B, I)
    plain, doubled = cello.Recurrent(cell), Doubled(cell)
    for _ in range(2):
        assert doubled(x)[0].equal(plain(2 * x)[0])


def test_what_is_returned_is_its_own_memory() -> None:
    layer, x = cello.Recurrent(cello.GRUCell(I, 4)), torch.randn(T, B, I)
    with torch.no_grad():
        layer(x)
        (first, state), (second, other) = layer(x), layer(x)
        kept = second.clone()
        first.zero_(), state.h.zero_()
        assert second.equal(kept)
        assert other.h.equal(kept[-1])
        assert layer(x, other)[0].equal(layer(x, (kept[-1].clone(),))[0])


@torch.no_grad()
def test_nothing_is_kept_beyond_its_cell() -> None:
    layer, x = cello.Recurrent(cello.GRUCell(I, 4)), torch.randn(T, B, I)
    for _ in range(3):
        layer(x)
    gone = [weakref.ref(thing) for thing in (layer, layer.cell, layer.cell.W)]
    del layer
    for _ in range(3):  # what a collected cell held is collected after it
        gc.collect()
    assert [ref() for ref in gone] == [None] * 3


def test_copies_have_loops_of_their_own() -> None:
    layer, x = cello.Recurrent(cello.GRUCell(I, 4)), torch.randn(T, B, I)
    for _ in range(2):
        y = layer(x)[0]
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        for _ in range(2):
            assert twin(x)[0].equal(y)
        twin.cell.W.data.zero_()
        assert not twin(x)[0].equal(y)
        assert layer(x)[0].equal(y)
