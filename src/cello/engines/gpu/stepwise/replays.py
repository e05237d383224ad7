"""All that a call runs, captured once for its shapes and replayed: no step is launched again.

What is captured reads and writes the very memory that it was captured with. So it has tensors of
its own, into which a call copies what it is given, and out of which it copies what it is to leave.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cello.cells.callers import users_level
from cello.engines.fused.slots import Slot
from cello.engines.fused.step_table import StepTable
from cello.engines.gpu.compiled import may_be_tf32
from cello.engines.gpu.stepwise.rendered import StepText
from cello.program.kernel.nodes import Array

__all__ = ["CAPTURES", "Replays"]

#: Calls that are captured for a loop, and of how many shapes it is known that there was a call.
KEPT, SEEN = 4, 64
#: Steps from which on it is worth it.
FEWEST_STEPS = 8
#: The share of a card's memory that the tensors of one call may have.
SHARE = 1 / 16

Run = Callable[[], None]
Prepare = Callable[[Mapping[Slot, Tensor], Tensor | None], Run]


def _in_a_cuda_graph(run: Run) -> Run:
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        run()
    return graph.replay


#: By the kind of device: captures what a function launches, and returns what launches it again.
CAPTURES: dict[str, Callable[[Run], Run]] = {"cuda": _in_a_cuda_graph}


@dataclass
class _Captured:
    """A call: its tensors, and what launches it again."""

    kept: dict[Slot, Tensor]
    reset: Tensor | None
    given: list[Slot]
    left: list[Slot]
    run: Run = lambda: None  # what was captured: it holds memory that each replay uses
    replay: Run = lambda: None
    last: int = 0  # which call of the loop was its last
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, tensors: Mapping[Slot, Tensor], reset: Tensor | None) -> None:
        with self.lock:
            for slot in self.given:
                self.kept[slot].copy_(tensors[slot])
            if self.reset is not None and reset is not None:
                self.reset.copy_(reset)
            self.replay()
            for slot in self.left:
                tensors[slot].copy_(self.kept[slot])


class Replays:
    """The captured calls of one loop.

    The first call of some shapes runs as it is, and Triton compiles then what it needs; the second
    is captured, if there is room: one that was of no use for long makes it. Once capturing has
    failed, all calls run as they are.
    """

    def __init__(self, text: StepText) -> None:
        stored = set(re.findall(r"tl\.store\((p_\w+)", text.source))
        written = {slot for name, slot in text.pointers.items() if name in stored}
        written |= {one.array for one in text.sums}
        ends = "grad_start" if text.name == "backward" else "final"
        self.left = written | {Slot(ends, state) for state in text.states}
        # Of what a call leaves, arrays have all their numbers from it; sums are added to zeros.
        self.made = {s for s in self.left if isinstance(s.of, Array) and s.of.kind != "sum"}
        self._seen: OrderedDict[Hashable, None] = OrderedDict()
        self._calls: dict[Hashable, _Captured] = {}
        self._count, self._fails = 0, False
        self._lock = threading.Lock()

    def run(
        self,
        prepare: Prepare,
        steps: StepTable,
        tensors: Mapping[Slot, Tensor],
        reset: Tensor | None,
        like: Tensor,
    ) -> None:
        """Run a call, see `StepwiseLoop`; `prepare` makes of its tensors what runs it."""
        capture = CAPTURES.get(like.device.type)
        call = None
        if capture is not None and steps.length >= FEWEST_STEPS and not _is_captured(like):
            key = _key(steps, tensors, reset, like)
            with self._lock:
                call = self._call(key, capture, prepare, tensors, reset, like.device)
        if call is None:
            prepare(tensors, reset)()
        else:
            call(tensors, reset)

    def _call(
        self,
        key: Hashable,
        capture: Callable[[Run], Run],
        prepare: Prepare,
        tensors: Mapping[Slot, Tensor],
        reset: Tensor | None,
        device: torch.device,
    ) -> _Captured | None:
        """The captured call of a key; None if there is none, nor will be now."""
        self._count += 1
        call = self._calls.get(key)
        if (
            call is None
            and key in self._seen
            and not self._fails
            and self._has_room(tensors, device)
        ):
            call = self._capture(capture, prepare, tensors, reset)
            if call is not None:
                self._calls[key] = call
        if call is not None:
            call.last = self._count
        self._seen[key] = None
        self._seen.move_to_end(key)
        if len(self._seen) > SEEN:
            self._seen.popitem(last=False)
        return call

    def _has_room(self, tensors: Mapping[Slot, Tensor], device: torch.device) -> bool:
        if device.type == "cuda":
            memory = torch.cuda.get_device_properties(device).total_memory
            if sum(tensor.nbytes for tensor in tensors.values()) > SHARE * memory:
                return False
        if len(self._calls) == KEPT:
            key, call = min(self._calls.items(), key=lambda item: item[1].last)
            if self._count - call.last <= SEEN:
                return False
            del self._calls[key]
        return True

    def _capture(
        self,
        capture: Callable[[Run], Run],
        prepare: Prepare,
        tensors: Mapping[Slot, Tensor],
        reset: Tensor | None,
    ) -> _Captured | None:
        there = [slot for slot, tensor in tensors.items() if tensor.numel()]
        call = _Captured(
            {slot: torch.empty_like(tensor) for slot, tensor in tensors.items()},
            None if reset is None else torch.empty_like(reset),
            [slot for slot in there if slot not in self.made],
            [slot for slot in there if slot in self.left],
        )
        try:
            call.run = prepare(call.kept, call.reset)
            call.replay = capture(call.run)
        except RuntimeError as error:
            self._fails = True
            said = str(error).partition("\n")[0]
            warnings.warn(
                f"steps are launched one by one, for they could not be captured: {said}",
                RuntimeWarning,
                stacklevel=users_level(),
            )
            return None
        return call


def _key(
    steps: StepTable, tensors: Mapping[Slot, Tensor], reset: Tensor | None, like: Tensor
) -> Hashable:
    """What has to be the same of a call."""
    device, table = like.device, steps.table
    return (
        device,
        torch.cuda.current_stream(device).cuda_stream if device.type == "cuda" else None,
        (steps.length, steps.rows, steps.reverse),
        None if table is None else table.numpy().tobytes(),
        reset is None,
        may_be_tf32(),
        *(tensor.shape for tensor in tensors.values()),
    )


def _is_captured(like: Tensor) -> bool:
    """Whether a user captures this very call."""
    return like.device.type == "cuda" and torch.cuda.is_current_stream_capturing()
