"""What a CUDA graph does, on a CPU: launches are written down with their arguments, then run again.

As a graph, it takes what is launched as it was: numbers, and the memory of tensors. What a capture
forbids is an error: new memory, and a look at numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from torch.utils._python_dispatch import TorchDispatchMode
from triton.runtime.interpreter import GridExecutor


class _Writing(TorchDispatchMode):
    def __init__(self, written: list[Callable[[], Any]]) -> None:
        super().__init__()
        self.written = written

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        aliases = [part.alias_info for part in func._schema.arguments]
        changed = [i for i, alias in enumerate(aliases) if alias is not None and alias.is_write]
        if changed:
            self.written.append(lambda: func(*args, **kwargs))
            name = func._schema.arguments[changed[0]].name
            return kwargs[name] if name in kwargs else args[changed[0]]
        if not any(part.alias_info is not None for part in func._schema.returns):
            raise RuntimeError(f"operation not permitted when stream is capturing: {func}")
        return func(*args, **kwargs)


class Recorder:
    """Captures in the place of CUDA.

    Attributes:
        captured, replayed: how often.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.captured = self.replayed = 0
        self.monkeypatch = monkeypatch

    def __call__(self, run: Callable[[], None]) -> Callable[[], None]:
        written: list[Callable[[], Any]] = []
        really = GridExecutor.__call__

        def write(executor: Any, *args: Any, **kwargs: Any) -> None:
            written.append(lambda: really(executor, *args, **kwargs))

        with self.monkeypatch.context() as patch, _Writing(written):
            patch.setattr(GridExecutor, "__call__", write)
            run()
        self.captured += 1

        def replay() -> None:
            self.replayed += 1
            for launch in written:
                launch()

        return replay
