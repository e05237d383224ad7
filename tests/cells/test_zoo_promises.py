"""What the papers of the zoo promise: what stays, what fades, who hears whom, what is drawn."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

import cello
from cello import zoo
from cello.engines import ENGINES
from cello.errors import DtypeError
from tests.registry import RANDOM, H, I, make


def random_input(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, I, dtype=torch.float64)


def test_indrnn_is_elman_with_a_diagonal_r() -> None:
    cell, elman = make("IndRNNCell"), cello.ElmanCell(I, H, "relu").double()
    with torch.no_grad():
        elman.W.copy_(cell.W)
        elman.b.copy_(cell.b)
        elman.R.copy_(cell.u.diag())
    x = random_input(6, 2)
    torch.testing.assert_close(cello.Recurrent(cell)(x)[0], cello.Recurrent(elman)(x)[0])


def test_janet_without_beta_is_a_gru_that_never_resets() -> None:
    """h = f h_prev + (1 − f) g, the GRU's last line."""
    cell, gru = zoo.JANETCell(I, H, beta=0.0).double(), cello.GRUCell(I, H).double()
    with torch.no_grad():
        for name in ("W", "R", "b"):
            z, n = getattr(cell, name).chunk(2)
            getattr(gru, name).copy_(torch.cat([torch.zeros_like(z), z, n]))
        gru.b[:H] = 100.0  # r is 1
    x = random_input(6, 2)
    torch.testing.assert_close(cello.Recurrent(cell)(x)[0], cello.Recurrent(gru)(x)[0])


def test_janets_biases_start_by_the_longest_dependency() -> None:
    forget, other = zoo.JANETCell(I, 1000, longest=50).b.detach().chunk(2)
    assert bool((other == 0).all())
    u = forget.exp()
    assert bool(((u > 1) & (u < 49)).all())
    assert abs(float(u.mean()) - 25) < 2
    forget, other = zoo.JANETCell(I, 5).b.detach().chunk(2)
    assert forget.tolist() == [1.0] * 5
    assert other.tolist() == [0.0] * 5


@pytest.mark.parametrize("kind", [zoo.UGRNNCell, zoo.SLSTMCell])
def test_forget_bias_is_added_to_one_gate_alone(kind: type[zoo.UGRNNCell]) -> None:
    biases = []
    for forget_bias in (0.0, 2.0):
        torch.manual_seed(0)
        biases.append(kind(I, H, forget_bias=forget_bias).b.detach())
    added = (biases[1] - biases[0]).reshape(len(kind.gates), H)
    expected = torch.zeros(len(kind.gates), H)
    expected[{"u": 0, "i": 1}[kind.gates[0]]] = 2.0
    torch.testing.assert_close(added, expected)


def test_light_gru_starts_orthogonal() -> None:
    for part in zoo.LiGRUCell(I, H).double().R.chunk(2):
        torch.testing.assert_close(
            part @ part.T, torch.eye(H, dtype=torch.float64), atol=1e-6, rtol=0
        )


def test_slstm_stays_finite_where_exponentials_overflow() -> None:
    layer = cello.Recurrent(zoo.SLSTMCell(I, 50))
    for scale in (1e2, 1e4, -1e4):
        y, state = layer(scale * torch.rand(20, 4, I))
        assert y.isfinite().all()
        assert bool((y.abs() <= 1 + 1e-6).all())  # n counts at least what c can be
        assert bool((state.n >= 1).all())


def test_slstm_from_the_zero_state_takes_all_of_its_first_input() -> None:
    cell = make("SLSTMCell")
    x = random_input(5)
    y, _ = cell(x)
    _, _, z, z_o = F.linear(x, cell.W, cell.b).chunk(4, dim=-1)
    torch.testing.assert_close(y, torch.sigmoid(z_o) * torch.tanh(z))


def test_lstm_with_layer_norm_knows_no_scale_of_its_weights() -> None:
    cell = make("LayerNormLSTMCell")
    with torch.no_grad():
        cell.W *= 1e4  # far above the norm's epsilon
        cell.R *= 1e4
    x = random_input(5, 2)
    y, _ = cello.Recurrent(cell)(x)
    with torch.no_grad():
        cell.W *= 3
        cell.R *= 7
    torch.testing.assert_close(cello.Recurrent(cell)(x)[0], y, rtol=1e-6, atol=1e-8)


def test_coupled_memory_stays_within_its_inputs() -> None:
    layer = cello.Recurrent(make("CoupledLSTMCell"))
    _, state = layer(100 * random_input(200, 3))
    assert bool((state.c.abs() <= 1).all())


def test_min_lstm_shares_out_one() -> None:
    """A candidate that never changes is reached and kept, whatever the gates do."""
    cell = make("MinLSTMCell")
    with torch.no_grad():
        cell.W[2 * H :] = 0
    target = cell.b.detach()[2 * H :]
    y, _ = cello.Recurrent(cell)(random_input(4, 2), target.expand(2, H))
    torch.testing.assert_close(y, target.expand(4, 2, H))


def test_an_undriven_cornn_loses_energy_and_without_damping_keeps_it() -> None:
    lost = {}
    for epsilon in (0.0, 0.5):
        cell = zoo.CoRNNCell(I, H, dt=0.01, gamma=2.0, epsilon=epsilon).double()
        with torch.no_grad():
            for parameter in cell.parameters():
                parameter.zero_()
        recording = cello.record(
            cello.Recurrent(cell), random_input(2000, 1), (torch.ones(1, H).double(),) * 2
        )
        energy = 2.0 * recording["y"].detach() ** 2 / 2 + recording["z"].detach() ** 2 / 2
        lost[epsilon] = energy / energy[0]
    assert float((lost[0.0] - 1).abs().max()) < 0.02  # swings by the step's length, no drift
    assert float(lost[0.5][-1].max()) < 1e-3


def test_an_undriven_unicornn_keeps_its_energy() -> None:
    cell = zoo.UnICORNNCell(I, H, dt=0.02, alpha=3.0).double()
    with torch.no_grad():
        cell.W.zero_()
        cell.w.zero_()
    start = (torch.ones(1, H).double(),) * 2
    recording = cello.record(cello.Recurrent(cell), random_input(3000, 1), start)
    energy = 3.0 * recording["y"].detach() ** 2 / 2 + recording["z"].detach() ** 2 / 2
    assert float((energy / energy[0] - 1).abs().max()) < 0.05


def test_lem_with_open_gates_takes_the_candidates() -> None:
    cell = make("LEMCell")
    with torch.no_grad():
        cell.b[: 2 * H] = 100.0
    x, y_prev = random_input(2), torch.randn(2, H, dtype=torch.float64)
    W_z, W_y = cell.W.chunk(4)[2:]
    R_z, R_y = cell.R.chunk(4)[2:]
    b_z, b_y = cell.b.chunk(4)[2:]
    y, (_, z) = cell(x, (y_prev, torch.full_like(y_prev, 9.0)))
    torch.testing.assert_close(z, torch.tanh(x @ W_z.T + y_prev @ R_z.T + b_z))
    torch.testing.assert_close(y, torch.tanh(x @ W_y.T + z @ R_y.T + b_y))


def test_antisymmetric_network_neither_grows_nor_fades() -> None:
    """The eigenvalues of its matrix have no real part: turning is all that it does."""
    cell = zoo.AntisymmetricCell(I, 6, gamma=0.0).double()
    A = (cell.R - cell.R.T).detach()
    assert float(torch.linalg.eigvals(A).real.abs().max()) < 1e-12
    with torch.no_grad():
        for name in ("W", "b"):
            getattr(cell, name).zero_()
    h = 1e-3 * torch.randn(1, 6, dtype=torch.float64)  # tanh is linear here
    y, _ = cello.Recurrent(cell)(random_input(100, 1), (h,))
    assert float((y[-1].detach().norm() / h.norm() - 1).abs()) < 1e-2


def test_scrns_context_is_a_slow_mean() -> None:
    cell = make("SCRNCell")
    x = random_input(1, 2).expand(400, 2, I)
    y, state = cello.Recurrent(cell)(x)
    torch.testing.assert_close(state.s, F.linear(x[0], cell.B), rtol=1e-6, atol=1e-8)
    assert torch.equal(y[-1], torch.cat(state, dim=-1))


@pytest.mark.parametrize("engine", ENGINES)
def test_clockwork_groups_move_at_their_periods_alone(engine: str) -> None:
    cell = zoo.ClockworkCell(I, 6, periods=(1, 2, 3)).double()
    with cello.engine(engine):
        y, _ = cello.Recurrent(cell)(random_input(12, 2))
    before = torch.cat([torch.zeros(1, 2, 6, dtype=torch.float64), y[:-1]])
    moved = (y != before).all(dim=1)  # [T, H]
    steps = torch.arange(12)
    for group, period in enumerate((1, 2, 3)):
        for unit in (2 * group, 2 * group + 1):
            assert torch.equal(moved[:, unit], steps % period == 0)


def test_clockwork_begins_anew_after_a_reset() -> None:
    layer = cello.Recurrent(zoo.ClockworkCell(I, 4, periods=(1, 4)).double())
    x = random_input(5, 1)
    reset = torch.zeros(5, 1, dtype=torch.bool)
    reset[3] = True
    torch.testing.assert_close(layer(x, reset=reset)[0][3:], layer(x[3:])[0])


def test_slow_clocks_do_not_hear_fast_ones() -> None:
    cell = make("ClockworkCell")
    x = random_input(1)
    h = torch.randn(1, H, dtype=torch.float64, requires_grad=True)
    cell(x, (h, torch.zeros(1, H, dtype=torch.float64)))[0][0, 2:].sum().backward()
    assert h.grad is not None
    assert h.grad[0, :2].tolist() == [0.0, 0.0]
    assert bool((h.grad[0, 2:] != 0).all())


def test_echo_states_fade_below_a_spectral_radius_of_one() -> None:
    torch.manual_seed(0)
    apart = {}
    for radius in (0.7, 3.0):
        layer = cello.Recurrent(zoo.EchoStateCell(I, 60, radius, input_scale=0.1)).double()
        x = random_input(200, 1)
        (one, _), (other, _) = (
            layer(x, (torch.randn(1, 60, dtype=torch.float64),)) for _ in range(2)
        )
        apart[radius] = float((one[-1] - other[-1]).detach().norm())
    assert apart[0.7] < 1e-6
    assert apart[3.0] > 1e-2


@pytest.mark.parametrize("connections", [1, 3, 100])
def test_a_reservoir_is_as_asked_and_never_trained(connections: int) -> None:
    cell = zoo.EchoStateCell(I, 20, 0.5, connections=connections).double()
    assert (cell.R != 0).sum(dim=1).tolist() == [min(connections, 20)] * 20
    assert float(torch.linalg.eigvals(cell.R).abs().max()) == pytest.approx(0.5, rel=1e-6)
    assert list(cell.parameters()) == []
    assert set(cell.state_dict()) == {"W", "R", "b"}


def test_a_cell_without_parameters_works_in_the_dtype_of_its_buffers() -> None:
    layer = cello.Recurrent(zoo.EchoStateCell(I, H), initial_state="learned").double()
    assert cello.Bidirectional(layer.cell).backward_layer.cell.R.dtype == torch.float64
    x = random_input(3, 1)
    stepper = cello.Recurrent(layer.cell).stream()
    streamed = torch.stack([stepper(part) for part in x])
    torch.testing.assert_close(streamed, cello.Recurrent(layer.cell)(x)[0])
    with pytest.raises(
        DtypeError, match=r"dtype of EchoStateCell's parameters, torch.float64, got"
    ):
        layer.cell(x[0].float())


# ------------------------------------------------------------ random numbers


@pytest.mark.parametrize("engine", ENGINES)
def test_zoneout_keeps_what_its_masks_say(engine: str) -> None:
    layer = cello.Recurrent(zoo.ZoneoutLSTMCell(I, 40, zoneout_c=0.3, zoneout_h=0.1).double())
    with cello.engine(engine):
        rec = cello.record(layer, random_input(30, 4))
    for name, rate in (("c", 0.3), ("h", 0.1)):
        keep = rec[f"keep_{name}"]
        assert keep.unique().tolist() == [0.0, 1.0]
        assert float(keep.mean()) == pytest.approx(rate, abs=0.04)
        expected = torch.where(keep == 1, rec[f"{name}_prev"], rec[f"{name}_new"])
        assert torch.equal(rec[name], expected)
    torch.testing.assert_close(rec["c_new"], rec["i"] * rec["g"] + rec["f"] * rec["c_prev"])
    torch.testing.assert_close(rec["h_new"], rec["o"] * rec["c_new"].tanh())
    assert not torch.equal(rec["keep_c"][0], rec["keep_c"][1])


@pytest.mark.parametrize("engine", ENGINES)
def test_recurrent_dropout_drops_candidates_alone(engine: str) -> None:
    layer = cello.Recurrent(zoo.RecurrentDropoutLSTMCell(I, 40, dropout=0.4).double())
    with cello.engine(engine):
        rec = cello.record(layer, random_input(30, 4))
    dropped = rec["g"] == 0
    assert float(dropped.double().mean()) == pytest.approx(0.4, abs=0.04)
    g = torch.where(dropped, 0.0, rec["z"].tanh() / 0.6)
    torch.testing.assert_close(rec["g"], g)
    torch.testing.assert_close(rec["c"], rec["i"] * g + rec["f"] * rec["c_prev"])


@pytest.mark.parametrize("engine", ENGINES)
def test_noise_of_a_ctrnn(engine: str) -> None:
    """A current that gets nothing but noise has the promised standard deviation."""
    layer = cello.Recurrent(zoo.CTRNNCell(I, 50, alpha=0.1, noise=0.7, activation="identity"))
    for parameter in layer.requires_grad_(False).parameters():
        parameter.zero_()
    with cello.engine(engine):
        rec = cello.record(layer, torch.zeros(400, 10, I))
    expected = 0.9 * rec["h_prev"] + 0.2**0.5 * 0.7 * rec["noise"]
    torch.testing.assert_close(rec["h"], expected)
    assert float(rec["noise"].std()) == pytest.approx(1, abs=0.02)
    exact = 0.7 * (2 * 0.1 / (1 - 0.9**2)) ** 0.5  # 0.7 as alpha goes to 0
    assert float(rec["h"][100:].std()) == pytest.approx(exact, rel=0.05)
    layer.eval()
    with cello.engine(engine):
        assert not layer(torch.zeros(3, 1, I))[0].any()


@pytest.mark.parametrize("name", RANDOM)
def test_gradients_go_through_what_was_drawn(name: str) -> None:
    """With the same seed the same numbers are drawn, so that a step has a numeric gradient."""
    layer = cello.Recurrent(RANDOM[name]().double())

    def run(x: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        return layer(x)[0]

    assert torch.autograd.gradcheck(run, (random_input(3, 2).requires_grad_(),))
