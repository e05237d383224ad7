"""The JavaScript of cells and nets gives the numbers of the recording: each value of each step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.convert.proof import Case, draw_input, run_net
from cello.engines import engine
from cello.errors import CaptureError, ConversionError
from cello.layers.stages import as_layers
from cello.see.page.running.net import running_net
from tests.convert.c.nets import NETS
from tests.registry import CELLS, NOT_FUSED, make, x_of
from tests.see.page.running.nets import JavaScript

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]

LENGTHS = [6, 3, 1]
TOLERANCES = {torch.float32: 3e-5, torch.float64: 1e-11}


@pytest.fixture(scope="module")
def javascript(browser: Any) -> Iterator[JavaScript]:
    page = browser.new_page()
    yield JavaScript(page)
    page.close()


def check(found: Sequence[float], expected: Tensor, dtype: torch.dtype) -> None:
    near = {"rtol": TOLERANCES[dtype], "atol": TOLERANCES[dtype], "equal_nan": True}
    got = torch.tensor(found, dtype=dtype)
    torch.testing.assert_close(got, expected.detach().to(dtype).flatten(), **near)


def check_recording(
    rec: cello.Recording, found: dict[str, list[float]], dtype: torch.dtype, batch: int = 0
) -> None:
    """Check that every value of every layer is there and is that of the recording."""
    for layer, rows in rec.by_layer.items():
        for name, values in rows.rows.items():
            check(found[f"{layer}/{name}"], rows.sequence(values, batch), dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", [n for n in CELLS if n not in NOT_FUSED])
def test_every_value_of_every_cell(name: str, dtype: torch.dtype, javascript: JavaScript) -> None:
    net = cello.Recurrent(make(name, dtype))
    x = x_of(net.cell, max(LENGTHS), len(LENGTHS), dtype=dtype)
    with torch.no_grad(), engine("reference"):
        rec = cello.record(net, x, lengths=LENGTHS)
    javascript.load(running_net(net))
    for batch, length in enumerate(LENGTHS):
        found = javascript.run(x[:length, batch].flatten().tolist(), length)
        check_recording(rec, found, dtype, batch)


@pytest.mark.filterwarnings("ignore::cello.EngineWarning")  # of the net, not of its JavaScript
@pytest.mark.parametrize("name", NETS)
def test_every_net(name: str, javascript: JavaScript) -> None:
    make_net, arguments = NETS[name]
    torch.manual_seed(0)
    net = as_layers(make_net()).eval()
    x = draw_input(net, 7, 1, torch.Generator().manual_seed(1), arguments.get("ids", 1))
    javascript.load(running_net(net, arguments.get("ids")))
    found = javascript.run(x.flatten().tolist(), 7)
    check(found["output"], run_net(net, Case("", x))[0], torch.float32)
    if cello.layers.paths.layer_paths(net):
        with torch.no_grad():
            check_recording(cello.record(net, x), found, torch.float32)


def both_ways() -> cello.Stack:
    torch.manual_seed(0)
    return cello.Stack(
        cello.Bidirectional(cello.LSTMCell(3, 5)),
        nn.Linear(10, 4),
        cello.GRU(4, 3),
        nn.Linear(3, 2),
    ).double()


def test_resets(javascript: JavaScript) -> None:
    net = both_ways()
    x = torch.randn(7, 1, 3).double()
    with torch.no_grad():
        reset = torch.zeros(7, 1, dtype=torch.bool)
        reset[[2, 5]] = True
        rec = cello.record(net, x, reset=reset)
    javascript.load(running_net(net))
    found = javascript.run(x.flatten().tolist(), 7, resets=[2, 5])
    check_recording(rec, found, torch.float64)
    check(found["output"], rec.output, torch.float64)


FORCED: list[tuple[str, str, int, int, int, float]] = [
    ("0.forward", "f", 2, 1, 3, 0.0),
    ("0.forward", "h_prev", 0, 4, 4, 2.0),
    ("0.backward", "c", 1, 0, 6, -1.0),
    ("0.backward", "x", 1, 5, 5, 0.5),
    ("2.0", "h", 2, 3, 5, 0.25),
    ("2.0", "n", 0, 6, 6, 7.0),
]


@pytest.mark.parametrize("forced", [[one] for one in FORCED] + [FORCED])
def test_forced_values_are_those_of_an_intervention(
    forced: list[tuple[str, str, int, int, int, float]], javascript: JavaScript
) -> None:
    net, x = both_ways(), torch.randn(7, 1, 3).double()
    changes = {
        f"{layer}.{name}": (slice(begin, end + 1), unit, value)
        for layer, name, unit, begin, end, value in forced
    }
    with torch.no_grad(), cello.intervene(net, changes):
        rec = cello.record(net, x)
    javascript.load(running_net(net))
    keys = ("layer", "name", "unit", "from", "to", "value")
    given = [dict(zip(keys, one, strict=True)) for one in forced]
    found = javascript.run(x.flatten().tolist(), 7, forced=given)
    check_recording(rec, found, torch.float64)
    check(found["output"], rec.output, torch.float64)


def test_only_what_a_change_reaches_runs_again_and_the_rest_is_the_same(
    javascript: JavaScript,
) -> None:
    net, x = both_ways(), torch.randn(7, 1, 3).double()
    javascript.load(running_net(net))
    same = javascript.page.evaluate(
        """(rows) => {
            const input = { rows, length: 7 }, other = { rows: rows.slice(), length: 7 };
            other.rows.fill(0.5, 9, 12);  // step 3
            const forced = [{ layer: "2.0", name: "r", unit: 1, from: 5, to: 5, value: 1 }];
            const plain = net.run(input), held = net.run(input, forced);
            const all = ({ stages }) => JSON.stringify(stages, (key, part) =>
                (key === "span" ? null : part));
            const count = (run) => {
                let steps = 0;
                const real = net.steps;
                net.steps = real.map((step) => (...given) => { steps++; return step(...given); });
                const result = run();
                net.steps = real;
                return [steps, result];
            };
            const pairs = [
                [() => net.run(other), () => net.run(other, [], { old: plain, changed: [3, 3] })],
                [() => net.run(input, forced), () => net.run(input, forced, { old: plain })],
                [() => net.run(input), () => net.run(input, [], { old: held })],
            ];
            const found = pairs.map(([whole, part]) => [count(whole), count(part)]);
            const kept = net.weights[0][0];
            net.weights[0][0] += 1;
            found.push([count(() => net.run(input)), count(() => net.run(input, [], {
                old: plain, stage: 0 }))]);
            const last = net.about.steps[4].weights.at(-1);
            net.weights[0][0] = kept;
            net.weights[last][0] += 1;
            found.push([count(() => net.run(input)), count(() => net.run(input, [], {
                old: plain, stage: 3 }))]);
            return found.map(([[most, whole], [least, part]]) =>
                [most, least, all(whole) === all(part), all(whole) === all(plain)]);
        }""",
        x.flatten().tolist(),
    )
    full = 5 * 7  # three cells and two linear maps
    assert same == [
        [full, 4 + 4 + 7 + 7 + 7, True, False],  # forwards 3 to 6, backwards 3 to 0, then all
        [full, 2 + 2, True, False],
        [full, 2 + 2, True, True],
        [full, full, True, False],
        [full, 7, True, False],
    ]


def test_what_has_no_javascript_says_so() -> None:
    with pytest.raises(CaptureError, match="draws random numbers"):
        running_net(cello.Recurrent(_Drawing()))
    with pytest.raises(ConversionError, match="holds recurrent layers"):
        running_net(_OfItsOwn())
    with pytest.raises(ConversionError, match="float32 or float64"):
        running_net(cello.LSTM(3, 4).bfloat16())


class _Drawing(cello.Cell):
    state = ("h",)

    def __init__(self) -> None:
        super().__init__(2, 2)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        h = h + x * torch.rand_like(x)
        return h, (h,)


class _OfItsOwn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = cello.LSTM(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)[0].flip(0)
        return y
