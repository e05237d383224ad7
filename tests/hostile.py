"""Values that no file should hold, and a watch on what is allocated while one is read."""

from __future__ import annotations

import copy
import random
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

DEEP: list[Any] = []
for _ in range(200):
    DEEP = [DEEP]

#: In place of anything.
HOSTILE: tuple[Any, ...] = (
    *(0, -1, 1, 2, 3, 40_000, 10**9, 2**31, 2**63, 2**64, 10**100, 0.5, 1e30, -1e30, -0.0),
    *(float("nan"), float("inf"), -float("inf"), True, False, None),
    *("", "x", "a\nb", "\0", "Stack", "Tanh", "tanh", "../../x", "1", "地"),
    *([], {}, [[]], [0], ["a", "a"], [None], {"": 0}, {"type": "Tanh"}, {"type": []}, DEEP),
    {"type": "Linear", "in_features": 10**5, "out_features": 10**5},
    {"type": "KHot", "size": 10**10},
)


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything in nested tables and lists, of long lists the first few entries."""
    found = [path] if path else []
    if isinstance(tree, dict):
        for key, value in tree.items():
            found += places(value, (*path, key))
    elif isinstance(tree, list):
        for place, value in enumerate(tree[:4]):
            found += places(value, (*path, place))
    return found


def mutated(tree: Any, chance: random.Random, values: tuple[Any, ...] = HOSTILE) -> Any:
    """A copy in which one thing is another, gone, there twice, renamed or in another's place."""
    tree = copy.deepcopy(tree)
    *above, last = chance.choice(places(tree))
    owner = tree
    for key in above:
        owner = owner[key]
    what = chance.choice(("value", "value", "value", "gone", "again", "elsewhere"))
    if what == "value":
        owner[last] = chance.choice(values)
    elif what == "gone":
        del owner[last]
    elif what == "again" and isinstance(owner, list):
        owner.append(owner[last])
    elif what == "again":
        owner[chance.choice(("", "type", "extra", "modules", "window"))] = owner[last]
    else:
        *_, other = chance.choice(places(tree))
        owner[last] = copy.deepcopy(chance.choice((other, tree)))
    return tree


class Largest(TorchDispatchMode):
    """Notes how many bytes the largest tensor has that an operation gives; `meta` has none."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, Tensor) and value.device.type != "meta":
                self.bytes = max(self.bytes, value.untyped_storage().nbytes())
        return result
