"""Every question, asked of every kind of net, against a computation of another kind."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

import cello
from tests.see import kinds
from tests.see.kinds import KINDS, LENGTHS, Kind

pytestmark = pytest.mark.usefixtures("compile_nothing")


def slope(of: Any, step: float = 1e-6) -> Any:
    """The derivative of a function at 0, by differences."""
    return (of(step) - of(-step)) / (2 * step)


def first_steps(kind: Kind) -> dict[str, Any]:
    """Of every value that is set, its last unit at step 1 of all sequences."""
    rec = cello.record(kind.net, kind.x, **kind.options)
    return {name: (1, rec[name][0].flatten(1).shape[1] - 1) for name in rec.names}


@pytest.mark.parametrize("name", KINDS)
def test_flow_is_the_slope_of_what_interventions_change(name: str):
    """Of every value of every layer: a small change at one step, by differences."""
    kind = kinds.make(name)
    flow = cello.flow(kind.net, kind.x, kinds.summed, **kind.options)
    assert flow.loss == pytest.approx(kind.loss().item(), abs=1e-12)
    found, expected = [], []
    for value, (t, unit) in first_steps(kind).items():
        if value not in flow.names:
            continue

        def moved(by: float, value: str = value, t: int = t, unit: int = unit) -> float:
            change = {value: (t, unit, lambda rows, t: rows + by)}
            with torch.no_grad(), cello.intervene(kind.net, change):
                return kind.loss().item()

        found.append(flow[value][t].flatten(1)[:, unit].sum().item())
        expected.append(slope(moved))
    assert len(found) >= 3
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-8)
    assert max(map(abs, expected)) > 1e-4


def final_after(kind: Kind, states: list[str], at: tuple[str, int, int], end: tuple[int, int]):
    """What the last step of a sequence makes of the states, of a change of what one step read."""
    name, t, unit = at

    def final(by: float) -> Tensor:
        with (
            torch.no_grad(),
            cello.intervene(kind.net, {name: (t, unit, lambda rows, t: rows + by)}),
        ):
            rec = cello.record(kind.net, kind.x, **kind.options)
        return torch.cat([rec[state][end].flatten() for state in states])

    return final


@pytest.mark.parametrize("name", KINDS)
def test_memory_is_what_a_small_change_leaves_in_the_final_state(name: str):
    """Of the last unit of every state of every layer, two steps before the end, by differences."""
    kind = kinds.make(name)
    memories = cello.flow(kind.net, kind.x, kinds.summed, **kind.options).memories
    for layer, memory in memories.items():
        reverse = layer.endswith("backward") or name == "reverse"
        states = [".".join(filter(None, (layer, state))) for state in memory.states]
        lengths = cello.record(kind.net, kind.x, **kind.options).lengths_of(states[0]).tolist()
        for full, left in zip(states, memory.left.values(), strict=True):
            unit = left[0].numel() - 1
            squares = []
            for b, length in enumerate(lengths):
                t, end = (1, 0) if reverse else (length - 2, length - 1)
                final = final_after(kind, states, (f"{full}_prev", t, unit), (end, b))
                squares.append(slope(final).square().sum())
            expected = torch.stack(squares).mean().sqrt().item()
            assert left[2].flatten()[unit].item() == pytest.approx(expected, rel=1e-5, abs=1e-9)


def features_of(kind: Kind) -> tuple[nn.Module, Any]:
    """The net without its embedding, and what that makes of the ids."""
    if kind.x.data.is_floating_point():
        return kind.net, kind.x
    embedding, *rest = kind.net
    rest_net = cello.Stack(*rest, batch_first=kind.net.batch_first)
    if isinstance(kind.x, PackedSequence):
        return rest_net, kind.x._replace(data=embedding(kind.x.data).detach())
    return rest_net, embedding(kind.x).detach()


def padded(x: Any) -> Tensor:
    if isinstance(x, PackedSequence):
        return nn.utils.rnn.pad_packed_sequence(x)[0]
    return x


@pytest.mark.parametrize("name", KINDS)
def test_gradient_x_input_is_the_slope_along_the_input(name: str):
    kind = kinds.make(name)
    net, x = features_of(kind)
    found = cello.attribute(
        kind.net, kind.x, kinds.summed, method="gradient_x_input", **kind.options
    )
    assert found.values.shape == padded(x).shape
    assert found.by_step.shape == padded(x).shape[:-1]
    direct = Kind(net, x, kind.options)

    def stretched(by: float) -> float:
        with torch.no_grad():
            more = (
                x._replace(data=x.data * (1 + by)) if isinstance(x, PackedSequence) else x + by * x
            )
            return direct.loss(more).item()

    assert found.values.sum().item() == pytest.approx(slope(stretched), rel=1e-6)
    if not isinstance(x, PackedSequence):
        place = (1,) + (0,) * (x.dim() - 1)
        single = torch.zeros_like(x)
        single[place] = x[place]

        def changed(by: float) -> float:
            with torch.no_grad():
                return direct.loss(x + by * single).item()

        assert found.values[place].item() == pytest.approx(slope(changed), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("name", KINDS)
def test_integrated_gradients_are_a_sum_along_the_way(name: str):
    """At the midpoints of many small parts, each gradient of the net alone."""
    kind = kinds.make(name)
    found = cello.attribute(kind.net, kind.x, kinds.summed, **kind.options)
    assert found.gap < 1e-6
    net, x = features_of(kind)
    direct, total, parts = Kind(net, x, kind.options), torch.zeros_like(x.data), 100
    for part in range(parts):
        on_the_way = (x.data * ((part + 0.5) / parts)).requires_grad_()
        given = x._replace(data=on_the_way) if isinstance(x, PackedSequence) else on_the_way
        total += torch.autograd.grad(direct.loss(given), on_the_way)[0] / parts
    shares = total * x.data
    expected = padded(x._replace(data=shares)) if isinstance(x, PackedSequence) else shares
    torch.testing.assert_close(found.values, expected, rtol=1e-3, atol=2e-5)


def labelled(kind: Kind) -> tuple[list[Tensor], list[Tensor]]:
    """Six sequences, each alone, with a label that depends on the step before."""
    features = 7 if not kind.x.data.is_floating_point() else None
    xs = [torch.randint(0, 7, (12,)) if features else kinds.floats(12, kinds.I) for _ in range(6)]
    return xs, [(x if features else x[:, 0]).roll(1, 0) > (3 if features else 0) for x in xs]


@pytest.mark.parametrize("name", KINDS)
def test_probe_is_the_share_of_pairs_in_the_right_order(name: str):
    """Of every unit: how often a step with the label has more than one without, pair by pair."""
    net = kinds.make(name).net
    xs, ys = labelled(kinds.make(name))
    found = cello.probe(net, xs, ys)
    batch_first = name in ("drop-in-gru", "batch-first", "ids-batch-first", "own-model")
    held_out = [(x, y) for number, (x, y) in enumerate(zip(xs, ys, strict=True)) if number % 2]
    recs = [cello.record(net, x.unsqueeze(0 if batch_first else 1)) for x, _ in held_out]
    label = torch.cat([y for _, y in held_out])
    assert found.steps == (36, 36)
    for value in dict.fromkeys(unit.name for unit in found):
        values = torch.cat([rec[value][:, 0] for rec in recs]).detach().flatten(1)
        yes, no = values[label][:, None], values[~label][None]
        expected = ((yes > no).double() + (yes == no).double() / 2).mean((0, 1))
        torch.testing.assert_close(found.scores(value), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", KINDS)
def test_an_intervention_is_a_replay_of_the_rest(name: str):
    """What every layer makes is recorded; set to that, nothing changes; set to 0, much does."""
    kind = kinds.make(name)
    with torch.no_grad():
        rec = cello.record(kind.net, kind.x, **kind.options)
        before = kind.loss()
        with cello.intervene(kind.net, {n: (..., ..., rec[n]) for n in rec.names}):
            torch.testing.assert_close(kind.loss(), before)
        states = [n for n in rec.names if n.endswith(("h_prev", "y_prev", "S_prev"))]
        with cello.intervene(kind.net, {n: (slice(1, None), ..., 0.0) for n in states}):
            assert (kind.loss() - before).abs().item() > 1e-4


def test_every_question_can_be_asked_of_a_changed_net():
    """A forget gate held shut at step 3, and the state that step 4 reads held at 0."""
    layer, x = kinds.cell("lstm"), kinds.floats(6, 2, kinds.I)
    shut = {"f": (3, ..., 0.0), "h_prev": (slice(3, 5), ..., 0.0)}
    with cello.intervene(layer, shut):
        flow = cello.flow(layer, x, lambda y: y[-1].sum())
        shares = cello.attribute(layer, x, lambda y: y[-1].sum())
        probed = cello.probe(layer, [x[:, 0], x[:, 1]], [[True, False] * 3] * 2, only="f")
        found = cello.diagnose(layer, x, loss=lambda y: y[-1].sum())
        for value, t in (("c", 4), ("i", 3), ("c_prev", 5)):

            def moved(by: float, value: str = value, t: int = t) -> float:
                with torch.no_grad(), cello.intervene(layer, {value: (t, 1, lambda v, _: v + by)}):
                    return layer(x)[0][-1].sum().item()

            assert flow[value][t, :, 1].sum().item() == pytest.approx(slope(moved), rel=1e-6)
    for t in range(3):
        assert not flow["c"][t].any()
        assert not shares.by_step[t].any()
    assert bool(flow["c"][3].any())
    assert shares.gap < 1e-8
    assert not flow.jacobian(5, 3)[:, kinds.H :].any()
    assert flow.memory().left["c"][3].tolist() == [0.0] * kinds.H
    assert len(probed) == kinds.H
    assert found.gradients()[""][3] == flow.memory().gain[3].item()


@pytest.mark.parametrize("name", KINDS)
def test_diagnosis_counts_what_there_is(name: str):
    kind = kinds.make(name)
    found = cello.diagnose(kind.net, kind.x, **kind.options)
    ragged = kind.options or isinstance(kind.x, PackedSequence)
    sequences = {"unbatched": 1, "one-sequence": 1}.get(name, kinds.B)
    steps = int(LENGTHS.sum()) if ragged else kinds.T * sequences
    assert found.seen == f"{steps} steps of {sequences} sequence{'s' * (sequences > 1)}"
    assert found.kinds == []
    assert set(found.memories) == set(
        cello.flow(kind.net, kind.x, kinds.summed, **kind.options).memories
    )
