"""What a loop would take on a GPU by counting: bytes, operations, launches, barriers, a time.

    python -m benchmarks.gpu_model

Of one step, at B 16 and T 1024, forward and backward, from the very loops that would run; barriers
are those of the machine code that Triton makes of them. The figures of the card are those of its
description, not measured ones; what is published beside it was measured by others.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

import cello
from cello.engines.gpu.card import H100, why_not_whole
from cello.engines.gpu.engine import gpu_plan
from cello.engines.gpu.offline import compile_offline
from cello.engines.gpu.stepwise.rendered import BlockProduct, Function, StepText
from cello.engines.gpu.whole import TILE
from cello.engines.gpu.write import TritonText
from cello.program import program_of

BATCH, STEPS = 16, 1024
SIZES = (64, 128, 256, 768)
#: An H100 SXM: bytes in a microsecond from its memory and its second cache; multiply-adds in a
#: microsecond of all processors, in TF32, in 16 bits and, without tensor cores, in float32.
MEMORY, CACHE, IN_TF32, IN_16_BITS, IN_FLOAT32 = 3.35e6, 5.5e6, 247e6, 494e6, 33e6
PROCESSORS = H100.processors
#: Microseconds: of a launch within a CUDA graph, of a barrier of one program with the shared memory
#: that is written before it and read after, of a product whose operands are at hand, until its
#: result is there, and of the functions between two products.
LAUNCH, BARRIER, PRODUCT, BETWEEN = 2.0, 0.03, 0.4, 0.3
#: Milliseconds that are published for an LSTM of 768 units in float16 at B 16, T 1024, on an H100:
#: forward, and with backward.
PUBLISHED = {"cuDNN": (2.01, 5.19), "FlashRNN, fused": (4.87, 13.6), "haste": (18.4, 43.9)}


class Counted(NamedTuple):
    """What a step takes.

    Attributes:
        way: how it runs.
        memory: bytes of rows that come from the card's memory or go there.
        cache: bytes of weights that come from the second cache.
        shared: bytes of weights that come from a processor's shared memory.
        multiplies: multiply-adds.
        launches: functions and products.
        barriers: of a program.
        microseconds: how long it would take.
    """

    way: str
    memory: int
    cache: int
    shared: int
    multiplies: int
    launches: int
    barriers: int
    microseconds: float


def counted(hidden: int, dtype: torch.dtype, *, backward: bool) -> Counted:
    """One step of an LSTM."""
    cell = cello.LSTMCell(hidden, hidden).to(dtype)
    plan = gpu_plan(program_of(cell, dtype, torch.device("cpu")), cell.feedback)
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
        precision = "tf32" if dtype.itemsize == 2 else "tf32x3"
        taken = compile_offline(loop.library.whole, 90, precision=precision)["loop"]
        return _of_one_kernel(whole, rows, taken.barriers, products=1 + 2 * (dtype.itemsize > 2))
    return _of_steps(stepwise, rows, dtype.itemsize)


def _arrays(kernel: Any) -> Iterator[Any]:
    """The arrays that the loop goes through."""
    found = {store.array for store in kernel.stores if not store.per_sequence}
    found |= {node.array for node in kernel.nodes if hasattr(node, "array")}
    return (array for array in found if array.kind not in ("prev", "next", "carry"))


def _of_one_kernel(text: TritonText, rows: int, barriers: int, *, products: int) -> Counted:
    """Weights at hand; one program takes all of the 16 rows, so one processor does all products.

    Args:
        text: of the loop.
        rows: numbers of a row, of all arrays.
        barriers: of a step.
        products: in TF32, for each product.
    """
    body = text.source.partition("def loop(")[2].partition("@triton.jit")[0]
    memory, multiplies = 4 * BATCH * (rows + text.own), TILE * text.held
    waits = 1 + (body.count("tl.dot(") > 4)  # those that wait for one another
    took = PRODUCT * waits + BETWEEN + BARRIER * barriers
    took += multiplies * products / (IN_TF32 / PROCESSORS)
    took = max(took, memory / (MEMORY / PROCESSORS * 4))  # a processor has four times its share
    return Counted("one kernel", memory, 0, 4 * text.held, multiplies, 0, barriers, took)


def _of_steps(text: StepText, rows: int, itemsize: int) -> Counted:
    """Weights come from the second cache at each step, shared out among all processors.

    Those of 16 bits are multiplied on tensor cores; each factor is rounded by a launch of its own.
    """
    runs = text.phases["loop"]
    products = [run for run in runs if isinstance(run, BlockProduct)]
    between = 4 * BATCH * sum(product.block.length for product in products)
    memory, cache = 4 * BATCH * (rows + text.own), itemsize * text.weights + 2 * between
    functions = sum(isinstance(run, Function) for run in runs)
    launches = text.launches + (itemsize == 2) * sum(len(p.factors) for p in products)
    multiplies = BATCH * text.weights
    rate = IN_16_BITS if itemsize == 2 else IN_FLOAT32
    took = LAUNCH * launches + BETWEEN * functions
    took += max(cache / CACHE, multiplies / rate) + memory / MEMORY
    return Counted("step by step", memory, cache, 0, multiplies, launches, 0, took)


HEAD = (
    *("units, loop", "way", "memory, KB", "cache, KB", "shared, KB"),
    *("10⁶ multiply-adds", "launches", "barriers", "µs a step"),
)


def main() -> None:
    """Print a table, and what all steps would take."""
    print(f"| {' | '.join(HEAD)} |\n{'|---' * len(HEAD)}|")
    times = []
    for dtype, hidden in itertools.product((torch.float32, torch.float16), SIZES):
        what = f"{hidden}, {str(dtype).removeprefix('torch.')}"
        both = [counted(hidden, dtype, backward=backward) for backward in (False, True)]
        for word, one in zip(("forward", "backward"), both, strict=True):
            sizes = (f"{size / 1024:.0f}" for size in (one.memory, one.cache, one.shared))
            print(
                f"| {what}, {word} | {one.way} | {' | '.join(sizes)} | {one.multiplies / 1e6:.2f} "
                f"| {one.launches} | {one.barriers} | {one.microseconds:.1f} |"
            )
        forward, backward = (one.microseconds * STEPS / 1e3 for one in both)
        times.append(f"{what}: {forward:.1f} ms, {forward + backward:.1f} ms")
    print("", *times, sep="\n")
    for name, (forward, both_ways) in PUBLISHED.items():
        print(f"{name}, 768 units, published: {forward} ms, {both_ways} ms")


if __name__ == "__main__":
    main()
