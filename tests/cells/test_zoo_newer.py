"""What the papers promise of cells with shapes, of linear ones, of those with a clock or spikes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import cello
from cello import zoo
from tests.registry import H, I, make, x_of


def zeroed(cell: cello.Cell, *names: str) -> cello.Cell:
    """The cell with these parameters, or all, at 0."""
    with torch.no_grad():
        for name, parameter in cell.named_parameters():
            if not names or name.split(".")[0] in names:
                parameter.zero_()
    return cell


# ------------------------------------------------------------ gates


def test_a_mogrifier_that_mixes_nothing_is_an_lstm() -> None:
    cell, lstm = zeroed(make("MogrifierLSTMCell"), "Q"), make("lstm")
    lstm.load_state_dict({name: getattr(cell, name) for name in ("W", "R", "b")})
    x = x_of(cell, 5, 2)
    torch.testing.assert_close(cello.Recurrent(cell)(x)[0], cello.Recurrent(lstm)(x)[0])


def test_an_additive_memory_is_a_weighted_sum_of_inputs() -> None:
    layer = cello.Recurrent(make("RANCell"))
    rec = cello.record(layer, x_of(layer.cell, 6, 1))
    i, f, n = rec["i"], rec["f"], rec["n"]
    total = sum(i[t] * f[t + 1 :].prod(0) * n[t] for t in range(6))
    torch.testing.assert_close(rec["c"][-1], total)


def test_a_bistable_unit_keeps_its_sign_where_a_is_above_one() -> None:
    cell = zeroed(make("BRCCell"))
    start = (torch.tensor([[0.5, -0.5, 0.1, -0.1]]).double(),)
    x = torch.zeros(300, 1, I).double()
    x[..., 0] = 1
    for drive, kept in ((1.0, True), (-1.0, False)):
        with torch.no_grad():
            cell.W[:H, 0] = drive
        h = cello.Recurrent(cell)(x, start)[0][-1]
        assert bool((h.abs() > 0.5).all()) == kept
        assert bool((h.sign() == start[0].sign()).all())
        assert kept or bool((h.abs() < 1e-6).all())


def test_a_neuromodulated_cell_with_diagonal_matrices_is_the_bistable_one() -> None:
    one, other = make("BRCCell"), make("NBRCCell")
    with torch.no_grad():
        other.W.copy_(one.W)
        other.R_a.copy_(one.w_a.diag())
        other.R_c.copy_(one.w_c.diag())
    x = x_of(one, 5, 2)
    torch.testing.assert_close(cello.Recurrent(one)(x)[0], cello.Recurrent(other)(x)[0])


def test_stars_start_orthogonal_and_by_the_longest_dependency() -> None:
    cell = zoo.STARCell(5, 5).double()
    for part in (*cell.W.chunk(2), cell.R):
        torch.testing.assert_close(part @ part.T, torch.eye(5).double(), atol=1e-6, rtol=0)
    assert not cell.b.any()
    keep, other = zoo.STARCell(I, 1000, longest=50).b.detach().chunk(2)
    assert not other.any()
    assert bool((((-keep).exp() > 1) & ((-keep).exp() < 49)).all())
    assert abs(float((-keep).exp().mean()) - 25) < 2


@pytest.mark.parametrize(("kind", "own"), [(zoo.MUT1Cell, "W_n"), (zoo.MUT2Cell, "W_r")])
def test_mutations_take_an_input_that_fits_as_it_is(kind: type[cello.Cell], own: str) -> None:
    names = {name for name, _ in kind(4, 4).named_parameters()}
    assert own not in names
    assert {name for name, _ in kind(3, 4).named_parameters()} == names | {own}
    cell = kind(4, 4).double()
    wide = kind(4, 4).double()
    setattr(wide, own, torch.nn.Parameter(torch.eye(4).double()))
    wide.load_state_dict(cell.state_dict(), strict=False)
    x = x_of(cell, 3, 2)
    torch.testing.assert_close(cello.Recurrent(cell)(x)[0], cello.Recurrent(wide)(x)[0])


def test_a_highway_whose_gates_are_shut_carries_everything() -> None:
    cell = zoo.RHNCell(I, H, depth=4, gate_bias=-100.0).double()
    h = torch.rand(2, H).double()
    torch.testing.assert_close(cello.Recurrent(cell)(x_of(cell, 9, 2), (h,))[0][-1], h)
    drawn = torch.cat([b[500:] for b in zoo.RHNCell(1, 500, gate_bias=-3.0).b]).detach()
    assert float(drawn.mean()) == pytest.approx(-3, abs=0.02)


def test_no_mass_is_made_or_lost() -> None:
    cell = make("MCLSTMCell")
    mass, a = torch.rand(50, 3, 1).double(), torch.randn(50, 3, 2).double()
    y, state = cello.Recurrent(cell)({"mass": mass, "a": a})
    torch.testing.assert_close(y.sum((0, 2)) + state.c.sum(1), mass.sum((0, 2)))
    assert bool((y >= 0).all())


# ------------------------------------------------------------ shapes


def test_a_convolution_over_one_place_is_an_lstm_with_peepholes() -> None:
    cell = zoo.ConvLSTMCell((I, 1, 1), H, kernel_size=1).double()
    lstm = cello.LSTMCell(I, H, peephole=True).double()
    own = {"W": cell.W, "R": cell.R, "b": cell.b}
    own |= {f"p_{gate}": getattr(cell, f"w_{gate}") for gate in "ifo"}
    lstm.load_state_dict({n: own[n].reshape(p.shape) for n, p in lstm.named_parameters()})
    x = torch.randn(5, 2, I).double()
    y, _ = cello.Recurrent(cell)(x[..., None, None])
    torch.testing.assert_close(y[..., 0, 0], cello.Recurrent(lstm)(x)[0])


@pytest.mark.parametrize("places", [(7,), (5, 6), (3, 4, 5)])
def test_what_moves_in_a_picture_moves_in_its_memory(places: tuple[int, ...]) -> None:
    cell = zeroed(zoo.ConvLSTMCell((1, *places), 2).double(), "w_i", "w_f", "w_o")
    x = torch.zeros(1, 1, *places).double()
    x[(0, 0, *(1 for _ in places))] = 1
    y, moved = cell(x)[0], cell(x.roll(1, -1))[0]
    torch.testing.assert_close(y.roll(1, -1)[..., 1:-1], moved[..., 1:-1])


def test_mlstm_stays_finite_where_exponentials_overflow() -> None:
    layer = cello.Recurrent(zoo.MLSTMCell(I, 8))
    for scale in (1e2, 1e4, -1e4):
        x = (scale * torch.rand(20, 4, I)).requires_grad_()
        y, state = layer(x)
        y.sum().backward()
        assert all(t.isfinite().all() for t in (y, *state, x.grad))


def test_mlstms_forget_bias_is_added_to_the_forget_gate_alone() -> None:
    built = []
    for forget_bias in (0.0, 2.0):
        torch.manual_seed(0)
        built.append(zoo.MLSTMCell(I, H, forget_bias).state_dict())
    added = {name: built[1][name] - part for name, part in built[0].items()}
    differing = {name: part.tolist() for name, part in added.items() if part.any()}
    assert differing == {"a_f": [pytest.approx(2.0)]}


def test_what_a_delta_net_has_bound_it_finds_and_can_replace() -> None:
    cell = make("DeltaNetCell")
    with torch.no_grad():
        cell.a.fill_(100.0)  # beta is 1
        cell.W[:3] = cell.W[3:6]  # asks by the key that it binds
    x = x_of(cell, 1)
    S = torch.randn(1, 3, 3).double()
    y, _ = cell(x, (S,))
    torch.testing.assert_close(y, F.linear(x, cell.W[6:]))


# ------------------------------------------------------------ linear memories


def test_a_linear_unit_turns_and_fades_as_its_number_says() -> None:
    cell = zoo.LRUCell(I, 200, r_min=0.4, r_max=0.9, max_phase=0.5).double()
    r, angle = (-cell.nu.detach().exp()).exp(), cell.theta.detach().exp()
    assert bool(((r >= 0.4 - 1e-6) & (r <= 0.9 + 1e-6)).all())
    assert bool(((angle >= 0) & (angle <= 0.5)).all())
    torch.testing.assert_close(cell.gamma.exp(), (1 - r**2).sqrt(), rtol=1e-5, atol=1e-6)
    assert float(r.square().mean()) == pytest.approx((0.4**2 + 0.9**2) / 2, abs=0.05)
    start = torch.ones(1, 200).double(), torch.zeros(1, 200).double()
    rec = cello.record(cello.Recurrent(cell), torch.zeros(7, 1, I).double(), start)
    h = torch.complex(rec["h_re"], rec["h_im"])[-1, 0]
    torch.testing.assert_close(h.abs(), r**7)
    torch.testing.assert_close(h / h.abs(), torch.polar(torch.ones_like(r), 7 * angle))


def test_a_state_space_starts_as_the_paper_says() -> None:
    cell = zoo.S6Cell(400, 5)
    delta = F.softplus(cell.b.detach())
    assert bool(((delta >= 0.00099) & (delta <= 0.101)).all())
    assert float(delta.log().mean()) == pytest.approx(math.log(0.01), abs=0.2)
    torch.testing.assert_close(cell.A_log.exp(), torch.arange(1.0, 6).expand(400, 5))
    assert bool((cell.D == 1).all())
    assert cell.W_1.shape == (25, 400)


def test_a_state_space_that_takes_no_time_keeps_and_lets_nothing_in() -> None:
    cell = zeroed(make("S6Cell"), "W_1")
    with torch.no_grad():
        cell.b.fill_(-800.0)  # delta is 0
    h = torch.randn(2, *cell.state_sizes["h"]).double()
    _, state = cell(x_of(cell, 2), (h,))
    assert torch.equal(state.h, h)


def test_a_legendre_memory_holds_a_window() -> None:
    """At the end of the window all polynomials are 1: their sum is the input of theta steps ago."""
    torch.set_default_dtype(torch.float64)
    cell = zeroed(zoo.LMUCell(1, 2, order=12, theta=50.0))
    with torch.no_grad():
        cell.e_x.fill_(1.0)
    t = torch.arange(400.0)
    x = torch.sin(t / 25)
    rec = cello.record(cello.Recurrent(cell), x.reshape(-1, 1, 1))
    then = rec["m"][100:, 0].sum(-1).detach()
    # What is held over a step is, on average, half a step old.
    torch.testing.assert_close(then, torch.sin((t[100:] - 49.5) / 25), rtol=0, atol=2e-3)
    now = (rec["m"][100:, 0] * (-1.0) ** torch.arange(12)).sum(-1).detach()
    torch.testing.assert_close(now, torch.sin((t[100:] + 0.5) / 25), rtol=0, atol=5e-2)


# ------------------------------------------------------------ time and spikes


def test_a_value_that_was_not_seen_does_not_matter() -> None:
    layer = cello.Recurrent(zoo.GRUDCell(2, H).double())
    seen = torch.rand(6, 3, 2) > 0.5
    gap, value = torch.rand(6, 3, 2).double(), torch.randn(6, 3, 2).double()
    holes = torch.where(seen, value, torch.nan)
    outcomes = []
    for given in (value, holes):
        y, state = layer({"value": given, "seen": seen, "gap": gap})
        outcomes.append((y, *state, *torch.autograd.grad(y.sum(), list(layer.parameters()))))
    for ours, theirs in zip(*outcomes, strict=True):
        assert torch.equal(ours, theirs)


def test_what_is_not_seen_for_long_is_the_mean_and_a_memory_of_nothing() -> None:
    cell = make("GRUDCell")
    with torch.no_grad():
        for name in ("w_x", "W_h"):
            getattr(cell, name).fill_(1.0)
    h, last = torch.randn(1, H).double(), torch.ones(1, 1).double()
    x = {"value": torch.zeros(1, 1), "seen": torch.zeros(1, 1), "gap": torch.full((1, 1), 1e4)}
    given = {name: part.double() for name, part in x.items()}
    at_mean = given | {"value": torch.full((1, 1), 0.5).double(), "seen": torch.ones(1, 1).double()}
    with torch.no_grad():
        cell.V.zero_()
    torch.testing.assert_close(cell(given, (h, last))[0], cell(at_mean, (0 * h, last))[0])


def test_liquid_units_come_to_rest_between_nothing_and_a() -> None:
    cell = make("LTCCell")
    value, gap = torch.randn(1, 3, 2).double(), torch.full((1, 3, 1), 1e9).double()
    y, _ = cello.Recurrent(cell)({"value": value, "gap": gap}, (torch.full((3, H), 9.0).double(),))
    assert bool((y[0] / cell.A > 0).all() and (y[0].abs() < cell.A.abs()).all())
    resting, _ = cello.Recurrent(cell)({"value": value, "gap": 0 * gap}, (y[0],))
    assert torch.equal(resting, y)


def test_time_chooses_between_two_answers_in_closed_form() -> None:
    cell = make("CfCCell")
    layer = cello.Recurrent(cell)
    value = torch.randn(1, 5, 2).double()
    for sign in (1, -1):
        gap = torch.full((1, 5, 1), sign * 1e9).double()
        rec = cello.record(layer, {"value": value, "gap": gap})
        answer = torch.where(sign * rec["f"] < 0, rec["g"], rec["k"]).tanh()
        torch.testing.assert_close(rec["h"], answer)


def test_units_that_sleep_change_no_bit() -> None:
    layer = cello.Recurrent(zoo.PhasedLSTMCell(2, 50, ratio=0.1).double().eval())
    time = torch.arange(40).reshape(40, 1, 1).double()
    x = {"value": torch.randn(40, 1, 2).double(), "time": time}
    rec = cello.record(layer, x)
    asleep = rec["phase"] >= 0.1
    assert 0.8 < float(asleep.double().mean()) < 0.97
    for name in ("c", "h"):
        assert torch.equal(rec[name][asleep], rec[f"{name}_prev"][asleep])
        assert bool((rec[name][~asleep] != rec[f"{name}_prev"][~asleep]).any())
    layer.train()
    assert bool((cello.record(layer, x)["k"][asleep] > 0).all())


def test_clocks_start_as_the_paper_says() -> None:
    cell = zoo.PhasedLSTMCell(2, 2000, log_longest=4.0)
    logs = cell.period.detach().log()
    assert bool(((logs >= 0) & (logs <= 4)).all())
    assert float(logs.mean()) == pytest.approx(2, abs=0.1)
    assert bool(((cell.shift >= 0) & (cell.shift <= cell.period)).all())


class SuperSpike(torch.autograd.Function):
    """The surrogate gradient as it is usually written."""

    @staticmethod
    def forward(ctx, v: Tensor) -> Tensor:
        ctx.save_for_backward(v)
        return (v > 0).to(v)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        (v,) = ctx.saved_tensors
        return gradient / (1 + 10 * v.abs()) ** 2


def test_spikes_have_the_surrogates_gradient() -> None:
    cell = make("LIFCell")
    with torch.no_grad():
        cell.W *= 3
    x = x_of(cell, 12, 3).requires_grad_()
    y, _ = cello.Recurrent(cell, engine="cpu")(x)
    i = u = s = torch.zeros(3, H).double()
    spikes = []
    for part in x:
        i = 0.8 * i + part @ cell.W.T + s @ cell.R.T
        u = 0.9 * u + i - s
        s = SuperSpike.apply(u - 1)
        spikes.append(s)
    theirs = torch.stack(spikes)
    assert set(y.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(y, theirs)
    leaves = [x, cell.W, cell.R]
    weight = torch.randn_like(y)
    ours = torch.autograd.grad((weight * y).sum(), leaves)
    for mine, other in zip(ours, torch.autograd.grad((weight * theirs).sum(), leaves), strict=True):
        torch.testing.assert_close(mine, other)
