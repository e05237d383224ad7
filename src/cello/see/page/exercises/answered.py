"""Gives a page its exercises, each answer proved with the net that was recorded."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cello.errors import ArgumentError, CelloError
from cello.layers.paths import cells_of, joined
from cello.see.intervention.intervene import intervene
from cello.see.names import find
from cello.see.numbers import short
from cello.see.page.data import OUTPUT, PageData, places_of
from cello.see.page.exercises.exercise import Exercise, Goal, is_count, is_number
from cello.see.page.running.given import rows_of
from cello.see.recording.recorded import Call, Recorded, output_by_step
from cello.see.recording.recorder import watch

__all__ = ["add_exercises"]

#: What may be changed beside weights and values.
INPUT, ORDER = "input", "order"


def add_exercises(
    recordings: Sequence[Recorded], data: PageData, exercises: Sequence[Exercise]
) -> None:
    """Give a page its exercises, whose answers are proved here.

    The head gets `exercises`, each {sequence, text, hint, change, goals, answer}; what may be
    changed is {kind, name} with kind "input", "order", "weight" (and the number of the `weight`) or
    "value" (and its `layer`); a goal is {layer, name, t, unit, low, high}, without a limit that is
    infinite; the answer is {rows, order, weights, forced}, as far as it has them.

    Args:
        recordings: what the page shows.
        data: what it is told, of which `running` is there.
        exercises: in the order in which they are offered.

    Raises:
        ArgumentError: the page cannot run the net, or an exercise does not fit it, has an answer
            that does not reach its goals, or needs none.
        UnknownNameError: nothing has one of the names.
    """
    if not exercises:
        return
    running = data.head["running"]
    if "why" in running:
        raise ArgumentError(f"exercises need a net that the page can run: {running['why']}")
    data.head["exercises"] = []
    for number, exercise in enumerate(exercises):
        if not isinstance(exercise, Exercise):
            raise ArgumentError(f"exercises must hold Exercises, got {exercise!r}")
        try:
            written = _ProvedExercise(exercise, recordings, running).written()
        except CelloError as error:
            raise type(error)(f"exercises[{number}]: {error}") from error
        data.head["exercises"].append(written)


class _ProvedExercise:
    """An exercise, and the net and the sequence that it is about."""

    def __init__(
        self, exercise: Exercise, recordings: Sequence[Recorded], running: dict[str, Any]
    ) -> None:
        places = places_of(recordings)
        if exercise.sequence not in range(len(places)):
            raise ArgumentError(
                f"sequence must be from 0 to {len(places) - 1}, got {exercise.sequence!r}"
            )
        self.exercise, self.running = exercise, running
        self.rec, self.batch = places[exercise.sequence]
        self.weights = {own["name"]: n for n, own in enumerate(running["weights"]) if own["name"]}
        self.forced = {
            joined(layer["name"], name): (layer["name"], name, size)
            for stage in running["stages"]
            for layer in stage.get("layers", ())
            if layer["name"] is not None
            for name, (_, size) in running["steps"][layer["step"]]["forced"].items()
        }

    def written(self) -> dict[str, Any]:
        exercise = self.exercise
        goals = [self.goal(goal) for goal in exercise.goals]
        change = [self.changed(name) for name in exercise.change]
        answer: dict[str, Any] = {"weights": [], "forced": []}
        call = self.call()
        forced: dict[str, Any] = {}
        for name, given in exercise.answer.items():
            found = self.changed(name)
            if found["kind"] in (INPUT, ORDER):
                answer |= self.read(found["kind"], given, call.x)
            elif found["kind"] == "weight":
                answer["weights"] += self.weighed(found, given, call.net)
            else:
                triples = self.triples(found, given)
                answer["forced"] += triples
                full = joined(found["layer"], found["name"])
                forced[full] = [(own["from"], own["unit"], own["value"]) for own in triples]
        with torch.no_grad(), intervene(call.net, forced):
            after = watch(Recorded, call.net, call.x, *call.args, **call.kwargs)
        if all(goal.met(self.value(self.rec, goal)) for goal in exercise.goals):
            raise ArgumentError("its goals are reached without a change")
        for goal in exercise.goals:
            if not goal.met(value := self.value(after, goal)):
                raise ArgumentError(
                    f"its answer makes {goal.name}[{goal.unit}] at step {goal.t} "
                    f"{short(value, 5)}, expected {short(goal.low, 5)} to {short(goal.high, 5)}"
                )
        return {
            "sequence": exercise.sequence,
            "text": exercise.text,
            "hint": exercise.hint,
            "change": change,
            "goals": goals,
            "answer": answer,
        }

    def call(self) -> Call:
        """The call that was recorded, with a net and an input that may be changed."""
        call = self.rec.call
        assert call is not None  # else the page could not run it
        if not isinstance(call.x, Tensor):
            raise ArgumentError(
                f"the net must have read a tensor, it read {type(call.x).__name__}: exercises are "
                "for nets with one input"
            )
        return call._replace(net=copy.deepcopy(call.net), x=call.x.detach().clone())

    # ------------------------------------------------------------ goals

    def goal(self, goal: Goal) -> dict[str, Any]:
        values = self.values(self.rec, goal.name)
        steps, units = len(values), values.shape[1]
        if goal.t >= steps or goal.unit >= units:
            raise ArgumentError(
                f"{goal.name} has {steps} steps of {units} units, and the goal is at step "
                f"{goal.t}, unit {goal.unit}"
            )
        layer, _, name = self.full(goal.name).rpartition(".")
        limits = {"low": goal.low, "high": goal.high}
        known = {what: float(limit) for what, limit in limits.items() if math.isfinite(limit)}
        return {"layer": layer, "name": name, "t": goal.t, "unit": goal.unit, **known}

    def full(self, name: str) -> str:
        return OUTPUT if name == OUTPUT else find(name, self.rec.names)

    def values(self, rec: Recorded, name: str) -> Tensor:
        """The numbers of a value in this sequence, [T, size]."""
        if name == OUTPUT and OUTPUT not in rec:
            found = output_by_step(rec)
            if found is None:
                raise ArgumentError("the net has no output at each step")
            layer, rows = found
            return rows[: layer.length(self.batch), self.batch].flatten(1)
        full = find(name, rec.names)
        return rec[full][: int(rec.lengths_of(full)[self.batch]), self.batch].flatten(1)

    def value(self, rec: Recorded, goal: Goal) -> float:
        return float(self.values(rec, goal.name)[goal.t, goal.unit].item())

    # ------------------------------------------------------------ changes

    def changed(self, name: str) -> dict[str, Any]:
        if name in (INPUT, ORDER):
            return {"kind": name, "name": name}
        full = find(name, [*self.weights, *self.forced])
        if full in self.weights:
            return {"kind": "weight", "name": full, "weight": self.weights[full]}
        layer, own, _ = self.forced[full]
        return {"kind": "value", "name": own, "layer": layer}

    def read(self, kind: str, given: Any, x: Tensor) -> dict[str, Any]:
        """What the net reads in the answer; it is put into x."""
        layer = next(iter(self.rec.by_layer.values()))
        own = rows_of(x, layer.steps, self.batch)
        assert own is not None  # else the page could not run it
        rows = own[: layer.length(self.batch)]
        if kind == ORDER:
            steps = given if isinstance(given, (list, tuple)) and all(map(is_count, given)) else ()
            if sorted(steps) != list(range(len(rows))):
                raise ArgumentError(
                    f"order must name each step from 0 to {len(rows) - 1} once, got {given!r}"
                )
            rows.copy_(rows[list(steps)].clone())
            return {"order": list(steps), "rows": rows.flatten().tolist()}
        rows.copy_(_numbers(INPUT, given, rows))
        return {"rows": rows.flatten().tolist()}

    def weighed(self, found: dict[str, Any], given: Any, net: nn.Module) -> list[list[Any]]:
        """The numbers of a weight that differ in the answer; they are put into the net."""
        weight = _weights_of(net).get(found["name"])
        if weight is None:
            raise ArgumentError(f"{found['name']} is made of other weights: an answer changes none")
        numbers = _numbers(found["name"], given, weight.detach())
        differs = (numbers != weight).flatten().nonzero()[:, 0].tolist()
        with torch.no_grad():
            weight.copy_(numbers)
        flat = numbers.flatten().tolist()
        return [[found["weight"], place, flat[place]] for place in differs]

    def triples(self, found: dict[str, Any], given: Any) -> list[dict[str, Any]]:
        """To what a value is forced in the answer."""
        layer, name = found["layer"], found["name"]
        *_, size = self.forced[joined(layer, name)]
        length = self.rec.by_layer[layer].length(self.batch)
        triples = []
        for triple in given if isinstance(given, (list, tuple)) else [given]:
            if not (
                isinstance(triple, (list, tuple))
                and [is_count(part) for part in triple[:2]] == [True, True]
                and triple[0] < length
                and triple[1] < size
                and [is_number(part) for part in triple[2:]] == [True]
            ):
                raise ArgumentError(
                    f"{name} must be forced by triples (t, unit, number), with t below {length} "
                    f"and unit below {size}, got {triple!r}"
                )
            t, unit, value = triple
            triples.append(
                {"layer": layer, "name": name, "unit": unit, "from": t, "to": t, "value": value}
            )
        return triples


def _weights_of(net: nn.Module) -> Mapping[str, Tensor]:
    """The parameters of a net, by the names that a page has for them."""
    of_cells = {
        joined(path, name): parameter
        for path, cell in cells_of(net).items()
        for name, parameter in cell.named_parameters()
    }
    return dict(net.named_parameters()) | of_cells


def _numbers(name: str, given: Any, like: Tensor) -> Tensor:
    """Numbers in the shape of what they replace."""
    try:
        numbers = torch.tensor(given, dtype=like.dtype, device=like.device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ArgumentError(f"{name} must be numbers, got {given!r}") from error
    if numbers.shape != like.shape:
        raise ArgumentError(
            f"{name} must be numbers of the shape {list(like.shape)}, got {list(numbers.shape)}"
        )
    return numbers
