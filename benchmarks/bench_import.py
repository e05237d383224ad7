"""What `import cello` adds to `import torch`, in fresh processes.

The first case is what counts: the import alone, torch being loaded already. The second is the
whole, which has the noise of loading torch in it.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.case import Case
from benchmarks.processes import timed_in_fresh_process

MOST_EXTRA_MS = 150.0
ROUNDS = 9
VERSION = "__import__('torch').__version__"


def cases() -> Iterator[Case]:
    yield Case(
        "import cello, after torch | nothing more",
        ours=timed_in_fresh_process("import torch", "import cello", VERSION),
        theirs=timed_in_fresh_process("import torch", "import torch", VERSION),
        rounds=ROUNDS,
        most_extra=MOST_EXTRA_MS,
    )
    yield Case(
        "import torch, cello | import torch",
        ours=timed_in_fresh_process("", "import torch, cello", VERSION),
        theirs=timed_in_fresh_process("", "import torch", VERSION),
        rounds=ROUNDS,
        quick=False,
    )
