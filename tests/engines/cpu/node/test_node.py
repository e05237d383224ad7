"""Calls in C++ give the bits of those in Python, and see what is out of the ordinary."""

from __future__ import annotations

import copy
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

import cello
from cello.engines.cpu.node import extension as extensions
from cello.engines.cpu.node import recipes
from cello.engines.cpu.toolchain.build import compiler
from tests.engines.cpu.conftest import executable
from tests.patience import until
from tests.registry import CAPTURED, COMPILED_ONCE, NOT_FUSED, RANDOM, SHAPED, make, state_of, x_of

needs_extension = pytest.mark.skipif(
    isinstance(extensions.cpp_compiler(), str), reason=str(extensions.cpp_compiler())
)
KNOWN = sorted({*CAPTURED} - {*RANDOM, *NOT_FUSED, *COMPILED_ONCE, *SHAPED})
T, B, I = 5, 3, 3  # noqa: E741 - the sizes that the equations name so


@pytest.fixture
def in_python(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """After it is called nothing new runs in C++, as where there is no extension."""
    return lambda: monkeypatch.setattr(recipes, "extension", lambda begin: None)


def is_native(result: Tensor) -> bool:
    """Whether it, or what it is a view of, came with a node in C++."""
    node: Any = result.grad_fn
    return node.name() == "CelloResult" or node.next_functions[0][0].name() == "CelloResult"


def warm(layer: nn.Module, *given: Any) -> None:
    """Call a layer until all is known that its calls need."""
    for _ in range(3):
        y, _ = layer(*given)
        y.sum().backward()


def results(layer: nn.Module, leaves: list[Tensor], *given: Any) -> list[Tensor]:
    """The outputs, the final state, and gradients of all of them."""
    y, state = layer(*given)
    made = [y, *(state if isinstance(state, tuple) else [state])]
    loss = sum((t * torch.linspace(-1, 1, t.numel(), dtype=t.dtype).view_as(t)).sum() for t in made)
    grads = torch.autograd.grad(loss, leaves, allow_unused=True)
    return [*made, *(torch.zeros(0) if g is None else g for g in grads)]


@needs_extension
@pytest.mark.parametrize("name", KNOWN)
def test_every_cell_gives_the_same_bits(name: str, in_python: Callable[[], None]) -> None:
    layer = cello.Recurrent(make(name), reverse=len(name) % 2 == 0)
    dtype = next((p.dtype for p in layer.parameters()), torch.float64)
    x = x_of(layer.cell, T, B, dtype=dtype).requires_grad_()
    state = tuple(part.requires_grad_() for part in state_of(layer.cell, B, dtype=dtype))
    forms = [((x,), [x]), ((x, state), [x, *state]), ((x.detach(), state), [*state])]
    forms += [((x[:, :1], None), [x])]
    parameters = list(layer.parameters())
    native = []
    for given, leaves in forms:
        warm(layer, *given)
        native.append(results(layer, [*parameters, *leaves], *given))
        assert is_native(native[-1][0])
    in_python()
    for loops in [guard.loops for guard in vars(layer.cell).values() if hasattr(guard, "loops")]:
        loops.clear()
    for (given, leaves), ours in zip(forms, native, strict=True):
        for _ in range(2):
            theirs = results(layer, [*parameters, *leaves], *given)
        assert not is_native(theirs[0])
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)


@needs_extension
@pytest.mark.parametrize("steps", [600, 700])  # fewer rows than 2048, and more
@pytest.mark.parametrize("cell", [cello.LSTMCell, cello.GRUCell])
def test_long_sequences(cell: type, steps: int, in_python: Callable[[], None]) -> None:
    layer, x = cello.Recurrent(cell(I, 4)).double(), torch.randn(steps, 3, I).double()
    leaves = [*layer.parameters()]
    warm(layer, x)
    native = results(layer, leaves, x)
    assert is_native(native[0])
    with cello.engine("reference"):
        torch.testing.assert_close(native, results(layer, leaves, x))
    in_python()
    again = copy.deepcopy(layer)
    for _ in range(2):
        theirs = results(again, [*again.parameters()], x)
    assert not is_native(theirs[0])
    torch.testing.assert_close(native, theirs, rtol=0, atol=0)


@needs_extension
@pytest.mark.parametrize("kind", [cello.RNN, cello.LSTM, cello.GRU])
@pytest.mark.parametrize("options", [{}, {"batch_first": True}, {"bidirectional": True}], ids=str)
def test_drop_ins_take_it_too(kind: type, options: dict[str, Any]) -> None:
    ours = kind(I, 4, **options)
    theirs = getattr(nn, kind.__name__)(I, 4, **options)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(T, T, I, requires_grad=True)
    warm(ours, x)
    assert options.get("bidirectional") or is_native(ours(x)[0])
    for mine, reference in zip(
        results(ours, [*ours.parameters(), x], x),
        results(theirs, [*theirs.parameters(), x], x),
        strict=True,
    ):
        torch.testing.assert_close(mine, reference)


# ------------------------------------------------------------ what is out of the ordinary


@pytest.fixture
def layer() -> cello.Recurrent:
    layer = cello.Recurrent(cello.GRUCell(I, 4)).double()
    warm(layer, x_like())
    return layer


def x_like() -> Tensor:
    return torch.linspace(-1, 1, T * B * I, dtype=torch.float64).view(T, B, I).requires_grad_()


def expected(layer: cello.Recurrent, loss: Callable[[Tensor], Tensor]) -> Tensor:
    with cello.engine("reference"):
        x = x_like()
        return torch.autograd.grad(loss(layer(x)[0]), x)[0]


def halved(y: Tensor) -> Tensor:
    return y.mul_(0.5).square().sum()


@needs_extension
def test_what_is_changed_in_place_is_computed_again(layer: cello.Recurrent) -> None:
    x = x_like()
    y, _ = layer(x)
    assert is_native(y)
    (grad,) = torch.autograd.grad(halved(y), x)
    torch.testing.assert_close(grad, expected(layer, halved))
    y, _ = layer(x)
    layer.cell.W.data.add_(0)  # behind autograd's back
    y.sum().backward()
    y, _ = layer(x)
    with torch.no_grad():
        layer.cell.W.mul_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@needs_extension
def test_a_graph_goes_once_unless_it_is_kept(layer: cello.Recurrent) -> None:
    x = x_like()
    loss = layer(x)[0].square().sum()
    first, second = (torch.autograd.grad(loss, x, retain_graph=True)[0] for _ in range(2))
    assert first.equal(second)
    loss.backward()
    with pytest.raises(RuntimeError, match="a second time"):
        loss.backward()


@needs_extension
def test_gradients_of_gradients_and_by_the_batch(layer: cello.Recurrent) -> None:
    x = x_like()
    assert is_native(layer(x)[0])
    assert torch.autograd.gradgradcheck(lambda x: layer(x)[0], (x,))
    y = layer(x)[0]
    rows = torch.eye(4, dtype=y.dtype).view(4, 1, 1, 4).expand(4, *y.shape)
    (batch,) = torch.autograd.grad(y, x, rows, is_grads_batched=True, retain_graph=True)
    for row, grad in zip(rows, batch, strict=True):
        assert torch.autograd.grad(y, x, row, retain_graph=True)[0].equal(grad)


@needs_extension
def test_gradients_of_gradients_where_nothing_is_kept_beside_the_outputs() -> None:
    layer, x = cello.Recurrent(cello.ElmanCell(I, 4)).double(), x_like()
    warm(layer, x)
    assert is_native(layer(x)[0])
    assert torch.autograd.gradgradcheck(lambda x: layer(x)[0], (x,))


@needs_extension
def test_who_listens_is_told(layer: cello.Recurrent) -> None:
    def loss(y: Tensor) -> Tensor:
        return y.square().sum()

    x, wanted = x_like(), expected(layer, loss)
    made = loss(layer(x)[0])
    with FlopCounterMode(display=False) as counter:
        made.backward()
    assert counter.get_total_flops() > 0
    torch.testing.assert_close(x.grad, wanted)
    made = loss(layer(x)[0])
    with torch.profiler.profile() as profiler:
        made.backward()
    names = {event.key for event in profiler.key_averages()}
    assert "CelloLoop" in names
    assert "cello::backward" in names
    seen: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: seen.append(t) or t, lambda t: t * 1):
        made = loss(layer(x)[0])
    assert len(seen) > 2
    torch.testing.assert_close(torch.autograd.grad(made, x)[0], wanted)
    made = checkpoint(lambda x: loss(layer(x)[0]), x, use_reentrant=False)
    torch.testing.assert_close(torch.autograd.grad(made, x)[0], wanted)
    with pytest.raises(ValueError, match="from a hook"):
        raising(layer, x).sum().backward()


def raising(layer: cello.Recurrent, x: Tensor) -> Tensor:
    def refuse(_: Tensor) -> None:
        raise ValueError("from a hook")

    y, _ = layer(x)
    y.register_hook(refuse)
    return y


@needs_extension
def test_an_error_in_python_comes_through(
    layer: cello.Recurrent, monkeypatch: pytest.MonkeyPatch
) -> None:
    y, _ = layer(x_like())
    monkeypatch.setattr("cello.engines.cpu.dense.backward", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        torch.autograd.grad(y.sum(), layer.cell.W, create_graph=True)


@needs_extension
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # PyTorch's own code reads it
def test_compiled_backward_passes(layer: cello.Recurrent) -> None:
    from torch._dynamo import compiled_autograd

    x = x_like()
    torch.compiler.reset()
    loss = layer(x)[0].square().sum()
    with compiled_autograd._enable(lambda graph: torch.compile(graph, backend="eager")):
        loss.backward()
    torch.testing.assert_close(x.grad, expected(layer, lambda y: y.square().sum()))


@needs_extension
def test_threads_do_not_wait_for_each_other() -> None:
    layer = cello.Recurrent(cello.LSTMCell(16, 64))
    x = torch.randn(200, 4, 16)
    warm(layer, x)
    parameters = list(layer.parameters())

    def gradients() -> list[Tensor]:
        return list(torch.autograd.grad(layer(x)[0].square().sum(), parameters))

    expected, found = gradients(), dict[int, list[Tensor]]()
    workers = [
        threading.Thread(target=lambda n=n: found.__setitem__(n, gradients())) for n in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for grads in found.values():
        torch.testing.assert_close(grads, expected, rtol=0, atol=0)
    y = layer(x)[0]
    torch.set_num_threads(2)
    assert layer(x)[0].equal(y)
    assert layer(x[:, :1])[0].equal(y[:, :1])


# ------------------------------------------------------------ how it is built


@pytest.fixture(scope="session")
def built() -> str:
    """The extension that these tests run with."""
    file: str = extensions.extension().__file__
    return file


@pytest.fixture
def anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A process that knows nothing of an extension, and an empty cache."""
    monkeypatch.setattr(extensions, "_state", extensions._State())
    monkeypatch.setenv("CC", str(folder.parent / "tools" / "cc"))
    real = shlex.join(compiler_of_tests().command)
    executable(folder.parent / "tools" / "cc", f'exec {real} "$@"')
    compiler()  # makes the cache
    yield folder
    if extensions._state.child is not None:
        extensions._state.child.wait()


def compiler_of_tests() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CC")
        return compiler()


def finished() -> bool:
    child = extensions._state.child
    return child is not None and child.poll() is not None


@needs_extension
def test_it_is_built_beside_the_process(built: str, anew: Path, tmp_path: Path) -> None:
    executable(tmp_path / "tools" / "c++", f'while [ "$1" != -o ]; do shift; done; cp {built} "$2"')
    assert extensions.extension() is None
    assert extensions.extension(begin=True) is None
    until(finished)
    assert extensions.extension().Loop
    assert extensions.why_not() is None


@needs_extension
def test_a_process_that_ends_meanwhile_says_nothing(anew: Path, tmp_path: Path) -> None:
    done = tmp_path / "done"
    executable(tmp_path / "tools" / "c++", f"sleep 1; echo > {done}; exit 1")
    program = "from cello.engines.cpu.node.extension import extension; extension(begin=True)"
    ended = subprocess.run(
        [sys.executable, "-W", "always::ResourceWarning", "-c", program],
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    until(done.exists)


@needs_extension
def test_what_fails_is_not_tried_again(anew: Path, tmp_path: Path) -> None:
    executable(tmp_path / "tools" / "c++", f"echo >> {tmp_path / 'calls'}; exit 1")
    assert extensions.extension(begin=True) is None
    until(finished)
    for _ in range(2):
        assert extensions.extension(begin=True) is None
        extensions._state.__init__()
    extensions.make()
    assert extensions._state.child is None
    assert (tmp_path / "calls").read_text() == "\n"
    assert extensions.why_not() == "it could not be compiled"


def test_without_a_compiler_or_headers_nothing_is_begun(
    anew: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no C++ compiler" in str(extensions.cpp_compiler())
    assert extensions.extension(begin=True) is None
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    assert "Python.h is not there" in str(extensions.cpp_compiler())
    monkeypatch.setattr("sys.platform", "darwin")
    assert "on Linux only" in str(extensions.why_not())
    extensions.make()
    assert extensions._state.child is None
