"""A conditional random field beside the sum over all paths, written out."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.convert import load_model, save_model
from cello.errors import ArgumentError, DtypeError, ShapeError
from cello.layers import CRF

T, B, TAGS = 4, 3, 3
LENGTHS = torch.tensor([4, 1, 3])


@pytest.fixture
def crf() -> CRF:
    torch.manual_seed(0)
    crf = CRF(TAGS).double()
    for parameter in crf.parameters():
        nn.init.normal_(parameter)
    return crf


@pytest.fixture
def scores() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(T, B, TAGS, dtype=torch.float64, requires_grad=True)


def score(crf: CRF, scores: Tensor, path: tuple[int, ...]) -> Tensor:
    """The score of a path, by the definition."""
    total = crf.start[path[0]] + crf.end[path[-1]]
    for step, tag in enumerate(path):
        total = total + scores[step, tag]
        if step:
            total = total + crf.transitions[tag, path[step - 1]]
    return total


def all_paths(length: int) -> list[tuple[int, ...]]:
    return list(itertools.product(range(TAGS), repeat=length))


@pytest.mark.parametrize("engine", ["reference", "cpu"])
def test_the_likelihood_is_that_of_the_sum_over_all_paths(crf: CRF, scores: Tensor, engine: str):
    tags = torch.randint(TAGS, (T, B))
    padded = torch.where(torch.arange(T).unsqueeze(1) < LENGTHS, tags, -100)
    with cello.engine(engine):
        found = crf.log_likelihood(scores, padded, LENGTHS)
    wanted = []
    for row, length in enumerate(LENGTHS.tolist()):
        every = [score(crf, scores[:, row], path) for path in all_paths(length)]
        mine = score(crf, scores[:, row], tuple(tags[:length, row].tolist()))
        wanted.append(mine - torch.stack(every).logsumexp(0))
    torch.testing.assert_close(found, torch.stack(wanted))
    inputs = (scores, *crf.parameters())
    weight = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    grads = [torch.autograd.grad((y * weight).sum(), inputs) for y in (found, torch.stack(wanted))]
    for mine, other in zip(*grads, strict=True):
        torch.testing.assert_close(mine, other)


def test_the_decoded_path_is_the_best_of_all(crf: CRF, scores: Tensor):
    for row, (found, length) in enumerate(
        zip(crf.decode(scores, LENGTHS), LENGTHS.tolist(), strict=True)
    ):
        best = max(all_paths(length), key=lambda path: score(crf, scores[:, row], path).item())
        assert tuple(found.tolist()) == best
    whole = crf.decode(scores)
    assert [len(path) for path in whole] == [T] * B
    assert whole[0].tolist() == crf.decode(scores, LENGTHS)[0].tolist()


def test_what_stands_past_the_end_does_not_count(crf: CRF, scores: Tensor):
    other = scores.detach().clone()
    other[1:, 1] = 1e6
    other[3:, 2] = -1e6
    tags = torch.zeros(T, B, dtype=torch.long)
    a, b = (crf.log_likelihood(x, tags, LENGTHS) for x in (scores, other))
    assert torch.equal(a, b)
    for one, two in zip(crf.decode(scores, LENGTHS), crf.decode(other, LENGTHS), strict=True):
        assert torch.equal(one, two)


def test_it_stands_in_a_stack_and_in_a_file(tmp_path):
    net = cello.Stack(cello.Recurrent(cello.GRUCell(2, 4)), nn.Linear(4, TAGS), CRF(TAGS))
    nn.init.normal_(net[-1].transitions)
    x, tags = torch.randn(5, 2, 2), torch.randint(TAGS, (5, 2))
    before = net[-1].log_likelihood(net(x)[0], tags)
    assert not any("_forward" in name for name, _ in net.named_modules())
    save_model(net, tmp_path)
    for again in (load_model(tmp_path), copy.deepcopy(net)):
        torch.testing.assert_close(again[-1].log_likelihood(again(x)[0], tags), before)
    # Weights of somebody else's tensors, not those that it was made with.
    net.load_state_dict({k: v.clone() + 1 for k, v in net.state_dict().items()}, assign=True)
    net[-1].log_likelihood(net(x)[0], tags).sum().backward()
    assert net[-1].transitions.grad is not None


def test_wrong_shapes(crf: CRF, scores: Tensor):
    with pytest.raises(ShapeError, match=r"scores must be \[T, B, 3\], got \[4, 3, 2\]"):
        crf.decode(scores[..., :2])
    with pytest.raises(ShapeError, match=r"tags must have the shape \[4, 3\] of the steps, got"):
        crf.log_likelihood(scores, torch.zeros(T, dtype=torch.long))
    with pytest.raises(ArgumentError, match="size"):
        CRF(0)
    tags = torch.zeros(T, 3, dtype=torch.long)
    assert torch.equal(
        crf.log_likelihood(scores, tags, [T, 1, 2]),
        crf.log_likelihood(scores, tags, torch.tensor([T, 1, 2])),
    )
    for call in (crf.decode, lambda x, lengths: crf.log_likelihood(x, tags, lengths)):
        with pytest.raises(ArgumentError, match="lengths must be at least 1, got 0"):
            call(scores, [T, 0, 2])
        with pytest.raises(ArgumentError, match="lengths"):
            call(scores, [T, T + 1, 2])
        with pytest.raises(ShapeError, match=r"lengths must be \[3\]"):
            call(scores, [T])
    with pytest.raises(ArgumentError, match=r"tags must be from 0 to 2, got 3"):
        crf.log_likelihood(scores, tags + 3)
    with pytest.raises(DtypeError, match="tags must be whole numbers"):
        crf.log_likelihood(scores, tags.float())
