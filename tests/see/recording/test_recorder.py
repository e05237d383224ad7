from __future__ import annotations

import gc
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence

import cello
from cello.errors import ArgumentError, DtypeError, UnknownNameError
from tests import registry
from tests.cells.by_hand import sigmoid

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


# ------------------------------------------------------------ the plain call, to the bit


class Tagger(nn.Module):
    """A user's own module: an embedding, dropout, layers of several kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 3)
        self.gru = cello.GRU(3, 4, num_layers=2, dropout=0.4, bidirectional=True)
        self.own = cello.Recurrent(DropoutCell())
        self.head = nn.Linear(4, 2)

    def forward(self, ids: Tensor) -> Tensor:
        y, _ = self.gru(self.embed(ids))
        y, _ = self.own(nn.functional.dropout(y, 0.3, self.training))
        return self.head(y)


class DropoutCell(cello.Cell):
    state = ("h",)

    def __init__(self) -> None:
        super().__init__(8, 4)
        self.W, self.R = nn.Linear(8, 4), nn.Linear(4, 4)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        mask = nn.functional.dropout(torch.ones_like(h), 0.3, self.training)
        h = torch.tanh(self.W(x) + mask * self.R(h))
        return h, (h,)


def tensors(result: Any) -> list[Tensor]:
    if isinstance(result, Tensor):
        return [result]
    parts = result if isinstance(result, (tuple, list)) else ()
    return [tensor for part in parts for tensor in tensors(part)]


def assert_same_bits(net: nn.Module, *args: Any, **kwargs: Any) -> cello.Recording:
    torch.manual_seed(5)
    plain = net(*args, **kwargs)
    after = torch.random.get_rng_state()
    torch.manual_seed(5)
    rec = cello.record(net, *args, **kwargs)
    assert torch.equal(torch.random.get_rng_state(), after)
    assert type(rec.result) is type(plain)
    ours, theirs = tensors(rec.result), tensors(plain)
    assert len(ours) == len(theirs) > 0
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert all(a.requires_grad == b.requires_grad for a, b in zip(ours, theirs, strict=True))
    return rec


# Every cell where roundings show most; in other types those of each kind, and all in a full run.
FULL = os.environ.get("HYPOTHESIS_PROFILE") == "full"
EVERY_TYPE = ("elman", "jordan", "lstm", "lstm-projection", "gru", "two-sizes", "no-grad")
TYPES = [
    pytest.param(name, dtype, id=f"{name}-{dtype}")
    for name in registry.DISTINCT
    if name not in registry.COMPILED_ONCE
    for dtype in (torch.bfloat16, torch.float32, torch.float64)
    if FULL or dtype == torch.bfloat16 or name in EVERY_TYPE
]


@pytest.mark.parametrize(("name", "dtype"), TYPES)
def test_recording_changes_no_bit(name: str, dtype: torch.dtype):
    cell = registry.make(name, dtype)
    x = registry.x_of(cell, 7, 5).to(dtype)
    assert_same_bits(cello.Recurrent(cell), x)
    if name in registry.ROW_WISE:
        assert_same_bits(
            cello.Recurrent(cell, reverse=True), x, lengths=torch.tensor([3, 0, 7, 1, 7])
        )


def test_recording_changes_no_bit_where_products_have_names():
    """A product with a name must not become one operation with a sum just when nobody looks."""
    layer = cello.Recurrent(cello.GRUCell(40, 64, reset_after=False).bfloat16())
    assert_same_bits(layer, torch.randn(30, 16, 40).bfloat16())


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", [cello.RNN, cello.LSTM, cello.GRU])
def test_recording_changes_no_bit_of_drop_ins(kind: Any, batch_first: bool):
    layer = kind(8, 16, num_layers=2, bidirectional=True, dropout=0.3, batch_first=batch_first)
    x = torch.randn(5, 7, 8)
    assert_same_bits(layer, x)
    assert_same_bits(layer.eval(), x)
    assert_same_bits(layer, x[0])
    assert_same_bits(layer, pack_sequence([x[0, :4], x[1, :2]]))
    with torch.no_grad():
        assert_same_bits(layer, x)


def test_recording_changes_no_bit_of_a_users_net_with_dropout():
    net, ids = Tagger(), torch.randint(10, (6, 3))
    assert_same_bits(net.train(), ids)
    assert_same_bits(net.eval(), ids)
    stack = cello.Stack(
        cello.Bidirectional(cello.LSTMCell(3, 4)),
        nn.Dropout(0.5),
        cello.LSTM(8, 4),
        nn.Linear(4, 2),
    )
    rec = assert_same_bits(stack, torch.randn(6, 3, 3), lengths=torch.tensor([6, 2, 0]))
    assert rec.state[0].forward.c.shape == (3, 4)


def test_recorded_dropout_is_the_one_that_happened():
    layer = cello.GRU(3, 4, num_layers=2, dropout=0.5)  # fresh: its cells are not yet made
    x = torch.randn(6, 2, 3)
    rec = cello.record(layer, x)
    torch.testing.assert_close(rec["1.h"], rec.output, rtol=1e-5, atol=1e-6)
    assert (rec["1.x"] == 0).any()


def test_recording_goes_on_in_inference_mode_and_under_accelerate():
    model = nn.Sequential(nn.LSTM(3, 4)).eval()
    with torch.inference_mode():
        rec = assert_same_bits(cello.accelerate(model), torch.randn(5, 2, 3))
    assert rec["0.0.f"].shape == (5, 2, 4)


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


# ------------------------------------------------------------ memory


def alive() -> int:
    """Bytes in all tensors that there are, each piece of memory counted once.

    The working memory of compiled loops, in bytes without a type, comes and goes with the loops.
    """
    for _ in range(3):  # what a collected cell held is collected after it
        gc.collect()
    found = {}
    for thing in gc.get_objects():
        # Those of other types, such as what torch.compile keeps, stand for tensors without memory.
        if (
            type(thing) in (Tensor, nn.Parameter)
            and thing.dtype != torch.uint8
            and not thing.is_meta
        ):
            storage = thing.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
    return sum(found.values())


def test_memory_is_the_recorded_rows_and_no_more():
    net = cello.Stack(cello.Recurrent(cello.LSTMCell(3, 8, activation="identity")), nn.Linear(8, 2))
    x, lengths = torch.randn(50, 4, 3), torch.tensor([50, 20, 0, 1])
    with torch.no_grad():
        cello.record(net, x, lengths=lengths)  # programs and plans are made
        before = alive()
        rec = cello.record(net, x, lengths=lengths)
        index = 71 * 8 + 4 * 8  # which row is which step, and the lengths
        result = rec.output.nbytes + sum(t.nbytes for t in tensors(rec.state))
        units = 3 + 8 + 8 + 4 * 8 + 2 * 8 + 3 * 8  # g shares with z
        assert rec.nbytes == 71 * 4 * units
        assert alive() - before == rec.nbytes + index + result

        before = alive()
        less = cello.record(net, x, lengths=lengths, only="z_f")  # a fourth of one product
        assert less.nbytes == 71 * 4 * 8
        assert alive() - before == less.nbytes + index + result


def test_a_part_of_a_product_is_kept_without_the_rest():
    layer = cello.Recurrent(cello.GRUCell(3, 8))  # x_z is a third of one product for all steps
    x = torch.randn(50, 4, 3)
    with torch.no_grad():
        cello.record(layer, x, only="x_z")
        before = alive()
        rec = cello.record(layer, x, only="x_z")
        result = rec.output.nbytes + rec.state.h.nbytes
        assert rec.nbytes == 50 * 4 * 8 * 4
        assert alive() - before == rec.nbytes + result


@pytest.mark.parametrize("engine", ["reference", "split", "cpu"])
def test_names_of_one_value_share_its_rows(engine: str):
    layer = cello.Recurrent(cello.LSTMCell(3, 8, activation="identity"), engine=engine)
    with torch.no_grad():
        rec = cello.record(layer, torch.randn(5, 2, 3), only=("z", "g"))
    assert torch.equal(rec["z"], rec["g"])
    assert rec.nbytes == 10 * 8 * 4


def test_what_layers_share_is_kept_once():
    net = cello.Stack(
        cello.Bidirectional(cello.GRUCell(3, 4)), cello.LSTM(8, 2, bidirectional=True)
    )
    with torch.no_grad():
        rec = cello.record(net, torch.randn(5, 2, 3))
        x = cello.record(net, torch.randn(5, 2, 3), only="x")
    gru, lstm = 4 + 3 * 4 + 3 * 4 + 4 * 4, 2 + 2 + 4 * 2 + 6 * 2
    assert x.nbytes == 10 * 4 * (3 + 8)
    assert rec.nbytes == x.nbytes + 10 * 4 * 2 * (gru + lstm)


def test_recorded_values_stay_as_they_were():
    layer = cello.Recurrent(cello.ElmanCell(3, 3, activation="identity"))
    x = torch.randn(4, 2, 3)
    lengths = torch.tensor([4, 2])
    with torch.no_grad():
        rec = cello.record(layer, x, lengths=lengths)
        kept = {name: rec[name].clone() for name in rec}
        x.zero_()
        lengths.zero_()
        rec.output.zero_()
        rec.state.h.zero_()
        for parameter in layer.parameters():
            parameter.zero_()
    assert all(torch.equal(rec[name], kept[name]) for name in rec)
    assert rec.lengths.tolist() == [4, 2]
