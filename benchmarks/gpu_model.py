"""What a loop would take on a GPU by counting: bytes, operations, launches, barriers, a time.

    python -m benchmarks.gpu_model

Of one step, at B 16 and T 1024, forward and backward, from the very loops that would run. The
figures of the card are those of its description, not measured ones; what is published beside it was
measured by others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

import cello
from cello.engines.gpu.card import H100, why_not_whole
from cello.engines.gpu.engine import gpu_plan
from cello.engines.gpu.stepwise.rendered import BlockProduct, Function, StepText
from cello.engines.gpu.whole import TILE
from cello.engines.gpu.write import TritonText
from cello.program import program_of

BATCH, STEPS = 16, 1024
SIZES = (64, 128, 256, 768)
#: An H100 SXM: bytes in a microsecond from its memory and its second cache; multiply-adds in a
#: microsecond of all processors, in TF32 and in float32; processors.
MEMORY, CACHE, IN_TF32, IN_FLOAT32 = 3.35e6, 5.5e6, 247e6, 33e6
PROCESSORS = H100.processors
#: Microseconds: of a launch within a CUDA graph, of a barrier of one program, of a product whose
#: operands are at hand, until its result is there, and of the functions between two products.
LAUNCH, BARRIER, PRODUCT, BETWEEN = 2.0, 0.05, 0.4, 0.3
#: Milliseconds that are published for an LSTM of 768 units in float16 at B 16, T 1024, on an H100:
#: forward, and with backward.
PUBLISHED = {"cuDNN": (2.01, 5.19), "FlashRNN, fused": (4.87, 13.6), "haste": (18.4, 43.9)}


class Counted(NamedTuple):
    """What a step takes.

    Attributes:
        way: how it runs.
        memory: bytes of rows that come from the card's memory or go there.
        cache: bytes of weights that come from the second cache.
        multiplies: multiply-adds.
        launches: functions and products.
        barriers: of a program.
        microseconds: how long it would take.
    """

    way: str
    memory: int
    cache: int
    multiplies: int
    launches: int
    barriers: int
    microseconds: float


def counted(hidden: int, *, backward: bool) -> Counted:
    """One step of an LSTM in float32."""
    cell = cello.LSTMCell(hidden, hidden)
    plan = gpu_plan(program_of(cell, torch.float32, torch.device("cpu")), cell.feedback)
    needed = frozenset(value.name for value in plan.shared)
    loop = (
        plan.backward(names=(), seen=(), x=True, needed=needed)
        if backward
        else plan.forward(save=True)
    )
    whole: TritonText = loop.library.whole.text
    stepwise: StepText = loop.library.stepwise.text
    rows = sum(array.width for array in _arrays(loop.kernel))
    if why_not_whole(whole, stepwise, BATCH, H100) is None:
        return _of_one_kernel(whole, rows)
    return _of_steps(stepwise, rows)


def _arrays(kernel: Any) -> Iterator[Any]:
    """The arrays that the loop goes through."""
    found = {store.array for store in kernel.stores if not store.per_sequence}
    found |= {node.array for node in kernel.nodes if hasattr(node, "array")}
    return (array for array in found if array.kind not in ("prev", "next", "carry"))


def _of_one_kernel(text: TritonText, rows: int) -> Counted:
    """Weights at hand; one program takes all of the 16 rows, so one processor does all products."""
    body = text.source.partition("def loop(")[2].partition("@triton.jit")[0]
    memory, barriers = 4 * BATCH * (rows + text.own), body.count("tl.debug_barrier()")
    products = 1 + (body.count("tl.dot(") > 4)  # those that wait for one another
    multiplies = TILE * text.held
    one = IN_TF32 / PROCESSORS / 3  # three products in TF32 for each
    took = PRODUCT * products + BETWEEN + BARRIER * barriers + multiplies / one
    took = max(took, memory / (MEMORY / PROCESSORS * 4))  # a processor has four times its share
    return Counted("one kernel", memory, 0, multiplies, 0, barriers, took)


def _of_steps(text: StepText, rows: int) -> Counted:
    """Weights come from the second cache at each step, shared out among all processors."""
    runs = text.phases["loop"]
    between = 4 * BATCH * sum(r.block.length for r in runs if isinstance(r, BlockProduct))
    memory, cache = 4 * BATCH * (rows + text.own), 4 * text.weights + 2 * between
    functions = sum(isinstance(run, Function) for run in runs)
    multiplies = BATCH * text.weights
    took = LAUNCH * text.launches + BETWEEN * functions
    took += max(cache / CACHE, multiplies / IN_FLOAT32) + memory / MEMORY
    return Counted("step by step", memory, cache, multiplies, text.launches, 0, took)


HEAD = (
    *("units, loop", "way", "memory, KB", "cache, KB"),
    *("10⁶ multiply-adds", "launches", "µs a step"),
)


def main() -> None:
    """Print a table, and what all steps would take."""
    print(f"| {' | '.join(HEAD)} |\n{'|---' * len(HEAD)}|")
    times = []
    for hidden in SIZES:
        both = [counted(hidden, backward=backward) for backward in (False, True)]
        for word, one in zip(("forward", "backward"), both, strict=True):
            memory, cache = one.memory / 1024, one.cache / 1024
            print(
                f"| {hidden}, {word} | {one.way} | {memory:.0f} | {cache:.0f} "
                f"| {one.multiplies / 1e6:.2f} | {one.launches} | {one.microseconds:.1f} |"
            )
        forward, backward = (one.microseconds * STEPS / 1e3 for one in both)
        times.append(f"{hidden} units: {forward:.1f} ms, {forward + backward:.1f} ms")
    print("", *times, sep="\n")
    for name, (forward, both_ways) in PUBLISHED.items():
        print(f"{name}, 768 units, published: {forward} ms, {both_ways} ms")


if __name__ == "__main__":
    main()
