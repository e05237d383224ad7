"""One run of a step on stand-ins, written down."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor
from torch.overrides import enable_reentrant_dispatch
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode

from cello.cells import Cell
from cello.cells.contract.shapes import width_of
from cello.cells.contract.state import in_rows, step_arguments
from cello.cells.contract.step_checks import check_step_result, name_of, step_name_of
from cello.cells.tracing import unmoded
from cello.errors import CaptureError
from cello.program.graph import Op, Program, Value, map_leaves
from cello.program.operations import creation
from cello.program.sizes import said
from cello.program.trace.function_calls import FunctionCalls
from cello.program.trace.hidden_effects import HiddenEffects
from cello.program.trace.locals import named_tensors, step_with_locals, unwatched
from cello.program.trace.other_device import OtherDevice
from cello.program.trace.rewrite import (
    changes_given,
    depends_on_data,
    is_in_place,
    is_new,
    is_view,
    makes_number,
    out_of_place,
)
from cello.program.trace.rows.rows_first import Places, RowsFirst
from cello.program.trace.source_lines import caller_of_autograd_function, user_line
from cello.program.trace.tensor_memory import TensorMemory

__all__ = ["PLAIN", "Around", "InStepError", "Trace", "is_captured"]

_DETACH = torch.ops.aten.detach.default
_BOTH = "torch.where(condition, a, b), which computes both, fuses"


class Around(NamedTuple):
    """What differs between traces besides the number of rows, as it may between calls."""

    grads: bool  # whether the step runs with gradients
    part: bool  # whether input and state are parts of something that has gradients


PLAIN = Around(grads=True, part=False)


class InStepError(Exception):
    """An error raised inside a step, or by a check of what the step returned."""

    def __init__(self, inside: Exception) -> None:
        super().__init__(str(inside))
        self.inside = inside


def is_captured() -> bool:
    """Whether what runs now is part of a step that is written down."""
    if torch.compiler.is_compiling():
        return False
    return isinstance(_get_current_dispatch_mode(), Trace)


class Trace(TorchDispatchMode):
    """One run of the step with `size` rows, written down in `program`."""

    def __init__(
        self,
        cell: Cell,
        size: int,
        around: Around,
        dtype: torch.dtype,
        device: Any,
        places: Places,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.around, self.device = around, torch.device(device)
        self.rows_first = RowsFirst(size, places)
        self.calls = FunctionCalls(self)
        self.hidden_effects = HiddenEffects(
            self.refuse, size, self.rows_first.concerns, self.calls.decides
        )
        self.refused: CaptureError | None = None
        self.other_device = OtherDevice(self.device)
        self.values: dict[int, Value] = {}  # by the id of the tensor
        self.origins: dict[int, Callable[[Tensor], None]] = {}  # what writes one down as it lies
        self.known = {id(t): n for n, t in [*cell.named_parameters(), *cell.named_buffers()]}
        self.memory = TensorMemory([*cell.parameters(), *cell.buffers()])

        x = self.given(size, width_of(cell.input_size), dtype)
        widths = map(width_of, cell.state_sizes.values())
        state = tuple(self.given(size, width, dtype) for width in widths)
        old = {n: self.value(t, f"{n}_prev") for n, t in zip(cell.state, state, strict=True)}
        given = self.value(x, "x")
        program = Program(name_of(cell), given, old, {}, {}, [], given, {}, step=step_name_of(cell))
        self.program = program
        self.memory.fixed.update(map(id, (x, *state)))
        self.rows_first.with_rows.update(self.memory.fixed)

        results, named = self.run(cell, size, x, state)
        program.asks_size = self.hidden_effects.asks_size
        program.output = self.operand(results[0])
        new_state = zip(cell.state, results[1], strict=True)
        program.next_state = {name: self.operand(tensor) for name, tensor in new_state}
        program.names = {n: self.values[id(t)] for n, t in named.items() if id(t) in self.values}

    def run(
        self, cell: Cell, size: int, x: Tensor, state: tuple[Tensor, ...]
    ) -> tuple[Any, dict[str, Tensor]]:
        """Run the step: what it returns, in rows, and its named tensors.

        Raises:
            CaptureError: it cannot be captured.
            InStepError: it raises an error.
        """
        try:
            # Where gradients are on, the mode that an operation sees is what the step has set.
            with torch.random.fork_rng(devices=[]), torch.set_grad_enabled(self.around.grads):
                torch.default_generator.manual_seed(size)
                self.dice = torch.default_generator.get_state()
                with self.hidden_effects, self:
                    inside = step_arguments(cell, x, state)
                    result, variables = step_with_locals(cell, *inside, self.watch)
                check_step_result(cell, result, size)
                with self.hidden_effects, self:
                    rows = in_rows(cell, result)
                self.look_at_dice("")
                if torch.is_grad_enabled() != self.around.grads:
                    self.refuse("it leaves gradients switched on or off")
        except CaptureError:
            raise
        except Exception as error:
            if self.refused is not None:  # TorchScript makes an error of its own of it
                raise self.refused from error
            raise InStepError(error) from error
        if self.refused is not None:  # the step has caught it
            raise self.refused
        # Tensors of PyTorch's own tracers have attributes, too, but are of another class.
        if any(type(part) is Tensor and vars(part) for part in (result[0], *result[1])):
            raise self.refusal("its results have attributes, which are not carried on")
        named = {"x": x} | named_tensors(cell, *inside, result, variables)
        named.update((f"{n}_prev", t) for n, t in zip(cell.state, inside[1], strict=True))
        return rows, named

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else the first capture imports all of torch._dynamo, about a second

    def given(self, size: int, width: int, dtype: torch.dtype) -> Tensor:
        """An input or a state."""
        if not self.around.part:
            return torch.zeros(size, width, dtype=dtype, device="cpu")
        with torch.enable_grad():
            whole = torch.zeros(size + 1, width, dtype=dtype, device="cpu", requires_grad=True)
            return whole[1:]

    def watch(self, frame: Any, event: str, argument: Any) -> None:
        """What a profiler sees."""
        self.calls.watch(frame, event, argument)
        self.hidden_effects.watch(frame, event, argument)

    def refusal(self, why: str) -> CaptureError:
        """The error that says why the step cannot be captured."""
        return CaptureError(f"{self.program.step} cannot be captured: {why}")

    def refuse(self, why: str) -> NoReturn:
        """Refuse the step, even if it catches what is raised here."""
        self.refused = self.refusal(why)
        raise self.refused

    def value(self, tensor: Tensor, name: str) -> Value:
        """A new value for `tensor`."""
        made = Value(name, tuple(tensor.shape), tensor.dtype)
        self.values[id(tensor)] = made
        self.memory.keep(tensor)
        return made

    def operand(self, leaf: Any) -> Any:
        """What stands in the program for an argument of an operation."""
        if isinstance(leaf, torch.ScriptObject):  # such as the packed weights of a quantized Linear
            where = said(user_line(sys._getframe(1)))
            self.refuse(f"an operation reads an object that is no tensor {where}")
        if not isinstance(leaf, Tensor):
            return leaf
        if id(leaf) in self.rows_first.layouts:
            self.as_it_lies(leaf, sys._getframe(1))
        if id(leaf) not in self.values:  # not made by the step: a parameter, or a constant
            name = self.known.get(id(leaf))
            if name is None and self.memory.is_known(leaf):
                self.refuse(
                    "it reads a tensor in a way that does not show where it comes from "
                    f"{said(user_line(sys._getframe(1)))}"
                )
            made = self.value(leaf, (name or "constant").replace(".", "_"))
            self.memory.fixed.add(id(leaf))
            if name is None:
                self.program.constants[made] = leaf
            else:
                self.program.parameters[name] = made
        return self.values[id(leaf)]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if self.calls.is_opaque:
            return self.other_device.run(func, args, kwargs or {})
        with unwatched():
            try:
                return self.write_down(func, args, kwargs or {}, sys._getframe(1))
            except CaptureError as error:
                self.refused = error  # even if the step catches it
                raise

    def write_down(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], frame: Any
    ) -> Any:
        """Run an operation that is called in `frame`, and add it to the program."""
        where = user_line(frame)
        if (result := self.with_rows_first(func, args, kwargs, where)) is not None:
            return result
        arguments = tuple(map_leaves(self.operand, list(args)))
        if depends_on_data(func, args) and self.decides(func, where):
            return self.other_device.run(func, args, kwargs)
        grad = torch.is_grad_enabled()
        self.refuse_unseen(grad, frame, where)
        if is_random := torch.Tag.nondeterministic_seeded in func.tags:
            self.look_at_dice(f" {said(where)}")
        target, called, viewed = func, self.hidden_effects.called or "", arguments[:1]
        if is_in_place(func):
            called = called or func._opname
            target, arguments = self.out_of_place(func, args, kwargs, arguments, called, where)
        named = map_leaves(self.other_device.device_of, map_leaves(self.operand, kwargs))
        result = self.other_device.run(func, args, kwargs)
        if is_random:
            self.dice = torch.default_generator.get_state()
        is_tuple = isinstance(result, (tuple, list))
        results = result if is_tuple else (result,)
        if not all(isinstance(part, Tensor) for part in results):
            if any(isinstance(part, Tensor) for part in results):
                self.refuse(f"{called or func} returns more than tensors {said(where)}")
            return result  # a question about a tensor, such as its device
        if any(part.layout is not torch.strided for part in results):
            self.refuse(f"{called or func._opname} makes a sparse tensor {said(where)}")
        if made := creation(func, args, results[0], self.device):
            target, arguments, named = made
        if func._opname in ("view", "_unsafe_view"):  # PyTorch leaves a -1 as it is, or does not
            arguments = (arguments[0], list(results[0].shape))

        outputs = tuple(self.value(part, target._opname) for part in results)
        for part in results:
            shares = not is_in_place(func) and (is_view(func) or self.memory.is_known(part))
            self.memory.made(part, grad=grad, shares=shares)
        if self.rows_first.is_by_row((args, kwargs)):
            self.rows_first.with_rows.update(map(id, results))
        self.program.ops.append(
            Op(target, arguments, named, outputs, is_tuple, where, grad, called=called)
        )
        views = self.memory.views
        if is_in_place(func):
            views.written(args[0], partial(self.emit, where, grad))
        elif is_view(func) and (func is not _DETACH or is_new(self.program.ops[-2:], *viewed)):
            views.note(result, func, args, kwargs)
        return result

    def decides(self, func: Any, where: str) -> bool:
        """True inside an autograd.Function, which may decide by data; refuses it elsewhere."""
        if not self.calls.decides():
            asks = "(as `if`, float() and .item() do; " if makes_number(func) else "("
            line = said(where).replace("(", asks, 1)
            self.refuse(f"it decides by the values in a tensor {line}; {_BOTH}")
        return True

    def refuse_unseen(self, grad: bool, frame: Any, where: str) -> None:
        """Refuse an operation whose gradient is not that of the operations written down."""
        # TorchScript cuts gradients off and computes them by itself.
        if self.hidden_effects.called is None and not self.calls.depth:
            self.refuse(
                "it runs code that is none of Python's, such as what torch.jit.script has made "
                f"{said(where)}; the function of which that was made fuses"
            )
        if grad and not self.around.grads:
            self.refuse(f"it switches gradients on, wherever it is called {said(where)}")
        seen = grad or not self.around.grads or self.calls.depth
        if not seen and (caller := caller_of_autograd_function(frame)) is not None:
            self.refuse(
                "an autograd.Function has a gradient of its own, which its operations do not tell "
                f"{said(user_line(caller))}"
            )

    def out_of_place(
        self,
        func: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        arguments: tuple[Any, ...],
        called: str,
        where: str,
    ) -> tuple[Any, tuple[Any, ...]]:
        """What stands in the program for an operation in place: the operation, its arguments."""
        written, transformed = args[0], self.hidden_effects.transformed
        if id(written) in self.memory.fixed:
            self.refuse(changes_given(self.program, self.values[id(written)], called, where))
        if why := self.memory.why_fixed(written, called, where, transformed=transformed):
            self.refuse(why)
        target, more = out_of_place(func, len(args), where)
        if func is torch.ops.aten.copy_.default:
            return target, (self.of_dtype(args[1], written.dtype), list(written.shape))
        if self.other_device.run(target, args + more, kwargs).dtype != written.dtype:
            self.refuse(f"{called} changes a tensor in place, but not its dtype {said(where)}")
        return target, arguments + more

    def noted(self, made: Tensor, given: Any, grad: bool) -> None:
        """Note a tensor that the step's own function has made of what it was given."""
        self.memory.share(made, grad=grad)
        if self.rows_first.is_by_row(given):
            self.rows_first.with_rows.add(id(made))

    def with_rows_first(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], where: str
    ) -> Any:
        """Write down an operation on tensors whose rows do not stand first; None for any other."""
        rows = self.rows_first
        if not rows.knows(func, args, kwargs):
            return None
        result = self.other_device.run(func, args, kwargs)
        with enable_reentrant_dispatch(), self:
            made = rows.made(func, args, kwargs, result)
        if made is None:
            return None
        results = result if isinstance(result, (tuple, list)) else (result,)
        for part, layout in zip(results, made, strict=True):
            grad = torch.is_grad_enabled()
            self.memory.keep(part)
            self.memory.share(part, grad=grad)
            rows.with_rows.add(id(part))
            if layout.is_plain:
                self.values[id(part)] = self.values[id(layout.rows_first)]
            else:
                if result is part and not rows.concerns((args, kwargs)):
                    self.origins[id(part)] = partial(self.emit, where, grad, func, args)
                rows.layouts[id(part)] = layout
        return result

    def as_it_lies(self, tensor: Tensor, frame: Any) -> None:
        """Write down a tensor whose rows do not stand first as it is, where no rule knows more."""
        layout, where = self.rows_first.layouts.pop(id(tensor)), user_line(frame)
        if layout.many > 1:
            self.refuse(
                f"one axis holds the rows and {layout.many} elements of each, B·{layout.many} in "
                f"all, and what is done with it cannot be told row by row {said(where)}"
            )
        if (origin := self.origins.get(id(tensor))) is not None:
            origin(tensor)
            return
        order = [layout.axis(axis) for axis in range(tensor.dim()) if axis != layout.at]
        order.insert(layout.at, 0)
        target, grad = torch.ops.aten.permute.default, torch.is_grad_enabled()
        self.emit(where, grad, target, (layout.rows_first, order), tensor)

    def of_dtype(self, tensor: Tensor, dtype: torch.dtype) -> Value:
        """What stands in the program for a tensor converted to a dtype."""
        value: Value = self.operand(tensor)
        if value.dtype == dtype:
            return value
        made = Value(value.name, value.shape, dtype)
        target, grad = torch.ops.aten._to_copy.default, torch.is_grad_enabled()
        self.program.ops.append(Op(target, (value,), {"dtype": dtype}, (made,), False, "", grad))
        return made

    def emit(
        self, where: str, grad: bool, target: Any, args: tuple[Any, ...], result: Tensor
    ) -> None:
        """Write down an operation that the step has not called; `result` is what it makes."""
        inside = map_leaves(self.operand, args)
        made = self.value(result, target._opname)
        self.program.ops.append(Op(target, inside, {}, (made,), False, where, grad))

    def look_at_dice(self, where: str) -> None:
        """Refuse a step that itself decides which random numbers are drawn."""
        with unmoded():
            same = torch.equal(self.dice, torch.default_generator.get_state())
        if not same:
            self.refuse(f"it sets the state of PyTorch's random numbers{where}")
