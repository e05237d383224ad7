"""The diagram of a net: its layers, and the memories that lead from one step to the next."""

from __future__ import annotations

from torch import nn

from cello.see.draw.diagram import Block, Diagram, Label
from cello.see.draw.stages import Level, Stage, Track, levels_of
from cello.see.draw.step_values import StepValues
from cello.see.draw.text import subscripted

__all__ = [
    "input_block",
    "join_block",
    "last_stage",
    "memory_block",
    "net_diagram",
    "stage_block",
]

FEW = 4  # units that are drawn one by one


def net_diagram(net: nn.Module, values: StepValues, *, parameters: bool) -> Diagram:
    """The diagram of one step of a net."""
    levels = levels_of(net)
    diagram = Diagram()

    def new(block: Block, *inputs: Block) -> Block:
        block.inputs = list(inputs)
        diagram.blocks.append(block)
        return block

    below = new(input_block(levels, values))
    total = 0
    for level in levels:
        ends: list[Block] = []
        for track in level.tracks:
            end, memory = below, None
            if track.states:
                memory = new(memory_block(track, values))
            for number, stage in enumerate(track.stages):
                first = [memory] if memory and not number else []
                known = values.output(net) if stage is last_stage(levels) else None
                block = stage_block(stage, values, known, parameters=parameters)
                end = new(block, end, *first)
                if memory and stage is track.keeper:
                    memory.inputs = [end]
                total += stage.parameters
            ends.append(end)
        below = ends[0] if len(ends) == 1 else new(join_block(level), *ends)
    new(Block("output", "output"), below)
    if parameters:
        diagram.legend.append(f"{total:,} parameters")
    return diagram


def input_block(levels: list[Level], values: StepValues) -> Block:
    """The input of a step."""
    track = levels[0].tracks[0]
    name = f"{track.path}.x" if track.path else "x"
    known = values.of(name) if track.states else None
    units = known if known is not None and len(known) <= FEW else None
    return Block("input", "x", units=units, label=Label())


def last_stage(levels: list[Level]) -> Stage | None:
    """The stage that makes the output, if it is one."""
    return None if levels[-1].join else levels[-1].tracks[0].stages[-1]


def stage_block(
    stage: Stage,
    values: StepValues,
    known: tuple[str, ...] | None = None,
    *,
    parameters: bool = False,
) -> Block:
    """A layer of units: each of them where they are few, else their number.

    `known` are its numbers where a recording has them under no name.
    """
    lines = [stage.line] if stage.line else []
    units: tuple[str, ...] | None = None
    if stage.size is not None and stage.size <= FEW:
        units = values.of(stage.name) or known or ("",) * stage.size
    elif stage.size is not None and "→" not in stage.line:
        lines.append(f"{stage.size:,} units")
    if parameters and stage.parameters:
        lines.append(f"{stage.parameters:,} parameters")
    return Block("layer", stage.title, lines=tuple(lines), units=units)


def memory_block(track: Track, values: StepValues) -> Block:
    """What the lowest stage gets from the step before, or from the one after."""
    text = ", ".join(map(subscripted, track.states))
    units = None
    if len(track.states) == 1:
        name = f"{track.states[0]}_prev"
        known = values.of(f"{track.path}.{name}" if track.path else name)
        units = known if known is not None and len(known) <= FEW else None
    when = "after" if track.is_backward else "before"
    note = f"memory: {', '.join(track.states)} of the step {when}"
    return Block("memory", text, units=units, note=note)


def join_block(level: Level) -> Block:
    """Where both directions meet."""
    return Block("other", level.join)
