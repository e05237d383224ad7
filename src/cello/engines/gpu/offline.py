"""Compiling a loop for a GPU that is not there: what it would take of one.

Triton makes the machine code of any NVIDIA card without a card; a tool that comes with it says how
many registers and how much shared memory each function takes.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from typing import Any, NamedTuple

from cello.engines.gpu.stepwise.loop import StepwiseLoop
from cello.engines.gpu.whole import WholeLoop

__all__ = ["Taken", "compile_offline"]

_TYPES = {"p_tables": "*i32", "p_steps": "*i64", "p_time": "*i64", "p_reset": "*u8"}


class Taken(NamedTuple):
    """What one function takes of a card.

    Attributes:
        registers: of each thread.
        spilled: bytes of each thread that found no register.
        shared: bytes of shared memory of each program.
        products: instructions of the tensor cores in the listing.
    """

    registers: int
    spilled: int
    shared: int
    products: int


def compile_offline(
    loop: WholeLoop | StepwiseLoop,
    capability: int = 90,
    *,
    precision: str = "tf32x3",
    warps: int = 8,
) -> dict[str, Taken]:
    """Compile the functions of a loop for a compute capability, such as 80, 90 or 120."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    loop.load()
    found = {}
    for name, function in loop.functions.items():
        constants: dict[str, Any] = {
            **dict.fromkeys(("REVERSE", "RAGGED", "RESETS", "FORCED"), False),
            "OWN": loop.text.own,
            "NOW": loop.text.now,
            "TILE": loop.tile,
            "PRECISION": precision,
        }
        types = {
            word: "constexpr"
            if word in constants
            else _TYPES.get(word, "*fp32" if word.startswith("p_") else "i32")
            for word in function.arg_names
        }
        constants = {word: value for word, value in constants.items() if word in types}
        source = ASTSource(fn=function, signature=types, constexprs=constants)
        target = GPUTarget("cuda", capability, 32)
        made = triton.compile(source, target=target, options={"num_warps": warps})
        found[name] = _taken(made, triton.knobs.nvidia.cuobjdump.path)
    return found


def _taken(made: Any, tool: str) -> Taken:
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(made.asm["cubin"])
        file.flush()
        done = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True)
    usage = re.search(r"REG:(\d+) STACK:(\d+)", done.stdout)
    assert usage is not None, done
    products = len(re.findall(r"\b(?:mma|wgmma)\.", made.asm["ptx"]))
    return Taken(int(usage[1]), int(usage[2]), made.metadata.shared, products)
