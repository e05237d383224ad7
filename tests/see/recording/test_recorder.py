from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import cello
from cello.errors import ArgumentError, DtypeError, UnknownNameError
from tests import registry
from tests.cells.by_hand import sigmoid
from tests.see.recording.test_same_bits import assert_same_bits

I, H = registry.I, registry.H  # noqa: E741


def numbers(cell: nn.Module) -> dict[str, np.ndarray]:
    return {name: parameter.detach().numpy() for name, parameter in cell.named_parameters()}


def lstm_by_hand(cell: nn.Module, x: np.ndarray) -> dict[str, list[np.ndarray]]:
    """Every value of every step of one sequence, from the formulas."""
    p = numbers(cell)
    h = c = np.zeros(len(p["b"]) // 4)
    values: dict[str, list[np.ndarray]] = {}
    for x_t in x:
        z_i, z_f, z, z_o = np.split(p["W"] @ x_t + p["R"] @ h + p["b"], 4)
        i, f, g, o = sigmoid(z_i), sigmoid(z_f), np.tanh(z), sigmoid(z_o)
        step = {"x": x_t, "h_prev": h, "c_prev": c, "z_i": z_i, "z_f": z_f, "z": z, "z_o": z_o}
        c = i * g + f * c
        h = o * np.tanh(c)
        step |= {"i": i, "f": f, "g": g, "o": o, "c": c, "h": h}
        for name, value in step.items():
            values.setdefault(name, []).append(value)
    return values


def elman_by_hand(cell: nn.Module, x: np.ndarray) -> dict[str, list[np.ndarray]]:
    p = numbers(cell)
    h = np.zeros(len(p["b"]))
    values: dict[str, list[np.ndarray]] = {name: [] for name in ("x", "h_prev", "z", "h")}
    for x_t in x:
        z = p["W"] @ x_t + p["R"] @ h + p["b"]
        for name, value in (("x", x_t), ("h_prev", h), ("z", z), ("h", np.tanh(z))):
            values[name].append(value)
        h = np.tanh(z)
    return values


BY_HAND: dict[str, Callable[..., Any]] = {"elman": elman_by_hand, "lstm": lstm_by_hand}


def check(rec: cello.Recording, layer: str, b: int, by_hand: dict[str, list[np.ndarray]]) -> None:
    """Sequence b of a layer is what was computed by hand, and zero after its end."""
    for name, steps in by_hand.items():
        recorded = rec[f"{layer}.{name}" if layer else name][:, b].detach().numpy()
        np.testing.assert_allclose(recorded[: len(steps)], np.stack(steps), rtol=1e-12, atol=1e-15)
        assert not recorded[len(steps) :].any()


# ------------------------------------------------------------ against hand computation


@pytest.mark.parametrize("engine", ["reference", "auto"])
@pytest.mark.parametrize("name", BY_HAND)
def test_values_are_those_of_the_formulas(name: str, engine: str):
    layer = cello.Recurrent(registry.make(name), engine=engine)
    x = torch.randn(5, 2, I, dtype=torch.float64)
    rec = cello.record(layer, x)
    for b in range(2):
        check(rec, "", b, BY_HAND[name](layer.cell, x[:, b].numpy()))
    assert set(rec.names) == set(BY_HAND[name](layer.cell, x[:, 0].numpy()))


def test_names_come_in_the_order_of_the_step():
    names = cello.record(cello.Recurrent(cello.LSTMCell(I, H)), torch.randn(2, 1, I)).names
    assert " ".join(names) == "x h_prev c_prev z_i z_f z z_o i f g c o h"
    names = cello.record(
        cello.Recurrent(cello.LSTMCell(I, H, peephole=True)), torch.randn(2, I)
    ).names
    assert " ".join(names) == "x h_prev c_prev z_i z_f z i f g c z_o o h"


def test_directions_are_aligned_with_the_inputs():
    layer = cello.Bidirectional(registry.make("lstm"))
    x = torch.randn(6, 2, I, dtype=torch.float64)
    lengths = torch.tensor([4, 6])
    rec = cello.record(layer, x, lengths=lengths)
    for b, length in enumerate(lengths.tolist()):
        own = x[:length, b].numpy()
        check(rec, "forward", b, lstm_by_hand(layer.forward_layer.cell, own))
        back = lstm_by_hand(layer.backward_layer.cell, own[::-1])
        check(rec, "backward", b, {name: steps[::-1] for name, steps in back.items()})


@pytest.mark.parametrize("form", ["lengths", "batch_first", "packed", "unsorted packed"])
def test_ragged_rows(form: str):
    layer = cello.Recurrent(registry.make("lstm"), batch_first=form == "batch_first")
    lengths = [3, 2, 0] if form == "packed" else [2, 0, 3]
    x = torch.randn(4, 3, I, dtype=torch.float64)
    if "packed" in form:
        lengths = [max(length, 1) for length in lengths]
        given: Any = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=form == "packed")
        rec = cello.record(layer, given)
        assert isinstance(rec.output, PackedSequence)
    elif form == "batch_first":
        rec = cello.record(layer, x.transpose(0, 1), lengths=torch.tensor(lengths))
    else:
        rec = cello.record(layer, x, lengths=torch.tensor(lengths))
    assert rec.lengths.tolist() == lengths
    assert rec["f"].shape == (3 if "packed" in form else 4, 3, H)
    for b, length in enumerate(lengths):
        if length:
            check(rec, "", b, lstm_by_hand(layer.cell, x[:length, b].numpy()))


def test_unbatched_is_a_batch_of_one():
    layer = cello.Recurrent(registry.make("lstm"))
    x = torch.randn(5, I, dtype=torch.float64)
    rec = cello.record(layer, x)
    assert rec.output.shape == (5, H)
    check(rec, "", 0, lstm_by_hand(layer.cell, x.numpy()))


def test_stacks_and_modules_between():
    net = cello.Stack(
        cello.Recurrent(registry.make("elman")),
        nn.ReLU(inplace=True),  # must not reach back into what was recorded
        cello.Recurrent(cello.LSTMCell(H, 2).double()),
    )
    x = torch.randn(5, 2, I, dtype=torch.float64)
    rec = cello.record(net, x, lengths=torch.tensor([5, 2]))
    for b, length in enumerate([5, 2]):
        first = elman_by_hand(net[0].cell, x[:length, b].numpy())
        check(rec, "0", b, first)
        between = np.maximum(np.stack(first["h"]), 0)
        check(rec, "2", b, lstm_by_hand(net[2].cell, between))


def test_drop_ins_show_our_equations_over_their_parameters():
    layer = cello.LSTM(I, H, num_layers=2, bidirectional=True).double()
    x = torch.randn(5, 2, I, dtype=torch.float64)
    rec = cello.record(layer, x)
    assert rec.layers == ("0.forward", "0.backward", "1.forward", "1.backward")
    cell = cello.LSTMCell(I, H).double()
    with torch.no_grad():
        cell.W.copy_(layer.weight_ih_l0)
        cell.R.copy_(layer.weight_hh_l0)
        cell.b.copy_(layer.bias_ih_l0 + layer.bias_hh_l0)
    check(rec, "0.forward", 1, lstm_by_hand(cell, x[:, 1].numpy()))
    top = torch.cat([rec["1.forward.h"], rec["1.backward.h"]], dim=-1)
    torch.testing.assert_close(top, rec.output, rtol=1e-12, atol=1e-14)
    assert torch.equal(rec["1.forward.x"], rec["1.backward.x"])


def test_resets_and_targets_show_in_the_old_state():
    cell = cello.JordanCell(I, H, output_size=2).double()
    layer = cello.Recurrent(cell, initial_state="learned")
    nn.init.constant_(layer.initial["y"], 0.5)
    x, targets = torch.randn(4, 2, I).double(), torch.randn(4, 2, 2).double()
    reset = torch.zeros(4, 2, dtype=torch.bool)
    reset[2, 1] = True
    rec = cello.record(layer, x, targets=targets, reset=reset)
    expected = torch.cat([torch.full((1, 2, 2), 0.5).double(), targets[:-1]])
    expected[2, 1] = 0.5
    assert torch.equal(rec["y_prev"], expected)
    assert torch.equal(rec["y"], rec.output)


# ------------------------------------------------------------ gradients


def test_gradients_flow_through_recorded_values():
    cell = registry.make("lstm")
    layer = cello.Recurrent(cell)
    x = torch.randn(4, 2, I, dtype=torch.float64, requires_grad=True)
    rec = cello.record(layer, x, lengths=torch.tensor([4, 3]))
    (rec["f"] ** 2).sum().backward()
    ours = {name: parameter.grad for name, parameter in cell.named_parameters()}
    x_grad = x.grad
    cell.zero_grad()
    x.grad = None

    total = torch.zeros((), dtype=torch.float64)
    for b, length in enumerate([4, 3]):
        h = c = torch.zeros(H, dtype=torch.float64)
        for t in range(length):
            z_i, z_f, z, z_o = (cell.W @ x[t, b] + cell.R @ h + cell.b).chunk(4)
            f = z_f.sigmoid()
            c = z_i.sigmoid() * z.tanh() + f * c
            h = z_o.sigmoid() * c.tanh()
            total = total + (f**2).sum()
    total.backward()
    for name, parameter in cell.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad, rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(x_grad, x.grad, rtol=1e-10, atol=1e-13)


def test_gradients_flow_through_values_of_drop_ins():
    layer = cello.GRU(3, 4)
    rec = cello.record(layer, torch.randn(5, 2, 3))
    rec["z"].sum().backward()
    assert layer.weight_hh_l0.grad[4:8].abs().sum() > 0


# ------------------------------------------------------------ only, and names


def test_only_keeps_what_it_names():
    net = cello.Stack(
        cello.Bidirectional(cello.LSTMCell(3, 4)), cello.Recurrent(cello.GRUCell(8, 2))
    )
    x = torch.randn(5, 2, 3)
    full = cello.record(net, x)
    rec = cello.record(net, x, only=("f", "*.c", "1.z"))
    kept = ("0.forward.f", "0.forward.c", "0.backward.f", "0.backward.c", "1.z")
    assert rec.names == kept
    assert all(torch.equal(rec[name], full[name]) for name in kept)
    assert torch.equal(rec.output, full.output)
    assert cello.record(net, x, only="1.*").layers == ("1",)
    assert cello.record(net, x, only=[]).names == ()


def test_only_that_fits_nothing_is_an_error():
    layer = cello.Recurrent(cello.GRUCell(3, 2))
    with pytest.raises(
        UnknownNameError, match=r"^only='f' fits no value; there are 'x', 'h_prev', 'x_r', "
    ):
        cello.record(layer, torch.randn(2, 1, 3), only=("z", "f"))
    with pytest.raises(
        DtypeError, match=r'^only must hold names or patterns such as "f" .* got 3$'
    ):
        cello.record(layer, torch.randn(2, 1, 3), only=[3])  # type: ignore[list-item]


def test_a_cell_that_cannot_be_traced_is_recorded_all_the_same():
    layer = cello.Recurrent(registry.make("branching"), engine="reference")
    x = torch.randn(4, 2, I, dtype=torch.float64)
    rec = assert_same_bits(layer, x)
    assert torch.equal(rec["h"], rec.output)
    assert cello.record(layer, x, only="h").names == ("h",)


def test_a_layer_that_runs_twice_gets_a_second_name():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = cello.Recurrent(cello.ElmanCell(3, 3))

        def forward(self, x: Tensor) -> Tensor:
            return self.rnn(self.rnn(x)[0])[0]

    rec = cello.record(Twice(), torch.randn(4, 2, 3))
    assert rec.layers == ("rnn", "rnn#2")
    assert torch.equal(rec["rnn#2.x"], rec["rnn.h"])
    assert torch.equal(rec["rnn#2.h"], rec.output)


def test_layers_inside_a_cell_are_part_of_its_step():
    class Nested(cello.Cell):
        state = ("h",)

        def __init__(self) -> None:
            super().__init__(3, 3)
            self.inner = cello.Recurrent(cello.ElmanCell(3, 3))

        def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
            y, _ = self.inner(x.unsqueeze(0))
            h = torch.tanh(y[0] + h)
            return h, (h,)

    layer = cello.Recurrent(Nested(), engine="reference")
    assert cello.record(layer, torch.randn(4, 2, 3)).layers == ("",)


@pytest.mark.parametrize(
    ("net", "error", "message"),
    [
        (nn.LSTM(3, 4), ArgumentError, r"use cello.accelerate\(net\)"),
        (cello.GRUCell(3, 4), ArgumentError, r"wrap it as cello.Recurrent\(cell\)"),
        (None, DtypeError, r"^net must be a module, got NoneType$"),
    ],
)
def test_what_cannot_be_recorded_is_refused(net: Any, error: type, message: str):
    with pytest.raises(error, match=message):
        cello.record(net, torch.randn(2, 1, 3))


def test_a_net_whose_layers_do_not_run_is_refused():
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = cello.Recurrent(cello.ElmanCell(3, 3))

        def forward(self, x: Tensor) -> Tensor:
            return x

    with pytest.raises(
        ArgumentError, match=r"^none of the recurrent layers in Idle ran in this call$"
    ):
        cello.record(Idle(), torch.randn(2, 1, 3))
