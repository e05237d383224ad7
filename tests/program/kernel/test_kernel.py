"""A step as vectors: where it is cut, what is refused, its adjoint, and when each part runs."""

from __future__ import annotations

import linecache
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.errors import CaptureError
from cello.program import capture
from cello.program.kernel import backward_kernel, forward_kernel, lower, schedule, tape_of
from cello.program.kernel.adjoint import adjoint
from cello.program.kernel.cuts import cuts_of
from cello.program.kernel.kernel import Kernel
from cello.program.kernel.nodes import Apply, Dot, Fold, Graph, Load, TermSum, ancestors
from cello.program.kernel.schedule import Schedule
from tests import registry

I, H, O = 3, 4, 2  # noqa: E741 - the sizes that the equations name so


class OneStep(cello.Cell):
    """A cell whose step is a function."""

    state = ("h",)

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__(I, H)
        self.W = nn.Linear(I, H)
        self.R = nn.Linear(H, H, bias=False)
        self.p = nn.Parameter(torch.randn(H))
        self.function = function

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        h = self.function(self, x, h)
        return h, (h,)


def scheduled(cell: cello.Cell, kernel: str = "forward") -> tuple[Kernel, Schedule]:
    lowered = lower(capture(cell))
    tape = tape_of(lowered)
    loop = forward_kernel(lowered) if kernel == "forward" else backward_kernel(lowered, tape)
    return loop, schedule(lowered.graph, loop)


def products(plan: Schedule, phase: str) -> int:
    return sum(
        isinstance(term, Dot)
        for region in plan.of(phase)
        for total in region.sums
        for term in total.terms
    )


# ---------------------------------------------------------------- cuts


def test_chunks_cut_what_they_are_made_of() -> None:
    program = capture(cello.LSTMCell(I, H))
    cuts = cuts_of(program)
    packed = [value for value in cuts if value.shape[1:] == (4 * H,)]
    assert packed
    for value in packed:
        assert cuts[value] == [(0, H), (H, H), (2 * H, H), (3 * H, H)]
    assert cuts[program.names["c"]] == [(0, H)]


def test_a_cut_goes_through_everything_feature_by_feature() -> None:
    def step(cell: OneStep, x: Tensor, h: Tensor) -> Tensor:
        a = torch.tanh(cell.W(x))
        left, right = a[:, :1], a[:, 1:]
        return torch.cat([right * h[:, :3], left[:, :1]], dim=1)

    program = capture(OneStep(step))
    cuts = cuts_of(program)
    (a,) = (op.outputs[0] for op in program.ops if op.target._opname == "tanh")
    assert cuts[a] == [(0, 1), (1, 3)]
    assert cuts[program.state["h"]] == [(0, 3), (3, 1)]
    assert cuts[program.output] == [(0, 3), (3, 1)]
    assert cuts[program.x] == [(0, I)]  # a product mixes all features: no cut goes through it


def test_a_cut_goes_through_a_sum_over_another_axis() -> None:
    def step(cell: OneStep, x: Tensor, h: Tensor) -> Tensor:
        total = torch.stack([h, torch.tanh(cell.W(x))], dim=1).sum(1)
        left, right = total.split([1, 3], dim=1)
        return torch.cat([torch.tanh(left), right], dim=1)

    program = capture(OneStep(step))
    assert cuts_of(program)[program.state["h"]] == [(0, 1), (1, 3)]


class Matrix(cello.Cell):
    """A matrix memory, multiplied by a vector in one of the ways to write it."""

    state = ("S",)

    def __init__(self, times: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__(I, 8, state_sizes={"S": (8, 8)})
        self.W = nn.Linear(I, 8)
        self.times = times

    def step(self, x: Tensor, S: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        k = self.W(x)
        S = S + torch.einsum("bi,bj->bij", k - self.times(S, k), k)
        return self.times(S, k), (S,)


@pytest.mark.parametrize(
    "times",
    [
        lambda S, k: torch.einsum("bij,bj->bi", S, k),
        lambda S, k: (S @ k.unsqueeze(-1)).squeeze(-1),
        lambda S, k: torch.bmm(S, k.view(-1, 8, 1)).view(-1, 8),
        lambda S, k: (S * k.view(-1, 1, 8)).sum(-1),
    ],
)
def test_a_matrix_stays_whole_rows(times: Callable[[Tensor, Tensor], Tensor]) -> None:
    lowered = lower(capture(Matrix(times)))
    assert [node.length for node in lowered.nodes(lowered.program.next_state["S"])] == [8] * 8


# ---------------------------------------------------------------- refusals


def _sorted(cell: OneStep, x: Tensor, h: Tensor) -> Tensor:
    return torch.tanh(cell.W(x)).sort(-1).values + h


def _over_rows(cell: OneStep, x: Tensor, h: Tensor) -> Tensor:
    return torch.tanh(cell.W(x)) + h.mean(0, keepdim=True)


def _pairs(cell: OneStep, x: Tensor, h: Tensor) -> Tensor:
    return torch.tanh(cell.W(x) + h @ h.t() @ h)


def _wide(cell: OneStep, x: Tensor, h: Tensor) -> Tensor:
    return torch.sin(torch.tanh(cell.W(x)).unsqueeze(1).expand(-1, 65, H)).sum(1) + h


def _wider(cell: OneStep, x: Tensor, h: Tensor) -> Tensor:
    return torch.tanh(cell.W(x)).unsqueeze(1).expand(-1, 1025, H)[:, 0] + h


def _integers(cell: OneStep, x: Tensor, h: Tensor) -> Tensor:
    return torch.tanh(cell.W(x)) + h.argmax(-1, keepdim=True)


def _another_dtype(cell: OneStep, x: Tensor, h: Tensor) -> Tensor:
    return (torch.tanh(cell.W(x)).double() + h).float()


@pytest.mark.parametrize(
    ("step", "operation"),
    [
        (_sorted, r"a fused loop has no sort \("),
        (_over_rows, "mean does not treat each row by itself"),
        (_pairs, "transpose does not treat each row by itself"),
        (_wide, "sin makes 65 vectors a row"),
        (_wider, "expand makes 1025 vectors a row"),
        (_integers, "add computes with whole numbers"),
        (_another_dtype, "torch.float64"),
    ],
)
def test_a_refusal_names_the_operation_and_its_line(
    step: Callable[..., Tensor], operation: str
) -> None:
    line = step.__code__.co_firstlineno + 1
    assert linecache.getline(__file__, line).strip().startswith("return")
    with pytest.raises(CaptureError, match=f"OneStep.step cannot be fused: .*({operation})") as e:
        lower(capture(OneStep(step)))
    assert f"test_kernel.py:{line})" in str(e.value)


# ---------------------------------------------------------------- what is drawn, what is the same


class MaskedCell(OneStep):
    """A mask that is drawn in another dtype than the step's, and values without gradient."""

    def __init__(self) -> None:
        super().__init__(torch.tanh)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        keep = torch.rand_like(h, dtype=torch.float32) < 0.2
        alone = h.detach() * 2
        sign = h > 0
        g = torch.tanh(self.W(x)) + torch.where(sign, alone, h)
        h = torch.where(keep, h, g)
        return h, (h,)


def test_masks_are_made_before_the_loop_in_the_dtype_that_they_are_drawn_in() -> None:
    program = capture(MaskedCell().double(), dtype=torch.float64)
    lowered = lower(program)
    assert {op.target._opname for op in lowered.drawn} == {"rand", "detach", "lt"}
    read = {n.array for n in ancestors(lowered.nodes(program.output)) if isinstance(n, Load)}
    (drawn,) = (array for array in read if array.kind == "drawn")
    assert drawn.name == program.names["keep"].name  # the loop reads the mask alone


def test_values_that_are_the_same_are_known_as_twins() -> None:
    program = capture(cello.LSTMCell(I, H, activation="identity"))
    aliases, names = lower(program).aliases, program.names
    assert aliases[names["x"]] is program.x
    assert aliases[names["h"]] is program.output
    assert aliases[names["z"]] is aliases[names["g"]]
    assert len(set(aliases.values())) == len(set(names.values())) - (names["z"] is not names["g"])


def test_no_gradient_comes_to_what_is_drawn_or_detached() -> None:
    program = capture(MaskedCell())
    fixed = lower(program).fixed
    assert {n for n, v in program.names.items() if v in fixed} == {"keep", "alone", "sign"}


# ---------------------------------------------------------------- nodes and the adjoint


def test_no_node_is_made_twice_and_neutral_numbers_vanish() -> None:
    graph = Graph()
    lowered = lower(capture(cello.ElmanCell(I, H)))
    (h,) = lowered.nodes(lowered.program.output)
    assert graph.call("tanh", h) is graph.call("tanh", h)
    assert graph.call("add", h, 0.0) is h
    assert graph.call("mul", 1.0, h) is h
    assert graph.constant(0.0) is not graph.constant(-0.0)


def test_adjoint_of_a_product_is_the_product_with_its_transpose() -> None:
    lowered = lower(capture(cello.ElmanCell(I, H)))
    back = adjoint(lowered)
    program = lowered.program
    assert len({use.matrix for use in back.uses}) == 2  # W and R
    x, h = lowered.nodes(program.x), lowered.nodes(program.state["h"])
    assert sorted(tuple(use.inputs.values()) == x for use in back.uses) == [False, True]
    assert sorted(tuple(use.inputs.values()) == h for use in back.uses) == [False, True]
    (gradient,) = back.states["h"].values()
    forward_nodes = ancestors(lowered.nodes(program.output))
    new = set(ancestors([gradient])).difference(forward_nodes)
    (dot,) = (node for node in new if isinstance(node, Dot))
    (forward,) = (n for n in forward_nodes if isinstance(n, Dot) and n.arg is h[0])
    assert (dot.matrix, dot.transposed) == (forward.matrix, not forward.transposed)


def test_adjoint_gives_zeros_to_what_nothing_depends_on() -> None:
    lowered = lower(capture(OneStep(lambda cell, x, h: torch.tanh(cell.R(h)))))
    (x,) = adjoint(lowered).x.values()
    assert x.length == I
    assert not any(isinstance(node, (Dot, Fold)) for node in ancestors([x]))


def test_adjoint_stops_at_detach() -> None:
    step = OneStep(lambda cell, x, h: torch.tanh(cell.W(x)) + cell.R(h.detach()))
    lowered = lower(capture(step))
    (h,) = adjoint(lowered).states["h"].values()
    assert not any(isinstance(node, Dot) for node in ancestors([h]))


def test_adjoint_of_a_scalar_parameter_is_one_number() -> None:
    lowered = lower(capture(OneStep(lambda cell, x, h: torch.tanh(cell.W(x)) * cell.p[:1] + h)))
    (pair,) = (pair for pair in adjoint(lowered).shared if pair[0].length == 1)
    assert isinstance(pair[1], Fold) or any(isinstance(n, Fold) for n in ancestors([pair[1]]))


# ---------------------------------------------------------------- the schedule


@pytest.mark.parametrize(
    ("cell", "before", "loop"),
    [
        (cello.LSTMCell(I, H), 4, 4),
        (cello.GRUCell(I, H), 3, 3),
        (cello.ElmanCell(I, H), 1, 1),
        (cello.LSTMCell(I, H, recurrent=False), 4, 0),
    ],
    ids=["lstm", "gru", "elman", "lstm-lecture"],
)
def test_products_with_the_input_run_before_the_loop(
    cell: cello.Cell, before: int, loop: int
) -> None:
    _, plan = scheduled(cell)
    assert (products(plan, "before"), products(plan, "loop")) == (before, loop)
    assert products(plan, "after") == 0


def test_lstm_steps_in_one_region() -> None:
    _, plan = scheduled(cello.LSTMCell(I, H))
    assert len(plan.of("loop")) == 1


def test_jordan_has_two_levels() -> None:
    _, plan = scheduled(cello.JordanCell(I, H, O))
    assert [(region.level, region.length) for region in plan.of("loop")] == [(0, H), (1, O)]


def test_gru_with_the_reset_before_has_two_levels() -> None:
    _, plan = scheduled(cello.GRUCell(I, H, reset_after=False))
    assert sorted({region.level for region in plan.of("loop")}) == [0, 1]


def test_the_gradient_of_the_input_runs_after_the_backward_loop() -> None:
    loop, plan = scheduled(cello.LSTMCell(I, H), "backward")
    dx = [store.node for store in loop.stores if store.array.kind == "dx"]
    assert dx
    assert {plan.home[node].phase for node in dx} == {"after"}


def test_units_that_go_through_time_by_themselves_are_seen_in_the_step() -> None:
    fused = {name: cell for name in registry.CELLS if (cell := _lowers(name)) is not None}
    alone = {name for name, cell in fused.items() if scheduled(cell)[1].by_unit}
    assert {"MinGRUCell", "MinLSTMCell", "IndRNNCell"} <= alone
    mixed = {"elman", "lstm", "gru", "torch-gru", "JANETCell", "LayerNormLSTMCell", "pieces"}
    assert mixed <= fused.keys()
    assert not mixed & alone
    _, back = scheduled(fused["MinGRUCell"], "backward")
    assert not back.by_unit  # the gradient of x is a product with what all units have left


def _lowers(name: str) -> cello.Cell | None:
    cell = registry.make(name, torch.float32)
    try:
        lower(capture(cell))
    except CaptureError:
        return None
    return cell


@pytest.mark.parametrize(
    "step",
    [
        lambda cell, x, h: h.roll(1, -1) + cell.W(x),
        lambda cell, x, h: h.flip(-1) * cell.p + cell.W(x),
        lambda cell, x, h: h * h.sum(-1, keepdim=True) + cell.W(x),
        lambda cell, x, h: h[:, :1] + cell.W(x),
        lambda cell, x, h: torch.cat([h[:, 2:], h[:, :2]], -1) + cell.W(x),
        lambda cell, x, h: torch.cat([h[:, :2], cell.W(x)[:, 2:]], -1),
        lambda cell, x, h: h + torch.softmax(cell.W(x), -1),
    ],
)
def test_a_unit_that_needs_another_is_seen(step: Callable[..., Tensor]) -> None:
    assert not scheduled(OneStep(step))[1].by_unit


def test_every_node_is_computed_after_what_it_reads() -> None:
    for cell in (cello.LSTMCell(I, H, peephole=True), cello.JordanCell(I, H, O, "softmax")):
        for kernel in ("forward", "backward"):
            _, plan = scheduled(cell, kernel)
            order = {region: number for number, region in enumerate(plan.regions)}
            for node, region in plan.home.items():
                for arg in node.inputs:
                    source = arg.arg if isinstance(arg, Dot) else arg
                    if source in plan.home:
                        whole = isinstance(arg, (Dot, Fold))
                        assert order[plan.home[source]] + whole <= order[region]


def test_sums_keep_products_in_one_accumulator() -> None:
    loop, _ = scheduled(cello.ElmanCell(I, H))
    sums = [node for node in loop.nodes if isinstance(node, TermSum)]
    assert all(isinstance(node, (Apply, TermSum)) for node in loop.carried["h"])
    assert sum(isinstance(term, Dot) for node in sums for term in node.terms) == 2
