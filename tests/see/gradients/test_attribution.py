from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import cello
from cello.errors import ArgumentError, DtypeError, ShapeError
from cello.see.gradients.attribution import Attribution
from tests import registry

pytestmark = pytest.mark.usefixtures("compile_nothing")

I, H = registry.I, registry.H  # noqa: E741
T, B = 6, 2


def net(**options: Any) -> cello.Stack:
    return cello.Stack(cello.Recurrent(cello.LSTMCell(I, H)), nn.Linear(H, 2), **options).double()


def inputs() -> Tensor:
    return torch.randn(T, B, I, dtype=torch.float64)


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)


def test_shares_add_up_to_what_the_target_gained():
    model, x, baseline = net(), inputs(), inputs()
    found = cello.attribute(model, x, (4, 1), baseline=baseline)
    gained = (model(x)[0] - model(baseline)[0])[4, :, 1].detach()
    close(found.values.sum((0, 2)), gained)
    close(found.target - found.baseline, gained)
    assert found.gap < 1e-10
    assert not found.by_step[5:].any()
    assert cello.attribute(model, x, (4, 1), baseline=baseline, steps=1).gap > 1e-6


def test_integrated_gradients_are_the_mean_of_gradients_on_the_way():
    """By finite differences, at the midpoints of many small parts."""
    model, x = net(), inputs()
    found = cello.attribute(model, x, lambda y: y[-1, :, 0])
    place, parts, step = (2, 1, 0), 200, 1e-5
    slopes = []
    for part in range(parts):
        ends = []
        for sign in (1, -1):
            moved = x * (part + 0.5) / parts
            moved[place] += sign * step
            ends.append(model(moved)[0][-1, :, 0].sum().item())
        slopes.append((ends[0] - ends[1]) / (2 * step))
    share = sum(slopes) / parts * x[place].item()
    assert found.values[place].item() == pytest.approx(share, rel=1e-4)


def test_gradient_x_input_is_that_and_exact_for_a_linear_net():
    model, x = net(), inputs().requires_grad_()
    found = cello.attribute(model, x, (3, 0), method="gradient_x_input")
    (gradient,) = torch.autograd.grad(model(x)[0][3, :, 0].sum(), x)
    close(found.values, gradient * x.detach())
    assert found.baseline is None
    linear = cello.Recurrent(cello.ElmanCell(I, H, activation="identity", bias=False)).double()
    assert cello.attribute(linear, x, (3, 0), method="gradient_x_input").gap < 1e-12


def test_what_is_shown():
    reached = torch.tensor([0.5, 1.25])
    found = Attribution(torch.ones(3, 2, 1), reached, torch.tensor([-1.0, 0.0]))
    assert repr(found) == "Attribution of 0.5, 1.25 over -1, 0: shares [3, 2, 1], gap 3.2"
    many = torch.arange(9.0)
    found = Attribution(many[None, :, None], many, None)
    assert repr(found) == "Attribution of 0, 1, 2, 3, …: shares [1, 9, 1], gap 0"


def test_only_the_step_that_is_read_matters():
    class Model(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 3 * x[2] ** 2

    x = inputs()
    found = cello.attribute(Model(), x, lambda y: y.sum(-1))
    close(found.values[2], 3 * x[2] ** 2)
    assert not found.values[[0, 1, 3, 4, 5]].any()


@pytest.mark.parametrize("batch_first", [False, True])
def test_ids_with_lengths(batch_first: bool):
    model = cello.Stack(
        nn.Embedding(7, I), cello.Recurrent(cello.GRUCell(I, H)), batch_first=batch_first
    ).double()
    ids, lengths = torch.randint(0, 7, (T, 3)), torch.tensor([2, 6, 4])
    given = ids.T if batch_first else ids
    found = cello.attribute(model, given, (1, 0), lengths=lengths)
    by_step = found.by_step.T if batch_first else found.by_step
    assert found.gap < 1e-10
    for b, length in enumerate(lengths.tolist()):
        features = model[0](ids[:length, b : b + 1])
        alone = cello.attribute(model[1], features, lambda y: y[1, :, 0])
        close(by_step[:length, b], alone.by_step[:, 0])
        assert not by_step[length:, b].any()


def test_ids_without_lengths_and_a_model_in_training():
    model = nn.Sequential(nn.Embedding(7, I), nn.Dropout(0.5), cello.Recurrent(cello.GRUCell(I, H)))
    found = cello.attribute(model, torch.randint(0, 7, (T, B)), (T - 1, 2))
    assert found.values.shape == (T, B, I)
    assert found.gap < 1e-5
    assert model.training
    assert not model[0]._forward_hooks


@pytest.mark.parametrize(
    ("target", "options", "error", "message"),
    [
        ((T, 0), {}, ArgumentError, r"target \(6, 0\) is not in the output, which has 6 steps and"),
        ((0, 2), {}, ArgumentError, "has 6 steps and 2 units, counted from 0"),
        (3, {}, DtypeError, r"target must be \(t, unit\) or a function of the net's output, got 3"),
        ((0.5, 0), {}, DtypeError, "t of the target must be a whole number, got 0.5"),
        ((0, 0), {"options": {"n_samples": 2}}, ArgumentError, "options are for Captum's methods"),
        ((0, 0), {"baseline": "no"}, DtypeError, "baseline must be a number or a tensor, got 'no'"),
        ((0, 0), {"steps": 0}, ArgumentError, "steps must be at least 1, got 0"),
        ((0, 0), {"baseline": torch.ones(5)}, ShapeError, r"must fit \[6, 2, 3\], got \[5\]"),
        (
            lambda y: y,
            {},
            ShapeError,
            r"for each sequence \[2\], or one in all \[\], got \[6, 2, 2\]",
        ),
        (lambda y: y[:, 0, 0], {}, ShapeError, r"for each sequence \[2\], .* got \[6\]"),
        (lambda y: 1.0, {}, ShapeError, "one number for each sequence, got float"),
        (lambda y: y.detach().sum(), {}, ArgumentError, "the target does not depend on x"),
    ],
)
def test_what_cannot_be_attributed(target: Any, options: Any, error: Any, message: str):
    with pytest.raises(error, match=message):
        cello.attribute(net(), inputs(), target, **options)


def test_inputs_that_are_none():
    with pytest.raises(DtypeError, match="x must be a tensor or a PackedSequence, got list"):
        cello.attribute(net(), [1.0], (0, 0))  # type: ignore[arg-type]
    with pytest.raises(DtypeError, match="net must be a module, got int"):
        cello.attribute(3, inputs(), (0, 0))  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="no module of Identity makes features of them"):
        cello.attribute(nn.Identity(), torch.tensor([[1]]), (0, 0))


def test_a_step_and_a_unit_of_an_output_without_steps():
    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = cello.GRU(I, H, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.rnn(x)[0][:, -1]

    model, x = Classifier().double(), inputs().transpose(0, 1)
    with pytest.raises(ShapeError, match=r"the net returned \[2, 4\]: pass a function of it"):
        cello.attribute(model, x, (0, 1))
    found = cello.attribute(model, x, lambda y: y[:, 1])
    close(found.target, model.rnn(x)[0][:, -1, 1].detach())
    assert found.gap < 1e-10
    with pytest.raises(ShapeError, match="for an output with steps, the net returned dict"):
        cello.attribute(Named(), x, (0, 0))


class Named(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"x": x}


@pytest.mark.parametrize("form", ["batch first inside", "packed"])
def test_steps_are_counted_in_any_form(form: str):
    """The target (t, unit) and the shares, as of each sequence alone."""
    layer = cello.GRU(I, H, batch_first=form != "packed").double()
    x, lengths = inputs(), torch.tensor([3, 6])
    if form == "packed":
        found = cello.attribute(
            layer, pack_padded_sequence(x, lengths, enforce_sorted=False), (2, 1)
        )
        values = found.values
    else:
        lengths = torch.tensor([6, 6])
        net = nn.Sequential(nn.Identity(), layer)  # says nothing of its own
        found = cello.attribute(net, x.transpose(0, 1), (2, 1))
        values = found.values.transpose(0, 1)
    for b, length in enumerate(lengths.tolist()):
        alone = cello.attribute(layer, x[:length, b], lambda y: y[2, 1])
        close(values[:length, b], alone.values)
        assert not values[length:, b].any()
