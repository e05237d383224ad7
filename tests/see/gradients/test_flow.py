from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.errors import ArgumentError, CaptureError, DtypeError, ShapeError, UnknownNameError
from tests import registry

I, H = registry.I, registry.H  # noqa: E741
T, B = 6, 2


def inputs(*sizes: int) -> Tensor:
    return torch.randn(*(sizes or (T, B, I)), dtype=torch.float64)


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-13)


def last(y: Tensor) -> Tensor:
    return y[-1].square().sum()


# ------------------------------------------------------------ gradients


def test_gradients_are_those_of_autograd_by_hand():
    """An LSTM written out, in which each reading of a state is a tensor of its own."""
    layer = cello.Recurrent(registry.make("lstm"))
    cell, x = layer.cell, inputs()
    kept: dict[str, list[Tensor]] = {}

    def keep(name: str, value: Tensor) -> Tensor:
        value = value * 1
        value.retain_grad()
        kept.setdefault(name, []).append(value)
        return value

    h = c = torch.zeros(B, H, dtype=torch.float64, requires_grad=True)
    outputs = []
    for x_t in x:
        h_prev, c_prev = keep("h_prev", h), keep("c_prev", c)
        z = x_t @ cell.W.T + h_prev @ cell.R.T + cell.b
        z_i, z_f, z_g, z_o = z.chunk(4, dim=1)
        i, f = keep("i", z_i.sigmoid()), keep("f", z_f.sigmoid())
        g, o = keep("g", z_g.tanh()), keep("o", z_o.sigmoid())
        c = keep("c", i * g + f * c_prev)
        h = keep("h", o * c.tanh())
        outputs.append(h)
    (torch.stack(outputs)[3:].sin().sum() + c.sum() * 0).backward()
    found = cello.flow(layer, x, lambda y: y[3:].sin().sum())
    for name, values in kept.items():
        close(found[name], torch.stack([value.grad for value in values]))
    through_h = found["h"] * torch.stack(kept["o"]) * (1 - torch.stack(kept["c"]).tanh().square())
    close(found["c"][:-1], found["c_prev"][1:] + through_h[:-1])
    close(found.norms("f"), found["f"].norm(dim=2))


def test_gradients_are_finite_differences_of_interventions():
    """Of every value of a cell of a user's, at one step."""
    layer = cello.Recurrent(registry.make("two-sizes"))
    x = inputs()
    found = cello.flow(layer, x, last)
    for name in found.names:
        sizes = []
        for step in (1e-6, -1e-6):
            with cello.intervene(layer, {name: (3, 1, lambda rows, t, step=step: rows + step)}):
                sizes.append(last(layer(x)[0]).item())
        slope = (sizes[0] - sizes[1]) / 2e-6
        assert found[name][3, :, 1].sum().item() == pytest.approx(slope, rel=1e-6, abs=1e-9)


def test_of_a_net_with_lengths_each_row_is_as_if_alone():
    net = cello.Stack(
        cello.Bidirectional(cello.GRUCell(I, H)), cello.LSTM(2 * H, H), nn.Linear(H, 2)
    ).double()
    x, lengths = inputs(T, 3, I), torch.tensor([2, 6, 4])
    found = cello.flow(net, x, lambda y: y.square().sum(), lengths=lengths)
    for b, length in enumerate(lengths.tolist()):
        alone = cello.flow(net, x[:length, b : b + 1], lambda y: y.square().sum())
        assert alone.names == found.names
        for name in alone.names:
            close(found[name][:length, b : b + 1], alone[name])
            assert not found[name][length:, b].any()


def test_what_reads_a_layer():
    net = cello.Bidirectional(cello.GRUCell(I, H)).double()
    found = cello.flow(net, inputs(), lambda y: y[-1].sum())
    for layer in ("forward", "backward"):
        assert not found.readers[layer][:-1].any()
        assert bool((found.readers[layer][-1] == 1).all())


def test_fixed_parameters_and_gradients_switched_off():
    layer = cello.Recurrent(registry.make("elman"))
    x = inputs()
    expected = cello.flow(layer, x, last)
    layer.requires_grad_(False)
    with torch.no_grad():
        found = cello.flow(layer, x, last)
    for name in expected.names:
        close(found[name], expected[name])


# ------------------------------------------------------------ memory


@pytest.mark.parametrize("name", ["lstm", "gru", "jordan", "leaky", "two-sizes"])
@pytest.mark.parametrize("reverse", [False, True])
def test_what_is_left_is_the_norm_of_the_jacobian(name: str, reverse: bool):
    layer = cello.Recurrent(registry.make(name), reverse=reverse)
    x = inputs(T, 1, I)
    memory = cello.flow(layer, x, lambda y: y.sum()).memory()
    sizes = layer.cell.state_sizes
    states = [layer.cell.zero_state(1, dtype=torch.float64)]
    for x_t in x.flip(0) if reverse else x:
        states.append(layer.cell.state_type(*layer.cell.step(x_t, *states[-1])[1]))

    for d in range(T + 1):
        rest = (x[:d] if reverse else x[T - d :]) if d else x[:0]

        def final(flat: Tensor, rest: Tensor = rest) -> Tensor:
            parts = flat.split(list(sizes.values()), dim=1)
            return torch.cat(layer(rest, layer.cell.state_type(*parts))[1], dim=1)

        jacobian = torch.func.jacrev(final)(torch.cat(states[T - d], dim=1))[0, :, 0]
        close(torch.cat([memory.left[s][d] for s in sizes]), jacobian.detach().norm(dim=0))
        gain = jacobian.detach().norm() / sum(sizes.values()) ** 0.5
        close(memory.gain[d], gain)


@pytest.mark.parametrize(
    "name", ["lstm", "lstm-lecture", "lstm-projection", "gru", "jordan", "two-sizes"]
)
@pytest.mark.parametrize("reverse", [False, True])
def test_the_jacobian_is_that_of_the_steps(name: str, reverse: bool):
    """Each sequence alone, one step after the other."""
    layer = cello.Recurrent(registry.make(name), reverse=reverse)
    x, lengths = inputs(T, 3, I), torch.tensor([3, 6, 5])
    found = cello.flow(layer, x, lambda y: y.sum(), lengths=lengths)
    sizes = list(layer.cell.state_sizes.values())
    rec = cello.record(layer, x, lengths=lengths)
    for b, s, t in ((0, 2, 2), (1, 1, 4), (2, 0, 4)):
        read, order = (t, range(t, s - 1, -1)) if reverse else (s, range(s, t + 1))

        def made(flat: Tensor, b: int = b, order: Any = order) -> Tensor:
            states = flat[None].split(sizes, dim=1)
            for step in order:
                states = layer.cell.step(x[step, b : b + 1], *states)[1]
            return torch.cat(states, dim=1)[0]

        begun = torch.cat([rec[f"{state}_prev"][read, b] for state in layer.cell.state])
        expected = torch.func.jacrev(made)(begun.detach()).detach()
        ends = (s, t) if reverse else (t, s)
        close(found.jacobian(*ends, batch=b), expected)


def test_jacobians_of_one_layer_of_several():
    net = cello.LSTM(I, H, num_layers=2, bidirectional=True, proj_size=2).double()
    x = inputs(T, 1, I)
    found = cello.flow(net, x, last)
    for layer, (t, s) in {"0.forward": (T - 1, 2), "1.backward": (0, 3)}.items():
        memory = found.memory(layer)
        columns = found.jacobian(t, s, layer).norm(dim=0)
        close(torch.cat([left[4] for left in memory.left.values()]), columns)


def test_a_large_state_is_estimated():
    torch.manual_seed(0)
    layer = cello.Recurrent(cello.ElmanCell(I, 100)).double()
    torch.nn.init.orthogonal_(layer.cell.R)
    memory = cello.flow(layer, 0.01 * inputs(5, 1, I), lambda y: y.sum()).memory()
    exact = torch.ones(100, dtype=torch.float64)
    ratio = memory.left["h"][5] / exact
    assert ratio.mean().item() == pytest.approx(1, abs=0.1)


KEPT = {
    "lstm": ("c", lambda rec: rec["f"]),
    "gru": ("h", lambda rec: rec["z"]),
    "leaky": ("h", lambda rec: 1 - rec["a"]),
    "elman": ("h", lambda rec: torch.zeros_like(rec["h"])),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_a_unit_keeps_by_itself_is_the_product_of_its_gates(name: str):
    layer = cello.Recurrent(registry.make(name))
    x = inputs(T, 1, I)
    state, gate = KEPT[name]
    memory = cello.flow(layer, x, lambda y: y.sum()).memory()
    gates = gate(cello.record(layer, x))[:, 0].detach()
    assert memory.kept is not None
    for d in range(T + 1):
        close(memory.kept[state][d], gates[T - d :].prod(0))


def test_a_unit_made_to_remember_and_one_made_to_forget():
    cell = cello.LSTMCell(I, 3).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
        cell.b[3:6] = torch.tensor([20.0, 0.0, -20.0])  # forget gates of 1, 1/2 and 0
    found = cello.flow(cello.Recurrent(cell), inputs(), lambda y: y.sum())
    assert found.memory().horizon("c").tolist() == [torch.inf, 2, 1]
    alone = found.memory().kept_horizon("c")
    assert alone is not None
    assert alone.tolist() == [torch.inf, 2, 1]
    assert "c: half of the units last at least 2 steps, on its own way alone 2" in repr(found)


def test_memory_of_rows_of_different_length_is_their_mean():
    layer = cello.Recurrent(registry.make("lstm"), reverse=True)
    x, lengths = inputs(), torch.tensor([2, 5])
    both = cello.flow(layer, x, lambda y: y.sum(), lengths=lengths).memory()
    short = cello.flow(layer, x[:2, :1], lambda y: y.sum()).memory()
    long = cello.flow(layer, x[:5, 1:], lambda y: y.sum()).memory()
    mean = (short.left["c"].square() + long.left["c"][:3].square()).div(2).sqrt()
    close(both.left["c"][:3], mean)
    close(both.left["c"][3:6], long.left["c"][3:])
    assert not both.left["c"][6].any()


def test_a_step_that_mixes_rows_has_no_way_of_its_own():
    layer = cello.Recurrent(registry.make("mixing"))
    memory = cello.flow(layer, inputs(), lambda y: y.sum()).memory()
    assert memory.kept is None
    assert memory.kept_horizon("h") is None


def test_the_table():
    found = cello.flow(cello.Recurrent(registry.make("lstm")), inputs(), last)
    lines = found.table(steps=3).splitlines()
    assert lines[0].split() == ["t", "h", "h_prev", "c", "c_prev"]
    assert [line.split()[0] for line in lines[2:]] == ["0", "2", "5"]
    norm = found.norms("f").mean(1)[-1].item()
    assert float(found.table("f").splitlines()[-1].split()[1]) == pytest.approx(norm, rel=1e-2)


# ------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        (3.0, DtypeError, "loss must be a function of the net's output, got 3.0"),
        (lambda y: 3.0, DtypeError, "loss must return a tensor, it returned float"),
        (lambda y: y[0], ShapeError, r"loss must return a scalar, it returned \[2, 4\]"),
        (lambda y: y.detach().sum(), ArgumentError, "the loss does not depend on"),
    ],
)
def test_losses_that_are_none(loss: Any, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        cello.flow(cello.Recurrent(registry.make("lstm")), inputs(), loss)


@pytest.mark.parametrize("sizes", [(0, B, I), (T, 0, I)])
def test_without_a_step_no_gradient_flows(sizes: tuple[int, ...]):
    with pytest.raises(ArgumentError, match="there is no step in x"):
        cello.flow(cello.Recurrent(registry.make("lstm")), inputs(*sizes), lambda y: y.sum())


def test_names_and_layers_that_there_are_not():
    found = cello.flow(cello.Bidirectional(registry.make("lstm")), inputs(), last)
    with pytest.raises(ArgumentError, match="layer must be one of 'forward', 'backward'"):
        found.memory()
    with pytest.raises(UnknownNameError, match="nothing is named 'sideways'"):
        found.memory("sideways")
    with pytest.raises(UnknownNameError, match="could be 'forward"):
        found["c"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"t": 2, "s": 3}, "s must not come after t: step 3 is read after step 2$"),
        ({"t": 6, "s": 0}, "t is counted from 0, got 6: sequence 0 has 6 steps"),
        ({"t": 2, "s": -1}, "s is counted from 0, got -1: sequence 0 has 6 steps"),
        ({"t": 3, "s": 3, "batch": 1}, "t is counted from 0, got 3: sequence 1 has 3 steps"),
        ({"t": 0, "s": 0, "batch": 2}, "batch is counted from 0, got 2: there are 2"),
        ({"t": 0.5, "s": 0}, r"t must be a whole number, got 0\.5"),
    ],
)
def test_jacobians_that_there_are_not(asked: dict[str, Any], message: str):
    lengths = torch.tensor([6, 3])
    layer = cello.Recurrent(registry.make("lstm"))
    with pytest.raises(ArgumentError, match=message):
        cello.flow(layer, inputs(), lambda y: y.sum(), lengths=lengths).jacobian(**asked)
    layer.reverse = True
    message = "step 2 is read after step 3, in this direction"
    with pytest.raises(ArgumentError, match=message):
        cello.flow(layer, inputs(), lambda y: y.sum()).jacobian(3, 2)


def test_a_step_that_cannot_be_traced():
    with pytest.raises(CaptureError, match="decides by the values"):
        cello.flow(cello.Recurrent(registry.make("branching")), inputs(), last)


class InsideCell(cello.Cell):
    """A cell with a layer in its step."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__(I, H)
        self.W = nn.Linear(I, H)
        self.inner = cello.Recurrent(cello.ElmanCell(H, H), engine="reference")

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        z = self.W(x) + h
        h = self.inner(z.unsqueeze(0))[1].h
        return h, (h,)


def test_a_layer_inside_a_cell_is_part_of_its_step():
    layer = cello.Recurrent(InsideCell()).double()
    assert cello.flow(layer, inputs(), last).names == ("x", "h_prev", "z", "h")
