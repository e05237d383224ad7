# ruff: noqa: E501 (a case on a line)
from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import cello
from cello.errors import ArgumentError, CaptureError, DtypeError
from cello.program import capture
from cello.see.draw.step.formulas import is_fixed, parts
from cello.see.formulas.notation import Expression, Part
from cello.see.formulas.symbols import Symbols
from tests import registry
from tests.see.arithmetic import test_explain
from tests.see.arithmetic.test_explain import Step

LSTM = """\
z_i = W_i x + R_i h_prev + b_i
z_f = W_f x + R_f h_prev + b_f
z = W_g x + R_g h_prev + b_g
z_o = W_o x + R_o h_prev + b_o
i = σ(z_i)
f = σ(z_f)
g = tanh(z)
c = i ⊙ g + f ⊙ c_prev
o = σ(z_o)
h = o ⊙ tanh(c)"""

EQUATIONS = {
    "elman": "z = W x + R h_prev + b\nh = tanh(z)",
    "elman-relu-no-bias": "z = W x + R h_prev\nh = relu(z)",
    "jordan": "h = σ(W x + R y_prev + b)\ny = V h + d",
    "jordan-softmax": "h = tanh(W x + R y_prev)\ny = softmax(V h)",
    "lstm": LSTM,
    "lstm-lecture": """\
z_i = W_i x + b_i
z_f = W_f x + b_f
z = W_g x + b_g
z_o = W_o x + b_o
i = σ(z_i)
f = σ(z_f)
g = z
c = i ⊙ g + f ⊙ c_prev
o = σ(z_o)
h = o ⊙ c""",
    "lstm-projection": """\
z_i = W_i x + R_i h_prev + p_i ⊙ c_prev
z_f = W_f x + R_f h_prev + p_f ⊙ c_prev
z = W_g x + R_g h_prev
i = σ(z_i)
f = σ(z_f)
g = tanh(z)
c = i ⊙ g + f ⊙ c_prev
z_o = W_o x + R_o h_prev + p_o ⊙ c
o = σ(z_o)
h = P (o ⊙ tanh(c))""",
    "gru-two-biases": """\
x_r = W_r x + b_r
x_z = W_z x + b_z
x_n = W_n x + b_n
h_r = R_r h_prev
h_z = R_z h_prev
h_n = R_n h_prev + d
r = σ(x_r + h_r)
z = σ(x_z + h_z)
n = tanh(x_n + r ⊙ h_n)
h = (1 − z) ⊙ n + z ⊙ h_prev""",
    "gru-reset-before": """\
x_r = W_r x + b_r
x_z = W_z x + b_z
x_n = W_n x + b_n
h_r = R_r h_prev
h_z = R_z h_prev
r = σ(x_r + h_r)
z = σ(x_z + h_z)
h_n = R_n (r ⊙ h_prev)
n = tanh(x_n + h_n)
h = (1 − z) ⊙ n + z ⊙ h_prev""",
    "torch-gru": """\
x_r = W_ir x + b_ir + b_hr
x_z = W_iz x + b_iz + b_hz
x_n = W_in x + b_in
h_r = W_hr h_prev
h_z = W_hz h_prev
h_n = W_hn h_prev + b_hn
r = σ(x_r + h_r)
z = σ(x_z + h_z)
n = tanh(x_n + r ⊙ h_n)
h = (1 − z) ⊙ n + z ⊙ h_prev""",
    "leaky": """\
a = σ(A x + A.bias)
g = tanh(W x + R h_prev + W.bias)
h = (1 − a) ⊙ h_prev + a ⊙ g""",
    "two-sizes": """\
new = layer_norm(scale ⊙ h_prev + tanh(W concat(x, m_prev) + W.bias), norm.weight, norm.bias)
h = new
m = silu(M new) + offset
y = log_softmax(V new + V.bias)""",
    "no-grad": """\
add = W x + R h_prev + W.bias
peak = max(|add|)
a = (add / (peak + 1))·0.9
h = (a if a > 0 else 0.1·detach(a)) + 0.5·h_prev""",
    "stranger": """\
candidate = tanh(module.mix concat(x, h_prev) + module.mix.bias)
trace = 0.9·c_prev + 0.1·candidate
h = candidate ⊙ trace
c = trace""",
    "SLSTMCell": """\
z_i = W_i x + R_i h_prev + b_i
z_f = W_f x + R_f h_prev + b_f
z = W_g x + R_g h_prev + b_g
z_o = W_o x + R_o h_prev + b_o
kept = −∞ if n_prev = 0 else log(σ(z_f)) + m_prev
m = max(kept, z_i)
i = exp(z_i − m)
f = exp(kept − m)
g = tanh(z)
o = σ(z_o)
c = i ⊙ g + f ⊙ c_prev
n = i + f ⊙ n_prev
h = o ⊙ c / n""",
    "ClockworkCell": """\
due = (wait_prev ≤ 0)
n = tanh(W x + (mask ⊙ R) h_prev + b)
h = n if due else h_prev
wait = (period if due else wait_prev) − 1""",
    "AntisymmetricCell-gated": """\
drift = (R − Rᵀ) h_prev − 0.1·h_prev
z = σ(W_z x + drift + b_z)
n = z ⊙ tanh(W x + drift + b)
h = h_prev + 0.5·n""",
    "LEMCell": """\
x_1 = W_1 x + b_1
x_2 = W_2 x + b_2
x_z = W_z x + b_z
x_y = W_y x + b_y
y_1 = R_1 y_prev
y_2 = R_2 y_prev
y_z = R_z y_prev
dt_1 = σ(x_1 + y_1)
dt_2 = σ(x_2 + y_2)
z = (1 − dt_1) ⊙ z_prev + dt_1 ⊙ tanh(x_z + y_z)
y = (1 − dt_2) ⊙ y_prev + dt_2 ⊙ tanh(x_y + R_y z)""",
    "ConvLSTMCell": """\
z_i = W_i ∗ x + R_i ∗ h_prev + b_i
z_f = W_f ∗ x + R_f ∗ h_prev + b_f
z = W_g ∗ x + R_g ∗ h_prev + b_g
z_o = W_o ∗ x + R_o ∗ h_prev + b_o
i = σ(z_i + w_i ⊙ c_prev)
f = σ(z_f + w_f ⊙ c_prev)
g = tanh(z)
c = i ⊙ g + f ⊙ c_prev
o = σ(z_o + w_o ⊙ c)
h = o ⊙ tanh(c)""",
    "LIFCell": """\
i = 0.8·i_prev + W x + R s_prev
u = 0.9·u_prev + i − s_prev
v = u − 1
smooth = v / (10·|v| + 1)
fired = (v > 0)
s = smooth + detach(fired − smooth)""",
    "MogrifierLSTMCell": """\
mul_1 = 2·σ(Q.0 h_prev) ⊙ x
mul_3 = 2·σ(Q.1 mul_1) ⊙ h_prev
mul_5 = 2·σ(Q.2 mul_3) ⊙ mul_1
z_i = W_i mul_5 + R_i mul_3 + b_i
z_f = W_f mul_5 + R_f mul_3 + b_f
z = W_g mul_5 + R_g mul_3 + b_g
z_o = W_o mul_5 + R_o mul_3 + b_o
i = σ(z_i)
f = σ(z_f)
o = σ(z_o)
g = tanh(z)
c = i ⊙ g + f ⊙ c_prev
h = o ⊙ tanh(c)""",
}


@pytest.mark.parametrize("name", EQUATIONS)
def test_cells(name: str):
    assert cello.equations(registry.make(name)) == EQUATIONS[name]


@pytest.mark.parametrize("name", registry.CAPTURED)
def test_every_cell_has_equations_in_both_forms(name: str):
    cell = registry.make(name)
    text, latex = cello.equations(cell), cello.equations(cell, latex=True)
    lines = text.splitlines()
    own = {line.partition(" = ")[0] for line in lines}
    assert set(cell.state) <= own
    assert "aten" not in text
    assert latex.startswith("\\begin{aligned}\n")
    assert latex.endswith("\n\\end{aligned}")
    assert len(latex.splitlines()) == len(lines) + 2
    assert latex.count("{") == latex.count("}")
    assert latex.count(r"\left") == latex.count(r"\right")
    assert latex.isascii()


def test_latex():
    assert cello.equations(cello.GRUCell(2, 2, reset_after=False), latex=True).splitlines()[7:] == [
        r"z &= \sigma\left(x_{z} + h_{z}\right) \\",
        r"h_{n} &= R_{n}\,\left(r \odot h_{\mathrm{prev}}\right) \\",
        r"n &= \tanh\left(x_{n} + h_{n}\right) \\",
        r"h &= \left(1 - z\right) \odot n + z \odot h_{\mathrm{prev}}",
        r"\end{aligned}",
    ]


STEPS: dict[str, tuple[Callable[..., Tensor], str]] = {
    "products from the left": (lambda s, x, h: x @ s.W.weight, "h = Wᵀ x"),
    "columns": (lambda s, x, h: (s.W.weight @ x.t()).t(), "h = W x"),
    "a vector": (lambda s, x, h: (x @ s.p).unsqueeze(-1) * h, "h = (pᵀ x) ⊙ h_prev"),
    "units of a name": (lambda s, x, h: torch.cat([x, h], 1)[:, 2:6], "h = concat(x[2:4], h_prev[0:2])"),
    "rows of a parameter": (
        lambda s, x, h: torch.cat([F.linear(x, s.W.weight[:1]), F.linear(h, s.W.weight[1:])], 1),
        "h = concat(W[0] x, W[1:4] h_prev)",
    ),
    "one unit": (lambda s, x, h: h * x[:, 2:3], "h = h_prev ⊙ x[2]"),
    "selected": (lambda s, x, h: torch.stack([x[:, 0], h[:, 1], x[:, 2], x[:, 3]], 1), "h = stack(x[0], h_prev[1], x[2], x[3])"),
    "both fixed": (lambda s, x, h: x @ (s.W.weight @ s.W.weight), "h = (W W)ᵀ x"),
    "random": (lambda s, x, h: F.dropout(x, 0.25, s.training), "h = x ⊙ (bernoulli(0.75) / 0.75)"),
    "constants": (lambda s, x, h: x * 2 + h / 4 - torch.tensor(0.5), "h = 2·x + h_prev / 4 − 0.5"),
    "brackets": (lambda s, x, h: (x - (h + s.p)) * -x / (2 * h) ** 2, "h = (x − (h_prev + p)) ⊙ (−x) / (2·h_prev)²"),
    "every second unit": (lambda s, x, h: torch.cat([x[:, ::2], h[:, 1::2]], 1), "h = concat(x[0:3:2], h_prev[1:4:2])"),
    "all units": (lambda s, x, h: x[:] + h[:, :], "h = x + h_prev"),
    "a vector turned": (lambda s, x, h: h * (x @ s.p.t()).unsqueeze(-1), "h = h_prev ⊙ (pᵀ x)"),
    "used twice": (lambda s, x, h: torch.tanh(x + h) ** 2 + 1, "h = tanh(x + h_prev)² + 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_notation(name: str):
    function, equation = STEPS[name]
    assert cello.equations(Step(function)) == equation


@pytest.mark.parametrize("name", test_explain.STEPS)
def test_every_operation_has_a_notation(name: str):
    text = cello.equations(Step(test_explain.STEPS[name]))
    assert text.splitlines()[-1].startswith("h = ")
    assert "aten" not in text


def test_what_is_used_again_gets_a_line():
    def step(s: Step, x: Tensor, h: Tensor) -> Tensor:
        return _twice(torch.tanh(x + h))

    def _twice(v: Tensor) -> Tensor:
        return v * torch.sigmoid(v)

    assert cello.equations(Step(step)) == "tanh = tanh(x + h_prev)\nh = tanh ⊙ σ(tanh)"


def test_the_zero_of_a_sum_is_left_out():
    class Adding(cello.Cell):
        state = ("h",)

        def __init__(self) -> None:
            super().__init__(2, 2)

        def step(self, x: Tensor, h: Tensor):
            h = torch.tanh(sum([x, h, 0.5 * x]))
            return h, (h,)

    assert str(cello.equations(Adding())) == "h = tanh(x + h_prev + 0.5·x)"


def of_the_library(name: str) -> bool:
    return type(registry.make(name)).__module__.startswith("cello.")


@pytest.mark.parametrize("name", [*filter(of_the_library, registry.DISTINCT)])
def test_parameters_of_the_library_are_called_as_in_a_paper(name: str) -> None:
    cell = registry.make(name, torch.float32)
    program = capture(cell)
    for _, right in Symbols(program, cell.gates).lines():
        assert not [node for node in _all(right) if isinstance(node, Part) and is_fixed(node)]


def _all(node: Expression) -> Iterator[Expression]:
    yield node
    for part in parts(node):
        yield from _all(part)


def test_gates_that_a_user_has_packed():
    class Packed(cello.Cell):
        state = ("h",)
        gates = ("u", "v")

        def __init__(self) -> None:
            super().__init__(3, 2)
            self.K = nn.Parameter(torch.zeros(4, 3))
            self.bias = nn.Parameter(torch.zeros(4))

        def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
            drive = F.linear(x, self.K, self.bias)
            u, v = drive.sigmoid().chunk(2, -1)
            h = u * h + v
            return h, (h,)

    assert cello.equations(Packed()) == (
        "drive = K x + bias\nu = σ(drive[0:2])\nv = σ(drive[2:4])\nh = u ⊙ h_prev + v"
    )


def test_nets_name_their_layers():
    net = cello.Stack(
        cello.Bidirectional(cello.LSTMCell(8, 4)),
        nn.Dropout(0.1),
        cello.Recurrent(cello.ElmanCell(8, 4, bias=False), engine="reference"),
    )
    assert cello.equations(net) == (
        f"0.forward, 0.backward: LSTMCell(8, 4)\n{LSTM}\n\n"
        "2: ElmanCell(8, 4, bias=False)\nz = W x + R h_prev\nh = tanh(z)"
    )
    assert cello.equations(net, latex=True).splitlines()[0] == (
        r"\text{0.forward, 0.backward: LSTMCell(8, 4)} \\"
    )
    free = cello.Stack(
        *(cello.Recurrent(cello.LSTMCell(3, n, output_activation="relu")) for n in (3, 2))
    )
    assert cello.equations(free, latex=True).startswith(
        r"\text{0: LSTMCell(3, 3, output\_activation='relu')} \\"
    )
    assert cello.equations(cello.Recurrent(cello.LSTMCell(8, 4))) == LSTM
    assert cello.equations(cello.LSTM(3, 2, bias=False)).splitlines()[0] == (
        "z_i = W_ii x + W_hi h_prev"
    )
    assert cello.equations(nn.RNNCell(3, 2, bias=False)) == (
        "z = W_ih x + W_hh h_prev\nh = tanh(z)"
    )


def test_a_layer_that_cannot_be_traced_says_so():
    cell = registry.make("branching")
    with pytest.raises(
        CaptureError, match=r"^BranchingCell.step cannot be captured: it decides by"
    ):
        cello.equations(cell)
    net = cello.Stack(cello.Recurrent(cell), cello.Recurrent(cello.ElmanCell(4, 2).double()))
    text = cello.equations(net)
    assert text.startswith("0: BranchingCell()\nnot known: BranchingCell.step cannot be captured")
    assert text.endswith("1: ElmanCell(4, 2)\nz = W x + R h_prev + b\nh = tanh(z)")


@pytest.mark.parametrize(
    ("net", "error", "message"),
    [
        (nn.LSTM(3, 4), ArgumentError, r"use cello.accelerate\(net\)"),
        (nn.Linear(3, 4), ArgumentError, r"^Linear holds no recurrent layer of ours"),
        ("LSTM", DtypeError, r"^net must be a module, got str$"),
    ],
)
def test_what_has_no_equations_is_refused(net: nn.Module, error: type, message: str):
    with pytest.raises(error, match=message):
        cello.equations(net)


class DeltaRule(cello.Cell):
    """A matrix for each row, written to and read by vectors."""

    state = ("S",)

    def __init__(self) -> None:
        super().__init__(4, 6, output_size=3, state_sizes={"S": (2, 3)})
        self.K, self.V, self.Q = nn.Linear(4, 3), nn.Linear(4, 2), nn.Linear(4, 2)

    def step(self, x, S):
        k, v, q = self.K(x), self.V(x), self.Q(x)
        old = torch.bmm(S, k.unsqueeze(-1)).squeeze(-1)
        S = S + torch.einsum("bi,bj->bij", v - old, k)
        row = q.unsqueeze(1)
        y = (0.9 * row @ S).squeeze(1)
        both = S.transpose(1, 2) @ q[:, :, None] + torch.bmm(S.mT, v[..., None])
        return y + both.squeeze(-1), (S,)


def test_products_with_a_matrix_of_each_row() -> None:
    text = str(cello.equations(DeltaRule()))
    assert text.splitlines()[3:] == [
        "old = S_prev k",
        "S = S_prev + (v − old) kᵀ",
        "row = q",
        "y = (0.9·row) S",
        "both = Sᵀ q + Sᵀ v",
        "output = y + both",
    ]
