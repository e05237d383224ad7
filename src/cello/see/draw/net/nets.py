"""The diagram of a net: its layers, and the memories that lead from one step to the next."""

from __future__ import annotations

from cello.layers.paths import joined
from cello.see.draw.diagram import Block, BlockRow, Diagram
from cello.see.draw.net.outline import Level, Stage, Track
from cello.see.draw.net.step_values import FEW, StepValues
from cello.see.draw.paint.text import subscripted

__all__ = [
    "input_block",
    "last_stage",
    "memory_block",
    "net_diagram",
    "stage_block",
]


def net_diagram(levels: list[Level], values: StepValues, *, parameters: bool) -> Diagram:
    """The diagram of one step of a net."""
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
                known = values.output(stage.size) if stage is last_stage(levels) else None
                block = stage_block(stage, values, known, parameters=parameters)
                end = new(block, end, *first)
                if memory and stage is track.keeper:
                    memory.inputs = [end]
                total += stage.parameters
            ends.append(end)
        below = ends[0] if len(ends) == 1 else new(Block("other", level.join), *ends)
    new(Block("output", "output"), below)
    if parameters:
        diagram.legend.append(f"{total:,} parameters")
    return diagram


def input_block(levels: list[Level], values: StepValues) -> Block:
    """The input of a step."""
    track = levels[0].tracks[0]
    known = values.first(joined(track.path, "x")) if track.states else None
    return Block(
        "input",
        "x",
        rows=(BlockRow(known),) if known else (),
    )


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
    lines = [line for line in (stage.way, stage.line) if line]
    rows = _named_rows({name: values.of(joined(stage.path, name)) for name in stage.names})
    if known and not rows:
        rows = (BlockRow(known),)
    if stage.size is not None and stage.size <= FEW:
        rows = rows or (BlockRow(("",) * stage.size),)
    elif stage.size is not None:
        if rows and values.unit is not None and values.unit < stage.size:
            lines.append(f"unit {values.unit} of {stage.size:,}")
        elif "→" not in stage.line:
            lines.append(f"{stage.size:,} units")
    if parameters and stage.parameters:
        lines.append(f"{stage.parameters:,} parameters")
    return Block("layer", stage.title, lines=tuple(lines), rows=rows)


def memory_block(track: Track, values: StepValues) -> Block:
    """What the lowest stage gets from the step before, or from the one after."""
    rows = _named_rows({n: values.of(joined(track.path, f"{n}_prev")) for n in track.states})
    text = "" if len(rows) > 1 else ", ".join(map(subscripted, track.states))
    when = "after" if track.is_backward else "before"
    note = f"memory: {', '.join(track.states)} of the step {when}"
    return Block("memory", text, rows=rows, note=note)


def _named_rows(known: dict[str, tuple[str, ...] | None]) -> tuple[BlockRow, ...]:
    """A row for each value that was recorded, with its name where there are several."""
    found = {name: units for name, units in known.items() if units}
    named = len(found) > 1
    return tuple(BlockRow(units, subscripted(n) if named else "") for n, units in found.items())
