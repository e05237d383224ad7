"""What a loop takes of a card: whether one kernel can run it, and which way takes less time.

The figures are of an H100 as it is described, not measured ones. They need to be right only about
where the two ways cross.
"""

from __future__ import annotations

from functools import cache
from math import ceil
from typing import Any, NamedTuple

import torch

from cello.engines.gpu.stepwise.rendered import StepText
from cello.engines.gpu.whole import TILE
from cello.engines.gpu.write import TritonText

__all__ = [
    "H100",
    "LONGEST",
    "WIDEST",
    "WIDEST_OF_A_STEP",
    "Card",
    "card_of",
    "steps_take",
    "whole_takes",
    "why_not_whole",
]

#: Features of the widest vector that a program has at hand, of all steps and of one.
WIDEST, WIDEST_OF_A_STEP = 128, 1 << 15
#: Lines of a function, from which on Triton takes minutes for it and finds too few registers.
LONGEST = 550
#: Bytes of shared memory that the loop of gradients takes for each number of a matrix.
_BYTES = 12.5

# Microseconds: of a step of one kernel, whose products wait for each other, and of a launch within
# a CUDA graph. Multiplications in a microsecond: of 16 rows on one processor, three in TF32 for
# each, and of all processors in float32.
_STEP, _LAUNCH, _OF_ONE, _OF_ALL = 1.5, 2.0, 150_000, 10_000_000


class Card(NamedTuple):
    """What a card has.

    Attributes:
        shared: bytes of shared memory that a program may have.
        processors: how many run at once.
    """

    shared: int
    processors: int


H100 = Card(227 * 1024, 132)


@cache
def card_of(device: torch.device) -> Card:
    """The card that a device is; an H100 on Triton's interpreter."""
    if device.type != "cuda":
        return H100
    properties: Any = torch.cuda.get_device_properties(device)
    return Card(
        int(properties.shared_memory_per_block_optin), int(properties.multi_processor_count)
    )


def whole_takes(text: TritonText, rows: int, card: Card) -> float:
    """Microseconds of a step of one kernel: each program takes 16 rows through all products."""
    waves = ceil(ceil(rows / TILE) / card.processors)
    return waves * (_STEP + TILE * text.held / _OF_ONE)


def steps_take(text: StepText, rows: int, card: Card) -> float:
    """Microseconds of a step of launches: products are shared out among all processors."""
    work = rows * text.weights / (_OF_ALL * card.processors / H100.processors)
    return text.launches * _LAUNCH + work


def why_not_whole(whole: TritonText, steps: StepText, rows: int, card: Card) -> str | None:
    """Why a loop runs step by step, not as one kernel; None if it is one kernel that runs.

    One kernel runs it where its vectors and matrices fit, if that is expected to take less time.
    """
    if whole.widest > WIDEST:
        return f"one kernel holds vectors of at most {WIDEST} numbers, here are {whole.widest}"
    if whole.held * _BYTES > card.shared:
        most = int(card.shared / _BYTES)
        return f"one kernel holds matrices of at most {most:,} numbers here, not {whole.held:,}"
    if whole.longest > LONGEST:
        return f"a function of one kernel would have {whole.longest:,} lines"
    one, other = whole_takes(whole, rows, card), steps_take(steps, rows, card)
    if other < one:
        return f"a step of one kernel would take {one:.1f} µs for {rows:,} rows, not {other:.1f}"
    return None
