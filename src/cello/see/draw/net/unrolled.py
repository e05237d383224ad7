"""A net through time: a column for each step, states from column to column."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from cello.see.draw.diagram import Block
from cello.see.draw.net.nets import input_block, last_stage, memory_block, stage_block
from cello.see.draw.net.outline import Level, Stage, Track
from cello.see.draw.net.step_values import StepValues
from cello.see.draw.paint.block_sizes import Shape, shape_of
from cello.see.draw.paint.bodies import paint
from cello.see.draw.paint.picture import Mark, Picture, Text, Wire
from cello.see.draw.paint.text import SMALL, subscripted, width

__all__ = ["unrolled_picture"]

_MARGIN = 12.0
_UP = 30.0  # between two rows
_CLEAR = 12.0  # between a box and a wire that passes it


@dataclass(eq=False)
class _Cell:
    """A block of a column: in which row, and how far from the column's middle."""

    block: Block
    row: int
    aside: float = 0.0

    @property
    def room(self) -> Shape:
        """The room that the block takes."""
        return shape_of(self.block)


def unrolled_picture(levels: list[Level], steps: list[StepValues]) -> Picture:
    """The picture of a net at some steps, one after the other."""
    return _Unrolled(levels, steps).picture


class _Unrolled:
    def __init__(self, levels: list[Level], steps: list[StepValues]) -> None:
        self.levels, self.steps = levels, steps
        self.tracks = [track for level in levels for track in level.tracks]
        self.picture = Picture()
        self.columns = [self._column(values) for values in steps]
        cells = [cell for column in self.columns for cell in column.values()]
        self.half = max(cell.room.half for cell in cells)
        self.aside = self.half / 2 + _CLEAR if any(len(x.tracks) > 1 for x in levels) else 0.0
        self.gap = 44 + max(width(self._states(track), SMALL) for track in self.tracks)
        self._starts()
        self._rows(cells)
        for number, column in enumerate(self.columns):
            self._draw_column(number, column)
        for track in self.starts:
            self._draw_states(track)

    def _states(self, track: Track) -> str:
        return ", ".join(map(subscripted, track.states))

    def _column(self, values: StepValues) -> dict[object, _Cell]:
        """The blocks of one step by what they stand for, in the order of the rows."""
        found: dict[object, _Cell] = {"x": _Cell(input_block(self.levels, values), 0)}
        row = 1
        for level in self.levels:
            for track, side in zip(level.tracks, (-1, 1), strict=False):
                for stage in track.stages:
                    made = values.output(stage.size) if stage is last_stage(self.levels) else None
                    aside = side if len(level.tracks) > 1 else 0
                    found[stage] = _Cell(stage_block(stage, values, made), row, aside)
                    row += 1
            if len(level.tracks) > 1:
                found[level] = _Cell(Block("other", level.join), row)
                row += 1
        found["y"] = _Cell(Block("output", "output"), row)
        found["x"].block.lines = (f"t = {values.t}",)
        return found

    def _starts(self) -> None:
        """The memories with which the first step of each direction begins."""
        self.starts: dict[Track, tuple[Block, Shape]] = {}
        self.left = self.right = 0.0
        for track in (track for track in self.tracks if track.states):
            block = memory_block(track, self.steps[-1 if track.is_backward else 0])
            room = shape_of(block)
            self.starts[track] = block, room
            need = 2 * room.half + 24
            if track.is_backward:
                self.right = max(self.right, need)
            else:
                self.left = max(self.left, need)
        # On the other side the last state leaves.
        if self.starts:
            out = self.gap - 8
            self.left, self.right = max(self.left, out), max(self.right, out)

    def _rows(self, cells: list[_Cell]) -> None:
        """The middle of each row, from above."""
        rows = max(cell.row for cell in cells) + 1
        heights = [0.0] * rows
        for cell in cells:
            heights[cell.row] = max(heights[cell.row], cell.room.height)
            cell.aside *= self.aside
        for track, (_, room) in self.starts.items():
            row = self.columns[0][track.stages[0]].row
            heights[row] = max(heights[row], room.height)
        total = sum(heights) + _UP * (rows - 1) + 2 * _MARGIN
        self.middle: list[float] = []
        y = total - _MARGIN
        for height in heights:
            self.middle.append(y - height / 2)
            y -= height + _UP
        self.wide = 2 * (self.half + self.aside)
        steps = len(self.steps)
        self.picture.height = total
        inner = steps * self.wide + (steps - 1) * self.gap
        self.picture.width = 2 * _MARGIN + self.left + self.right + inner

    def _middle(self, number: int) -> float:
        """The middle of a column."""
        return _MARGIN + self.left + self.wide / 2 + number * (self.wide + self.gap)

    def _side(self, number: int, stage: Stage, way: int) -> float:
        """The right border of a box, or the left one if `way` is -1."""
        cell = self.columns[number][stage]
        return self._middle(number) + cell.aside + way * cell.room.half

    def _place(self, number: int, cell: _Cell) -> tuple[float, float]:
        return self._middle(number) + cell.aside, self.middle[cell.row]

    def _draw_column(self, number: int, column: dict[object, _Cell]) -> None:
        for cell in column.values():
            paint(self.picture, cell.block, cell.room, *self._place(number, cell))
        below = column["x"]
        for level in self.levels:
            towers = [[column[stage] for stage in track.stages] for track in level.tracks]
            self._rise(number, [below], [tower[0] for tower in towers])
            for low, high in (pair for tower in towers for pair in pairwise(tower)):
                self._rise(number, [low], [high])
            below = towers[0][-1]
            if len(towers) > 1:
                below = column[level]
                self._rise(number, [tower[-1] for tower in towers], [below])
        self._rise(number, [below], [column["y"]])

    def _rise(self, number: int, lows: list[_Cell], highs: list[_Cell]) -> None:
        """Wires from each of the lower blocks to each of the upper ones."""
        for low in lows:
            for place, high in enumerate(highs):
                ax, ay = self._place(number, low)
                bx, by = self._place(number, high)
                if len(lows) > 1:  # they arrive side by side
                    bx += 10 if low.aside > 0 else -10
                start, end = ay - low.room.height / 2, by + high.room.height / 2
                turn = start - _UP / 2 if len(highs) > 1 else end + _UP / 2
                points: tuple[tuple[float, float], ...]
                points = ((ax, start), (ax, turn), (bx, turn), (bx, end))
                if ax == bx:
                    points = (points[0], points[3])
                elif place:  # it branches off
                    points = points[1:]
                self.picture.wires.append(Wire(points, arrow=True))
        if len(highs) > 1:
            ax, ay = self._place(number, lows[0])
            self.picture.marks.append(Mark(ax, ay - lows[0].room.height / 2 - _UP / 2))

    def _draw_states(self, track: Track) -> None:
        """The states of a direction, from step to step."""
        assert track.keeper is not None
        last = len(self.steps) - 1
        order = list(range(last, -1, -1)) if track.is_backward else list(range(last + 1))
        way = -1 if track.is_backward else 1
        first = self.columns[0][track.stages[0]]
        keeper = self.columns[0][track.keeper]
        low, high = self.middle[first.row], self.middle[keeper.row]
        block, room = self.starts[track]
        edge = self._middle(order[0]) - way * self.wide / 2
        x = edge - way * (24 + room.half)
        paint(self.picture, block, room, x, low)
        arrive = self._side(order[0], track.stages[0], -way)
        wire = ((x + way * room.half, low), (arrive, low))
        self.picture.wires.append(Wire(wire, "loop", arrow=True))
        for number in order:
            leave = self._side(number, track.keeper, way)
            edge = self._middle(number) + way * self.wide / 2
            turn = edge + way * (self.gap - 20)
            points: tuple[tuple[float, float], ...]
            if number == order[-1]:
                points = ((leave, high), (turn + way * 8, high))
            else:
                arrive = self._side(number + way, track.stages[0], -way)
                points = ((leave, high), (turn, high), (turn, low), (arrive, low))
                if high == low:
                    points = (points[0], points[3])
            self.picture.wires.append(Wire(points, "loop", arrow=True))
            middle = (edge + turn) / 2
            self.picture.texts.append(Text(middle, high - 6, self._states(track), "small"))
