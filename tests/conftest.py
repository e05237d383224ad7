"""What all tests share. Warnings are errors: see `filterwarnings` in pyproject.toml."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

# One thread for each test process, and for the processes that tests start: there may be several at
# once, and results must not depend on it. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# What is compiled is kept from one run of the tests to the next, apart from the user's own.
os.environ["CELLO_CACHE"] = str(Path(__file__).parents[1] / ".pytest_cache" / "compiled")
# What commands print is compared with their English, whatever the language of the machine.
os.environ["LANGUAGE"] = "en"

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from torch import Tensor
from torch.utils._device import _device_constructors

# Triton's functions run on its interpreter where there is no GPU. Read when it is imported.
os.environ.setdefault("TRITON_INTERPRET", str(int(not torch.cuda.is_available())))

settings.register_profile(
    "default",
    max_examples=25,
    derandomize=True,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("full", settings.get_profile("default"), max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_collection_finish() -> None:
    """What has been imported stays: the garbage collector need not look at it again."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    gc.unfreeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Loops are compiled quickly, but for tests of what users get: see `tests/compiling.py`."""
    from tests import compiling, effort

    compiling.quickly(not effort.FULL and item.get_closest_marker("optimised") is None)


@pytest.fixture(scope="session", autouse=True)
def calls_in_cpp() -> None:
    """What else is built behind a user's back is there before the first test, where it can be."""
    from cello.engines.cpu.node.extension import make

    make()


@pytest.fixture(autouse=True)
def same_start() -> Iterator[None]:
    """Every test starts from the same seed, one thread, float32, and leaves it so."""
    torch.manual_seed(0)
    np.random.seed(0)
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)
    yield
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def step_by_step() -> Iterator[None]:
    """Cells call their step: for tests of what is shown of numbers, whatever computed them.

    Compiling a loop takes seconds; that all engines give the same numbers has its own tests.
    """
    import cello

    with cello.engine("reference"):
        yield


@pytest.fixture
def compile_nothing() -> Iterator[None]:
    """Layers run on the engine that needs no compiler, for the same reason."""
    import cello

    with cello.engine("split"):
        yield


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C interrupts, and a closed terminal ends, here and in what a test starts.

    Whoever started the tests may have had that ignored: nohup, and & in a script, do so.
    """
    before = {signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler)}
    if hasattr(signal, "SIGHUP"):
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def _poison(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def poisoned(*args: object, **kwargs: object) -> Tensor:
        tensor = make(*args, **kwargs)
        if tensor.is_floating_point():
            return tensor.fill_(torch.nan)
        return tensor.fill_(torch.iinfo(tensor.dtype).max) if tensor.dtype != torch.bool else tensor

    return poisoned


@pytest.fixture
def poison_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory from torch.empty and its kin holds NaN, so that nothing unwritten goes unnoticed.

    It reaches what Python code asks for; what torch's own kernels allocate inside is untouched.
    """
    _device_constructors()  # PyTorch keeps these for good: they are to be its own functions
    for name in ("empty", "empty_like", "empty_strided", "empty_permuted"):
        monkeypatch.setattr(torch, name, _poison(getattr(torch, name)))
    for name in ("new_empty", "new_empty_strided"):
        monkeypatch.setattr(Tensor, name, _poison(getattr(Tensor, name)))
