"""Writes the nodes of an ONNX graph, and of the graphs inside of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

__all__ = ["OPSET", "NodeWriter"]

#: Of ONNX's own operators; ONNX Runtime has had all of it since 1.14.
OPSET = 18


class NodeWriter:
    """Nodes in order, and constants, none twice; names are unique in the whole model.

    A graph inside of a node has a writer of its own. It reads what the outer graph has made before.

    Attributes:
        nodes: what has been written.
        constants: of the whole model, by what they hold.
    """

    def __init__(self, outer: NodeWriter | None = None) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[Any, TensorProto] = {} if outer is None else outer.constants
        self._taken: set[str] = set() if outer is None else outer._taken

    def name(self, wish: str) -> str:
        """`wish`, or something like it that nothing else is called."""
        unique, number = wish, 1
        while unique in self._taken:
            number += 1
            unique = f"{wish}_{number}"
        self._taken.add(unique)
        return unique

    def constant(self, array: Any, wish: str = "const") -> str:
        """The name of a tensor that holds these numbers."""
        array = np.ascontiguousarray(array) if np.ndim(array) else np.asarray(array)
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in self.constants:
            self.constants[key] = numpy_helper.from_array(array, self.name(wish))
        return self.constants[key].name

    def integers(self, *numbers: int) -> str:
        """The name of a list of whole numbers."""
        return self.constant(np.array(numbers, np.int64), "ints")

    def several(
        self, operator: str, *inputs: str, names: list[str], **attributes: Any
    ) -> list[str]:
        """A node with several outputs, called as the graph allows; "" leaves an input out."""
        made = [self.name(wish) for wish in names]
        self.nodes.append(
            helper.make_node(operator, list(inputs), made, name=made[0], **attributes)
        )
        return made

    def __call__(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """A node with one output."""
        return self.several(operator, *inputs, names=[name or operator.lower()], **attributes)[0]

    def called(self, made: str, wish: str) -> str:
        """What the last node has made, under a name that tells what it is."""
        last = self.nodes[-1] if self.nodes else None
        if not wish or last is None or list(last.output) != [made]:
            return made
        last.output[0] = last.name = self.name(wish)
        return last.name

    def same(self, value: str, name: str) -> None:
        """`value` under a name that is taken already: that of an output of the graph."""
        self.nodes.append(helper.make_node("Identity", [value], [name], name=name))

    def graph(self, name: str, inputs: list[Any], outputs: list[Any], **more: Any) -> GraphProto:
        """What has been written, as a graph with these inputs and outputs."""
        return helper.make_graph(self.nodes, name, inputs, outputs, **more)
