"""Compiling a loop for a GPU that is not there: what it would take of one.

Triton makes the machine code of any card without a card; for NVIDIA's, a tool that comes with it
says how many registers and how much shared memory each function takes, for AMD's the listing does.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping
from typing import Any, NamedTuple

from cello.engines.gpu.compiled import OPTIONS
from cello.engines.gpu.stepwise.loop import StepwiseLoop
from cello.engines.gpu.whole import WholeLoop

__all__ = ["Taken", "compile_offline"]

_TYPES = {"p_tables": "*i32", "p_steps": "*i64", "p_time": "*i64", "p_reset": "*u8"}
_FLAGS = ("REVERSE", "RAGGED", "RESETS", "FORCED")


class Taken(NamedTuple):
    """What one function takes of a card.

    Attributes:
        registers: of each thread.
        spilled: bytes of each thread that found no register.
        shared: bytes of shared memory of each program.
        products: instructions of the tensor cores in the listing.
        barriers: in a step of its loop: Triton has them where a block goes through shared memory.
    """

    registers: int
    spilled: int
    shared: int
    products: int
    barriers: int


def compile_offline(
    loop: WholeLoop | StepwiseLoop,
    target: int | str = 90,
    *,
    precision: str | None = None,
    options: Mapping[str, int] | None = None,
    everything: bool = False,
) -> dict[str, Taken]:
    """Compile the functions of a loop.

    Args:
        loop: whose functions.
        target: a compute capability of NVIDIA's, such as 80, 90 or 120, or what AMD calls a card,
            such as "gfx942".
        precision: of products, as `tl.dot` has it; if not given, that of float32.
        options: for Triton's compiler, such as those of a plan.
        everything: with lengths, resets, known outputs and from the end, not with nothing.
    """
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    loop.load()
    amd = isinstance(target, str)
    card = GPUTarget("hip", target, 64) if amd else GPUTarget("cuda", target, 32)
    every = {**OPTIONS, "num_warps": loop.warps, **(options or {})}
    found = {}
    for name, function in loop.functions.items():
        constants: dict[str, Any] = {
            **dict.fromkeys(_FLAGS, everything),
            "OWN": loop.text.own,
            "NOW": loop.text.now,
            "TILE": loop.tile,
            "PRECISION": precision or ("ieee" if amd else "tf32x3"),
        }
        types = {
            word: "constexpr"
            if word in constants
            else _TYPES.get(word, "*fp32" if word.startswith("p_") else "i32")
            for word in function.arg_names
        }
        constants = {word: value for word, value in constants.items() if word in types}
        # PyTorch's memory begins at a multiple of 16 bytes, which Triton sees when it is called.
        even = {
            (i,): [["tt.divisibility", 16]] for i, t in enumerate(types.values()) if t[0] == "*"
        }
        source = ASTSource(fn=function, signature=types, constexprs=constants, attrs=even)
        made = triton.compile(source, target=card, options=every)
        found[name] = _of_amd(made) if amd else _of_nvidia(made, triton.knobs.nvidia.cuobjdump.path)
    return found


def _of_nvidia(made: Any, tool: str) -> Taken:
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(made.asm["cubin"])
        file.flush()
        done = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True)
    usage = re.search(r"REG:(\d+) STACK:(\d+)", done.stdout)
    assert usage is not None, done
    products = len(re.findall(r"\b(?:mma|wgmma)\.", made.asm["ptx"]))
    barriers = _in_a_step(made.asm["ptx"], r"\bbar\.sync")
    return Taken(int(usage[1]), int(usage[2]), made.metadata.shared, products, barriers)


def _of_amd(made: Any) -> Taken:
    listing = made.asm["amdgcn"]
    registers, spilled = (
        int(re.findall(rf"\.{word}:\s*(\d+)", listing)[-1])
        for word in ("vgpr_count", "private_segment_fixed_size")
    )
    products = len(re.findall(r"\bv_mfma", listing))
    barriers = _in_a_step(listing, r"\bs_barrier")
    return Taken(registers, spilled, made.metadata.shared, products, barriers)


def _in_a_step(listing: str, instruction: str) -> int:
    """How often an instruction stands in the loop over steps."""
    label = re.search(r"^(\S+):.*Inner Loop Header", listing, re.MULTILINE)
    if label is None:
        return 0
    body = listing[label.end() :].rpartition(label[1])[0]
    return len(re.findall(instruction, body))
