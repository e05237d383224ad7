# ruff: noqa: E501 (a step on a line)
from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import cello
from tests import registry
from tests.see.recording.test_table import INPUTS, lecture

I, H = registry.I, registry.H  # noqa: E741


# ------------------------------------------------------------ the lecture, word for word


def test_the_lectures_first_step():
    assert str(cello.record(lecture(), INPUTS).explain(t=0, unit=0)).splitlines() == [
        "z_i = 0·3 + 100·1 + 0·0 − 10 = 90",
        "z_f = 0·3 + 100·1 + 0·0 + 10 = 110",
        "z = 1·3 + 0·1 + 0·0 = 3",
        "z_o = 0·3 + 0·1 + 100·0 − 10 = −10",
        "i = σ(90) = 1",
        "f = σ(110) = 1",
        "g = z = 3",
        "c = 1·3 + 1·0 = 3",
        "o = σ(−10) = 4.54e-5",
        "h = 4.54e-5·3 = 1.36e-4",
    ]


def test_a_notebook_without_formulas_shows_the_lines():
    explanation = cello.record(lecture(), INPUTS).explain(t=0, unit=0)
    assert repr(explanation) == str(explanation)


def test_the_lectures_last_step_has_the_memory_of_the_one_before():
    explained = cello.record(lecture(), INPUTS).explain(t=4, unit=0, names=["c", "z_i", "f"])
    assert str(explained).splitlines() == [
        "z_i = 0·3 + 100·(−1) + 0·0 − 10 = −110",
        "f = σ(−90) = 8.19e-40",
        "c = 1.69e-48·3 + 8.19e-40·6.9995 = 5.74e-39",
    ]
    assert explained.latex() == (
        "\\begin{aligned}\n"
        r"z_{i} &= 0 \cdot 3 + 100 \cdot \left(-1\right) + 0 \cdot 0 - 10 = -110 \\"
        "\n"
        r"f &= \sigma\left(-90\right) = 8.19 \cdot 10^{-40} \\"
        "\n"
        r"c &= 1.69 \cdot 10^{-48} \cdot 3 + 8.19 \cdot 10^{-40} \cdot 6.9995"
        r" = 5.74 \cdot 10^{-39}"
        "\n\\end{aligned}"
    )
    assert explained._repr_latex_().startswith(r"$\displaystyle \begin{aligned}")
    line = explained.lines[2]
    assert (line.name, line.unit) == ("c", 0)
    assert line.value == pytest.approx(5.7e-39, rel=0.01)


def test_a_users_cell():
    cell = registry.LeakyCell()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.fill_(0.5)
        cell.A.bias.fill_(-1.0)
    rec = cello.record(cello.Recurrent(cell), torch.tensor([[1.0, 2.0, -2.0], [0.0, 1.0, 0.0]]))
    assert str(rec.explain(t=0, unit=2)).splitlines() == [
        "a[2] = σ(0.5·1 + 0.5·2 + 0.5·(−2) − 1) = 0.37754",
        "g[2] = tanh(0.5·1 + 0.5·2 + 0.5·(−2) + 0.5·0 + 0.5·0 + 0.5·0 + 0.5·0 + 0.5) = 0.76159",
        "h[2] = (1 − 0.37754)·0 + 0.37754·0.76159 = 0.28753",
    ]
    assert str(rec.explain(t=1, unit=3, names="h")) == (
        "h[3] = (1 − 0.37754)·0.28753 + 0.37754·0.91783 = 0.52549"
    )


# ------------------------------------------------------------ what is shown is what happened


SIGNS = str.maketrans(
    {"·": "*", "−": "-", "σ": "sigmoid", "√": "sqrt", "²": "**2", "^": "**"}
    | {"≤": "<=", "≥": ">=", "≠": "!=", "∞": "inf"}
)


def read(text: str, values: dict[str, list[float]]) -> float:
    """What a line's right side comes to, by Python's own arithmetic."""
    text = re.sub(r"\|([^|]*)\|", r"abs(\1)", text)
    text = text.translate(SIGNS)
    text = re.sub(r"( if \S+) = ", r"\1 == ", text)
    return eval(text, {"__builtins__": {}}, FUNCTIONS | values)


def functional(name: str) -> Callable[..., float]:
    return lambda x, *more: getattr(F, name)(torch.tensor(x, dtype=torch.float64), *more).item()


FUNCTIONS: dict[str, Any] = {
    "inf": math.inf,
    "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
    "relu": lambda z: max(z, 0.0),
    "hard_sigmoid": lambda z: min(max(z / 6 + 0.5, 0.0), 1.0),
    "hard_tanh": lambda z, low, high: min(max(z, low), high),
    "clamp": lambda z, low, high: min(max(z, low), high),
    "sign": lambda z: math.copysign(1, z),
    "max": max,
    "min": min,
    "abs": abs,
    "detach": lambda z: z,
    "remainder": lambda a, b: a % b,
    **{name: getattr(math, name) for name in ("tanh", "exp", "log", "sqrt", "sin", "cos")},
    **{name: functional(name) for name in ("silu", "gelu", "elu", "softplus", "leaky_relu")},
}


def check_by_reading(rec: cello.Recording, layer: str | None = None) -> None:
    """Every line of every step of every unit, read by Python, comes to what was recorded."""
    prefix = f"{layer}." if layer else ""
    lines = 0
    for batch, length in enumerate(rec.lengths.tolist()):
        for t in range(length):
            values = {
                name.removeprefix(prefix): rec[name][t, batch].flatten().tolist()
                for name in rec
                if name.startswith(prefix)
            }
            made = [len(v) for n, v in values.items() if n != "x" and not n.endswith("_prev")]
            for unit in range(max(made)):
                explained = rec.explain(t, unit, layer, batch, terms=1000, digits=18)
                for line in str(explained).splitlines():
                    name = line.split(" = ")[0].split("[")[0]
                    formula, shown = line.partition(" = ")[2].rsplit(" = ", 1)
                    known = {n: v if len(v) > 1 else v[0] for n, v in values.items()}
                    recorded = float(values[name][unit])  # a condition is 0 or 1
                    assert read(formula, known) == pytest.approx(recorded, rel=1e-9, abs=1e-12)
                    assert read(shown, {}) == pytest.approx(recorded, rel=1e-12)
                    lines += 1
    assert lines


BOTH_WAYS = [name for name in registry.DISTINCT if name not in registry.ZOO]


@pytest.mark.parametrize(
    ("name", "reverse"),
    [*((name, True) for name in BOTH_WAYS), *((name, False) for name in registry.DISTINCT)],
)
def test_every_cell_with_lengths_and_resets(name: str, reverse: bool, compile_nothing: None):
    layer = cello.Recurrent(registry.make(name), reverse=reverse, initial_state="learned")
    for parameter in layer.initial.values():
        nn.init.uniform_(parameter)
    x = registry.x_of(layer.cell, 4, 3)
    reset = torch.rand(4, 3) < 0.3
    check_by_reading(cello.record(layer, x, lengths=torch.tensor([3, 0, 4]), reset=reset))


def test_every_direction_of_a_stack_and_of_drop_ins():
    net = cello.Stack(
        cello.Bidirectional(cello.GRUCell(I, 2)),
        cello.LSTM(4, 2, num_layers=2, bidirectional=True),
        cello.Recurrent(cello.JordanCell(4, 3, 2)),
    ).double()
    packed = nn.utils.rnn.pack_sequence(
        [torch.randn(n, I).double() for n in (1, 3)], enforce_sorted=False
    )
    rec = cello.record(net, packed)
    for layer in rec.layers:
        check_by_reading(rec, layer)


class Step(cello.Cell):
    """A cell whose step is any function of x, h and itself."""

    state = ("h",)

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__(4, 4)
        self.function = function
        self.norm = nn.LayerNorm(4)
        self.W = nn.Linear(4, 4)
        self.p = nn.Parameter(torch.empty(4))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -1, 1)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        h = self.function(self, x, h)
        return h, (h,)


STEPS: dict[str, Callable[..., Tensor]] = {
    "add, sub, rsub": lambda s, x, h: 2 - x + 3 * h - torch.sub(x, h, alpha=2) + torch.add(x, h, alpha=3),
    "div, neg, pow": lambda s, x, h: -x / (1 + h**2) + 2 ** (x / 3) + x.pow(3) + h / 2,
    "roots": lambda s, x, h: x.abs().sqrt() + (h.abs() + 1).rsqrt() + 1 / (x**2 + 1),
    "activations": lambda s, x, h: F.gelu(x) + F.elu(h) + F.leaky_relu(x) * F.softplus(h),
    "hard ones": lambda s, x, h: F.hardtanh(x) - F.hardsigmoid(h) + F.relu(x) + F.silu(h),
    "where": lambda s, x, h: torch.where(x > 0.5, h, -x) + torch.where(h <= x, 1.0, 2.0),
    "clamp": lambda s, x, h: torch.clamp(x + h, -1, 1) + x.clamp(min=0) + x.clamp(max=0.5),
    "largest": lambda s, x, h: torch.maximum(x, h) * torch.minimum(x, h) + x.amax(1, True) - h.min(1, True)[0],
    "sums and means": lambda s, x, h: x.sum(1, keepdim=True) * h + h.mean(1, keepdim=True) + x.mean(),
    "softmax": lambda s, x, h: torch.softmax(s.W(x), -1) + h.softmax(1),
    "log_softmax": lambda s, x, h: F.log_softmax(x + h, -1) + x.logsumexp(1, keepdim=True),
    "layer norm": lambda s, x, h: s.norm(x + h) + F.layer_norm(h, (4,)),
    "rms norm": lambda s, x, h: F.rms_norm(x + h, (4,), s.p) + x / x.norm(dim=1, keepdim=True),
    "batched products": lambda s, x, h: torch.einsum("bi,bj->bij", x, h).sum(-1) / 4,
    "products of batches": lambda s, x, h: torch.bmm(x.unsqueeze(2), h.unsqueeze(1)).sum(2),
    "vectors": lambda s, x, h: (x @ s.p).unsqueeze(-1) * h + x @ s.W.weight,
    "products in products": lambda s, x, h: torch.tanh(torch.tanh(x @ s.W.weight) @ s.W.weight),
    "made of parameters": lambda s, x, h: x @ torch.tril(s.W.weight) + h @ torch.diag(s.p).t(),
    "cut and joined": lambda s, x, h: torch.cat([x, h], -1)[:, 2:6] + torch.stack([x[:, 0], h[:, 1], x[:, 2], x[:, 3]], 1),
    "turned": lambda s, x, h: x.flip(1) + h.roll(1, -1) + x.view(-1, 2, 2).transpose(1, 2).reshape(-1, 4),
    "constants": lambda s, x, h: x * torch.tensor([1.0, 2, 3, 4], dtype=x.dtype) + torch.arange(4) + torch.zeros_like(h),
    "in place": lambda s, x, h: x.clone().mul_(2).add_(h).tanh_(),
    "between": lambda s, x, h: torch.addcmul(x, h, h, value=0.3) + torch.lerp(x, h, 0.2) + x.square(),
    "shares of the batch": lambda s, x, h: x - x.mean(0) + h.sum(0) / 3,
}  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_operations(name: str):
    layer = cello.Recurrent(Step(STEPS[name]).double())
    rec = cello.record(layer, torch.randn(3, 2, 4, dtype=torch.float64))
    check_by_reading(rec)
    assert "aten" not in str(rec.explain(1, 1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", STEPS)
def test_rounding_is_no_reason_to_refuse(name: str, dtype: torch.dtype):
    layer = cello.Recurrent(Step(STEPS[name]).to(dtype))
    rec = cello.record(layer, torch.randn(3, 2, 4).to(dtype))
    for t in range(3):
        for unit in range(4):
            rec.explain(t, unit, batch=1)


def test_numbers_rounded_on_the_way_are_no_reason_either():
    def rounded(s: Any, x: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(x.to(torch.bfloat16).float() + 0.7 * h.to(torch.bfloat16).float())

    rec = cello.record(cello.Recurrent(Step(rounded), engine="split"), torch.randn(3, 2, 4))
    assert "tanh(" in str(rec.explain(t=2, unit=1))


@pytest.mark.parametrize(
    ("function", "line"),
    [
        (lambda s, x, h: torch.sort(x + h, 1)[0], "h[1] = sort(x, h_prev) = {}"),
        (lambda s, x, h: 2 * torch.sort(x, 1)[0].abs() + h, "h[1] = 2·|sort(x)| + 0 = {}"),
    ],
)
def test_unknown_operations_are_functions_of_what_has_a_name(function: Any, line: str):
    rec = cello.record(cello.Recurrent(Step(function)), torch.randn(1, 1, 4))
    value = cello.see.numbers.short(rec["h"][0, 0, 1].item()).replace("-", "−")
    assert str(rec.explain(0, 1)) == line.format(value)


def test_random_numbers_are_called_so():
    cell = Step(lambda s, x, h: F.dropout(x, 0.25, s.training) + h)
    rec = cello.record(cello.Recurrent(cell), torch.ones(3, 4))
    assert str(rec.explain(0, 0)).startswith("h[0] = 1·(bernoulli(0.75) / 0.75) + 0 = ")
    named = Masked()
    rec = cello.record(cello.Recurrent(named).double(), torch.ones(3, 4).double())
    lines = str(rec.explain(2, 1)).splitlines()
    assert lines[0].startswith("mask[1] = 1·(bernoulli(0.5) / 0.5) = ")
    mask = rec["mask"][2, 0, 1].item()
    assert lines[1].startswith(
        f"h[1] = {mask:g}·1 + {cello.see.numbers.short(rec['h_prev'][2, 0, 1].item())} = "
    )


def test_a_product_with_random_numbers_says_no_more_than_that():
    weight = torch.ones(4, 4)
    cell = Step(lambda s, x, h: x + F.dropout(h, 0.5, s.training) @ weight)
    rec = cello.record(cello.Recurrent(cell), torch.ones(3, 4))
    assert str(rec.explain(2, 1)).startswith("h[1] = 1 + random = ")


class Masked(cello.Cell):
    state = ("h",)

    def __init__(self) -> None:
        super().__init__(4, 4)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        mask = F.dropout(torch.ones_like(x), 0.5, self.training)
        h = mask * x + h
        return h, (h,)


# ------------------------------------------------------------ long and deep


def test_long_sums_show_their_largest_terms():
    cell = cello.ElmanCell(64, 1, activation="identity", bias=False)
    with torch.no_grad():
        cell.W.copy_(torch.arange(64.0))
        cell.R.zero_()
    rec = cello.record(cello.Recurrent(cell), torch.ones(1, 64))
    assert str(rec.explain(0, 0, names="z")) == (
        "z = 58·1 + 59·1 + 60·1 + 61·1 + 62·1 + 63·1 + … + 58 more terms + 0·0 = 2016"
    )
    assert str(rec.explain(0, 0, names="z", terms=2)).startswith(
        "z = 62·1 + 63·1 + … + 62 more terms"
    )
    assert r"\dots + \text{58 more terms}" in rec.explain(0, 0, names="z").latex()
    assert "more" not in str(rec.explain(0, 0, names="z", terms=63))


def test_one_of_n_shows_the_one():
    cell = cello.ElmanCell(50, 1, bias=False)
    with torch.no_grad():
        cell.W.copy_(torch.arange(50.0))
        cell.R.zero_()
    rec = cello.record(cello.Recurrent(cell), F.one_hot(torch.tensor([40]), 50).float())
    assert "40·1 + … + 49 more terms" in str(rec.explain(0, 0, names="z"))


def test_a_product_inside_a_product_is_a_number():
    cell = Step(STEPS["products in products"])
    rec = cello.record(cello.Recurrent(cell), torch.zeros(1, 4))
    text = str(rec.explain(0, 0))
    assert re.fullmatch(r"h\[0\] = tanh\((\S+·tanh\(0\)( [+−] |\) )){4}= 0", text), text


@pytest.mark.usefixtures("step_by_step")
def test_a_deep_step_ends_in_numbers():
    def deep(s: Any, x: Tensor, h: Tensor) -> Tensor:
        for _ in range(40):
            h = torch.tanh(h + x * h)
        return h

    rec = cello.record(cello.Recurrent(Step(deep)), torch.randn(2, 1, 4))
    text = str(rec.explain(1, 0))
    assert text.count("tanh(") > 20
    assert len(text) < 3000
