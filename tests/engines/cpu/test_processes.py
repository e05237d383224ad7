"""The compiled loops in copies of a layer, in threads and in other processes."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cello.engines.cpu.engine import CpuPlan
from tests.engines.cpu.compiled import DOUBLE, close, layer_of, numbers
from tests.engines.cpu.conftest import in_fork


def results(layer: nn.Module, x: Tensor) -> list[Tensor]:
    y, state = layer(x)
    loss = y.square().sum() + state[0].sum()
    return [y.detach(), *torch.autograd.grad(loss, list(layer.parameters()))]


@pytest.mark.parametrize("name", ["lstm", "AntisymmetricCell", "drop-in"])
def test_copies_and_pickles(name: str) -> None:
    layer, x = layer_of(name), numbers(3, 2, 3)
    expected = results(layer, x)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        close(results(twin, x), expected)
        with torch.no_grad():
            next(twin.parameters()).add_(1.0)
        assert not torch.equal(twin(x)[0], expected[0])
    close(results(layer, x), expected)


@pytest.mark.parametrize("name", ["lstm-peephole", "drop-in"])
def test_threads_at_once_over_a_layer_that_is_not_built_yet(name: str) -> None:
    layer = layer_of(name)
    inputs = [numbers(20, 2, 3) for _ in range(6)]
    found: list[list[Tensor]] = [[] for _ in inputs]
    ready = threading.Barrier(len(inputs))

    def work(number: int) -> None:
        ready.wait()
        for _ in range(10):
            found[number] = results(layer, inputs[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for x, ours in zip(inputs, found, strict=True):
        assert all(map(torch.equal, ours, results(layer, x)))


def test_a_forked_process() -> None:
    layer, x = layer_of(), numbers(3, 2, 3)
    expected = results(layer, x)[0]
    assert in_fork(lambda: torch.equal(results(layer, x)[0], expected)) == "True"
    for name in ("jordan", "drop-in"):
        fresh = layer_of(name)
        count = in_fork(lambda fresh=fresh: len(results(fresh, x)))
        assert count == str(1 + len(list(fresh.parameters())))


KINDS = ("gru", "drop-in")


class Rows(torch.utils.data.Dataset):
    """A data set whose rows layers make in turn, in the process that loads them."""

    def __init__(self) -> None:
        self.layers = [layer_of(name) for name in KINDS]

    def __len__(self) -> int:
        return 4 * len(KINDS)

    def __getitem__(self, index: int) -> Tensor:
        layer = self.layers[index // 4]
        with torch.no_grad():
            return layer(torch.full((3, 1, 3), float(index), dtype=DOUBLE))[0]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_workers_of_a_data_loader(way: str) -> None:
    rows = Rows()
    loader = torch.utils.data.DataLoader(
        rows, batch_size=None, num_workers=2, multiprocessing_context=way
    )
    for number, row in enumerate(loader):
        close(row, rows[number])


def test_a_plan_goes_with_its_cell() -> None:
    layer = layer_of()
    layer(numbers(3, 2, 3))

    def plans() -> int:
        while gc.collect():  # what the tests before have left behind
            pass
        return sum(type(thing) is CpuPlan for thing in gc.get_objects())

    many = plans()
    del layer
    assert plans() == many - 1


def one_of_two(rank: int, folder: Path, parameters: dict[str, dict[str, Tensor]]) -> None:
    """One process: its half of the rows; the gradients are those of all rows."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    x = torch.load(folder / "x.pt")
    for name, values in parameters.items():
        layer = layer_of(name)
        layer.load_state_dict(values)
        net = nn.parallel.DistributedDataParallel(layer)
        net(x[:, rank::2])[0].square().sum().backward()
        if rank == 0:
            torch.save([2 * p.grad for p in layer.parameters()], folder / f"{name}.pt")
        del net  # which holds the group, and its threads
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_with_ddp(tmp_path: Path) -> None:
    layers, x = {name: layer_of(name) for name in ("lstm", "drop-in")}, numbers(5, 4, 3)
    torch.save(x, tmp_path / "x.pt")
    parameters = {name: layer.state_dict() for name, layer in layers.items()}
    torch.multiprocessing.spawn(one_of_two, (tmp_path, parameters), nprocs=2)
    for name, layer in layers.items():
        layer(x)[0].square().sum().backward()
        gradients = torch.load(tmp_path / f"{name}.pt")
        close(gradients, [parameter.grad for parameter in layer.parameters()])
