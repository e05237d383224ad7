from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import cello
from cello.cells.contract.shapes import shape_of
from cello.errors import (
    ArgumentError,
    CaptureError,
    DtypeError,
    ModelError,
    ShapeError,
    UnknownNameError,
)
from tests import registry
from tests.cells.by_hand import sigmoid

I, H = registry.I, registry.H  # noqa: E741
T, B = 6, 2


def lstm(p: Any, x: np.ndarray, forced: dict[tuple[str, int, int], float]) -> dict[str, np.ndarray]:
    """An LSTM over one sequence in which some (gate, t, unit) are forced."""
    h, c = np.zeros(H), np.zeros(H)
    steps: list[dict[str, np.ndarray]] = []
    for t, x_t in enumerate(x):
        z = np.split(p["W"] @ x_t + p["R"] @ h + p["b"], 4)
        values = dict(zip("ifgo", map(sigmoid, z), strict=True)) | {"g": np.tanh(z[2])}
        for (name, at, unit), value in forced.items():
            if at == t:
                values[name][unit] = value
        c = values["i"] * values["g"] + values["f"] * c
        h = values["o"] * np.tanh(c)
        steps.append(values | {"h": h, "c": c})
    return {name: np.stack([step[name] for step in steps]) for name in steps[0]}


def parameters(cell: nn.Module) -> dict[str, np.ndarray]:
    return {name: parameter.detach().numpy() for name, parameter in cell.named_parameters()}


def inputs(*sizes: int) -> Tensor:
    return torch.randn(*(sizes or (T, B, I)), dtype=torch.float64)


def close(ours: Tensor, theirs: Any) -> None:
    theirs = torch.as_tensor(theirs)
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-13)


@pytest.fixture(autouse=True, params=["reference", "split"])
def _compile_nothing(request: pytest.FixtureRequest):
    with cello.engine(request.param):
        yield


# ------------------------------------------------------------ what follows


def test_a_forced_gate_is_that_of_the_formulas():
    layer = cello.Recurrent(registry.make("lstm"))
    x = inputs()
    with cello.intervene(layer, {"f": [(2, 1, 0.0), (4, [0, 3], 1.0)], "o": (4, 0, 0.25)}):
        rec = cello.record(layer, x)
    forced = {("f", 2, 1): 0.0, ("f", 4, 0): 1.0, ("f", 4, 3): 1.0, ("o", 4, 0): 0.25}
    for b in range(B):
        by_hand = lstm(parameters(layer.cell), x[:, b].numpy(), forced)
        for name, values in by_hand.items():
            close(rec[name][:, b], values)
    close(rec.output, rec["h"])
    close(rec.state.c, rec["c"][-1])


def test_nothing_is_left_after_the_block():
    layer = cello.Recurrent(registry.make("gru"))
    x = inputs()
    before = layer(x)[0]
    with cello.intervene(layer, {"z": (0, 0, 1.0)}):
        assert not torch.equal(layer(x)[0], before)
    assert torch.equal(layer(x)[0], before)
    with pytest.raises(ShapeError), cello.intervene(layer, {"z": (0, 0, 1.0)}):
        layer(x[..., :1])
    assert torch.equal(layer(x)[0], before)


@pytest.mark.parametrize("name", registry.DISTINCT)
def test_setting_a_state_is_running_on_from_it(name: str):
    """Of any cell: what it produces at step 2, and what it reads at step 3."""
    layer = cello.Recurrent(registry.make(name).eval())
    x = registry.x_of(layer.cell, T, B)
    state = layer.cell.state[0]
    new = torch.rand(1, B, *shape_of(layer.cell.state_sizes[state]), dtype=torch.float64)
    for name, t in ((state, 2), (f"{state}_prev", 3)):
        with cello.intervene(layer, {name: (t, ..., new)}):
            y, final = layer(x)
            rec = cello.record(layer, x)
        close(rec[name][t], new[0])
        before = layer.cell.state_type(*(rec[f"{part}_prev"][3] for part in layer.cell.state))
        y_on, final_on = layer(x[3:], before)
        close(y[3:], y_on)
        for ours, theirs in zip(final, final_on, strict=True):
            close(ours, theirs)


def test_a_value_set_to_what_it_is_changes_nothing():
    """Of every named value of a cell of a user's."""
    layer = cello.Recurrent(registry.make("two-sizes"))
    x = inputs()
    rec = cello.record(layer, x)
    with cello.intervene(layer, {name: (..., ..., rec[name]) for name in rec.names}):
        close(layer(x)[0], rec.output)


def test_a_function_sees_the_value_and_the_step():
    layer = cello.Recurrent(registry.make("elman"))
    x = inputs()
    seen = []

    def doubled(rows: Tensor, t: int) -> Tensor:
        seen.append((t, rows.clone()))
        return 2 * rows

    with cello.intervene(layer, {"h": (slice(1, None, 2), slice(0, 2), doubled)}):
        rec = cello.record(layer, x)
    assert [t for t, _ in seen] == [1, 3, 5]
    for t, rows in seen:
        close(rows, rec["z"][t, :, :2].tanh())
        close(rec["h"][t, :, :2], 2 * rows)
        close(rec["h"][t, :, 2:], rec["z"][t, :, 2:].tanh())
    with cello.intervene(layer, {"h": (0, 0, lambda rows, t: 3.0)}):
        assert cello.record(layer, x)["h"][0, :, 0].tolist() == [3.0, 3.0]


def test_blocks_inside_one_another():
    layer = cello.Recurrent(registry.make("elman"))
    x = inputs()
    with (
        cello.intervene(layer, {"h": (1, 0, 5.0)}),
        cello.intervene(layer, {"h": [(1, 0, lambda rows, t: rows + 1), (2, 1, -1.0)]}),
    ):
        rec = cello.record(layer, x)
    assert rec["h"][1, :, 0].tolist() == [6.0] * B
    assert rec["h"][2, :, 1].tolist() == [-1.0] * B


def test_gradients_flow_into_the_value_and_past_it():
    layer = cello.Recurrent(registry.make("lstm"))
    x = inputs()
    value = torch.full((1, B, 1), 0.3, dtype=torch.float64, requires_grad=True)

    def loss(given: Tensor) -> Tensor:
        with cello.intervene(layer, {"f": (2, [1], given)}):
            return layer(x)[0].square().sum()

    assert torch.autograd.gradcheck(loss, value)
    with cello.intervene(layer, {"c": (3, None, 0.0), "h": (3, None, 0.0)}):
        given = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(layer(given)[0][4:].sum(), given)
    assert not gradient[:4].any()
    assert gradient[4:].abs().min() > 0


def test_what_follows_is_explained_and_what_was_set_is_not():
    layer = cello.Recurrent(registry.make("lstm"))
    with cello.intervene(layer, {"f": (2, 0, 0.5)}):
        rec = cello.record(layer, inputs())
    text = str(rec.explain(t=2, unit=0, names="c"))
    assert f"0.5·{'(−' if rec['c'][1, 0, 0] < 0 else ''}" in text
    with pytest.raises(ModelError, match=r"f\[0\] at t=2 .*cello\.intervene has set has no arith"):
        rec.explain(t=2, unit=0)


# ------------------------------------------------------------ layers, directions, rows


def test_directions_count_steps_as_the_inputs_do():
    net = cello.Stack(cello.Bidirectional(cello.LSTMCell(I, H)), nn.Linear(2 * H, 2)).double()
    x = inputs()
    with cello.intervene(net, {"0.backward.f": (3, 2, 0.5), "0.forward.i": (1, 0, 0.0)}):
        rec = cello.record(net, x)
    for b in range(B):
        own = x[:, b].numpy()
        there = lstm(parameters(net[0].forward_layer.cell), own, {("i", 1, 0): 0.0})
        turned = {("f", T - 1 - 3, 2): 0.5}
        back = lstm(parameters(net[0].backward_layer.cell), own[::-1], turned)
        close(rec["forward.h"][:, b], there["h"])
        close(rec["backward.h"][:, b], back["h"][::-1].copy())
    close(rec.output, net[1](torch.cat([rec["forward.h"], rec["backward.h"]], -1)))


@pytest.mark.parametrize("packed", [False, True])
def test_rows_of_different_length(packed: bool):
    layer = cello.Recurrent(registry.make("lstm"))
    lengths = torch.tensor([2, 6, 1, 4])
    x = inputs(T, 4, I)
    to = inputs(2, 4, H)
    given = pack_padded_sequence(x, lengths, enforce_sorted=False) if packed else x
    more = {} if packed else {"lengths": lengths}
    seen = {}

    def remember(rows: Tensor, t: int) -> Tensor:
        seen[t] = rows
        return rows

    with cello.intervene(layer, {"c": ([1, 3], ..., to), "i": ([1, 3], ..., remember)}):
        rec = cello.record(layer, given, **more)
    for b, length in enumerate(lengths.tolist()):
        alone = {"c": [(t, ..., to[place, b]) for place, t in enumerate((1, 3)) if t < length]}
        with cello.intervene(layer, alone):
            y, _ = layer(x[:length, b])
        close(rec["h"][:length, b], y)
    close(seen[1], rec["i"][1, [0, 1, 3]])
    close(seen[3], rec["i"][3, [1, 3]])


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_the_drop_ins(name: str):
    net = getattr(cello, name)(I, H, num_layers=2, bidirectional=True).double()
    x = inputs()
    with cello.intervene(net, {"0.backward.h": (1, 0, 0.7)}):
        rec = cello.record(net, x)
        assert torch.equal(rec.output, net(x)[0])
    assert rec["0.backward.h"][1, :, 0].tolist() == [0.7] * B
    assert not torch.allclose(rec.output, net(x)[0])
    close(rec["1.forward.x"], torch.cat([rec["0.forward.h"], rec["0.backward.h"]], -1))
    same = {f"0.backward.{n}": (..., ..., rec[f"0.backward.{n}"]) for n in ("h", "h_prev")}
    with cello.intervene(net, same):
        close(net(x)[0], rec.output)


def test_nets_that_are_not_meant_run_as_ever():
    one, other = (cello.Recurrent(registry.make("lstm")) for _ in range(2))
    x = inputs()
    y = other(x)[0]
    with cello.intervene(one, {"h": (0, 0, 1.0)}):
        assert torch.equal(other(x)[0], y)


def test_a_reset_comes_after_what_was_set():
    layer = cello.Recurrent(registry.make("elman"))
    x = inputs()
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[3] = True
    with cello.intervene(layer, {"h": (2, ..., 1.0)}):
        y, _ = layer(x, reset=reset)
    assert bool((y[2] == 1).all())
    close(y[3:], layer(x[3:])[0])


def test_an_empty_batch():
    layer = cello.Recurrent(registry.make("elman"))
    with cello.intervene(layer, {"h": (..., ..., 1.0)}):
        assert layer(inputs(0, 2, I))[0].shape == (0, 2, H)
        assert cello.record(layer, inputs(4, 0, I))["h"].shape == (4, 0, H)


# ------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"q": (0, 0, 1.0)}, UnknownNameError, "nothing is named 'q'; there are 'x'"),
        ({"forget": (0, 0, 1.0)}, UnknownNameError, "nothing is named 'forget'"),
        ({"f": (0, H, 1.0)}, ArgumentError, "unit of 'f' is counted from 0, got 4: there are 4"),
        ({"f": (0, -1, 1.0)}, ArgumentError, "unit of 'f' is counted from 0, got -1"),
        ({"f": (-1, 0, 1.0)}, ArgumentError, "t of 'f' is counted from 0, got -1"),
        ({"f": (0.5, 0, 1.0)}, DtypeError, "t of 'f' must be a whole number, got 0.5"),
        ({"f": (0, "a", 1.0)}, DtypeError, "unit of 'f' must be a whole number, got 'a'"),
        ({"f": (0, 0, "open")}, DtypeError, "must be a number, a tensor or a function"),
        ({"f": 1.0}, DtypeError, r"'f' must be \(t, unit, value\), or a list of such, got 1.0"),
        ({"f": [(0, 1.0)]}, DtypeError, r"got \(0, 1.0\)"),
        ([("f", 0, 0, 1.0)], DtypeError, "values must be a dict"),
    ],
)
def test_what_cannot_be_set(values: Any, error: type[Exception], message: str):
    layer = cello.Recurrent(registry.make("lstm"))
    with pytest.raises(error, match=message), cello.intervene(layer, values):
        pass


@pytest.mark.parametrize(
    ("entry", "error", "message"),
    [
        ((T, 0, 1.0), ArgumentError, f"t of 'f' is counted from 0, got {T}: there are {T} steps"),
        ((0, ..., torch.zeros(3)), ShapeError, r"fit \[1 steps, 2 sequences, 4 units\], got \[3\]"),
        ((0, 0, lambda rows, t: torch.zeros(3, 3)), ShapeError, r"it returned \[3, 3\]"),
    ],
)
def test_what_does_not_fit_the_sequence(entry: Any, error: type[Exception], message: str):
    layer = cello.Recurrent(registry.make("lstm"))
    with cello.intervene(layer, {"f": entry}), pytest.raises(error, match=message):
        layer(inputs())


def test_a_name_that_is_not_enough_and_nets_without_cells():
    net = cello.Bidirectional(registry.make("lstm"))
    with (
        pytest.raises(UnknownNameError, match=r"could be 'forward\.f', 'backward\.f'"),
        cello.intervene(net, {"f": (0, 0, 1.0)}),
    ):
        pass
    with (
        pytest.raises(ArgumentError, match="no recurrent layer of ours"),
        cello.intervene(nn.Linear(3, 3), {"f": (0, 0, 1.0)}),
    ):
        pass


def test_a_step_that_cannot_be_traced():
    layer = cello.Recurrent(registry.make("branching"))
    with (
        pytest.raises(CaptureError, match=r"'h' cannot be set: BranchingCell\.step cannot be"),
        cello.intervene(layer, {"h": (0, 0, 1.0)}),
    ):
        pass
