import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from cello.cells.contract.state import state_type
from cello.tree import flatten, unflatten

TENSORS = [
    torch.arange(3),
    torch.zeros(0, 2),
    torch.tensor(1.5, dtype=torch.float64),
    torch.tensor([True, False]),
    torch.ones(2, dtype=torch.bfloat16),
    torch.tensor([1, 2], dtype=torch.uint8),
]
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.sampled_from(TENSORS),
)
KEYS = st.one_of(st.text(max_size=3), st.sampled_from(["$tensor", "$tuple", "a.b"]), st.integers())
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(KEYS, inner, max_size=3),
        st.tuples(inner, inner).map(lambda pair: state_type(("h", "c"))(*pair)),
    ),
    max_leaves=12,
)


def same(a: object, b: object) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, Tensor):
        return a is b
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@given(TREES)
def test_what_is_taken_apart_can_be_put_together(tree: object):
    plain, tensors = flatten(tree)
    assert same(unflatten(json.loads(json.dumps(plain)), tensors), tree)


def test_names_of_tensors_are_their_paths():
    _, tensors = flatten({"net": {"0.cell.W": TENSORS[0]}, "ranks": [{"carried": (TENSORS[1],)}]})
    assert list(tensors) == ["net.0.cell.W", "ranks.0.carried.0"]


def test_paths_that_collide_stay_apart():
    tree = {"a": {"b": TENSORS[0]}, "a.b": TENSORS[1]}
    plain, tensors = flatten(tree)
    assert len(tensors) == 2
    assert same(unflatten(plain, tensors), tree)


def test_packed_sequences_come_back_as_such():
    packed = torch.nn.utils.rnn.pack_sequence([torch.ones(2), torch.zeros(3)], enforce_sorted=False)
    plain, tensors = flatten({"output": packed})
    again = unflatten(json.loads(json.dumps(plain)), tensors)["output"]
    assert isinstance(again, torch.nn.utils.rnn.PackedSequence)
    assert all(torch.equal(a, b) for a, b in zip(again, packed, strict=True))


def test_other_things_are_refused_with_their_path():
    with pytest.raises(TypeError, match=r"^a\.1 is set: neither a tensor nor JSON$"):
        flatten({"a": [1, {2}]})
