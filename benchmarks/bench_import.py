"""What `import cello` adds to `import torch`, in fresh processes.

The first case is what counts: the import alone, torch being loaded already. The second is the
whole, which has the noise of loading torch in it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.harness import Case, Timed

SOURCE = Path(__file__).resolve().parent.parent / "src"
MOST_EXTRA_MS = 150.0


def in_fresh_process(before: str, timed: str) -> Callable[[], Timed]:
    """A function that runs two statements in a new process and times the second one."""
    code = (
        f"import time\n{before}\nbegin = time.perf_counter()\n{timed}\n"
        "print(time.perf_counter() - begin)\nimport torch\nprint(torch.__version__)"
    )
    path = os.pathsep.join([str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])])

    def run() -> Timed:
        printed = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        return Timed(float(printed[0]), printed[1])

    return run


def cases() -> Iterator[Case]:
    yield Case(
        "import cello, after torch | nothing more",
        ours=in_fresh_process("import torch", "import cello"),
        theirs=in_fresh_process("import torch", "import torch"),
        most_extra_ms=MOST_EXTRA_MS,
    )
    yield Case(
        "import torch, cello | import torch",
        ours=in_fresh_process("", "import torch, cello"),
        theirs=in_fresh_process("", "import torch"),
    )
