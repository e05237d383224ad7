"""What PyTorch's own tests ask of its recurrent layers, asked of ours, with PyTorch's own samples.

The samples are those of `module_db`, which comes with torch. To import it changes much for the
whole process (flags, hypothesis' profile, how scripts are called): `test_pytorch.py` runs this file
in a process of its own. By hand: ``python -m pytest tests/pytorch/samples.py``.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing._internal.common_modules import ModuleErrorEnum, ModuleInfo, module_db
from torch.utils._pytree import tree_leaves, tree_map

import cello
from tests.effort import FULL, one_in

OURS = {nn.RNN: cello.RNN, nn.LSTM: cello.LSTM, nn.GRU: cello.GRU}
CELLS = (nn.RNNCell, nn.LSTMCell, nn.GRUCell)


def info_of(kind: Any) -> ModuleInfo:
    [info] = [info for info in module_db if info.module_cls is kind]
    return info


def samples_of(kind: Any, dtype: torch.dtype = torch.float64, training: bool = True) -> list[Any]:
    """PyTorch's samples for one of its classes, packed sequences among them."""
    more = {"with_packed_sequence": True} if kind in (nn.RNN, nn.GRU) else {}
    info = info_of(kind)
    return list(
        info.module_inputs_func(
            info, device="cpu", dtype=dtype, requires_grad=True, training=training, **more
        )
    )


def cases(kinds: Any, every: int) -> Any:
    """Each sample as two parameters of a test; one in `every` of them but under `make test-full`.

    The samples vary one option after the other, in powers of 2: with an odd number, all vary.
    """
    return pytest.mark.parametrize(
        ("kind", "number"),
        [
            pytest.param(kind, number, id=f"{kind.__name__}-{number}")
            for kind in kinds
            for number in one_in(every, range(len(samples_of(kind))))
        ],
    )


class Sample:
    """One sample: their layer and ours with the same weights, and what goes in."""

    def __init__(
        self, kind: Any, number: int, dtype: torch.dtype = torch.float64, training: bool = True
    ) -> None:
        sample = samples_of(kind, dtype, training)[number]
        made = self.made = sample.constructor_input
        self.theirs = kind(*made.args, **made.kwargs).to(dtype).train(training)
        self.ours = OURS[kind](*made.args, **made.kwargs).to(dtype).train(training)
        self.ours.load_state_dict(self.theirs.state_dict())
        self.args = sample.forward_input.args
        assert not sample.forward_input.kwargs
        self.reference = sample.reference_fn

    def same(self, net: nn.Module) -> bool:
        """Whether `net` gives what our layer gives, to the bit."""
        pairs = zip(numbers(net(*self.args)), numbers(self.ours(*self.args)), strict=True)
        return all(torch.equal(one, other) for one, other in pairs)


def numbers(tree: Any) -> list[Tensor]:
    """The tensors of floating-point numbers in anything nested."""
    leaves = tree_leaves(tree)
    return [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def with_numbers(tree: Any, tensors: list[Tensor]) -> Any:
    """The same, with other tensors of numbers."""
    places = {id(old): new for old, new in zip(numbers(tree), tensors, strict=True)}
    return tree_map(lambda leaf: places.get(id(leaf), leaf), tree)


def apart(tensor: Tensor) -> Tensor:
    """The same numbers with gaps between them."""
    return tensor.detach().repeat_interleave(2, dim=-1)[..., ::2].requires_grad_()


def everything(net: nn.Module, args: Any, change: Callable[[Tensor], Tensor] = lambda t: t) -> Any:
    """Outputs, gradients and gradients of gradients; `change` is for what comes in, both ways."""
    given = [change(tensor) for tensor in numbers(args)]
    into = [*given, *net.parameters()]
    chance = torch.Generator().manual_seed(0)

    def onto(tensors: Any) -> list[Tensor]:
        drawn = [torch.randn(t.shape, dtype=t.dtype, generator=chance) for t in tensors]
        return [change(tensor) for tensor in drawn]

    made = numbers(net(*with_numbers(args, given)))
    first = torch.autograd.grad(made, into, onto(made), create_graph=True)
    second = torch.autograd.grad(
        first, into, onto(first), allow_unused=True, materialize_grads=True
    )
    return made, first, second


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@cases(OURS, every=11)
def test_results_and_both_gradients(kind, number, dtype, training) -> None:
    sample = Sample(kind, number, dtype, training)
    got, wanted = (everything(net, sample.args) for net in (sample.ours, sample.theirs))
    if dtype == torch.float32:  # the tolerance of PyTorch's tests, which go no further in it
        torch.testing.assert_close(got[:2], wanted[:2], rtol=1e-5, atol=1e-5)
    else:
        torch.testing.assert_close(got, wanted)
    if not isinstance(sample.args[0], nn.utils.rnn.PackedSequence):
        expected = sample.reference(sample.ours, *sample.args)
        torch.testing.assert_close(numbers(sample.ours(*sample.args)), numbers(expected))


@cases(OURS, every=11)
def test_tensors_that_are_not_contiguous(kind, number) -> None:
    sample = Sample(kind, number)
    got = everything(sample.ours, sample.args, apart)
    torch.testing.assert_close(got, everything(sample.ours, sample.args))


@pytest.mark.parametrize("check", [torch.autograd.gradcheck, torch.autograd.gradgradcheck])
@cases(OURS, every=19)
def test_gradients_against_differences(kind, number, check) -> None:
    sample = Sample(kind, number)
    names = [name for name, _ in sample.ours.named_parameters()]
    given = numbers(sample.args)

    def run(*tensors: Tensor) -> list[Tensor]:
        parameters = dict(zip(names, tensors[len(given) :], strict=True))
        args = with_numbers(sample.args, list(tensors[: len(given)]))
        return numbers(torch.func.functional_call(sample.ours, parameters, args))

    inputs = (*given, *sample.ours.parameters())
    slowly = FULL and check is torch.autograd.gradcheck  # each number; the other takes ten times it
    assert check(run, inputs, check_batched_grad=True, fast_mode=not slowly)


@cases(OURS, every=11)
def test_copies_give_the_same(kind, number) -> None:
    sample = Sample(kind, number)
    file = io.BytesIO()
    torch.save(sample.ours, file)
    file.seek(0)
    assert sample.same(torch.load(file, weights_only=False))
    assert sample.same(copy.deepcopy(sample.ours))
    again = OURS[kind](*sample.made.args, **sample.made.kwargs).double()
    file = io.BytesIO()
    torch.save(sample.ours.state_dict(), file)
    file.seek(0)
    assert str(again.load_state_dict(torch.load(file))) == "<All keys matched successfully>"
    assert sample.same(again)
    assert sample.same(sample.ours.to(memory_format=torch.contiguous_format))


@cases(OURS, every=11)
def test_made_where_and_as_asked(kind, number) -> None:
    sample = Sample(kind, number)
    args, kwargs = sample.made.args, sample.made.kwargs
    assert repr(sample.ours) == repr(sample.theirs)
    half = OURS[kind](*args, **kwargs, device="cpu", dtype=torch.bfloat16)
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in half.double().parameters()} == {torch.float64}
    half.load_state_dict(sample.ours.state_dict())
    assert sample.same(half)
    with torch.device("meta"):
        empty = OURS[kind](*args, **kwargs).double()
    assert all(p.is_meta for p in empty.parameters())
    filled = empty.to_empty(device="cpu")
    filled.load_state_dict(sample.ours.state_dict())
    assert sample.same(filled)


@pytest.mark.parametrize("kind", OURS)
def test_what_is_wrong_is_refused_as_theirs_refuse_it(kind) -> None:
    """The kind of error is compared; the words are ours."""
    info = info_of(kind)
    wrong = list(
        info.module_error_inputs_func(
            info, device="cpu", dtype=torch.float64, requires_grad=False, training=False
        )
    )
    assert len(wrong) > 5
    for case in wrong:
        sample = case.module_error_input
        made, given = sample.constructor_input, sample.forward_input
        if case.error_on == ModuleErrorEnum.CONSTRUCTION_ERROR:
            with pytest.raises(case.error_type, match=case.error_regex):
                OURS[kind](*made.args, **made.kwargs)
        else:
            net = OURS[kind](*made.args, **made.kwargs)
            with pytest.raises(case.error_type, match="dtype"):
                net(*given.args)


@cases(CELLS, every=1)
def test_their_cells_as_layers(kind, number) -> None:
    sample = samples_of(kind)[number]
    cell = kind(*sample.constructor_input.args, **sample.constructor_input.kwargs).double()
    x, state = sample.forward_input.args
    layer = cello.Recurrent(cell)
    batch = tree_map(lambda t: t.unsqueeze(0), state)
    y, final = layer(x.expand(1, 1, -1), batch)
    wanted = cell(x, state)
    torch.testing.assert_close([t.squeeze(0) for t in numbers(final)], numbers(wanted))
    torch.testing.assert_close(y[0, 0], numbers(wanted)[0])
    into = [x, *numbers(state), *cell.parameters()]
    got = torch.autograd.grad(sum(part.square().sum() for part in numbers(final)), into)
    expected = torch.autograd.grad(sum(part.square().sum() for part in numbers(wanted)), into)
    torch.testing.assert_close(got, expected)
