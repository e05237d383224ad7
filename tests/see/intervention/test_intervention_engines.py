"""Interventions on the engines: what is set comes in with the input."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import cello
from cello.errors import EngineError
from cello.layers.hooks import intervene as held
from cello.program import capture, with_overrides
from tests import registry

I = registry.I  # noqa: E741


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-13)


def run_on(engine: str, name: str, reverse: bool) -> list[Tensor]:
    """Outputs, final states, recordings and gradients of an intervention."""
    torch.manual_seed(2)
    layer = cello.Recurrent(registry.make(name), reverse=reverse)
    x = torch.randn(7, 3, layer.input_size, dtype=torch.float64, requires_grad=True)
    state = layer.cell.state[0]
    to = torch.randn(2, 3, 1, dtype=torch.float64, requires_grad=True)
    with cello.engine("reference"):
        names = [n for n in cello.record(layer, x).names if not n.endswith("_prev")]
    values = {
        state: [([1, 4], 0, to), (slice(4, 6), 1, 0.3)],
        f"{state}_prev": (5, ..., 0.1),
        names[1]: [(..., 1, 0.2), (2, 1, -0.2)],
        "x": (3, 0, 1.0),
    }
    with cello.engine(engine), cello.intervene(layer, values):
        rec = cello.record(layer, x, lengths=torch.tensor([7, 2, 5]))
        loss = rec.output.sin().sum() + sum(part.cos().sum() for part in rec.state)
        gradients = torch.autograd.grad(loss, [x, to, *layer.parameters()], allow_unused=True)
    made = [rec.output, *rec.state, *(rec[name] for name in rec.names)]
    return [tensor for tensor in (*made, *gradients) if tensor is not None]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", ["lstm", "gru", "jordan", "leaky", "two-sizes", "lstm-projection"])
def test_engines_agree(name: str, reverse: bool):
    expected = run_on("reference", name, reverse)
    for engine in ("split", "cpu"):
        for ours, theirs in zip(run_on(engine, name, reverse), expected, strict=True):
            close(ours, theirs)


def test_long_sequences_are_compiled(monkeypatch: pytest.MonkeyPatch):
    layer = cello.Recurrent(registry.make("elman"))
    x = torch.randn(20, 2, I, dtype=torch.float64)
    values = {"h": (10, ..., 0.5)}
    with cello.engine("reference"), cello.intervene(layer, values):
        expected = layer(x)[0]
    monkeypatch.setattr(held, "SHORT", 19)
    monkeypatch.setattr(held, "interpret", None)
    with cello.intervene(layer, values):
        close(layer(x)[0], expected)
        monkeypatch.setattr(held, "SHORT", 100)  # what is compiled already is run
        close(layer(x)[0], expected)
    monkeypatch.undo()
    with cello.intervene(layer, {"h": (10, 0, lambda rows, t: rows)}):
        close(layer(x)[0], cello.record(layer, x).output)
    close(layer(x)[0][:10], expected[:10])


def test_transforms_run_step_by_step():
    layer = cello.Recurrent(registry.make("elman"))
    xs = torch.randn(3, 5, 2, I, dtype=torch.float64)
    with cello.intervene(layer, {"h": (1, 0, 0.5)}):
        together = torch.func.vmap(lambda x: layer(x)[0])(xs)
        close(together, torch.stack([layer(x)[0] for x in xs]))


def test_an_engine_that_is_asked_for_and_cannot():
    layer = cello.Recurrent(registry.make("mixing"), engine="cpu")
    x = torch.randn(5, 2, I, dtype=torch.float64)
    message = r"engine 'cpu' cannot run MixingCell: MixingCell\.step cannot be fused"
    with cello.intervene(layer, {"h": (1, 0, 0.5)}), pytest.raises(EngineError, match=message):
        layer(x)


def test_names_that_are_taken():
    class Taken(cello.Cell):
        state = ("mask_0",)

        def step(self, x: Tensor, mask_0: Tensor) -> tuple[Tensor, tuple[Tensor]]:
            wide = x + mask_0
            set_0 = wide * 2
            return set_0, (set_0,)

    program = capture(Taken(I, I))
    names = [value.name for value in with_overrides(program, list(program.names.values())).maker()]
    assert len(set(names)) == len(names)
    layer = cello.Recurrent(Taken(I, I), engine="split")
    with cello.intervene(layer, {"wide": (0, ..., 3.0)}):
        assert bool((layer(torch.randn(1, 2, I))[0] == 6).all())
