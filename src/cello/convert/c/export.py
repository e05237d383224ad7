"""`cello.to_c`: a net as one C file and its header."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from cello.convert.c.machine import build, code_size
from cello.convert.c.names import check_name
from cello.convert.c.proof import CompiledNet, differences
from cello.convert.c.source import MADE, NetInC, source_of
from cello.convert.graph import NetGraph
from cello.convert.graph.per_step import in_passes
from cello.convert.proof import Case, draw_input, prove, run_net
from cello.engines.cpu.toolchain.build import compiler
from cello.errors import ArgumentError, CompilerError, ConversionError, DtypeError
from cello.files import replace_all
from cello.layers.mode import evaluating
from cello.layers.paths import check_module
from cello.layers.stages import as_layers, stages_of

__all__ = ["ExportedC", "to_c"]

#: Steps of the random sequence that the loss of 8 bits is measured on.
_STEPS = 100
#: How far 8 bits may be from their own values as floats, as a share of the largest output.
_ROUNDING = 1e-4


@dataclass(frozen=True)
class ExportedC:
    """What `to_c` has written.

    Attributes:
        files: the C file and its header.
        code_bytes: of instructions, for this machine and made small; None if that is not known.
        weight_bytes: of the constants.
        state_bytes: of the struct that the caller keeps.
        stack_bytes: of the arrays that a step has on the stack.
        difference: the largest between the C and the net on the inputs that it was proved by, as
            a share of the largest number (of 1, where all are smaller); None if it was not proved.
        why_not: why it was not proved.
        int8_loss: of weights in 8 bits: the largest and the root mean square difference of the
            outputs from those with full weights.
    """

    files: tuple[Path, Path]
    code_bytes: int | None
    weight_bytes: int
    state_bytes: int
    stack_bytes: int
    difference: float | None
    why_not: str | None = None
    int8_loss: tuple[float, float] | None = None

    def __str__(self) -> str:
        code = "not known" if self.code_bytes is None else f"{self.code_bytes:,} bytes"
        lines = [
            f"{' and '.join(str(file) for file in self.files)}",
            f"code     {code}",
            f"weights  {self.weight_bytes:,} bytes",
            f"state    {self.state_bytes:,} bytes",
            f"stack    {self.stack_bytes:,} bytes",
        ]
        if self.difference is None:
            lines.append(f"NOT proved equal to the net: {self.why_not}")
        else:
            lines.append(f"equal to the net: differs by at most {self.difference:.1e}")
        if self.int8_loss is not None:
            largest, mean = self.int8_loss
            lines.append(f"8 bits cost at most {largest:.1e} of an output, {mean:.1e} (RMS)")
        return "\n".join(lines)


def to_c(
    net: nn.Module,
    folder: str | Path,
    *,
    name: str = "net",
    ids: int | None = None,
    weights: str = "float",
    math: str = "own",
    x: Tensor | None = None,
) -> ExportedC:
    """Write `net` as C99: `NAME.c`, with the weights in it, and `NAME.h`.

    It allocates no memory and needs no library; the state is a struct of the caller's. `NAME_reset`
    sets it to the initial state, `NAME_step` runs one step, `NAME_run` several. A net that reads
    from the end has `NAME_run` only. The C is compiled, run and compared with the net before
    anything is written; where there is no compiler, the report says that it was not proved.

    Args:
        net: a layer, a cell, or a `Stack` or `nn.Sequential` of layers, modules that work on each
            step by itself, and at the beginning an encoder or `nn.Embedding`; or a `NetGraph` that
            can run one step at a time, in both directions if need be. What is written is what it
            computes in eval mode; of a graph that reads out its last step, what it would give if
            the sequence ended at each step.
        folder: where to; it is made if need be, and files of these names in it that Cello has made
            are replaced.
        name: what the files and all that they offer are called.
        ids: how many a step has, where the first module takes any number of them.
        weights: "float", or "int8" for matrices in 8 bits with a scale for each output.
        math: "own" for exponentials that need no library (not for -ffast-math), "libm" for those
            of the C library. Rarer functions, such as erf, are the C library's either way.
        x: [T, inputs], data of yours to measure the loss of 8 bits on; random numbers by default.

    Returns:
        Sizes and differences; its text says them.

    Raises:
        ConversionError: a part of the net has no C, the C is not equal to the net, or it cannot be
            written, also where a file of this name is somebody's own.
        ArgumentError, DtypeError: an argument does not fit.

    >>> import tempfile, cello
    >>> net = cello.Stack(cello.LSTM(1, 8), nn.Linear(8, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = to_c(net, folder, name="amp")
    >>> report.state_bytes, report.weight_bytes, report.difference < 1e-6
    (64, 1316, True)
    """
    check_module(net)
    check_name(name)
    _check_choice("weights", weights, ("float", "int8"))
    _check_choice("math", math, ("own", "libm"))
    folder = Path(folder)
    layers = in_passes(net) if isinstance(net, NetGraph) else as_layers(net)
    dtype = _dtype(layers)
    with evaluating(layers):
        stages = stages_of(layers, ids)

        def written(*, int8: bool = False, rounded: bool = False) -> NetInC:
            return source_of(stages, name, dtype, math=math, int8=int8, rounded=rounded)

        source = written(int8=weights == "int8")
        proved, why_not = _Proved(), None
        try:
            compiler()
        except CompilerError as error:
            why_not = str(error)
        else:
            try:
                proved = _prove(layers, source, written, x)
            except OSError as error:  # of a folder for what passes, on a disk that is full
                raise ConversionError(f"cannot write {name}.c to compile it: {error}") from error
    files = folder / f"{name}.c", folder / f"{name}.h"
    there = folder.exists()
    _check_ours(files[0])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_all({files[1]: source.header.encode(), files[0]: source.code.encode()})
    except OSError as error:
        if not there:
            with suppress(OSError):
                folder.rmdir()  # which is empty
        raise ConversionError(f"cannot write {files[0]}: {error}") from error
    return ExportedC(
        files,
        proved.code_bytes,
        source.weight_bytes,
        source.state_bytes,
        source.stack_bytes,
        proved.difference,
        why_not,
        proved.int8_loss,
    )


class _Proved(NamedTuple):
    """What compiling and running has shown; see `ExportedC`."""

    code_bytes: int | None = None
    difference: float | None = None
    int8_loss: tuple[float, float] | None = None


def _prove(
    net: nn.Module, source: NetInC, written: Callable[..., NetInC], x: Tensor | None
) -> _Proved:
    """Compare the C with full weights with the net, and that with weights in 8 bits with it."""
    several = source.inputs if source.ids else 1
    drawn = draw_input(net, _STEPS, 1, torch.Generator().manual_seed(1), several)
    shape = run_net(net, Case("", drawn))[0].shape[2:]
    rows = drawn.reshape(_STEPS, -1).numpy()

    def compiled(source: NetInC) -> CompiledNet:
        return CompiledNet(source, net, shape, build)

    full = compiled(written())
    proof = prove(net, full, name=f"{source.name}.c", lengths=False, several=several)
    loss = None
    if source.int8:
        small = compiled(source)
        _check_rounding(small, compiled(written(rounded=True)), rows)
        gap = differences(small, full, rows if x is None else _measured(x, source))
        loss = float(np.abs(gap).max()), float(np.sqrt(np.mean(gap**2)))
    return _Proved(code_size(source), proof.relative, loss)


def _check_choice(argument: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ArgumentError(f"must be one of {', '.join(known)}, got {value!r}", argument=argument)


def _dtype(net: nn.Module) -> torch.dtype:
    tensors = [*net.parameters(), *net.buffers()]
    kinds = {t.dtype for t in tensors if t.is_floating_point()} or {torch.get_default_dtype()}
    if len(kinds) > 1 or not kinds <= {torch.float32, torch.float64}:
        raise DtypeError(
            "net must be of float32 or float64, all of it, has "
            + " and ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds))
            + ": net.float() makes it float32"
        )
    if elsewhere := {str(t.device) for t in tensors if t.device.type != "cpu"}:
        raise ArgumentError(f"must be on the CPU, is on {', '.join(elsewhere)}", argument="net")
    return kinds.pop()


def _check_ours(file: Path) -> None:
    """Nobody's own program is replaced.

    Raises:
        ConversionError: there is a file that Cello has not made.
    """
    with suppress(OSError), file.open("rb") as opened:
        if not opened.read(len(MADE)) == MADE.encode():
            raise ConversionError(f"{file} is there, and not made by Cello: give another name")


def _measured(x: Any, source: NetInC) -> Any:
    if not isinstance(x, Tensor) or x.dim() != 2 or x.shape[1] != source.inputs or not len(x):
        got = list(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise ArgumentError(f"must be a tensor [T, {source.inputs}], got {got}", argument="x")
    return x.detach().cpu().numpy()


def _check_rounding(small: CompiledNet, rounded: CompiledNet, rows: Any) -> None:
    """Weights in 8 bits give what the same values as floats give.

    Raises:
        ConversionError: they do not.
    """
    worst = np.abs(differences(small, rounded, rows)).max()
    if not worst <= _ROUNDING * max(1, np.abs(rounded.sequence(rows)).max()):
        raise ConversionError(f"weights in 8 bits differ by {worst:.2g} from the same as floats")
