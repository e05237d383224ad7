"""A whole net → the text of a C file and of its header."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import torch

from cello._version import __version__
from cello.convert.c.cells import CellFunction, Weights, cell_function
from cello.convert.c.numbers import Numbers, comment
from cello.convert.c.prelude import needed
from cello.engines.cpu.c.expressions import identifier
from cello.layers import Recurrent
from cello.layers.stages import Cells, Stage, Table

__all__ = ["MADE", "NetInC", "source_of"]

#: What a file begins with.
MADE = "/* Made by Cello"


@dataclass
class NetInC:
    """A net in C.

    Attributes:
        name: what all that it offers begins with.
        code, header: the two files.
        inputs, outputs: numbers of a step.
        ids: whether the inputs are ids.
        steps: whether it runs one step at a time.
        work: numbers of the caller's memory that each step of `NAME_run` takes.
        fields: the size of each part of the state, in the order of the struct.
        state_bytes, weight_bytes, stack_bytes: sizes.
        item: bytes of a number.
        int8: whether matrices are in 8 bits.
    """

    name: str
    code: str
    header: str
    inputs: int
    outputs: int
    ids: bool
    steps: bool
    work: int
    fields: dict[str, int]
    state_bytes: int
    weight_bytes: int
    stack_bytes: int
    item: int
    int8: bool


def source_of(
    stages: list[Stage], name: str, dtype: torch.dtype, *, math: str, int8: bool, rounded: bool
) -> NetInC:
    """Write the C of a net.

    Args:
        stages: of the net.
        name: what all that it offers begins with.
        dtype: of its numbers.
        math: "own" or "libm".
        int8: see `Weights`.
        rounded: see `Weights`.

    Raises:
        ConversionError: a stage has no C.
    """
    return _NetWriter(name, dtype, math, Weights(_numbers(dtype), int8, rounded)).written(stages)


def _numbers(dtype: torch.dtype) -> Numbers:
    return Numbers("f" if dtype == torch.float32 else "")


@dataclass
class _Pass:
    """A stage in C.

    Attributes:
        calls: for each direction: the call, with {x} and {y} in it, and whether from the end.
        inputs, outputs: numbers of a row.
        row: numbers of the row that the second direction's outputs are added from; 0 if none.
        mean: whether what is added is halved.
    """

    calls: list[tuple[str, bool]]
    inputs: int
    outputs: int
    row: int = 0
    mean: bool = False


class _NetWriter:
    def __init__(self, name: str, dtype: torch.dtype, math: str, weights: Weights) -> None:
        self.name, self.dtype, self.math, self.weights = name, dtype, math, weights
        self.functions: list[str] = []
        self.fields: dict[str, int] = {}
        self.resets: list[str] = []
        self.stack = 0
        self.real = "float" if dtype == torch.float32 else "double"

    def written(self, stages: list[Stage]) -> NetInC:
        passes = [self._pass(stage) for stage in stages]
        ids = isinstance(stages[0], Table)
        steps = all(not back for each in passes for _, back in each.calls)
        widest = max((each.outputs for each in passes[:-1]), default=0)
        work = 0 if steps else widest * min(2, len(passes) - 1)
        item = 4 if self.real == "float" else 8
        source = NetInC(
            name=self.name,
            code="",
            header="",
            inputs=passes[0].inputs,
            outputs=passes[-1].outputs,
            ids=ids,
            steps=steps,
            work=work,
            fields=self.fields,
            state_bytes=sum(self.fields.values()) * item,
            weight_bytes=0,
            stack_bytes=self.stack + (sum(each.outputs for each in passes[:-1]) * item) * steps,
            item=item,
            int8=self.weights.int8,
        )
        body = "\n".join([*self.functions, *self._offered(source, passes)])
        source.weight_bytes = self.weights.numbers.size
        source.code = self._file("\n\n".join([*self.weights.numbers.definitions, body]))
        source.header = self._header(source)
        return source

    # ------------------------------------------------------------ stages

    def _pass(self, stage: Stage) -> _Pass:
        if isinstance(stage, Table):
            return self._table(stage)
        if not isinstance(stage, Cells):
            function = self._cell(stage.cell, stage.path, keeps=False)
            call = f"{function.name}({{x}}, {{y}});"
            return _Pass([(call, False)], function.inputs, function.outputs)
        calls: list[tuple[str, bool]] = []
        outputs: list[int] = []
        for number, layer in enumerate(stage.layers):
            way = (".forward", ".backward")[number] if len(stage.layers) > 1 else ""
            function = self._cell(layer.cell, stage.path + way)
            at = f" + {outputs[0]}" if number and stage.join == "concat" else ""
            added = number and stage.join != "concat"
            states = "".join(f", state->{field}" for field in self._state(layer))
            calls.append(
                (
                    f"{function.name}({{x}}, {'row' if added else '{y}' + at}{states});",
                    layer.reverse,
                )
            )
            outputs.append(function.outputs)
        if stage.join == "concat" or len(outputs) == 1:
            return _Pass(calls, stage.inputs, sum(outputs))
        return _Pass(calls, stage.inputs, outputs[0], outputs[0], stage.join == "mean")

    def _cell(self, cell: Any, path: str, *, keeps: bool = True) -> CellFunction:
        name = f"cell_{len(self.functions)}"
        function = cell_function(cell, name, path or "net", self.weights, self.dtype, keeps=keeps)
        self.functions.append(function.text)
        self.stack = max(self.stack, function.scratch)
        return function

    def _state(self, layer: Recurrent) -> list[str]:
        """The fields of a cell's state; what they begin with goes to the function that resets."""
        names = []
        begin = layer.begin(1, torch.zeros((), dtype=self.dtype))
        prefix = f"l{len(self.functions) - 1}"
        for state, values in zip(layer.cell.state, begin, strict=True):
            field = identifier(f"{prefix}_{state}", self.fields)
            numbers = values.detach().to("cpu", self.dtype).reshape(-1).numpy()
            self.fields[field] = len(numbers)
            if numbers.any():
                name = self.weights.numbers.put(numbers, f"the initial {state}")
                self.resets.append(f"copy(state->{field}, {name}, {len(numbers)});")
            else:
                self.resets.append(f"fill(state->{field}, 0, {len(numbers)});")
            names.append(field)
        return names

    def _table(self, stage: Table) -> _Pass:
        """The first stage of a net that reads ids; an id that there is not counts as none."""
        name, outputs = "ids_0", stage.outputs
        if stage.rows == "count":
            each = "y[x[k]] += 1;"
        else:
            table = stage.encoder.weight.detach().to("cpu", self.dtype).numpy()
            rows, width = table.shape
            target, row = {
                "beside": (f"y + k * {width}", "x[k]"),
                "sum": ("y", "x[k]"),
                "window": (f"y + x[k] / {rows} * {width}", f"x[k] % {rows}"),
            }[stage.rows]
            put = "copy" if stage.rows == "beside" else "add"
            what = f"{stage.path or 'net'}: weight"
            each = self.weights.row(put, target, table, row, what)
        self.functions.append(
            f"/* {comment(stage.path or 'net')}: {comment(type(stage.encoder).__name__)} */\n"
            f"static void {name}(const int32_t *x, real *y) {{\n"
            f"    fill(y, 0, {outputs});\n"
            f"    for (int k = 0; k < {stage.ids}; k++)\n"
            f"        if (x[k] >= 0 && x[k] < {stage.size}) {each}\n"
            "}\n"
        )
        return _Pass([(f"{name}({{x}}, {{y}});", False)], stage.ids, outputs)

    # ------------------------------------------------------------ what is offered

    def _signatures(self, source: NetInC) -> dict[str, str]:
        name, real = self.name, self.real
        x = "int32_t" if source.ids else real
        found = {"reset": f"void {name}_reset({name}_state *state)"}
        if source.steps:
            found["step"] = f"void {name}_step({name}_state *state, const {x} *x, {real} *y)"
        work = f", {real} *work" if source.work else ""
        found["run"] = (
            f"void {name}_run({name}_state *state, const {x} *x, {real} *y, long steps{work})"
        )
        return found

    def _offered(self, source: NetInC, passes: list[_Pass]) -> list[str]:
        signatures = self._signatures(source)
        resets = self.resets or ["state->none = 0;"]
        parts = [_function(signatures["reset"], resets)]
        unread = [] if self.fields else ["(void)state;"]
        if not source.steps:
            return [*parts, _function(signatures["run"], unread + self._passes(source, passes))]
        lines, x = list(unread), "x"
        for number, each in enumerate(passes):
            y = "y" if number == len(passes) - 1 else f"row_{number}"
            if y != "y":
                lines.append(f"real {y}[{each.outputs}];")
            lines.append(each.calls[0][0].format(x=x, y=y))
            x = y
        parts.append(_function(signatures["step"], lines))
        loop = (
            f"for (long t = 0; t < steps; t++, x += {source.inputs}, y += {source.outputs}) "
            f"{self.name}_step(state, x, y);"
        )
        return [*parts, _function(signatures["run"], [loop])]

    def _passes(self, source: NetInC, passes: list[_Pass]) -> list[str]:
        """Stage by stage over all steps, out of one buffer into the other."""
        widest = max((each.outputs for each in passes[:-1]), default=0)
        lines = []
        buffers = ("work", f"(work + {widest} * steps)")
        x = "x"
        for number, each in enumerate(passes):
            y = "y" if number == len(passes) - 1 else buffers[number % 2]
            for call, back in each.calls:
                time = "long t = steps; t-- > 0;" if back else "long t = 0; t < steps; t++"
                target = f"{y} + t * {each.outputs}"
                lines.append(f"for ({time}) {{")
                if "row" in call.split(",")[1] and each.row:
                    lines.append(f"    real row[{each.row}];")
                lines.append("    " + call.format(x=f"{x} + t * {each.inputs}", y=target))
                if "row" in call.split(",")[1] and each.row:
                    lines.append(f"    add({target}, row, {each.row});")
                    if each.mean:
                        lines.append(f"    multiply({target}, (real)0.5, {each.row});")
                lines.append("}")
            x = y
        return lines

    # ------------------------------------------------------------ files

    def _file(self, body: str) -> str:
        front = needed(body, math=self.math, double=self.real == "double")
        headers = ["#include <stdint.h>"]
        text = re.sub(r"/\*.*?\*/", "", front + body, flags=re.DOTALL)
        calls = re.sub(r"#define LIBM.*", "", text)
        if "LIBM(" in calls or re.search(r"\b(INFINITY|NAN)\b", text):
            headers.insert(0, "#include <math.h>")
        guard = _NOT_FAST if "ROUNDER" in text else ""
        return "\n".join(
            [
                f"{MADE} {__version__}; see {self.name}.h. */",
                "",
                *headers,
                "",
                f'#include "{self.name}.h"',
                "",
                _AS_CPP,
                guard + front,
                "",
                body,
            ]
        )

    def _header(self, source: NetInC) -> str:
        name, upper = self.name, self.name.upper()
        fields = [f"    {self.real} {field}[{size}];" for field, size in self.fields.items()]
        fields = fields or [f"    {self.real} none;"]
        signatures = self._signatures(source)
        kinds = "ids" if source.ids else "numbers"
        lines = [
            f"/* Made by Cello {__version__}. No memory is allocated; nothing is kept between",
            " * calls but in the state. Input and output must not overlap. */",
            f"#ifndef {upper}_H",
            f"#define {upper}_H",
            "",
            *(["#include <stdint.h>", ""] if source.ids else []),
            "#ifdef __cplusplus",
            'extern "C" {',
            "#endif",
            "",
            f"#define {upper}_INPUTS {source.inputs} /* {kinds} of a step */",
            f"#define {upper}_OUTPUTS {source.outputs}",
            "",
            "typedef struct {",
            *fields,
            f"}} {name}_state;",
            "",
            "/* The initial state; to be called first, and where a new sequence begins. */",
            f"{signatures['reset']};",
            "",
        ]
        if source.steps:
            lines += [
                f"/* One step: x[{upper}_INPUTS] to y[{upper}_OUTPUTS]. */",
                f"{signatures['step']};",
                "",
            ]
        lines.append(f"/* So many steps: x[steps][{upper}_INPUTS] to y[steps][{upper}_OUTPUTS].")
        if source.work:
            lines.insert(
                -1, f"#define {upper}_WORK {source.work} /* numbers of work for a step */\n"
            )
            lines.append(f" * work has room for {upper}_WORK * steps numbers.")
        lines[-1] += " */"
        lines += [
            f"{signatures['run']};",
            "",
            "#ifdef __cplusplus",
            "}",
            "#endif",
            "",
            "#endif",
            "",
        ]
        return "\n".join(lines)


#: The functions round by adding a large number, which such compilers take for nothing.
_NOT_FAST = """\
#if defined(__FAST_MATH__)
#error "not for -ffast-math: export with math=\\"libm\\" for that"
#endif

"""


#: What C++ has not; a plug-in's project may compile all as such.
_AS_CPP = """\
#if defined(__cplusplus) && !defined(restrict)
#define restrict
#endif
"""


def _function(signature: str, lines: list[str]) -> str:
    return "\n".join([f"{signature} {{", *(f"    {line}" for line in lines), "}", ""])
