"""Ids to vectors: against each other and against ordinary modules."""

import inspect

import pytest
import torch
from torch import nn

from cello.errors import ArgumentError, DtypeError
from cello.layers.encoders import (
    ENCODERS,
    KHot,
    OneHot,
    Projection,
    WindowEmbedding,
    WindowProjection,
)


def each() -> tuple[nn.Module, ...]:
    return (
        OneHot(4),
        KHot(4),
        Projection(4, 2),
        WindowEmbedding(4, 2, 3),
        WindowProjection(4, 2, 2),
    )


def test_one_hot_of_any_shape():
    for shape in ((), (5,), (4, 3), (2, 3, 4)):
        ids = torch.randint(7, shape)
        vectors = OneHot(7)(ids)
        assert torch.equal(vectors, nn.functional.one_hot(ids, 7).float())


def test_k_hot_of_any_shape():
    ids = torch.tensor([[0, 2, -1], [-1, -1, -1], [4, 1, 0]])
    expected = torch.tensor([[1, 0, 1, 0, 0], [0, 0, 0, 0, 0], [1, 1, 0, 0, 1]]).float()
    assert torch.equal(KHot(5)(ids), expected)
    assert torch.equal(KHot(5)(ids.reshape(3, 1, 3)), expected.reshape(3, 1, 5))
    assert KHot(5)(ids[:0]).shape == (0, 5)


def test_projection_is_k_hot_and_a_linear_map():
    """The same numbers, and the same gradient, without the vectors of zeros and ones."""
    ids = torch.tensor([[[0, 2, -1], [-1, -1, -1]], [[4, 1, 0], [3, -1, 2]]])
    projection = Projection(5, 3).double()
    table = projection.weight.detach().clone().requires_grad_()
    expected = KHot(5).double()(ids) @ table
    y = projection(ids)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-15)
    weights = torch.randn(y.shape, dtype=torch.float64)
    (y * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(projection.weight.grad, table.grad, rtol=0, atol=1e-14)
    assert torch.equal(projection(ids.flatten(0, 1)), y.flatten(0, 1))
    assert projection(ids[:0]).shape == (0, 2, 3)


def test_projection_of_a_large_vocabulary_makes_no_large_vectors():
    """30,000 ids for 1,000 rows would be 120 MB; the output is all that is kept."""
    layer = Projection(30_000, 8)
    ids = torch.randint(30_000, (1000, 5))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        layer(ids)
    rows = [t.numel() for t in kept if t.data_ptr() != layer.weight.data_ptr()]
    assert max(rows) <= ids.numel()


def test_window_embedding_is_an_embedding_for_each_place():
    layer = WindowEmbedding(6, 4, window_size=3)
    ids = torch.tensor([[[-1, 0, 5], [0, 5, -1]]])
    y = layer(ids)
    assert y.shape == (1, 2, 12)
    assert torch.equal(y[0, 0], torch.cat([torch.zeros(4), layer.weight[0], layer.weight[5]]))
    assert torch.equal(layer(ids.flatten(0, 1)), y.flatten(0, 1))
    y.sum().backward()
    assert layer.weight.grad[:, 0].tolist() == [2, 0, 0, 0, 0, 2]


def test_window_projection_is_a_projection_of_each_place():
    """The same numbers, and the same gradient, as one projection for all places."""
    ids = torch.tensor(
        [[[7, 0, -1, 5, 9], [-1, -1, -1, -1, -1]], [[4, 1, 14, 3, -1], [5, 6, -1, -1, 0]]]
    )
    layer = WindowProjection(15, 4, window_size=3).double()
    one = Projection(5, 4).double()
    one.weight = nn.Parameter(layer.weight.detach().clone())
    places = [torch.where(ids // 5 == place, ids % 5, -1) for place in range(3)]
    expected = torch.cat([one(place) for place in places], -1)
    y = layer(ids)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-15)
    weights = torch.randn(y.shape, dtype=torch.float64)
    (y * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(layer.weight.grad, one.weight.grad, rtol=0, atol=1e-14)
    for t in range(2):
        assert torch.equal(layer(ids[t, :1]), y[t, :1])  # to the bit, alone or among others
    assert layer(ids[:0]).shape == (0, 2, 12)
    with pytest.raises(ArgumentError, match="size must be a multiple of window_size, 3, got 16"):
        WindowProjection(16, 4, window_size=3)


def test_ids_may_be_small_integers():
    for encoder in each():
        ids = torch.tensor([[0, 3, 1]])
        assert torch.equal(encoder(ids.to(torch.int32)), encoder(ids))


def test_the_dtype_follows_the_module():
    for encoder in each():
        for dtype in (torch.float64, torch.bfloat16):
            assert encoder.to(dtype)(torch.tensor([[1]])).dtype == dtype
    assert not OneHot(4).state_dict()
    assert not KHot(4).state_dict()


def test_config_makes_the_same_module_again():
    for encoder in each():
        again = type(encoder)(**encoder.config())
        assert repr(again) == repr(encoder)
        assert again.output_size == encoder.output_size
        assert list(encoder.config()) == list(inspect.signature(type(encoder)).parameters)
    assert repr(Projection(6, 2)) == "Projection(size=6, output_size=2)"
    assert set(ENCODERS) == {type(encoder) for encoder in each()}


@pytest.mark.parametrize("bad", [torch.zeros(2, 1), torch.zeros(2, 1, dtype=torch.bool)])
def test_what_is_no_id(bad: torch.Tensor):
    for encoder in each():
        name = type(encoder).__name__
        with pytest.raises(DtypeError, match=rf"^{name} takes integer ids, got {bad.dtype}$"):
            encoder(bad)


@pytest.mark.parametrize("bad", [4, -2])
def test_ids_out_of_range(bad: int):
    for encoder in each()[1:]:
        name = type(encoder).__name__
        with pytest.raises(ArgumentError, match=rf"^{name} takes ids from -1 to 3, got {bad}$"):
            encoder(torch.tensor([[0], [bad]]))
    with pytest.raises(ArgumentError, match=rf"^OneHot takes ids from 0 to 3, got {bad}$"):
        OneHot(4)(torch.tensor([0, bad]))
