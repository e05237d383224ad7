"""What only a card has: streams, CUDA graphs, several of them, and what PyTorch does there.

Nobody has run these yet: there was no card. What they have in common with a CPU runs there too, see
the other files of this folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.engines.fused.op import operators
from cello.engines.gpu.engine import gpu_plan
from cello.engines.gpu.whole import WholeLoop
from cello.program import program_of
from tests.engines.cpu.test_traced import Traced
from tests.registry import I, make

pytestmark = pytest.mark.cuda

CARD = torch.device("cuda")
CLOSE = {"rtol": 2e-4, "atol": 2e-4}
#: A state that one kernel has at hand, and one that runs step by step.
SMALL, LARGE = 32, 256
SIZES = pytest.mark.parametrize("size", [SMALL, LARGE])


def made(size: int, steps: int = 16, rows: int = 5) -> tuple[cello.Recurrent, Tensor]:
    layer = cello.Recurrent(cello.LSTMCell(I, size), engine="gpu").to(CARD)
    return layer, torch.randn(steps, rows, I, device=CARD, requires_grad=True)


def trained(layer: Any, x: Tensor, parameters: Any) -> list[Tensor]:
    y, state = layer(x)
    loss = y.square().mean() + sum(part.sin().mean() for part in state)
    return [y, *state, *torch.autograd.grad(loss, [x, *parameters])]


def expected_of(layer: cello.Recurrent, x: Tensor) -> list[Tensor]:
    with cello.engine("reference"):
        return trained(layer, x, list(layer.parameters()))


@SIZES
def test_every_call_gives_what_the_step_gives(size: int) -> None:
    """The first as it is launched, the second captured, others replayed with other numbers."""
    layer, _ = made(size)
    for _ in range(5):
        x = torch.randn(16, 5, I, device=CARD, requires_grad=True)
        found = trained(layer, x, list(layer.parameters()))
        torch.testing.assert_close(found, expected_of(layer, x), **CLOSE)
    plan = gpu_plan(program_of(layer.cell, x.dtype, x.device), layer.cell.feedback)
    loop = plan.forward(save=True).library
    is_whole = isinstance(loop.way(5, CARD), WholeLoop)
    assert is_whole == (size == SMALL)
    assert len(loop.stepwise.replays._calls) == (0 if is_whole else 1)


@SIZES
def test_auto_takes_the_loops(size: int) -> None:
    layer = cello.Recurrent(cello.GRUCell(I, size)).to(CARD)
    x = torch.randn(16, 5, I, device=CARD)
    y, _ = layer(x)
    plan = program_of(layer.cell, x.dtype, x.device).derived["gpu"]
    assert list(plan.trust.values()) == [None]
    with cello.engine("reference"):
        torch.testing.assert_close(y, layer(x)[0], **CLOSE)


@SIZES
def test_streams(size: int) -> None:
    """Each stream has calls of its own, and what it makes is there when it is waited for."""
    layer, _ = made(size)
    streams = [torch.cuda.Stream() for _ in range(2)]
    given = [torch.randn(16, 5, I, device=CARD) for _ in range(6)]
    torch.cuda.synchronize()
    found = []
    with torch.no_grad():
        for number, x in enumerate(given):
            with torch.cuda.stream(streams[number % 2]):
                found.append(layer(x)[0])
        torch.cuda.synchronize()
        with cello.engine("reference"):
            for x, y in zip(given, found, strict=True):
                torch.testing.assert_close(y, layer(x)[0], **CLOSE)


@SIZES
@pytest.mark.parametrize("lengths", [None, [16, 9, 4, 4, 1]], ids=["even", "lengths"])
def test_cuda_graphs_of_a_users(size: int, lengths: list[int] | None) -> None:
    layer, _ = made(size)
    static = torch.randn(16, 5, I, device=CARD)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.no_grad():
        with torch.cuda.stream(side):
            for _ in range(3):
                layer(static, lengths=lengths)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            y, _ = layer(static, lengths=lengths)
        for _ in range(2):
            static.copy_(torch.randn_like(static))
            graph.replay()
            with cello.engine("reference"):
                torch.testing.assert_close(y, layer(static, lengths=lengths)[0], **CLOSE)


def test_what_has_not_been_checked_is_not_captured() -> None:
    """A check needs numbers: in a graph of the user's the step runs."""
    layer = cello.Recurrent(cello.GRUCell(I, 8)).to(CARD)
    static = torch.randn(4, 2, I, device=CARD)
    with torch.no_grad(), cello.engine("reference"):
        expected, _ = layer(static)
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.no_grad(), torch.cuda.graph(graph):
        y, _ = layer(static)
    graph.replay()
    torch.testing.assert_close(y, expected, **CLOSE)


@SIZES
def test_a_compiled_model_has_the_loops(size: int) -> None:
    layer, x = made(size)
    expected, parameters = expected_of(layer, x), list(layer.parameters())
    traced = Traced(layer)
    torch.testing.assert_close(trained(traced, x, parameters), expected, **CLOSE)
    found = (operators._op_forward, operators._op_backward)
    assert [traced.calls.count(one) for one in found] == [1, 1]
    torch.compiler.reset()
    compiled = torch.compile(layer, fullgraph=True)
    torch.testing.assert_close(trained(compiled, x, parameters), expected, **CLOSE)


def test_inductors_own_cuda_graphs() -> None:
    layer, x = made(LARGE)
    torch.compiler.reset()
    compiled = torch.compile(layer, mode="reduce-overhead")
    with torch.no_grad():
        for _ in range(4):
            y = compiled(x)[0].clone()
        with cello.engine("reference"):
            torch.testing.assert_close(y, layer(x)[0], **CLOSE)


@SIZES
def test_an_exported_model(size: int, tmp_path: Path) -> None:
    layer, x = made(size)
    exported = torch.export.export(layer, (x.detach(),))
    torch.export.save(exported, tmp_path / "model.pt2")
    again = torch.export.load(tmp_path / "model.pt2").module()
    with cello.engine("reference"):
        torch.testing.assert_close(again(x.detach())[0], layer(x)[0], **CLOSE)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_runs_the_step(dtype: torch.dtype) -> None:
    layer = cello.Recurrent(cello.LSTMCell(I, SMALL)).to(CARD)
    x = torch.randn(8, 3, I, device=CARD)
    with torch.autocast("cuda", dtype):
        y, _ = layer(x)
        with cello.engine("reference"):
            torch.testing.assert_close(y, layer(x)[0])
    assert y.dtype == dtype


@SIZES
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(size: int, dtype: torch.dtype) -> None:
    """Against float64, not twice as far from it as the step is."""
    layer, x = made(size)
    layer, x = layer.to(dtype), x.detach().to(dtype)
    found = [layer(x)[0]]
    with cello.engine("reference"):
        found.append(layer(x)[0])
        truth = layer.double()(x.double())[0]
    ours, steps = ((y.double() - truth).abs().max() for y in found)
    assert ours <= 2 * steps


def test_vmap_runs_the_step() -> None:
    layer = cello.Recurrent(cello.GRUCell(I, SMALL)).to(CARD)
    several = torch.randn(3, 8, 2, I, device=CARD)
    found = torch.vmap(lambda x: layer(x)[0])(several)
    torch.testing.assert_close(found, torch.stack([layer(x)[0] for x in several]), **CLOSE)


def test_gradients_of_gradients() -> None:
    layer, x = made(SMALL, steps=3)
    found = []
    for engine in ("reference", "gpu"):
        with cello.engine(engine):
            (first,) = torch.autograd.grad(layer(x)[0].square().sum(), x, create_graph=True)
            found.append(torch.autograd.grad(first.square().sum(), [x, *layer.parameters()]))
    torch.testing.assert_close(found[1], found[0], **CLOSE)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is one GPU here")
@SIZES
def test_several_devices(size: int) -> None:
    """One cell after the other on two cards, neither of them the current one all the time."""
    for device in ("cuda:1", "cuda:0", "cuda:1"):
        layer = cello.Recurrent(cello.LSTMCell(I, size), engine="gpu").to(device)
        x = torch.randn(16, 5, I, device=device, requires_grad=True)
        for _ in range(3):
            found = trained(layer, x, list(layer.parameters()))
            torch.testing.assert_close(found, expected_of(layer, x), **CLOSE)
        assert {part.device for part in found} == {torch.device(device)}


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """A group of one process, on NCCL."""
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("nccl", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@SIZES
def test_distributed_data_parallel(size: int, alone: None) -> None:
    layer, x = made(size)
    expected = expected_of(layer, x)
    parallel = nn.parallel.DistributedDataParallel(layer)
    for _ in range(3):
        layer.zero_grad()
        y, state = parallel(x)
        (y.square().mean() + sum(part.sin().mean() for part in state)).backward()
    found = [parameter.grad for parameter in layer.parameters()]
    torch.testing.assert_close(found, expected[1 + len(state) + 1 :], **CLOSE)


def test_drop_ins_go_to_cudnn_and_are_recorded_by_our_loops() -> None:
    layer = cello.LSTM(I, SMALL).to(CARD)
    theirs = nn.LSTM(I, SMALL).to(CARD)
    theirs.load_state_dict(layer.state_dict())
    x = torch.randn(8, 3, I, device=CARD)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        y, _ = layer(x)
    assert "aten::_cudnn_rnn" in {event.key for event in seen.key_averages()}
    torch.testing.assert_close(y, theirs(x)[0], rtol=0, atol=0)
    recording = cello.record(layer, x)
    torch.testing.assert_close(recording.output, y, **CLOSE)


@pytest.mark.parametrize("name", ["two-sizes", "jordan"])
def test_memory_is_given_back(name: str) -> None:
    """No call leaves more behind than the one before."""
    layer = cello.Recurrent(make(name, torch.float32), engine="gpu").to(CARD)
    x = torch.randn(16, 4, I, device=CARD, requires_grad=True)
    taken = []
    for _ in range(6):
        trained(layer, x, list(layer.parameters()))
        torch.cuda.synchronize()
        taken.append(torch.cuda.memory_allocated())
    assert taken[-1] == taken[2]
